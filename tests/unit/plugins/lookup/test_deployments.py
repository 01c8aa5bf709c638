# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty selection is refused, with what was found; everything else is Ansible's own selection."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible import context
from ansible.errors import AnsibleError

from ansible_collections.sre.runbooks.plugins.lookup.deployments import LookupModule
from ansible_collections.sre.runbooks.plugins.lookup.runbook_env import LookupModule as RunbookEnv

GROUPS = {"all": ["bo1", "bo2", "h1"], "ungrouped": [], "backoffice": ["bo1", "bo2"], "hafnium": ["h1"], "durion": []}


def look_up(*terms: str, exactly_one: bool = False, **variables: Any) -> list[str]:
    lookup = LookupModule()
    lookup.set_options = lambda var_options=None, direct=None: None
    lookup.get_option = lambda name: exactly_one
    return lookup.run(list(terms), {"groups": GROUPS, **variables})


@pytest.mark.parametrize(
    ("terms", "variables", "pattern"),
    [
        (["backoffice"], {}, "backoffice"),
        (["backoffice", "durion", "hafnium"], {}, "backoffice:hafnium"),
        (["backoffice"], {"ansible_limit": "bo2"}, "backoffice"),
        (["backoffice"], {"ansible_limit": "all,!bo1"}, "backoffice"),
        (["backoffice", "hafnium"], {"ansible_limit": "h1"}, "backoffice:hafnium"),
        (["backoffice"], {"ansible_run_tags": ["all"], "ansible_skip_tags": []}, "backoffice"),
    ],
)
def test_the_pattern(terms: list[str], variables: dict[str, Any], pattern: str) -> None:
    assert look_up(*terms, **variables) == [pattern]


@pytest.mark.parametrize(
    ("terms", "variables", "message"),
    [
        (["durion"], {}, "no host in group durion. Groups with hosts: backoffice, hafnium"),
        (["backofice"], {}, "no host in group backofice"),
        (["backoffice"], {"groups": {"all": [], "ungrouped": []}}, "is there an inventory?"),
        (["backoffice"], {"ansible_limit": "h1"}, "--limit h1 leaves no host of group backoffice, which has: bo1, bo2"),
        (["backoffice"], {"ansible_run_tags": ["quick"]}, "--tags quick"),
        (["backoffice"], {"ansible_skip_tags": ["slow"]}, "--skip-tags slow"),
    ],
)
def test_an_empty_selection_is_refused(terms: list[str], variables: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleError, match=re.escape(message)):
        look_up(*terms, **variables)


def test_exactly_one() -> None:
    assert look_up("backoffice", exactly_one=True, ansible_limit="bo1") == ["backoffice"]
    with pytest.raises(AnsibleError, match=r"2 are selected: bo1, bo2\. Choose one with --limit"):
        look_up("backoffice", exactly_one=True)


def environment(value: str | None, hosts: list[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.delenv("SOME_URL", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_URL", value)
    lookup = RunbookEnv()
    lookup.set_options = lambda var_options=None, direct=None: None
    lookup.get_option = lambda name: "backoffice"
    return lookup.run(["SOME_URL", "http://default"], {"groups": {"backoffice": hosts}})


def test_the_environment_is_a_default_for_one_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert environment("http://env", ["bo1"], monkeypatch) == ["http://env"]
    assert environment(None, ["bo1", "bo2"], monkeypatch) == ["http://default"]
    assert environment(" ", ["bo1", "bo2"], monkeypatch) == ["http://default"]


def test_one_environment_cannot_describe_two_deployments(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AnsibleError, match="SOME_URL is set, but the group backoffice has 2 deployments"):
        environment("http://env", ["bo1", "bo2"], monkeypatch)


def test_a_syntax_check_selects_nothing_and_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "CLIARGS", {"syntax": True})
    assert look_up("backoffice", "hafnium", exactly_one=True, groups={}) == ["backoffice:hafnium"]

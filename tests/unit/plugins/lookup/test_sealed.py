# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables that take the place of what a run has found are named; others pass."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.sre.runbooks.plugins.lookup import sealed

GIVEN = {"gate_reason": "x", "gate_plan": {}, "planned": {}, "other": 1}


@pytest.fixture(autouse=True)
def extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "load_extra_vars", lambda _loader: GIVEN)


def run(*terms: Any, variables: dict[str, Any] | None = None, **options: Any) -> list[bool]:
    lookup = sealed.LookupModule()
    values = {"prefix": None, "except": [], "within": [], **options}
    lookup.set_options = lambda var_options=None, direct=None: None
    lookup.get_option = values.__getitem__
    return lookup.run(list(terms), variables)


@pytest.mark.parametrize(
    ("terms", "options"),
    [
        ([], {}),
        (["found"], {}),
        (["found"], {"prefix": "gate_", "except": ["gate_reason", "gate_plan"]}),
        ([["found"]], {"prefix": "never_"}),
    ],
)
def test_other_variables_pass(terms: list[Any], options: dict[str, Any]) -> None:
    assert run(*terms, **options) == [True]


@pytest.mark.parametrize(
    ("terms", "options", "named"),
    [
        (["planned"], {}, "planned"),
        ([["found", "planned"], "other"], {}, "other, planned"),
        ([], {"prefix": "gate_", "except": ["gate_reason"]}, "gate_plan"),
        (["gate_reason"], {"prefix": "gate_", "except": ["gate_reason"]}, "gate_plan, gate_reason"),
    ],
)
def test_what_is_sealed_is_named(terms: list[Any], options: dict[str, Any], named: str) -> None:
    with pytest.raises(AnsibleError, match=f"^{named} must not be given as extra variables"):
        run(*terms, **options)


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"state": "{{ planned.oid }}"}, "planned"),
        ({"state": {"deep": ["{{ between }}"]}, "between": "{% if other %}1{% endif %}"}, "other"),
        ({"state": "{{ found }}"}, ""),
        ({"state": "{{ state }}{{ a }}", "a": "{{ b }}", "b": "{{ a | no_such_filter }}"}, ""),
        ({"state": "{{ broken"}, ""),
        ({"state": {"oid": 1}, "unrelated": "{{ planned }}"}, ""),
    ],
)
def test_what_is_used_by_templates_is_followed(variables: dict[str, Any], named: str) -> None:
    if not named:
        assert run(variables=variables, within=["state"]) == [True]
        return
    with pytest.raises(AnsibleError, match=f"^{named} must not be given"):
        run(variables=variables, within=["state"])

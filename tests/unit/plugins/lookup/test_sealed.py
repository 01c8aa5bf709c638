# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Extra variables that take the place of what a run has found are named; others pass."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.sre.runbooks.plugins.lookup import sealed

GIVEN = {"gate_reason": "x", "gate_plan": {}, "planned": {}, "other": 1, "awx_job_id": 7}


@pytest.fixture(autouse=True)
def extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealed, "load_extra_vars", lambda _loader: GIVEN)


def run(*terms: Any, variables: dict[str, Any] | None = None, **options: Any) -> list[bool]:
    lookup = sealed.LookupModule()
    values = {"except": [], "within": [], **options}
    lookup.set_options = lambda var_options=None, direct=None: None
    lookup.get_option = values.__getitem__
    return lookup.run(list(terms), variables)


@pytest.mark.parametrize(
    ("terms", "options"),
    [
        ([], {}),
        (["found"], {}),
        (["gate_"], {"except": ["gate_reason", "gate_plan"]}),
        (["gate"], {}),
        ([["found"], "never_"], {"within": ["never_"]}),
        ([], {"within": ["gate_"], "except": ["gate_reason", "gate_plan"]}),
    ],
)
def test_other_variables_pass(terms: list[Any], options: dict[str, Any]) -> None:
    assert run(*terms, **options) == [True]


@pytest.mark.parametrize(
    ("terms", "options", "named"),
    [
        (["planned"], {}, "planned"),
        ([["found", "planned"], "other"], {}, "other, planned"),
        (["gate_"], {"except": ["gate_reason"]}, "gate_plan"),
        (["gate_"], {}, "gate_plan, gate_reason"),
        ([], {"within": ["gate_", "planned"], "except": ["gate_reason"]}, "gate_plan, planned"),
        (["awx_job_id"], {}, "awx_job_id"),
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
        ({"state": "{{ lookup('vars', 'planned') }}"}, "planned"),
        ({"state": "{{ vars['planned'] }}{{ hostvars[groups.all[0]].x }}", "vars": {"a": "{{ other }}"}}, "planned"),
        ({"state": "{{ broken | planned %}{% }}"}, "planned"),
        ({"state_of_all": "{{ between }}", "between": "{{ other }}"}, "other"),
        ({"state": "{{ found }}"}, ""),
        ({"state": "planned {{ state }} other {{ a }}", "a": "{{ b }}", "b": "{{ a | no_such_filter }}"}, ""),
        ({"state": "{{ awx_job_id }}"}, ""),
        ({"state": {"oid": 1}, "unrelated": "{{ planned }}"}, ""),
    ],
)
def test_what_is_used_by_templates_is_followed(variables: dict[str, Any], named: str) -> None:
    within = ["state", "state_"]
    if not named:
        assert run(variables=variables, within=within) == [True]
        return
    with pytest.raises(AnsibleError, match=f"^{named} must not be given"):
        run(variables=variables, within=within)


def test_what_may_be_chosen_is_not_followed() -> None:
    variables = {"state": "{{ chosen }}{{ free }}", "state_free": "{{ planned }}", "free": "x"}
    assert run(variables=variables, within=["state", "state_"], **{"except": ["state_free"]}) == [True]

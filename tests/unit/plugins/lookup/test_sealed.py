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


def run(*terms: Any, **options: Any) -> list[bool]:
    lookup = sealed.LookupModule()
    values = {"prefix": None, "except": [], **options}
    lookup.set_options = lambda var_options=None, direct=None: None
    lookup.get_option = values.__getitem__
    return lookup.run(list(terms))


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

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import checks
from ansible_collections.sre.runbooks.plugins.module_utils.checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ([], UNVERIFIED),
        ([PASS], PASS),
        ([PASS, PASS], PASS),
        ([PASS, UNVERIFIED], UNVERIFIED),
        ([UNVERIFIED, FAIL], FAIL),
        ([PASS, FAIL, PASS], FAIL),
        (["skipped"], UNVERIFIED),
        ([PASS, "PASS"], UNVERIFIED),
        ([PASS, ""], UNVERIFIED),
        (["odd", FAIL], FAIL),
    ],
)
def test_the_worst_decides_and_only_pass_is_green(statuses: list[str], verdict: str) -> None:
    for order in itertools.permutations(statuses):
        assert checks.verdict_of(order) == verdict


@given(
    st.lists(st.sampled_from(["pass", "fail", "unverified", "other"])), st.sampled_from(["pass", "fail", "unverified"])
)
def test_another_check_never_makes_a_verdict_better(statuses: list[str], more: str) -> None:
    rank = {FAIL: 0, UNVERIFIED: 1, PASS: 2}
    before, after = checks.verdict_of(statuses), checks.verdict_of([*statuses, more])
    assert rank[after] <= rank[before] or not statuses


def test_status_of() -> None:
    assert [checks.status_of(seen) for seen in (True, False, None)] == [PASS, FAIL, UNVERIFIED]


def test_report() -> None:
    rows = [Check("lag.orders", "lag of orders", FAIL, 7, 0, "restart it", "5", 12), Check("health", "health", PASS)]
    step = Next("sre.runbooks.backoffice.restart", {"limit": "bo"}, "change")
    finding = Finding("consumer_dead", "seen", ["lag.orders"], ["new events"], step)
    result = checks.report(iter(rows), iter([finding]), groups=["orders"])
    assert result == {
        "changed": False,
        "verdict": "fail",
        "checks": [
            {
                "id": "lag.orders",
                "title": "lag of orders",
                "status": "fail",
                "observed": 7,
                "expected": 0,
                "hint": "restart it",
                "runbook": "5",
                "duration_ms": 12,
            },
            {
                "id": "health",
                "title": "health",
                "status": "pass",
                "observed": None,
                "expected": None,
                "hint": "",
                "runbook": "",
                "duration_ms": None,
            },
        ],
        "findings": [
            {
                "cause": "consumer_dead",
                "confidence": "seen",
                "evidence": ["lag.orders"],
                "affects": ["new events"],
                "next": {"playbook": "sre.runbooks.backoffice.restart", "args": {"limit": "bo"}, "effect": "change"},
            }
        ],
        "groups": ["orders"],
    }
    assert json.loads(json.dumps(result)) == result


def test_a_report_of_nothing_is_unverified() -> None:
    assert checks.report([])["verdict"] == UNVERIFIED
    assert checks.report([], [Finding("cause", "inferred", [])])["findings"][0]["next"] is None


def test_an_id_named_twice_is_a_programming_error() -> None:
    twice = [Check("a", "first", PASS), Check("b", "other", PASS), Check("a", "second", FAIL)]
    with pytest.raises(ValueError, match="check ids named twice: a"):
        checks.report(twice)

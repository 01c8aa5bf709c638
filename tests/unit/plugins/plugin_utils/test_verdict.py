# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The judgement: nothing that was not observed counts as pass, and a declared lack is shown until its date."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.plugin_utils import verdict

TODAY = datetime.date(2031, 4, 2)


def check(name: str, status: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "title": name, "status": status, **more}


def result(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"verdict": "pass", "checks": list(rows), "findings": [], **more}


GOOD = result(check("health", "pass"))


def judge(registers: dict[str, Any], accepted: Any = (), optional: frozenset[str] = frozenset()) -> verdict.Judgement:
    return verdict.judge(registers, list(accepted) if isinstance(accepted, tuple) else accepted, TODAY, optional)


@pytest.mark.parametrize(
    ("registers", "expected", "ids"),
    [
        ({"a": GOOD}, "pass", ["health"]),
        ({"a": GOOD, "b": None}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": {"skipped": True, "changed": False}}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": {"failed": True, "msg": "no such library"}}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": {"changed": False}}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": {"unreachable": True, "msg": "ssh"}}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": {"results": []}}, "unverified", ["b", "health"]),
        ({"a": GOOD, "b": result(check("x", "fail"), check("y", "unverified"))}, "fail", ["x", "y", "health"]),
        ({"a": GOOD, "b": result(check("x", "green"))}, "unverified", ["x", "health"]),
        ({}, "unverified", []),
        ({"a": {"results": [GOOD, result(check("health", "fail"))]}}, "fail", ["a.health", "health"]),
    ],
)
def test_what_was_not_observed_is_not_green(registers: dict[str, Any], expected: str, ids: list[str]) -> None:
    judged = judge(registers)
    assert (judged.verdict, [row["id"] for row in judged.checks]) == (expected, ids)


def test_an_optional_register_may_be_absent_but_not_broken() -> None:
    assert judge({"a": GOOD, "b": None}, optional=frozenset({"b"})).verdict == "pass"
    assert judge({"a": GOOD, "b": {"failed": True, "msg": "x"}}, optional=frozenset({"b"})).verdict == "unverified"


def test_a_step_counts_only_when_it_failed() -> None:
    def stepped(step: Any) -> verdict.Judgement:
        return verdict.judge({"a": GOOD, "restart": step}, [], TODAY, steps=frozenset({"restart"}))

    assert stepped({"changed": True}).verdict == "pass"
    assert stepped(None).verdict == "pass"
    failed = stepped({"failed": True, "msg": "it ended at once with exit code 3"})
    assert (failed.verdict, failed.checks[0]["id"]) == ("unverified", "restart")
    assert "exit code 3" in failed.checks[0]["observed"]


def test_of_a_step_in_a_loop_only_what_failed_counts() -> None:
    items = [{"changed": True}, {"skipped": True}, {"failed": True, "msg": "its autoscaler sets 4"}]
    judged = verdict.judge(
        {"a": GOOD, "scale": {"failed": True, "msg": "one or more items failed", "results": items}},
        [],
        TODAY,
        steps=frozenset({"scale"}),
    )
    assert [(row["id"], row["status"]) for row in judged.checks] == [("scale", "unverified"), ("health", "pass")]
    assert "its autoscaler sets 4" in judged.checks[0]["observed"]


def test_ids_are_made_unique_and_evidence_follows() -> None:
    second = result(check("health", "fail"), findings=[{"cause": "dead", "confidence": "seen", "evidence": ["health"]}])
    judged = judge({"before": GOOD, "after": second})
    assert [row["id"] for row in judged.checks] == ["after.health", "health"]
    assert judged.findings[0]["evidence"] == ["after.health"]


def accept(**changes: Any) -> dict[str, Any]:
    return {"check": "x", "reason": "no metrics yet", "owner": "team-a", "until": "2031-04-02", **changes}


@pytest.mark.parametrize("status", ["fail", "unverified"])
def test_a_declared_lack_is_left_out_of_the_verdict_and_shown(status: str) -> None:
    judged = judge({"a": GOOD, "b": result(check("x", status))}, (accept(),))
    assert judged.verdict == "pass"
    assert [(row["id"], row["owner"], row["until"]) for row in judged.accepted] == [("x", "team-a", "2031-04-02")]
    assert "accepted until 2031-04-02 by team-a" in verdict.table("h", "p", judged)


def test_it_is_red_again_the_day_after() -> None:
    judged = judge({"b": result(check("x", "fail", hint="look"))}, (accept(until="2031-04-01"),))
    assert judged.verdict == "fail"
    assert judged.checks[0]["hint"] == "Acceptance expired on 2031-04-01 (owner team-a). look"


@pytest.mark.parametrize(
    ("accepted", "observed"),
    [
        ((accept(owner=""),), "lacks owner"),
        (({"check": "x"},), "lacks reason, owner, until"),
        ((accept(until="soon"),), "has until='soon', which is not a date YYYY-MM-DD"),
        ("x", "is 'x', not a list"),
    ],
)
def test_an_incomplete_acceptance_is_itself_unverified(accepted: Any, observed: str) -> None:
    judged = judge({"a": GOOD}, accepted)
    assert judged.verdict == "unverified"
    assert judged.checks[0]["observed"] == observed


def test_an_acceptance_that_accepts_nothing_is_noted() -> None:
    assert "not among the checks" in judge({"a": GOOD}, (accept(),)).notes[0]
    assert "passes now" in judge({"a": GOOD}, (accept(check="health"),)).notes[0]


def test_accepting_everything_leaves_nothing_verified() -> None:
    assert judge({"b": result(check("x", "fail"))}, (accept(),)).verdict == "unverified"


def test_the_table_is_at_most_80_columns_wide_and_worst_first() -> None:
    rows = [
        check(f"check-number-{n}", s, observed="long " * 40, hint="do this " * 30)
        for n, s in enumerate(["pass", "fail", "unverified"])
    ]
    lines = verdict.table("host", "system.procedure", judge({"a": result(*rows)})).splitlines()
    assert max(map(len, lines)) <= 80
    marks = [line.split()[0] for line in lines[2:] if line[2] != " "]
    assert marks == ["FAIL", "????", "ok"]


def test_the_next_commands_can_be_pasted() -> None:
    step = {"playbook": "sre.runbooks.backoffice.restart", "args": {}, "effect": "change"}
    finding = {"cause": "consumer_dead", "confidence": "seen", "evidence": ["health"], "next": step}
    shown = verdict.table(
        "bo-1", "p", judge({"a": result(check("health", "fail"), findings=[finding])}), ["inventories/lab"]
    )
    line = "ansible-playbook sre.runbooks.backoffice.restart -i inventories/lab --limit bo-1"
    assert [text.strip() for text in shown.splitlines() if "ansible-playbook" in text] == [
        f"{line} --check --diff",
        line,
    ]


def test_what_was_switched_off_is_noted() -> None:
    judged = judge(
        {"a": result(check("x", "pass"), not_checked=[{"id": "replay_slo", "reason": "replay_slo_ms is 0"}])}
    )
    assert judged.notes == ["not checked: replay_slo (replay_slo_ms is 0)"]


def test_secrets_in_a_failed_task_s_message_are_struck_out() -> None:
    judged = judge({"a": {"failed": True, "msg": "login with password=hunter2 refused"}})
    assert "hunter2" not in verdict.table("h", "p", judged)


def test_what_passes_is_counted_beyond_a_screenful_and_what_does_not_is_always_shown() -> None:
    rows = [*({"id": f"good.{n}", "status": "pass"} for n in range(100)), {"id": "bad", "status": "fail"}]
    lines = verdict.table("h", "p", judge({"a": result(*rows)})).splitlines()
    assert lines[2].startswith("  FAIL  bad")
    assert sum("good." in line for line in lines) == verdict.MOST_GREEN
    assert lines[-1] == f"  ok    and {100 - verdict.MOST_GREEN} more pass; the report lists them all"

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery took and lost: each number, each target, and everything that keeps a number from being known."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import argspec, operation, recovery_objectives
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError

START = datetime.datetime(2031, 4, 2, 8, 0, tzinfo=datetime.UTC)
HOUR = 3600.0


def at(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


def marker(seconds: float, number: int, name: str = "order") -> dict[str, Any]:
    return {"name": name, "id": number, "written_at": at(seconds).isoformat()}


NONE = {"name": "order", "id": None, "written_at": None}


@pytest.mark.parametrize(
    ("started", "verified", "target", "outcome", "seconds"),
    [
        (at(0), at(60), HOUR, "pass", 60),
        (at(0), at(3600), HOUR, "pass", 3600),
        (at(0), at(3601), HOUR, "fail", 3601),
        (at(0), at(60), None, "measured", 60),
        (at(0), None, HOUR, "unverified", None),
        (None, at(60), HOUR, "unverified", None),
        (at(60), at(0), HOUR, "unverified", None),  # the clock was moved
    ],
)
def test_rto(started: Any, verified: Any, target: Any, outcome: str, seconds: Any) -> None:
    found = recovery_objectives.rto(started, verified, target)
    assert (found.outcome, found.seconds) == (outcome, seconds)


@pytest.mark.parametrize(
    ("before", "restored", "target", "outcome", "seconds"),
    [
        ([marker(900, 9)], [marker(0, 5)], HOUR, "pass", 900),
        ([marker(900, 9)], [marker(900, 9)], 0.0, "pass", 0),
        ([marker(7200, 9)], [marker(0, 5)], HOUR, "fail", 7200),
        ([marker(900, 9)], [marker(0, 5)], None, "measured", 900),
        ([], [marker(0, 5)], HOUR, "unverified", None),
        ([NONE], [marker(0, 5)], HOUR, "unverified", None),
        ([marker(900, 9)], [], HOUR, "unverified", None),
        ([marker(900, 9)], [NONE], HOUR, "unverified", None),
        ([marker(900, 9)], [marker(0, 12)], HOUR, "unverified", None),  # another database
        ([marker(0, 9)], [marker(60, 5)], HOUR, "unverified", None),  # the server's clock was moved
    ],
)
def test_rpo(before: Any, restored: Any, target: Any, outcome: str, seconds: Any) -> None:
    found = recovery_objectives.rpo(before, restored, target, gap_seconds=0.0)
    assert (found.outcome, found.seconds) == (outcome, seconds)
    assert found.measured_seconds == seconds


@pytest.mark.parametrize(
    ("lost", "gap", "outcome", "seconds"),
    [
        (900, 1800.0, "pass", 1800),
        (900, 86_400.0, "fail", 86_400),  # daily backups, and a drill a quarter of an hour after one
        (7200, 1800.0, "fail", 7200),  # the newest backup is late
        (900, None, "measured", 900),  # one backup tells nothing of the next
        (7200, None, "fail", 7200),
    ],
)
def test_a_fault_at_a_worse_moment_counts(lost: float, gap: float | None, outcome: str, seconds: float) -> None:
    found = recovery_objectives.rpo([marker(lost, 9)], [marker(0, 5)], HOUR, gap)
    assert (found.outcome, found.seconds) == (outcome, seconds)
    assert (found.measured_seconds, found.worst_gap_seconds) == (lost, gap)


def backup(hours: float, **more: Any) -> dict[str, Any]:
    """A set as pg_backup_info tells of it, begun so many hours before START; it took a minute."""
    began = at(-hours * HOUR)
    done = began + datetime.timedelta(minutes=1)
    return {"started_at": began.isoformat(), "finished_at": done.isoformat(), "problems": [], "future": False, **more}


@pytest.mark.parametrize(
    ("sets", "hours"),
    [
        ([], None),
        ([backup(1)], None),
        ([backup(1), backup(2), backup(5)], 3),
        ([backup(5), backup(1), backup(2)], 3),  # in any order
        ([backup(1), backup(3, problems=["cut"]), backup(5)], 4),  # a broken one fills no gap
        ([backup(1), backup(-30, future=True), backup(5)], 4),
        ([backup(1), backup(24 * 30)], 24 * 30 - 1),  # the next one after a month without any
        ([backup(1), backup(2), backup(24 * 10), backup(24 * 20)], 24 * 10 - 2),  # what was before the window is past
        ([backup(24 * 10), backup(24 * 20)], None),
        ([backup(1), {"id": "lost its manifest", "problems": ["no manifest"], "started_at": None}], None),
    ],
)
def test_how_far_backups_lie_apart(sets: list[dict[str, Any]], hours: float | None) -> None:
    found = recovery_objectives.worst_gap(sets, 7 * 24 * HOUR, START.timestamp())
    assert found == (None if hours is None else hours * HOUR + 60)


def test_a_part_of_the_system_proves_nothing_of_the_whole() -> None:
    given = {
        "started_at": at(0).isoformat(),
        "verified_at": at(80).isoformat(),
        "markers_before": [marker(900, 9)],
        "markers_restored": [marker(0, 5)],
        "backups": [backup(hours) for hours in (0.5, 1)],
        "rto_target_seconds": HOUR,
        "rpo_target_seconds": HOUR,
        "backup_window_days": 366.0,
    }
    clock = Clock()
    clock.now = START.timestamp  # type: ignore[method-assign]
    params = {name: option.get("default") for name, option in recovery_objectives.SPEC.options.items()}
    whole = recovery_objectives.run({**params, "system": "shop", **given}, operation.Context(clock=clock))
    assert whole["verdict"] == "pass", whole
    left_out = ["customer_db", "paid_orders_have_a_payment"]
    part = recovery_objectives.run(
        {**params, "system": "shop", **given, "left_out": left_out}, operation.Context(clock=clock)
    )
    assert part["verdict"] == "unverified"
    for check in part["checks"]:
        assert check["observed"].startswith("measured: ")
        assert "without customer_db, paid_orders_have_a_payment" in check["observed"]
    late = recovery_objectives.run(
        {**params, "system": "shop", **given, "left_out": left_out, "rto_target_seconds": 1.0},
        operation.Context(clock=clock),
    )
    assert late["verdict"] == "fail"


def test_of_a_pair_the_one_that_lost_more_counts() -> None:
    before = [marker(100, 9), marker(100, 9, "customer")]
    found = recovery_objectives.rpo(before, [marker(90, 8), marker(40, 3, "customer")], HOUR)
    assert found.seconds == 60
    assert recovery_objectives.rpo(before, [marker(90, 8)], HOUR).outcome == "unverified"


def test_a_backup_made_for_the_drill_proves_no_rpo() -> None:
    found = recovery_objectives.rpo([marker(2, 9)], [marker(1, 8)], HOUR, 1.0, backup_made_for_this=True)
    assert (found.outcome, found.seconds) == ("measured", 1)
    late = recovery_objectives.rpo([marker(7200, 9)], [marker(1, 8)], HOUR, backup_made_for_this=True)
    assert late.outcome == "fail"


def run(**given: Any) -> dict[str, Any]:
    spec: argspec.ArgumentSpec = recovery_objectives.SPEC
    params = {name: option.get("default") for name, option in spec.options.items()}
    return recovery_objectives.run({**params, "system": "shop", **given}, operation.Context())


def test_checks_bear_the_systems_name() -> None:
    result = run(
        started_at=at(0).isoformat(),
        verified_at=at(80.5).isoformat(),
        markers_before=[marker(900, 9)],
        markers_restored=[marker(0, 5)],
        backups=[backup(0.5), backup(1)],
        rto_target_seconds=4 * HOUR,
        rpo_target_seconds=HOUR,
    )
    assert result["verdict"] == "pass"
    said = {check["id"]: (check["observed"], check["expected"]) for check in result["checks"]}
    lost = "31 min (this drill lost 15 min; a fault before a next backup was whole would have lost up to 31 min)"
    assert said == {"rto.shop": ("80.5 s", "at most 4 h"), "rpo.shop": (lost, "at most 1 h")}
    hints = {check["id"]: check["hint"] for check in result["checks"]}
    assert "time to decide" in hints["rto.shop"]
    assert "markers of this drill" in hints["rpo.shop"]


def test_measured_is_no_pass_and_says_so() -> None:
    result = run(
        started_at=at(0).isoformat(),
        verified_at=at(3).isoformat(),
        markers_before=[marker(9, 9)],
        markers_restored=[marker(9, 9)],
    )
    assert result["verdict"] == "unverified"
    for check in result["checks"]:
        assert check["status"] == "unverified"
        assert check["observed"].startswith("measured: ")
        assert "no target is set" in check["observed"]
    assert (result["rto"]["outcome"], result["rpo"]["outcome"]) == ("measured", "measured")


def test_what_cannot_be_restored_fails_and_says_why() -> None:
    result = run(unrecoverable_reason="the data are in memory", rto_target_seconds=14400, rpo_target_seconds=3600)
    assert result["verdict"] == "fail"
    assert [check["observed"] for check in result["checks"]] == ["the data are in memory"] * 2


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"system": " "}, "system is empty"),
        ({"backup_window_days": 0.0}, "backup_window_days is 0"),
        ({"backups": [{"started_at": "noon", "finished_at": "noon"}]}, "started_at is 'noon'"),
        ({"rto_target_seconds": -1.0}, "rto_target_seconds is -1"),
        ({"rpo_target_seconds": float("nan")}, "rpo_target_seconds is nan"),
        ({"started_at": "yesterday"}, "started_at is 'yesterday'"),
        ({"verified_at": "2031-04-02T08:00:00"}, "no time zone"),
        (
            {
                "markers_before": [marker(1, 1)],
                "markers_restored": [{"name": "order", "id": "x", "written_at": at(0).isoformat()}],
            },
            "the id of a marker is 'x'",
        ),
    ],
)
def test_bad_arguments_name_themselves(given: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        run(**given)

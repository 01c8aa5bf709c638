# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a recovery took and lost: each number, each target, and everything that keeps a number from being known."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import argspec, operation, recovery_objectives
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
    found = recovery_objectives.rpo(before, restored, target)
    assert (found.outcome, found.seconds) == (outcome, seconds)


def test_of_a_pair_the_one_that_lost_more_counts() -> None:
    before = [marker(100, 9), marker(100, 9, "customer")]
    found = recovery_objectives.rpo(before, [marker(90, 8), marker(40, 3, "customer")], HOUR)
    assert found.seconds == 60
    assert recovery_objectives.rpo(before, [marker(90, 8)], HOUR).outcome == "unverified"


def test_a_backup_made_for_the_drill_proves_no_rpo() -> None:
    found = recovery_objectives.rpo([marker(2, 9)], [marker(1, 8)], HOUR, backup_made_for_this=True)
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
        rto_target_seconds=4 * HOUR,
        rpo_target_seconds=HOUR,
    )
    assert result["verdict"] == "pass"
    said = {check["id"]: (check["observed"], check["expected"]) for check in result["checks"]}
    assert said == {"rto.shop": ("80.5 s", "at most 4 h"), "rpo.shop": ("15 min", "at most 1 h")}


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

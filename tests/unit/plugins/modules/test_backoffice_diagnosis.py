# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From results of the modules to a cause: what a result does not hold is not observed, whatever its form."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_evidence import evidence_of
from ansible_collections.sre.runbooks.plugins.modules import backoffice_diagnosis
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]


def check(name: str, status: str) -> dict[str, str]:
    return {"id": name, "status": status}


def stats(**more: Any) -> dict[str, Any]:
    sample = {
        "shape": "kotlin",
        "processed": 7,
        "skipped": 7,
        "last_event": "2031-04-02T08:00:00Z",
        "last_event_age_seconds": 3.0,
        "last_offset": "events:0:41",
        "replay": {"lines": 30, "applied": 30, "skipped": 0, "duration_ms": 60},
    }
    return {"http": "ok", "state_empty": False, "ledger_empty": False, "stats": {**sample, **more}, "progress": None}


KAFKA = {
    "checks": [check("kafka.reachable", "pass"), check("topic.events", "pass")],
    "topics": [{"name": "events", "end_offset_sum": 41}],
}


def lag(state: str, members: int, behind: int | None, topic: str = "events") -> dict[str, Any]:
    row = {"topic": topic, "committed": 36, "lag_offsets": behind, "member_id": "m-1" if members else None}
    group = {"group": "backoffice", "exists": True, "state": state, "members_count": members, "partitions": [row]}
    return {"checks": [], "groups": [group]}


GATEWAY = {"checks": [check("gateway.health", "pass"), check("gateway.publisher", "pass")]}
HEALTHY: dict[str, Any] = {"stats": stats(), "kafka": KAFKA, "lag": lag("Stable", 1, 0), "gateway": GATEWAY}


def diagnose(capsys: Capture, **results: Any) -> dict[str, Any]:
    return run_module(backoffice_diagnosis, capsys, **{**HEALTHY, **results, "topic": "events", "group": "backoffice"})


def test_healthy(capsys: Capture) -> None:
    result = diagnose(capsys)
    assert (result["verdict"], result["cause"], result["findings"]) == ("pass", None, [])


def test_a_dead_consumer_with_the_ids_of_the_checks_that_show_it(capsys: Capture) -> None:
    result = diagnose(capsys, lag=lag("Empty", 0, 5))
    assert (result["verdict"], result["cause"]) == ("fail", "consumer_dead")
    assert result["findings"][0]["evidence"] == ["freshness", "lag.backoffice"]
    assert result["findings"][0]["next"]["effect"] == "change"


@pytest.mark.parametrize("absent", ["stats", "lag"])
@pytest.mark.parametrize("result", [{}, {"failed": True, "msg": "x"}, {"unreachable": True}, {"skipped": True}])
def test_without_statistics_or_group_nothing_is_verified(absent: str, result: dict[str, Any], capsys: Capture) -> None:
    assert diagnose(capsys, **{absent: result})["verdict"] == "unverified"


def test_an_old_commit_on_another_topic_is_not_what_is_read_now(capsys: Capture) -> None:
    group = lag("Stable", 1, 0, topic="evnets")
    group["groups"][0]["partitions"].append({"topic": "events", "committed": 36, "lag_offsets": 5, "member_id": None})
    assert diagnose(capsys, lag=group)["cause"] == "topic_wrong"


@pytest.mark.parametrize(
    ("environment", "enabled"),
    [
        ({}, True),
        ({"BACKOFFICE_ENABLE": "TRUE"}, True),
        ({"BACKOFFICE_ENABLE": "yes"}, False),
        ({"BACKOFFICE_ENABLE": "0"}, False),
        (None, None),
    ],
)
def test_only_1_and_true_switch_the_consumer_on(environment: dict[str, str] | None, enabled: bool | None) -> None:
    service = {"services": [{"name": "backoffice", "state": "running", "environment": environment}]}
    params = {name: {} for name in ("stats", "kafka", "lag", "gateway", "log", "database")}
    found = evidence_of(
        {**params, "service": service, "topic": "events", "group": "backoffice", "stale_after_seconds": 0}
    )
    assert found.enabled is enabled


def test_the_newest_death_counts(capsys: Capture) -> None:
    found = {
        "boot_port": {"count": 1, "matches": [{"offset": 10}]},
        "boot_bad_side": {"count": 2, "matches": [{"offset": 5}, {"offset": 700}]},
        "boot_variable": {"count": 0, "matches": []},
        "consumer_disabled": {"count": 1, "matches": [{"offset": 900}]},
    }
    service = {"services": [{"name": "backoffice", "state": "failed", "exit_code": 1}]}
    result = diagnose(capsys, stats={"http": "refused"}, service=service, log={"found": found})
    assert result["cause"] == "ledger_fatal_line"


def test_a_restart_between_the_samples_is_no_movement(capsys: Capture) -> None:
    moved = {**stats(), "progress": {"restarted": True, "offset_moved": True, "event_moved": False}}
    assert diagnose(capsys, stats=moved)["cause"] is None


def test_a_topic_is_required(capsys: Capture) -> None:
    result = run_module(backoffice_diagnosis, capsys, group="backoffice")
    assert result["failed"]
    assert "missing required arguments: topic" in result["msg"]

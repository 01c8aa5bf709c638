# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was observed, as checks; the servers are integration tests."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import pg_activity
from ansible_collections.sre.runbooks.plugins.module_utils.pg_activity_checks import Judge, findings
from ansible_collections.sre.runbooks.plugins.module_utils.pg_activity_read import (
    Holder,
    Limit,
    Observed,
    Replication,
    Standby,
    Statement,
)
from ansible_collections.sre.runbooks.plugins.module_utils.pg_blockers import Wait
from ansible_collections.sre.runbooks.plugins.module_utils.pg_prepared import Prepared
from ansible_collections.sre.runbooks.plugins.module_utils.postgres import PostgresError
from tests.unit.plugins.module_utils.test_pg_idle_plan import backend

DEFAULTS = {name: option.get("default") for name, option in pg_activity.SPEC.options.items()}
DENIED = PostgresError("permission", "permission denied for view pg_prepared_xacts")
HIDDEN = backend(99, backend_type=None, state=None, state_seconds=None)


def observed(**parts: Any) -> Observed:
    return Observed(
        **{"name": "s", "datname": "shop", "user": "ops", "server_version": "15.6", "answer_ms": 3, **parts}
    )


def status(kind: str, seen: Observed, **options: Any) -> str | None:
    rows = Judge({**DEFAULTS, **options}).checks(seen)
    return next((row.status for row in rows if row.id == f"{kind}.s"), None)


def active(seconds: float) -> Any:
    return backend(1, state="active", query_seconds=seconds)


def waiting(seconds: float) -> Any:
    return backend(2, seconds, state="idle in transaction")


@pytest.mark.parametrize(
    ("kind", "parts", "expected"),
    [
        ("connections", {"backends": []}, "pass"),
        ("connections", {"backends": [HIDDEN]}, "pass"),
        ("connections", {"backends": [], "answer_ms": 1001}, "fail"),
        ("saturation", {"backends": [], "limits": [Limit("server", 80, 100)]}, "pass"),
        ("saturation", {"backends": [], "limits": [Limit("server", 81, 100)]}, "fail"),
        ("saturation", {"backends": [], "limits": [Limit("role", 0, 0)]}, "pass"),
        ("saturation", {"backends": [], "limits": [Limit("role", 1, 0)]}, "fail"),
        ("saturation", {"backends": [], "limits": DENIED}, "unverified"),
        ("long_queries", {"backends": [active(60.0)]}, "pass"),
        ("long_queries", {"backends": [active(60.1)]}, "fail"),
        ("long_queries", {"backends": [HIDDEN]}, "unverified"),
        ("long_queries", {"backends": [active(60.1), HIDDEN]}, "fail"),
        ("long_queries", {"backends": [backend(3, state="disabled", state_seconds=None)]}, "unverified"),
        ("idle_in_transaction", {"backends": [waiting(300.0)]}, "pass"),
        ("idle_in_transaction", {"backends": [waiting(301.0)]}, "fail"),
        ("blocked", {"backends": [], "waits": []}, "pass"),
        ("blocked", {"backends": [], "waits": [Wait(1, (2,), 31.0)]}, "fail"),
        ("blocked", {"backends": [], "waits": [Wait(1, (2,), None)]}, "unverified"),
        ("blocked", {"backends": [], "waits": [Wait(1, (2,), None), Wait(3, (2,), 31.0)]}, "fail"),
        ("prepared", {"backends": [], "prepared": [Prepared("g", "app", 301.0, 5)]}, "fail"),
        ("prepared", {"backends": [], "prepared": []}, "pass"),
        ("prepared", {"backends": [], "prepared": DENIED}, "unverified"),
        ("replication", {"backends": [], "replication": Replication(False)}, None),
        ("replication", {"backends": [], "replication": Replication(True, (), 5.0, "streaming")}, "pass"),
        ("replication", {"backends": [], "replication": Replication(True, (), 61.0, "streaming")}, "fail"),
        ("replication", {"backends": [], "replication": Replication(True, (), 0.0, "")}, "fail"),
        ("replication", {"backends": [], "replication": Replication(True, (), 0.0, "stopping")}, "fail"),
        ("replication", {"backends": [], "replication": Replication(True, (), None, "streaming")}, "unverified"),
        ("replication", {"backends": [], "replication": Replication(True, (), 0.0, None)}, "unverified"),
        ("xmin", {"backends": [], "holders": []}, "pass"),
        ("xmin", {"backends": [HIDDEN], "holders": []}, "unverified"),
        ("xmin", {"backends": [], "holders": [Holder("slot", "x", 10_000_001)]}, "fail"),
        ("slow_queries", {"backends": [], "statements": None}, None),
        ("slow_queries", {"backends": [], "statements": []}, "pass"),
        ("slow_queries", {"backends": [], "statements": [Statement("1", "a", 9, 1001.0, 2, 3, "q")]}, "fail"),
        ("slow_queries", {"backends": [], "statements": DENIED}, "unverified"),
    ],
)
def test_statuses(kind: str, parts: dict[str, Any], expected: str | None) -> None:
    assert status(kind, observed(**parts)) == expected


def standby(state: str | None = "streaming", seconds: float | None = 1.0) -> Standby:
    return Standby("one", "10.0.0.9", state, "async", 0, seconds)


@pytest.mark.parametrize(
    ("standbys", "least", "expected"),
    [
        ((standby(),), 0, "pass"),
        ((standby(),), 1, "pass"),
        ((standby(),), 2, "fail"),
        ((standby(seconds=61.0),), 0, "fail"),
        ((standby("catchup", 61.0),), 0, "fail"),
        ((standby("catchup", 2.0),), 1, "fail"),
        ((standby(seconds=None),), 1, "unverified"),
        ((standby(None, None),), 1, "unverified"),
        ((standby(None, None), standby(seconds=61.0)), 0, "fail"),
        ((), 1, "fail"),
    ],
)
def test_standbys_of_a_primary(standbys: tuple[Standby, ...], least: int, expected: str) -> None:
    seen = observed(backends=[], replication=Replication(False, standbys))
    assert status("replication", seen, min_standbys=least) == expected


def test_the_number_of_sessions_only_when_a_number_is_given() -> None:
    seen = observed(backends=[backend(pid) for pid in range(5)])
    assert status("connections", seen) == "pass"
    assert status("connections", seen, max_sessions=4) == "fail"


@pytest.mark.parametrize(
    ("kind", "observed_fault"),
    [
        ("refused", "fail"),
        ("too_many", "fail"),
        ("statement_timeout", "fail"),
        ("password", "unverified"),
        ("tls", "unverified"),
    ],
)
def test_a_database_that_could_not_be_asked(kind: str, observed_fault: str) -> None:
    row = Judge(DEFAULTS).no_answer("s", PostgresError(kind, "said"))
    assert (row.id, row.status) == ("connections.s", observed_fault)
    assert row.hint == "Nothing else of it was looked at."


def test_findings_name_the_cause() -> None:
    seen = observed(
        backends=[backend(2, 999.0, state="idle in transaction"), backend(1, state="active", query_seconds=50.0)],
        waits=[Wait(1, (2,), 50.0)],
        limits=[Limit("server", 99, 100)],
    )
    rows = Judge(DEFAULTS).checks(seen)
    assert [(one.cause, one.evidence) for one in findings(seen, rows)] == [
        ("connections_exhausted", ["saturation.s"]),
        ("blocked_by_open_transaction", ["blocked.s", "idle_in_transaction.s"]),
    ]

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How loaded databases are: who is connected and what they wait for, checked against thresholds, many in one task."""

from __future__ import annotations

from typing import Any

from . import databases, pg_activity_read, pg_blockers, pg_sessions
from .argspec import ArgumentSpec
from .checks import FAIL, Check, Finding, report
from .databases import Database
from .errors import InputError, RunbookError
from .operation import Context
from .pg_activity_checks import TITLES, Judge, findings, idle_in_transaction, long_queries
from .pg_activity_read import Observed
from .pg_sessions import Backend
from .pg_sql_text import shape
from .postgres import PostgresError, Session
from .redact import observed

MOST_LISTED = 100
MOST_WAITERS = 50
CHECKS = list(TITLES)

THRESHOLDS: dict[str, dict[str, Any]] = {
    "answer_ms": {"type": "int", "default": 1000},
    "max_sessions": {"type": "int", "default": 0},
    "max_saturation_percent": {"type": "float", "default": 80.0},
    "long_query_seconds": {"type": "float", "default": 60.0},
    "idle_in_transaction_seconds": {"type": "float", "default": 300.0},
    "blocked_seconds": {"type": "float", "default": 30.0},
    "prepared_seconds": {"type": "float", "default": 300.0},
    "replication_lag_seconds": {"type": "float", "default": 60.0},
    "min_standbys": {"type": "int", "default": 0},
    "max_xmin_age": {"type": "int", "default": 10_000_000},
    "slow_query_ms": {"type": "float", "default": 1000.0},
}
SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "checks": {"type": "list", "elements": "str", "choices": CHECKS, "default": CHECKS},
            **THRESHOLDS,
            "slow_query_min_calls": {"type": "int", "default": 10},
            "show_query": {"type": "bool", "default": False},
            "capture": {"type": "bool", "default": False},
            "capture_rows": {"type": "int", "default": 200},
            "runbook": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Ask all, judge each. One that does not answer is a failed check; the others are still reported."""
    _check(params)
    targets = databases.of(params)
    parts = frozenset(params["checks"])
    texts = params["show_query"] or params["capture"]

    def ask(session: Session, database: Database) -> Observed | RunbookError:
        try:
            calls = params["slow_query_min_calls"]
            return pg_activity_read.look(session, database.name, parts, texts, calls, context.clock)
        except PostgresError:
            raise
        except RunbookError as error:  # a server too old, or too large
            return PostgresError("other", error.message)

    judge, rows, found, told, captured = Judge(params), [], [], [], []
    for database, answer in zip(targets, databases.each(targets, params, context, ask), strict=True):
        if isinstance(answer, Observed):
            own = judge.checks(answer)
            rows += own
            found += findings(answer, own)
            told.append(_data(answer, params))
            captured.append(_capture(answer, params["capture_rows"]))
        elif isinstance(answer, PostgresError):
            rows.append(judge.no_answer(database.name, answer))
            found += _unreachable(rows[-1], database, answer)
            told.append({"name": database.name, "answered": False, "problem": answer.message})
    return report(rows, found, databases=told, **({"capture": captured} if params["capture"] else {}))


def _check(params: dict[str, Any]) -> None:
    for name in THRESHOLDS:
        if not params[name] >= 0:
            raise InputError(f"{name} is {params[name]:g}; it must be 0 (not checked) or more")
    if params["max_saturation_percent"] > 100:
        raise InputError(f"max_saturation_percent is {params['max_saturation_percent']:g}; it must be at most 100")
    if not params["checks"]:
        raise InputError(f"checks is empty: nothing would be looked at. Name some of {', '.join(CHECKS)}")
    for name, most in (("capture_rows", 2000), ("slow_query_min_calls", 10**9)):
        if not 1 <= params[name] <= most:
            raise InputError(f"{name} is {params[name]}; it must be from 1 to {most}")


def _unreachable(row: Check, database: Database, error: PostgresError) -> list[Finding]:
    if row.status != FAIL:
        return []
    cause = "connections_exhausted" if error.kind == "too_many" else "database_unreachable"
    return [Finding(cause, "seen", [row.id], [database.name])]


# -- data


def _data(seen: Observed, params: dict[str, Any]) -> dict[str, Any]:
    show = params["show_query"]
    replication = seen.replication
    data: dict[str, Any] = {
        "name": seen.name,
        "answered": True,
        "problem": "",
        "datname": seen.datname,
        "server_version": seen.server_version,
        "answer_ms": seen.answer_ms,
        "sessions": len(seen.own),
        "hidden": seen.hidden,
        "states": pg_sessions.states(seen.own),
        "counts": _counts(seen.own),
        "limits": [limit.as_dict() for limit in seen.limits[:20]] if isinstance(seen.limits, list) else [],
        "long_queries": [
            _session(one, show, query_seconds=pg_sessions.seconds(age))
            for one, age in long_queries(seen)[:MOST_LISTED]
            if age > params["long_query_seconds"] > 0
        ],
        "idle_in_transaction": [_session(one, show) for one, _age in idle_in_transaction(seen)[:MOST_LISTED]],
        "blockers": _blockers(seen, show),
        "prepared": [one.as_dict() for one in seen.prepared] if isinstance(seen.prepared, list) else [],
        "replication": None if replication is None or isinstance(replication, PostgresError) else replication.as_dict(),
        "xmin_holders": [one.as_dict() for one in seen.holders[:5]] if isinstance(seen.holders, list) else [],
        "slow_queries": _slow(seen, params),
        "notes": seen.notes,
    }
    return data


def _counts(own: list[Backend]) -> list[dict[str, Any]]:
    """How many sessions there are of each user, application and state, and the longest time in that state."""
    groups: dict[tuple[str, str, str], list[float]] = {}
    for one in own:
        groups.setdefault((one.usename, one.application_name, one.told_state), []).append(one.state_seconds or 0.0)
    rows = [
        {
            "usename": observed(user, 100),
            "application_name": observed(application, 100),
            "state": state,
            "count": len(ages),
            "oldest_seconds": None if state == pg_sessions.HIDDEN else pg_sessions.seconds(max(ages)),
        }
        for (user, application, state), ages in sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    ]
    return rows[:MOST_LISTED]


def _session(one: Backend, show: bool, **more: Any) -> dict[str, Any]:
    told = {
        **pg_sessions.identity(one),
        "state": one.told_state,
        "state_seconds": pg_sessions.seconds(one.state_seconds),
        "xact_age_seconds": pg_sessions.seconds(one.xact_seconds),
        **more,
    }
    return {**told, "query": shape(one.query)} if show else told


def _capture(seen: Observed, most: int) -> dict[str, Any]:
    """All sessions of a database as evidence, at most so many."""
    return {"name": seen.name, "activity": [_captured(one) for one in seen.own[:most]]}


def _captured(one: Backend) -> dict[str, Any]:
    waits = ": ".join(filter(None, (one.wait_event_type, one.wait_event)))
    return _session(one, True, query_seconds=pg_sessions.seconds(one.query_seconds), waits_for=waits)


def _blockers(seen: Observed, show: bool) -> list[dict[str, Any]]:
    if not isinstance(seen.waits, list):
        return []
    by_pid = {one.pid: one for one in seen.backends}

    def who(pid: int, **more: Any) -> dict[str, Any]:
        return _session(by_pid[pid], show, **more) if pid in by_pid else {"pid": pid, **more}

    return [
        who(
            root.pid,
            prepared_transaction=root.pid == pg_blockers.PREPARED,
            waiting=len(root.waiters),
            longest_wait_seconds=pg_sessions.seconds(root.longest_seconds),
            waiters=[
                who(wait.pid, depth=depth, wait_seconds=pg_sessions.seconds(wait.seconds), blocked_by=wait.blocked_by)
                for depth, wait in root.waiters[:MOST_WAITERS]
            ],
        )
        for root in pg_blockers.roots(seen.waits)[:MOST_LISTED]
    ]


def _slow(seen: Observed, params: dict[str, Any]) -> list[dict[str, Any]]:
    if not isinstance(seen.statements, list):
        return []
    rows = []
    for one in seen.statements:
        if one.mean_ms > params["slow_query_ms"] > 0:
            row: dict[str, Any] = {"queryid": one.queryid, "usename": one.usename, "calls": one.calls}
            row |= {"mean_ms": round(one.mean_ms, 1), "max_ms": round(one.max_ms, 1), "total_ms": round(one.total_ms)}
            rows.append({**row, "query": shape(one.query)} if params["show_query"] else row)
    return rows

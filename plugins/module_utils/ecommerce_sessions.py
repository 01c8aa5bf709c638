# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether clients lose their connections, told from transactions that the database turned back.

Most database errors of the shop are serialization conflicts: all checkouts of a day take their number from one row. They
show as rollbacks, and no failover helps. Connections that were lost are counted by PostgreSQL 14 and later.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import databases
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding
from .databases import Database
from .operation import Context
from .postgres import PostgresError, Session, major_of

RUNBOOK = "4"
OLDEST = 14
# How PostgreSQL names the counter, and what it counts.
LOST = {
    "sessions_abandoned": "clients gone without a word",
    "sessions_fatal": "ended by a fatal error",
    "sessions_killed": "ended by an operator",
}
COUNTERS = (*LOST, "xact_commit", "xact_rollback", "deadlocks")

_SAMPLE = """
SELECT extract(epoch FROM clock_timestamp())::float8, coalesce(stats_reset::text, ''),
       sessions_abandoned, sessions_fatal, sessions_killed, xact_commit, xact_rollback, deadlocks
  FROM pg_catalog.pg_stat_database WHERE datname = current_database()
"""


class TooOld(PostgresError):
    """A server that has no such counters."""


@dataclass(frozen=True)
class Sample:
    """The counters of a database at one time (epoch seconds of the server)."""

    at: float
    reset: str
    counters: dict[str, int]


@dataclass(frozen=True)
class Change:
    """What was counted between two samples."""

    seconds: float
    counted: dict[str, int]
    was_reset: bool

    @classmethod
    def between(cls, first: Sample, last: Sample) -> Change:
        counted = {name: last.counters[name] - first.counters[name] for name in COUNTERS}
        backwards = any(number < 0 for number in counted.values())
        return cls(last.at - first.at, counted, backwards or first.reset != last.reset)

    @property
    def lost(self) -> int:
        return sum(self.counted[name] for name in LOST)


def look(
    targets: Sequence[Database], params: Mapping[str, Any], context: Context
) -> tuple[list[Check], list[Finding], list[dict[str, Any]]]:
    """Checks, findings and data of each database, sampled side by side over ``sample_seconds``."""

    def ask(session: Session, _database: Database) -> Change:
        if major_of(session.server_version) < OLDEST:
            raise TooOld("other", f"PostgreSQL {session.server_version} does not count lost connections; {OLDEST} does")
        first = _sample(session)
        seconds = context.deadline.within(params["sample_seconds"], "the second sample")
        context.clock.sleep(seconds)
        return Change.between(first, _sample(session))

    answers = databases.each(targets, params, context, ask)
    rows = [_check(database.name, answer) for database, answer in zip(targets, answers, strict=True)]
    found = [
        Finding("connections_lost", "seen", [row.id], [database.name])
        for row, database, answer in zip(rows, targets, answers, strict=True)
        if row.status == FAIL and isinstance(answer, Change)
    ]
    data = [
        {"name": database.name, "seconds": round(answer.seconds, 1), **answer.counted}
        for database, answer in zip(targets, answers, strict=True)
        if isinstance(answer, Change)
    ]
    return rows, found, data


def _sample(session: Session) -> Sample:
    ((at, reset, *counters),) = session.rows(_SAMPLE)
    return Sample(float(at), reset, dict(zip(COUNTERS, map(int, counters), strict=True)))


def _check(database: str, answer: Change | PostgresError) -> Check:
    name, title, expected = f"sessions.{database}", f"Connections that were lost ({database})", "none"
    if isinstance(answer, PostgresError):
        status = FAIL if answer.observed_fault else UNVERIFIED
        hint = "Look for lost connections in the log of the server."
        return Check(name, title, status, answer.message, expected, hint, RUNBOOK)
    counted, over = answer.counted, f"in {answer.seconds:.0f} s"
    if answer.was_reset:
        told = f"its statistics were set back {over}"
        return Check(name, title, UNVERIFIED, told, expected, "Run it again.", RUNBOOK)
    turned_back = f"{counted['xact_rollback']} of {counted['xact_commit'] + counted['xact_rollback']} transactions"
    note = f"{turned_back} were rolled back, with {counted['deadlocks']} deadlocks" if counted["xact_rollback"] else ""
    if answer.lost:
        kinds = ", ".join(f"{counted[kind]} {words}" for kind, words in LOST.items() if counted[kind])
        hint = "See the log of the server and of the services, and what lies between them. A failover needs more than this."
        return Check(name, title, FAIL, "; ".join(filter(None, (f"{kinds} {over}", note))), expected, hint, RUNBOOK)
    hint = (
        "These are no lost connections: with simultaneous checkouts they are serialization conflicts as a rule, which the "
        "services' logs show as SQLSTATE 40001, and which no failover helps."
        if note
        else "Connections that were refused, and errors of the time before, are not counted here: see the services' logs "
        "for the SQLSTATE."
    )
    return Check(name, title, PASS, "; ".join(filter(None, (f"none {over}", note))), expected, hint, RUNBOOK)

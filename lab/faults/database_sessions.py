# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of sessions: applications that leak, hang in transactions, block each other, or take every place."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from lab import control, databases, histories, postgres, programs
from lab.faults import stray
from lab.faults.model import Fault
from lab.faults.sessions import Group
from lab.layout import LabError, paths

PART = "databases"
LEAKY, REPORT, VACUUM, MIGRATION, ANALYSIS = (
    "signals-batch",
    "case-report",
    "vault-maintenance",
    "signals-migration",
    "order-analysis",
)
LEAKED = 12
SHOWN_SECONDS = 20
LOCK_BASE = sum(ord(letter) << shift for letter, shift in zip("Flyway", range(40, -1, -8), strict=True))


def lock_key(schema: str, table: str = histories.TABLE) -> int:
    """The advisory lock that Flyway takes for a history: a constant and Java's hash of the table's quoted name."""
    value = 0
    for letter in f'"{schema}"."{table}"':
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return LOCK_BASE + (value - (1 << 32) if value >= 1 << 31 else value)


def rows(statement: str, values: list[Any] | None = None, database: str = "postgres") -> list[tuple[Any, ...]]:
    """What the superuser is answered. LabError."""
    with (
        databases.complaints(statement),
        closing(postgres.connect(paths(), database)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def held(application: str, condition: str = "true") -> int:
    """How many sessions the application has of which the condition holds."""
    ((count,),) = rows(
        f"SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND ({condition})", [application]
    )
    return int(count)


def holding(name: str, summary: str, groups: list[Group], shows: dict[str, int]) -> Fault:
    """Sessions that are held; ``shows``: how many of them the condition must hold of, before the fault counts as in."""
    application = groups[0].application_name

    def apply() -> None:
        stray.hold(name, groups)
        control.wait_until(shown, SHOWN_SECONDS, f"sessions of {application}: {shows}")

    def shown() -> bool:
        return all(held(application, condition) == count for condition, count in shows.items())

    def undo() -> None:
        stray.end(name)
        _end(application)

    return Fault(name, summary, apply, undo, PART)


def _end(application: str) -> None:
    """End what the process has left behind: a session that works or waits does not see that its client is gone."""
    rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [application])
    control.wait_until(lambda: held(application) == 0, SHOWN_SECONDS, f"sessions of {application} ended")


def _exhaust() -> None:
    """Sessions until the server has no place left for an ordinary user."""
    ((most,),) = rows("SELECT current_setting('max_connections')::int")
    stray.hold("hafnium-connections-exhausted", [Group(LEAKY, ["SELECT 1"], count=most)])
    if not refused():
        raise LabError("hafnium-connections-exhausted: there are places left for user hafnium")


def refused() -> bool:
    """True when an ordinary user cannot connect because every place is taken."""
    import psycopg2

    try:
        postgres.connect(paths(), "hafnium", "hafnium").close()
    except psycopg2.OperationalError as error:
        return "connection slots" in str(error) or "too many clients" in str(error)
    return False


def _places_again() -> None:
    stray.end("hafnium-connections-exhausted")
    _end(LEAKY)
    if "backoffice" in programs.started_parts(paths()):
        for program in ("backoffice", "market"):  # its consumer dies of a refused connection
            control.stop(program)
            control.start(program, wait=False)


FAULTS = (
    holding(
        "hafnium-idle-connections",
        f"{LEAKY} does not give its connections back: {LEAKED} sessions are idle, one more never ran a query",
        [Group(LEAKY, ["SELECT count(*) FROM signals.signals"], LEAKED), Group(LEAKY)],
        {"state = 'idle' AND query_start IS NOT NULL": LEAKED, "query = ''": 1},
    ),
    holding(
        "hafnium-idle-in-transaction",
        f"{REPORT} has left two transactions open, and one that is aborted",
        [Group(REPORT, ["BEGIN", "SELECT * FROM cases.cases"], 2), Group(REPORT, ["BEGIN", "SELECT 1 / 0"])],
        {"state = 'idle in transaction'": 2, "state = 'idle in transaction (aborted)'": 1},
    ),
    holding(
        "hafnium-database-lock",
        f"{VACUUM} holds a lock on vault.tokens: one session waits for it, and another one for that one",
        [
            Group(VACUUM, ["BEGIN", "LOCK TABLE vault.tokens IN ACCESS EXCLUSIVE MODE"]),
            Group(
                VACUUM,
                [
                    "BEGIN",
                    "LOCK TABLE vault.token_access IN ACCESS EXCLUSIVE MODE",
                    "SELECT count(*) FROM vault.tokens",
                ],
                blocks=True,
            ),
            Group(VACUUM, ["SELECT count(*) FROM vault.token_access"], blocks=True),
        ],
        {"cardinality(pg_blocking_pids(pid)) > 0": 2},
    ),
    Fault(
        "hafnium-connections-exhausted",
        f"{LEAKY} holds every place of the server: nobody but superusers and users of reserved places can log in",
        _exhaust,
        _places_again,
        PART,
    ),
    holding(
        "hafnium-flyway-locked",
        "a session holds Flyway's lock on the history of signals: no migration can begin",
        [Group(MIGRATION, ["BEGIN", f"SELECT pg_advisory_xact_lock({lock_key('signals')})"])],
        {"pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)": 1},
    ),
    holding(
        "ecommerce-runaway-query",
        f"a query of {ANALYSIS} in order_db does not end",
        [
            Group(
                ANALYSIS,
                ["SELECT count(*), pg_sleep(86400) FROM orders"],
                database="order_db",
                user="order_user",
                blocks=True,
            )
        ],
        {"state = 'active'": 1},
    ),
)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the PostgreSQL store."""

from __future__ import annotations

from lab import control, postgres, seed
from lab.faults import books
from lab.faults.kafka import FLAT_PAIR
from lab.faults.model import Fault, restart, start, start_and_die, wait_consumer
from lab.layout import LabError, paths

ASIDE = "lab_schema_aside"


def _down() -> None:
    """The database goes away at run time, and an order comes in: the consumer dies and stays dead."""
    control.stop("postgresql")
    seed.put(paths(), FLAT_PAIR, "acct_market")
    wait_consumer("EMPTY")


def _down_at_boot() -> None:
    control.stop("backoffice")
    control.stop("postgresql")
    start_and_die("backoffice")


def _back() -> None:
    control.start("postgresql")
    restart("backoffice")


def _books_nothing() -> None:
    """The service as it was written: orders reach the database, fills never do. The first live fill kills it."""
    control.set_env("backoffice", LAB_PG_AS_WRITTEN="1")
    books.rebuilt(lambda data: data)
    control.wait_ready("backoffice")
    seed.put(paths(), FLAT_PAIR, "acct_market")
    wait_consumer("EMPTY")


def _books_again() -> None:
    """Fills that were appended again at each restart go, and the store is booked anew."""
    control.clear_env("backoffice", "LAB_PG_AS_WRITTEN")
    books.rebuilt(books.unrepeated)


def _set_schema_aside() -> None:
    """What the service finds is a database without a migration: an empty schema."""
    _in_database(
        False, f"ALTER SCHEMA public RENAME TO {ASIDE}", "CREATE SCHEMA public AUTHORIZATION pg_database_owner"
    )


def _put_schema_back() -> None:
    _in_database(True, "DROP SCHEMA IF EXISTS public CASCADE", f"ALTER SCHEMA {ASIDE} RENAME TO public")


def _in_database(set_aside: bool, *statements: str) -> None:
    """Run the statements if the schema is set aside, or is not; LabError."""
    import psycopg2

    try:
        connection = postgres.connect(paths(), "backoffice")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = %s)", [ASIDE])
                if cursor.fetchone() == (set_aside,):
                    cursor.execute("; ".join(statements))
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise LabError(f"postgresql: {'; '.join(statements)}: {str(error).strip().splitlines()[0]}") from None


def _no_schema() -> None:
    with books.stopped():
        _set_schema_aside()
    control.start("backoffice")


def _schema() -> None:
    with books.stopped():
        _put_schema_back()
    start("backoffice")


FAULTS = (
    Fault("database-down", "PostgreSQL is down: data routes are 500 after 5 s, the consumer died", _down, _back),
    Fault("database-down-at-boot", "PostgreSQL is down: BackOffice dies at boot", _down_at_boot, _back),
    Fault(
        "database-books-nothing",
        "the store quotes a table name wrongly: no fill is ever booked, the consumer died",
        _books_nothing,
        _books_again,
    ),
    Fault(
        "database-schema-missing",
        "the migration never ran: BackOffice boots, skips every line, data routes are 500",
        _no_schema,
        _schema,
    ),
)

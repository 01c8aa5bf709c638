# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A row that says "the database was alive at this moment", so that a restore can tell how much it lost.

The newest row found in a restored database, against the newest one written before the fault, is what was lost. The age
of a dump says less: a dump may wait, or be of an older snapshot. Table sre_runbooks.recovery_marker, made when it is
missing; it keeps the newest KEPT rows.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Any

from .errors import InputError
from .postgres import PostgresError, Session

SCHEMA = "sre_runbooks"
TABLE = "recovery_marker"
KEPT = 1_000
LONGEST_SOURCE = 200

_NAME = f"{SCHEMA}.{TABLE}"
_COLUMNS = (
    "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "marked_at timestamptz NOT NULL DEFAULT clock_timestamp(), source text NOT NULL"
)
_EXISTS = (
    "SELECT (SELECT count(*) FROM pg_catalog.pg_namespace WHERE nspname = %s), (SELECT count(*) FROM "
    "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s AND relname = %s)"
)


@dataclass(frozen=True)
class Marker:
    """One row: its number, the server's time with zone when it was written, and what wrote it."""

    id: int
    marked_at: datetime.datetime
    source: str

    def as_dict(self) -> dict[str, Any]:
        """``written_at`` is ISO 8601 in UTC."""
        return {"id": self.id, "written_at": utc(self.marked_at), "source": self.source}


def utc(moment: datetime.datetime) -> str:
    """ISO 8601 in UTC with microseconds, so that texts sort as times do."""
    return moment.astimezone(datetime.UTC).isoformat(timespec="microseconds")


def write(session: Session, source: str) -> Marker:
    """Write a marker and return it; ``session`` must be one that may write. Makes schema and table when missing.

    Raises InputError for an empty or long source, PostgresError where a right is lacking: it names the GRANT.
    """
    text = source.strip()
    if not 0 < len(text) <= LONGEST_SOURCE:
        raise InputError(f"the source of a marker has {len(text)} characters; it needs 1 to {LONGEST_SOURCE}")
    try:
        _make(session)
        rows = session.rows(f"INSERT INTO {_NAME} (source) VALUES (%s) RETURNING id, marked_at, source", [text])
        session.rows(f"DELETE FROM {_NAME} WHERE id <= %s", [rows[0][0] - KEPT])
    except PostgresError as error:
        if error.kind != "permission":
            raise
        raise _not_allowed(session) from error
    return Marker(*rows[0])


def newest(session: Session) -> Marker | None:
    """The newest marker; None when the database has no such table, or none in it. PostgresError names a lacking GRANT."""
    if not exists(session):
        return None
    try:
        rows = session.rows(f"SELECT id, marked_at, source FROM {_NAME} ORDER BY id DESC LIMIT 1")
    except PostgresError as error:
        if error.kind != "permission":
            raise
        raise PostgresError(
            "permission",
            f"{session.user} may not read the markers in {session.where}. As their owner: GRANT USAGE ON SCHEMA "
            f"{SCHEMA} TO {session.user}; GRANT SELECT ON {_NAME} TO {session.user};",
        ) from error
    return Marker(*rows[0]) if rows else None


def exists(session: Session) -> bool:
    """Whether the database has the table of markers."""
    return bool(session.rows(_EXISTS, [SCHEMA, SCHEMA, TABLE])[0][1])


def _make(session: Session) -> None:
    # IF NOT EXISTS asks for the right to create even where nothing is to be created, so it is looked first.
    schemas, tables = session.rows(_EXISTS, [SCHEMA, SCHEMA, TABLE])[0]
    try:
        if not schemas:
            session.rows(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        if not tables:
            session.rows(f"CREATE TABLE IF NOT EXISTS {_NAME} ({_COLUMNS})")
    except PostgresError:
        if not exists(session):  # somebody else may have made it at the same moment
            raise


def _not_allowed(session: Session) -> PostgresError:
    """What to grant: the right to make the schema once, or the rights on what is there."""
    user, database = session.user, session.database
    if exists(session):
        rights = (
            f"As its owner: GRANT USAGE ON SCHEMA {SCHEMA} TO {user}; "
            f"GRANT SELECT, INSERT, DELETE ON {_NAME} TO {user};"
        )
    else:
        rights = f"As the owner of the database: GRANT CREATE ON DATABASE {database} TO {user};"
    return PostgresError("permission", f"{user} may not write a marker in {session.where}. {rights}")

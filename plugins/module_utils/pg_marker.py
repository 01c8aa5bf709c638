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

from . import databases
from .argspec import ArgumentSpec
from .databases import Database
from .errors import InputError, RunbookError
from .operation import Context
from .postgres import PostgresError, Session

SCHEMA = "sre_runbooks"
TABLE = "recovery_marker"
KEPT = 1_000
LONGEST_SOURCE = 200

SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "state": {"type": "str", "default": "present", "choices": ["present"]},
            "source": {"type": "str", "default": "sre.runbooks.pg_marker"},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)

_CREATE = (
    "CREATE SCHEMA IF NOT EXISTS sre_runbooks",
    "CREATE TABLE IF NOT EXISTS sre_runbooks.recovery_marker (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
    "marked_at timestamptz NOT NULL DEFAULT clock_timestamp(), source text NOT NULL)",
)
_INSERT = "INSERT INTO sre_runbooks.recovery_marker (source) VALUES (%s) RETURNING id, marked_at, source"
_TRIM = "DELETE FROM sre_runbooks.recovery_marker WHERE id <= %s"
_NEWEST = "SELECT id, marked_at, source FROM sre_runbooks.recovery_marker ORDER BY id DESC LIMIT 1"
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


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Write a marker into each database; RunbookError, with those that were written, when one could not be."""
    _text(params["source"])
    wanted = databases.of(params)

    def one(session: Session, database: Database) -> dict[str, Any]:
        marker = newest(session) if context.check_mode else write(session, params["source"])
        return {"name": database.name, **(marker.as_dict() if marker else {"id": None, "written_at": None})}

    found = databases.each(wanted, params, context, one, readonly=context.check_mode)
    markers = [row for row in found if not isinstance(row, PostgresError)]
    problems = [str(row) for row in found if isinstance(row, PostgresError)]
    if problems:
        raise RunbookError(
            f"no marker in {len(problems)} of {len(wanted)} databases: {'; '.join(problems)}",
            markers=markers,
            changed=bool(markers) and not context.check_mode,
        )
    return {"changed": True, "markers": markers}


def write(session: Session, source: str) -> Marker:
    """Write a marker and return it; ``session`` must be one that may write. Makes schema and table when missing.

    Raises InputError for an empty or long source, PostgresError where a right is lacking: it names the GRANT.
    """
    text = _text(source)
    try:
        _make(session)
        rows = session.rows(_INSERT, [text])
        session.rows(_TRIM, [rows[0][0] - KEPT])
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
        rows = session.rows(_NEWEST)
    except PostgresError as error:
        if error.kind != "permission":
            raise
        raise PostgresError(
            "permission",
            f"{session.user} may not read the markers in {session.where}. As their owner: GRANT USAGE ON SCHEMA "
            f"{SCHEMA} TO {session.user}; GRANT SELECT ON {SCHEMA}.{TABLE} TO {session.user};",
        ) from error
    return Marker(*rows[0]) if rows else None


def exists(session: Session) -> bool:
    """Whether the database has the table of markers."""
    return bool(session.rows(_EXISTS, [SCHEMA, SCHEMA, TABLE])[0][1])


def _text(source: str) -> str:
    text = source.strip()
    if not 0 < len(text) <= LONGEST_SOURCE:
        raise InputError(f"the source of a marker has {len(text)} characters; it needs 1 to {LONGEST_SOURCE}")
    return text


def _make(session: Session) -> None:
    # IF NOT EXISTS asks for the right to create even where nothing is to be created, so it is looked first.
    schemas, tables = session.rows(_EXISTS, [SCHEMA, SCHEMA, TABLE])[0]
    try:
        if not schemas:
            session.rows(_CREATE[0])
        if not tables:
            session.rows(_CREATE[1])
    except PostgresError:
        if not exists(session):  # somebody else may have made it at the same moment
            raise


def _not_allowed(session: Session) -> PostgresError:
    """What to grant: the right to make the schema once, or the rights on what is there."""
    user, database = session.user, session.database
    if exists(session):
        rights = (
            f"As its owner: GRANT USAGE ON SCHEMA {SCHEMA} TO {user}; "
            f"GRANT SELECT, INSERT, DELETE ON {SCHEMA}.{TABLE} TO {user};"
        )
    else:
        rights = f"As the owner of the database: GRANT CREATE ON DATABASE {database} TO {user};"
    return PostgresError("permission", f"{user} may not write a marker in {session.where}. {rights}")

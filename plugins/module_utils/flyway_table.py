# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table in which Flyway keeps its history: whether it is there and may be read, and its rows."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any, Literal

from . import flyway_types as types
from . import flyway_version
from .flyway_version import Version
from .postgres import MOST_ROWS, PostgresError, Session

Presence = Literal["present", "no_schema", "no_table", "denied"]
COLUMNS = (
    "installed_rank",
    "version",
    "description",
    "type",
    "script",
    "checksum",
    "installed_by",
    "installed_on",
    "execution_time",
    "success",
)
MOST_ALL = 100_000

# One question to the catalogue, which everybody may ask: schema, table, rights, columns, and tables of this name elsewhere.
_CATALOGUE = """
SELECT current_database(), current_user, pg_is_in_recovery(), n.oid IS NOT NULL, c.oid IS NOT NULL, c.relkind::text,
       coalesce(has_schema_privilege(n.oid, 'USAGE'), false), coalesce(has_table_privilege(c.oid, 'SELECT'), false),
       ARRAY(SELECT p FROM unnest(ARRAY['INSERT', 'UPDATE', 'DELETE']) p WHERE has_table_privilege(c.oid, p))
         || ARRAY(SELECT 'CREATE' WHERE has_schema_privilege(n.oid, 'CREATE'))
         || ARRAY(SELECT 'CREATE SCHEMA' WHERE has_database_privilege(current_database(), 'CREATE')),
       (SELECT array_agg(a.attname::text ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
       (SELECT array_agg(format('%%I.%%I', s.nspname, t.relname) ORDER BY 1) FROM pg_catalog.pg_class t
          JOIN pg_catalog.pg_namespace s ON s.oid = t.relnamespace
         WHERE lower(t.relname) IN (lower(%(table)s), 'flyway_schema_history', 'schema_version')
           AND t.relkind IN ('r', 'p') AND t.oid IS DISTINCT FROM c.oid)
  FROM (SELECT 1) one
  LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = %(schema)s
  LEFT JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s
       AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

# Whether Flyway would call the schema empty: nothing of its own in it, extensions aside.
_EMPTY = """
SELECT NOT EXISTS (
    SELECT FROM pg_catalog.pg_class o JOIN pg_catalog.pg_namespace n ON n.oid = o.relnamespace
      LEFT JOIN pg_catalog.pg_depend d ON d.objid = o.oid AND d.deptype = 'e'
     WHERE n.nspname = %(schema)s AND d.objid IS NULL AND o.relkind IN ('r', 'v', 'S', 't')
    UNION ALL
    SELECT FROM pg_catalog.pg_type o JOIN pg_catalog.pg_namespace n ON n.oid = o.typnamespace
      LEFT JOIN pg_catalog.pg_depend d ON d.objid = o.oid AND d.deptype = 'e'
     WHERE n.nspname = %(schema)s AND d.objid IS NULL AND o.typcategory NOT IN ('P', 'C')
    UNION ALL
    SELECT FROM pg_catalog.pg_proc o JOIN pg_catalog.pg_namespace n ON n.oid = o.pronamespace
      LEFT JOIN pg_catalog.pg_depend d ON d.objid = o.oid AND d.deptype = 'e'
     WHERE n.nspname = %(schema)s AND d.objid IS NULL)
"""


@dataclass(frozen=True)
class Row:
    """A row of the table. ``problem`` says why Flyway could not work with it."""

    rank: int
    version: Version | None
    description: str
    type: str
    script: str
    checksum: int | None
    installed_by: str
    installed_on: str
    execution_time: int
    success: bool
    version_text: str | None = None
    problem: str = ""


@dataclass
class Table:
    """The table as found.

    ``elsewhere`` names history tables in other schemas or written in other letters. ``rights`` are those of the user among
    INSERT, UPDATE and DELETE on the table, CREATE in its schema, and CREATE SCHEMA in the database. ``occupied``: something
    of this name is there that is no history. ``cut``: it has more rows than were read.
    """

    presence: Presence
    database: str = ""
    user: str = ""
    rows: list[Row] = field(default_factory=list)
    schema_empty: bool = False
    elsewhere: list[str] = field(default_factory=list)
    problem: str = ""
    standby: bool = False
    rights: frozenset[str] = frozenset()
    occupied: bool = False
    cut: bool = False


def quoted(*names: str) -> str:
    """Names as PostgreSQL reads them, letter by letter."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def read(session: Session, schema: str, table: str) -> Table:
    """Read the table. Raises PostgresError, except for a missing right, which is a result."""
    (answer,) = session.rows(_CATALOGUE, {"schema": schema, "table": table})
    database, user, standby, has_schema, has_table, kind, may_enter, may_read, rights, columns, elsewhere = answer
    found = Table("present", database, user, elsewhere=[str(name) for name in elsewhere or []])
    found.standby, found.rights = standby, frozenset(rights)
    if not has_schema:
        found.presence, found.schema_empty = "no_schema", True
        found.problem = f"schema {quoted(schema)} does not exist in database {database}"
        return found
    if not has_table or kind not in ("r", "p"):
        found.presence, found.occupied = "no_table", has_table
        found.schema_empty = bool(session.value(_EMPTY, {"schema": schema}))
        what = {"v": "is a view", "m": "is a view", "f": "is a foreign table"}.get(kind or "", "does not exist")
        found.problem = f"table {quoted(schema, table)} {what} in database {database}"
        return found
    if not may_enter or not may_read:
        found.presence = "denied"
        grant = (
            f"GRANT SELECT ON {quoted(schema, table)} TO {quoted(user)}"
            if may_enter
            else f"GRANT USAGE ON SCHEMA {quoted(schema)} TO {quoted(user)}"
        )
        found.problem = f"{user} may not read {quoted(schema, table)} in database {database}: {grant}"
        return found
    _fill(found, session, schema, table, list(columns))
    return found


def _fill(found: Table, session: Session, schema: str, table: str, columns: list[str]) -> None:
    by_lower = {column.lower(): column for column in columns}
    absent = [column for column in COLUMNS if column not in by_lower]
    if absent:
        found.presence, found.occupied = "no_table", True
        found.problem = (
            f"table {quoted(schema, table)} in database {found.database} is no history of Flyway: it has no column "
            f"{', '.join(absent)}"
        )
        return
    rank = quoted(by_lower["installed_rank"])
    wanted = ", ".join(quoted(by_lower[column]) for column in COLUMNS)
    select = f"SELECT {wanted} FROM {quoted(schema, table)}"  # noqa: S608  names in quotes, nothing else
    after = -1
    while True:
        try:
            page = session.rows(f"{select} WHERE {rank} > {after} ORDER BY {rank} LIMIT {MOST_ROWS}")
        except PostgresError as error:
            if error.kind != "permission":
                raise
            found.presence, found.problem = "denied", error.message
            return
        found.rows += [_row(values) for values in page]
        if len(page) < MOST_ROWS:
            return
        if len(found.rows) > MOST_ALL:
            found.cut = True
            return
        after = found.rows[-1].rank


def _row(values: tuple[Any, ...]) -> Row:
    rank, version, description, kind, script, checksum, by, on, time, success = values
    problem, parsed = "", None
    if version is not None:
        try:
            parsed = flyway_version.parse(str(version))
        except ValueError as error:
            problem = f"row {rank}: {error}"
    type_name = types.of_row(str(kind or ""))
    if type_name not in types.KNOWN:
        problem = problem or f"row {rank}: unknown type {type_name!r}"
    return Row(
        int(rank),
        parsed,
        str(description or ""),
        type_name,
        str(script or ""),
        None if checksum is None else int(checksum),
        str(by or ""),
        instant(on),
        int(time or 0),
        bool(success),
        None if version is None else str(version),
        problem,
    )


def instant(moment: Any) -> str:
    """A moment as Flyway writes it: ISO 8601 with Z, and as many digits of the second as it has, in threes."""
    if not isinstance(moment, datetime.datetime):
        return "" if moment is None else str(moment)
    if moment.tzinfo is not None:
        moment = moment.astimezone(datetime.UTC).replace(tzinfo=None)
    micros = moment.microsecond
    digits = "" if not micros else f".{micros // 1000:03d}" if micros % 1000 == 0 else f".{micros:06d}"
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}{digits}Z"

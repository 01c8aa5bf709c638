# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a database holds, small enough to be kept beside its backup: rows and a digest of each table, sequences, Flyway.

The digest does not depend on the order of rows. The server computes it from the text of each row, under settings that
are fixed here, so that source and restored copy are compared alike. Partitions are tables of their own.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from .clock import Deadline
from .postgres import MOST_ROWS, Session

Depth = Literal["full", "counts"]
DEPTHS: tuple[Depth, ...] = ("full", "counts")
MOST_TABLES = MOST_ROWS - 1
MOST_TABLE_SECONDS = 4 * 3600.0

# What the text of a row depends on.
_SETTINGS = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "lc_monetary": "C",
    "search_path": "",
    "row_security": "off",  # a table that would show some of its rows only is an error
}
_NO_EXTENSION = """NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')"""
_FROM = f"""
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = %s AND c.relpersistence <> 't' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND {_NO_EXTENSION}"""
_NAMES = """SELECT n.nspname, c.relname,
    pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname)"""
_FLYWAY = """ AND (SELECT count(*) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
    AND a.attname IN ('installed_rank', 'version', 'type', 'script', 'checksum', 'success')) = 6"""
_ORDER = " ORDER BY 1, 2"

# What is asked of one relation; its name follows, quoted by the server.
_COUNT = "SELECT /* sre.runbooks */ count(*) FROM ONLY "
_DIGEST = (
    "SELECT /* sre.runbooks */ count(*),"
    " coalesce(sum(pg_catalog.hashtextextended((whole_row.*)::text, 0)), 0)::text FROM ONLY "
)
_STANDS = "SELECT last_value, is_called FROM "
_HISTORY = "SELECT installed_rank, version, type, script, checksum, success FROM ONLY "


@dataclass(frozen=True)
class Table:
    """One table: its rows, and the digest of their values (None when only rows were counted)."""

    schema: str
    table: str
    rows: int
    digest: str | None


@dataclass(frozen=True)
class Sequence:
    """Sequences are outside of transactions: a dump may hold a later value than the fingerprint, never an earlier."""

    schema: str
    sequence: str
    last_value: int
    is_called: bool


@dataclass(frozen=True)
class FlywayTable:
    """A history of migrations: its highest rank, and a digest of ranks, versions, checksums and successes."""

    schema: str
    table: str
    rank: int | None
    checksum_digest: str


@dataclass(frozen=True)
class Fingerprint:
    """The content of one database. ``left_out`` counts the tables beyond MOST_TABLES, which were not looked at."""

    tables: list[Table] = field(default_factory=list)
    sequences: list[Sequence] = field(default_factory=list)
    flyway: list[FlywayTable] = field(default_factory=list)
    large_objects: int = 0
    left_out: int = 0

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Fingerprint:
        """From the dict of as_dict, further keys allowed. Raises KeyError and TypeError for another shape."""
        return cls(
            tables=[Table(**item) for item in data["tables"]],
            sequences=[Sequence(**item) for item in data["sequences"]],
            flyway=[FlywayTable(**item) for item in data["flyway"]],
            large_objects=int(data.get("large_objects", 0)),
            left_out=int(data.get("left_out", 0)),
        )


def fingerprint(session: Session, deadline: Deadline, depth: Depth = "full") -> Fingerprint:
    """The content of the session's database as of one moment; in a transaction of its own, which writes nothing.

    Raises PostgresError (a table that may not be read, a table that takes longer than the deadline allows).
    """
    with snapshot(session):
        return take(session, deadline, depth)


@contextlib.contextmanager
def snapshot(session: Session) -> Iterator[str]:
    """A transaction that sees one moment and cannot write; gives the name of its snapshot, for ``pg_dump --snapshot``.

    The name is good for as long as the context is open.
    """
    session.rows("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    try:
        yield str(session.value("SELECT pg_catalog.pg_export_snapshot()"))
    finally:
        with contextlib.suppress(Exception):
            session.rows("ROLLBACK")


def take(session: Session, deadline: Deadline, depth: Depth = "full") -> Fingerprint:
    """The same as fingerprint, within the transaction that the caller has opened with snapshot."""
    for name, value in {**_SETTINGS, "idle_in_transaction_session_timeout": "0"}.items():
        session.rows("SELECT pg_catalog.set_config(%s, %s, true)", [name, value])
    _bound(session, deadline, "listing the tables")
    named = session.rows(_NAMES + _FROM + _ORDER, ["r"])
    tables = []
    for schema, name, quoted in named[:MOST_TABLES]:
        _bound(session, deadline, f"the fingerprint of {quoted}")
        tables.append(_table(session, schema, name, quoted, depth))
    _bound(session, deadline, "the fingerprint of the sequences")
    sequences = [
        Sequence(schema, name, *session.rows(_STANDS + quoted)[0])
        for schema, name, quoted in session.rows(_NAMES + _FROM + _ORDER, ["S"])
    ]
    flyway = [
        _flyway(session, schema, name, quoted)
        for schema, name, quoted in session.rows(_NAMES + _FROM + _FLYWAY + _ORDER, ["r"])
    ]
    large_objects = int(session.value("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata"))
    return Fingerprint(tables, sequences, flyway, large_objects, _left_out(session, named))


def differences(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """In what ``found`` differs from ``expected``, one line each; empty when it holds the same.

    Digests are compared where both have one. A sequence may stand higher than expected, because it does not belong to
    the moment of the snapshot; a lower one would give numbers out twice.
    """
    told: list[str] = []
    wanted = {(table.schema, table.table): table for table in expected.tables}
    there = {(table.schema, table.table): table for table in found.tables}
    for key in sorted(wanted.keys() | there.keys()):
        told += _differs(".".join(key), wanted.get(key), there.get(key))
    numbers = {(item.schema, item.sequence): item for item in found.sequences}
    for item in expected.sequences:
        now = numbers.get((item.schema, item.sequence))
        if now is None:
            told.append(f"sequence {item.schema}.{item.sequence} is missing")
        elif (now.last_value, now.is_called) < (item.last_value, item.is_called):
            told.append(f"sequence {item.schema}.{item.sequence} stands at {now.last_value}, not at {item.last_value}")
    histories = {(item.schema, item.table): item for item in found.flyway}
    for history in expected.flyway:
        current = histories.get((history.schema, history.table))
        if current is not None and current != history:
            told.append(f"Flyway's history {history.schema}.{history.table} differs")
    if expected.large_objects != found.large_objects:
        told.append(f"{found.large_objects} large objects, not {expected.large_objects}")
    return told


def _differs(name: str, wanted: Table | None, there: Table | None) -> list[str]:
    if wanted is None:
        return [f"table {name} was not expected"]
    if there is None:
        return [f"table {name} is missing ({wanted.rows} rows expected)"]
    if wanted.rows != there.rows:
        return [f"table {name} has {there.rows} rows, not {wanted.rows}"]
    if wanted.digest and there.digest and wanted.digest != there.digest:
        return [f"table {name} has other values in its {wanted.rows} rows"]
    return []


def _table(session: Session, schema: str, name: str, quoted: str, depth: Depth) -> Table:
    if depth == "counts":
        return Table(schema, name, int(session.value(_COUNT + quoted)), None)
    ((rows, digest),) = session.rows(f"{_DIGEST}{quoted} AS whole_row")
    return Table(schema, name, int(rows), str(digest))


def _flyway(session: Session, schema: str, name: str, quoted: str) -> FlywayTable:
    rows = session.rows(f"{_HISTORY}{quoted} ORDER BY installed_rank")
    digest = hashlib.sha256(repr(rows).encode()).hexdigest()
    return FlywayTable(schema, name, rows[-1][0] if rows else None, digest)


def _left_out(session: Session, named: list[tuple[Any, ...]]) -> int:
    if len(named) <= MOST_TABLES:
        return 0
    return int(session.value("SELECT count(*)" + _FROM, ["r"])) - MOST_TABLES


def _bound(session: Session, deadline: Deadline, what: str) -> None:
    """The statements of this transaction that follow end with the deadline."""
    session.limit(deadline.within(MOST_TABLE_SECONDS, what), transaction=True)

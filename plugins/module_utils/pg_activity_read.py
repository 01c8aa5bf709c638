# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one database and its server say of their load, each part by itself: one that may not be read spoils no other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from . import pg_blockers, pg_prepared, pg_sessions
from .clock import Clock
from .pg_blockers import Wait
from .pg_prepared import Prepared
from .pg_sessions import Backend
from .pg_sql_text import READ
from .postgres import OWN, PostgresError, Session
from .redact import observed

SLOWEST = 20
# Statements that take as long as there is much to do: dumps, maintenance, changes of the schema; after blanks and comments
UTILITY = (
    r"^([[:space:]]|--[^\n]*\n|/[*]([^*]|[*]+[^*/])*[*]+/)*(alter|analy[sz]e|checkpoint|close|cluster|comment|copy|create"
    r"|declare|discard|drop|explain|fetch|grant|import|lock|move|reassign|refresh|reindex|reset|revoke|security|set|show"
    r"|truncate|vacuum)($|[^[:alnum:]_])"
)
T = TypeVar("T")


@dataclass(frozen=True)
class Limit:
    """A number of connections that may not be exceeded, and how many there are."""

    what: str
    used: int
    most: int

    @property
    def percent(self) -> float:
        return round(100.0 * self.used / self.most, 1) if self.most > 0 else 100.0 if self.used else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "percent": self.percent}


@dataclass(frozen=True)
class Standby:
    """A receiver of this server's WAL. ``lag_seconds`` is None where it reports no position."""

    name: str
    client_addr: str
    state: str | None
    sync_state: str | None
    lag_bytes: int | None
    lag_seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Replication:
    """A primary's standbys, or how far a standby is behind. ``receiver``: its state, empty where there is none."""

    in_recovery: bool
    standbys: tuple[Standby, ...] = ()
    lag_seconds: float | None = None
    receiver: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "in_recovery": self.in_recovery,
            "receiver": self.receiver,
            "lag_seconds": self.lag_seconds,
            "standbys": [one.as_dict() for one in self.standbys],
        }


@dataclass(frozen=True)
class Holder:
    """Who holds back vacuum: a session (its pid), a prepared transaction or a slot (their names); age in transactions."""

    kind: str
    name: str
    age: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Statement:
    """A row of pg_stat_statements; times in milliseconds."""

    queryid: str
    usename: str
    calls: int
    mean_ms: float
    max_ms: float
    total_ms: float
    query: str


@dataclass
class Observed:
    """One database. A part is None when it was not asked for, and the error where it could not be read."""

    name: str
    datname: str
    user: str
    server_version: str
    answer_ms: int
    backends: list[Backend]
    limits: list[Limit] | PostgresError | None = None
    waits: list[Wait] | PostgresError | None = None
    prepared: list[Prepared] | PostgresError | None = None
    replication: Replication | PostgresError | None = None
    holders: list[Holder] | PostgresError | None = None
    statements: list[Statement] | PostgresError | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def own(self) -> list[Backend]:
        """The clients' sessions of this database, and the hidden ones of it."""
        return pg_sessions.of_database(self.backends, self.datname)

    @property
    def hidden(self) -> int:
        return sum(one.hidden for one in self.own)

    @property
    def silent(self) -> int:
        """Sessions that do not tell their state."""
        return sum(one.state == pg_sessions.DISABLED for one in self.own)


def look(session: Session, name: str, parts: frozenset[str], texts: bool, min_calls: int, clock: Clock) -> Observed:
    """Ask the database. PostgresError when the connection is lost, or its sessions cannot be listed."""
    begun = clock.monotonic()
    session.value("SELECT 1")
    answer_ms = round((clock.monotonic() - begun) * 1000)
    backends, notes = _backends(session, texts)
    seen = Observed(name, session.database, session.user, session.server_version, answer_ms, backends, notes=notes)
    if "saturation" in parts:
        seen.limits = _part(lambda: _limits(session, seen))
    if "blocked" in parts:
        seen.waits = _part(lambda: pg_blockers.read(session))
    if "prepared" in parts:
        seen.prepared = _part(lambda: pg_prepared.read(session))
    if "replication" in parts:
        seen.replication = _part(lambda: _replication(session))
    if "xmin" in parts:
        seen.holders = _part(lambda: _holders(session, seen))
    if "slow_queries" in parts:
        seen.statements = _part(lambda: _statements(session, seen, min_calls))
    return seen


def _backends(session: Session, texts: bool) -> tuple[list[Backend], list[str]]:
    """The sessions; without their statements, and with a note, where these are no text in the database's encoding."""
    try:
        return pg_sessions.read(session, texts), []
    except PostgresError as error:
        if not texts or error.kind != "statement":
            raise
        return pg_sessions.read(session), [f"The statements of the sessions cannot be shown: {error.message}"]


def _part(read: Callable[[], T]) -> T | PostgresError:
    try:
        return read()
    except PostgresError as error:
        if error.kind == "lost":
            raise
        return error


def _limits(session: Session, seen: Observed) -> list[Limit]:
    """Of the server, the database and the roles that have one. Hidden sessions count; walsenders have slots of their own.
    A limit of 0 shuts a role or a database on purpose, and none holds for superusers: neither can be used up."""
    most, reserved, database_limit = session.rows(
        """
        SELECT current_setting('max_connections')::int,
               current_setting('superuser_reserved_connections')::int
               + coalesce(current_setting('reserved_connections', true), '0')::int,
               (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = current_database())
        """
    )[0]
    roles = session.rows(
        "SELECT rolname, rolconnlimit FROM pg_catalog.pg_roles WHERE rolconnlimit > 0 AND rolcanlogin AND NOT rolsuper"
    )
    clients = [one for one in seen.backends if one.client or (one.hidden and one.usename)]
    by_user = Counter(one.usename for one in clients) + Counter([session.user])
    here = 1 + sum(one.datname == seen.datname for one in clients)
    limits = [Limit(f"max_connections, {reserved} of {most} reserved", len(clients) + 1, most - reserved)]
    if database_limit > 0:
        limits.append(Limit(f"limit of database {observed(seen.datname, 100)}", here, database_limit))
    limits += [Limit(f"limit of role {observed(name, 100)}", by_user[name], limit) for name, limit in roles]
    return sorted(limits, key=lambda limit: -limit.percent)


def _replication(session: Session) -> Replication:
    if session.value("SELECT pg_is_in_recovery()"):
        lag = session.value(
            "SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
            " ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 END"
        )
        rows = session.rows("SELECT status FROM pg_catalog.pg_stat_wal_receiver WHERE pid IS NOT NULL")
        return Replication(True, (), pg_sessions.seconds(lag), (rows[0][0] if rows else ""))
    rows = session.rows(
        """
        SELECT application_name, coalesce(host(client_addr), 'local'), state, sync_state,
               pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::int8,
               extract(epoch FROM replay_lag)::float8, extract(epoch FROM clock_timestamp() - reply_time)::float8
          FROM pg_catalog.pg_stat_replication WHERE state IS DISTINCT FROM 'backup' ORDER BY application_name, pid
        """
    )
    return Replication(False, tuple(_standby(*row) for row in rows))


def _standby(
    name: str | None,
    address: str,
    state: str | None,
    sync_state: str | None,
    behind: int | None,
    lag: float | None,
    silent: float | None,
) -> Standby:
    """Behind, it is late by what it reported, or by as long as it has said nothing."""
    seconds = None if behind is None else 0.0 if behind <= 0 else max(lag or 0.0, silent or 0.0)
    return Standby(observed(name or "", 100), address, state, sync_state, behind, pg_sessions.seconds(seconds))


def _holders(session: Session, seen: Observed) -> list[Holder]:
    """The oldest first. Sessions of other databases hold back nothing here; walsenders have no database."""
    found = [
        Holder("session", str(one.pid), one.xmin_age)
        for one in seen.backends
        if one.xmin_age is not None and one.datname in (seen.datname, "")
    ]
    rows = session.rows(
        """
        SELECT 'prepared transaction', gid, age(transaction) FROM pg_catalog.pg_prepared_xacts
         WHERE database = current_database()
         UNION ALL
        SELECT 'replication slot', slot_name::text, greatest(age(xmin), age(catalog_xmin))
          FROM pg_catalog.pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
        """
    )
    found += [Holder(kind, observed(name, 200), age) for kind, name, age in rows]
    return sorted(found, key=lambda holder: -holder.age)


def _statements(session: Session, seen: Observed, min_calls: int) -> list[Statement] | None:
    """The slowest by their mean, without those that are slow by their nature; None, with a note, where the extension is
    not installed in this database."""
    schema = session.value(
        "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n"
        " ON n.oid = e.extnamespace WHERE e.extname = 'pg_stat_statements'"
    )
    if schema is None:
        seen.notes.append(
            "pg_stat_statements is not installed in this database: only statements that run now are seen. Preload it "
            "(shared_preload_libraries) and CREATE EXTENSION pg_stat_statements."
        )
        return None
    rows: Sequence[tuple[Any, ...]] = session.rows(
        f"""
        SELECT s.queryid::text, coalesce(r.rolname, ''), s.calls, s.mean_exec_time, s.max_exec_time, s.total_exec_time,
               left(s.query, %(read)s)
          FROM {schema}.pg_stat_statements s LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.userid
         WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
           AND s.calls >= %(calls)s AND s.query !~* %(utility)s AND strpos(s.query, %(own)s) = 0
         ORDER BY s.mean_exec_time DESC LIMIT %(most)s
        """,  # noqa: S608 - the schema is quoted by the server itself
        {"calls": min_calls, "most": SLOWEST, "read": READ, "utility": UTILITY, "own": OWN},
    )
    return [
        Statement(queryid or "", observed(user, 100), calls, mean, most, total, query or "")
        for queryid, user, calls, mean, most, total, query in rows
    ]

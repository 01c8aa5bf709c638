# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore does to the databases of a server, one statement each, through a session in the maintenance database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import backup_marks
from .backup_marks import Mark
from .backup_plan import system_identifier
from .backup_set import Saved
from .clock import Clock, Deadline
from .errors import RefusedError
from .postgres import PostgresError, Session, major_of

STATEMENT_SECONDS = 600.0
END_SECONDS = 30.0
MEND_SECONDS = 120.0
_LISTS = ("local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces")
_PROVIDERS = {"c": "libc", "i": "icu", "b": "builtin"}

_STATE = """SELECT d.oid::bigint, d.datname, pg_catalog.pg_get_userbyid(d.datdba), d.datallowconn,
    pg_catalog.shobj_description(d.oid, 'pg_database'), d.datistemplate,
    pg_catalog.pg_has_role(d.datdba, 'USAGE') FROM pg_catalog.pg_database d"""
_SETTINGS = """SELECT pg_catalog.pg_get_userbyid(nullif(s.setrole, 0)), one.entry FROM pg_catalog.pg_db_role_setting s,
    unnest(s.setconfig) AS one(entry) WHERE s.setdatabase = %s ORDER BY s.setrole, 2"""
_RIGHTS = """SELECT CASE a.grantee WHEN 0 THEN NULL ELSE pg_catalog.pg_get_userbyid(a.grantee) END, a.privilege_type,
    a.is_grantable FROM pg_catalog.pg_database d, pg_catalog.aclexplode(d.datacl) a
    WHERE d.oid = %s AND a.grantee <> d.datdba ORDER BY 1 NULLS FIRST, 2"""
# Of sessions that we may not see, the server hides the kind. One with a user is no worker of autovacuum.
_OTHERS = """FROM pg_catalog.pg_stat_activity WHERE datname = %s AND pid <> pg_catalog.pg_backend_pid() AND pid <> ALL(%s)
    AND CASE WHEN backend_type IS NULL THEN usesysid IS NOT NULL
        ELSE backend_type NOT IN ('autovacuum worker', 'parallel worker') END"""  # these give way by themselves


@dataclass(frozen=True)
class State:
    """A database as it is now."""

    oid: int
    name: str
    owner: str
    open: bool
    comment: str | None
    template: bool
    ours: bool

    @property
    def mark(self) -> Mark | None:
        return backup_marks.standing(self.comment)


@dataclass(frozen=True)
class Statement:
    """One statement to the maintenance database, and the values that are bound in it."""

    text: str
    values: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        """As a person would type it."""
        return self.text % tuple(map(_literal, self.values)) if self.values else self.text


@dataclass
class Server:
    """One server, through a session that is in no database that is restored."""

    session: Session
    deadline: Deadline
    clock: Clock

    def prepare(self) -> None:
        """The session lives as long as the restore, and CREATE DATABASE may take longer than a question."""
        stay(self.session)

    @contextlib.contextmanager
    def mending(self) -> Iterator[None]:
        """What takes back or cleans up has time of its own, however much of the whole was used up before."""
        kept, self.deadline = self.deadline, Deadline(MEND_SECONDS, self.clock)
        before = self.session.give(self.deadline)
        try:
            yield
        finally:
            self.deadline = kept
            self.session.give(before)

    @property
    def address(self) -> str:
        return f"{self.session.host or 'the local socket'}:{self.session.port}"

    def system_identifier(self) -> str | None:
        return system_identifier(self.session)

    def state(self, name: str) -> State | None:
        rows = self.session.rows(f"{_STATE} WHERE d.datname = %s", [name])
        return State(*rows[0]) if rows else None

    def marked(self) -> list[State]:
        """All databases with a comment of ours."""
        found = [State(*row) for row in self.session.rows(f"{_STATE} ORDER BY d.datname")]
        return [state for state in found if state.mark]

    def size(self, name: str) -> int | None:
        """Bytes; None when we may not ask."""
        allowed = self.session.value(
            "SELECT pg_catalog.has_database_privilege(%s, 'CONNECT') OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')",
            [name],
        )
        return int(self.session.value("SELECT pg_catalog.pg_database_size(%s::name)", [name])) if allowed else None

    def sessions(self, name: str, spare: Sequence[int] = ()) -> int:
        """How many sessions of others are in a database; ``spare`` has the process ids that do not count."""
        return int(self.session.value(f"SELECT count(*) {_OTHERS}", [name, list(spare)]))

    def hidden(self, name: str) -> int:
        """How many of its sessions the server does not let us look at; such can neither be judged nor ended."""
        return int(self.session.value(f"SELECT count(*) {_OTHERS} AND backend_type IS NULL", [name, []]))

    def missing_roles(self, roles: list[str]) -> list[str]:
        """Those of the roles that are not there, or that we cannot give objects to."""
        right = "SET" if major_of(self.session.server_version) >= 16 else "MEMBER"
        there = "SELECT rolname FROM pg_catalog.pg_roles WHERE rolname = ANY(%s) AND pg_catalog.pg_has_role(oid, %s)"
        found = {row[0] for row in self.session.rows(there, [roles, right])}
        return [role for role in roles if role not in found]

    def may_create(self) -> bool:
        mine = "SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
        return bool(self.session.value(mine))

    def free_bytes(self) -> int | None:
        """Room on the server's disk, where the server is on this machine and tells its folder; None otherwise."""
        if (
            self.session.host
            and not self.session.host.startswith("/")
            and self.session.host not in ("127.0.0.1", "::1", "localhost")
        ):
            return None
        readable = "SELECT pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')"
        if not self.session.value(readable):
            return None
        folder = str(self.session.value("SHOW data_directory"))
        try:
            state = os.statvfs(folder)
        except OSError:
            return None
        return state.f_bavail * state.f_frsize

    def lock(self, name: str) -> bool:
        """Take the lock of a database's name, which ends with this session; False when another session has it."""
        return bool(
            self.session.value(
                "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%s, 0))", [_key(name)]
            )
        )

    def unlock(self, name: str) -> None:
        self.session.rows("SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended(%s, 0))", [_key(name)])

    def in_work(self, name: str) -> bool:
        """Whether a session holds the lock of a name; takes nothing, so that it may be asked in check mode."""
        held = """SELECT EXISTS (SELECT FROM pg_catalog.pg_locks l WHERE l.locktype = 'advisory' AND l.objsubid = 1
            AND l.pid <> pg_catalog.pg_backend_pid() AND (l.classid::bigint << 32) | l.objid::bigint =
            pg_catalog.hashtextextended(%s, 0))"""
        return bool(self.session.value(held, [_key(name)]))

    def create(self, name: str, saved: Saved, mark: Mark) -> None:
        """A new, empty database that is alike, with our comment."""
        locale = saved.locale
        words = [f"CREATE DATABASE {ident(name)} TEMPLATE template0 ENCODING %s LC_COLLATE %s LC_CTYPE %s"]
        values: list[str | None] = [saved.encoding, locale.get("collate"), locale.get("ctype")]
        provider = _PROVIDERS.get(locale.get("provider") or "c", "libc")
        if provider != "libc":
            words.append(f"LOCALE_PROVIDER {provider} {'ICU' if provider == 'icu' else 'BUILTIN'}_LOCALE %s")
            values.append(locale.get("locale"))
        self.do(Statement(" ".join(words), tuple(values)))
        self.do(comment(name, mark.text()))

    def drop(self, name: str) -> None:
        """Drop a database that bears a comment of ours. Raises RefusedError for any other."""
        state = self.state(name)
        if state is None:
            return
        if state.mark is None:
            raise RefusedError(f"database {name} has no comment of ours: it is not dropped")
        self.do(Statement(f"DROP DATABASE {ident(name)} WITH (FORCE)"))

    def end_sessions(self, name: str, spare: Sequence[int] = ()) -> int:
        """End every session of others in this one database and wait until they are gone. ``spare`` has the process ids
        that stay. Raises RefusedError when some do not end, or may not be ended by us."""
        ended = 0
        until = self.clock.monotonic() + self.deadline.within(END_SECONDS, f"ending the sessions of {name}")
        while True:
            try:
                rows = self.session.rows(
                    f"SELECT pg_catalog.pg_terminate_backend(pid) {_OTHERS}", [name, [int(pid) for pid in spare]]
                )
            except PostgresError as error:
                if error.kind != "permission":
                    raise
                raise RefusedError(
                    f"{self.session.user} may not end the sessions of database {name}: {may_end(self.session.user)}; "
                    "sessions of superusers are ended by superusers only"
                ) from error
            if not rows:
                return ended
            ended = max(ended, len(rows))
            if self.clock.monotonic() >= until:
                raise RefusedError(f"{len(rows)} sessions of database {name} did not end within {END_SECONDS:g} s")
            self.clock.sleep(0.1)

    def copy_settings(self, old: State, new: str) -> None:
        """Owner, settings and rights of the database itself, which are no part of a dump."""
        for role, entry in self.session.rows(_SETTINGS, [old.oid]):
            name, _equals, value = str(entry).partition("=")
            target = f"ROLE {ident(role)} IN DATABASE {ident(new)}" if role else f"DATABASE {ident(new)}"
            if name in _LISTS:
                self.do(Statement(f"ALTER {target} SET {ident(name)} TO {value}"))
            else:
                self.do(Statement(f"ALTER {target} SET {_setting(name)} TO %s", (value,)))
        rights = self.session.rows(_RIGHTS, [old.oid])
        explicit = self.session.value("SELECT datacl IS NOT NULL FROM pg_catalog.pg_database WHERE oid = %s", [old.oid])
        if explicit:
            self.do(Statement(f"REVOKE ALL ON DATABASE {ident(new)} FROM PUBLIC"))
        for grantee, privilege, grantable in rights:
            to = ident(grantee) if grantee else "PUBLIC"
            tail = " WITH GRANT OPTION" if grantable else ""
            self.do(Statement(f"GRANT {privilege} ON DATABASE {ident(new)} TO {to}{tail}"))
        limit = self.session.value("SELECT datconnlimit FROM pg_catalog.pg_database WHERE oid = %s", [old.oid])
        self.do(Statement(f"ALTER DATABASE {ident(new)} CONNECTION LIMIT {int(limit)}"))
        self.owner(new, old.owner)

    def owner(self, name: str, role: str) -> None:
        self.do(Statement(f"ALTER DATABASE {ident(name)} OWNER TO {ident(role)}"))

    def do(self, statement: Statement) -> None:
        """Run one statement, as long as STATEMENT_SECONDS and the time that is left allow."""
        seconds = self.deadline.within(STATEMENT_SECONDS, statement.text.split(" ", 3)[0])
        before = self.session.limit(seconds)
        try:
            self.session.rows(statement.text, statement.values)
        finally:
            with contextlib.suppress(PostgresError):
                self.session.limit(before)


def comment(name: str, text: str | None) -> Statement:
    return Statement(f"COMMENT ON DATABASE {ident(name)} IS %s", (text,))


def rename(name: str, to: str) -> Statement:
    return Statement(f"ALTER DATABASE {ident(name)} RENAME TO {ident(to)}")


def allow(name: str, yes: bool) -> Statement:
    return Statement(f"ALTER DATABASE {ident(name)} ALLOW_CONNECTIONS {'true' if yes else 'false'}")


def may_end(user: str) -> str:
    """The statement that lets a user see and end the sessions of others."""
    return f"GRANT pg_read_all_stats, pg_signal_backend TO {ident(user)}"


def stay(session: Session) -> None:
    """Keep a session that waits from being ended by the server."""
    if major_of(session.server_version) >= 14:
        session.rows("SELECT pg_catalog.set_config('idle_session_timeout', '0', false)")


def ident(name: str) -> str:
    """A name as PostgreSQL reads it, quoted."""
    if "\0" in name or "%" in name:
        raise RefusedError(f"{name!r} holds a character that is not supported in a name")
    quoted = name.replace('"', '""')
    return f'"{quoted}"'


def _setting(name: str) -> str:
    """The name of a setting; one of an extension has a dot."""
    return ".".join(ident(part) for part in name.split("."))


def _literal(text: str | None) -> str:
    quoted = (text or "").replace("'", "''")
    return "NULL" if text is None else f"'{quoted}'"


def _key(name: str) -> str:
    return f"sre.runbooks restore {name}"


def where(parameters: Mapping[str, str], maintenance: str) -> dict[str, str]:
    """The same server, in the maintenance database."""
    return {**parameters, "dbname": maintenance}

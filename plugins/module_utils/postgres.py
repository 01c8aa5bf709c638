# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to PostgreSQL: options, time limits, a session that cannot write, and errors in one line each."""

from __future__ import annotations

import contextlib
import math
import os
import re
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible.module_utils.basic import env_fallback

from . import jdbc, libraries
from .argspec import ArgumentSpec
from .clock import Deadline
from .errors import InputError, RunbookError
from .redact import observed

try:
    import psycopg2
    import psycopg2.extensions
except ImportError as _error:
    libraries.record("psycopg2-binary", _error)

LIBRARY = "psycopg2-binary"
APPLICATION_NAME = "sre.runbooks"
OWN = "/* sre.runbooks */"  # within those of our statements that are slow by their nature
SHORTEST_CONNECT_SECONDS = 2  # libpq takes no less
GRACE_SECONDS = 5.0  # for the answer to a statement that the server should have broken off
KEEPALIVES = {"keepalives_idle": "60", "keepalives_interval": "10", "keepalives_count": "6"}
MOST_ROWS = 10_000

# Who and where
TARGET = ArgumentSpec(
    options={
        "login_host": {"type": "str", "fallback": (env_fallback, ["PGHOST"])},
        "login_port": {"type": "int", "fallback": (env_fallback, ["PGPORT"])},
        "login_db": {"type": "str", "fallback": (env_fallback, ["PGDATABASE"])},
        "login_user": {"type": "str", "fallback": (env_fallback, ["PGUSER"])},
        "login_password": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PGPASSWORD"])},
    },
)
# How
SESSION = ArgumentSpec(
    options={
        "sslmode": {"type": "str", "choices": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]},
        "ca_path": {"type": "path"},
        "connect_timeout_seconds": {"type": "float", "default": 5.0},
        "statement_timeout_ms": {"type": "int", "default": 10_000},
    },
)
SPEC = TARGET.merge(SESSION)

# Kinds of failure, by what libpq or the server says; the first that fits. Each with what to do next. Of several hosts that
# were tried, what a server said comes before that another was not reached.
_CONNECT_ERRORS: tuple[tuple[str, str, str], ...] = (
    (r"password authentication failed", "password", "Check the user and the password."),
    (r"no password supplied", "password", "The server asks for a password: give login_password."),
    (r'role ".*" does not exist', "password", "Check the user."),
    (
        r"(peer|ident|certificate|gssapi|radius|ldap|pam) authentication failed",
        "password",
        "See pg_hba.conf of the server.",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "access",
        "The server's pg_hba.conf has no line that lets this in.",
    ),
    (r"permission denied for database", "permission", "Grant it: GRANT CONNECT ON DATABASE ... TO the user."),
    (r'database ".*" does not exist', "database", "Check the database's name, or create it."),
    (r"no such database", "database", "A pooler says so: it has no such name; give the address of the server itself."),
    (r"is not currently accepting connections", "database", "The database is closed to connections (datallowconn)."),
    (r"too many connections for", "too_many", "See who holds them in pg_stat_activity, or raise that limit."),
    (
        r"too many connections|remaining connection slots|too many clients",
        "too_many",
        "max_connections is reached. A superuser still gets in; from PostgreSQL 16 on, so does a role with "
        "pg_use_reserved_connections where reserved_connections is set. See who holds them in pg_stat_activity.",
    ),
    (
        r"no more connections allowed|query_wait_timeout",
        "too_many",
        "A pooler says so, and not the server: see SHOW POOLS on its console, and give the address of the server itself.",
    ),
    (
        r"server login has been failing|server_login_retry",
        "protocol",
        "A pooler says so, which does not get to its server: see its log, and give the address of the server itself.",
    ),
    (
        r"hot standby mode is disabled",
        "starting",
        "This is a standby that lets nobody in (hot_standby is off): give the address of the primary.",
    ),
    (
        r"starting up|shutting down|recovery mode|not yet accepting|not accepting connections",
        "starting",
        "Try again in a moment.",
    ),
    (
        r"server closed the connection|expected authentication request|invalid response|received invalid"
        r"|reset by peer|broken pipe|ssl syscall error|eof detected",
        "protocol",
        "What answers there may be no PostgreSQL, or a proxy without a server; else see the server's log.",
    ),
    (r"does not support ssl|certificate|ssl error|sslmode|tls", "tls", "Check sslmode and ca_path against the server."),
    (r"could not translate host name|name or service not known", "unknown_host", "Check the host name."),
    (
        r"timeout expired|timed out|no route to host|network is unreachable",
        "timeout",
        "Check the network and the address.",
    ),
    (r"connection refused|no such file or directory", "refused", "Is the server running, and is this its address?"),
)
_UNKNOWN = "See the server's log, which has the reason; lc_messages of the server chooses the language of these words."


class PostgresError(RunbookError):
    """A connection or a statement failed. ``kind`` says why; the message is one line without secrets."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message, postgres_error=kind)
        self.kind = kind

    @property
    def observed_fault(self) -> bool:
        """Whether this shows a fault of the server, rather than that we were not let in."""
        return self.kind in (
            "refused",
            "unknown_host",
            "timeout",
            "database",
            "too_many",
            "starting",
            "protocol",
            "lost",
        )


class _Watchdog:
    """Shuts a connection whose server is silent: its time limits are the server's own, and a stuck one keeps none."""

    def __init__(self, fileno: int) -> None:
        self._fileno = fileno
        self.bitten = False

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._bite)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()  # the number of the socket may be another's as soon as the connection is closed

    def _bite(self) -> None:
        self.bitten = True
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._fileno)) as held:
            held.shutdown(socket.SHUT_RDWR)


def major_of(server_version: str) -> int:
    """18 of '18.6 (Debian 18.6-1)'; 0 when it is no version."""
    match = re.match(r"\d+", server_version)
    return int(match[0]) if match else 0


class Session:
    """An open connection, outside of transactions: every statement is bounded, and its failure a PostgresError."""

    def __init__(self, connection: Any, where: str, deadline: Deadline, statement_ms: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._session_ms = self._usual_ms = statement_ms
        self._transaction_ms: int | None = None
        self._watchdog = _Watchdog(connection.fileno())
        self.where = where
        self.user: str = connection.info.user
        self.database: str = connection.info.dbname
        self.host: str = connection.info.host
        self.port: int = connection.info.port
        self.server_version: str = connection.info.parameter_status("server_version") or ""

    def rows(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement, at most MOST_ROWS. Values are bound, never written into it."""
        with self.answering(), self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchmany(MOST_ROWS)) if cursor.description else []

    def value(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first column of the first row; None when there is none."""
        rows = self.rows(statement, parameters)
        return rows[0][0] if rows else None

    def limit(self, seconds: float, transaction: bool = False) -> float:
        """Let each statement from now on take so many seconds, whatever is left of the whole; with ``transaction``, those
        until its end. Returns what it was before."""
        before, milliseconds = self._milliseconds / 1000, math.ceil(seconds * 1000) or 1
        self.rows("SELECT pg_catalog.set_config('statement_timeout', %s, %s)", [str(milliseconds), transaction])
        if transaction:
            self._transaction_ms = milliseconds
        else:
            self._session_ms = milliseconds
        return before

    def give(self, deadline: Deadline) -> Deadline:
        """Bound all that follows by another deadline. Returns the one before."""
        before, self._deadline = self._deadline, deadline
        return before

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Bounds what is said to the server meanwhile, and tells its failure as a PostgresError."""
        milliseconds = self._milliseconds
        own = left = milliseconds / 1000
        if milliseconds == self._usual_ms:  # else the caller has said how long
            left = self._deadline.remaining() or own  # when none is left, what is still to be done is cleaning up
        try:
            with self._watchdog.within(min(own, left) + GRACE_SECONDS):
                yield
        except (psycopg2.Error, UnicodeError) as error:
            if self._watchdog.bitten:
                raise self._silent(own, left) from error
            raise _statement_error(self, error) from error

    @property
    def _milliseconds(self) -> int:
        if self._connection.info.transaction_status == psycopg2.extensions.TRANSACTION_STATUS_IDLE:
            self._transaction_ms = None
        return self._transaction_ms or self._session_ms

    def _silent(self, own: float, left: float) -> PostgresError:
        where = f"PostgreSQL at {self.where}"
        if left < own:
            return PostgresError("deadline", f"{where}: no answer in the time that was left. Raise 'timeout'.")
        return PostgresError(
            "timeout",
            f"{where} let us in, and then gave no answer within {own + GRACE_SECONDS:g} s. It hangs, or something on the "
            "way does: look at its host.",
        )


def parameters_of_url(url: str) -> tuple[dict[str, str], str | None]:
    """libpq's parameters and the search path of a database URL, JDBC's or libpq's. Raises InputError."""
    if jdbc.is_jdbc(url):
        parsed = jdbc.parse(url)
        return parsed.libpq(), parsed.schema
    libraries.require([LIBRARY])
    try:
        return dict(psycopg2.extensions.parse_dsn(url)), None
    except (psycopg2.ProgrammingError, UnicodeError) as error:
        raise InputError(
            f"database URL {jdbc.shown(url)!r} is neither JDBC's (jdbc:postgresql://host:port/database) nor libpq's "
            "(postgresql://host:port/database)"
        ) from error


def parameters_of_login(params: Mapping[str, Any]) -> dict[str, str]:
    """libpq's parameters of the options in TARGET; only what is given, libpq has defaults for the rest."""
    names = {
        "login_host": "host",
        "login_port": "port",
        "login_db": "dbname",
        "login_user": "user",
        "login_password": "password",
    }
    return {libpq: str(params[option]) for option, libpq in names.items() if params.get(option) not in (None, "")}


def tls(parameters: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str]:
    """libpq's parameters of the options sslmode and ca_path. Authorities that are trusted are there to be asked: with
    ca_path, and where nothing else says how, the server's certificate and name are checked."""
    named = {name: params[option] for name, option in (("sslmode", "sslmode"), ("sslrootcert", "ca_path"))}
    if params["ca_path"] and not (params["sslmode"] or parameters.get("sslmode") or os.environ.get("PGSSLMODE")):
        named["sslmode"] = "verify-full"
    return {name: value for name, value in named.items() if value}


@contextlib.contextmanager
def session(
    parameters: Mapping[str, str],
    params: Mapping[str, Any],
    deadline: Deadline,
    schema: str | None = None,
    readonly: bool = True,
) -> Iterator[Session]:
    """A session, closed at the end; read-only unless said otherwise. ``params`` holds the options in SESSION.

    Raises PostgresError when it cannot be opened, DeadlineError when there is no time left.
    """
    libraries.require([LIBRARY])
    _limits(params)
    where = _where(parameters)
    seconds = deadline.within(params["connect_timeout_seconds"], f"connecting to PostgreSQL at {where}")
    statement_ms = params["statement_timeout_ms"]
    settings: dict[str, Any] = {**KEEPALIVES, **parameters, **tls(parameters, params)}
    settings |= {"application_name": APPLICATION_NAME, "client_encoding": "UTF8"}
    settings["connect_timeout"] = str(max(SHORTEST_CONNECT_SECONDS, math.ceil(seconds)))
    settings["tcp_user_timeout"] = str(statement_ms + 5000)  # a server that vanishes must not hold us
    try:
        connection = psycopg2.connect(**settings)
    except (psycopg2.Error, UnicodeError) as error:
        raise _connect_error(where, str(error)) from error
    with contextlib.closing(connection):
        opened = Session(connection, where, deadline, statement_ms)
        _refuse_pooler(opened, connection)
        with opened.answering():
            connection.set_session(readonly=readonly)
        opened.limit(statement_ms / 1000)
        if schema:
            opened.rows("SELECT set_config('search_path', %s, false)", [schema])
        yield opened


def _refuse_pooler(opened: Session, connection: Any) -> None:
    """Before any SET: what one client sets on a pooler's connection, another one gets. A pooler answers with keys of its
    own, since it has no process for us."""
    connection.autocommit = True
    try:
        process = opened.value("SELECT pg_catalog.pg_backend_pid()")
    except PostgresError as error:
        if error.kind == "lost" and error.__cause__:  # a pooler looks for a server only now
            raise _connect_error(opened.where, str(error.__cause__)) from None
        raise
    if process != connection.info.backend_pid:
        raise PostgresError(
            "pooler",
            f"PostgreSQL at {opened.where} answers through a pooler (PgBouncer or the like), whose clients would get the "
            "settings of this session, and which hides theirs: give the address of the server itself.",
        )


def _limits(params: Mapping[str, Any]) -> None:
    for name, least, most in (("connect_timeout_seconds", 0.1, 120), ("statement_timeout_ms", 1, 600_000)):
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least:g} to {most:g}")


def _where(parameters: Mapping[str, str]) -> str:
    """Host, port and database for messages."""
    hosts = parameters.get("host", "").split(",")
    ports = parameters.get("port", "").split(",")
    ports += ports[-1:] * (len(hosts) - len(ports))
    names = [
        f"{host or 'the local socket'}:{port or jdbc.DEFAULT_PORT}" for host, port in zip(hosts, ports, strict=False)
    ]
    return observed(f"{','.join(names)}/{parameters.get('dbname', '')}", 200)


def _connect_error(where: str, text: str) -> PostgresError:
    said = _one_line(text)
    for pattern, kind, remedy in _CONNECT_ERRORS:
        if re.search(pattern, said, re.IGNORECASE):
            return PostgresError(kind, f"PostgreSQL at {where}: {said}. {remedy}")
    return PostgresError("other", f"PostgreSQL at {where}: {said or 'no reason given'}. {_UNKNOWN}")


def _statement_error(opened: Session, error: Any) -> PostgresError:
    where = f"PostgreSQL at {opened.where}"
    if isinstance(error, UnicodeError):
        return PostgresError("statement", f"{where}: it holds text that is not in its own encoding, and is not UTF-8")
    said = _one_line(str(error))
    code = error.pgcode or ""
    if code == "42501":
        denied = re.search(r"permission denied for (?:(table|view|sequence|schema|function|relation) )?(\S+)", said)
        kind, name = (denied[1] or "table", denied[2]) if denied else ("object", "it")
        right = {"schema": "USAGE", "function": "EXECUTE"}.get(kind, "SELECT")
        what = kind.upper() if kind in ("schema", "function", "sequence") else "TABLE"
        return PostgresError(
            "permission", f"{where}: {said}. {opened.user} lacks {right}: GRANT {right} ON {what} {name}."
        )
    if code == "57014":
        return PostgresError("statement_timeout", f"{where}: {said}. Raise statement_timeout_ms, or look at its load.")
    if code in ("42P01", "42703", "3F000"):
        return PostgresError("schema", f"{where}: {said}")
    if not code or code.startswith(("08", "57P")):
        return PostgresError("lost", f"{where}: the connection was lost: {said or 'no reason given'}")
    return PostgresError("statement", f"{where}: {said} (SQLSTATE {code})")


def _one_line(text: str) -> str:
    """The server's or libpq's words without line breaks, prefixes and the statement it quotes."""
    kept = [
        line.strip() for line in text.splitlines() if not re.match(r"\s*(LINE \d+:|\^|Is the server running)", line)
    ]
    words = re.sub(r"\b(FATAL|ERROR|DETAIL|HINT):\s+", "", " ".join(filter(None, kept)))
    words = re.sub(
        r"connection to server (at|on socket) (\"[^\"]*\")(?: \([^)]*\))?(?:, port (\d+))? failed:", r"\2:", words
    )
    return observed(words.strip().rstrip("."), 500)

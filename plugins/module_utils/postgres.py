# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One connection to PostgreSQL: options, time limits, a session that cannot write, and errors in one line each."""

from __future__ import annotations

import contextlib
import math
import re
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
SHORTEST_CONNECT_SECONDS = 2  # libpq takes no less
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

# Kinds of failure, by what libpq or the server says; the first that fits. Each with what to do next.
_CONNECT_ERRORS: tuple[tuple[str, str, str], ...] = (
    (r"connection refused|no such file or directory", "refused", "Is the server running, and is this its address?"),
    (r"could not translate host name|name or service not known", "unknown_host", "Check the host name."),
    (
        r"timeout expired|timed out|no route to host|network is unreachable",
        "timeout",
        "Check the network and the address.",
    ),
    (r"password authentication failed", "password", "Check the user and the password."),
    (r"no password supplied", "password", "The server asks for a password: give login_password."),
    (r'role ".*" does not exist', "password", "Check the user."),
    (
        r"(peer|ident|certificate|gssapi|radius|ldap|pam) authentication failed",
        "password",
        "See pg_hba.conf of the server.",
    ),
    (r'database ".*" does not exist', "database", "Check the database's name, or create it."),
    (r"is not currently accepting connections", "database", "The database is closed to connections (datallowconn)."),
    (
        r"too many connections|remaining connection slots|too many clients",
        "too_many",
        "See who holds them in pg_stat_activity; max_connections or the role's limit is reached.",
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        "access",
        "The server's pg_hba.conf has no line that lets this in.",
    ),
    (r"permission denied for database", "permission", "Grant it: GRANT CONNECT ON DATABASE ... TO the user."),
    (r"starting up|shutting down|recovery mode|not yet accepting", "starting", "Try again in a moment."),
    (r"does not support ssl|certificate|ssl error|sslmode|tls", "tls", "Check sslmode and ca_path against the server."),
    (
        r"server closed the connection|expected authentication request|invalid response|received invalid",
        "protocol",
        "What answers there may be no PostgreSQL, or a proxy without a server.",
    ),
)


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


class Session:
    """An open connection, outside of transactions: every statement is bounded, and its failure a PostgresError."""

    def __init__(self, connection: Any, where: str) -> None:
        self._connection = connection
        self.where = where
        self.user: str = connection.info.user
        self.database: str = connection.info.dbname
        self.host: str = connection.info.host
        self.port: int = connection.info.port
        self.server_version: str = connection.info.parameter_status("server_version") or ""

    def rows(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of one statement, at most MOST_ROWS. Values are bound, never written into it."""
        with _statement_errors(self), self._connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchmany(MOST_ROWS)) if cursor.description else []

    def value(self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """The first column of the first row; None when there is none."""
        rows = self.rows(statement, parameters)
        return rows[0][0] if rows else None


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
    settings: dict[str, Any] = {**parameters, "application_name": APPLICATION_NAME, "client_encoding": "UTF8"}
    settings |= {
        name: params[option] for name, option in (("sslmode", "sslmode"), ("sslrootcert", "ca_path")) if params[option]
    }
    settings["connect_timeout"] = str(max(SHORTEST_CONNECT_SECONDS, math.ceil(seconds)))
    settings["tcp_user_timeout"] = str(statement_ms + 5000)  # a server that vanishes must not hold us
    try:
        connection = psycopg2.connect(**settings)
    except (psycopg2.Error, UnicodeError) as error:
        raise _connect_error(where, str(error)) from error
    with contextlib.closing(connection):
        opened = Session(connection, where)
        with _statement_errors(opened):
            connection.set_session(readonly=readonly, autocommit=True)
        opened.rows("SELECT set_config('statement_timeout', %s, false)", [str(statement_ms)])
        if schema:
            opened.rows("SELECT set_config('search_path', %s, false)", [schema])
        yield opened


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
    return PostgresError("other", f"PostgreSQL at {where}: {said or 'no reason given'}")


@contextlib.contextmanager
def _statement_errors(opened: Session) -> Iterator[None]:
    try:
        yield
    except psycopg2.Error as error:
        raise _statement_error(opened, error) from error


def _statement_error(opened: Session, error: Any) -> PostgresError:
    said = _one_line(str(error))
    code = error.pgcode or ""
    where = f"PostgreSQL at {opened.where}"
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

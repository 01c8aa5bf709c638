# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of the lab's systems: their owners, their migrations, and the role that may look at them.

Migrations come from the repository; what playbooks and faults work with is the copy in the lab's folder.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab import ecommerce, histories, postgres
from lab.credentials import DATABASE_USERS
from lab.layout import REPOSITORY, LabError, Paths

if TYPE_CHECKING:
    import psycopg2.extensions

READER = "sre_runbooks"  # has the rights of docs/grants.sql, and no others
GRANTS = REPOSITORY / "docs" / "grants.sql"
_MIGRATIONS = Path(__file__).parent / "migrations"
_SCHEMA = Path(__file__).parent / "schema"


@dataclass(frozen=True)
class History:
    """One history table: its service, its schema, and the folder of its migrations in the lab's copy."""

    service: str
    schema: str
    folder: str

    @property
    def source(self) -> Path:
        """The folder in the repository."""
        return _SCHEMA if self.folder == "backoffice" else _MIGRATIONS / self.folder

    def copy(self, paths: Paths) -> Path:
        """The folder in the lab."""
        return paths.migrations / self.folder


@dataclass(frozen=True)
class Database:
    """A database, the role that owns it and migrates it, and its history tables."""

    name: str
    owner: str
    histories: tuple[History, ...]


_BACKOFFICE = (History("backoffice", "public", "backoffice"),)
_HAFNIUM = {
    "identity": "public",
    "screening": "screening",
    "monitoring": "monitoring",
    "case": "cases",
    "vault": "vault",
    "risk-engine": "risk",
    "signals": "signals",
}
DATABASES = {
    database.name: database
    for database in (
        Database("backoffice", "backoffice", _BACKOFFICE),
        Database("backoffice_decoy", "backoffice", _BACKOFFICE),
        Database(
            "hafnium",
            "hafnium",
            tuple(History(service, schema, f"hafnium/{service}") for service, schema in _HAFNIUM.items()),
        ),
        Database("customer_db", "customer_user", (History("customer", "public", "ecommerce/customer"),)),
        Database("order_db", "order_user", (History("order", "public", "ecommerce/order"),)),
    )
}


def ensure(paths: Paths) -> None:
    """PostgreSQL's programs where playbooks find them. MissingPostgres."""
    programs = paths.tools / "postgresql"
    if not programs.is_symlink() or programs.readlink() != postgres.wheel_bin():
        draft = programs.with_name(f".{programs.name}.{os.getpid()}")
        draft.symlink_to(postgres.wheel_bin())
        draft.replace(programs)


def configure(paths: Paths, faulty: bool = False) -> None:
    """Roles, databases, migrations and first rows: made when missing, so that it can be run at each start. LabError.

    ``faulty``: faults are left in the lab, so the copies of the migrations stay as they are.
    """
    with complaints("the databases could not be made"):
        with closing(postgres.connect(paths)) as connection, connection.cursor() as cursor:
            for role in DATABASE_USERS:
                log_in(paths, cursor, role)
            cursor.execute("SELECT datname FROM pg_database")
            existing = {name for (name,) in cursor.fetchall()}
            for database in DATABASES.values():
                if database.name not in existing:
                    create(cursor, database)
        for database in DATABASES.values():
            migrate(paths, database)
        ecommerce.seed(paths)
    if not faulty or not paths.migrations.exists():
        copy_migrations(paths)


def let_in(paths: Paths, role: str) -> None:
    """The role may log in (again). LabError."""
    with (
        complaints(f"role {role} may not log in"),
        closing(postgres.connect(paths)) as connection,
        connection.cursor() as cursor,
    ):
        log_in(paths, cursor, role)


def log_in(paths: Paths, cursor: psycopg2.extensions.cursor, role: str) -> None:
    """The role, made when it is missing; it may log in with its secret."""
    from psycopg2 import sql

    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
    verb = sql.SQL("ALTER" if cursor.fetchone() else "CREATE")
    statement = sql.SQL("{} ROLE {} LOGIN PASSWORD %s").format(verb, sql.Identifier(role))
    cursor.execute(statement, [paths.secret(DATABASE_USERS[role])])


def create(cursor: psycopg2.extensions.cursor, database: Database) -> None:
    from psycopg2 import sql

    names = map(sql.Identifier, (database.name, database.owner))
    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(*names))


def migrate(paths: Paths, database: Database) -> None:
    """Histories that are missing, as the owner; then the rights of the reader, as superuser."""
    with closing(postgres.connect(paths, database.name, database.owner)) as connection:
        for history in database.histories:
            histories.migrate(connection, history.source, history.schema)
    with closing(postgres.connect(paths, database.name)) as connection, connection.cursor() as cursor:
        cursor.execute(GRANTS.read_text(encoding="utf-8"))


def rebuild(paths: Paths, name: str, schema: str) -> None:
    """Make one schema anew, with its migrations applied as the repository has them; its rows are gone. LabError."""
    from psycopg2 import sql

    database = DATABASES[name]
    with complaints(f"schema {schema} of {name} could not be made anew"):
        with closing(postgres.connect(paths, name)) as connection, connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '10s'")
            cursor.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
        migrate(paths, database)


def copy_migrations(paths: Paths) -> None:
    """Put the lab's copies of all migrations back to what the repository has."""
    draft = paths.migrations.with_name(f".{paths.migrations.name}.{os.getpid()}")
    for database in DATABASES.values():
        for history in database.histories:
            folder = draft / history.folder
            folder.mkdir(parents=True, exist_ok=True)
            for _, script in histories.scripts(history.source):
                shutil.copy(script, folder)
    shutil.rmtree(paths.migrations, ignore_errors=True)
    draft.replace(paths.migrations)


def trouble(paths: Paths) -> list[str]:
    """What is wrong with the databases of a running lab, a line each; empty when they are healthy.

    Healthy: every history is complete, without a failed row, and has the checksums of the lab's copies; no order number
    will be given twice.
    """
    import psycopg2

    wrong = []
    for database in DATABASES.values():
        try:
            with closing(postgres.connect(paths, database.name, READER)) as connection, connection.cursor() as cursor:
                wrong += [line for each in database.histories for line in _differences(paths, cursor, database, each)]
        except psycopg2.Error as error:
            wrong.append(f"database {database.name}: {first_line(error)}")
    return wrong + ecommerce.trouble(paths)


def _differences(
    paths: Paths, cursor: psycopg2.extensions.cursor, database: Database, history: History
) -> Iterator[str]:
    table = f'"{history.schema}".{histories.TABLE}'
    cursor.execute(f"SELECT version::int, checksum FROM {table} WHERE success AND type = 'SQL' ORDER BY installed_rank")
    applied = cursor.fetchall()
    found = [
        (version, histories.checksum(script.read_text(encoding="utf-8")))
        for version, script in histories.scripts(history.copy(paths))
    ]
    cursor.execute(f"SELECT count(*) FROM {table} WHERE NOT success")
    (failed,) = cursor.fetchone() or (0,)
    if applied != found:
        yield (
            f"database {database.name}, {table}: applied are versions {_versions(applied)}, "
            f"{history.copy(paths)} has {_versions(found)}, or their checksums differ"
        )
    if failed:
        yield f"database {database.name}, {table}: {failed} failed rows"


def _versions(rows: list[tuple[int, int]]) -> str:
    return ", ".join(str(version) for version, _ in rows) or "none"


@contextmanager
def complaints(what: str) -> Iterator[None]:
    """What the server complains about becomes a LabError, one line."""
    import psycopg2

    try:
        yield
    except psycopg2.Error as error:
        raise LabError(f"postgresql: {what}: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

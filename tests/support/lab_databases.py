# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of the lab as their superuser sees them, to tell whether a run wrote anything."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg2

from lab.layout import paths, ports

DATABASES = ("hafnium", "customer_db", "order_db", "backoffice")


def connect(database: str, user: str = "postgres", application: str = "test", secret: str = "") -> Any:
    """A connection of a client; in autocommit."""
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=ports()["postgresql"],
        dbname=database,
        user=user,
        password=paths().secret(secret or "postgres_password"),
        application_name=application,
    )
    connection.autocommit = True
    return connection


def rows(database: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """What a statement returns; none for one that returns nothing."""
    with closing(connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall()) if cursor.description else []


def content(database: str) -> dict[str, str]:
    """A digest of the rows of each table, which any write changes: a row's place and version are part of it."""
    tables = rows(
        database,
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema)'",
    )
    digest = "SELECT count(*), md5(string_agg(ctid::text || xmin::text || t::text, '' ORDER BY ctid)) FROM {} t"
    return {table: str(rows(database, digest.format(table))) for (table,) in tables}


def everything() -> dict[str, dict[str, str]]:
    return {database: content(database) for database in DATABASES}


def without_markers(found: dict[str, Any]) -> dict[str, Any]:
    """What was found, without the marker that backups and drills write into the live databases."""
    marker = "sre_runbooks.recovery_marker"
    return {
        key: {table: digest for table, digest in value.items() if table != marker} if isinstance(value, dict) else value
        for key, value in found.items()
    }

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrations applied in the lab without Java: scripts and history rows as a Flyway run would leave them."""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg2.extensions

TABLE = "flyway_schema_history"
_DDL = Path(__file__).parent / "schema" / f"{TABLE}.sql"
_INSERT = f"INSERT INTO {TABLE} VALUES (%s, %s, %s, %s, %s, %s, session_user, now(), 1, true)"


def migrate(connection: psycopg2.extensions.connection, folder: Path, schema: str) -> bool:
    """Apply every migration of a folder to a schema that has no history yet, in one transaction, as its owner.

    True when something was applied. psycopg2.Error as it comes.
    """
    from psycopg2 import sql

    connection.autocommit = False
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{schema}".{TABLE}'])
        if cursor.fetchone() == (True,):
            return False
        if schema != "public":
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        cursor.execute(sql.SQL("SET LOCAL search_path TO {}").format(sql.Identifier(schema)))
        cursor.execute(_DDL.read_text(encoding="utf-8"))
        if schema != "public":
            cursor.execute(_INSERT, [0, None, "<< Flyway Schema Creation >>", "SCHEMA", f'"{schema}"', None])
        for rank, (version, script) in enumerate(scripts(folder), start=1):
            text = script.read_text(encoding="utf-8")
            description = script.stem.split("__", 1)[1].replace("_", " ")
            cursor.execute(text)
            cursor.execute(_INSERT, [rank, str(version), description, "SQL", script.name, checksum(text)])
    return True


def scripts(folder: Path) -> list[tuple[int, Path]]:
    """Version and file of each migration of a folder, in their order. The lab numbers with whole numbers."""
    found = [(re.match(r"V(\d+)__", path.name), path) for path in folder.glob("V*.sql")]
    return sorted((int(match[1]), path) for match, path in found if match)


def checksum(script: str) -> int:
    """Flyway's checksum of a SQL script: CRC-32 over its lines without their ends, as a signed number."""
    value = 0
    for line in io.StringIO(script.removeprefix("\ufeff"), newline=None):
        value = zlib.crc32(line.rstrip("\n").encode(), value)
    return value - (1 << 32) if value >= 1 << 31 else value

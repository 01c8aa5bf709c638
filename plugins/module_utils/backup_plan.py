# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be backed up, as the servers tell it, and whether there is room: the plan of a backup."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .backup_catalog import BackupSet
from .databases import Database
from .errors import RefusedError
from .postgres import Session

GROWTH = 1.2  # dumps of the same database differ in how well they are compressed

_FACTS = """SELECT d.oid::bigint, d.datname, pg_catalog.pg_database_size(d.oid)::bigint,
    pg_catalog.pg_get_userbyid(d.datdba), pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype
    FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()"""
_PROVIDER = """SELECT max(attname) FILTER (WHERE attname = 'datlocprovider'),
    max(attname) FILTER (WHERE attname IN ('daticulocale', 'datlocale'))
    FROM pg_catalog.pg_attribute WHERE attrelid = 'pg_catalog.pg_database'::regclass AND NOT attisdropped"""
_ROLES = """SELECT DISTINCT pg_catalog.pg_get_userbyid(found.oid) FROM (
    SELECT refobjid AS oid FROM pg_catalog.pg_shdepend
    WHERE refclassid = 'pg_catalog.pg_authid'::regclass AND deptype IN ('o', 'a', 'r')
      AND dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
    UNION SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_') found ORDER BY 1"""


@dataclass(frozen=True)
class Identity:
    """A database by its name, and its cluster by its system identifier, where that may be read."""

    dbname: str
    system_identifier: str | None


@dataclass(frozen=True)
class Facts:
    """One database as it is on its server. ``locale`` has what CREATE DATABASE needs to make one alike."""

    dbname: str
    oid: int
    size: int
    owner: str
    encoding: str
    locale: dict[str, str | None]
    roles: list[str]
    server_version: str
    system_identifier: str | None


def facts(session: Session) -> Facts:
    """Ask one database. ``roles`` are those that own something in it or were granted something."""
    ((oid, dbname, size, owner, encoding, collate, ctype),) = session.rows(_FACTS)
    ((provider, locale),) = session.rows(_PROVIDER)
    found: dict[str, str | None] = {"collate": collate, "ctype": ctype, "provider": None, "locale": None}
    for key, column in (("provider", provider), ("locale", locale)):
        if column:
            statement = f"SELECT {column}::text FROM pg_catalog.pg_database WHERE oid = %s"  # noqa: S608  the server's word
            found[key] = session.value(statement, [oid])
    roles = [str(row[0]) for row in session.rows(_ROLES)]
    return Facts(dbname, oid, size, owner, encoding, found, roles, session.server_version, system_identifier(session))


def identity(session: Session) -> Identity:
    """Which database is asked."""
    return Identity(str(session.value("SELECT pg_catalog.current_database()")), system_identifier(session))


def system_identifier(session: Session) -> str | None:
    """Which cluster this is; None where the server does not let us ask."""
    allowed = session.value("SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')")
    return str(session.value("SELECT system_identifier FROM pg_catalog.pg_control_system()")) if allowed else None


def plan(
    databases: Sequence[Database],
    found: Sequence[Facts],
    previous: BackupSet | None,
    folder: str,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    """The plan as it is returned. Sizes are estimated from the last set where it has the database, else from the server;
    ``estimated_bytes`` takes the place of their sum."""
    rows: list[dict[str, Any]] = []
    for database, fact in zip(databases, found, strict=True):
        last = previous.manifest.saved(database.name) if previous and previous.manifest else None
        estimate = fact.size
        if last is not None:
            grown = max(1.0, fact.size / last.database_bytes) if last.database_bytes else 1.0
            estimate = math.ceil(last.bytes * grown * GROWTH)
        rows.append(
            {
                "name": database.name,
                "dbname": fact.dbname,
                "server_version": fact.server_version,
                "system_identifier": fact.system_identifier,
                "database_bytes": fact.size,
                "estimated_bytes": estimate,
                "previous_bytes": last.bytes if last else None,
            }
        )
    free, total = room(params["directory"])
    spare = max(params["min_free_bytes"], math.ceil(total * params["min_free_percent"] / 100))
    given: int | None = params["estimated_bytes"]
    estimated = sum(row["estimated_bytes"] for row in rows) if given is None else given
    return {
        "set": params["set"],
        "folder": folder,
        "databases": rows,
        "encrypted": bool(params["recipients"]),
        "recipients": list(params["recipients"]),
        "marker": params["marker"],
        "fingerprint": params["fingerprint"],
        "free_bytes": free,
        "needed_bytes": estimated + spare,
    }


def refuse_without_room(planned: Mapping[str, Any]) -> None:
    """RefusedError when the disk has not the room that the plan needs."""
    free, needed = planned["free_bytes"], planned["needed_bytes"]
    if free < needed:
        raise RefusedError(
            f"{planned['folder']} has {_mb(free)} free; the dumps need about {_mb(needed)} with what is to stay free "
            "(min_free_bytes, min_free_percent). Free space, prune, or name another directory. A first backup is taken to be as "
            "large as its databases: if you know better, say so with estimated_bytes",
            plan=dict(planned),
        )


def room(path: str) -> tuple[int, int]:
    """Bytes that are free for us on the disk of ``path``, and its size."""
    state = os.statvfs(path)
    return state.f_bavail * state.f_frsize, state.f_blocks * state.f_frsize


def _mb(count: int) -> str:
    return f"{count / 1e6:.1f} MB"

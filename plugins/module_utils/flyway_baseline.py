# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Migrations that a baseline let pass by, and whether what they would have made is there all the same.

With baseline-on-migrate, a schema that was not empty gets a baseline row, and every migration up to it is skipped with
success reported. Flyway never says that their tables are missing.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass

from . import flyway_types as types
from .flyway_files import TooBig
from .flyway_settings import Settings
from .flyway_states import Calculation, Info
from .postgres import Session

MOST_TABLES = 2000
_COMMENT = re.compile(r"--[^\n\r]*|/\*.*?\*/", re.DOTALL)
_PART = re.compile(r'"(?:[^"]|"")+"|[^".]+')
_NAME = r'(?P<name>(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*)(?:\.(?:"(?:[^"]|"")+"|[A-Za-z_][\w$]*))?)'
_CREATED = re.compile(rf"\bcreate\s+(?:unlogged\s+)?table\s+(?:if\s+not\s+exists\s+)?{_NAME}", re.IGNORECASE)
_GONE = re.compile(
    rf"\b(?:drop\s+table\s+(?:if\s+exists\s+)?|alter\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?=\S+\s+(?:rename\s+to|set\s+schema)))"
    rf"{_NAME}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Skipped:
    """A migration below the baseline. ``absent`` are tables of it that are not there; ``tables`` all that it makes."""

    info: Info
    tables: tuple[str, ...]
    absent: tuple[str, ...]


def skipped(session: Session, calculation: Calculation, settings: Settings) -> list[Skipped]:
    """Migrations that were never run because a baseline row stands in the table."""
    if not any(info.row and info.type == "BASELINE" for info in calculation.infos):
        return []
    passed = [
        info for info in calculation.of_state(*types.BELOW) if info.row is None and info.type not in types.BASELINES
    ]
    made = {info.filepath: tables_of(_text(info, settings.encoding)) for info in passed}
    gone = (
        {name for info in calculation.infos for name in _gone_names(info, settings.encoding)}
        if any(made.values())
        else set()
    )
    wanted = sorted({name for names in made.values() for name in names} - gone)[:MOST_TABLES]
    there = _there(session, wanted, settings.schema) if wanted else set()
    return [
        Skipped(
            info,
            tuple(made[info.filepath]),
            tuple(name for name in made[info.filepath] if name in wanted and name not in there),
        )
        for info in passed
    ]


def tables_of(sql: str) -> list[str]:
    """Tables that a script creates, as it writes them."""
    return list(dict.fromkeys(match["name"] for match in _CREATED.finditer(_COMMENT.sub(" ", sql))))


def _gone_names(info: Info, encoding: str) -> list[str]:
    return [match["name"] for match in _GONE.finditer(_COMMENT.sub(" ", _text(info, encoding)))]


def _text(info: Info, encoding: str) -> str:
    if info.resolved is None or info.resolved.file is None:
        return ""
    try:
        return info.resolved.file.read().decode(encoding, "replace")
    except (OSError, TooBig, zipfile.BadZipFile):
        return ""


def _there(session: Session, names: list[str], schema: str) -> set[str]:
    """Those of the names that a relation bears, in the schema where none is written. The catalogue is open to everybody."""
    parts = [_parts(name, schema) for name in names]
    rows = session.rows(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c "
        "JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "JOIN unnest(%s::text[], %s::text[]) AS w(schema, name) ON w.schema = n.nspname AND w.name = c.relname",
        [[part[0] for part in parts], [part[1] for part in parts]],
    )
    found = {(str(each[0]), str(each[1])) for each in rows}
    return {name for name, part in zip(names, parts, strict=True) if part in found}


def _parts(name: str, schema: str) -> tuple[str, str]:
    """Schema and table as the catalogue has them: small letters, unless in quotes."""
    written = [match[0] for match in _PART.finditer(name)]
    plain = [part[1:-1].replace('""', '"') if part.startswith('"') else part.lower() for part in written]
    return (plain[0], plain[1]) if len(plain) > 1 else (schema, plain[0])

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of Flyway's migrations in any number of histories, without Java and without writing anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import databases
from .argspec import ArgumentSpec
from .checks import Check, Finding, report
from .databases import Database
from .errors import InputError
from .flyway_checks import checks_of, findings_of, unreachable
from .flyway_inspect import History, inspect
from .flyway_locations import distinct
from .flyway_settings import SUBOPTIONS, Settings
from .flyway_types import SUCCESS
from .operation import Context
from .postgres import PostgresError, Session

_HISTORIES = databases.spec("histories", **SUBOPTIONS)
_HISTORIES.options["histories"]["required"] = True

SPEC = _HISTORIES.merge(
    ArgumentSpec(
        options={
            "pending": {"type": "str", "default": "allow", "choices": ["allow", "fail"]},
            "migrations": {"type": "str", "default": "all", "choices": ["all", "notable", "none"]},
            "max_lock_seconds": {"type": "float", "default": 600.0},
            "runbook": {"type": "str", "default": ""},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at each history, then judge. Raises InputError; a database that does not answer is a check."""
    if not params["max_lock_seconds"] >= 0:
        raise InputError(f"max_lock_seconds is {params['max_lock_seconds']:g}; it must be 0 or more")
    if not params["histories"]:
        raise InputError("histories is empty: name at least one")
    asked = databases.of(params, "histories")
    _refuse_alike([database.name for database in asked])
    settings = {database.name: Settings.of(database.item, database.name) for database in asked}
    for each in settings.values():
        distinct(each.locations, each.working_directory)  # a location that is none is refused before a server is asked

    def ask(session: Session, database: Database) -> History:
        return inspect(session, settings[database.name], context.deadline)

    answers = databases.each(asked, params, context, ask)
    rows: list[Check] = []
    findings: list[Finding] = []
    shown: list[dict[str, Any]] = []
    for database, answer in zip(asked, answers, strict=True):
        if isinstance(answer, PostgresError):
            rows.append(unreachable(database.name, answer.message, answer.observed_fault, params["runbook"]))
            shown.append({"name": database.name, "exists": "unknown", "error": answer.message, "migrations": []})
            continue
        own = checks_of(answer, params["pending"], params["max_lock_seconds"], params["runbook"])
        rows += own
        findings += findings_of(answer, own)
        shown.append(_shown(answer, params["migrations"]))
    return report(rows, findings, histories=shown)


def _refuse_alike(names: list[str]) -> None:
    """A name that continues another's behind a dot would make two checks of one id."""
    for name in names:
        for other in names:
            if name.startswith(f"{other}."):
                raise InputError(
                    f"histories has {other!r} and {name!r}: a name must not be another's with a dot behind it"
                )


def _shown(history: History, which: str) -> dict[str, Any]:
    result = history.as_dict()
    if which == "none":
        result["migrations"] = []
    elif which == "notable":
        result["migrations"] = [row for row in result["migrations"] if _notable(row)]
    return result


def _notable(row: Mapping[str, Any]) -> bool:
    return row["state"] != SUCCESS or row["checksum_status"] not in ("match", "")

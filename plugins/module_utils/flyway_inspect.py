# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One history looked at: table, files, states, validation and lock, in one connection that cannot write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import flyway_baseline, flyway_lock, flyway_resolve, flyway_states, flyway_table
from . import flyway_types as types
from .clock import Deadline
from .flyway_lock import Lock
from .flyway_patterns import PENDING
from .flyway_resolve import Resolution, Resolved, Surroundings
from .flyway_settings import Settings
from .flyway_states import Calculation, CorruptHistory, Info
from .flyway_table import Row, Table
from .flyway_validate import Invalid, validate
from .flyway_version import Version
from .postgres import Session

MOST_USERS = 5


@dataclass
class History:
    """Everything about one history; see the attributes' names. ``settings`` is what was asked."""

    settings: Settings
    table_found: Table
    resolution: Resolution
    calculation: Calculation
    errors: list[Invalid]
    migrate_errors: list[Invalid]
    lock: Lock
    skipped: list[flyway_baseline.Skipped] = field(default_factory=list)
    would_skip: list[flyway_baseline.Skipped] = field(default_factory=list)  # by the baseline that migrate would make

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def schema(self) -> str:
        return self.settings.schema

    @property
    def table(self) -> str:
        return self.settings.table

    @property
    def database(self) -> str:
        return self.table_found.database

    @property
    def exists(self) -> flyway_table.Presence:
        return self.table_found.presence

    @property
    def problem(self) -> str:
        """Why the table could not be looked at, in one line; empty when it was."""
        return self.table_found.problem

    @property
    def rows(self) -> list[Row]:
        return self.table_found.rows

    @property
    def resolved(self) -> list[Resolved]:
        return self.resolution.migrations

    @property
    def resolve_error(self) -> str | None:
        """Why Flyway itself would stop before doing anything; None when it would not."""
        return "; ".join(self.resolution.refusals) or None

    @property
    def location_problems(self) -> list[str]:
        return self.resolution.problems

    @property
    def nothing_resolved(self) -> bool:
        """Nothing lies in the locations: they are wrong, whatever Flyway's validation says. Programs lie elsewhere."""
        programs = [row.type in types.PROGRAMS for row in self.rows if row.type not in types.SYNTHETIC]
        return not self.resolution.migrations and not (programs and all(programs))

    @property
    def infos(self) -> list[Info]:
        return self.calculation.infos

    @property
    def makes_baseline(self) -> bool:
        """Whether migrate would begin with a baseline: no history yet, a schema that holds something, and told to."""
        absent = self.exists in ("no_table", "no_schema")
        return absent and not self.table_found.schema_empty and self.settings.baseline_on_migrate

    def begun(self) -> Calculation:
        """The states that migrate would meet: those of now, or behind the baseline that it would make first."""
        if not self.makes_baseline:
            return self.calculation
        row = Row(1, self.settings.baseline_version, "", "BASELINE", "", None, "", "", 0, True)
        return flyway_states.calculate([row], self.resolved, self.settings.target, self.settings.out_of_order)

    def of_state(self, *states: str) -> list[Info]:
        """Those of the migrations that are in one of the states."""
        return self.calculation.of_state(*states)

    @property
    def current(self) -> str | None:
        info = self.calculation.current
        return str(info.version) if info and info.version is not None else None

    @property
    def blocked_by(self) -> list[dict[str, str]]:
        """What keeps the next migrate, and so the start of a service that migrates, from succeeding."""
        found = [{"version": "", "reason": text} for text in self.resolution.refusals]
        found += [
            {"version": error.info.name, "reason": _reason(error, self.calculation)} for error in self.migrate_errors
        ]
        if self.lock.held:
            found.append({"version": "", "reason": f"another migration holds the lock, process {self.lock.holder_pid}"})
        return found

    def as_dict(self) -> dict[str, Any]:
        """The fields of ``flyway info -outputType=json``, and more."""
        return {
            "name": self.name,
            "operation": "info",
            "schemaVersion": self.current,
            "schemaName": self.schema,
            "table": self.table,
            "migrations": self._outputs(),
            "allSchemasEmpty": self.table_found.schema_empty,
            "flywayVersion": None,
            "database": self.database,
            "warnings": [],
            "exists": self.exists,
            "validation_errors": [error.as_dict() for error in self.errors],
            "errors": list(self.resolution.refusals),
            "locations": {"searched": self.resolution.searched, "problems": self.location_problems},
            "blocked_by": self.blocked_by,
            "lock": self.lock.as_dict(),
        }

    def _outputs(self) -> list[dict[str, Any]]:
        undo = {info.version: info.filepath for info in reversed(self.infos) if info.type in types.UNDO}
        return [as_output(info, undo) for info in self.infos]


def inspect(session: Session, settings: Settings, deadline: Deadline) -> History:
    """Look at one history. Raises PostgresError, InputError and DeadlineError; what is wrong with it is in the result."""
    table = flyway_table.read(session, settings.schema, settings.table)
    resolution = flyway_resolve.resolve(settings, Surroundings(table.database, _users(table)), deadline)
    lock = Lock(known=False) if table.standby else flyway_lock.look(session, settings.schema, settings.table)
    history = judge(settings, table, resolution, lock)
    if history.exists == "present":
        history.skipped = flyway_baseline.skipped(session, history.calculation, settings)
    elif history.makes_baseline:
        history.would_skip = flyway_baseline.skipped(session, history.begun(), settings)
    return history


def judge(settings: Settings, table: Table, resolution: Resolution, lock: Lock) -> History:
    """States and validation of what was read; asks nobody."""
    resolution.refusals += [row.problem for row in table.rows if row.problem]
    if table.cut:
        resolution.refusals.append(
            f"the history has more than {flyway_table.MOST_ALL} rows, and only the first {len(table.rows)} were read"
        )
    try:
        found = flyway_states.calculate(table.rows, resolution.migrations, settings.target, settings.out_of_order)
    except CorruptHistory as error:
        resolution.refusals.append(str(error))
        found = Calculation()
    if settings.target_required and all(info.version != settings.target for info in found.infos):
        resolution.refusals.append(f"No migration with a target version {settings.target} could be found")
    errors = validate(found, settings.ignore)
    return History(settings, table, resolution, found, errors, validate(found, (*settings.ignore, PENDING)), lock)


def as_output(info: Info, undo: Mapping[Version | None, str]) -> dict[str, Any]:
    """One migration with the field names of Flyway's output, and what can be said of its checksum.

    ``undo`` are the versions that have an undo migration, with its path.
    """
    version = info.version
    may_undo = version is not None and info.type not in types.UNDO and info.state != types.UNDONE
    undoable = may_undo and info.state not in types.ANY_FAILED and version in undo
    row, resolved = info.row, info.resolved
    raw = version.raw if version is not None else ""
    return {
        "category": info.category,
        "version": str(version) if version is not None else "",
        "rawVersion": raw,
        "description": info.description,
        "type": info.type,
        "installedOnUTC": row.installed_on if row else "",
        "state": info.state,
        "undoable": "Yes" if undoable else "No" if may_undo else "",
        "filepath": info.filepath,
        "undoFilepath": undo[version] if undoable else "",
        "installedBy": row.installed_by if row else "",
        "shouldExecuteExpression": resolved.expression if resolved else None,
        "executionTime": row.execution_time if row else 0,
        "installed_rank": row.rank if row else None,
        "checksum": row.checksum if row else resolved.checksum if resolved else None,
        "resolved_checksum": resolved.checksum if resolved and not resolved.supposed else None,
        "checksum_status": info.checksum_status,
    }


def _users(table: Table) -> tuple[str, ...]:
    """Who Flyway may connect as: whoever we are, and those who installed repeatable migrations lately."""
    installers = [row.installed_by for row in reversed(table.rows) if row.version is None]
    return tuple(dict.fromkeys(user for user in (table.user, *installers[:200]) if user))[:MOST_USERS]


def _reason(error: Invalid, calculation: Calculation) -> str:
    if error.info.state == types.IGNORED:
        return (
            f"out of order: it came after {calculation.last_applied} was applied, and out_of_order is off. "
            f"{error.filepath} needs a newer version, or out_of_order for this one run"
        )
    return error.message

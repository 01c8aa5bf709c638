# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What migrate and repair would do, said before they do it. Nothing here asks a server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import flyway_states
from . import flyway_types as types
from .flyway_inspect import History
from .flyway_patterns import Ignored
from .flyway_resolve import Resolved
from .flyway_states import CorruptHistory, Info
from .flyway_table import Row


@dataclass(frozen=True)
class Realigned:
    """A row that repair would rewrite, and with what."""

    info: Info
    description: str
    type: str
    checksum: int | None

    def as_dict(self) -> dict[str, Any]:
        row = self.info.row
        before = {"description": row.description, "type": row.type, "checksum": row.checksum} if row else {}
        after = {"description": self.description, "type": self.type, "checksum": self.checksum}
        return {
            "version": str(self.info.version or ""),
            "description": self.info.description,
            "filepath": self.info.filepath,
            "installed_rank": row.rank if row else None,
            "before": before,
            "after": after,
        }


@dataclass
class RepairPlan:
    """Rows that repair deletes because they failed, rows it marks as deleted, and rows it rewrites."""

    removed: list[Row] = field(default_factory=list)
    deleted: list[Info] = field(default_factory=list)
    realigned: list[Realigned] = field(default_factory=list)

    @property
    def empty(self) -> bool:
        return not (self.removed or self.deleted or self.realigned)

    def as_dict(self) -> dict[str, Any]:
        return {
            "removed": [_row(row) for row in self.removed],
            "deleted": [_row(info.row) for info in self.deleted if info.row],
            "realigned": [each.as_dict() for each in self.realigned],
        }


def pending(history: History) -> list[Info]:
    """What migrate would run, in its order; of a history that does not exist yet, with its baseline if it makes one."""
    return history.begun().of_state(types.PENDING)


def refusals(history: History) -> list[str]:
    """Reasons in the history and its files why migrate would not run."""
    found = list(history.resolution.refusals)
    if history.exists == "denied":
        found.append(history.problem)
    if history.nothing_resolved:
        found.append(f"no migration lies in the locations {', '.join(history.settings.locations)}")
    found += history.location_problems
    found += [error.message for error in history.migrate_errors]
    empty = history.table_found.schema_empty
    if history.exists in ("no_table", "no_schema") and not empty and not history.settings.baseline_on_migrate:
        found.append(
            f"schema {history.schema} holds objects but has no history: {history.problem}. Is this the right schema and "
            "table? If it is, make a baseline first"
        )
    return list(dict.fromkeys(found))


def repair(history: History) -> RepairPlan:
    """What repair would do to the rows. Raises CorruptHistory where Flyway would stop, too."""
    plan = RepairPlan(removed=_failed(history.rows))
    kept = [row for row in history.rows if row not in plan.removed]
    found = flyway_states.calculate(kept, history.resolved, None, out_of_order=True)
    ignored = Ignored(history.settings.ignore)
    for info in found.infos:
        if info.type in types.SYNTHETIC or info.type in types.UNDO:
            continue
        if info.state in types.NOT_FOUND and not ignored.fits(info.version is not None, info.state):
            plan.deleted.append(info)
    for info in found.infos:
        if info.row and info.resolved and _rewritten(info, info.row, info.resolved):
            new = info.resolved
            plan.realigned.append(Realigned(info, new.description, new.type, new.checksum))
    return plan


def _failed(rows: list[Row]) -> list[Row]:
    """Rows that go because one of their version, or of their description, failed; by text, as repair deletes them."""
    failed = [row for row in rows if not row.success]
    versions = {str(row.version) for row in failed if row.version is not None}
    descriptions = {row.description for row in failed if row.version is None}
    return [row for row in failed if row.version_text in versions or row.description in descriptions]


def _rewritten(info: Info, row: Row, resolved: Resolved) -> bool:
    if row.type in types.SYNTHETIC or resolved.supposed or info.state in (types.UNDONE, types.IGNORED):
        return False
    if resolved.version is None:
        return resolved.same_as_raw_only(row.checksum)
    return not resolved.matches(row.checksum) or resolved.description != row.description or resolved.type != row.type


def _row(row: Row) -> dict[str, Any]:
    return {
        "installed_rank": row.rank,
        "version": row.version_text or "",
        "description": row.description,
        "type": row.type,
        "script": row.script,
        "checksum": row.checksum,
        "installed_on": row.installed_on,
    }


__all__ = ["CorruptHistory", "Realigned", "RepairPlan", "pending", "refusals", "repair"]

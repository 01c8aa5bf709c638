# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of Flyway will do to one history, said before, and compared with the history afterwards. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import approval_request, flyway_plan
from . import flyway_types as types
from .flyway_inspect import History
from .flyway_plan import RepairPlan
from .flyway_states import Info
from .flyway_table import Row

MIGRATE, REPAIR = "migrate", "repair"


@dataclass
class Plan:
    """Migrations to apply in their order, or rows to change. ``uncertain`` may run as well; nobody can tell from here."""

    command: str
    target: dict[str, str]
    creates: list[str] = field(default_factory=list)
    apply: list[Info] = field(default_factory=list)
    uncertain: list[Info] = field(default_factory=list)
    repair: RepairPlan = field(default_factory=RepairPlan)

    @property
    def empty(self) -> bool:
        return not (self.creates or self.apply or self.uncertain or not self.repair.empty)

    @property
    def names(self) -> list[str]:
        """Versions, and descriptions of repeatable migrations, that will be applied."""
        return [info.name for info in self.apply]

    @property
    def digest(self) -> str:
        return approval_request.digest(self.as_dict(), self.lines())

    def as_dict(self) -> dict[str, Any]:
        return {
            "command": self.command,
            **self.target,
            "creates": self.creates,
            "pending": [_migration(info) for info in self.apply],
            "uncertain": [_migration(info) for info in self.uncertain],
            **({"repair": self.repair.as_dict()} if self.command == REPAIR else {}),
        }

    def lines(self) -> list[str]:
        """The plan for people."""
        where = f"{self.target['schema']}.{self.target['table']} in {self.target['database']}"
        made = [f"{where}: make {what}" for what in self.creates]
        run = [f"{where}: apply {_said(info)}" for info in self.apply]
        unsure = [f"{where}: may apply {_said(info)}" for info in self.uncertain]
        removed = [f"{where}: delete the failed row {_row(row)}" for row in self.repair.removed]
        deleted = [f"{where}: mark as deleted {_row(info.row)}" for info in self.repair.deleted if info.row]
        realigned = [
            f"{where}: realign {_row(each.info.row)} with {each.info.filepath}: checksum {each.info.row.checksum} to "
            f"{each.checksum}"
            for each in self.repair.realigned
            if each.info.row
        ]
        return [*made, *run, *unsure, *removed, *deleted, *realigned]


def of(history: History, command: str) -> Plan:
    """The plan for a history that is not refused. Raises CorruptHistory for repair, where Flyway would stop too."""
    plan = Plan(command, {"database": history.database, "schema": history.schema, "table": history.table})
    if command == REPAIR:
        if history.exists == "present":
            plan.repair = flyway_plan.repair(history)
        return plan
    if history.exists != "present":
        plan.creates = [
            *(["the schema"] if history.exists == "no_schema" else []),
            "the history",
            *([f"a baseline at {history.settings.baseline_version}"] if flyway_plan.makes_baseline(history) else []),
        ]
    plan.apply = flyway_plan.pending(history)
    plan.uncertain = [
        info
        for info in history.infos
        if info.checksum_status == "indeterminate" and info.version is None and info.state == types.SUCCESS
    ]
    return plan


def refusals(history: History, command: str, max_deleted: int, allow_unverifiable: bool) -> list[tuple[str, str]]:
    """Why the command must not run now: stable id and sentence. Nothing was changed."""
    found = [("lock", _lock(history))] if history.lock.held else []
    if command == MIGRATE:
        told = [text for text in flyway_plan.refusals(history) if "another migration holds the lock" not in text]
        found += [("validation", text) for text in told]
    else:
        found += [("validation", text) for text in _repair_refusals(history)]
    found += _unverifiable(history, allow_unverifiable)
    if command == REPAIR and history.exists == "present" and not found:
        found += _too_many(history, max_deleted)
    return found


def summary(history: History) -> dict[str, Any]:
    """The state of a history in few words: what differs after any run that changed it."""
    rows = [_values(row) for row in history.rows]
    text = json.dumps(rows, ensure_ascii=True, sort_keys=True)
    return {
        "exists": history.exists,
        "version": history.current,
        "rows": len(rows),
        "last_rank": max((row.rank for row in history.rows), default=None),
        "failed": [row.script for row in history.rows if not row.success],
        "digest": f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
    }


def text(history: History) -> str:
    """The history as lines, for a diff."""
    return "".join(
        f"{row.rank:>4} {row.version_text or '':<12} {row.type:<8} {row.script or row.description} checksum={row.checksum} "
        f"{'success' if row.success else 'FAILED'}\n"
        for row in history.rows
    )


def planned_text(history: History, plan: Plan) -> str:
    """The history as it would be, without ranks and times that nobody knows yet."""
    gone = {row.rank for row in plan.repair.removed}
    new = {each.info.row.rank: each for each in plan.repair.realigned if each.info.row}
    lines = []
    for row, line in zip(history.rows, text(history).splitlines(keepends=True), strict=True):
        if row.rank in gone:
            continue
        lines.append(
            line.replace(f"checksum={row.checksum} ", f"checksum={new[row.rank].checksum} ")
            if row.rank in new
            else line
        )
    lines += [f"     make {what}\n" for what in plan.creates]
    lines += [f"     {info.version or ''!s:<12} {info.type:<8} {info.script} (to apply)\n" for info in plan.apply]
    lines += [
        f"     {info.row.version_text or '':<12} DELETE   {info.script}\n" for info in plan.repair.deleted if info.row
    ]
    return "".join(lines)


def applied(before: History, after: History) -> list[Row]:
    """Rows that a migrate added, in their order, without those that Flyway writes by itself."""
    known = {row.rank for row in before.rows}
    return [row for row in after.rows if row.rank not in known and row.type not in types.SYNTHETIC]


def same_rows(before: History, after: History) -> bool:
    return before.exists == after.exists and list(map(_values, before.rows)) == list(map(_values, after.rows))


def not_as_planned(plan: Plan, rows: Sequence[Row], allow_unverifiable: bool) -> str:
    """How the rows that were added differ from the plan, in one sentence; empty when they do not."""
    done = [_key(row.version_text, row.script) for row in rows if row.success]
    wanted = [_key(str(info.version) if info.version else None, info.script) for info in plan.apply]
    optional = {_key(None, info.script) for info in plan.uncertain}
    programs = {_key(row.version_text, row.script) for row in rows if row.type in types.PROGRAMS}
    lacking = [key for key in wanted if key not in done]
    extra = [
        key
        for key in done
        if key not in wanted and key not in optional and not (allow_unverifiable and key in programs)
    ]
    told = [f"{_shown(key)} was planned and is not in the history" for key in lacking[:5]]
    told += [f"{_shown(key)} was applied and not planned" for key in extra[:5]]
    if not told and [key for key in done if key in wanted] != wanted:
        told = ["they were applied in another order than planned"]
    return "; ".join(told)


def not_repaired(plan: Plan, before: History, after: History) -> str:
    """How the history after a repair differs from the plan, in one sentence; empty when it does not."""
    rows = {row.rank: row for row in after.rows}
    known = {row.rank: row for row in before.rows}
    removed = {row.rank for row in plan.repair.removed}
    told = [f"the failed row {_row(known[rank])} is still there" for rank in removed if rank in rows]
    told += [
        f"{_row(row)} is gone, which was not planned"
        for rank, row in known.items()
        if rank not in rows and rank not in removed
    ]
    marked = [_said_of(row) for rank, row in rows.items() if rank not in known and row.type == "DELETE"]
    wanted = [_said_of(info.row) for info in plan.repair.deleted if info.row]
    told += [f"{' '.join(each)} is not marked as deleted" for each in wanted if each not in marked]
    told += [f"{' '.join(each)} is marked as deleted, which was not planned" for each in marked if each not in wanted]
    for each in plan.repair.realigned:
        now = rows.get(each.info.row.rank) if each.info.row else None
        if now is None or now.checksum != each.checksum or now.type != each.type:
            told.append(f"{_row(each.info.row)} is not realigned")
    return "; ".join(told[:5])


def _repair_refusals(history: History) -> list[str]:
    found = list(history.resolution.refusals)
    if history.exists == "denied":
        found.append(history.problem)
    if history.nothing_resolved:
        found.append(
            f"no migration lies in the locations {', '.join(history.settings.locations)}: repair would mark the whole "
            "history as deleted"
        )
    return [*found, *history.location_problems]


def _too_many(history: History, max_deleted: int) -> list[tuple[str, str]]:
    deleted = flyway_plan.repair(history).deleted
    if len(deleted) <= max_deleted:
        return []
    names = ", ".join(info.name for info in deleted[:8]) + (" ..." if len(deleted) > 8 else "")
    return [
        (
            "max_deleted",
            f"repair would mark {len(deleted)} applied migrations as deleted, because no file of theirs lies in the "
            f"locations ({names}); at most {max_deleted} may be (max_deleted). Are the locations complete? Only if those "
            "files were removed on purpose, raise max_deleted",
        )
    ]


def _unverifiable(history: History, allowed: bool) -> list[tuple[str, str]]:
    programs = [info.name for info in history.infos if info.type in types.PROGRAMS]
    if allowed or not programs:
        return []
    return [
        (
            "unverifiable",
            f"{', '.join(programs[:8])} {'is a Java migration' if len(programs) == 1 else 'are Java migrations'}: which of "
            "them there are, and whether they were changed, only the program knows that holds them. Set "
            "allow_unverifiable to go on all the same",
        )
    ]


def _lock(history: History) -> str:
    lock = history.lock
    age = "" if lock.age_seconds is None else f", for {lock.age_seconds:.0f} s"
    who = f" ({lock.application_name})" if lock.application_name else ""
    return (
        f"another migration holds the lock: process {lock.holder_pid}{who}{age}. Wait for it, or see what it waits for"
    )


def _migration(info: Info) -> dict[str, Any]:
    return {
        "version": str(info.version) if info.version else "",
        "description": info.description,
        "type": info.type,
        "script": info.script,
        "checksum": info.resolved.checksum if info.resolved else None,
    }


def _values(row: Row) -> tuple[Any, ...]:
    return (
        row.rank,
        row.version_text,
        row.description,
        row.type,
        row.script,
        row.checksum,
        row.installed_on,
        row.success,
    )


def _key(version: str | None, script: str) -> tuple[str | None, str]:
    return (version, script.replace("\\", "/").rsplit("/", 1)[-1])


def _shown(key: tuple[str | None, str]) -> str:
    return f"{key[1]} (version {key[0]})" if key[0] else key[1]


def _said_of(row: Row) -> tuple[str, str]:
    return (row.version_text or "", row.description)


def _said(info: Info) -> str:
    checksum = info.resolved.checksum if info.resolved else None
    return f"{info.name} {info.description}: {info.script} ({info.type}, checksum {checksum})"


def _row(row: Row | None) -> str:
    return f"{row.version_text or row.description} ({row.script or row.type}, rank {row.rank})" if row else ""

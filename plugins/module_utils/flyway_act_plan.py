# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a run of Flyway will do to one history, said before, and compared with the history afterwards. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

from . import approval_request, flyway_plan
from . import flyway_locations as locations
from . import flyway_types as types
from .flyway_baseline import Skipped
from .flyway_inspect import History
from .flyway_plan import RepairPlan
from .flyway_resolve import Resolved
from .flyway_states import Info
from .flyway_table import Row, quoted

MIGRATE, REPAIR, INFO = "migrate", "repair", "info"
# Folders of an application's archive that we look into and the tools do not.
_ARCHIVED = ("!/BOOT-INF/", "!/WEB-INF/")


@dataclass(frozen=True)
class Allowed:
    """What is allowed beyond the usual: rows to mark as deleted, and what is refused unless it is said."""

    deleted: int = 0
    unverifiable: bool = False
    new_history: bool = False
    passed_over: bool = False


@dataclass
class Plan:
    """Migrations to apply in their order, or rows to change.

    ``passed_over`` are those that a new baseline skips for good; ``uncertain`` may run as well, nobody can tell from here.
    """

    command: str
    target: dict[str, str]
    creates: list[str] = field(default_factory=list)
    passed_over: list[Skipped] = field(default_factory=list)
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
            "passed_over": [{**_migration(each.info), "absent": list(each.absent)} for each in self.passed_over],
            "pending": [_migration(info) for info in self.apply],
            "uncertain": [_migration(info) for info in self.uncertain],
            **({"repair": self.repair.as_dict()} if self.command == REPAIR else {}),
        }

    def lines(self) -> list[str]:
        """The plan for people."""
        where = f"{self.target['schema']}.{self.target['table']} in {self.target['database']}"
        made = [f"{where}: make {what}" for what in self.creates]
        over = [f"{where}: never run {_skipped(each)}" for each in self.passed_over]
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
        return [*made, *over, *run, *unsure, *removed, *deleted, *realigned]


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
            *([f"a baseline at {history.settings.baseline_version}"] if history.makes_baseline else []),
        ]
        plan.passed_over = history.would_skip
    plan.apply = flyway_plan.pending(history)
    plan.uncertain = [
        info
        for info in history.infos
        if info.checksum_status == "indeterminate" and info.version is None and info.state == types.SUCCESS
    ]
    return plan


def refusals(history: History, command: str, kind: str, allowed: Allowed) -> list[tuple[str, str]]:
    """Why the command must not run now with a tool of this kind: stable id and sentence. Nothing was changed."""
    found = [("standby", _STANDBY)] if history.table_found.standby else []
    found += [("lock", _lock(history))] if history.lock.held else []
    told = flyway_plan.refusals(history) if command == MIGRATE else _repair_refusals(history)
    found += [("validation", text) for text in told]
    found += _absent(history, command, allowed.new_history)
    found += _never_run(history, command, allowed.passed_over)
    found += _out_of_reach(history, command, kind)
    found += _unverifiable(history, allowed.unverifiable)
    if command == REPAIR and not found:
        found += _too_many(history, allowed.deleted)
    return found


def lacking_rights(history: History, plan: Plan) -> list[tuple[str, str]]:
    """Rights without which the plan fails half-way; those that its scripts need are known to them only."""
    table, user = quoted(history.schema, history.table), quoted(history.table_found.user)
    if plan.empty:
        return []
    if plan.command == REPAIR:
        repair = plan.repair
        needed = (("DELETE", repair.removed), ("UPDATE", repair.realigned), ("INSERT", repair.deleted))
        wanted = {right: f"GRANT {right} ON {table} TO {user}" for right, rows in needed if rows}
    elif history.exists == "present":
        wanted = {"INSERT": f"GRANT INSERT ON {table} TO {user}"}
    elif history.exists == "no_table":
        wanted = {"CREATE": f"GRANT CREATE ON SCHEMA {quoted(history.schema)} TO {user}"}
    else:
        wanted = {"CREATE SCHEMA": f"GRANT CREATE ON DATABASE {quoted(history.database)} TO {user}"}
    return [
        (
            "rights",
            f"{history.table_found.user} may not {right} here: work as the owner of the schema (login_user), or {grant}",
        )
        for right, grant in wanted.items()
        if right not in history.table_found.rights
    ]


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


def not_as_planned(plan: Plan, before: History, after: History, allow_unverifiable: bool) -> str:
    """How the history after a migrate differs from the plan, in one sentence; empty when it does not."""
    rows = applied(before, after)
    done = [_key(row.version_text, row.script) for row in rows if row.success]
    read = {_key(str(info.version) if info.version else None, info.script): info for info in plan.apply}
    wanted = list(read)
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
    for row in rows:
        info = read.get(_key(row.version_text, row.script))
        if row.success and info and info.resolved and not _is_of(row, info.resolved):
            told.append(
                f"{_row(row)} was applied as {row.type} with checksum {row.checksum}, and the file that was planned, "
                f"{info.filepath}, is {info.type} with {info.resolved.checksum}: the tool has another file"
            )
    told += _touched(before, after, set())
    if not told and [key for key in done if key in wanted] != wanted:
        told = ["they were applied in another order than planned"]
    return "; ".join(told[:8])


def _is_of(row: Row, resolved: Resolved) -> bool:
    """Whether the row was written for just this file, as far as its checksum can be known before."""
    if resolved.unknown or resolved.moving:
        return True
    return row.type == resolved.type and row.checksum in (resolved.checksum, *resolved.also)


def _touched(before: History, after: History, planned: set[int]) -> list[str]:
    """Rows that were there before and are gone or others now, beside those whose ranks were planned."""
    rows = {row.rank: row for row in after.rows}
    told = []
    for row in before.rows:
        now = rows.get(row.rank)
        if row.rank in planned or (now is not None and _values(now) == _values(row)):
            continue
        if now is None:
            told.append(f"{_row(row)} is gone, which was not planned")
        elif now.checksum != row.checksum:
            told.append(f"{_row(row)} was rewritten, which was not planned: checksum {row.checksum} to {now.checksum}")
        else:
            told.append(f"{_row(row)} was rewritten, which was not planned")
    return told[:5]


def not_repaired(plan: Plan, before: History, after: History) -> str:
    """How the history after a repair differs from the plan, in one sentence; empty when it does not."""
    rows = {row.rank: row for row in after.rows}
    known = {row.rank: row for row in before.rows}
    removed = {row.rank: row for row in plan.repair.removed}
    kept = [rank for rank, row in removed.items() if rank in rows and _values(rows[rank]) == _values(row)]
    told = [f"the failed row {_row(removed[rank])} is still there" for rank in kept]
    realigned = {each.info.row.rank for each in plan.repair.realigned if each.info.row}
    told += _touched(before, after, realigned | removed.keys())
    # the rank of a removed row is used again
    added = [row for rank, row in rows.items() if rank not in known or (rank in removed and rank not in kept)]
    told += [f"{_row(row)} was added, which was not planned" for row in added if row.type != "DELETE"]
    marked = [_said_of(row) for row in added if row.type == "DELETE"]
    wanted = [_said_of(info.row) for info in plan.repair.deleted if info.row]
    told += [f"{' '.join(each)} is not marked as deleted" for each in wanted if each not in marked]
    told += [f"{' '.join(each)} is marked as deleted, which was not planned" for each in marked if each not in wanted]
    for each in plan.repair.realigned:
        now = rows.get(each.info.row.rank) if each.info.row else None
        if now is None or (now.checksum, now.type, now.description) != (each.checksum, each.type, each.description):
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


_STANDBY = (
    "the server is a standby, which nobody can write to, and which does not know who migrates on the primary: name the "
    "primary, with several hosts by targetServerType=primary in a jdbc: url or target_session_attrs=primary in libpq's"
)


def _absent(history: History, command: str, allowed: bool) -> list[tuple[str, str]]:
    """A schema or a history that is not there is more often a wrong name than a first migration."""
    if history.exists not in ("no_schema", "no_table"):
        return []
    others = history.table_found.elsewhere
    there = (
        f"; there are histories elsewhere in it: {', '.join(others[:8])}{' ...' if len(others) > 8 else ''}"
        if others
        else ""
    )
    told = f"{history.problem}{there}. Are schema, table and database those of the service?"
    if history.table_found.occupied:
        return [("new_history", f"{told} A history cannot be made under that name")]
    if command == REPAIR:
        return [("new_history", f"{told} Without a history there is nothing to repair")]
    if not allowed:
        return [("new_history", f"{told} Only if this is the first migration of all, set allow_new_history")]
    return []


def _never_run(history: History, command: str, allowed: bool) -> list[tuple[str, str]]:
    """Migrations that a new baseline would skip for good, although what they make is not there."""
    absent = [each for each in history.would_skip if each.absent]
    if allowed or command != MIGRATE or not absent:
        return []
    told = "; ".join(_skipped(each) for each in absent[:5])
    return [
        (
            "passed_over",
            f"schema {history.schema} is not empty, so that a baseline would be made at {history.settings.baseline_version}, "
            f"and Flyway would report success and never run {told}. Set baseline_version to 0 to have them run, or "
            "allow_passed_over if what they do is not needed",
        )
    ]


def _skipped(each: Skipped) -> str:
    names = ", ".join(each.absent[:8]) + (" ..." if len(each.absent) > 8 else "")
    what = f"and its tables are not there: {names}" if each.absent else "whose tables are there"
    return f"{each.info.name} ({each.info.script}, {what if each.tables else 'which makes no table to look for'})"


def _out_of_reach(history: History, command: str, kind: str) -> list[tuple[str, str]]:
    """Files that the tool would not see, or may see in another state than we do."""
    if kind == "command":
        return []
    archived = [each.filepath for each in history.resolved if any(mark in each.filepath for mark in _ARCHIVED)]
    if archived:
        return [
            (
                "locations",
                f"{archived[0]} lies in the archive of an application, where a tool of kind {kind} does not look: unpack it "
                "and name the folder with filesystem:, or let the application migrate itself (kind command)",
            )
        ]
    parsed = locations.distinct(history.settings.locations, history.settings.working_directory)
    built = [each.descriptor for each in parsed if each.prefix == locations.CLASSPATH]
    if built and command == REPAIR and kind in ("maven", "gradle"):
        return [
            (
                "locations",
                f"{kind} looks for {built[0]} in what it built last, so that a repair could give rows the checksums of old "
                "files, or mark as deleted what was not built: name the folder of the sources with filesystem:",
            )
        ]
    return []


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
        "checksum": info.resolved.checksum if info.resolved and not info.resolved.moving else None,
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
    checksum = _migration(info)["checksum"]
    return f"{info.name} {info.description}: {info.script} ({info.type}, checksum {checksum})"


def _row(row: Row | None) -> str:
    return f"{row.version_text or row.description} ({row.script or row.type}, rank {row.rank})" if row else ""

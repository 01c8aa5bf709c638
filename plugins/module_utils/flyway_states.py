# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rows and files brought together: the state of every migration, by Flyway's rules and in its order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cmp_to_key

from . import flyway_types as types
from .flyway_resolve import Resolved
from .flyway_table import Row
from .flyway_version import CURRENT, EMPTY, NEXT, Version

UNKNOWN_TYPE = "Unknown Type"


class CorruptHistory(Exception):
    """Rows that contradict each other; Flyway stops at them."""


@dataclass
class Info:
    """One line of ``flyway info``: a row, a file, or both."""

    row: Row | None
    resolved: Resolved | None
    out_of_order: bool = False
    deleted: bool = False
    undone: bool = False
    state: str = ""

    @property
    def version(self) -> Version | None:
        return self.row.version if self.row else self.resolved.version if self.resolved else None

    @property
    def description(self) -> str:
        return self.row.description if self.row else self.resolved.description if self.resolved else ""

    @property
    def type(self) -> str:
        return self.row.type if self.row else self.resolved.type if self.resolved else ""

    @property
    def script(self) -> str:
        return self.row.script if self.row else self.resolved.script if self.resolved else ""

    @property
    def filepath(self) -> str:
        return self.resolved.filepath if self.resolved else ""

    @property
    def name(self) -> str:
        """What people call it: its version, or the description of a repeatable one."""
        return str(self.version) if self.version else self.description

    @property
    def category(self) -> str:
        if self.type in types.SYNTHETIC:
            return ""
        if self.version is None:
            return "Repeatable"
        return "Undo" if self.type in types.UNDO else "Baseline" if self.type in types.BASELINES else "Versioned"

    @property
    def checksum_status(self) -> str:
        """match, mismatch, indeterminate (a placeholder is unknown), unverifiable (a program), or empty."""
        if not self.row or self.type in types.SYNTHETIC or self.row.problem:
            return ""
        if self.resolved is None:
            return "unverifiable" if self.type in types.PROGRAMS else ""
        applied, resolved = self.row.checksum, self.resolved
        if applied is None and resolved.checksum is not None:
            return ""
        if applied == resolved.checksum or applied in (resolved.raw, *resolved.also):
            return "unverifiable" if resolved.type in types.PROGRAMS else "match"
        if resolved.unknown:
            return "unverifiable" if resolved.type in types.PROGRAMS else "indeterminate"
        return "mismatch"


@dataclass
class Calculation:
    """All migrations in order, and what was gathered on the way."""

    infos: list[Info] = field(default_factory=list)
    applied_baseline: Version | None = None
    pending_baseline: Version | None = None
    last_resolved: Version = EMPTY
    last_applied: Version = EMPTY
    latest_runs: dict[str, int] = field(default_factory=dict)
    target: Version | None = None
    out_of_order: bool = False

    @property
    def current(self) -> Info | None:
        """The newest version that is applied, or else the repeatable migration that ran last."""
        valid = [
            info
            for info in self.infos
            if info.state in types.APPLIED and info.state not in (types.DELETED, types.UNDONE) and info.type != "DELETE"
        ]
        versioned = [info for info in valid if info.version is not None]
        if versioned:
            return max(versioned, key=lambda info: info.version or EMPTY)
        return valid[-1] if valid else None

    def of_state(self, *states: str) -> list[Info]:
        return [info for info in self.infos if info.state in states]


def calculate(
    rows: Iterable[Row], migrations: Iterable[Resolved], target: Version | None = None, out_of_order: bool = False
) -> Calculation:
    """The state of each. Raises CorruptHistory."""
    rows = list(rows)
    sound = [row for row in rows if not row.problem]
    resolved = [*migrations, *_supposed(sound, migrations)]
    result = Calculation(target=target, out_of_order=out_of_order)
    by_version: dict[tuple[Version | None, str], Resolved] = {
        (each.version, each.type): each for each in resolved if each.version is not None
    }
    by_description = {each.description: each for each in resolved if each.version is None}
    result.last_resolved = max((each.version for each in resolved if each.version is not None), default=EMPTY)
    versioned, repeatable = _versioned(sound, result), _repeatable(sound)
    _mark_order(versioned, result)
    if target is CURRENT:
        result.target = result.last_applied
    for info in versioned:
        info.resolved = by_version.get((info.version, info.type))
    waiting = _waiting_versions(versioned, by_version, result)
    for info in repeatable:
        info.resolved = by_description.get(info.description)
        if info.row and info.row.rank > result.latest_runs.get(info.description, -1):
            result.latest_runs[info.description] = info.row.rank
    waiting += _waiting_repeatable(repeatable, by_description, result)
    odd = [Info(row, None, state=UNKNOWN_TYPE) for row in rows if row.problem]
    result.infos = versioned + waiting + repeatable
    for info in result.infos:
        info.state = _state(info, result)
    result.infos = sorted(result.infos + odd, key=cmp_to_key(_order))
    if target is NEXT:
        first = next((info for info in result.infos if info.state == types.PENDING), None)
        result.target = first.version if first else None
        for info in result.infos:
            info.state = info.state if info in odd else _state(info, result)
    return result


def _supposed(rows: list[Row], migrations: Iterable[Resolved]) -> list[Resolved]:
    """Java migrations behind rows. Their classes need not lie where we can look, so they are taken to be there."""
    versions = {(each.version, each.type) for each in migrations if each.version is not None}
    descriptions = {each.description for each in migrations if each.version is None}
    found: dict[tuple[Version | None, str, str], Resolved] = {}
    for row in rows:
        known = (row.version, row.type) in versions if row.version is not None else row.description in descriptions
        if row.type in types.PROGRAMS and not known:
            key = (row.version, row.type, row.description if row.version is None else "")
            found[key] = Resolved(
                row.version,
                row.description,
                row.script,
                row.type,
                row.checksum,
                baseline_file=row.type in types.BASELINES,
                unknown="a Java migration cannot be looked at from here",
                supposed=True,
            )
    return list(found.values())


def _versioned(rows: list[Row], result: Calculation) -> list[Info]:
    found: list[Info] = []
    for row in rows:
        version = row.version
        if row.type in types.PAID_UNDO and row.success:
            _undo(version, found)
        if version is None:
            continue
        if row.type in types.BASELINES and (result.applied_baseline is None or version > result.applied_baseline):
            result.applied_baseline = version
        if row.type == "DELETE" and row.success:
            _delete(version, found)
            continue
        found.append(Info(row, None))
    return found


def _undo(version: Version | None, found: list[Info]) -> None:
    for info in reversed(found):
        if info.version == version and info.type not in types.SYNTHETIC | types.UNDO and not info.undone:
            info.undone = True
            return


def _delete(version: Version, found: list[Info]) -> None:
    for info in reversed(found):
        if info.type not in types.SYNTHETIC and info.version == version:
            if info.deleted:
                raise CorruptHistory(f"Corrupted schema history: multiple delete entries for version {version}")
            info.deleted = True
            return


def _repeatable(rows: list[Row]) -> list[Info]:
    found: list[Info] = []
    for row in rows:
        if row.version is not None or row.type in types.PAID_UNDO:
            continue
        found.append(Info(row, None))
        if row.type == "DELETE" and row.success:
            for info in reversed(found):
                if info.type not in types.SYNTHETIC and info.description == row.description:
                    info.deleted = True
                    break
    return found


def _mark_order(versioned: list[Info], result: Calculation) -> None:
    for info in versioned:
        version = info.version or EMPTY
        if version <= result.last_applied:
            info.out_of_order = True
        elif info.type != "DELETE" and info.type not in types.PAID_UNDO and not info.deleted and not info.undone:
            result.last_applied = version


def _waiting_versions(
    versioned: list[Info], by_version: dict[tuple[Version | None, str], Resolved], result: Calculation
) -> list[Info]:
    done = {
        (info.version, info.type)
        for info in versioned
        if not info.deleted and not info.undone and info.type != "DELETE"
    }
    waiting = [each for key, each in by_version.items() if key not in done and not each.supposed]
    for each in waiting:
        newer = result.pending_baseline is None or (each.version or EMPTY) > result.pending_baseline
        if each.type in types.BASELINES and newer:
            result.pending_baseline = each.version
    return [Info(None, each) for each in waiting]


def _waiting_repeatable(repeatable: list[Info], by_description: dict[str, Resolved], result: Calculation) -> list[Info]:
    done = {
        info.description
        for info in repeatable
        if info.row
        and info.resolved
        and not info.deleted
        and info.type != "DELETE"
        and info.row.rank == result.latest_runs[info.description]
        and info.resolved.matches(info.row.checksum)
    }
    return [Info(None, each) for key, each in by_description.items() if key not in done and not each.supposed]


def _state(info: Info, context: Calculation) -> str:
    if info.undone:
        return types.UNDONE
    if info.deleted:
        return types.DELETED
    if info.row is not None:
        return _applied(info, info.row, context)
    return _waiting(info.resolved, context) if info.resolved else UNKNOWN_TYPE


def _waiting(migration: Resolved, context: Calculation) -> str:
    if not migration.should_execute:
        return types.IGNORED
    state = _resolved(migration, context)
    if migration.baseline_file:
        begun = context.applied_baseline is not None or context.last_applied is not EMPTY
        if state == types.PENDING and begun:
            return types.IGNORED
        if state == types.BASELINE_IGNORED and migration.version == context.pending_baseline and not begun:
            return types.PENDING
    return state


def _resolved(migration: Resolved, context: Calculation) -> str:
    version = migration.version
    if version is None:
        return types.PENDING
    baseline = context.pending_baseline if context.last_applied is EMPTY else context.applied_baseline
    if baseline is not None and version <= baseline:
        return types.BELOW_BASELINE if version < baseline else types.BASELINE_IGNORED
    if context.target is not None and context.target is not NEXT and version > context.target:
        return types.ABOVE_TARGET
    if version < context.last_applied and not context.out_of_order:
        return types.IGNORED
    return types.PENDING


def _applied(info: Info, row: Row, context: Calculation) -> str:
    if row.type == "DELETE" or (row.type in types.PAID_UNDO and row.success):
        return types.SUCCESS
    if row.type in types.BASELINES:
        if row.type == "BASELINE":
            return types.BASELINE
        return types.FAILED if not row.success else _absent(info, row, context) or types.BASELINE
    absent = _absent(info, row, context)
    if absent:
        return absent
    if not row.success:
        return types.FAILED
    if row.type == "SCHEMA":
        return types.SUCCESS
    if row.version is None:
        if row.rank != context.latest_runs.get(row.description):
            return types.SUPERSEDED
        fits = info.resolved is not None and info.resolved.matches(row.checksum)
        return types.SUCCESS if fits else types.OUTDATED
    return types.OUT_OF_ORDER if info.out_of_order else types.SUCCESS


def _absent(info: Info, row: Row, context: Calculation) -> str | None:
    """Missing or Future, when no file stands behind the row; only the newest run of a repeatable one is judged."""
    if info.resolved is not None:
        return None
    if row.version is None and context.latest_runs.get(row.description, row.rank) != row.rank:
        return None
    if row.type == "SCHEMA":
        return types.SUCCESS
    if row.version is None or row.version < context.last_resolved:
        return types.MISSING if row.success else types.MISSING_FAILED
    return types.FUTURE if row.success else types.FUTURE_FAILED


def _order(one: Info, other: Info) -> int:
    """Rows by rank, with what lies below the baseline before them and what waits behind them."""
    if one.row and other.row:
        return one.row.rank - other.row.rank
    applied = types.APPLIED | {UNKNOWN_TYPE}
    if one.state in types.BELOW and other.state in applied:
        return -1
    if one.state in applied and other.state in types.BELOW:
        return 1
    if one.row or other.row:
        return -1 if one.row else 1
    return _order_waiting(one, other)


def _order_waiting(one: Info, other: Info) -> int:
    if one.version is not None and other.version is not None:
        if one.version != other.version:
            return -1 if one.version < other.version else 1
        for kinds in (types.UNDO, types.BASELINES):  # both go behind the regular one of their version
            if (one.type in kinds) != (other.type in kinds):
                return 1 if one.type in kinds else -1
        return 0
    if (one.version is None) != (other.version is None):
        return -1 if one.version is not None else 1
    mine, theirs = one.description.encode("utf-16-be"), other.description.encode("utf-16-be")
    return -1 if mine < theirs else int(mine > theirs)

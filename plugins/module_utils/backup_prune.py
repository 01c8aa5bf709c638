# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module pg_backup_prune: delete old sets, and never the one that would be needed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import backup_catalog, backup_lock
from .argspec import ArgumentSpec
from .backup_catalog import BackupSet
from .backup_set import PRUNED
from .errors import InputError, RefusedError, RunbookError
from .operation import Context

LEAST_DAYS = 14
DAY = 24 * 3600.0

SPEC = ArgumentSpec(
    options={
        "set": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "retention_days": {"type": "float", "required": True},
        "keep_minimum": {"type": "int", "default": 3},
        "max_delete": {"type": "int", "default": 10},
        "verify": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 600.0},
    }
)


@dataclass
class Plan:
    """What is deleted, the oldest first, and what stays with the reason."""

    delete: list[BackupSet] = field(default_factory=list)
    keep: list[tuple[BackupSet, str]] = field(default_factory=list)

    def as_dict(self, now: float) -> dict[str, Any]:
        return {
            "delete": [_row(item, now) for item in self.delete],
            "keep": [{**_row(item, now), "reason": reason} for item, reason in self.keep[:1000]],
            "delete_bytes": sum(item.bytes for item in self.delete),
        }


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    _check(params)
    folder = backup_catalog.folder_of(params["directory"], params["set"])
    if context.check_mode or not os.path.isdir(folder):
        planned = _planned(params, context)
        left = backup_lock.leftovers(folder, context.clock.now())
        return _result(planned, left, context)
    with backup_lock.alone(folder):
        planned = _planned(params, context)
        left = backup_lock.clear(folder, context.clock.now())
        for item in planned.delete:
            context.deadline.within(1.0, f"deleting {item.id}")
            _delete(item)
    return _result(planned, left, context)


def plan(found: Sequence[BackupSet], now: float, retention_days: float, keep_minimum: int, max_delete: int) -> Plan:
    """Which of the sets, given newest first, may go. ``keep_minimum`` good ones stay whatever their age."""
    made = Plan()
    good = 0
    old: list[BackupSet] = []
    for item in found:
        age = item.age_seconds(now)
        if age is None:
            made.keep.append((item, "its name and manifest tell no time: look at it and remove it by hand"))
        elif item.future(now):
            made.keep.append((item, "it is dated in the future: a clock was moved"))
        elif item.good and good < keep_minimum:
            good += 1
            made.keep.append((item, f"it is one of the newest {keep_minimum} whole sets"))
        elif age <= retention_days * DAY:
            good += item.good
            made.keep.append((item, f"it is not older than {retention_days:g} days"))
        else:
            old.append(item)
    old.reverse()
    made.delete = old[:max_delete]
    made.keep += [(item, f"max_delete is {max_delete}: it goes in a later run") for item in old[max_delete:]]
    return made


def _planned(params: Mapping[str, Any], context: Context) -> Plan:
    now = context.clock.now()
    found = backup_catalog.sets(params["directory"], params["set"])
    made = plan(found, now, params["retention_days"], params["keep_minimum"], params["max_delete"])
    if made.delete:
        _refuse_without_a_good_one([item for item in found if not item.future(now)], params, context)
    return made


def _refuse_without_a_good_one(past: Sequence[BackupSet], params: Mapping[str, Any], context: Context) -> None:
    """The newest set has to be whole before any older one goes."""
    newest = past[0]

    def step(read: int) -> None:
        context.deadline.within(1.0, f"reading {newest.id}")

    if params["verify"]:
        newest.verify(step)
    if not newest.good:
        raise RefusedError(
            f"the newest set {newest.id} is not whole ({newest.problems[0]}): nothing is deleted while an older one may "
            "be needed. Make a new backup first"
        )


def _delete(item: BackupSet) -> None:
    """Renamed first: a set that is being deleted is no set any more, also when this is cut off."""
    folder, name = os.path.split(item.folder)
    doomed = os.path.join(folder, PRUNED + name)
    with backup_lock.unused(item.folder):
        try:
            os.rename(item.folder, doomed)
        except OSError as error:
            raise RunbookError(f"{item.folder} cannot be deleted: {error.strerror}") from error
    backup_lock.remove(doomed)  # once its lock is closed: NFS keeps a file that is open


def _result(planned: Plan, left: backup_lock.Leftovers, context: Context) -> dict[str, Any]:
    return {
        "changed": bool(planned.delete or left.removed),
        "plan": planned.as_dict(context.clock.now()),
        "deleted": [] if context.check_mode else [item.id for item in planned.delete],
        "removed_leftovers": left.removed,
        "kept_leftovers": left.kept,
    }


def _row(item: BackupSet, now: float) -> dict[str, Any]:
    age = item.age_seconds(now)
    return {
        "id": item.id,
        "age_days": None if age is None else round(age / DAY, 2),
        "bytes": item.bytes,
        "problems": item.problems[:3],
    }


def _check(params: Mapping[str, Any]) -> None:
    if not LEAST_DAYS < params["retention_days"] <= 36_500:
        raise InputError(
            f"retention_days is {params['retention_days']:g}; backups are kept for more than {LEAST_DAYS} days: give at "
            f"least {LEAST_DAYS + 1}"
        )
    for name, least, most in (("keep_minimum", 1, 1000), ("max_delete", 1, 1000)):
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]}; it must be from {least} to {most}")

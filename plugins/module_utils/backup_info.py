# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module pg_backup_info: is there a backup, young enough, whole, of every database, and kept long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import backup_catalog, backup_plan, databases
from .argspec import ArgumentSpec
from .backup_catalog import BackupSet
from .backup_plan import Identity
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Status, report, status_of
from .errors import DeadlineError, InputError
from .operation import Context
from .postgres import PostgresError

MOST_LISTED = 1000
HOUR = 3600.0
DAY = 24 * HOUR

SPEC = ArgumentSpec(
    options={
        "set": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "max_age_hours": {"type": "float", "required": True},
        "retention_days": {"type": "float"},
        "databases": {"type": "list", "elements": "str", "default": []},
        "verify": {"type": "bool", "default": True},
        "timeout": {"type": "float", "default": 600.0},
    }
).merge(databases.spec("sources"))


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    if params["max_age_hours"] <= 0:
        raise InputError(f"max_age_hours is {params['max_age_hours']:g}; it must be more than 0")
    if params["retention_days"] is not None and params["retention_days"] <= 0:
        raise InputError(f"retention_days is {params['retention_days']:g}; it must be more than 0")
    names = _names(params)
    now = context.clock.now()
    found = backup_catalog.sets(params["directory"], params["set"])
    left = backup_catalog.leftovers(params["directory"], params["set"])
    future = [item for item in found if item.future(now)]
    past = [item for item in found if not item.future(now)]
    asked = _asked(params, context)
    whole = _whole(past, params, context)
    newest = next((item for item in past if item.good), None)
    checks = [
        _age(newest, now, params),
        whole,
        _databases(newest, names, params["set"]),
        _sources(newest, asked, params["set"]),
        _content(newest, params["set"]),
        _clock(future, params["set"]),
        _leftovers(left, params["set"]),
    ]
    if params["retention_days"] is not None:
        checks.append(_retention([item for item in past if item.good], now, params))
    return report(
        checks,
        _findings(checks, params["set"]),
        newest=_row(newest, now) if newest else None,
        sets=[_row(item, now) for item in found[:MOST_LISTED]],
        total=len(found),
        leftovers=left[:MOST_LISTED],
    )


def _age(newest: BackupSet | None, now: float, params: Mapping[str, Any]) -> Check:
    title, expected = "the newest whole backup is young", f"at most {params['max_age_hours']:g} h"
    if newest is None:
        hint = "There is no whole backup in this folder. Make one now; see the reasons in the list of sets."
        return _check(f"backup_age.{params['set']}", title, FAIL, "none", expected, hint)
    hours = (newest.age_seconds(now) or 0.0) / HOUR
    hint = "Measured from the moment the backup was begun. What a restore would lose is told by the markers."
    young = hours <= params["max_age_hours"]
    if not young:
        hint = "Does the schedule still run, and into this folder?"
    return _check(f"backup_age.{params['set']}", title, status_of(young), f"{max(0.0, hours):.1f} h", expected, hint)


def _whole(past: Sequence[BackupSet], params: Mapping[str, Any], context: Context) -> Check:
    """The newest set, whole by its files; read again when that is asked for."""
    name, title, expected = (
        f"backup_whole.{params['set']}",
        "the newest backup is whole",
        "every file as in the manifest",
    )
    if not past:
        return _check(name, title, UNVERIFIED, None, expected, "There is none in this folder.")
    newest = past[0]
    hint = "Read again and compared by sha256. Whether it can be restored is shown by a restore only."

    def step(read: int) -> None:
        context.deadline.within(1.0, f"reading {newest.id}")

    if params["verify"] and newest.good:
        try:
            newest.verify(step)
        except DeadlineError as error:
            return _check(name, title, UNVERIFIED, "not read to the end", expected, error.message)
    elif newest.good:
        hint = "Only the sizes of the files were compared: set verify to read them."
        return _check(name, title, UNVERIFIED, newest.id, expected, hint)
    if newest.problems:
        told = "; ".join(newest.problems[:5])
        return _check(name, title, FAIL, told, expected, "Make a new backup, and look at the disk.")
    return _check(name, title, PASS, newest.id, expected, hint)


def _names(params: Mapping[str, Any]) -> list[str]:
    """The databases that have to be in the set: those that are named, and those that are asked."""
    asked = [item["name"] for item in params["sources"] or []]
    return list(dict.fromkeys([*params["databases"], *asked]))


def _databases(newest: BackupSet | None, wanted: Sequence[str], set_name: str) -> Check:
    name, title = f"backup_databases.{set_name}", "every database is in the backup"
    expected = ", ".join(wanted) or "databases are not named"
    if newest is None:
        return _check(name, title, UNVERIFIED, None, expected, "There is no whole backup to look into.")
    there = [saved.name for saved in newest.databases]
    missing = sorted(set(wanted) - set(there))
    if missing:
        return _check(
            name, title, FAIL, f"missing: {', '.join(missing)}", expected, "Add it to the task that backs up."
        )
    hint = "By the names in the manifest."
    if not wanted:
        return _check(name, title, UNVERIFIED, ", ".join(there), expected, "Name what has to be there: databases.")
    return _check(name, title, PASS, ", ".join(there), expected, hint)


def _asked(params: Mapping[str, Any], context: Context) -> list[tuple[str, Identity | PostgresError]]:
    """Which databases the sources are now, each by its name; nothing is asked where none is named."""
    if not params["sources"]:
        return []
    wanted = databases.of(params, "sources")
    answers = databases.each(wanted, params, context, lambda session, _database: backup_plan.identity(session))
    return [(database.name, answer) for database, answer in zip(wanted, answers, strict=True)]


def _sources(newest: BackupSet | None, asked: Sequence[tuple[str, Identity | PostgresError]], set_name: str) -> Check:
    """The backup is of the databases that run, and not of those of another server that writes into the same set."""
    name, title = f"backup_source.{set_name}", "the backup is of the databases that run"
    expected = "the same servers and databases"
    if not asked:
        hint = (
            "Name the databases that are to be asked: sources. A set that two deployments share is not noticed without."
        )
        return _check(name, title, UNVERIFIED, "no database was asked", expected, hint)
    others: list[str] = []
    unknown: list[str] = []
    for database, answer in asked:
        saved = newest.manifest.saved(database) if newest and newest.manifest else None
        if isinstance(answer, PostgresError):
            unknown.append(f"{database}: {answer.message}")
        elif saved is None:
            unknown.append(f"{database} has no whole backup")
        elif why := saved.other_source(answer.dbname, answer.system_identifier):
            others.append(why)
        elif None in (saved.system_identifier, answer.system_identifier):
            unknown.append(f"{database}: the identifier of its server may not be read")
    if others:
        hint = (
            "Two deployments share this set, or the server was rebuilt since: restore only what you have looked at, and "
            "make a new backup."
        )
        return _check(name, title, FAIL, "; ".join(others[:5]), expected, hint)
    if unknown:
        hint = "Whether the backup is of these databases is not known."
        return _check(name, title, UNVERIFIED, "; ".join(unknown[:5]), expected, hint)
    hint = "By the names of the databases and the system identifiers of their servers."
    return _check(name, title, PASS, ", ".join(database for database, _answer in asked), expected, hint)


def _content(newest: BackupSet | None, name: str) -> Check:
    title, expected = "the databases have tables", "at least one table in each"
    if newest is None:
        return _check(f"backup_content.{name}", title, UNVERIFIED, None, expected, "There is no whole backup.")
    empty = [saved.name for saved in newest.databases if not saved.own_tables]
    told = ", ".join(
        f"{saved.name}: {saved.own_tables} tables, {saved.content.rows} rows" for saved in newest.databases
    )
    if empty:
        hint = f"{', '.join(empty)}: 0 tables. That is a valid backup of an empty database: is it the right one?"
        return _check(f"backup_content.{name}", title, FAIL, told, expected, hint)
    return _check(f"backup_content.{name}", title, PASS, told, expected, "As counted in the snapshot of the dump.")


def _clock(future: Sequence[BackupSet], name: str) -> Check:
    title, expected = "no backup is dated in the future", "none"
    if not future:
        return _check(f"backup_clock.{name}", title, PASS, "none", expected, "A clock that ran late is not seen so.")
    hint = "The clock of this machine or of the one that backs up was moved. The age of such a set is not known."
    told = ", ".join(item.id for item in future[:5])
    return _check(f"backup_clock.{name}", title, FAIL, told, expected, hint)


def _leftovers(left: Sequence[str], name: str) -> Check:
    title, expected = "no run was cut off", "no unfinished folder"
    if not left:
        return _check(f"backup_leftovers.{name}", title, PASS, "none", expected, "Every run ended by itself.")
    hint = (
        "A backup is under way now, or one was killed; a later backup removes what is dead, also that of another machine "
        "once its run must have ended."
    )
    return _check(f"backup_leftovers.{name}", title, UNVERIFIED, ", ".join(left[:5]), expected, hint)


def _retention(good: Sequence[BackupSet], now: float, params: Mapping[str, Any]) -> Check:
    """Sets are kept long enough: the oldest is as old as the schedule allows, one interval short of the whole time."""
    name, title = f"backup_retention.{params['set']}", "backups are kept long enough"
    expected = f"at least {params['retention_days']:g} days"
    if not good:
        return _check(name, title, UNVERIFIED, None, expected, "There is no whole backup.")
    days = max(0.0, (good[-1].age_seconds(now) or 0.0) / DAY)
    told = f"{len(good)} whole sets, the oldest of {days:.1f} days ago"
    if days >= params["retention_days"] - params["max_age_hours"] / 24:
        return _check(name, title, PASS, told, expected, "The oldest whole set; gaps between sets are not looked for.")
    hint = "Either backups began then, or older ones were deleted: a folder does not tell which."
    return _check(name, title, UNVERIFIED, told, expected, hint)


def _findings(checks: Sequence[Check], name: str) -> list[Finding]:
    failed = {check.id.split(".")[0]: check.id for check in checks if check.status == FAIL}
    causes = {
        "no_backup": ("backup_age",),
        "backup_broken": ("backup_whole",),
        "database_missing": ("backup_databases",),
        "backup_of_another_server": ("backup_source",),
        "backup_empty": ("backup_content",),
        "clock_moved": ("backup_clock",),
    }
    return [
        Finding(cause, "seen", [failed[check] for check in ids if check in failed], [f"recovery of {name}"])
        for cause, ids in causes.items()
        if any(check in failed for check in ids)
    ]


def _row(item: BackupSet, now: float) -> dict[str, Any]:
    age = item.age_seconds(now)
    return {
        "id": item.id,
        "folder": item.folder,
        "started_at": item.manifest.started_at if item.manifest else None,
        "finished_at": item.manifest.finished_at if item.manifest else None,
        "age_hours": None if age is None else round(age / HOUR, 2),
        "bytes": item.bytes,
        "databases": [saved.name for saved in item.databases],
        "encrypted": any(saved.encrypted for saved in item.databases),
        "skew_ms": item.manifest.skew_ms if item.manifest else None,
        "future": item.future(now),
        "verified": item.verified,
        "problems": item.problems[:10],
    }


def _check(name: str, title: str, status: Status, observed: Any, expected: str, hint: str) -> Check:
    return Check(name, title, status, observed, expected, hint, "Backup")

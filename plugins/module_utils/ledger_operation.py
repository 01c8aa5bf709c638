# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module backoffice_ledger: scan, quarantine, restore."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from . import ledger_plan, ledger_repair, ledger_report, ledger_restore, ledger_scan, ledger_snapshot
from .argspec import ArgumentSpec
from .errors import InputError
from .ledger_file import LedgerError, LedgerFile
from .ledger_guard import Guard, address_of, alone
from .ledger_quarantine import Places
from .ledger_rules import FATAL, SILENT, SKIPPED
from .ledger_scan import Scan
from .operation import Context

MOST_QUARANTINED = 1000
MOST_LISTED = 1000
SHOWN_FROM_BYTES = 64 * 1024 * 1024  # a smaller ledger is read before anyone could read the line

SPEC = ArgumentSpec(
    options={
        "path": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["scanned", "quarantined", "restored"], "default": "scanned"},
        "snapshot_path": {"type": "path"},
        "classes": {
            "type": "list",
            "elements": "str",
            "choices": [FATAL, SKIPPED, SILENT],
            "default": [FATAL, SKIPPED],
        },
        "max_quarantined": {"type": "int", "default": 10},
        "max_listed": {"type": "int", "default": 50},
        "quarantine_dir": {"type": "path"},
        "backup_dir": {"type": "path"},
        "backup": {"type": "path"},
        "expected_plan": {"type": "str"},
        "check_writer": {"type": "bool", "default": False},
        "service_stopped": {"type": "bool", "default": False},
        "service_url": {"type": "str"},
        "timeout": {"type": "int", "default": 300},
    },
    required_if=(("state", "restored", ("backup",)),),
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    _check(params)
    return _STATES[params["state"]](params, context)


def _scanned(params: dict[str, Any], context: Context) -> dict[str, Any]:
    try:
        ledger = LedgerFile(params["path"])
    except LedgerError as error:
        return ledger_report.unreadable(error)
    with ledger:
        found = _scan(ledger, params, context)
        snapshot = ledger_snapshot.read(params["snapshot_path"], ledger.path)
        writer = ledger_report.writer(ledger) if params["check_writer"] else None
        return ledger_report.scanned(ledger, found, snapshot, params["max_listed"], writer)


def _quarantined(params: dict[str, Any], context: Context) -> dict[str, Any]:
    guard = _guard(params)
    with LedgerFile(params["path"]) as ledger:
        places = Places.of(ledger.path, params["backup_dir"], params["quarantine_dir"])
        if context.check_mode:
            plan = _plan(ledger, params, context)
            blockers = guard.blockers(ledger.identity) if plan.changes else []
            return {**_result(plan, context, blockers), "counts": plan.counts}
        with alone(ledger):
            snapshot = ledger_snapshot.read(params["snapshot_path"], ledger.path)
            cleared = ledger_repair.clear_leftovers(ledger, places, snapshot.path)
            plan = _plan(ledger, params, context)
            result = {**_result(plan, context, []), "counts": plan.counts, "cleared": cleared}
            if not plan.changes:
                return result
            done = ledger_repair.quarantine(ledger, plan, places, guard, context)
    if done.attributes_lost:
        context.warn(f"{plan.ledger} lost the extended attributes {', '.join(done.attributes_lost)}: set them again.")
    return {
        **result,
        "backup": done.backup,
        "quarantine": done.quarantine,
        "snapshot_moved_to": done.snapshot_moved_to,
    }


def _restored(params: dict[str, Any], context: Context) -> dict[str, Any]:
    guard = _guard(params)
    backup = os.path.realpath(params["backup"])
    with LedgerFile(params["path"]) as ledger:
        places = Places.of(ledger.path, os.path.dirname(backup), params["quarantine_dir"])
        if context.check_mode:
            plan = ledger_restore.plan(ledger, backup, places, context)
            return _result(plan, context, guard.blockers(ledger.identity) if plan.changes else [])
        with alone(ledger):
            snapshot = ledger_snapshot.read(params["snapshot_path"], ledger.path)
            cleared = ledger_repair.clear_leftovers(ledger, places, snapshot.path, keep=backup)
            plan = ledger_restore.plan(ledger, backup, places, context)
            moved = ledger_restore.restore(ledger, plan, guard, context) if plan.changes else None
        return {
            **_result(plan, context, []),
            "cleared": cleared,
            "backup": plan.backup,
            "quarantine": plan.quarantine,
            "snapshot_moved_to": moved,
        }


def _result(plan: ledger_plan.Plan | ledger_restore.Restore, context: Context, blockers: list[str]) -> dict[str, Any]:
    """What check mode and the real run return alike."""
    for blocker in blockers:
        context.warn(f"outside check mode this would be refused: {blocker}.")
    result: dict[str, Any] = {"changed": plan.changes, "plan": plan.as_dict(), "blockers": blockers, **_NOTHING_DONE}
    if context.diff and plan.changes:
        result["diff"] = plan.diff()
    return result


def _plan(ledger: LedgerFile, params: dict[str, Any], context: Context) -> ledger_plan.Plan:
    found = _scan(ledger, params, context)
    snapshot = ledger_snapshot.read(params["snapshot_path"], ledger.path)
    return ledger_plan.make(
        ledger, found, snapshot, params["classes"], params["max_quarantined"], params["expected_plan"]
    )


def _scan(ledger: LedgerFile, params: dict[str, Any], context: Context) -> Scan:
    ledger.settle(context.clock)
    size = max(1, ledger.size)

    def progress(read: int, bad: int) -> None:
        if size < SHOWN_FROM_BYTES:
            return
        megabytes = f"{read / 1e6:.0f} of {size / 1e6:.0f} MB"
        context.progress(f"{os.path.basename(ledger.path)}: {read * 100 // size} % ({megabytes}), {bad} bad lines")

    keep = max(params["max_listed"], params["max_quarantined"]) + 1
    return ledger_scan.scan(ledger.fd, ledger.size, keep, seconds=context.deadline.remaining(), progress=progress)


def _guard(params: dict[str, Any]) -> Guard:
    return Guard(params["service_stopped"], address_of(params["service_url"]))


def _check(params: dict[str, Any]) -> None:
    needed = ("path", "backup") if params["state"] == "restored" else ("path",)
    for name in ("path", "backup", "snapshot_path"):
        if not params[name] and name in needed:
            raise InputError(f"{name} is empty. Give the absolute path on the machine that holds the ledger.")
        if params[name] and not os.path.isabs(params[name]):
            raise InputError(
                f"{name} '{params[name]}' is relative. The service reads it relative to its own working directory: "
                "give the absolute path on its machine."
            )
    for name, most in (("max_quarantined", MOST_QUARANTINED), ("max_listed", MOST_LISTED)):
        if not 0 <= params[name] <= most:
            raise InputError(f"{name} is {params[name]}; it must be 0 to {most}.")
    if params["timeout"] < 1:
        raise InputError(f"timeout is {params['timeout']}; it must be at least 1 second.")


_NOTHING_DONE: dict[str, Any] = {"backup": None, "quarantine": None, "snapshot_moved_to": None, "cleared": []}
_STATES: dict[str, Callable[[dict[str, Any], Context], dict[str, Any]]] = {
    "scanned": _scanned,
    "quarantined": _quarantined,
    "restored": _restored,
}

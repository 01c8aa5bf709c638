# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Takes bad lines out of a ledger whose service is stopped.

The new ledger and the quarantine file are written whole and reach the disk; the old ledger gets a second name, which is
the backup; the snapshot is moved aside; the new ledger takes the name. Whoever is killed between two steps leaves the
old ledger in its place, and the next run clears the rest away. Without its snapshot the old ledger is just replayed as
a whole, so the snapshot goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

from . import ledger_quarantine
from .ledger_file import Identity, LedgerFile
from .ledger_guard import Guard, refuse, unchanged
from .ledger_holders import holders_of
from .ledger_newfile import PARTIAL, PARTIAL_PREFIX, NewFile, copy_attributes, mode_of, new_file
from .ledger_plan import Plan
from .ledger_quarantine import ASIDE, BACKUP, INCOMING, OUTGOING, QUARANTINE, Names, Places
from .ledger_swap import blocks, keep_name, move, require_space, settle, take_the_place, told
from .operation import Context


@dataclass(frozen=True)
class Done:
    backup: str
    quarantine: str
    snapshot_moved_to: str | None
    attributes_lost: list[str]


def quarantine(ledger: LedgerFile, plan: Plan, places: Places, guard: Guard, context: Context) -> Done:
    """Carry out the plan. Whatever fails, the old ledger stays in its place and what was begun is undone."""
    refuse(ledger, guard.blockers(ledger.identity))
    folder = os.path.dirname(ledger.path)
    require_space(folder, plan.size_after)
    names = Names.free(ledger.path, places, plan.snapshot.path, context)
    with (
        told(ledger),
        contextlib.ExitStack() as undo,
        new_file(folder, mode_of(ledger.status), like=ledger.status) as fresh,
    ):
        lost = copy_attributes(ledger.fd, fresh.fd)
        original, repaired = _write_repaired(ledger, plan, fresh, context)
        header = _header(ledger, plan, names, original, repaired, context)
        ledger_quarantine.write(ledger, plan, header, names.quarantine)
        undo.callback(os.unlink, names.quarantine)
        linked = _back_up(ledger, names.backup, context)
        undo.callback(os.unlink, names.backup)
        held = names.backup if linked else None
        if not linked and keep_name(ledger, names.outgoing):
            held = names.outgoing
            undo.callback(os.unlink, names.outgoing)
        unchanged(ledger)
        refuse(ledger, guard.blockers(ledger.identity))
        if plan.move_snapshot:
            move(plan.snapshot.path, names.aside)
            undo.callback(move, names.aside, plan.snapshot.path)
        take_the_place(fresh, ledger, names.incoming, undo)
    settle(ledger, guard, held)
    if held == names.outgoing:
        os.unlink(names.outgoing)
    return Done(names.backup, names.quarantine, names.aside if plan.move_snapshot else None, lost)


def clear_leftovers(ledger: LedgerFile, places: Places, snapshot_path: str, keep: str = "") -> list[str]:
    """Undo what a run that was killed half-way left behind, but for the backup ``keep``. Returns the paths cleared."""
    folder, name = os.path.split(ledger.path)
    cleared: list[str] = []
    begun = [*_matching(places.backup_dir, f"{name}.", BACKUP), *_matching(folder, f".{name}.", OUTGOING)]
    for path in begun:
        if path == keep or not Identity.of(os.stat(path)).same_file(ledger.identity):
            continue  # of a repair that was carried out
        stem = os.path.basename(path).removeprefix(".").removesuffix(BACKUP).removesuffix(OUTGOING)
        aside = f"{snapshot_path}.{stem.removeprefix(name + '.')}{ASIDE}"
        if os.path.exists(aside) and not os.path.exists(snapshot_path):
            move(aside, snapshot_path)
            cleared.append(aside)
        for leftover in (os.path.join(places.quarantine_dir, stem + QUARANTINE), path):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(leftover)
                cleared.append(leftover)
    return [*cleared, *_clear_hidden(ledger)]


def _clear_hidden(ledger: LedgerFile) -> Iterator[str]:
    folder, name = os.path.split(ledger.path)
    paths = [
        *_matching(folder, f".{name}.", INCOMING),
        *_matching(folder, f".{name}.", OUTGOING),
        *_matching(folder, PARTIAL_PREFIX, PARTIAL),
    ]
    for path in paths:
        identity = Identity.of(os.stat(path))
        if not holders_of(identity.device, identity.inode).writers:
            os.unlink(path)
            yield path


def _matching(folder: str, prefix: str, suffix: str) -> list[str]:
    names = sorted(name for name in os.listdir(folder) if name.startswith(prefix) and name.endswith(suffix))
    return [os.path.join(folder, name) for name in names]


def _write_repaired(ledger: LedgerFile, plan: Plan, fresh: NewFile, context: Context) -> tuple[str, str]:
    """Write what stays; returns the digests of the old and of the new content, read in the same pass."""
    original, repaired = hashlib.sha256(), hashlib.sha256()
    position = 0
    for begin, end in [*plan.kept_ranges(), (plan.size, plan.size)]:
        for block in blocks(ledger.fd, position, begin, context, "writing the new ledger"):
            original.update(block)
        for block in blocks(ledger.fd, begin, end, context, "writing the new ledger"):
            original.update(block)
            repaired.update(block)
            fresh.write(block)
        position = end
        context.progress(f"writing the new ledger: {end * 100 // max(1, plan.size)} %")
    if plan.terminate:
        repaired.update(b"\n")
        fresh.write(b"\n")
    return original.hexdigest(), repaired.hexdigest()


def _header(
    ledger: LedgerFile, plan: Plan, names: Names, original: str, repaired: str, context: Context
) -> dict[str, object]:
    return {
        "ledger": ledger.path,
        "backup": names.backup,
        "time": ledger_quarantine.time_of(context),
        "plan": plan.digest,
        "original": {"size_bytes": plan.size, "sha256": original},
        "repaired": {"size_bytes": plan.size_after, "sha256": repaired},
        "snapshot": {"path": plan.snapshot.path, "moved_to": names.aside if plan.move_snapshot else None},
        "lines": len(plan.lines),
        "first_line": plan.lines[0].number if plan.lines else None,
    }


def _back_up(ledger: LedgerFile, path: str, context: Context) -> bool:
    """The old file under a second name, which costs nothing; a copy where that cannot be. True when it is the file."""
    if keep_name(ledger, path):
        return True
    folder = os.path.dirname(path)
    require_space(folder, ledger.identity.size)
    with new_file(folder, mode_of(ledger.status), like=ledger.status) as copy:
        copy_attributes(ledger.fd, copy.fd)
        for block in blocks(ledger.fd, 0, ledger.identity.size, context, "writing the backup"):
            copy.write(block)
        os.utime(copy.fd, ns=(ledger.status.st_atime_ns, ledger.status.st_mtime_ns))
        copy.name(path)
    return False

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts a ledger back from its backup, with every event that was appended since the repair behind it."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

from . import ledger_quarantine, ledger_snapshot
from .errors import RefusedError
from .ledger_file import LedgerFile
from .ledger_guard import Guard, refuse, unchanged
from .ledger_newfile import copy_attributes, mode_of, new_file
from .ledger_quarantine import Names, Places
from .ledger_swap import blocks, keep_name, move, require_space, settle, sha256, take_the_place, told
from .operation import Context


@dataclass(frozen=True)
class Restore:
    """What a restore would do.

    ``appended_bytes``: events that came after the repair; they stay. ``separator``: the backup lacks its last newline
    and gets one, so that they are not glued to it. ``snapshot_aside``: the present snapshot counts the lines of the
    repaired ledger and must go; ``snapshot_back``: the one that was moved aside comes back.
    """

    backup: str
    quarantine: str
    done: bool
    lines: int
    appended_bytes: int
    separator: bool
    snapshot: str
    snapshot_aside: bool
    snapshot_back: str | None

    @property
    def changes(self) -> bool:
        return not self.done or self.snapshot_back is not None

    def diff(self) -> dict[str, str]:
        text = f"{self.lines} lines of {self.quarantine} come back; {self.appended_bytes} bytes of later events stay\n"
        return {"before_header": self.backup, "after_header": "the ledger", "before": "", "after": text}

    def as_dict(self) -> dict[str, Any]:
        return {
            "backup": self.backup,
            "quarantine": self.quarantine,
            "already_restored": self.done,
            "put_back_lines": self.lines,
            "appended_since_bytes": self.appended_bytes,
            "append_newline": self.separator,
            "move_snapshot": self.snapshot_aside,
            "snapshot_put_back": self.snapshot_back,
        }


def plan(ledger: LedgerFile, backup: str, places: Places, context: Context) -> Restore:
    """Reads only. RefusedError when the backup is not this ledger's, or the ledger is not what the repair left."""
    path = ledger_quarantine.file_of(backup, places.quarantine_dir)
    header, records = ledger_quarantine.read(path)
    if (header["ledger"], header["backup"]) != (ledger.path, backup):
        raise RefusedError(
            f"{path} belongs to the ledger {header['ledger']} and its backup {header['backup']}, not to {ledger.path} "
            f"and {backup}. Name the two that belong together."
        )
    here = (ledger.identity.device, ledger.identity.inode)
    done = _inode(backup) == here or any((record["device"], record["inode"]) == here for record in records)
    appended = 0 if done else _appended(ledger, header, context)
    if not done:
        _check_backup(backup, header, context)
    snapshot = header["snapshot"]["path"]
    aside = not done and _covers(snapshot, header["first_line"])
    moved = header["snapshot"]["moved_to"]
    back = moved if moved and os.path.exists(moved) and (aside or not os.path.exists(snapshot)) else None
    return Restore(
        backup=backup,
        quarantine=path,
        done=done,
        lines=header["lines"],
        appended_bytes=appended,
        separator=bool(appended) and not _ends_with_newline(backup),
        snapshot=snapshot,
        snapshot_aside=aside,
        snapshot_back=back,
    )


def restore(ledger: LedgerFile, wanted: Restore, guard: Guard, context: Context) -> str | None:
    """Carry it out. Returns where the snapshot of the repaired ledger went, when there was one."""
    refuse(ledger, guard.blockers(ledger.identity))
    folder = os.path.dirname(ledger.path)
    places = Places(os.path.dirname(wanted.backup), os.path.dirname(wanted.quarantine))
    names = Names.free(ledger.path, places, wanted.snapshot, context)
    if not wanted.done:
        with told(ledger), contextlib.ExitStack() as undo, open(wanted.backup, "rb") as backup:
            status = os.fstat(backup.fileno())
            require_space(folder, status.st_size + wanted.appended_bytes)
            with new_file(folder, mode_of(status), like=status) as fresh:
                copy_attributes(backup.fileno(), fresh.fd)
                for block in blocks(backup.fileno(), 0, status.st_size, context, "writing the ledger from its backup"):
                    fresh.write(block)
                if wanted.separator:
                    fresh.write(b"\n")
                size = ledger.identity.size
                for block in blocks(ledger.fd, size - wanted.appended_bytes, size, context, "writing the later events"):
                    fresh.write(block)
                held = names.outgoing if keep_name(ledger, names.outgoing) else None
                if held:
                    undo.callback(os.unlink, held)
                unchanged(ledger)
                refuse(ledger, guard.blockers(ledger.identity))
                ledger_quarantine.record_restore(wanted.quarantine, os.fstat(fresh.fd), context)
                if wanted.snapshot_aside:
                    move(wanted.snapshot, names.aside)
                    undo.callback(move, names.aside, wanted.snapshot)
                take_the_place(fresh, ledger, names.incoming, undo)
        settle(ledger, guard, held)
        if held:
            os.unlink(held)
    if wanted.snapshot_back:
        move(wanted.snapshot_back, wanted.snapshot)
    return names.aside if wanted.snapshot_aside else None


def _appended(ledger: LedgerFile, header: dict[str, Any], context: Context) -> int:
    repaired = header["repaired"]
    size = ledger.identity.size
    what = "comparing the ledger with what the repair left"
    if size < repaired["size_bytes"] or sha256(ledger.fd, repaired["size_bytes"], context, what) != repaired["sha256"]:
        raise RefusedError(
            f"{ledger.path} is not the ledger that the repair of {header['time']} left: its first "
            f"{repaired['size_bytes']} bytes were changed since. Putting the backup in its place would lose "
            "that change; compare the two by hand."
        )
    return size - int(repaired["size_bytes"])


def _check_backup(backup: str, header: dict[str, Any], context: Context) -> None:
    original = header["original"]
    try:
        with open(backup, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            whole = size >= original["size_bytes"]
            if (
                whole
                and sha256(stream.fileno(), original["size_bytes"], context, "reading the backup") == original["sha256"]
            ):
                return
    except OSError as error:
        raise RefusedError(
            f"the backup {backup} cannot be read: {error.strerror}. Run as its owner, or with become."
        ) from None
    raise RefusedError(f"the backup {backup} is not what the repair kept: it was changed since. Nothing was changed.")


def _inode(path: str) -> tuple[int, int] | None:
    """Equal to that of the ledger when the repair was killed before it replaced anything."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _covers(snapshot: str, first_line: int | None) -> bool:
    lines = ledger_snapshot.read(snapshot, snapshot).ledger_lines
    return lines is not None and first_line is not None and lines >= first_line


def _ends_with_newline(path: str) -> bool:
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        return size == 0 or os.pread(stream.fileno(), 1, size - 1) in (b"\n", b"\r")

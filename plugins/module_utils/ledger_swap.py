# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The steps that a repair and a restore share: room on the disk, reading in blocks, taking the ledger's place."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator

from .errors import RefusedError, RunbookError
from .ledger_file import LedgerFile
from .ledger_guard import Guard
from .ledger_newfile import NewFile, link_fd, sync_directory
from .operation import Context

BLOCK_BYTES = 1024 * 1024
RESERVE_BYTES = 1024 * 1024


def require_space(folder: str, size: int) -> None:
    """RefusedError when ``size`` bytes and a little more do not fit."""
    usage = os.statvfs(folder)
    free = usage.f_bavail * usage.f_frsize
    if free < size + RESERVE_BYTES:
        raise RefusedError(
            f"{folder} has {free} bytes free; {size + RESERVE_BYTES} are needed to write the ledger anew beside the "
            "old one. Make room there; nothing was changed."
        )


def blocks(fd: int, begin: int, end: int, context: Context, what: str) -> Iterator[bytes]:
    """The bytes of a range. RunbookError when the file ends before, DeadlineError when the time is used up."""
    while begin < end:
        context.deadline.within(1.0, what)
        block = os.pread(fd, min(BLOCK_BYTES, end - begin), begin)
        if not block:
            raise RunbookError(f"the file became shorter while it was read ({what}). Nothing was changed.")
        begin += len(block)
        yield block


def sha256(fd: int, size: int, context: Context, what: str) -> str:
    """Digest of the first ``size`` bytes."""
    digest = hashlib.sha256()
    for block in blocks(fd, 0, size, context, what):
        digest.update(block)
    return digest.hexdigest()


def move(source: str, target: str) -> None:
    """Rename in one folder, durably; or not at all."""
    os.rename(source, target)
    try:
        sync_directory(os.path.dirname(target))
    except OSError:
        os.rename(target, source)
        raise


def keep_name(ledger: LedgerFile, path: str) -> bool:
    """A second name for the file that is about to lose its own; False where the file system has no hard links."""
    try:
        link_fd(ledger.fd, path)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def take_the_place(fresh: NewFile, ledger: LedgerFile, incoming: str, undo: contextlib.ExitStack) -> None:
    """The one step that changes the ledger. From the moment it may have happened, nothing in ``undo`` is undone."""
    fresh.name(incoming)
    undo.callback(os.unlink, incoming)
    begun = undo.pop_all()
    try:
        os.replace(incoming, ledger.path)
    except OSError:
        begun.close()
        raise


def settle(ledger: LedgerFile, guard: Guard, held: str | None) -> None:
    """After the step: make it durable, and look for a process that opened the old file for writing just before it."""
    try:
        sync_directory(os.path.dirname(ledger.path))
    except OSError as error:
        raise RunbookError(f"{ledger.path} was replaced, but the disk did not confirm it: {error.strerror}.") from None
    _still_alone(ledger, guard, held)


def _still_alone(ledger: LedgerFile, guard: Guard, held: str | None) -> None:
    writers = guard.writers(ledger.identity)
    if writers or ledger.now().size != ledger.identity.size:
        names = ", ".join(map(str, writers)) or "a process that has ended"
        where = f"its events go to {held}" if held else "its events go to a file without a name"
        raise RunbookError(
            f"{names} opened {ledger.path} in the moment it was replaced; {where}. Stop it, append what stands there "
            f"behind byte {ledger.identity.size} to the ledger, and start it again.",
            old_file=held,
        )


@contextlib.contextmanager
def told(ledger: LedgerFile) -> Iterator[None]:
    """An error of the operating system as one line; what was begun is undone by then."""
    try:
        yield
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        raise RunbookError(
            f"{ledger.path} could not be replaced: {error.strerror or error}{place}. It is as it was. "
            "Check room, permissions and mount options of its folder and of those for backup and quarantine."
        ) from None

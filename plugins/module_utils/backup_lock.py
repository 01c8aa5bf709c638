# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup or prune of a set at a time, and what became of runs that were killed.

The lock is the kernel's (flock): it ends with the process that holds it. So whoever holds it knows that an unfinished
folder of this machine has no owner any more; one of another machine is named and left alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from .backup_set import LOCK, OWNER, PARTIAL, PRUNED
from .errors import RefusedError, RunbookError


@dataclass
class Leftovers:
    """Folders of runs that were killed: those that were (or, planned, would be) removed, and those that stay, why."""

    removed: list[str] = field(default_factory=list)
    kept: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def alone(folder: str) -> Iterator[None]:
    """Hold the lock of a set's folder. Raises RefusedError when somebody else does."""
    path = os.path.join(folder, LOCK)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise RunbookError(f"{path} cannot be opened: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(file, 200, 0).decode("ascii", errors="replace").strip()
            raise RefusedError(
                f"another backup or prune of {folder} is under way ({holder or 'its process is not known'}): wait for it"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def in_use(folder: str) -> Iterator[None]:
    """Keep a set from being pruned while it is read. RefusedError when it is being deleted."""
    with _folder_lock(folder, fcntl.LOCK_SH, "is being deleted"):
        yield


@contextlib.contextmanager
def unused(folder: str) -> Iterator[None]:
    """Make sure that nobody restores from a set. RefusedError when somebody does."""
    with _folder_lock(folder, fcntl.LOCK_EX, "is being restored from"):
        yield


@contextlib.contextmanager
def _folder_lock(folder: str, kind: int, why: str) -> Iterator[None]:
    try:
        file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise RefusedError(f"{folder}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except OSError as error:
            raise RefusedError(f"{folder} {why}: wait for it") from error
        yield
    finally:
        os.close(file)


def sign(folder: str, now: str) -> None:
    """Write into an unfinished folder whose it is."""
    text = json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "since": now})
    file = os.open(os.path.join(folder, OWNER), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, text.encode())
    finally:
        os.close(file)


def leftovers(folder: str) -> Leftovers:
    """What a run that holds the lock may remove, and what it may not."""
    found = Leftovers()
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if entry.startswith(PRUNED):
            found.removed.append(entry)
        elif entry.startswith(PARTIAL):
            why = _not_dead(os.path.join(folder, entry))
            if why:
                found.kept.append({"folder": entry, "reason": why})
            else:
                found.removed.append(entry)
    return found


def clear(folder: str) -> Leftovers:
    """Remove what may be removed. The caller holds the lock."""
    found = leftovers(folder)
    for entry in found.removed:
        remove(os.path.join(folder, entry))
    return found


def remove(path: str) -> None:
    """Delete a folder and what is in it. Raises RunbookError naming what could not be deleted."""
    try:
        shutil.rmtree(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunbookError(f"{path} cannot be removed: {error.strerror}: remove it by hand") from error


def _not_dead(path: str) -> str:
    """Why the owner of an unfinished folder may be alive; empty when it is dead, as the lock is held by us."""
    try:
        if os.path.islink(path):
            return "it is a symbolic link"
        if not os.listdir(path):
            return ""  # killed before it could sign; nothing is lost with an empty folder
        with open(os.path.join(path, OWNER), encoding="utf-8") as file:
            host = json.loads(file.read(10_000))["host"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"it has no {OWNER} that tells whose it is; remove it by hand"
    if host != socket.gethostname():
        return f"it is of machine {str(host)[:100]}, whose processes cannot be seen from here; run the backup there"
    return ""

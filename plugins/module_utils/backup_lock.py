# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One backup or prune of a set at a time, and what became of runs that were killed.

The lock is the kernel's (flock): it ends with the process that holds it. So whoever holds it knows that an unfinished
folder of this machine has no owner any more. One of another machine, such as a pod that is gone, is named and left alone
until its run must have ended by its own time limit.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

from .backup_set import LOCK, MANIFEST, OWNER, PARTIAL, PRUNED, iso, seconds_of
from .errors import RefusedError, RunbookError

GRACE_SECONDS = 3600.0  # after the time limit of a run: its programs end, and clocks of two machines differ
LONGEST_SECONDS = 7 * 86_400.0  # of a run that did not live to say how long it may take
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})


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
        except BlockingIOError as error:
            holder = os.pread(file, 200, 0).decode("ascii", errors="replace").strip()
            raise RefusedError(
                f"another backup or prune of {folder} is under way ({holder or 'its process is not known'}): wait for it"
            ) from error
        except OSError as error:
            raise _no_lock(path, error) from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(file)


@contextlib.contextmanager
def in_use(folder: str) -> Iterator[None]:
    """Keep a set from being pruned while it is read. RefusedError when it is being deleted.

    Where the file system has no locks nothing is pruned either, so that nothing has to be kept from it.
    """
    with _manifest_lock(folder, os.O_RDONLY, fcntl.LOCK_SH, "is being deleted", NO_LOCKS):
        yield


@contextlib.contextmanager
def unused(folder: str) -> Iterator[None]:
    """Make sure that nobody restores from a set. RefusedError when somebody does."""
    with _manifest_lock(folder, os.O_RDWR, fcntl.LOCK_EX, "is being restored from", frozenset()):
        yield


@contextlib.contextmanager
def _manifest_lock(folder: str, mode: int, kind: int, why: str, tolerated: frozenset[int]) -> Iterator[None]:
    """The lock of a set is on its manifest: NFS locks files, not folders. Nobody restores from a set without one."""
    path = os.path.join(folder, MANIFEST)
    try:
        file = os.open(path, mode | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"{folder} {why}: wait for it") from error
        except OSError as error:
            if error.errno not in tolerated:
                raise _no_lock(path, error) from error
        yield
    finally:
        os.close(file)


def _no_lock(path: str, error: OSError) -> RunbookError:
    name = errno.errorcode.get(error.errno or 0, str(error.errno))
    return RunbookError(
        f"{path} cannot be locked: {error.strerror} ({name}). Two backups at once would harm each other, so none is made here: "
        "mount the file system with locks (NFS: its lock service, not nolock; SMB: not nobrl), or name a folder of another one"
    )


def sign(folder: str, now: float, seconds: float) -> None:
    """Write into an unfinished folder whose it is, and when its run will have ended at the latest."""
    owner = {"host": socket.gethostname(), "pid": os.getpid(), "since": iso(now), "until": iso(now + seconds)}
    file = os.open(os.path.join(folder, OWNER), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, json.dumps(owner).encode())
    finally:
        os.close(file)


def leftovers(folder: str, now: float) -> Leftovers:
    """What a run that holds the lock may remove, and what it may not. ``now``: seconds since the epoch."""
    found = Leftovers()
    for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if entry.startswith(PRUNED):
            found.removed.append(entry)
        elif entry.startswith(PARTIAL):
            why = _not_dead(os.path.join(folder, entry), now)
            if why:
                found.kept.append({"folder": entry, "reason": why})
            else:
                found.removed.append(entry)
    return found


def clear(folder: str, now: float) -> Leftovers:
    """Remove what may be removed. The caller holds the lock."""
    found = leftovers(folder, now)
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


def _not_dead(path: str, now: float) -> str:
    """Why the owner of an unfinished folder may be alive; empty when it is dead, as the lock is held by us."""
    try:
        if os.path.islink(path):
            return "it is a symbolic link"
        if not os.listdir(path):
            return ""  # killed before it could sign; nothing is lost with an empty folder
        host, until = _owner(path)
    except OSError as error:
        return f"it cannot be read: {error.strerror}; remove it by hand"
    if host == socket.gethostname() or now > until + GRACE_SECONDS:
        return ""
    when = iso(until + GRACE_SECONDS)
    if host is None:
        return f"it has no {OWNER} that tells whose it is; a backup after {when} removes it"
    return f"it is of machine {host[:100]}, whose processes cannot be seen from here; a backup after {when} removes it"


def _owner(path: str) -> tuple[str | None, float]:
    """The machine of its run, None when it does not say, and when that run has ended at the latest, in epoch seconds."""
    host: str | None = None
    try:
        with open(os.path.join(path, OWNER), encoding="utf-8") as file:
            owner = json.loads(file.read(10_000))
        host = str(owner["host"])
        return host, seconds_of(owner["until"])
    except (OSError, ValueError, KeyError, TypeError):
        return host, os.stat(path).st_mtime + LONGEST_SECONDS

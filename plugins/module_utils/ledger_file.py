# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Opening a ledger for reading: a regular file, opened once, so that a file put in its place is noticed."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from types import TracebackType

from .checks import FAIL, UNVERIFIED, Status
from .clock import Clock
from .errors import RefusedError

SETTLE_SECONDS = 0.3
TAIL_BYTES = 1024 * 1024
KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class LedgerError(RefusedError):
    """The path is no ledger that can be read. ``status`` is what a check makes of it, ``hint`` what to do next."""

    def __init__(self, message: str, hint: str, status: Status) -> None:
        super().__init__(f"{message}. {hint}", path_problem=message)
        self.problem = message
        self.hint = hint
        self.status = status


@dataclass(frozen=True)
class Identity:
    """What changes when a file is replaced or written: device, inode, size in bytes, time of the last write in ns."""

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Identity:
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)

    def same_file(self, other: Identity) -> bool:
        return (self.device, self.inode) == (other.device, other.inode)


class LedgerFile:
    """An open ledger. ``path`` is free of symbolic links: what replaces the file must replace the file itself."""

    def __init__(self, path: str) -> None:
        self.path = os.path.realpath(path.replace("\0", "\ufffd"))
        self.fd = _open(self.path)
        self.status = os.fstat(self.fd)
        self.identity = Identity.of(self.status)
        self.size = self.identity.size
        """Bytes to work on: all, or up to the last whole line while a service is writing."""

    def __enter__(self) -> LedgerFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self.fd)

    def settle(self, clock: Clock) -> None:
        """Tell a torn last line from one that is being written: the latter grows within a moment, and is left out."""
        if self._last_byte() in (b"", b"\n"):
            return
        clock.sleep(SETTLE_SECONDS)
        before, self.status = self.status, os.fstat(self.fd)
        self.identity = Identity.of(self.status)
        self.size = self.identity.size
        if self.size > before.st_size and self._last_byte() != b"\n":
            tail = os.pread(self.fd, TAIL_BYTES, max(0, self.size - TAIL_BYTES))
            self.size -= len(tail) - (tail.rfind(b"\n") + 1)

    def _last_byte(self) -> bytes:
        return os.pread(self.fd, 1, self.size - 1) if self.size else b""

    def now(self) -> Identity:
        """The open file as it is now."""
        return Identity.of(os.fstat(self.fd))

    def replaced(self) -> bool:
        """Whether the path now leads to another file, or to none."""
        try:
            return not Identity.of(os.stat(self.path)).same_file(self.identity)
        except OSError:
            return True


def _open(path: str) -> int:
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
        if kind != stat.S_IFREG:  # opening a device can act on it
            raise LedgerError(
                f"{path} is {KINDS.get(kind, 'no regular file')}, not a ledger file",
                "Name the file itself, as BACKOFFICE_LEDGER_PATH of the service does",
                UNVERIFIED,
            )
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise LedgerError(
            f"{path} does not exist",
            "Compare it with BACKOFFICE_LEDGER_PATH and the working directory of the service, on this machine. "
            "A service that boots without its ledger starts empty, without a word",
            FAIL,
        ) from None
    except PermissionError:
        raise LedgerError(
            f"{path} cannot be read by user id {os.geteuid()}",
            "Run as the owner of the file, or with become",
            UNVERIFIED,
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LedgerError(f"{path} cannot be opened: {reason}", "Correct the path", UNVERIFIED) from None
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise LedgerError(f"{path} was replaced while it was opened", "Run it again", UNVERIFIED)
    return fd

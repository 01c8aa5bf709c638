# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Dumps as streams: from pg_dump into a file that is hashed while it is written, and from a file into pg_restore."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Sequence
from typing import IO, Any

from . import backup_age
from .backup_programs import Program, ProgramError, Running, running
from .clock import Deadline
from .errors import InputError, RunbookError

PIECE_BYTES = 1 << 18
HEAD_BYTES = 1 << 14
NEW_SETTING = b"SET transaction_timeout = 0;\n"
NEXT_SETTING = b"SET client_encoding"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class DiskError(RunbookError):
    """A backup could not be written. The message tells how far it came."""


class DumpFile:
    """A new file (0600) whose sha256 and size are known when it is closed. ``problem`` keeps what writing raised."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bytes = 0
        self.problem: OSError | None = None
        self._digest = hashlib.sha256()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def write(self, piece: bytes, /) -> int:
        try:
            rest = memoryview(piece)
            while rest:
                rest = rest[write_some(self._file, rest) :]
        except OSError as error:
            self.problem = error
            raise
        self._digest.update(piece)
        self.bytes += len(piece)
        return len(piece)

    def flush(self) -> None:
        """Part of the interface of a file; nothing is held back."""

    def sync(self) -> None:
        try:
            os.fsync(self._file)
        except OSError as error:
            self.problem = error
            raise

    def close(self) -> None:
        os.close(self._file)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def write_some(file: int, piece: memoryview) -> int:
    """One write; the one place where a disk can be full."""
    return os.write(file, piece)


def save(source: Running, path: str, recipients: Sequence[Any]) -> DumpFile:
    """All that the program writes, into a new file, encrypted when there are recipients.

    Raises DiskError when it cannot be written, and what ``Running.end`` raises.
    """
    try:
        file = DumpFile(path)
    except OSError as error:
        raise _disk_error(path, 0, error) from error
    try:
        if recipients:
            backup_age.encrypt(source.stdout, file, recipients)
        else:
            while piece := source.stdout.read(PIECE_BYTES):
                file.write(piece)
        source.end()
        file.sync()
    except RunbookError:
        raise
    except Exception as error:  # a library between us and the file wraps what the file raised
        if file.problem is None:
            raise
        raise _disk_error(path, file.bytes, file.problem) from error
    finally:
        file.close()
    return file


def check_list(program: Program, path: str, identities: Sequence[Any], encrypted: bool, deadline: Deadline) -> None:
    """Let pg_restore read the table of contents. Raises InputError when the key is wrong, ProgramError otherwise."""
    what = f"{program.name} --list of {os.path.basename(path)}"
    with running(program, ["--list"], {**os.environ, "LC_ALL": "C"}, deadline, what, feed=True, read=False) as reader:
        feed(reader, path, identities, encrypted)


def feed(reader: Running, path: str, identities: Sequence[Any], encrypted: bool) -> None:
    """Give the program the plain dump and wait for its end. A program that has read enough may stop reading."""
    sink = _Pipe(reader.stdin)
    try:
        with open(path, "rb") as file:
            if encrypted:
                backup_age.decrypt(file, sink, identities, path)
            else:
                while piece := file.read(PIECE_BYTES):
                    sink.write(piece)
    except InputError:
        if not sink.broken:
            raise
    except OSError as error:
        if not sink.broken:
            raise ProgramError(f"{path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            reader.stdin.close()
    reader.end()


def pour(source: IO[bytes], sink: IO[bytes]) -> bool:
    """A script of pg_restore into psql, without the one setting that servers before PostgreSQL 17 do not know, and the end
    of the input. False when psql stopped reading."""
    try:
        piece = source.read(HEAD_BYTES).replace(NEW_SETTING + NEXT_SETTING, NEXT_SETTING, 1)
        while piece:
            sink.write(piece)
            piece = source.read(PIECE_BYTES)
        sink.close()
    except OSError:
        return False
    return True


class _Pipe:
    """The standard input of a program; remembers that the program closed it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.broken = False

    def write(self, piece: bytes, /) -> int:
        try:
            return self._stream.write(piece)
        except OSError:
            self.broken = True
            raise

    def flush(self) -> None:
        """Closing the stream flushes it."""


def _disk_error(path: str, written: int, error: OSError) -> DiskError:
    folder, name = os.path.split(path)
    if error.errno in _FULL:
        return DiskError(
            f"the disk of {folder} is full: {name} came to {written} bytes. Nothing was published and what was written "
            "is removed; older sets are untouched. Free space or prune, then run again"
        )
    return DiskError(f"{path} cannot be written: {error.strerror}")

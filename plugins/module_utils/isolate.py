# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Run a function in a forked child: for C libraries that start threads, abort, or hang.

The child computes one JSON value and ends. Whatever happens to it becomes an exception here: the caller goes on. What
it prints is caught and bounded; its progress lines arrive live. It never outlives its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from . import errors, redact
from .errors import DeadlineError, RunbookError

Progress = Callable[[str], None]
Work = Callable[[Progress], Any]

RESULT_BYTES = 64 * 1024 * 1024
NOISE_BYTES = 8 * 1024
GRACE_SECONDS = 2.0
PIECE_BYTES = 1 << 16

_PR_SET_PDEATHSIG = 1
_PROGRESS = b"P"
_VALUE = b"V"
_ERROR = b"E"


class ChildError(RunbookError):
    """The child ended before it gave a result. ``details`` hold ``signal`` or ``exit_code``, and ``noise``."""


def call(work: Work, seconds: float, what: str, progress: Progress = lambda text: None) -> Any:
    """The JSON value of ``work(progress)``, computed in a child within ``seconds``. ``what`` names it in messages.

    Raises what the child raised when that is a RunbookError, DeadlineError when it took too long, and ChildError when
    it died (by a signal, by an exit, by a defect, or with a result beyond RESULT_BYTES).
    """
    parent = os.getpid()
    data_read, data_write = os.pipe()
    noise_read, noise_write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(data_read)
        os.close(noise_read)
        _be_the_child(work, parent, seconds, data_write, noise_write)
    os.close(data_write)
    os.close(noise_write)
    reader = _Reader(progress)
    status: int | None = None
    try:
        in_time = reader.read(data_read, noise_read, time.monotonic() + seconds)
        if in_time and not reader.too_long:
            # The result is complete; a child that cannot end by itself is ended by the kill below.
            status = _reap(pid, GRACE_SECONDS)
    finally:
        os.close(data_read)
        os.close(noise_read)
        if status is None:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    if reader.too_long:
        raise ChildError(f"{what}: the result is larger than {RESULT_BYTES} bytes; ask for less at once.")
    if not in_time:
        raise DeadlineError(
            f"{what}: no result within {seconds:g} s. Raise 'timeout' or ask for less at once.",
            noise=reader.shown_noise(),
        )
    return _value(reader, status, what)


def _value(reader: _Reader, status: int | None, what: str) -> Any:
    if reader.last.startswith(_VALUE):
        return json.loads(reader.last[1:])
    if reader.last.startswith(_ERROR):
        told = json.loads(reader.last[1:])
        kind = getattr(errors, told["kind"], RunbookError)
        raise kind(told["message"], **told["details"])
    code = 0 if status is None else os.waitstatus_to_exitcode(status)
    noise = reader.shown_noise()
    said = f" Its last words: {noise.splitlines()[-1]}" if noise else ""
    if code < 0:
        name = signal.strsignal(-code) or "unknown"
        raise ChildError(f"{what}: its process was ended by signal {-code} ({name}).{said}", signal=-code, noise=noise)
    raise ChildError(f"{what}: its process ended with code {code} and no result.{said}", exit_code=code, noise=noise)


def _reap(pid: int, seconds: float) -> int | None:
    """The wait status of ``pid``, or None when it did not end in time (it is then not yet waited for)."""
    end = time.monotonic() + seconds
    while True:
        waited, status = os.waitpid(pid, os.WNOHANG)
        if waited:
            return status
        if time.monotonic() >= end:
            return None
        time.sleep(0.002)


@dataclass
class _Reader:
    """Takes in the child's two pipes: lines of data (progress, then one result) and the tail of its noise."""

    progress: Progress
    last: bytes = b""
    too_long: bool = False
    noise: bytes = b""
    _pieces: list[bytes] = field(default_factory=list)
    _size: int = 0

    def read(self, data: int, noise: int, end: float) -> bool:
        """Read until the data pipe is at its end; False when ``end`` (monotonic) came first."""
        with selectors.DefaultSelector() as selector:
            selector.register(data, selectors.EVENT_READ)
            selector.register(noise, selectors.EVENT_READ)
            while not self.too_long:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                for key, _events in selector.select(left):
                    piece = os.read(key.fd, PIECE_BYTES)
                    if not piece and key.fd == data:
                        self._take_noise_left(noise)
                        return True
                    if not piece:
                        selector.unregister(noise)
                    elif key.fd == noise:
                        self.noise = (self.noise + piece)[-NOISE_BYTES:]
                    else:
                        self._take(piece)
        return True

    def _take_noise_left(self, noise: int) -> None:
        os.set_blocking(noise, False)
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(noise, PIECE_BYTES):
                self.noise = (self.noise + piece)[-NOISE_BYTES:]

    def _take(self, piece: bytes) -> None:
        *complete, rest = piece.split(b"\n")
        for end_of_line in complete:
            line = b"".join([*self._pieces, end_of_line])
            self._pieces, self._size = [], 0
            if line.startswith(_PROGRESS):
                self.progress(line[1:].decode("utf-8", errors="replace"))
            else:
                self.last = line
        self._pieces.append(rest)
        self._size += len(rest)
        self.too_long = self._size > RESULT_BYTES

    def shown_noise(self) -> str:
        return redact.observed(self.noise, limit=1000).strip()


def _be_the_child(work: Work, parent: int, seconds: float, data_write: int, noise_write: int) -> NoReturn:
    """Everything the child does. It leaves by _exit: no handler, no destructor, no return into the parent's stack."""
    try:
        gc.disable()
        _die_with(parent)
        for number in (signal.SIGALRM, signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, seconds + GRACE_SECONDS)
        os.dup2(noise_write, 1)
        os.dup2(noise_write, 2)
        os.close(noise_write)

        def send(text: str) -> None:
            _write(data_write, _PROGRESS + " ".join(text.split()).encode("utf-8", errors="replace"))

        _write(data_write, _outcome(work, send))
        os._exit(0)
    finally:
        os._exit(1)


def _outcome(work: Work, send: Progress) -> bytes:
    try:
        return _VALUE + json.dumps(work(send)).encode()
    except RunbookError as error:
        told = {"kind": type(error).__name__, "message": error.message, "details": error.details}
    except Exception as error:  # noqa: BLE001 - a defect in the child must still be told to the parent
        told = {"kind": "RunbookError", "message": f"defect: {type(error).__name__}: {error}", "details": {}}
    return _ERROR + json.dumps(told, default=str).encode()


def _write(descriptor: int, line: bytes) -> None:
    rest = memoryview(line + b"\n")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _die_with(parent: int) -> None:
    """Be killed when the parent ends. Linux only; elsewhere the alarm alone bounds the child's life."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)

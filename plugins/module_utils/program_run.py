# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that is run to its end: bounded in time and output, and nothing of it is left behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from .errors import InputError

MOST_BYTES = 8 * 1024 * 1024
PIECE_BYTES = 1 << 16
STEP_SECONDS = 1.0
TERM_SECONDS = 5.0
KILL_SECONDS = 5.0

# Ends the group when we are killed: its standard input is then at an end, without a line on it.
_WATCHER = (
    'if read -r _; then exit 0; fi; kill -s TERM -- "-$1" 2>/dev/null; sleep 5; kill -s KILL -- "-$1" 2>/dev/null'
)


@dataclass(frozen=True)
class Ended:
    """How a program ended. ``code`` is negative for a signal; of long output only the end is kept."""

    code: int
    stdout: bytes
    stderr: bytes
    timed_out: bool
    seconds: float


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    directory: str | None,
    seconds: float,
    tick: Callable[[float], None] = lambda seconds: None,
) -> Ended:
    """Run it in a session of its own with exactly this environment; after ``seconds`` the whole group is ended.

    ``tick`` is called about once a second with the seconds so far. InputError when it cannot be started.
    """
    started = time.monotonic()
    # run_command has no limit of time and leaves grandchildren behind
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            list(command),
            cwd=directory or "/",
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        where = f" in {directory}" if directory else ""
        raise InputError(f"{command[0]} cannot be started{where}: {error.strerror}") from None
    watcher = _watch(process.pid)
    try:
        out, err, in_time = _read(process, started + seconds, started, tick)
    finally:
        _end(process)
        _dismiss(watcher)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
    return Ended(process.returncode, out, err, not in_time, time.monotonic() - started)


def _read(
    process: subprocess.Popen[bytes], end: float, started: float, tick: Callable[[float], None]
) -> tuple[bytes, bytes, bool]:
    """Both outputs until the program has ended, whoever else holds them open; False when time was up before."""
    kept: dict[str, bytearray] = {"out": bytearray(), "err": bytearray()}
    with selectors.DefaultSelector() as selector:
        for name, stream in (("out", process.stdout), ("err", process.stderr)):
            if stream:
                os.set_blocking(stream.fileno(), False)
                selector.register(stream, selectors.EVENT_READ, name)
        while True:
            left = end - time.monotonic()
            ended = process.poll() is not None
            if left <= 0 and not ended:
                return bytes(kept["out"]), bytes(kept["err"]), False
            ready = selector.select(0 if ended else min(STEP_SECONDS, left)) if selector.get_map() else []
            for key, _events in ready:
                piece = os.read(key.fd, PIECE_BYTES)
                if not piece:
                    selector.unregister(key.fileobj)
                    continue
                kept[key.data] += piece
                del kept[key.data][:-MOST_BYTES]
            if ended and (not ready or left <= 0):
                return bytes(kept["out"]), bytes(kept["err"]), True
            if not ready and not selector.get_map():
                time.sleep(min(0.05, max(0.0, left)))
            tick(time.monotonic() - started)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the group: asked first, then without asking. Also when the program has ended: it may have left children."""
    for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
        if not _group_lives(process.pid):
            return


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _watch(group: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # pylint: disable=ansible-bad-function
        ["/bin/sh", "-c", _WATCHER, "watcher", str(group)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin"},
        cwd="/",
        start_new_session=True,
    )


def _dismiss(watcher: subprocess.Popen[bytes]) -> None:
    if watcher.stdin:
        with contextlib.suppress(OSError):
            watcher.stdin.write(b"done\n")
            watcher.stdin.close()
    watcher.wait()

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second BackOffice that cannot touch the live one: own folder, own port, own secret, no consumer, no database.

It never outlives this process: a small shell waits for the end of a pipe that only this process holds open, and then
ends the whole process group and removes the folder, also when this process was killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO, Any

from .clock import Clock
from .errors import InputError, RefusedError
from .redact import observed

HOST = "127.0.0.1"
NO_BROKER = f"{HOST}:1"  # resolves, and nothing listens there
KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "JAVA_HOME", "LD_LIBRARY_PATH")
TERM_SECONDS = 5.0
KILL_SECONDS = 5.0
PAUSE_SECONDS = 0.05
TAIL_BYTES = 64 * 1024
TAIL_LINES = 40
LINE_CHARACTERS = 300
MOST_OUTPUT_BYTES = 256 * 1024 * 1024

_WATCHER = 'if read -r _; then exit 0; fi; kill -s KILL -- "-$1" 2>/dev/null; rm -rf -- "$2"'


def environment(ledger: str, folder: str, port: int, secret: str, extra: Mapping[str, str]) -> dict[str, str]:
    """The whole environment of the second instance. Nothing of the live one's is taken over."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {
        **kept,
        **extra,
        "TMPDIR": folder,
        "BACKOFFICE_PORT": str(port),
        "BACKOFFICE_LEDGER_PATH": ledger,
        "BACKOFFICE_SNAPSHOT_PATH": os.path.join(folder, "snapshot.json"),
        "BACKOFFICE_SNAPSHOT_ENABLE": "0",
        "BACKOFFICE_ENABLE": "0",
        "BACKOFFICE_DB_ENABLE": "0",
        "KAFKA_BOOTSTRAP_SERVERS": NO_BROKER,
        "KAFKA_TOPIC": "replay-verification",
        "KAFKA_GROUP_ID": "replay-verification",
        "JWT_HS256_SECRET": secret,
    }


def port_problem(port: int) -> str:
    """Why a server cannot listen on the port; empty when it can."""
    with contextlib.suppress(OSError):
        socket.create_connection((HOST, port), timeout=1.0).close()
        return f"something answers on {HOST}:{port}"
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(("", port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            return f"port {port} is taken" if taken else f"port {port} cannot be used: {error.strerror}"
    return ""


def find_command(command: list[str], directory: str) -> str:
    """The program that a command starts; InputError when there is none."""
    if not command or not command[0]:
        raise InputError(
            "command is empty. Give the command that starts BackOffice on this machine as a list, for example "
            "[/srv/backoffice/bin/backoffice]."
        )
    if not os.path.isdir(directory):
        raise InputError(f"chdir {directory} is no folder on this machine.")
    name = os.path.join(directory, command[0]) if os.sep in command[0] else command[0]
    program = shutil.which(name)
    if program is None:
        raise InputError(f"command: {command[0]} is no program on this machine (looked for from {directory}).")
    return program


class Instance:
    """The process, its folder (0700) and its output. Use as a context manager: on leaving, nothing of it is left."""

    def __init__(self, clock: Clock, work_dir: str | None) -> None:
        try:
            self.folder = tempfile.mkdtemp(prefix="backoffice-replay-", dir=work_dir)
        except OSError as error:
            raise RefusedError(
                f"no temporary folder can be made in {work_dir or tempfile.gettempdir()}: {error.strerror}"
            ) from None
        self.ledger = os.path.join(self.folder, "ledger.log")
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher: subprocess.Popen[bytes] | None = None
        self._outputs: list[IO[bytes]] = []

    def __enter__(self) -> Instance:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        for stream in self._outputs:
            stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._watcher and self._watcher.stdin:
            with contextlib.suppress(OSError):
                self._watcher.stdin.write(b"done\n")
                self._watcher.stdin.close()
            self._watcher.wait()

    def start(self, command: list[str], directory: str, variables: Mapping[str, str]) -> None:
        out, err = (open(os.path.join(self.folder, name), "w+b") for name in ("stdout.log", "stderr.log"))  # noqa: SIM115
        self._outputs = [out, err]
        # run_command waits for the end and needs a module; this process is watched while it runs
        try:
            self._process = subprocess.Popen(  # pylint: disable=ansible-bad-function
                command,
                cwd=directory,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(f"command: {command[0]} cannot be started in {directory}: {error.strerror}.") from None
        self._watcher = subprocess.Popen(  # pylint: disable=ansible-bad-function
            ["/bin/sh", "-c", _WATCHER, "watcher", str(self._process.pid), self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
            start_new_session=True,
        )

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self._process.poll() if self._process else None

    def output_bytes(self) -> int:
        return sum(os.fstat(stream.fileno()).st_size for stream in self._outputs)

    def last_words(self) -> list[str]:
        """The end of its standard error, or of its standard output when that is empty, without secrets."""
        for stream in reversed(self._outputs):
            size = os.fstat(stream.fileno()).st_size
            tail = os.pread(stream.fileno(), TAIL_BYTES, max(0, size - TAIL_BYTES))
            lines = [line for line in tail.decode("utf-8", errors="replace").splitlines() if line.strip()]
            if lines:
                return [observed(line, LINE_CHARACTERS) for line in lines[-TAIL_LINES:]]
        return []

    def stop(self) -> None:
        """End the whole process group: first TERM, then KILL."""
        if self._process is None:
            return
        for number, seconds in ((signal.SIGTERM, TERM_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            if self._gone(seconds):
                return

    def _gone(self, seconds: float) -> bool:
        until = self._clock.monotonic() + seconds
        while self._clock.monotonic() < until:
            if self._process is not None and self._process.poll() is not None and not _group_lives(self._process.pid):
                return True
            self._clock.sleep(PAUSE_SECONDS)
        return False


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def exit_text(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


def copy(source: int, size: int, target: str, blocks: Any) -> None:
    """Copy the first ``size`` bytes, by reference where the file system can. ``blocks`` reads where the kernel cannot."""
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        done = _copied_by_the_kernel(source, size, fd)
        for block in blocks(source, done, size):
            view = memoryview(block)
            while view:
                view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _copied_by_the_kernel(source: int, size: int, target: int) -> int:
    done = 0
    with contextlib.suppress(OSError, AttributeError):
        while done < size:
            copied = os.copy_file_range(source, target, min(1 << 26, size - done), offset_src=done)
            if not copied:
                break
            done += copied
    return done

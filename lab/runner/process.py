# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One process of a container: started in a session of its own, its output kept, its end awaited."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from lab.runner.logs import LogFile

OWNER = "SRE_LAB_RUNNER"  # in the environment of every process of a runner; its value is the runner's state folder
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process:
    """A running process; OSError when it cannot be started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: LogFile) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._popen = subprocess.Popen(
            list(command),
            env=dict(environment),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self._popen.pid
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._reap)
        for name, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr)):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            self._loop.add_reader(pipe.fileno(), self._read, name, pipe)

    async def wait(self) -> int:
        """The exit code; 128 + n after signal n, as containers have it."""
        return await asyncio.shield(self._ended)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process; SIGKILL to all that it started as well."""
        if self._ended.done():
            return
        with suppress(ProcessLookupError):
            (os.killpg if number == signal.SIGKILL else os.kill)(self.pid, number)

    async def stop(self, grace: float) -> int:
        """SIGTERM, SIGKILL when the grace (seconds) is over; the exit code."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                return await self.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    def memory(self) -> int:
        """Resident bytes; 0 when it has ended."""
        try:
            return int(Path(f"/proc/{self.pid}/statm").read_bytes().split()[1]) * _PAGE
        except (OSError, IndexError):
            return 0

    def cpu_seconds(self) -> float:
        """Processor time since its start, with that of its children that have ended; 0 when it has ended itself."""
        import psutil

        try:
            return float(sum(psutil.Process(self.pid).cpu_times()[:4]))
        except psutil.Error:
            return 0.0

    def _read(self, name: str, pipe: IO[bytes]) -> None:
        try:
            data = os.read(pipe.fileno(), 65536)
        except BlockingIOError:
            return
        if data:
            self._log.feed(name, data)
        else:
            self._close(pipe)

    def _close(self, pipe: IO[bytes]) -> None:
        if not pipe.closed:
            self._loop.remove_reader(pipe.fileno())
            pipe.close()

    def _reap(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)  # a container ends with its first process
        code = self._popen.wait()
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        for name, pipe in (("stdout", self._popen.stdout), ("stderr", self._popen.stderr)):
            assert pipe is not None
            with suppress(BlockingIOError):
                while not pipe.closed and (data := os.read(pipe.fileno(), 65536)):
                    self._log.feed(name, data)
            self._close(pipe)
        self._log.close()
        self._ended.set_result(code if code >= 0 else 128 - code)


def end_leftovers(owner: str) -> int:
    """Kill the processes that an earlier runner with the same state folder left behind; their number."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(OWNER) == owner:
                process.kill()
                found.append(process)
    psutil.wait_procs(found, timeout=5)
    return len(found)

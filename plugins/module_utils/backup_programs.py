# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PostgreSQL's own programs, pg_dump and pg_restore: which there are, how they reach a database, and their end.

No shell, no secret on a command line, and none outlives the deadline.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from . import libraries
from .clock import Deadline
from .errors import DeadlineError, InputError, RunbookError
from .postgres import APPLICATION_NAME, LIBRARY, major_of, tls
from .redact import observed

try:
    import psycopg2.extensions
except ImportError as _error:
    libraries.record(LIBRARY, _error)

VERSION_SECONDS = 20.0
HEARD_SECONDS = 10.0
WORDS_BYTES = 8 * 1024
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)\S*)")


class ProgramError(RunbookError):
    """A program ended with an error; the message has its words."""


@dataclass(frozen=True)
class Program:
    """One program: its name, path and version, such as 18.6."""

    name: str
    path: str
    version: str
    major: int


def find(name: str, bin_dir: str | None, deadline: Deadline) -> Program:
    """The program from ``bin_dir``, or else from PATH. Raises InputError when it is not there or tells no version."""
    path = shutil.which(name, path=bin_dir) if bin_dir else shutil.which(name)
    if path is None:
        raise InputError(
            f"{name} is not in {bin_dir or 'PATH'}: install PostgreSQL's client programs, or name their folder with bin_dir"
        )
    seconds = deadline.within(VERSION_SECONDS, f"{name} --version")
    try:
        # run_command knows no time limit and needs a module
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            [path, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{path} --version gave no answer: {type(error).__name__}") from error
    match = _VERSION.search(done.stdout.decode("utf-8", errors="replace"))
    if match is None:
        raise InputError(f"{path} --version does not name a version of PostgreSQL: is this {name}?")
    return Program(name, path, match["version"], int(match["major"]))


def refuse_older(program: Program, server_version: str, what: str) -> None:
    """InputError when the program is of an older major version than the server ``what``, which it could not read."""
    major = major_of(server_version)
    if program.major < major:
        raise InputError(
            f"{program.name} {program.version} ({program.path}) is older than the server of {what}, {server_version}: "
            f"install the client programs of PostgreSQL {major} or newer, and name their folder with bin_dir"
        )


def conninfo(parameters: Mapping[str, str], params: Mapping[str, Any], dbname: str) -> str:
    """libpq's connection string without the password. ``params`` holds the options of postgres.SESSION."""
    if "sslpassword" in parameters:
        raise InputError("sslpassword in a database URL cannot be given to pg_dump: use a key without a passphrase")
    chosen = {name: value for name, value in parameters.items() if name not in ("password", "dbname")}
    chosen |= tls(parameters, params)
    chosen["connect_timeout"] = str(max(2, int(params["connect_timeout_seconds"])))
    return str(psycopg2.extensions.make_dsn(**chosen, dbname=dbname))


def environment(parameters: Mapping[str, str]) -> dict[str, str]:
    """The child's environment, which holds the password."""
    found = {**os.environ, "LC_ALL": "C", "PGAPPNAME": APPLICATION_NAME}
    if parameters.get("password"):
        found["PGPASSWORD"] = parameters["password"]
    return found


@dataclass
class Running:
    """A program under way, with the end of what it says on standard error."""

    what: str
    process: subprocess.Popen[bytes]
    seconds: float
    late: bool = False
    _words: bytearray = field(default_factory=bytearray)
    _listener: threading.Thread | None = None

    @property
    def stdout(self) -> IO[bytes]:
        if self.process.stdout is None:
            raise ValueError("standard output is not read")
        return self.process.stdout

    @property
    def stdin(self) -> IO[bytes]:
        if self.process.stdin is None:
            raise ValueError("standard input is not written")
        return self.process.stdin

    def give_up(self) -> None:
        self.late = True
        self.process.kill()

    def listen(self) -> None:
        """Keep the end of what it says, in a thread of its own, until it has said all."""
        self._listener = threading.Thread(target=self._read_words, daemon=True)
        self._listener.start()

    def heard(self) -> None:
        """Wait until all that it said is read."""
        if self._listener:
            self._listener.join(HEARD_SECONDS)

    def _read_words(self) -> None:
        if self.process.stderr is None:
            return
        while piece := self.process.stderr.read1(WORDS_BYTES):  # type: ignore[attr-defined]
            self._words += piece
            del self._words[:-WORDS_BYTES]

    @property
    def words(self) -> str:
        """One line without secrets."""
        text = " ".join(self._words.decode("utf-8", errors="replace").split())
        return observed(text, 600) or "no reason given"

    def end(self) -> None:
        """Wait for its end, as long as its time allows: what was fed may take longer to be done than to be read.

        Raises DeadlineError when it had to be ended, ProgramError when it ended with an error.
        """
        code = self.process.wait()
        self.heard()
        if self.late:
            raise DeadlineError(f"{self.what} was ended after {self.seconds:.0f} s. Raise 'timeout'.")
        if code:
            ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
            raise ProgramError(f"{self.what} {ended}: {self.words}", exit_code=code)


@contextlib.contextmanager
def running(
    program: Program,
    arguments: list[str],
    env: Mapping[str, str],
    deadline: Deadline,
    what: str,
    feed: bool = False,
    read: bool = True,
) -> Iterator[Running]:
    """Start the program; on leaving it has ended, and was killed if it had not. ``feed``: standard input is written, ``read``:
    standard output is read, else thrown away. The caller calls ``end`` when it has read or fed all."""
    seconds = deadline.within(deadline.seconds, what)
    try:
        process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [program.path, *arguments],
            stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
            stdout=subprocess.PIPE if read else subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=dict(env),
            cwd="/",
        )
    except OSError as error:
        raise InputError(f"{program.path} cannot be run: {error.strerror}") from error
    found = Running(what, process, seconds)
    watchman = threading.Timer(seconds, found.give_up)
    watchman.daemon = True
    found.listen()
    watchman.start()
    try:
        yield found
    finally:
        watchman.cancel()
        if process.poll() is None:
            process.kill()
        for stream in (process.stdin, process.stdout):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()
        process.wait()
        found.heard()
        if process.stderr:
            process.stderr.close()

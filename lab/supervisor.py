# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""supervisord of the lab: its configuration and its control over the unix socket."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.layout import PROGRAMS, REPOSITORY, LabError, Paths, marked, number

NOT_RUNNING, ALREADY_STARTED, BAD_NAME, SHUTDOWN_STATE = 70, 60, 10, 6  # fault codes of supervisor's XML-RPC interface
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")


@dataclass(frozen=True)
class Program:
    """One program of the lab. ``account``: run as this account (None: as the caller)."""

    name: str
    command: Sequence[str]
    directory: Path
    account: str | None = None
    stop_signal: str = "TERM"
    stop_seconds: int = 20


def configuration(paths: Paths, programs: Sequence[Program], root: bool) -> str:
    """supervisord.conf as text. Nothing restarts by itself: a death must be visible."""

    def text(value: object) -> str:
        return str(value).replace("%", "%%")

    lines = [
        "[unix_http_server]",
        f"file={text(paths.supervisor_sock)}",
        "chmod=0700",
        "[supervisord]",
        f"logfile={text(paths.logs / 'supervisord.log')}",
        "logfile_maxbytes=5MB",
        "logfile_backups=1",
        f"pidfile={text(_pid_file(paths))}",
        f"childlogdir={text(paths.logs)}",
        f"directory={text(paths.services)}",
        "nocleanup=true",
        *(["user=root"] if root else []),
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "[supervisorctl]",
        f"serverurl=unix://{text(paths.supervisor_sock)}",
    ]
    for program in programs:
        lines += [
            f"[program:{program.name}]",
            f"command={text(shlex.join(program.command))}",
            f"directory={text(program.directory)}",
            f"priority={10 * _order(program)}",
            "autostart=false",
            "autorestart=false",
            "startsecs=0",
            "startretries=0",
            f"stopsignal={program.stop_signal}",
            f"stopwaitsecs={program.stop_seconds}",
            "killasgroup=true",
            *([f"user={program.account}"] if program.account else []),
            f"stdout_logfile={text(text(paths.stdout_log(program.name)))}",  # supervisor expands these two twice
            f"stderr_logfile={text(text(paths.stderr_log(program.name)))}",
            "stdout_logfile_maxbytes=50MB",
            "stderr_logfile_maxbytes=50MB",
            "stdout_logfile_backups=1",
            "stderr_logfile_backups=1",
        ]
    return "\n".join(lines) + "\n"


def _order(program: Program) -> int:
    """Place in the order of the start; the same whatever else is in the configuration."""
    return PROGRAMS.index(program.name) + 1 if program.name in PROGRAMS else len(PROGRAMS) + 1


def only_adds(old: str, new: str) -> bool:
    """True when the new configuration has everything that the old one has, unchanged."""
    return set(_sections(old)) <= set(_sections(new))


def _sections(text: str) -> list[str]:
    return re.split(r"^(?=\[)", text, flags=re.MULTILINE)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path, self._seconds = path, seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - the interface's name
        return _Connection(self._path, self._seconds)


def call(paths: Paths, method: str, *arguments: Any, seconds: float = 60) -> Any:
    """One call of supervisor's interface. ConnectionError when it is down; xmlrpc.client.Fault as it comes."""
    with xmlrpc.client.ServerProxy("http://lab/RPC2", _Transport(paths.supervisor_sock, seconds)) as server:
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == SHUTDOWN_STATE:
                raise ConnectionError("supervisord is shutting down") from None
            raise
        except (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError) as error:
            raise ConnectionError(f"supervisord does not answer on {paths.supervisor_sock}: {error}") from None


def running(paths: Paths) -> bool:
    """True when supervisord answers on the lab's socket."""
    if not paths.supervisor_sock.exists():
        return False
    try:
        return str(call(paths, "getState", seconds=5)["statename"]) == "RUNNING"
    except ConnectionError:
        return False


def programs_info(paths: Paths) -> dict[str, Mapping[str, Any]]:
    """Supervisor's record of each program by name (statename, pid, start, exitstatus, ...); empty when it is down."""
    try:
        return {info["name"]: info for info in call(paths, "getAllProcessInfo", seconds=10)}
    except ConnectionError:
        return {}


def add(paths: Paths, names: Sequence[str]) -> None:
    """Take programs that are new in the configuration file into the running supervisord."""
    call(paths, "reloadConfig")
    for name in names:
        call(paths, "addProcessGroup", name)


def remove(paths: Paths, names: Collection[str]) -> None:
    """Stop programs, the last one first, and take them out of the running supervisord and its configuration."""
    for name in reversed([name for name in programs_info(paths) if name in names]):
        with suppress(xmlrpc.client.Fault):  # it does not run
            call(paths, "stopProcess", name, True, seconds=90)
        call(paths, "removeProcessGroup", name)
    headers = tuple(f"[program:{name}]\n" for name in names)
    kept = [
        section for section in _sections(paths.supervisord_conf.read_text("utf-8")) if not section.startswith(headers)
    ]
    paths.supervisord_conf.write_text("".join(kept), encoding="utf-8")


def begun(paths: Paths, name: str) -> bool:
    """True when the program runs its own command, or has ended.

    Until then its process is a copy of supervisord, which would take a signal for itself: a stop would be lost.
    """
    import psutil

    pid = programs_info(paths).get(name, {}).get("pid")
    try:
        return not pid or "supervisor.supervisord" not in psutil.Process(pid).cmdline()
    except psutil.Error:
        return True


def start(paths: Paths) -> None:
    """Start the daemon; it leaves this session and outlives the caller."""
    paths.supervisor_sock.unlink(missing_ok=True)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= marked(paths)
    environment["SRE_LAB_DIR"] = str(paths.root)
    environment["SRE_LAB_NUMBER"] = str(number())
    environment["PYTHONPATH"] = str(REPOSITORY)
    answer = subprocess.run(
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(paths.supervisord_conf)],
        env=environment,
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if answer.returncode:
        complaint = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
        raise LabError(f"supervisord did not start: {complaint[-1]}")
    deadline = time.monotonic() + 15
    while not running(paths):
        if time.monotonic() > deadline:
            raise LabError(f"supervisord did not answer within 15 s; see {paths.logs / 'supervisord.log'}")
        time.sleep(0.02)


def stop(paths: Paths, seconds: float) -> None:
    """Stop all programs in reverse order and the daemon; LabError when it takes longer."""
    pid = daemon_pid(paths)
    call(paths, "shutdown")
    deadline = time.monotonic() + seconds
    while running(paths) or (pid and _alive(pid)):
        if time.monotonic() > deadline:
            raise LabError(
                f"supervisord (pid {pid}) did not stop within {seconds:g} s; see {paths.logs / 'supervisord.log'}"
            )
        time.sleep(0.05)


def daemon_pid(paths: Paths) -> int | None:
    """Pid of the running supervisord, None when it does not answer."""
    try:
        return int(call(paths, "getPID", seconds=5))
    except ConnectionError:
        return None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _pid_file(paths: Paths) -> Path:
    return paths.run / "supervisord.pid"

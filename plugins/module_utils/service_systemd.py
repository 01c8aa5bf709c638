# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units under systemd, the system's or a user's, through ``systemctl`` and ``journalctl``."""

from __future__ import annotations

import datetime
import os
import shutil
import subprocess
from typing import Literal

from .clock import Deadline
from .redact import observed
from .service_model import (
    FAILED,
    RUNNING,
    STARTING,
    STOPPED,
    STOPPING,
    UNKNOWN,
    ManagerError,
    State,
    Status,
    with_exact_start,
)

CALL_SECONDS = 30.0
TAIL_LINES = 20
TAIL_BYTES = 8192

_PROPERTIES = (
    "Id,LoadState,LoadError,ActiveState,SubState,Result,MainPID,ExecMainCode,ExecMainStatus,ExecMainStartTimestamp,"
    "ExecMainExitTimestamp,ActiveEnterTimestamp,InactiveEnterTimestamp,NRestarts,Job,UnitFileState,FragmentPath"
)
_KILLED_CODES = ("2", "3")  # CLD_KILLED, CLD_DUMPED: ExecMainStatus is then a signal
_STATES: dict[str, State] = {
    "active": RUNNING,
    "reloading": RUNNING,
    "refreshing": RUNNING,
    "activating": STARTING,
    "deactivating": STOPPING,
    "inactive": STOPPED,
    "maintenance": STOPPED,
    "failed": FAILED,
}
_HINTS = (
    ("not been booted with systemd", "this machine does not run systemd: use manager=supervisor, or the right host"),
    ("failed to connect to bus", "is XDG_RUNTIME_DIR set and does the user have a session (loginctl enable-linger)?"),
    ("authentication required", "run the task as root (become), or give the user a polkit rule"),
    ("access denied", "run the task as root (become), or give the user a polkit rule"),
    ("permission denied", "run the task as root (become), or give the user a polkit rule"),
)


class Systemd:
    """systemd's units in one ``scope``."""

    name = "systemd"

    def __init__(self, deadline: Deadline, scope: Literal["system", "user"]) -> None:
        self._deadline = deadline
        self._scope = [] if scope == "system" else ["--user"]
        self._where = f"systemd ({scope})"

    def read(self, services: list[str]) -> dict[str, Status]:
        answer = self._systemctl("show", "--no-pager", f"--property={_PROPERTIES}", "--", *services)
        blocks = [_properties(block) for block in answer.strip().split("\n\n")]
        if len(blocks) != len(services):
            raise ManagerError(f"{self._where} described {len(blocks)} units, {len(services)} were asked for")
        return {service: self._status(service, block) for service, block in zip(services, blocks, strict=True)}

    def start(self, service: str) -> None:
        if self.read([service])[service].state == FAILED:
            self._systemctl("reset-failed", "--", service)  # else a unit at its start limit refuses every start
        self._systemctl("start", "--no-block", "--", service)

    def stop(self, service: str) -> None:
        self._systemctl("stop", "--no-block", "--", service)

    def last_lines(self, service: str) -> str:
        try:
            unit = f"--{'user-' if self._scope else ''}unit={service}"
            return self._run("journalctl", "--no-pager", "--quiet", "--output=cat", f"--lines={TAIL_LINES}", unit)
        except ManagerError:
            return ""

    def _status(self, service: str, unit: dict[str, str]) -> Status:
        load = unit.get("LoadState", "")
        if load != "loaded":
            reason = f"{load or 'no answer'} {observed(unit.get('LoadError', ''), 200)}".strip()
            return Status(UNKNOWN, problem=f"{self._where} has no usable unit {service!r}: {reason}")
        word, sub = unit.get("ActiveState", ""), unit.get("SubState", "")
        state = _STATES.get(word, UNKNOWN)
        waits_for_job = unit.get("Job", "0") not in ("", "0") and state in (STOPPED, FAILED)
        if waits_for_job:
            state = STARTING
        elif sub == "auto-restart":  # its process ended; systemd will try again
            state = FAILED
        status = Status(
            state,
            active=word in ("active", "reloading", "refreshing", "activating", "deactivating") or waits_for_job,
            pid=int(unit.get("MainPID") or 0) or None,
            since=_since(state, unit),
            started=_epoch(unit.get("ExecMainStartTimestamp", "")),
            exit_code=_exit_code(state, unit),
            problem="" if state != UNKNOWN else f"{self._where} reports the state {word!r} of {service}",
            detail={
                "summary": "/".join(filter(None, (word, sub, unit.get("Result", "")))),
                "unit": unit.get("Id", service),
                "active_state": word,
                "sub_state": sub,
                "result": unit.get("Result", ""),
                "restarts": int(unit.get("NRestarts") or 0),
                "unit_file": unit.get("FragmentPath", ""),
                "enabled": unit.get("UnitFileState", ""),
            },
        )
        return with_exact_start(status)

    def _systemctl(self, *arguments: str) -> str:
        return self._run("systemctl", "--no-ask-password", *arguments)

    def _run(self, program: str, *arguments: str) -> str:
        path = shutil.which(program)
        if path is None:
            raise ManagerError(f"{program} is not on PATH: this machine does not run systemd, or PATH is cut short")
        call = " ".join([program, *(argument for argument in arguments if not argument.startswith("--"))])
        seconds = self._deadline.within(CALL_SECONDS, call)
        environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "SYSTEMD_COLORS": "0", "SYSTEMD_PAGER": ""}
        # run_command knows no time limit and needs a module
        try:
            done = subprocess.run(  # pylint: disable=ansible-bad-function
                [path, *self._scope, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=seconds,
                env=environment,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ManagerError(f"{call} gave no answer within {seconds:g} s") from error
        except OSError as error:
            raise ManagerError(f"{path} cannot be run: {error.strerror}") from error
        if done.returncode:
            raise ManagerError(_refusal(call, done))
        return done.stdout[-TAIL_BYTES * 64 :].decode("utf-8", errors="replace")


def _refusal(call: str, done: subprocess.CompletedProcess[bytes]) -> str:
    """One line: what was asked, what was answered, and the remedy where it is known."""
    said = observed(" ".join((done.stderr or done.stdout).decode("utf-8", errors="replace").split()), 400)
    hint = next((hint for words, hint in _HINTS if words in said.lower()), "")
    return f"{call} ended with {done.returncode}: {said or 'no reason given'}" + (f" ({hint})" if hint else "")


def _properties(block: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in block.splitlines() if "=" in line)
    return {name: value for name, _equals, value in pairs}


def _since(state: State, unit: dict[str, str]) -> float | None:
    if state in (RUNNING, STARTING, STOPPING):
        return _epoch(unit.get("ExecMainStartTimestamp", "")) or _epoch(unit.get("ActiveEnterTimestamp", ""))
    return _epoch(unit.get("ExecMainExitTimestamp", "")) or _epoch(unit.get("InactiveEnterTimestamp", ""))


def _exit_code(state: State, unit: dict[str, str]) -> int | None:
    if state in (RUNNING, STARTING, STOPPING) or not unit.get("ExecMainExitTimestamp", ""):
        return None
    code = int(unit.get("ExecMainStatus") or 0)
    return -code if unit.get("ExecMainCode") in _KILLED_CODES else code


def _epoch(text: str) -> float | None:
    """``Wed 2031-04-02 08:00:01 UTC`` (TZ is set to UTC for the call) as epoch seconds."""
    words = text.split()
    if len(words) != 4 or words[3] != "UTC":
        return None
    try:
        return datetime.datetime.fromisoformat(f"{words[1]}T{words[2]}+00:00").timestamp()
    except ValueError:
        return None

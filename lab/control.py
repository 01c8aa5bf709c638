# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Driving the lab from Python: faults and tests use this.

    from lab import control
    control.stop("kafka")
    control.set_env("backoffice", BACKOFFICE_ENABLE="0")
    control.restart("backoffice")

Every function raises LabError, one clear line.
"""

from __future__ import annotations

import time
import xmlrpc.client
from collections.abc import Callable
from typing import TypeVar

from lab import cluster, launch, probes, programs, supervisor
from lab.layout import PARTS, PROGRAMS, LabError, Paths, address, paths, ports

__all__ = [
    "PARTS",
    "PROGRAMS",
    "LabError",
    "Paths",
    "address",
    "clear_env",
    "is_up",
    "left_out",
    "paths",
    "ports",
    "ready",
    "restart",
    "set_env",
    "start",
    "state",
    "stop",
    "wait_ready",
    "wait_until",
    "wake_clients",
]

READY_SECONDS = {
    "postgresql": 60,
    "kafka": 120,
    "backoffice": 120,
    "gateway": 60,
    "market": 10,
    "etcd": 60,
    "kube-apiserver": 120,
    "kube-controller-manager": 60,
    "kube-scheduler": 60,
    "kwok": 60,
    "runner": 60,
    "traffic": 10,
    "stream-processor": 60,
}
_GONE = ("EXITED", "FATAL", "STOPPED", "BACKOFF", "UNKNOWN")
_T = TypeVar("_T")


def state(program: str) -> str:
    """Supervisor's word: RUNNING, STARTING, STOPPING, STOPPED, EXITED, FATAL; DOWN when the lab is down."""
    _known(program)
    info = supervisor.programs_info(paths()).get(program)
    return str(info["statename"]) if info else "DOWN"


def is_up(part: str | None = None) -> bool:
    """True when every program of the part (of all that were started) runs that was not left out at the start."""
    where = paths()
    names = programs.of_parts([_known_part(part)] if part else programs.started_parts(where))
    info, missing = supervisor.programs_info(where), programs.left_out(where)
    wanted = [name for name in names if name not in missing]
    return bool(wanted) and all(info.get(name, {}).get("statename") == "RUNNING" for name in wanted)


def left_out(part: str) -> str | None:
    """Why a program of the part was left out at the last start; None when none was."""
    missing = programs.left_out(paths())
    return next(
        (f"{name}: {missing[name]}" for name in programs.of_parts([_known_part(part)]) if name in missing), None
    )


def start(program: str, wait: bool = True) -> None:
    """Start a program, and wait until it answers. Nothing happens when it runs already."""
    _known(program)
    if state(program) == "STOPPING":
        wait_until(lambda: state(program) != "STOPPING", 60, f"{program} stopped")
    try:
        _call("startProcess", program, False)
        fresh = True
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != supervisor.ALREADY_STARTED:
            raise _refused("start", program, fault) from None
        fresh = False
    wait_until(lambda: supervisor.begun(paths(), program), 10, f"{program} begun")
    if wait:
        wait_ready(program)
        if fresh and program == "kube-apiserver":
            wake_clients()


def wake_clients() -> None:
    """Start those clients of the API server anew that could sleep for a minute after it was away."""
    for client in cluster.PATIENT:
        if state(client) == "RUNNING":
            stop(client)
            start(client, wait=False)
    for client in cluster.PATIENT:
        if state(client) == "RUNNING":
            wait_ready(client)


def stop(program: str) -> None:
    """Stop a program and wait for its end. Nothing happens when it does not run."""
    _known(program)
    try:
        _call("stopProcess", program, True)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != supervisor.NOT_RUNNING:
            raise _refused("stop", program, fault) from None


def restart(program: str) -> None:
    """Stop, start, wait until it answers."""
    stop(program)
    start(program)


def ready(program: str) -> bool:
    """True when the program answers: a connection, a metadata request, GET /health."""
    return probes.ready(_known(program))


def wait_ready(program: str) -> None:
    """Wait until the program answers; an end of its process ends the wait with the last line it wrote."""

    def answered() -> bool:
        now = state(program)
        if now in _GONE:
            raise LabError(f"{program} ended during its start ({now.lower()}): {_last_words(program)}")
        return now == "RUNNING" and probes.ready(program)

    names = programs.PORTS[program]
    where = f" on port {ports()[names[0]]}" if names else ""
    wait_until(answered, READY_SECONDS[program], f"{program} answering{where}")


def set_env(program: str, **variables: str | None) -> None:
    """Override variables of a program from its next start on; None removes one that the lab sets."""
    path = paths().override_file(_known(program))
    programs.write_env(path, launch.read(str(path)) | variables)


def clear_env(program: str, *names: str) -> None:
    """Drop overrides, all of them when no name is given; works from the next start on."""
    path = paths().override_file(_known(program))
    kept = {name: value for name, value in launch.read(str(path)).items() if names and name not in names}
    if kept:
        programs.write_env(path, kept)
    else:
        path.unlink(missing_ok=True)


def wait_until(predicate: Callable[[], _T], seconds: float, what: str) -> _T:
    """The first true value of the predicate; LabError "<what>: not within <seconds> s" otherwise."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"{what}: not within {seconds:g} s")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.5)


def _call(method: str, program: str, wait: bool) -> None:
    try:
        supervisor.call(paths(), method, program, wait, seconds=90)
    except ConnectionError:
        raise LabError(f"{program}: the lab is down; start it with `make lab`") from None


def _refused(verb: str, program: str, fault: xmlrpc.client.Fault) -> LabError:
    reason = programs.left_out(paths()).get(program)
    if fault.faultCode == supervisor.BAD_NAME and reason:
        return LabError(f"{program} cannot {verb}: it was left out ({reason})")
    return LabError(f"{program} did not {verb}: {fault.faultString}; see {paths().stderr_log(program)}")


def _known(program: str) -> str:
    if program not in PROGRAMS:
        raise LabError(f"no program {program!r} in the lab; there are {', '.join(PROGRAMS)}")
    return program


def _known_part(part: str) -> str:
    if part not in PARTS:
        raise LabError(f"no part {part!r} in the lab; there are {', '.join(PARTS)}")
    return part


def _last_words(program: str) -> str:
    for log in (paths().stderr_log(program), paths().stdout_log(program)):
        try:
            with log.open("rb") as stream:
                stream.seek(max(0, log.stat().st_size - 4096))
                lines = stream.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            continue
        if lines:
            return f"{lines[-1].strip()[:300]} (see {log})"
    return f"it wrote nothing (see {paths().logs})"

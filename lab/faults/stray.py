# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a fault beside the lab's programs, e.g. somebody else on a port; known by their pid file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import control, probes
from lab.faults import books, sessions
from lab.layout import REPOSITORY, SUPERVISED, LabError, paths, ports

END_SECONDS = 10
HOLD_SECONDS = 30


def listen(fault: str, port: str, module: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a Python module that listens on a port of the lab, until :func:`end`. LabError when it does not."""
    process = _start(fault, module, variables)

    def listening() -> bool:
        if process.poll() is not None:
            raise LabError(f"{fault}: nothing listens on port {ports()[port]}; see {_log(fault)}")
        return probes.port_open(port)

    control.wait_until(listening, END_SECONDS, f"{fault} listening on port {ports()[port]}")


def hold(fault: str, groups: list[sessions.Group]) -> None:
    """Open sessions on the lab's PostgreSQL and hold them, until :func:`end`. LabError when they are not opened."""
    process = _start(fault, ["lab.faults.sessions"], {}, sessions.text(groups))

    def holding() -> bool:
        if process.poll() is not None:
            raise LabError(f"{fault}: its sessions are not held; see {_log(fault)}")
        return "holding" in _log(fault).read_text("utf-8", "replace")

    control.wait_until(holding, HOLD_SECONDS, f"{fault} holding its sessions")


def _log(fault: str) -> Path:
    return books.keep(fault) / "output.log"


def _start(fault: str, module: Sequence[str], variables: Mapping[str, str], stdin: str = "") -> subprocess.Popen[bytes]:
    folder = books.keep(fault)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), SUPERVISED: str(paths().root), **variables}
    given = folder / "input"
    given.write_text(stdin, encoding="utf-8")
    with _log(fault).open("wb") as log, given.open("rb") as source:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=environment,
            cwd=folder,
            stdin=source,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / "pid").write_text(str(process.pid), encoding="utf-8")
    return process


def end(fault: str) -> None:
    """End the process of a fault; nothing when there is none (any more)."""
    import psutil

    try:
        process = psutil.Process(int((books.keep(fault) / "pid").read_text("utf-8")))
        if process.environ().get(SUPERVISED) == str(paths().root):
            process.terminate()
            process.wait(END_SECONDS)
    except (OSError, ValueError, psutil.NoSuchProcess):
        pass
    except psutil.Error as error:
        raise LabError(f"{fault}: its process did not end: {error}") from None
    books.forget(fault)

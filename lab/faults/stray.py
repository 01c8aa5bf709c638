# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes of a fault beside the lab's programs, e.g. somebody else on a port; known by their pid file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence

from lab import control, probes
from lab.faults import books
from lab.layout import REPOSITORY, SUPERVISED, LabError, paths, ports

END_SECONDS = 10


def listen(fault: str, port: str, module: Sequence[str], variables: Mapping[str, str]) -> None:
    """Run a Python module that listens on a port of the lab, until :func:`end`. LabError when it does not."""
    folder = books.keep(fault)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), SUPERVISED: str(paths().root), **variables}
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *module],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / "pid").write_text(str(process.pid), encoding="utf-8")

    def listening() -> bool:
        if process.poll() is not None:
            raise LabError(f"{fault}: nothing listens on port {ports()[port]}; see {folder / 'output.log'}")
        return probes.port_open(port)

    control.wait_until(listening, END_SECONDS, f"{fault} listening on port {ports()[port]}")


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

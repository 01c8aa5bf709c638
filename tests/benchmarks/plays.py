# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of ansible-playbook for the benchmarks of the cluster, and the rows of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools import third_party

ROOT = Path(__file__).resolve().parents[2]
RUN_SECONDS = 600
Tasks = list[dict[str, Any]]


class Plays:
    """Plays of one local host in a folder of their own, with this collection and those of others."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "ansible.cfg").touch()
        others = third_party.fetch()
        self._environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "K8S_AUTH_"))},
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": f"{ROOT / '.build' / 'collections'}{os.pathsep}{others}",
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "PYTHONDONTWRITEBYTECODE": "",  # compiled once, as for any user
        }

    def seconds(self, tasks: Tasks) -> float:
        """Seconds of one run of a play with these tasks; a failed run ends the benchmark."""
        book = self._folder / "play.yml"
        book.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8")
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        begun = time.perf_counter()
        done = subprocess.run(
            [program, "-i", "localhost,", "-c", "local", str(book)],
            cwd=self._folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=RUN_SECONDS,
        )
        spent = time.perf_counter() - begun
        if done.returncode:
            sys.exit(f"the benchmark's own play failed:\n{done.stdout[-5000:]}{done.stderr[-5000:]}")
        return spent


@contextmanager
def plays() -> Iterator[Plays]:
    with tempfile.TemporaryDirectory(prefix="benchmark-") as name:
        yield Plays(Path(name))


def best(rounds: int, *measured: Callable[[], float]) -> list[float]:
    """The fewest seconds of each; they take turns, so that a busy moment hits them alike."""
    times = [[one() for one in measured] for _round in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


def time_row(name: str, ours: float, theirs: float, target: float) -> dict[str, Any]:
    """A row of seconds, which may be so few above an empty play that they are lost in its noise."""
    least = 0.001
    ratio = max(theirs, least) / max(ours, least)
    return {"name": name, "ours_seconds": ours, "theirs_seconds": theirs, "ratio": ratio, "target": target}


def count_row(name: str, unit: str, ours: float, theirs: float, target: float) -> dict[str, Any]:
    """A row of what is counted instead of timed: requests, MB."""
    return {"name": name, "unit": unit, "ours": ours, "theirs": theirs, "ratio": theirs / ours, "target": target}

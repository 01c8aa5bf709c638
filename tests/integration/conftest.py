# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab for the tests: started when it is not up, healed and left as it was found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def lab_command(*arguments: str) -> None:
    """Run ``python -m lab``; a failure shows its one line."""
    done = subprocess.run([sys.executable, "-m", "lab", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"lab {' '.join(arguments)}: {done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def lab() -> Iterator[None]:
    """The lab is up and healthy. What this session started is stopped at its end; what was up stays up."""
    from lab import control

    was_up = control.is_up()
    lab_command("up")
    lab_command("heal")
    yield
    lab_command("heal")
    if not was_up:
        lab_command("down")

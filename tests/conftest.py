# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share: the lab, started when it is not up and left as it was found, and playbooks that run against it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.playbooks import Playbooks, installed_collection, lab_command
from tests.support.strict import (  # noqa: F401 - hooks
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)


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


@pytest.fixture(scope="session")
def installed() -> Path:
    """Collections path with the collection as it is installed from its archive."""
    return installed_collection()


@pytest.fixture
def playbooks(installed: Path, tmp_path: Path) -> Playbooks:
    """Runs playbooks of the installed collection by their full names."""
    return Playbooks(installed, tmp_path)

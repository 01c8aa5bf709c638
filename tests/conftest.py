# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests share: the lab, started when it is not up and left as it was found, and playbooks that run against it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.playbooks import ROOT, Playbooks, installed_collection, lab_command
from tests.support.strict import (  # noqa: F401 - hooks
    pytest_make_collect_report,
    pytest_runtest_makereport,
    pytest_runtest_setup,
)


def pytest_configure(config: pytest.Config) -> None:
    """Each of several test processes (``pytest -n 2``) has a lab of its own: its own folder and ports."""
    number = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    if number != "0":
        os.environ["SRE_LAB_DIR"] = f"{os.environ.get('SRE_LAB_DIR') or ROOT / '.lab'}-{number}"
        os.environ["SRE_LAB_NUMBER"] = str(int(os.environ.get("SRE_LAB_NUMBER") or 0) + int(number))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What real servers are asked in is tried twice: a machine with two busy cores misses a wait now and then.

    The summary names each test that was run again; one that fails twice has failed.
    """
    for item in items:
        if {"integration", "truth"} & set(item.path.relative_to(ROOT / "tests").parts):
            item.add_marker(pytest.mark.flaky(reruns=1))


def _was_started(part: str) -> bool:
    """Whether somebody else has started this part. That its programs run is not enough: another part may need them."""
    from lab import control, programs
    from lab.layout import paths

    return part in programs.started_parts(paths()) and control.state("postgresql") == "RUNNING"


@pytest.fixture(scope="session")
def lab() -> Iterator[None]:
    """The lab's part backoffice is up and healthy. What this session started is stopped at its end; what was up stays."""
    was_up = _was_started("backoffice")
    lab_command("up", "backoffice")
    lab_command("heal")
    yield
    lab_command("heal")
    if not was_up:
        lab_command("down", "backoffice")


@pytest.fixture(scope="session")
def databases_lab() -> Iterator[None]:
    """PostgreSQL with the databases of every system, and nothing else. Else as ``lab``."""
    was_up = _was_started("databases")
    lab_command("up", "databases")
    lab_command("heal")
    yield
    lab_command("heal")
    if not was_up:
        lab_command("down", "databases")


@pytest.fixture(scope="module")
def quiet_databases(databases_lab: None) -> Iterator[None]:
    """What books orders is stopped where it runs: what changes in a database is then the test's doing."""
    from tests.support import writers

    stopped = writers.stop()
    yield
    if stopped:
        lab_command("heal")


@pytest.fixture(scope="session")
def kubernetes_lab() -> Iterator[None]:
    """The lab's part kubernetes is up and healthy; left out where the control plane cannot be had. Else as ``lab``."""
    from lab import lifecycle
    from lab.layout import paths

    missing = lifecycle.build(paths(), ["kubernetes"])
    if missing:
        pytest.skip(f"there is no control plane: {missing}")
    was_up = _was_started("kubernetes")
    lab_command("up", "kubernetes")
    yield
    if not was_up:
        lab_command("down", "kubernetes")


@pytest.fixture(scope="session")
def installed() -> Path:
    """Collections path with the collection as it is installed from its archive."""
    return installed_collection()


@pytest.fixture
def playbooks(installed: Path, tmp_path: Path) -> Playbooks:
    """Runs playbooks of the installed collection by their full names."""
    return Playbooks(installed, tmp_path)

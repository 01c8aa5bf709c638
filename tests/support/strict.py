# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be left out: tests for another user than the one who runs them, and with STRICT=1 nothing else.

Markers: ``needs_root`` (``or_sudo=True``: the right to use sudo without a password will do) and ``needs_no_root``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator

import pytest


def wrong_user(item: pytest.Item) -> str | None:
    """Why the test is not for the user who runs it; None when it is."""
    root = os.geteuid() == 0
    needs_root = item.get_closest_marker("needs_root")
    if needs_root and not root and not (needs_root.kwargs.get("or_sudo") and _sudo()):
        return "only root can do this"
    if item.get_closest_marker("needs_no_root") and root:
        return "root is refused nothing"
    return None


def _sudo() -> bool:
    return (
        bool(shutil.which("sudo"))
        and not subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False, timeout=30).returncode
    )


def strict() -> bool:
    return os.environ.get("STRICT") == "1"


def pytest_runtest_setup(item: pytest.Item) -> None:
    reason = wrong_user(item)
    if reason:
        pytest.skip(reason)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if strict() and report.skipped and not hasattr(report, "wasxfail") and not wrong_user(item):
        _fail(report)
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """A whole file that leaves itself out, as with importorskip."""
    report = yield
    if strict() and report.skipped:
        _fail(report)
    return report


def _fail(report: pytest.TestReport | pytest.CollectReport) -> None:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
    report.outcome = "failed"
    report.longrepr = f"STRICT=1 leaves nothing out: {reason}"

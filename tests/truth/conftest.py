# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints the truth table after the tests that fill it."""

from __future__ import annotations

from typing import Any

import pytest

FOUND = pytest.StashKey[list[tuple[str, ...]]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FOUND] = []


@pytest.fixture
def found(pytestconfig: pytest.Config) -> list[tuple[str, ...]]:
    """Rows of the table so far: kind, situation, playbook, verdict, cause."""
    return pytestconfig.stash[FOUND]


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    rows = config.stash[FOUND]
    if not rows:
        return
    header = ("table", "put into the lab", "asked", "verdict", "cause")
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    terminalreporter.section("truth table")
    for row in [header, *rows]:
        terminalreporter.write_line(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )

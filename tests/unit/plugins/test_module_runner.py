# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are run one after the other in one process have results of their own."""

from __future__ import annotations

from types import ModuleType

import pytest
from ansible.module_utils.basic import AnsibleModule

from tests.unit.plugins.module_runner import run_module


def module(*warnings: str) -> ModuleType:
    """A module that warns."""
    made = ModuleType("made")

    def main() -> None:
        running = AnsibleModule({})
        for text in warnings:
            running.warn(text)
        running.exit_json()

    made.main = main  # type: ignore[attr-defined]
    return made


def test_warnings_are_those_of_the_module_that_warned(capsys: pytest.CaptureFixture[str]) -> None:
    (warning,) = run_module(module("mind the gap"), capsys)["warnings"]
    assert "mind the gap" in str(warning)
    assert "warnings" not in run_module(module(), capsys)

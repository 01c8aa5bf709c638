# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("urllib3")

from ansible_collections.sre.runbooks.plugins.modules import recovery_history
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]


def test_reading_a_history_that_is_not_there(tmp_path: Path, capsys: Capture) -> None:
    result = run_module(recovery_history, capsys, system="shop", directory=str(tmp_path), may_be_lost=True)
    assert (result["changed"], result["records"], result["trend"]["runs"]) == (False, [], 0)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_is_one_line(capsys: Capture) -> None:
    record = {"id": "one"}
    given = {
        "system": "shop",
        "url": "http://127.0.0.1:1/x",
        "token": "correct-horse",
        "use_proxy": False,
        "retries": 0,
    }
    result = run_module(recovery_history, capsys, record=record, **given)
    assert result["failed"] is True
    assert "so nothing was written" in result["msg"]
    assert "correct-horse" not in str(result)


def test_one_place_is_needed(capsys: Capture) -> None:
    assert "directory, url" in run_module(recovery_history, capsys, system="shop")["msg"]

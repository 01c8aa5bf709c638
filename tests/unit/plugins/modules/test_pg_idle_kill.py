# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, without a server."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import pg_idle_kill
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED: dict[str, Any] = {
    "login_host": "127.0.0.1",
    "login_port": 1,
    "login_db": "shop",
    "login_password": "correct-horse",
}


@pytest.mark.parametrize("check", [True, False])
def test_a_server_that_is_away_ends_nothing_and_says_so(capsys: Capture, check: bool) -> None:
    result = run_module(pg_idle_kill, capsys, check, **CLOSED)
    assert result["failed"] is True
    assert result["changed"] is False
    assert result["msg"].endswith("Nothing was ended.")
    assert "Connection refused" in result["msg"]
    assert "correct-horse" not in str(result)


def test_wrong_options_contact_nothing(capsys: Capture) -> None:
    assert "below floor_seconds (60)" in run_module(pg_idle_kill, capsys, idle_seconds=30, **CLOSED)["msg"]
    assert "from 0.1 to 60" in run_module(pg_idle_kill, capsys, wait_seconds=0, **CLOSED)["msg"]
    assert "Raise timeout" in run_module(pg_idle_kill, capsys, wait_seconds=5, timeout=5, **CLOSED)["msg"]
    assert "login_host is empty" in run_module(pg_idle_kill, capsys, **{**CLOSED, "login_host": ""})["msg"]
    assert "databases is an empty list" in run_module(pg_idle_kill, capsys, databases=[])["msg"]


def test_without_its_library(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {"psycopg2-binary": ImportError("No module named 'psycopg2'")})
    assert "pip install psycopg2-binary" in run_module(pg_idle_kill, capsys, **CLOSED)["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.modules import recovery_reconcile
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED = {"login_host": "127.0.0.1", "login_port": 1, "login_db": "x", "login_password": "correct-horse"}
SOURCE = {"database": "x", "query": "SELECT 1"}
ITEM = {"name": "n", "database": "x", "current": "SELECT 1", "sources": [SOURCE], "statement": "SELECT %(value)s"}


@pytest.mark.parametrize("check", [False, True])
def test_a_server_that_is_away_lifts_nothing(check: bool, capsys: Capture) -> None:
    result = run_module(recovery_reconcile, capsys, check, numbers=[ITEM], **CLOSED)
    assert result["failed"] is True
    assert "nothing was lifted, because not every number could be read: PostgreSQL at 127.0.0.1:1/x" in result["msg"]
    assert "correct-horse" not in str(result)


def test_names_are_used_once(capsys: Capture) -> None:
    assert "has n twice" in run_module(recovery_reconcile, capsys, numbers=[ITEM, ITEM], **CLOSED)["msg"]

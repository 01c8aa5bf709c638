# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.modules import pg_marker
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED = {"login_host": "127.0.0.1", "login_port": 1, "login_password": "correct-horse"}


@pytest.mark.parametrize("check", [False, True])
def test_a_server_that_is_away_is_one_line(check: bool, capsys: Capture) -> None:
    result = run_module(pg_marker, capsys, check, login_db="shop", **CLOSED)
    assert result["failed"] is True
    assert "no marker in 1 of 1 databases: PostgreSQL at 127.0.0.1:1/shop" in result["msg"]
    assert (result["markers"], result["changed"]) == ([], False)
    assert "correct-horse" not in str(result)


@pytest.mark.parametrize("source", ["", "  ", "x" * 201])
def test_a_source_is_needed(source: str, capsys: Capture) -> None:
    assert "it needs 1 to 200" in run_module(pg_marker, capsys, source=source, **CLOSED)["msg"]


def test_an_unset_variable_is_no_host(capsys: Capture) -> None:
    assert "login_host is empty" in run_module(pg_marker, capsys, login_host="", login_port=1)["msg"]

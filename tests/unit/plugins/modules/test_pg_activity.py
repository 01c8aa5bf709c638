# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, without a server."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import pg_activity
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED: dict[str, Any] = {
    "login_host": "127.0.0.1",
    "login_port": 1,
    "login_db": "shop",
    "login_password": "correct-horse",
}


def test_a_closed_port_is_a_failed_check_in_check_mode_too(capsys: Capture) -> None:
    result = run_module(pg_activity, capsys, **CLOSED)
    assert (result["verdict"], result["changed"]) == ("fail", False)
    assert [(row["id"], row["status"]) for row in result["checks"]] == [("connections.shop", "fail")]
    assert result["databases"] == [{"name": "shop", "answered": False, "problem": result["checks"][0]["observed"]}]
    assert "correct-horse" not in str(result)
    assert run_module(pg_activity, capsys, True, **CLOSED) == result


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"long_query_seconds": -1}, "long_query_seconds is -1; it must be 0 (not checked) or more"),
        ({"max_saturation_percent": 101}, "at most 100"),
        ({"checks": []}, "nothing would be looked at"),
        ({"capture_rows": 0}, "capture_rows is 0"),
        ({"slow_query_min_calls": 0}, "slow_query_min_calls is 0"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_wrong_options(capsys: Capture, options: dict[str, Any], words: str) -> None:
    assert words in run_module(pg_activity, capsys, **CLOSED, **options)["msg"]


def test_without_its_library(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {"psycopg2-binary": ImportError("No module named 'psycopg2'")})
    assert "pip install psycopg2-binary" in run_module(pg_activity, capsys, **CLOSED)["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, without a server."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import ecommerce_store
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED: dict[str, Any] = {
    "databases": [{"name": "customer_db"}, {"name": "order_db"}],
    "login_host": "127.0.0.1",
    "login_port": 1,
    "login_password": "correct-horse",
}


def test_a_closed_port_is_a_failed_check_in_check_mode_too(capsys: Capture) -> None:
    result = run_module(ecommerce_store, capsys, **CLOSED)
    assert (result["verdict"], result["changed"]) == ("fail", False)
    assert {row["id"]: row["status"] for row in result["checks"]} == {
        "database.customer_db": "fail",
        "outbox": "unverified",
        "idempotency": "unverified",
    }
    assert "correct-horse" not in str(result)
    assert run_module(ecommerce_store, capsys, True, **CLOSED) == result
    found = run_module(ecommerce_store, capsys, parts=["sessions"], **CLOSED)
    assert [(row["id"], row["status"]) for row in found["checks"]] == [
        ("sessions.customer_db", "fail"),
        ("sessions.order_db", "fail"),
    ]
    assert found["sessions"] == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parts": []}, "nothing would be looked at"),
        ({"time_zone": "UTC+5"}, "give UTC or a name"),
        ({"window_seconds": 1}, "window_seconds is 1"),
        ({"databases": [{"name": "shop"}]}, "name the shop's database customer_db"),
        ({"concurrency": 0}, "concurrency is 0"),
    ],
)
def test_wrong_options(capsys: Capture, options: dict[str, Any], words: str) -> None:
    assert words in run_module(ecommerce_store, capsys, **{**CLOSED, **options})["msg"]


def test_without_its_library(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {"psycopg2-binary": ImportError("No module named 'psycopg2'")})
    assert "pip install psycopg2-binary" in run_module(ecommerce_store, capsys, **CLOSED)["msg"]

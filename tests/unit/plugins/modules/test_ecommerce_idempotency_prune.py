# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, without a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import ecommerce_idempotency_prune
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED: dict[str, Any] = {
    "login_host": "127.0.0.1",
    "login_port": 1,
    "login_db": "customer_db",
    "login_password": "correct-horse",
}


@pytest.mark.parametrize("check", [True, False])
def test_a_closed_port_is_a_failed_task(capsys: Capture, tmp_path: Path, check: bool) -> None:
    result = run_module(ecommerce_idempotency_prune, capsys, check, audit_directory=str(tmp_path), **CLOSED)
    assert (result["failed"], result["changed"]) == (True, False)
    assert result["msg"].startswith("PostgreSQL at 127.0.0.1:1/customer_db")
    assert result["msg"].endswith("Nothing was deleted.")
    assert "correct-horse" not in str(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"audit_directory": "/nowhere/at-all"}, "audit_directory /nowhere/at-all is no folder"),
        ({"grace_seconds": 3600}, "time_zone is not set"),
        ({"time_zone": "UTC+5"}, "give UTC or a name"),
        ({"max_rows": 10_000}, "max_rows is 10000"),
        ({"lock_timeout_ms": 0}, "lock_timeout_ms is 0"),
        ({"beyond_limits": "delete"}, "beyond_limits"),
    ],
)
def test_wrong_options(capsys: Capture, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    given = {**CLOSED, "audit_directory": str(tmp_path), **options}
    assert words in run_module(ecommerce_idempotency_prune, capsys, **given)["msg"]


def test_the_folder_has_to_be_named(capsys: Capture) -> None:
    assert "audit_directory" in run_module(ecommerce_idempotency_prune, capsys, **CLOSED)["msg"]


def test_without_its_library(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {"psycopg2-binary": ImportError("No module named 'psycopg2'")})
    result = run_module(ecommerce_idempotency_prune, capsys, audit_directory=str(tmp_path), **CLOSED)
    assert "pip install psycopg2-binary" in result["msg"]

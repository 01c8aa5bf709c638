# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import pg_backup
from tests.unit.plugins import backup_folder
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED: dict[str, Any] = {
    "set": "shop",
    "login_host": "127.0.0.1",
    "login_port": 1,
    "login_db": "shop",
    "login_password": "correct-horse",
}


@pytest.mark.parametrize("check", [False, True])
def test_a_server_that_is_away_leaves_no_trace(check: bool, tmp_path: Path, capsys: Capture) -> None:
    result = run_module(pg_backup, capsys, check, directory=str(tmp_path), **CLOSED)
    assert result["failed"] is True
    assert "PostgreSQL at 127.0.0.1:1/shop: " in result["msg"]
    assert "correct-horse" not in str(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"directory": "/nowhere/at/all"}, "is the disk of the backups mounted"),
        ({"set": "a b"}, "becomes part of file names"),
        ({"databases": []}, "databases is an empty list"),
        ({"databases": [{"name": "x/y"}]}, "becomes part of file names"),
        ({"min_free_percent": 99}, "from 0 to 90"),
        ({"concurrency": 0}, "from 1 to 64"),
        ({"compression": "6; rm"}, "give what pg_dump takes"),
        ({"login_host": ""}, "login_host is empty"),
        ({"recipients": ["age1nonsense"]}, "no public key"),
    ],
)
def test_bad_arguments_are_one_line(capsys: Capture, tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    pytest.importorskip("pyrage")
    result = run_module(pg_backup, capsys, **{**CLOSED, "directory": str(tmp_path), **arguments})
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]


def test_a_young_set_is_no_reason_not_to_ask_the_server(capsys: Capture, tmp_path: Path) -> None:
    import time

    backup_folder.write(tmp_path, "shop", time.time() - 60, ("shop",))
    assert run_module(pg_backup, capsys, directory=str(tmp_path), max_age_hours=1, **CLOSED)["failed"] is True


@pytest.mark.parametrize("library", ["psycopg2-binary", "pyrage"])
def test_without_its_libraries(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setitem(libraries._missing, library, ImportError("No module"))
    result = run_module(pg_backup, capsys, directory=str(tmp_path), recipients=["age1x"], **CLOSED)
    assert result["missing_libraries"] == [library]

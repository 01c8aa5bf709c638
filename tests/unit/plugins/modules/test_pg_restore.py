# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import pg_restore
from tests.unit.plugins import backup_folder
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
NOW = 1_700_000_000.0
CLOSED: dict[str, Any] = {"set": "shop", "login_host": "127.0.0.1", "login_port": 1, "login_password": "correct-horse"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "has no whole backup"),
        ({"backup": "other-20310402T080311Z"}, "give 'newest' or an id such as shop-"),
        ({"backup": "shop-20310402T080311Z"}, "has no backup shop-20310402T080311Z"),
        ({"directory": "/nowhere/at/all"}, "is the disk of the backups mounted"),
        ({"state": "absent"}, "it drops nothing that is not named"),
        ({"state": "absent", "drill_id": "No"}, "drill_id is 'No'"),
        ({"state": "absent", "drill_id": "one"}, "PostgreSQL at 127.0.0.1:1/postgres"),
        ({"jobs": 0}, "from 1 to 64"),
        ({"databases": []}, "has no whole backup"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_is_refused(capsys: Capture, tmp_path: Path, check: bool, arguments: dict[str, Any], words: str) -> None:
    result = run_module(pg_restore, capsys, check, **{**CLOSED, "directory": str(tmp_path), **arguments})
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]
    assert "correct-horse" not in str(result)


def test_a_set_of_the_future_is_told(capsys: Capture, tmp_path: Path) -> None:
    import time

    folder = backup_folder.write(tmp_path, "shop", time.time() + 86_400)
    result = run_module(pg_restore, capsys, directory=str(tmp_path), **CLOSED)
    assert f"the newest, {folder.name}: it is dated in the future" in result["msg"]


def test_a_damaged_set_is_refused_before_the_server_is_asked(capsys: Capture, tmp_path: Path) -> None:
    folder = backup_folder.write(tmp_path, "shop", NOW)
    (folder / "one.dump").write_bytes(b"x" * len(backup_folder.CONTENT))
    result = run_module(pg_restore, capsys, directory=str(tmp_path), backup=folder.name, **CLOSED)
    assert (
        "its content was changed. Nothing was touched" in result["msg"] or "pg_restore is not in PATH" in result["msg"]
    )


def test_programs_that_cannot_read_the_archive(capsys: Capture, tmp_path: Path) -> None:
    """pg_dump 17 and newer write what pg_restore 16 does not read; 17 reads what 18 wrote."""
    folder = backup_folder.write(tmp_path, "shop", NOW)
    program = tmp_path / "pg_restore"
    for version, told in (("16.4", True), ("17.2", False)):
        program.write_text(f"#!/bin/sh\n[ $1 = --version ] && echo 'pg_restore (PostgreSQL) {version}'\n")
        program.chmod(0o755)
        given = {"directory": str(tmp_path), "backup": folder.name, "bin_dir": str(tmp_path), **CLOSED}
        result = run_module(pg_restore, capsys, True, **given)
        assert result["failed"] is True
        assert ("install the client programs of PostgreSQL 18 or newer" in result["msg"]) is told, result["msg"]


def test_without_its_library(capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "psycopg2-binary", ImportError("No module"))
    result = run_module(pg_restore, capsys, directory=str(tmp_path), **CLOSED)
    assert result["missing_libraries"] == ["psycopg2-binary"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, over folders of backups."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import databases
from ansible_collections.sre.runbooks.plugins.module_utils.backup_plan import Identity
from ansible_collections.sre.runbooks.plugins.module_utils.postgres import PostgresError
from ansible_collections.sre.runbooks.plugins.modules import pg_backup_info
from tests.unit.plugins import backup_folder
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
HOUR = 3600.0


def info(capsys: Capture, folder: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module(
        pg_backup_info, capsys, check, **{"set": "shop", "directory": str(folder), "max_age_hours": 24, **options}
    )


def status(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"].removeprefix("backup_").removesuffix(".shop"): row["status"] for row in result["checks"]}


def test_all_is_well_and_documented(capsys: Capture, tmp_path: Path) -> None:
    for hours in (1, 25, 24 * 15):
        backup_folder.write(tmp_path, "shop", time.time() - hours * HOUR, ("one", "two"))
    result = info(capsys, tmp_path, databases=["two", "one"], retention_days=15)
    assert {name for name, found in status(result).items() if found != "pass"} == {"source"}  # no database was asked
    parts = {"age", "whole", "databases", "source", "content", "clock", "leftovers", "retention"}
    assert set(status(result)) == parts
    assert [row["verified"] for row in result["sets"]] == [True, False, False]
    documented = {line.rstrip(":") for line in pg_backup_info.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(result) - {"changed", "invocation"}
    again = info(capsys, tmp_path, True, databases=["two", "one"], retention_days=15)
    assert again["checks"] == result["checks"]


def test_each_check_alone(capsys: Capture, tmp_path: Path) -> None:
    empty = info(capsys, tmp_path)
    assert (empty["verdict"], status(empty)["age"], status(empty)["whole"]) == ("fail", "fail", "unverified")
    assert [finding["cause"] for finding in empty["findings"]] == ["no_backup"]
    folder = backup_folder.write(tmp_path, "shop", time.time() - 2 * HOUR)
    assert status(info(capsys, tmp_path))["databases"] == "unverified"
    assert status(info(capsys, tmp_path, databases=["one", "other"]))["databases"] == "fail"
    assert status(info(capsys, tmp_path, max_age_hours=1))["age"] == "fail"
    assert status(info(capsys, tmp_path, retention_days=15))["retention"] == "unverified"
    assert status(info(capsys, tmp_path, verify=False))["whole"] == "unverified"
    (tmp_path / "shop" / ".partial-shop-20300101T000000Z").mkdir()
    assert status(info(capsys, tmp_path))["leftovers"] == "unverified"
    (folder / "one.dump").write_bytes(b"y" * len(backup_folder.CONTENT))
    assert status(info(capsys, tmp_path, verify=False))["age"] == "pass"
    broken = info(capsys, tmp_path)
    assert (status(broken)["whole"], status(broken)["age"]) == ("fail", "fail")
    assert broken["newest"] is None
    backup_folder.write(tmp_path, "shop", time.time() + 24 * HOUR)
    future = info(capsys, tmp_path)
    assert (status(future)["clock"], status(future)["age"]) == ("fail", "fail")
    assert {"clock_moved", "no_backup", "backup_broken"} <= {finding["cause"] for finding in future["findings"]}


@pytest.mark.parametrize(
    ("answers", "found"),
    [
        ([Identity("one_db", "7"), Identity("two_db", "7")], "pass"),
        ([Identity("one_db", "7"), Identity("two_db", "8")], "fail"),  # another server
        ([Identity("one_db", "7"), Identity("two_of_staging", "7")], "fail"),  # another database of the same server
        ([Identity("one_db", "7"), Identity("two_db", None)], "unverified"),
        ([Identity("one_db", "7"), PostgresError("refused", "PostgreSQL at 127.0.0.1: away")], "unverified"),
    ],
)
def test_whose_backup_it_is(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[Any], found: str
) -> None:
    backup_folder.write(tmp_path, "shop", time.time() - HOUR, ("one", "two"))
    monkeypatch.setattr(databases, "each", lambda *_arguments: answers)
    sources = [{"name": name, "login_db": f"{name}_db", "login_user": "u"} for name in ("one", "two")]
    result = info(capsys, tmp_path, sources=sources)
    assert status(result)["databases"] == "pass"
    assert status(result)["source"] == found
    assert ("backup_of_another_server" in [row["cause"] for row in result["findings"]]) is (found == "fail")


def test_a_source_without_a_backup_is_not_green(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "each", lambda *_arguments: [Identity("one_db", "7")])
    sources = [{"name": "one", "login_db": "one_db"}]
    assert status(info(capsys, tmp_path, sources=sources))["source"] == "unverified"
    backup_folder.write(tmp_path, "shop", time.time() - HOUR, ("two",))
    found = status(info(capsys, tmp_path, sources=sources))
    assert (found["source"], found["databases"]) == ("unverified", "fail")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_age_hours": 0}, "more than 0"),
        ({"retention_days": -1}, "more than 0"),
        ({"directory": "/nowhere/at/all"}, "is the disk of the backups mounted"),
        ({"set": ".."}, "becomes part of file names"),
    ],
)
def test_bad_arguments(capsys: Capture, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    result = info(capsys, tmp_path, **options)
    assert result["failed"] is True
    assert words in result["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, over folders of backups."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_lock
from ansible_collections.sre.runbooks.plugins.modules import pg_backup_prune
from tests.unit.plugins import backup_folder
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
DAY = 86_400.0


def prune(capsys: Capture, folder: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    given = {"set": "shop", "directory": str(folder), "retention_days": 15, "keep_minimum": 1, **options}
    return run_module(pg_backup_prune, capsys, check, **given)


def test_plan_act_and_nothing_more(capsys: Capture, tmp_path: Path) -> None:
    made = [backup_folder.write(tmp_path, "shop", time.time() - days * DAY) for days in (1, 10, 20, 30)]
    other = backup_folder.write(tmp_path, "other", time.time() - 90 * DAY)
    (tmp_path / "shop" / "notes.txt").write_text("mine")
    planned = prune(capsys, tmp_path, True)
    assert [row["id"] for row in planned["plan"]["delete"]] == [made[3].name, made[2].name]
    assert all(folder.exists() for folder in made)
    done = prune(capsys, tmp_path)
    assert done["deleted"] == [made[3].name, made[2].name]
    assert [folder.exists() for folder in made] == [True, True, False, False]
    assert other.exists()
    assert (tmp_path / "shop" / "notes.txt").exists()
    again = prune(capsys, tmp_path)
    assert (again["changed"], again["deleted"]) == (False, [])
    documented = {line.rstrip(":") for line in pg_backup_prune.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(done) - {"changed", "invocation"}


def test_a_deletion_that_was_cut_off_is_completed(capsys: Capture, tmp_path: Path) -> None:
    backup_folder.write(tmp_path, "shop", time.time())
    doomed = tmp_path / "shop" / ".pruned-shop-20200101T000000Z"
    doomed.mkdir()
    (doomed / "one.dump").write_text("rest")
    assert prune(capsys, tmp_path, True)["removed_leftovers"] == [doomed.name]
    assert doomed.exists()
    assert prune(capsys, tmp_path)["removed_leftovers"] == [doomed.name]
    assert not doomed.exists()


def test_only_one_at_a_time(capsys: Capture, tmp_path: Path) -> None:
    backup_folder.write(tmp_path, "shop", time.time())
    with backup_lock.alone(str(tmp_path / "shop")):
        result = prune(capsys, tmp_path)
    assert "another backup or prune" in result["msg"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retention_days": 14}, "kept for more than 14 days"),
        ({"retention_days": -1}, "kept for more than 14 days"),
        ({"keep_minimum": 0}, "from 1 to 1000"),
        ({"max_delete": 0}, "from 1 to 1000"),
        ({"directory": "/nowhere/at/all"}, "is the disk of the backups mounted"),
    ],
)
def test_bad_arguments(capsys: Capture, tmp_path: Path, options: dict[str, Any], words: str) -> None:
    result = prune(capsys, tmp_path, **options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert list(tmp_path.iterdir()) == []


def test_a_set_never_backed_up(capsys: Capture, tmp_path: Path) -> None:
    assert prune(capsys, tmp_path)["changed"] is False
    assert list(tmp_path.iterdir()) == []

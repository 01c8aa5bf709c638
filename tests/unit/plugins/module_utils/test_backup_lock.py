# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may work on a set, and what of killed runs may go: also of pods that are gone, and on file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_lock
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError, RunbookError
from tests.unit.plugins import backup_folder

NOW = 1_932_000_000.0
HOUR = 3600.0
FROM_ELSEWHERE = ".partial-shop-20310402T080311Z"


def partial(folder: Path, monkeypatch: pytest.MonkeyPatch, host: str, seconds: float) -> Path:
    """What a run on a machine leaves that was begun NOW and may take so many seconds."""
    made = folder / FROM_ELSEWHERE
    made.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: host)
        backup_lock.sign(str(made), NOW, seconds)
    (made / "one.dump").write_bytes(b"half of it")
    return made


def test_a_pod_that_is_gone_is_dead_once_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = partial(tmp_path, monkeypatch, "automation-job-17", 4 * HOUR)
    for later in (0.0, 3 * HOUR, 4.9 * HOUR, -24 * HOUR):
        found = backup_lock.clear(str(tmp_path), NOW + later)
        assert (found.removed, [row["folder"] for row in found.kept]) == ([], [FROM_ELSEWHERE])
        assert "automation-job-17" in found.kept[0]["reason"]
        assert "removes it" in found.kept[0]["reason"]
    assert made.exists()
    assert backup_lock.leftovers(str(tmp_path), NOW + 5.1 * HOUR).removed == [FROM_ELSEWHERE]
    assert made.exists()
    assert backup_lock.clear(str(tmp_path), NOW + 5.1 * HOUR).removed == [FROM_ELSEWHERE]
    assert not made.exists()


def test_one_of_this_machine_is_dead_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial(tmp_path, monkeypatch, socket.gethostname(), 4 * HOUR)
    assert backup_lock.leftovers(str(tmp_path), NOW).removed == [FROM_ELSEWHERE]


@pytest.mark.parametrize("owner", [None, "", "{", "[]", json.dumps({"host": "elsewhere"})])
def test_one_that_does_not_say_is_kept_for_a_week(tmp_path: Path, owner: str | None) -> None:
    made = tmp_path / FROM_ELSEWHERE
    made.mkdir()
    (made / "one.dump").write_bytes(b"half of it")
    if owner is not None:
        (made / "owner.json").write_text(owner)
    os.utime(made, (NOW, NOW))
    assert "removes it" in backup_lock.leftovers(str(tmp_path), NOW + 6 * 24 * HOUR).kept[0]["reason"]
    assert backup_lock.leftovers(str(tmp_path), NOW + 8 * 24 * HOUR).removed == [FROM_ELSEWHERE]


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_arguments: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO, errno.EBADF])
def test_a_file_system_without_locks_is_no_other_backup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = backup_folder.write(tmp_path, "shop", NOW)
    without_locks(monkeypatch, number)
    for lock in (backup_lock.alone(str(tmp_path)), backup_lock.unused(str(whole))):
        with pytest.raises(RunbookError, match=rf"cannot be locked: .* \({errno.errorcode[number]}\)") as error, lock:
            pytest.fail("it went on without a lock")
        assert "under way" not in error.value.message
        assert "being restored" not in error.value.message


def test_a_restore_needs_no_lock_where_nothing_can_be_pruned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = backup_folder.write(tmp_path, "shop", NOW)
    without_locks(monkeypatch, errno.ENOLCK)
    with backup_lock.in_use(str(whole)):
        pass
    without_locks(monkeypatch, errno.EIO)
    with pytest.raises(RunbookError, match="EIO"), backup_lock.in_use(str(whole)):
        pytest.fail("it went on without a lock")


def test_two_at_once(tmp_path: Path) -> None:
    whole = str(backup_folder.write(tmp_path, "shop", NOW))
    with backup_lock.alone(str(tmp_path)), pytest.raises(RefusedError, match="another backup or prune"):
        backup_lock.alone(str(tmp_path)).__enter__()
    with (
        backup_lock.in_use(whole),
        backup_lock.in_use(whole),
        pytest.raises(RefusedError, match="is being restored from"),
    ):
        backup_lock.unused(whole).__enter__()
    with backup_lock.unused(whole), pytest.raises(RefusedError, match="is being deleted"):
        backup_lock.in_use(whole).__enter__()

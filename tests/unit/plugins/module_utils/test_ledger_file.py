# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger as a file: what is no ledger, who holds it, and the snapshot beside it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_file, ledger_holders, ledger_snapshot
from ansible_collections.sre.runbooks.plugins.module_utils.checks import FAIL, UNVERIFIED
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_file import LedgerError, LedgerFile


def problem(path: Path) -> LedgerError:
    with pytest.raises(LedgerError) as caught:
        LedgerFile(str(path))
    assert caught.value.hint
    return caught.value


def test_a_missing_file_is_wrong(tmp_path: Path) -> None:
    error = problem(tmp_path / "ledger.log")
    assert error.status == FAIL
    assert "BACKOFFICE_LEDGER_PATH" in error.message


@pytest.mark.parametrize("kind", ["directory", "named pipe", "socket"])
def test_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "directory":
            path.mkdir()
        elif kind == "named pipe":
            os.mkfifo(path)
        else:
            server.bind(str(path))
        error = problem(path)
    assert error.status == UNVERIFIED
    assert f"is a {kind}, not a ledger file" in error.message


def test_a_device_is_not_opened() -> None:
    assert "character device" in problem(Path("/dev/zero")).message


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"")

    def denied(*args: object, **kwargs: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", denied)
    error = problem(path)
    assert error.status == UNVERIFIED
    assert "become" in error.hint


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "Not a directory" in problem(tmp_path / "file" / "ledger.log").message
    assert "does not exist" in problem(Path("/nul\0byte")).message


def test_a_link_to_itself(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "cannot be opened" in problem(tmp_path / "loop").message


def test_a_replaced_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"one\n")
    with LedgerFile(str(path)) as ledger:
        assert not ledger.replaced()
        assert ledger.now() == ledger.identity
        path.rename(tmp_path / "old")
        assert ledger.replaced()
        path.write_bytes(b"two\n")
        assert ledger.replaced()


class Writing(Clock):
    """Something is written while the scan waits."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path, self.content, self.waits = path, content, 0

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        with self.path.open("ab") as stream:
            stream.write(self.content)


@pytest.mark.parametrize(
    ("written", "size"),
    [(b"", len(b"one\ntw")), (b"o\n", len(b"one\ntwo\n")), (b"o\nthr", len(b"one\ntwo\n")), (b"oo", len(b"one\n"))],
)
def test_a_line_that_is_being_written_is_no_torn_tail(tmp_path: Path, written: bytes, size: int) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"one\ntw")
    clock = Writing(path, written)
    with LedgerFile(str(path)) as ledger:
        ledger.settle(clock)
        assert (ledger.size, clock.waits) == (size, 1)


@pytest.mark.parametrize("content", [b"", b"one\n"])
def test_nothing_to_wait_for(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(content)
    clock = Writing(path, b"x")
    with LedgerFile(str(path)) as ledger:
        ledger.settle(clock)
        assert (ledger.size, clock.waits) == (len(content), 0)


# --- processes ------------------------------------------------------------------------------------------------------


def fake_process(proc: Path, pid: int, target: Path, flags: str | None) -> None:
    folder = proc / str(pid)
    (folder / "fd").mkdir(parents=True)
    (folder / "fdinfo").mkdir()
    (folder / "comm").write_text("java\x1b[31m\n")
    (folder / "fd" / "3").symlink_to(target)
    (folder / "fd" / "4").symlink_to(proc / "gone")
    if flags is not None:
        (folder / "fdinfo" / "3").write_text(f"pos:\t0\nflags:\t{flags}\nmnt_id:\t1\n")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    path = tmp_path / "proc"
    (path / "self" / "fd").mkdir(parents=True)
    (path / "1" / "fd").mkdir(parents=True)
    (path / "meminfo").write_text("")
    return path


@pytest.mark.parametrize(("flags", "writes"), [("0100000", False), ("0102001", True), ("0100002", True), (None, False)])
def test_holders(tmp_path: Path, proc: Path, flags: str | None, writes: bool) -> None:
    path, other = tmp_path / "ledger.log", tmp_path / "other.log"
    path.write_bytes(b"")
    other.write_bytes(b"")
    fake_process(proc, 4711, path, flags)
    fake_process(proc, 4712, other, "0100002")
    fake_process(proc, os.getpid(), path, "0100002")
    found = ledger_holders.holders_of(path.stat().st_dev, path.stat().st_ino, proc)
    assert [(holder.pid, holder.writes) for holder in found.holders] == [(4711, writes)]
    assert str(found.holders[0]) == "java (pid 4711)"
    assert found.hidden == ""
    assert found.holders[0].as_dict() == {"pid": 4711, "command": "java", "writes": writes}


def test_a_machine_that_does_not_tell(tmp_path: Path, proc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "has no" in ledger_holders.holders_of(1, 1, tmp_path / "nothing").hidden
    (proc / "1" / "fd").rmdir()
    (proc / "1").rmdir()
    assert "hides the processes" in ledger_holders.holders_of(1, 1, proc).hidden

    def denied(process: Path, is_it: object) -> None:
        raise PermissionError(13, "Permission denied")

    fake_process(proc, 4711, tmp_path, "0")
    fake_process(proc, 4712, tmp_path, "0")
    monkeypatch.setattr(ledger_holders, "_holder", denied)
    assert "open files of 2 processes" in ledger_holders.holders_of(1, 1, proc).hidden


# --- snapshot -------------------------------------------------------------------------------------------------------


def test_no_snapshot(tmp_path: Path) -> None:
    snapshot = ledger_snapshot.read(None, str(tmp_path / "ledger.log"))
    assert (snapshot.path, snapshot.exists) == (str(tmp_path / "snapshot.json"), False)
    assert not snapshot.used(10)
    assert not snapshot.covers(1, 10)


@pytest.mark.parametrize("parsed_bytes", [10**6, 10])
def test_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parsed_bytes: int) -> None:
    monkeypatch.setattr(ledger_snapshot, "PARSED_BYTES", parsed_bytes)
    path = tmp_path / "other.json"
    path.write_text(
        json.dumps({"createdAt": "2031-04-02T08:00:00Z", "ledgerLines": 7, "state": {"orderMeta": []}}) + "\n"
    )
    snapshot = ledger_snapshot.read(str(path), "/elsewhere/ledger.log")
    assert snapshot.ledger_lines == 7
    assert (snapshot.used(7), snapshot.used(6)) == (True, False)
    assert (snapshot.covers(7, 7), snapshot.covers(8, 8), snapshot.covers(3, 6)) == (True, False, False)
    assert snapshot.as_dict(9)["used_at_boot"] is True


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"ledgerLines": 3, "state": {"orderMeta": [',
        "[]",
        "3",
        '{"ledgerLines": "3", "state": {}}',
        '{"ledgerLines": true, "state": {}}',
    ],
)
@pytest.mark.parametrize("parsed_bytes", [10**6, -1])
def test_half_a_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, parsed_bytes: int) -> None:
    monkeypatch.setattr(ledger_snapshot, "PARSED_BYTES", parsed_bytes)
    path = tmp_path / "snapshot.json"
    path.write_text(content)
    snapshot = ledger_snapshot.read(None, str(tmp_path / "ledger.log"))
    assert (snapshot.exists, snapshot.ledger_lines) == (True, None)
    assert "ignores it" in snapshot.problem


def test_a_snapshot_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "snapshot.json").mkdir()
    assert "cannot be read: Is a directory" in ledger_snapshot.read(None, str(tmp_path / "ledger.log")).problem


def test_settling_takes_a_moment() -> None:
    assert 0 < ledger_file.SETTLE_SECONDS < 2


def test_a_writer_on_a_file_that_was_replaced_is_found_in_this_machine_s_processes(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"")
    script = f"f = open({str(path)!r}, 'ab'); print('open', flush=True); input()"
    child = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout is not None
        child.stdout.readline()
        assert ledger_holders.holders_of_replaced(str(path)).writers == []
        (tmp_path / "new").write_bytes(b"")
        (tmp_path / "new").replace(path)
        found = ledger_holders.holders_of_replaced(str(path)).writers
    finally:
        child.kill()
        child.communicate()
    assert [holder.pid for holder in found] == [child.pid]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantine and restore on real files: what stays, what goes where, and what a kill at any step leaves behind."""

from __future__ import annotations

import base64
import errno
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import (
    ledger_file,
    ledger_guard,
    ledger_holders,
    ledger_newfile,
    ledger_operation,
    ledger_swap,
)
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context

GOOD = (
    b'{"type":"OrderAccepted","at":"2031-04-02T08:03:10Z","accountId":"a","orderId":"o%d","symbol":"A","side":"BUY"}\n'
)
BAD_SIDE = GOOD.replace(b"BUY", b"buy")
TORN = b'{"type":"Fi'
SILENT = (
    b'{"type":"Fill","at":"2031-04-02T08:03:10Z","accountId":"a","orderId":"o1","symbol":"ADA","side":"BUY",'
    b'"filledQtyDelta":"abc","filledQtyTotal":1,"quoteCcy":"JPY","quoteCashDelta":-1}\n'
)


class Site:
    """A ledger in a folder of its own, and the module run on it."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "var"
        self.folder.mkdir()
        self.ledger = self.folder / "ledger.log"
        self.snapshot = self.folder / "snapshot.json"

    def write(self, *lines: bytes) -> bytes:
        content = b"".join(line % number if b"%d" in line else line for number, line in enumerate(lines, 1))
        self.ledger.write_bytes(content)
        self.ledger.chmod(0o640)
        return content

    def cover(self, lines: int) -> None:
        self.snapshot.write_text(json.dumps({"createdAt": "x", "ledgerLines": lines, "state": {}}))

    def append(self, content: bytes) -> None:
        with self.ledger.open("ab") as stream:
            stream.write(content)

    def run(self, state: str = "quarantined", check: bool = False, **options: Any) -> dict[str, Any]:
        defaults: dict[str, Any] = {
            name: option.get("default") for name, option in ledger_operation.SPEC.options.items()
        }
        params = {**defaults, "path": str(self.ledger), "state": state, "service_stopped": True, **options}
        return ledger_operation.run(params, Context(check_mode=check, diff=True))

    def restore(self, repair: dict[str, Any], **options: Any) -> dict[str, Any]:
        return self.run("restored", backup=repair["backup"], **options)

    def state(self) -> dict[str, tuple[bytes, int, int]]:
        """Everything in the folder: content, mode and inode by name."""
        return {
            path.name: (path.read_bytes(), stat.S_IMODE(path.stat().st_mode), path.stat().st_ino)
            for path in self.folder.iterdir()
        }


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def quarantined(path: str) -> list[bytes]:
    """The lines a quarantine file holds."""
    rows = [json.loads(row) for row in Path(path).read_text().splitlines() if row]
    return [base64.b64decode(row["bytes_base64"]) for row in rows if "bytes_base64" in row]


def test_the_cycle(site: Site) -> None:
    before = site.write(GOOD, BAD_SIDE, GOOD, b"\n", b"{}\n", GOOD)
    untouched = site.state()

    planned = site.run(check=True)
    assert site.state() == untouched
    assert planned["changed"] is True
    assert [line["line"] for line in planned["plan"]["remove"]] == [2, 5]
    assert "line 2 (fatal, bad_side)" in planned["diff"]["before"]

    done = site.run(expected_plan=planned["plan"]["digest"])
    assert done["changed"] is True
    assert done["plan"] == planned["plan"]
    assert site.ledger.read_bytes() == (GOOD % 1) + (GOOD % 3) + b"\n" + (GOOD % 6)
    assert stat.S_IMODE(site.ledger.stat().st_mode) == 0o640
    assert Path(done["backup"]).read_bytes() == before
    assert stat.S_IMODE(Path(done["backup"]).stat().st_mode) == 0o640
    assert quarantined(done["quarantine"]) == [BAD_SIDE % 2, b"{}\n"]
    assert stat.S_IMODE(Path(done["quarantine"]).stat().st_mode) == 0o600
    assert done["snapshot_moved_to"] is None
    assert set(site.state()) == {"ledger.log", Path(done["backup"]).name, Path(done["quarantine"]).name}

    settled = site.state()
    again = site.run()
    assert (again["changed"], again["backup"], again["plan"]["remove"]) == (False, None, [])
    assert site.state() == settled

    back = site.restore(done, check=True)
    assert back["changed"] is True
    assert site.state() == settled
    assert site.restore(done)["changed"] is True
    assert site.ledger.read_bytes() == before
    assert stat.S_IMODE(site.ledger.stat().st_mode) == 0o640
    assert site.restore(done)["changed"] is False
    assert site.ledger.read_bytes() == before
    assert site.run("scanned")["counts"]["bad"] == 2


def test_after_a_restore_the_backup_is_a_file_of_its_own(site: Site) -> None:
    before = site.write(GOOD, BAD_SIDE)
    done = site.run()
    site.restore(done)
    site.append(GOOD % 9)
    assert Path(done["backup"]).read_bytes() == before


def test_silent_lines_go_only_when_named(site: Site) -> None:
    site.write(GOOD, SILENT, BAD_SIDE)
    done = site.run()
    assert done["plan"]["left_by_reason"] == {"number_as_text": 1}
    assert site.ledger.read_bytes() == GOOD % 1 + SILENT
    assert site.run(classes=["silent"])["changed"] is True
    assert site.ledger.read_bytes() == GOOD % 1


def test_a_torn_tail_goes_and_its_bytes_stay_in_the_quarantine(site: Site) -> None:
    site.write(GOOD, TORN)
    done = site.run()
    assert site.ledger.read_bytes() == GOOD % 1
    assert quarantined(done["quarantine"]) == [TORN]


def test_a_good_last_line_without_newline_gets_one(site: Site) -> None:
    before = site.write(GOOD)
    site.ledger.write_bytes(before[:-1])
    scan = site.run("scanned")
    assert [check["id"] for check in scan["checks"] if check["status"] == "fail"] == ["ledger.tail"]
    done = site.run()
    assert done["plan"]["append_newline"] is True
    assert site.ledger.read_bytes() == before
    assert site.run()["changed"] is False
    site.append(GOOD % 2)
    site.restore(done)
    assert site.ledger.read_bytes() == before + GOOD % 2


def test_all_lines_bad_leaves_an_empty_ledger(site: Site) -> None:
    site.write(b"{}\n", TORN)
    site.run()
    assert site.ledger.read_bytes() == b""


@pytest.mark.parametrize(("covered", "moved"), [(1, False), (2, True), (3, True), (9, True)])
def test_a_snapshot_that_covers_a_removed_line_moves_aside(site: Site, covered: int, moved: bool) -> None:
    site.write(GOOD, BAD_SIDE, GOOD)
    site.cover(covered)
    snapshot = site.snapshot.read_bytes()
    done = site.run()
    assert site.snapshot.exists() is not moved
    if moved:
        assert Path(done["snapshot_moved_to"]).read_bytes() == snapshot
    site.restore(done)
    assert site.snapshot.read_bytes() == snapshot


def test_a_snapshot_elsewhere_is_named(site: Site, tmp_path: Path) -> None:
    site.write(BAD_SIDE, GOOD)
    site.cover(2)
    other = site.snapshot.rename(tmp_path / "state.json")
    done = site.run(snapshot_path=str(other))
    assert not other.exists()
    assert Path(done["snapshot_moved_to"]).parent == tmp_path


def test_restore_keeps_what_was_appended_and_drops_no_snapshot(site: Site) -> None:
    before = site.write(GOOD, BAD_SIDE, TORN)
    site.cover(2)
    old_snapshot = site.snapshot.read_bytes()
    done = site.run()
    site.append(GOOD % 4)
    site.cover(2)  # of the repaired ledger: lines 1 and 4
    newer = site.snapshot.read_bytes() + b" "
    site.snapshot.write_bytes(newer)
    back = site.restore(done)
    assert site.ledger.read_bytes() == before + b"\n" + GOOD % 4
    assert back["plan"]["appended_since_bytes"] == len(GOOD % 4)
    assert Path(back["snapshot_moved_to"]).read_bytes() == newer
    assert site.snapshot.read_bytes() == old_snapshot
    assert site.restore(done)["changed"] is False


def test_a_snapshot_written_after_the_repair_is_not_believed_after_a_restore(site: Site) -> None:
    site.write(BAD_SIDE, GOOD)
    done = site.run()
    site.cover(1)
    back = site.restore(done)
    assert Path(back["snapshot_moved_to"]).exists()
    assert not site.snapshot.exists()


def test_links_are_followed_and_stay(site: Site, tmp_path: Path) -> None:
    site.write(GOOD, BAD_SIDE)
    link = tmp_path / "link.log"
    link.symlink_to(site.ledger)
    done = site.run(path=str(link))
    assert link.is_symlink()
    assert link.read_bytes() == GOOD % 1
    assert Path(done["backup"]).parent == site.folder


def test_other_folders_for_the_copies(site: Site, tmp_path: Path) -> None:
    before = site.write(GOOD, BAD_SIDE)
    backups, quarantine = tmp_path / "b", tmp_path / "q"
    backups.mkdir()
    quarantine.mkdir()
    options = {"backup_dir": str(backups), "quarantine_dir": str(quarantine)}
    done = site.run(**options)
    assert [path.name for path in site.folder.iterdir()] == ["ledger.log"]
    assert Path(done["backup"]).parent == backups
    site.run("restored", backup=done["backup"], quarantine_dir=str(quarantine))
    assert site.ledger.read_bytes() == before


def test_a_backup_that_cannot_be_a_link_is_a_copy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(fd: int, path: str) -> None:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(ledger_swap, "link_fd", no_links)
    before = site.write(GOOD, BAD_SIDE)
    os.utime(site.ledger, (1_900_000_000, 1_900_000_000))
    done = site.run()
    backup = Path(done["backup"])
    assert backup.read_bytes() == before
    assert (backup.stat().st_mtime, stat.S_IMODE(backup.stat().st_mode)) == (1_900_000_000, 0o640)
    assert len(list(site.folder.iterdir())) == 3
    site.restore(done)
    assert site.ledger.read_bytes() == before


def test_without_nameless_files(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")
    before = site.write(GOOD, BAD_SIDE)
    done = site.run()
    assert site.ledger.read_bytes() == GOOD % 1
    assert len(list(site.folder.iterdir())) == 3
    site.restore(done)
    assert site.ledger.read_bytes() == before


# --- refusals -------------------------------------------------------------------------------------------------------


def refused(site: Site, match: str, error: type[RunbookError] = RefusedError, **options: Any) -> RunbookError:
    """The run is refused and nothing in the folder is changed."""
    before = site.state()
    with pytest.raises(error, match=match) as caught:
        site.run(**options)
    assert site.state() == before
    return caught.value


def test_more_than_the_limit(site: Site) -> None:
    site.write(*[BAD_SIDE] * 4)
    error = refused(site, r"4 bad lines .* more than max_quarantined \(3\)", max_quarantined=3)
    assert len(error.details["bad_lines"]) == 4
    refused(site, "more than max_quarantined", max_quarantined=3, check=True)


def test_another_plan_than_the_one_looked_at(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    digest = site.run(check=True)["plan"]["digest"]
    site.append(GOOD % 3)
    assert site.run(check=True, expected_plan=digest)["plan"]["digest"] == digest
    site.append(b"{}\n")
    refused(site, f"no longer those of the plan {digest}", expected_plan=digest)


def test_a_writer_refuses_whatever_the_caller_says(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    pid = os.fork()
    if not pid:
        stream = site.ledger.open("ab")
        signal.pause()
        os._exit(stream.fileno())
    try:
        while not ledger_holders.holders_of(*place(site.ledger)).writers:
            pass
        error = refused(site, rf"\(pid {pid}\) has it open for writing")
        assert error.details["blockers"]
        planned = site.run(check=True)
        assert (planned["changed"], len(planned["blockers"])) == (True, 1)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert site.run()["changed"] is True


def place(path: Path) -> tuple[int, int]:
    return path.stat().st_dev, path.stat().st_ino


def test_a_reader_does_not_refuse(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    with site.ledger.open("rb"):
        assert site.run()["changed"] is True


def test_what_cannot_be_inspected_needs_evidence(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    hidden = ledger_holders.Holders(hidden="user id 7 may not see the open files of 3 processes")
    monkeypatch.setattr(ledger_guard, "holders_of", lambda device, inode: hidden)
    site.write(GOOD, BAD_SIDE)
    refused(site, "3 processes.*service_stopped=true", service_stopped=False)
    assert site.run(check=True, service_stopped=False)["blockers"]
    assert site.run(service_stopped=True)["changed"] is True


def test_a_listener_refuses(site: Site) -> None:
    import socket

    site.write(GOOD, BAD_SIDE)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        refused(site, "something still listens on 127.0.0.1", service_url=url)
    assert site.run(service_url=url)["changed"] is True


@pytest.mark.parametrize("url", ["127.0.0.1:8082", "ftp://x", "http://", "http://h:99999"])
def test_a_service_url_that_is_none(site: Site, url: str) -> None:
    site.write(GOOD, BAD_SIDE)
    refused(site, "service_url is no http", RunbookError, service_url=url)


def test_an_unknown_host_is_no_evidence(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    refused(site, "cannot be told", service_url="http://no-such-host.invalid:8082")


def test_two_at_once(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    with site.ledger.open("rb") as stream:
        import fcntl

        fcntl.flock(stream, fcntl.LOCK_EX)
        refused(site, "another repair")


@pytest.mark.parametrize("change", ["append", "replace"])
def test_a_change_in_the_last_moment(site: Site, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    site.write(GOOD, BAD_SIDE)
    write = ledger_newfile.NewFile.write
    other = site.folder.parent / "other"

    def meddle(self: ledger_newfile.NewFile, data: bytes) -> None:
        write(self, data)
        if change == "append":
            site.append(GOOD % 7)
        elif not other.exists():
            other.write_bytes(GOOD % 8)
            os.link(other, site.folder.parent / "name")
            os.replace(site.folder.parent / "name", site.ledger)

    monkeypatch.setattr(ledger_newfile.NewFile, "write", meddle)
    with pytest.raises(RefusedError, match="Nothing was changed"):
        site.run()
    assert [path.name for path in site.folder.iterdir()] == ["ledger.log"]


def test_a_writer_that_comes_in_the_moment_of_the_swap_is_told_where_its_events_are(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = site.write(GOOD, BAD_SIDE)
    replace = os.replace

    def late(source: str, target: str) -> None:
        with site.ledger.open("ab") as stream:
            replace(source, target)
            stream.write(GOOD % 5)

    monkeypatch.setattr(os, "replace", late)
    with pytest.raises(RunbookError, match="in the moment it was replaced") as caught:
        site.run()
    assert Path(caught.value.details["old_file"]).read_bytes() == before + GOOD % 5
    assert site.ledger.read_bytes() == GOOD % 1


@pytest.mark.parametrize("step", ["write", "fsync", "link", "replace"])
def test_an_error_of_the_disk_undoes_everything(site: Site, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    site.write(GOOD, BAD_SIDE, GOOD)
    site.cover(3)
    real: Callable[..., Any] = getattr(os, step)
    for nth in range(1, 20):
        calls = 0

        def full(*args: Any, nth: int = nth, **kwargs: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(*args, **kwargs)

        before = site.state()
        monkeypatch.setattr(os, step, full)
        try:
            message = "" if site.run()["changed"] else "nothing was done"
        except RunbookError as error:
            message = error.message
        finally:
            monkeypatch.undo()
        monkeypatch.setattr(ledger_file, "SETTLE_SECONDS", 0.0)
        if not message or "the disk did not confirm it" in message:  # the step that changes the ledger is behind
            break
        assert "No space left" in message
        assert site.state() == before, (step, nth)
    else:
        pytest.fail("never came to its end")


def test_no_room(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.write(GOOD, BAD_SIDE)
    usage = os.statvfs(site.folder)
    monkeypatch.setattr(os, "statvfs", lambda path: type("Usage", (), {"f_bavail": 1, "f_frsize": usage.f_frsize}))
    refused(site, "Make room")


@pytest.mark.parametrize("option", ["backup_dir", "quarantine_dir"])
def test_a_folder_that_is_none(site: Site, option: str) -> None:
    site.write(GOOD, BAD_SIDE)
    refused(site, f"{option} /no/such/folder", RunbookError, **{option: "/no/such/folder"})


def test_restores_that_are_refused(site: Site, tmp_path: Path) -> None:
    site.write(GOOD, BAD_SIDE)
    done = site.run()
    refused(site, "is missing", state="restored", backup=str(tmp_path / "ledger.log.x.backup"))
    other = Site(tmp_path / "other" if (tmp_path / "other").mkdir() is None else tmp_path)
    other.write(GOOD)
    refused(other, "belongs to the ledger", state="restored", backup=done["backup"], quarantine_dir=str(site.folder))
    site.ledger.write_bytes(b"something else\n" * 20)
    refused(site, "is not the ledger that the repair", state="restored", backup=done["backup"])


def test_a_backup_that_was_changed(site: Site) -> None:
    site.write(GOOD, BAD_SIDE)
    done = site.run()
    Path(done["backup"]).write_bytes(b"short")
    refused(site, "is not what the repair kept", state="restored", backup=done["backup"])


@pytest.mark.parametrize("content", ["", "[]\n", '{"format": 99}\n', "no json\n"])
def test_a_quarantine_file_that_is_none(site: Site, content: str) -> None:
    site.write(GOOD, BAD_SIDE)
    done = site.run()
    Path(done["quarantine"]).write_text(content)
    refused(site, "no quarantine file|format 99", state="restored", backup=done["backup"])


# --- killed at every step -------------------------------------------------------------------------------------------

STEPS = ("open", "write", "fsync", "link", "unlink", "rename", "replace", "fchmod", "utime")


def killed_at(number: int, action: Callable[[], Any]) -> bool:
    """Run ``action`` in a child that is killed right before its ``number``-th step; False when it came to its end."""
    pid = os.fork()
    if pid:
        return os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    try:
        calls = 0

        def counted(real: Callable[..., Any]) -> Callable[..., Any]:
            def step(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **kwargs)

            return step

        for name in STEPS:
            setattr(os, name, counted(getattr(os, name)))
        action()
    finally:
        os._exit(0)


def no_link_named_backup(fd: int, path: str) -> None:
    if path.endswith(".backup"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    ledger_newfile.link_fd(fd, path)


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("nameless", [True, False])
def test_a_quarantine_killed_at_any_step_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, nameless: bool
) -> None:
    if not nameless:
        monkeypatch.delattr(os, "O_TMPFILE")
    if not links:  # as when backup_dir is on another file system
        monkeypatch.setattr(ledger_swap, "link_fd", no_link_named_backup)
    kills = 0
    for number in range(1, 200):
        site = Site(tmp_path / str(number) if (tmp_path / str(number)).mkdir() is None else tmp_path)
        before = site.write(GOOD, BAD_SIDE, GOOD, TORN)
        site.cover(4)
        snapshot = site.snapshot.read_bytes()
        killed = killed_at(number, site.run)
        kills += killed

        repaired = GOOD % 1 + GOOD % 3
        content = site.ledger.read_bytes()
        assert content in (before, repaired)
        if content == before:
            done = site.run()
            assert done["changed"] is True
        else:
            (quarantine,) = site.folder.glob("*.quarantine.jsonl")
            header = json.loads(quarantine.read_text().splitlines()[0])
            done = {"backup": header["backup"]}
            assert quarantined(str(quarantine)) == [BAD_SIDE % 2, TORN]
            assert Path(header["snapshot"]["moved_to"]).read_bytes() == snapshot
            assert site.run()["changed"] is False
        assert Path(done["backup"]).read_bytes() == before
        assert site.ledger.read_bytes() == repaired
        assert not [path for path in site.folder.iterdir() if path.name.startswith(".")]
        site.restore(done)
        assert site.ledger.read_bytes() == before
        assert site.snapshot.read_bytes() == snapshot
        if not killed:
            break
    assert kills > 15


def test_a_restore_killed_at_any_step_loses_nothing(tmp_path: Path) -> None:
    kills = 0
    for number in range(1, 200):
        site = Site(tmp_path / str(number) if (tmp_path / str(number)).mkdir() is None else tmp_path)
        before = site.write(GOOD, BAD_SIDE, TORN)
        site.cover(3)
        snapshot = site.snapshot.read_bytes()
        done = site.run()
        site.append(GOOD % 4)
        site.cover(2)
        killed = killed_at(number, lambda site=site, done=done: site.restore(done))  # type: ignore[misc]
        kills += killed
        restored = before + b"\n" + GOOD % 4
        assert site.ledger.read_bytes() in (GOOD % 1 + GOOD % 4, restored)
        site.restore(done)
        assert site.ledger.read_bytes() == restored
        assert site.snapshot.read_bytes() == snapshot
        assert site.restore(done)["changed"] is False
        assert not [path for path in site.folder.iterdir() if path.name.startswith(".")]
        if not killed:
            break
    assert kills > 10

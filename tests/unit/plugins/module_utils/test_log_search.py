# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import itertools
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import log_search, log_search_file
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.log_search_file import LINE_BYTES, Window
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context

REPLAY = "Ledger replay: ReplayStats(lines=30, applied=28, skipped=2, durationMs=61) (path=x)"


def pattern(id: str = "p", **values: Any) -> dict[str, Any]:  # noqa: A002 - the option's name
    options = log_search.SPEC.options["patterns"]["options"]
    return {name: spec.get("default") for name, spec in options.items()} | {"id": id, **values}


def search(*paths: Path | str, timeout: float = 30.0, **values: Any) -> dict[str, Any]:
    params = {name: spec.get("default") for name, spec in log_search.SPEC.options.items()}
    params |= {"paths": [str(path) for path in paths], "timeout": timeout, **values}
    return log_search.run(params, Context(deadline=Deadline(timeout, Clock())))


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in result["checks"] if row["id"].startswith("log.")}


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text(f"one\n{REPLAY}\nthree ERROR\n{REPLAY.replace('30', '31')}\nlast\n")
    return path


def test_matches_with_their_place_and_groups(log: Path) -> None:
    result = search(log, patterns=[pattern("stats", regex=r"ReplayStats\(lines=(?P<lines>\d+)", expect="present")])
    assert result["verdict"] == "pass"
    assert result["changed"] is False
    found = result["found"]["stats"]
    assert found["count"] == 2
    assert [match["groups"] for match in found["matches"]] == [{"lines": "30"}, {"lines": "31"}]
    assert [match["line_from_end"] for match in found["matches"]] == [4, 2]
    content = log.read_bytes()
    for match in found["matches"]:
        assert content[match["offset"] :].decode().startswith(match["excerpt"])
    assert result["searched_bytes"] == len(content)
    assert result["truncated"] is False


@pytest.mark.parametrize(
    ("expect", "text", "status"),
    [
        ("present", "ERROR", "pass"),
        ("present", "PANIC", "fail"),
        ("absent", "PANIC", "pass"),
        ("absent", "ERROR", "fail"),
        ("any", "ERROR", "pass"),
        ("any", "PANIC", None),
    ],
)
def test_expectations(log: Path, expect: str, text: str, status: str | None) -> None:
    assert statuses(search(log, patterns=[pattern(text=text, expect=expect)])).get("log.p") == status


def test_text_is_literal_and_case_matters_unless_told(log: Path) -> None:
    patterns = [
        pattern("literal", text="ReplayStats(lines=30"),
        pattern("lower", text="error"),
        pattern("folded", text="error", ignore_case=True),
        pattern("regex_folded", regex="^THREE", ignore_case=True),
    ]
    found = search(log, patterns=patterns)["found"]
    assert {name: entry["count"] for name, entry in found.items()} == {
        "literal": 1,
        "lower": 0,
        "folded": 1,
        "regex_folded": 1,
    }


def test_only_the_newest_matches_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("".join(f"hit {i}\n" for i in range(100)))
    found = search(path, patterns=[pattern(text="hit")], max_matches=3)["found"]["p"]
    assert found["count"] == 100
    assert [match["excerpt"] for match in found["matches"]] == ["hit 97", "hit 98", "hit 99"]


def test_absence_is_not_claimed_beyond_the_tail(tmp_path: Path) -> None:
    path = tmp_path / "big.log"
    path.write_text("needle\n" + "hay\n" * 1000 + "thread\n")
    patterns = [pattern("needle", text="needle", expect="absent"), pattern("thread", text="thread", expect="present")]
    patterns.append(pattern("gone", text="gone", expect="present"))
    result = search(path, patterns=patterns, tail_bytes=1024)
    assert statuses(result) == {"log.needle": "unverified", "log.thread": "pass", "log.gone": "unverified"}
    assert result["truncated"] is True
    assert result["complete"] is False
    assert "only the last 1024 of 4014 bytes were searched" in result["checks"][0]["hint"]
    assert statuses(search(path, patterns=patterns)) == {"log.needle": "fail", "log.thread": "pass", "log.gone": "fail"}


def test_the_tail_begins_with_a_whole_line_so_that_a_cut_secret_is_known(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("password=" + "s3cretvalue" * 100 + " marker\n" + "x" * 900 + "\n")
    result = search(path, patterns=[pattern(text="marker")], tail_bytes=1024)
    assert result["found"]["p"]["count"] == 1
    assert "s3cret" not in str(result)


def test_what_was_written_after_an_earlier_search(log: Path) -> None:
    before = search(log)
    assert before["verdict"] == "pass"
    assert before["found"] == {}
    with log.open("a") as file:
        file.write("new ERROR\n")
    result = search(log, from_offset=before["end_offsets"], patterns=[pattern(text="ERROR", expect="present")])
    assert [match["excerpt"] for match in result["found"]["p"]["matches"]] == ["new ERROR"]
    assert result["searched_bytes"] == len("new ERROR\n")
    again = search(log, from_offset=result["end_offsets"], patterns=[pattern(text="ERROR", expect="absent")])
    assert statuses(again) == {"log.p": "pass"}
    number = search(log, from_offset={str(log): str(before["searched_bytes"])}, patterns=[pattern(text="ERROR")])
    assert number["found"]["p"]["count"] == 1


def test_a_file_that_was_not_there_before_is_searched_from_its_beginning(tmp_path: Path) -> None:
    path = tmp_path / "late.log"
    before = search(path)
    assert before["verdict"] == "unverified"
    assert before["files"][0]["problem"] == "there is no such file"
    path.write_text("ERROR\n")
    result = search(path, from_offset=before["end_offsets"], patterns=[pattern(text="ERROR", expect="absent")])
    assert statuses(result) == {"log.p": "fail"}
    assert result["complete"] is True


def test_a_rotated_file_is_followed(log: Path) -> None:
    before = search(log)["end_offsets"]
    with log.open("a") as file:
        file.write("before the rotation\n")
    log.rename(log.with_name("app.log.1"))
    log.write_text("after the rotation\n")
    result = search(log, from_offset=before, patterns=[pattern(text="the rotation", expect="present")])
    assert [match["excerpt"] for match in result["found"]["p"]["matches"]] == [
        "before the rotation",
        "after the rotation",
    ]
    assert result["complete"] is True


def test_a_rotated_file_that_is_gone_leaves_absence_unverified(log: Path) -> None:
    before = search(log)["end_offsets"]
    kept = log.open()
    log.unlink()
    log.write_text("new\n")
    result = search(log, from_offset=before, patterns=[pattern(text="ERROR", expect="absent")])
    kept.close()
    assert statuses(result) == {"log.p": "unverified"}
    assert "it was rotated or cut since from_offset" in result["checks"][0]["hint"]


def test_a_file_that_was_cut_is_searched_from_its_beginning_and_said_so(log: Path) -> None:
    before = search(log)["end_offsets"]
    log.write_text("ERROR\n")  # the same inode
    result = search(
        log,
        from_offset=before,
        patterns=[pattern(text="ERROR", expect="absent"), pattern("q", text="x", expect="absent")],
    )
    assert statuses(result) == {"log.p": "fail", "log.q": "unverified"}


def test_what_is_no_log_is_a_check_and_not_an_error(tmp_path: Path, log: Path) -> None:
    folder, fifo, packed = tmp_path / "folder", tmp_path / "fifo", tmp_path / "old.log.gz"
    folder.mkdir()
    os.mkfifo(fifo)
    packed.write_bytes(b"\x1f\x8b\x08 anything")
    looping = tmp_path / "loop"
    looping.symlink_to(looping)
    paths = [folder, fifo, packed, tmp_path / "none.log", tmp_path / "no*.log", looping, log]
    result = search(
        *paths, patterns=[pattern(text="ERROR", expect="present"), pattern("q", text="x!", expect="absent")]
    )
    problems = {Path(entry["path"]).name: entry["problem"] for entry in result["files"]}
    assert problems == {
        "folder": "it is a folder",
        "fifo": "it is no regular file",
        "old.log.gz": "it is compressed, and compressed files are not searched",
        "none.log": "there is no such file",
        "no*.log": "no file matches it",
        "loop": "it cannot be read: Too many levels of symbolic links",
        "app.log": "",
    }
    assert statuses(result) == {"log.p": "pass", "log.q": "unverified"}
    files = {row["id"]: row["status"] for row in result["checks"] if row["id"].startswith("log_file.")}
    assert files[f"log_file.{log}"] == "pass"
    assert sorted(files.values()) == ["pass", *["unverified"] * 6]


@pytest.mark.needs_root
def test_permission_denied(tmp_path: Path) -> None:
    path = tmp_path / "secret.log"
    path.write_text("x\n")
    path.chmod(0o600)
    os.seteuid(65534)
    try:
        result = search(path, patterns=[pattern(text="x", expect="absent")])
    finally:
        os.seteuid(0)
    assert result["verdict"] == "unverified"
    assert "permission denied" in result["files"][0]["problem"]


def test_globs_take_the_newest_files_and_say_what_was_left_out(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"a{number}.log"
        path.write_text(f"hit {number}\n")
        os.utime(path, (1_000_000 + number, 1_000_000 + number))
    (tmp_path / "b.log").mkdir()
    result = search(tmp_path / "*.log", patterns=[pattern(text="hit")], max_files=2)
    assert [match["excerpt"] for match in result["found"]["p"]["matches"]] == ["hit 3", "hit 4"]
    assert result["complete"] is False
    assert result["files"][-1]["path"] == "3 older files"
    brackets = tmp_path / "a[0].log"
    brackets.write_text("itself\n")
    assert search(brackets, patterns=[pattern(text="itself")])["found"]["p"]["count"] == 1


def test_nul_bytes_holes_and_bad_utf8(tmp_path: Path) -> None:
    path = tmp_path / "odd.log"
    with path.open("wb") as file:
        file.seek(300_000)  # the hole that copytruncate leaves
        file.write("caf\u00e9 hit\n".encode() + b"b\0ad h\0it\n" + b"\xff\xfe hit \x1b[31m\n" + b"no newline hit")
    result = search(path, patterns=[pattern(text="hit", expect="present"), pattern("q", text="quiet", expect="absent")])
    assert result["found"]["p"]["count"] == 4
    assert statuses(result) == {"log.p": "pass", "log.q": "pass"}
    entry = result["files"][0]
    assert entry["invalid_utf8_lines"] == 1
    assert entry["nul_lines"] >= 2
    assert entry["cut_lines"] == 0
    assert "\x1b" not in str(result)
    assert "\0" not in str(result)
    assert "lines that are not UTF-8" in result["checks"][-1]["hint"]


def test_an_endless_line_is_cut_and_absence_not_claimed(tmp_path: Path) -> None:
    path = tmp_path / "long.log"
    path.write_text("begin " + "x" * (3 * LINE_BYTES) + " hidden\nnext\n")
    patterns = [pattern("hidden", text="hidden", expect="absent"), pattern("next", text="next", expect="present")]
    result = search(path, patterns=[*patterns, pattern("begin", text="begin", expect="present")])
    assert statuses(result) == {"log.hidden": "unverified", "log.next": "pass", "log.begin": "pass"}
    assert result["files"][0]["cut_lines"] == 1
    assert "1 lines were cut at 65536 bytes" in result["checks"][0]["hint"]


def test_a_match_far_in_a_line_is_shown_and_a_secret_before_it_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("token=" + "z9" * 5000 + " then ERROR here\n" + "x " * 2000 + "FATAL at the end\n")
    found = search(path, patterns=[pattern("e", text="ERROR"), pattern("f", text="FATAL")])["found"]
    assert "z9z9" not in str(found)
    assert "ERROR here" in found["e"]["matches"][0]["excerpt"]
    assert "FATAL at the end" in found["f"]["matches"][0]["excerpt"]
    assert len(found["f"]["matches"][0]["excerpt"]) <= log_search.EXCERPT_CHARACTERS + 40


def test_a_secret_in_a_group_is_not_returned(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("login user=ops password=hunter2hunter2\n")
    match = search(path, patterns=[pattern(regex=r"user=(?P<user>\w+) password=(?P<pw>\w+)")])["found"]["p"]["matches"][
        0
    ]
    assert match["groups"] == {"user": "ops"}
    assert "hunter2" not in str(match)


def test_a_regex_that_never_ends_is_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("ok\n" + "a" * 60 + "!\n")
    before = signal.getsignal(signal.SIGALRM)
    patterns = [pattern("ok", text="ok", expect="present"), pattern("bad", regex=r"(a+)+$", expect="absent")]
    result = search(path, patterns=patterns, timeout=1.0)
    assert statuses(result) == {"log.ok": "pass", "log.bad": "unverified"}
    assert "the search ended after 1 s, at the pattern bad" in result["checks"][1]["hint"]
    assert signal.getsignal(signal.SIGALRM) == before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_outside_the_main_thread_the_looks_between_lines_bound_the_time(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("line\n" * 5000)

    class Late(Clock):
        """Every look at the clock costs a second."""

        now_is = 0.0

        def monotonic(self) -> float:
            self.now_is += 1.0
            return self.now_is

    results: list[dict[str, Any]] = []

    def work() -> None:
        params = {name: spec.get("default") for name, spec in log_search.SPEC.options.items()}
        params |= {"paths": [str(path)], "patterns": [pattern(text="gone", expect="absent")]}
        results.append(log_search.run(params, Context(deadline=Deadline(4, Late()))))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(60)
    assert statuses(results[0]) == {"log.p": "unverified"}


SINCE = "2031-04-02T08:00:00Z"


def dated(path: Path, text: str, written_at: str = "2031-04-02T09:00:00+00:00") -> Path:
    path.write_text(text)
    moment = datetime.datetime.fromisoformat(written_at).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_since_leaves_out_older_lines_but_not_undated_ones_at_the_boundary(tmp_path: Path) -> None:
    path = dated(
        tmp_path / "a.log",
        "2031-04-02T07:00:00Z old hit\n\tat old.trace hit\n2031-04-02T07:59:59.999Z hit old\n"
        "boot line hit\n2031-04-02T08:00:00Z new hit\n\tat new.trace hit\n2031-04-02T07:00:00Z late hit\n",
    )
    result = search(path, since=SINCE, patterns=[pattern(text="hit", expect="present")])
    excerpts = [match["excerpt"].strip() for match in result["found"]["p"]["matches"]]
    assert excerpts == [
        "boot line hit",
        "2031-04-02T08:00:00Z new hit",
        "at new.trace hit",
        "2031-04-02T07:00:00Z late hit",
    ]
    assert result["complete"] is True


def test_since_with_a_tail_that_does_not_reach_back_is_unverified(tmp_path: Path) -> None:
    line = "2031-04-02T08:30:00Z noise\n"
    path = dated(tmp_path / "a.log", "2031-04-02T07:00:00Z old\n2031-04-02T08:01:00Z hit\n" + line * 100)
    hit = [pattern(text="hit", expect="absent")]
    assert statuses(search(path, since=SINCE, patterns=hit, tail_bytes=1024)) == {"log.p": "unverified"}
    assert statuses(search(path, since="2031-04-02T08:40:00Z", patterns=hit, tail_bytes=1024)) == {"log.p": "pass"}
    assert statuses(search(path, since=SINCE, patterns=hit)) == {"log.p": "fail"}


def test_a_file_last_written_before_since_holds_nothing_new(tmp_path: Path) -> None:
    path = dated(tmp_path / "err.log", "java.net.BindException\n" * 100, "2031-04-02T07:00:00+00:00")
    hit = [pattern(text="BindException", expect="absent")]
    result = search(path, since=SINCE, patterns=hit, tail_bytes=1024)
    assert statuses(result) == {"log.p": "pass"}
    assert result["searched_bytes"] == 0


def test_lines_without_times_are_searched_and_marked(tmp_path: Path) -> None:
    path = dated(tmp_path / "err.log", "java.net.BindException\n")
    for expect in ("present", "absent"):
        result = search(path, since=SINCE, patterns=[pattern(text="BindException", expect=expect)])
        assert statuses(result) == {"log.p": "unverified"}
        assert "carry no time" in result["checks"][0]["hint"]
    assert result["found"]["p"]["matches"][0]["dated"] is False
    assert statuses(search(path, since=SINCE, patterns=[pattern(text="quiet", expect="absent")])) == {"log.p": "pass"}


def test_times_of_day_get_their_day_from_the_last_write(tmp_path: Path) -> None:
    text = (
        "23:58:00.000 [main] INFO a hit\n23:59:00.000 [main] INFO b hit\nundated\n00:01:00.000 [main] INFO c hit\n"
        "00:00:59.900 [other] INFO jitter\n12:00:00.000 [main] INFO d hit\n00:02:00.000 [main] INFO e hit\n"
    )
    local = datetime.datetime(2031, 4, 3, 0, 5).astimezone()  # the file covers 1 April 23:58 to 3 April 00:02
    path = dated(tmp_path / "a.log", text, local.isoformat())

    def excerpts(day: int, hour: int, minute: int) -> str:
        since = datetime.datetime(2031, 4, day, hour, minute).astimezone().isoformat()
        found = search(path, since=since, patterns=[pattern(regex=r"(?P<l>[a-e]) hit")])["found"]["p"]["matches"]
        return "".join(match["groups"]["l"] for match in found)

    assert excerpts(1, 23, 0) == "abcde"
    assert excerpts(1, 23, 59) == "bcde"
    assert excerpts(2, 0, 0) == "cde"
    assert excerpts(2, 12, 0) == "de"
    assert excerpts(2, 12, 1) == "e"
    assert excerpts(3, 0, 3) == ""
    before_midnight = datetime.datetime(2031, 4, 3, 23, 59, 59).astimezone()
    dated(path, text.replace("12:00", "23:58"), before_midnight.isoformat())
    assert excerpts(3, 0, 1) == "e"


def test_a_time_regex_of_ones_own(tmp_path: Path) -> None:
    path = dated(tmp_path / "a.log", "[at=2031-04-02T07:00:00Z] hit\n[at=2031-04-02T08:30:00Z] hit\n")
    result = search(path, since=SINCE, time_regex=r"\[at=([^]]+)\]", patterns=[pattern(text="hit")])
    assert result["found"]["p"]["count"] == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"paths": []}, "paths is empty"),
        ({"paths": ["var/log/a.log"]}, "is not absolute"),
        ({"patterns": [pattern(text="")]}, "pattern p is empty"),
        ({"patterns": [pattern(regex="(")]}, "pattern p is not a valid regular expression"),
        ({"patterns": [pattern(regex="x" * 2001)]}, "at most 2000"),
        ({"patterns": [pattern(text="a"), pattern(text="b")]}, "names p more than once"),
        ({"patterns": [pattern("a b", text="a")]}, "letters, digits"),
        ({"patterns": [pattern(f"p{i}", text="a") for i in range(51)]}, "at most 50"),
        ({"time_regex": r"\d+"}, "time_regex has no group"),
        ({"since": "noon"}, "since: 'noon'"),
        ({"from_offset": {"/x": "many"}}, "from_offset of /x: 'many' is no number"),
        ({"from_offset": {"/x": -5}}, "from_offset of /x"),
        ({"from_offset": {"/x": {"inode": 5}}}, "from_offset of /x"),
        ({"tail_bytes": 10}, "tail_bytes is 10; it must be from 1024"),
        ({"max_matches": 0}, "max_matches is 0"),
        ({"max_files": 1000}, "max_files is 1000"),
        ({"max_matches": 200, "patterns": [pattern(f"p{i}", text="a") for i in range(11)]}, "above 2000"),
    ],
)
def test_bad_arguments(log: Path, values: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        search(log, **values)


@given(
    pieces=st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", b"\0", b"x" * 200, b"\xff"]), max_size=40),
    begin=st.integers(0, 400),
)
def test_lines_cover_the_window_and_never_overlap(pieces: list[bytes], begin: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("law") / "a.log"
    content = b"".join(pieces)
    path.write_bytes(content)
    window = Window(str(path), size=len(content), begin=min(begin, len(content)), end=len(content))
    spans = [(offset, behind) for offset, _, behind in log_search_file.lines(window)]
    for (_, behind), (offset, _) in itertools.pairwise(spans):
        assert content[behind:offset].strip(b"\0") == b""
    for offset, _ in spans:
        assert offset == 0 or content[offset - 1 : offset] in (b"\n", b"\0")
    covered = b"".join(content[offset:behind] for offset, behind in spans)
    assert content[window.begin :].replace(b"\0", b"") in covered.replace(b"\0", b"")

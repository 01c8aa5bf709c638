# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of containers: what is written, what is read."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lab.runner import logs
from lab.runner.logs import LogFile, Wanted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "0.log"


def write(path: Path, *chunks: str, stream: str = "stdout") -> None:
    log = LogFile(path)
    for chunk in chunks:
        log.feed(stream, chunk.encode())
    log.close()


def test_lines_carry_their_time_and_stream(path: Path) -> None:
    write(path, "one\n")
    write(path, "two\n", stream="stderr")
    first, second = path.read_text().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z stdout F one", first)
    assert second.endswith(" stderr F two")


def test_lines_are_put_together_from_pieces(path: Path) -> None:
    write(path, "on", "e\ntw", "o\n\nlast without end")
    assert Wanted().text(path) == b"one\ntwo\n\nlast without end\n"


def test_a_line_without_end_is_cut(path: Path) -> None:
    write(path, "x" * (2 * logs.LONGEST_LINE + 10))
    lines = Wanted().text(path).split(b"\n")
    assert [len(line) for line in lines] == [logs.LONGEST_LINE, logs.LONGEST_LINE, 10, 0]


def test_a_log_stays_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "LARGEST_FILE", 4096)
    write(path, *(f"line {number}\n" for number in range(1000)))
    assert path.stat().st_size <= 4096
    lines = Wanted().text(path).decode().splitlines()
    assert lines[-1] == "line 999"
    assert lines == [f"line {number}" for number in range(1000 - len(lines), 1000)]


def test_what_a_reader_can_ask_for(path: Path) -> None:
    write(path, "".join(f"line {number}\n" for number in range(5)))
    assert Wanted(tail=2).text(path) == b"line 3\nline 4\n"
    assert Wanted(tail=0).text(path) == b""
    assert Wanted(tail=99).text(path).count(b"\n") == 5
    assert Wanted(limit_bytes=8).text(path) == b"line 0\nl"
    assert (
        Wanted(timestamps=True, tail=1).text(path)
        == path.read_bytes().splitlines()[-1].replace(b" stdout F", b"") + b"\n"
    )
    now = datetime.now(UTC)
    assert Wanted(since=now - timedelta(minutes=1)).text(path).count(b"\n") == 5
    assert Wanted(since=now + timedelta(minutes=1)).text(path) == b""


def test_the_end_of_a_log_is_its_last_words(path: Path) -> None:
    write(path, "".join(f"line {number}\n" for number in range(500)))
    assert logs.last_words(path, size=20) == "7\nline 498\nline 499\n"
    assert logs.last_words(path).splitlines()[0] == "line 420"

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_scan
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_rules import Fault, is_blank, judge
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_scan import BadLine, Scan

GOOD = (
    b'{"type":"Fill","at":"2031-04-02T08:03:11.500Z","accountId":"acct_k7","orderId":"ord_5a","symbol":"ADA","side":"SELL",'
    b'"filledQtyDelta":4,"filledQtyTotal":4,"price":2500,"quoteCcy":"JPY","quoteCashDelta":9990,"feeQuote":10}'
)
BAD_SIDE = GOOD.replace(b"SELL", b"sell")
PIECES = [
    GOOD + b"\n",
    GOOD.replace(b"ADA", "Ä".encode()) + b"\n",
    GOOD.replace(b":4,", b": 4,") + b"\r\n",
    BAD_SIDE + b"\n",
    GOOD.replace(b"ADA", b"\xff") + b"\n",
    GOOD.replace(b"ADA", b"\xff"),
    b"\n",
    b" \r\n",
    b"\r",
    b'{"type":"Fi',
    b"{}\n",
    GOOD.replace(b"9990", b'"9990"') + b"\n",
    b"x" * 700,
]


def scan(path: Path, keep: int = 100, **options: Any) -> Scan:
    fd = os.open(path, os.O_RDONLY)
    try:
        return ledger_scan.scan(fd, os.fstat(fd).st_size, keep, **options)
    finally:
        os.close(fd)


def slow(data: bytes) -> tuple[int, int, Counter[str], list[tuple[int, int, int, str]], int | None]:
    """The same answer by the rule alone, line by line."""
    blank, reasons, bad, unterminated, offset = 0, Counter[str](), [], None, 0
    lines = data.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        content = line.rstrip(b"\r\n")
        unterminated = offset if content == line else None
        if is_blank(content):
            blank += 1
        else:
            fault = judge(content) if len(content) <= ledger_scan.LONGEST_LINE_BYTES else Fault("too_long", "")
            if fault:
                torn = fault.reason == "broken_json" and content == line
                reason = "torn_tail" if torn else fault.reason
                reasons[reason] += 1
                bad.append((number, offset, len(line), reason))
        offset += len(line)
    return len(lines), blank, reasons, bad, unterminated


def fast(found: Scan) -> tuple[int, int, Counter[str], list[tuple[int, int, int, str]], int | None]:
    rows = [(line.number, line.offset, line.length, line.fault.reason) for line in found.listed(10**6)]
    return found.lines, found.blank, found.reasons, rows, found.unterminated


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that lines cross their borders; the longest line still fits."""
    monkeypatch.setattr(ledger_scan, "BLOCK_BYTES", 2000)
    monkeypatch.setattr(ledger_scan, "LONGEST_LINE_BYTES", 2000)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=40), workers=st.sampled_from([1, 1, 1, 2, 3]))
def test_the_scan_agrees_with_the_rule(tmp_path: Path, small_blocks: None, pieces: list[bytes], workers: int) -> None:
    data = b"".join(pieces)
    longest = max((len(line) for line in data.split(b"\n")), default=0)
    if longest >= 2000:
        pieces = [piece for piece in pieces if piece.endswith(b"\n")]
        data = b"".join(pieces)
    path = tmp_path / "ledger.log"
    path.write_bytes(data)
    found = scan(path, workers=workers)
    assert found.complete
    assert fast(found) == slow(data)
    assert found.good + found.blank + found.bad_count == found.lines
    for line in found.listed(1000):
        assert data[line.offset : line.offset + line.length] == data.splitlines(keepends=True)[line.number - 1]


def test_first_and_last_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    first, last = (GOOD.replace(b"08:03:11", at) for at in (b"01:00:00", b"23:00:00"))
    path.write_bytes(b"torn\n" + first + b"\n" + (GOOD + b"\n") * 3 + last + b"\n" + BAD_SIDE + b"\n")
    found = scan(path)
    with path.open("rb") as stream:
        assert ledger_scan.at_of_line(stream.fileno(), found.first_good) == "2031-04-02T01:00:00.500Z"
        assert ledger_scan.at_of_line(stream.fileno(), found.last_good) == "2031-04-02T23:00:00.500Z"
        assert ledger_scan.at_of_line(stream.fileno(), None) is None


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_several_processes_number_lines_as_one_does(tmp_path: Path, workers: int) -> None:
    path = tmp_path / "ledger.log"
    lines = [GOOD] * 3000
    for index in (0, 1500, 2999):
        lines[index] = BAD_SIDE
    path.write_bytes(b"\n".join(lines) + b"\n")
    found = scan(path, workers=workers)
    assert (found.lines, found.good) == (3000, 2997)
    assert [line.number for line in found.listed(10)] == [1, 1501, 3000]
    assert found.unterminated is None


def test_a_line_too_long_for_memory_is_passed_over_and_said(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    with path.open("wb") as stream:
        stream.write(GOOD + b"\n")
        stream.seek(300 * 1024 * 1024, os.SEEK_CUR)  # zeros, sparse
        stream.write(b"\n" + GOOD + b"\n")
    found = scan(path, workers=1)
    assert (found.lines, found.good, dict(found.reasons)) == (3, 2, {"too_long": 1})
    (line,) = found.listed(10)
    assert (line.number, line.offset, line.length) == (2, len(GOOD) + 1, 300 * 1024 * 1024 + 1)
    assert line.as_dict(None)["class"] == "unjudged"


def test_a_file_without_any_newline(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    with path.open("wb") as stream:
        stream.truncate(100 * 1024 * 1024)
    for workers in (1, 2):
        found = scan(path, workers=workers)
        assert (found.lines, dict(found.reasons), found.unterminated) == (1, {"too_long": 1}, 0)
        assert found.complete


def test_all_bad_lines_are_counted_and_a_few_kept_worst_first(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"{}\n" * 5000 + BAD_SIDE + b"\n")
    for workers in (1, 2):
        found = scan(path, keep=3, workers=workers)
        assert found.reasons == {"missing_field": 5000, "bad_side": 1}
        assert [line.number for line in found.listed(3)] == [1, 2, 5001]


def test_out_of_time_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes((GOOD + b"\n") * 20_000)
    for workers in (1, 2):
        found = scan(path, workers=workers, seconds=-1.0)
        assert not found.complete
        assert found.end == 0


def test_a_file_that_became_shorter_is_not_complete(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes((GOOD + b"\n") * 10)
    with path.open("rb") as stream:
        found = ledger_scan.scan(stream.fileno(), 10**6, 10, workers=1)
    assert (found.complete, found.lines) == (False, 10)


def test_progress_counts_bytes_and_bad_lines(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes((GOOD + b"\n" + BAD_SIDE + b"\n") * 10_000)
    for workers in (1, 2):
        seen: list[tuple[int, int]] = []
        scan(path, workers=workers, progress=lambda read, bad, seen=seen: seen.append((read, bad)))  # type: ignore[misc]
        assert seen[-1] == (path.stat().st_size, 10_000)
        assert len(seen) > 2


def test_a_killed_process_ends_the_scan_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes((GOOD + b"\n") * 20_000)
    monkeypatch.setattr(ledger_scan, "_work", lambda *args: os._exit(9))
    with pytest.raises(RunbookError, match="ended from outside"):
        scan(path, workers=2)


def test_a_process_that_hangs_ends_the_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes((GOOD + b"\n") * 20_000)
    monkeypatch.setattr(ledger_scan, "_work", lambda *args: signal.pause())
    monkeypatch.setattr(ledger_scan, "GRACE_SECONDS", 0.2)
    with pytest.raises(RunbookError, match="no longer answers"):
        scan(path, workers=2, seconds=0.1)


def test_an_excerpt_is_bounded_and_without_secrets() -> None:
    line = BadLine(
        1, 0, 50_000, Fault("unknown_type", "type 'x'"), b'{"type":"x","password":"hunter2-hunter2"}' + b"y" * 5000
    )
    shown = line.as_dict(True)
    assert "hunter2" not in str(shown)
    assert len(shown["excerpt"]) < 250
    assert shown["covered_by_snapshot"] is True

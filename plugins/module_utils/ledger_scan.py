# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a ledger from end to end at close to the speed of the disk, in constant memory.

The file is cut at line ends into one part for each processor; a forked process reads its part in blocks. In a block one
regular expression runs over all lines that are as the service writes them; only what it does not accept is cut into
lines and judged one by one.
"""

from __future__ import annotations

import errno
import itertools
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from typing import Any

from .errors import RunbookError
from .ledger_rules import CLASSES, WHOLE_LINES, Fault, at_of, is_blank, judge
from .redact import observed

BLOCK_BYTES = 1024 * 1024
LONGEST_LINE_BYTES = BLOCK_BYTES
PART_BYTES = 32 * 1024 * 1024  # below this a further process costs more than it saves
MOST_WORKERS = 8
EXCERPT_CHARACTERS = 160
LONGEST_SEARCH_BYTES = 16 * LONGEST_LINE_BYTES  # for a line end at which to cut the file
GRACE_SECONDS = 5.0

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class BadLine:
    """One bad line: its number from 1 as the service counts, the bytes it takes with its terminator, and why."""

    number: int
    offset: int
    length: int
    fault: Fault
    start: bytes = b""

    def as_dict(self, covered_by_snapshot: bool | None) -> dict[str, Any]:
        return {
            "line": self.number,
            "offset_bytes": self.offset,
            "length_bytes": self.length,
            "reason": self.fault.reason,
            "class": self.fault.kind,
            "detail": observed(self.fault.detail, EXCERPT_CHARACTERS),
            "excerpt": observed(self.start.rstrip(b"\r\n"), EXCERPT_CHARACTERS),
            "covered_by_snapshot": covered_by_snapshot,
        }


@dataclass
class Scan:
    """What a range of bytes holds. ``end`` is how far it was read; the numbers of ``bad`` count from its start."""

    begin: int
    end: int
    complete: bool = True
    lines: int = 0
    blank: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    bad: dict[str, list[BadLine]] = field(default_factory=lambda: {kind: [] for kind in CLASSES})
    first_good: tuple[int, int] | None = None
    last_good: tuple[int, int] | None = None
    unterminated: int | None = None
    """Offset of a last line without a newline."""

    @property
    def bad_count(self) -> int:
        return self.reasons.total()

    @property
    def good(self) -> int:
        return self.lines - self.blank - self.bad_count

    def counts(self) -> dict[str, int]:
        """Lines by what becomes of them."""
        kinds = {kind: self.count([kind]) for kind in CLASSES}
        return {"lines": self.lines, "good": self.good, "blank": self.blank, "bad": self.bad_count, **kinds}

    def listed(self, limit: int) -> list[BadLine]:
        """At most ``limit`` bad lines, those of the worst classes first, in file order."""
        worst_first = [line for kind in CLASSES for line in self.bad[kind]]
        return sorted(worst_first[:limit], key=lambda line: line.offset)

    def count(self, kinds: tuple[str, ...] | list[str]) -> int:
        return sum(count for reason, count in self.reasons.items() if Fault(reason, "").kind in kinds)

    def add(self, later: Scan, keep: int) -> None:
        """Append what a range right behind this one holds."""
        for kind, lines in later.bad.items():
            room = keep - len(self.bad[kind])
            self.bad[kind] += [replace(line, number=line.number + self.lines) for line in lines[: max(0, room)]]
        self.end, self.complete, self.unterminated = later.end, later.complete, later.unterminated
        self.lines += later.lines
        self.blank += later.blank
        self.reasons += later.reasons
        self.first_good = self.first_good or later.first_good
        self.last_good = later.last_good or self.last_good


def scan(
    fd: int,
    size: int,
    keep: int,
    *,
    workers: int = 0,
    seconds: float = 300.0,
    progress: Progress = lambda done, bad: None,
) -> Scan:
    """Scan the first ``size`` bytes of an open regular file.

    :arg keep: how many bad lines of each class are remembered; all are counted.
    :arg workers: processes to use; 0 chooses by size and processors.
    :arg seconds: after this time the scan ends where it is, with ``complete`` false.
    :arg progress: called now and then with the bytes read so far and the bad lines seen so far.
    """
    until = time.monotonic() + seconds
    if not workers:
        workers = max(1, min(len(os.sched_getaffinity(0)), MOST_WORKERS, size // PART_BYTES))
    bounds = _bounds(fd, size, workers)
    if len(bounds) <= 1:
        return _read(fd, 0, size, keep, until, progress)
    return _in_processes(fd, bounds, keep, until, progress)


def in_words(count: int) -> str:
    """``1 line``, ``2 lines``."""
    return f"{count} line" if count == 1 else f"{count} lines"


def at_of_line(fd: int, place: tuple[int, int] | None) -> str | None:
    """The time of the good line at offset and length ``place``."""
    return at_of(os.pread(fd, place[1], place[0])) if place else None


def lines_in(chunk: bytes) -> Iterator[tuple[int, bytes]]:
    """Lines with their terminators and offsets. As for the service, LF, CR LF and a lone CR each end a line."""
    offset = 0
    for line in chunk.splitlines(keepends=True):
        yield offset, line
        offset += len(line)


def _bounds(fd: int, size: int, workers: int) -> list[tuple[int, int]]:
    """At most ``workers`` ranges that together are the file; each but the last ends behind a newline."""
    ends: list[int] = []
    for index in range(1, workers):
        start = index * size // workers
        newline = _newline_from(fd, start, min(size, start + LONGEST_SEARCH_BYTES))
        if newline is not None and (not ends or newline + 1 > ends[-1]):
            ends.append(newline + 1)
    edges = [0, *(end for end in ends if end < size), size]
    return list(itertools.pairwise(edges))


def _past_hole(fd: int, offset: int) -> int:
    """Where data goes on: what was never written (a hole, after a crash or a truncate) reads as zeros."""
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        return os.fstat(fd).st_size if error.errno == errno.ENXIO else offset


def _newline_from(fd: int, offset: int, end: int) -> int | None:
    offset = _past_hole(fd, offset)
    while offset < end:
        block = os.pread(fd, min(BLOCK_BYTES, end - offset), offset)
        if not block:
            return None
        found = block.find(b"\n")
        if found >= 0:
            return offset + found
        offset += len(block)
    return None


def _read(fd: int, begin: int, end: int, keep: int, until: float, progress: Progress) -> Scan:
    """Scan one range, block by block."""
    found = Scan(begin, begin)
    while found.end < end:
        if time.monotonic() > until:
            found.complete = False
            break
        block = os.pread(fd, min(BLOCK_BYTES, end - found.end), found.end)
        if not block:  # the file became shorter
            found.complete = False
            break
        whole = block.rfind(b"\n") + 1
        if whole:
            _block(found, block[:whole] if whole < len(block) else block, keep)
        elif found.end + len(block) >= end and len(block) <= LONGEST_LINE_BYTES:
            _chunk(found, block, keep, at_end=True)
        else:
            _too_long(fd, found, end, keep, until, progress)
        progress(found.end - begin, found.bad_count)
    return found


def _block(found: Scan, block: bytes, keep: int) -> None:
    """Whole lines, the last of which ends with a newline."""
    whole_lines = WHOLE_LINES[not _is_utf8(block)]
    position = 0
    while True:
        match = whole_lines.match(block, position)
        reached = match.end() if match else position
        if reached > position:
            found.lines += block.count(b"\n", position, reached)
            _remember_good(found, block, position, reached)
        if reached == len(block):
            break
        position = block.find(b"\n", reached) + 1
        _chunk(found, block[reached:position], keep, at_end=False, offset=found.end + reached)
    found.end += len(block)


def _is_utf8(block: bytes) -> bool:
    if block.isascii():
        return True
    try:
        block.decode()
    except UnicodeDecodeError:
        return False
    return True


def _remember_good(found: Scan, block: bytes, begin: int, end: int) -> None:
    if found.first_good is None:
        found.first_good = (found.end + begin, block.find(b"\n", begin, end) + 1 - begin)
    last = block.rfind(b"\n", begin, end - 1) + 1 or begin
    found.last_good = (found.end + last, end - last)


def _chunk(found: Scan, chunk: bytes, keep: int, *, at_end: bool, offset: int | None = None) -> None:
    """Lines that are judged one by one. ``at_end``: the chunk ends the file, and ``found.end`` moves past it."""
    start = found.end if offset is None else offset
    for place, line in lines_in(chunk):
        found.lines += 1
        content = line.rstrip(b"\r\n")
        terminated = len(content) < len(line)
        if not terminated:
            found.unterminated = start + place
        if is_blank(content):
            found.blank += 1
            continue
        fault = judge(content) if len(content) <= LONGEST_LINE_BYTES else _length_fault(len(line))
        if fault is None:
            found.first_good = found.first_good or (start + place, len(line))
            found.last_good = (start + place, len(line))
            continue
        if fault.reason == "broken_json" and not terminated:
            fault = Fault("torn_tail", "cut off, without a newline: the next event would be glued to it")
        excerpt = line[: EXCERPT_CHARACTERS * 4]
        _remember_bad(found, BadLine(found.lines, start + place, len(line), fault, excerpt), keep)
    if at_end:
        found.end += len(chunk)


def _too_long(fd: int, found: Scan, end: int, keep: int, until: float, progress: Progress) -> None:
    """A line that does not fit in memory: pass over it without reading it as a whole."""
    start = position = found.end
    newline: int | None = None
    while newline is None and position < end and time.monotonic() <= until:
        position = min(_past_hole(fd, position), end)
        newline = _newline_from(fd, position, min(position + BLOCK_BYTES, end))
        position = min(position + BLOCK_BYTES, end)
        progress(position - found.begin, found.bad_count)
    stop = position if newline is None else newline + 1
    found.lines += 1
    if newline is None:
        found.unterminated = start
    excerpt = os.pread(fd, EXCERPT_CHARACTERS * 4, start)
    _remember_bad(found, BadLine(found.lines, start, stop - start, _length_fault(stop - start), excerpt), keep)
    found.end = stop


def _length_fault(length: int) -> Fault:
    return Fault("too_long", f"{length} bytes, more than {LONGEST_LINE_BYTES}: not judged")


def _remember_bad(found: Scan, line: BadLine, keep: int) -> None:
    found.reasons[line.fault.reason] += 1
    kept = found.bad[line.fault.kind]
    if len(kept) < keep:
        kept.append(line)


def _in_processes(fd: int, bounds: list[tuple[int, int]], keep: int, until: float, progress: Progress) -> Scan:
    """One forked process for each range. A process that dies ends the scan with an error that says so."""
    context = multiprocessing.get_context("fork")
    processes, pipes = [], []
    try:
        for begin, end in bounds:
            receiver, sender = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(sender, fd, begin, end, keep, until), daemon=True)
            process.start()
            sender.close()
            processes.append(process)
            pipes.append(receiver)
        parts = _collect(pipes, until + GRACE_SECONDS, progress)
    finally:
        for process in processes:
            process.kill()
            process.join()
        for pipe in pipes:
            pipe.close()
    whole = parts[0]
    for part in parts[1:]:
        if not whole.complete:  # line numbers behind a gap are not known
            break
        whole.add(part, keep)
    return whole


def _work(sender: Connection, fd: int, begin: int, end: int, keep: int, until: float) -> None:
    sender.send(_read(fd, begin, end, keep, until, lambda read, bad: sender.send((read, bad))))


def _collect(pipes: list[Connection], until: float, progress: Progress) -> list[Scan]:
    read, bad = [0] * len(pipes), [0] * len(pipes)
    parts: dict[int, Scan] = {}
    while len(parts) < len(pipes):
        open_pipes = [pipe for index, pipe in enumerate(pipes) if index not in parts]
        ready = wait(open_pipes, timeout=max(0.0, until - time.monotonic()))
        if not ready:
            raise RunbookError(
                "a process that scans the ledger no longer answers: does the disk hang? Nothing changed."
            )
        for index, pipe in enumerate(pipes):
            if pipe not in ready:
                continue
            try:
                message = pipe.recv()
            except EOFError:
                raise RunbookError(
                    "a process that scans the ledger was ended from outside (out of memory?). Nothing was changed."
                ) from None
            if isinstance(message, Scan):
                parts[index] = message
            else:
                read[index], bad[index] = message
                progress(sum(read), sum(bad))
    return [parts[index] for index in range(len(pipes))]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Logs of containers: written in the format of the container runtimes, read with the options of `kubectl logs`.

A line of the file is `<time with nanoseconds> <stdout|stderr> F <text>`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

LONGEST_LINE = 16 * 1024
LARGEST_FILE = 10 * 2**20


class LogFile:
    """The log of one run of a container. Beyond LARGEST_FILE the older half goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream = path.open("ab", buffering=0)
        self._rest = {"stdout": b"", "stderr": b""}

    def feed(self, stream: str, data: bytes) -> None:
        """Take what the process wrote; a line is written when it is complete, or too long."""
        *lines, rest = (self._rest[stream] + data).split(b"\n")
        while len(rest) > LONGEST_LINE:
            lines.append(rest[:LONGEST_LINE])
            rest = rest[LONGEST_LINE:]
        self._rest[stream] = rest
        self._write(stream, lines)

    def close(self) -> None:
        for stream, rest in self._rest.items():
            self._write(stream, [rest] if rest else [])
        self._stream.close()

    def _write(self, stream: str, lines: list[bytes]) -> None:
        if not lines:
            return
        prefix = f"{_timestamp()} {stream} F ".encode()
        self._stream.write(b"".join(prefix + line + b"\n" for line in lines))
        if self._stream.tell() > LARGEST_FILE:
            self._halve()

    def _halve(self) -> None:
        kept = self.path.read_bytes()[-LARGEST_FILE // 2 :].partition(b"\n")[2]
        self._stream.close()
        self.path.write_bytes(kept)
        self._stream = self.path.open("ab", buffering=0)


@dataclass(frozen=True)
class Wanted:
    """What a reader asked for; None: no limit."""

    tail: int | None = None
    since: datetime | None = None
    timestamps: bool = False
    limit_bytes: int | None = None

    def text(self, path: Path) -> bytes:
        """The log as asked for."""
        lines = (line for line in _lines(path) if self.since is None or _time(line) >= self.since)
        chosen: Iterator[bytes] | deque[bytes] = lines if self.tail is None else deque(lines, maxlen=self.tail)
        return b"".join(map(self.shown, chosen))[: self.limit_bytes]

    def shown(self, line: bytes) -> bytes:
        """One line of the file as the reader sees it."""
        stamp, _, _, text = line.split(b" ", 3)
        return stamp + b" " + text if self.timestamps else text


def last_words(path: Path, size: int = 2048, count: int = 80) -> str:
    """The end of a log, as the termination message of a container that failed."""
    return Wanted(tail=count).text(path)[-size:].decode("utf-8", "replace")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield line


def _time(line: bytes) -> datetime:
    return datetime.fromisoformat(line[:26].decode() + "+00:00")


def _timestamp() -> str:
    now = time.time_ns()
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now // 10**9))}.{now % 10**9:09d}Z"

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ledger file: one JSON object a line, appended per event, replayed at every boot.

The writer keeps the file it opened: a file that replaces it, by a rename, is read but never written.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lab.services.entries import Entry, parse_line, to_line


@dataclass(frozen=True)
class ReplayStats:
    lines: int = 0
    applied: int = 0
    skipped: int = 0
    duration_ms: int = 0

    def as_dict(self) -> dict[str, int]:
        """The form of /stats and of the log."""
        counts = {"lines": self.lines, "applied": self.applied, "skipped": self.skipped}
        return counts | {"durationMs": self.duration_ms}


class Ledger:
    """Opens (and creates) the file; raises UnicodeDecodeError on bytes that are not UTF-8."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.line_count = sum(1 for _ in self._lines())
        self._lock = threading.Lock()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def append(self, entry: Entry) -> None:
        """Writes a whole line or raises OSError."""
        data = (to_line(entry) + "\n").encode()
        with self._lock:
            while data:
                data = data[os.write(self._fd, data) :]
            self.line_count += 1

    def replay(self, apply: Callable[[Entry], object], start_line: int = 0, delay_seconds: float = 0) -> ReplayStats:
        """Applies the lines after ``start_line``; an entry that ``apply`` refuses is skipped. Raises BadSide."""
        started = time.monotonic()
        lines = applied = skipped = 0
        for line in self._lines():
            lines += 1
            if lines <= start_line or not line.strip():
                continue
            if delay_seconds:
                time.sleep(delay_seconds)
            entry = parse_line(line)
            if entry is None:
                skipped += 1
                continue
            try:
                apply(entry)
                applied += 1
            except Exception:  # noqa: BLE001 - whatever the store says: the line counts as skipped
                skipped += 1
        return ReplayStats(lines, applied, skipped, int((time.monotonic() - started) * 1000))

    def entries(self, account_id: str, limit: int, matches: Callable[[Entry], bool] | None = None) -> list[Entry]:
        """The last ``limit`` matching entries of the account, in file order. Raises BadSide and UnicodeDecodeError."""
        found: deque[Entry] = deque(maxlen=limit)
        for line in self._lines():
            entry = parse_line(line)
            if entry is None or entry.account_id != account_id:
                continue
            if matches is None or matches(entry):
                found.append(entry)
        return list(found)

    def close(self) -> None:
        with self._lock, suppress(OSError):
            os.close(self._fd)

    def _lines(self) -> Iterator[str]:
        """The lines of the file that has the name now; none when there is no such file."""
        with suppress(FileNotFoundError), open(self.path, encoding="utf-8") as stream:
            yield from stream

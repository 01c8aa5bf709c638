# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab says while it works."""

from __future__ import annotations

import os
import sys
import threading
import time


def say(text: str, end: str = "\n") -> None:
    """One line on standard output, at once. A reader that has gone away does not end the work."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Line:
    """A line that tells how far something is: rewritten on a terminal, else written anew every few seconds.

    ``show`` may be called from several threads, and as often as one likes.
    """

    def __init__(self, every_seconds: float) -> None:
        self._lock = threading.Lock()
        self._terminal = sys.stdout.isatty()
        self._every = 0.2 if self._terminal else every_seconds
        self._width = 0
        self._start = time.monotonic()
        self._next = self._start + self._every

    @property
    def seconds(self) -> float:
        """Time since the line was made."""
        return time.monotonic() - self._start

    def show(self, text: str) -> None:
        with self._lock:
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + self._every
                self._write(text, end="" if self._terminal else "\n")

    def finish(self, text: str) -> None:
        with self._lock:
            self._write(text, end="\n")

    def _write(self, text: str, end: str) -> None:
        padded = f"\r{text:<{self._width}}" if self._terminal else text
        self._width = len(text)
        say(padded, end)


class Download:
    """Progress of a download of known size. ``add`` may be called from several threads."""

    def __init__(self, what: str, total_bytes: int) -> None:
        self._what, self._total, self._done = what, total_bytes, 0
        self._lock = threading.Lock()
        self._line = Line(every_seconds=3)

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
        self._line.show(self._text())

    def finish(self) -> None:
        self._line.finish(f"{self._text()} in {self._line.seconds:.0f} s")

    def _text(self) -> str:
        percent = 100 * self._done // max(self._total, 1)
        return f"  {self._what}: {self._done / 1e6:.1f} of {self._total / 1e6:.1f} MB ({min(percent, 100)} %)"

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


class Download:
    """Progress of a download of known size: one line that is rewritten on a terminal, else a line every few seconds.

    ``add`` may be called from several threads.
    """

    def __init__(self, what: str, total_bytes: int) -> None:
        self._what, self._total, self._done = what, total_bytes, 0
        self._lock = threading.Lock()
        self._terminal = sys.stdout.isatty()
        self._every = 0.2 if self._terminal else 3.0
        self._start = time.monotonic()
        self._next = self._start

    def add(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() >= self._next:
                self._next = time.monotonic() + self._every
                self._show(end="" if self._terminal else "\n")

    def finish(self) -> None:
        with self._lock:
            self._show(end=f" in {time.monotonic() - self._start:.0f} s\n")

    def _show(self, end: str) -> None:
        percent = 100 * self._done // max(self._total, 1)
        line = f"  {self._what}: {self._done / 1e6:.1f} of {self._total / 1e6:.1f} MB ({min(percent, 100)} %)"
        say(f"\r{line}" if self._terminal else line, end)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots of the in-memory store: written every few seconds, in place, and believed at the next boot."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from lab.services import env, instant
from lab.services.book import Book
from lab.services.ledger import Ledger

SHORTEST_INTERVAL_SECONDS = 5


def load(path: Path, ledger_lines: int, max_fills: int) -> tuple[Book, int] | None:
    """The state and the number of lines it covers; None, without a word, when it is unusable or covers too many."""
    try:
        document = json.loads(path.read_text("utf-8"))
        covered = int(document["ledgerLines"])
        if covered > ledger_lines:
            return None
        return Book.from_state(document["state"], max_fills), covered
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


class Snapshotter:
    def __init__(self, path: Path, book: Book, ledger: Ledger) -> None:
        self._path = path
        self._book = book
        self._ledger = ledger
        self._interval = max(SHORTEST_INTERVAL_SECONDS, env.integer("BACKOFFICE_SNAPSHOT_SEC", 30, env.LONG_RANGE))
        self._enabled = env.flag("BACKOFFICE_SNAPSHOT_ENABLE", "1")
        self._stopped = threading.Event()

    def start(self) -> None:
        if not self._enabled:
            print("BackOfficeSnapshotter disabled (BACKOFFICE_SNAPSHOT_ENABLE=0)", flush=True)
            return
        threading.Thread(target=self._run, name="backoffice-snapshot", daemon=True).start()
        print(f"BackOfficeSnapshotter enabled (intervalSec={self._interval})", flush=True)

    def stop(self) -> None:
        self._stopped.set()

    def _run(self) -> None:
        """A write that fails ends the snapshots, silently."""
        while not self._stopped.wait(self._interval):
            try:
                state = self._book.state()
                lines = self._ledger.line_count
                document = {"createdAt": instant.iso(time.time_ns()), "ledgerLines": lines, "state": state}
                self._path.parent.mkdir(parents=True, exist_ok=True)
                self._path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")
            except (OSError, ValueError):
                return

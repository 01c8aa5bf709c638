# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counters of Kafka records since this boot, as /stats shows them. A replay never touches them."""

from __future__ import annotations

import threading
import time
from typing import Any

from lab.services import instant
from lab.services.ledger import ReplayStats


class Stats:
    def __init__(self, replay: ReplayStats) -> None:
        self._started_at = time.time_ns()
        self._replay = replay
        self._lock = threading.Lock()
        self._processed = 0
        self._skipped = 0
        self._last_event_at: int | None = None
        self._last_offset: str | None = None

    def record(self, applied_at: int | None, topic: str, partition: int, offset: int) -> None:
        """``applied_at``: the producer's time of an applied event, None for a record that was skipped."""
        with self._lock:
            self._last_offset = f"{topic}:{partition}:{offset}"
            if applied_at is None:
                self._skipped += 1
            else:
                self._processed += 1
                self._last_event_at = applied_at

    def body(self) -> dict[str, Any]:
        with self._lock:
            return {
                "startedAt": instant.iso(self._started_at),
                "processed": self._processed,
                "skipped": self._skipped,
                "lastEventAt": None if self._last_event_at is None else instant.iso(self._last_event_at),
                "lastKafkaOffset": self._last_offset,
                "ledgerReplay": self._replay.as_dict(),
            }

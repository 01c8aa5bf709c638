# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Micrometer's timer: count, sum and a maximum that is forgotten after some minutes."""

from __future__ import annotations

import bisect
import time
from dataclasses import dataclass, field

BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # upper bounds in seconds
_WINDOW_SECONDS = 60.0
_WINDOWS = 3


@dataclass
class Timer:
    """Seconds; `buckets` counts the values up to each bound, and those beyond the last."""

    count: int = 0
    total: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS) + 1))
    _maxima: dict[int, float] = field(default_factory=dict)

    def record(self, seconds: float) -> None:
        self.count += 1
        self.total += seconds
        self.buckets[bisect.bisect_left(BUCKETS, seconds)] += 1
        window = int(time.monotonic() / _WINDOW_SECONDS)
        self._maxima[window] = max(self._maxima.get(window, 0.0), seconds)
        self._maxima.pop(window - _WINDOWS, None)

    def max(self) -> float:
        """The longest of the last minutes."""
        oldest = int(time.monotonic() / _WINDOW_SECONDS) - _WINDOWS
        return max((seconds for window, seconds in list(self._maxima.items()) if window > oldest), default=0.0)

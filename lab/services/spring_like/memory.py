# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The heap: what is really held because of a fault, and the rest as a JVM of this size would show it."""

from __future__ import annotations

import math
import threading
import time

from lab.services.spring_like.faults import Faults

_MB = 2**20
_BASE = 14 * _MB
_EDEN = 10 * _MB
_EDEN_FILLS_IN = 30.0  # seconds between two collections of an idle service
_PAUSE = 0.004
_FULL = 0.9  # of the heap, where the fault `growth` stops
_CHUNK = _MB
_STEP_SECONDS = 0.1
_BURST = 16  # chunks a step, for the fault `memory`


class Heap:
    """Follows the faults `memory` (MB held at once) and `growth` (MB a second up to 90 % of the heap)."""

    def __init__(self, most: int, faults: Faults) -> None:
        self._most, self._faults = most, faults
        self._held: list[bytearray] = []
        self._begun = time.monotonic()
        threading.Thread(target=self._follow, name="heap", daemon=True).start()

    def areas(self) -> dict[tuple[str, str], dict[str, float]]:
        """Used, committed and greatest bytes by area and id; -1: without a limit."""
        held = sum(map(len, self._held))
        eden = _EDEN * ((time.monotonic() - self._begun) % _EDEN_FILLS_IN) / _EDEN_FILLS_IN
        old = min(_BASE + held, self._most)
        return {
            ("heap", "G1 Eden Space"): {"used": int(eden), "committed": _EDEN, "max": -1},
            ("heap", "G1 Old Gen"): {"used": old, "committed": max(old, 2 * _BASE), "max": self._most},
            ("heap", "G1 Survivor Space"): {"used": _MB, "committed": _MB, "max": -1},
            ("nonheap", "Metaspace"): {"used": 71 * _MB, "committed": 72 * _MB, "max": -1},
            ("nonheap", "CodeCache"): {"used": 12 * _MB, "committed": 13 * _MB, "max": 48 * _MB},
        }

    def collections(self) -> tuple[int, float]:
        """Number of minor collections and their seconds."""
        count = int((time.monotonic() - self._begun) / _EDEN_FILLS_IN)
        return count, count * _PAUSE

    def live(self) -> tuple[int, int]:
        """Bytes that a collection would leave, and the most there can be."""
        return min(_BASE + sum(map(len, self._held)), self._most), self._most

    def after_collection(self) -> float:
        """Share of the old generation that is in use after its last collection; NaN before the first."""
        return (_BASE + sum(map(len, self._held))) / self._most if self._held else math.nan

    def settle(self) -> None:
        """Wait until all is held that the fault `memory` wants."""
        while sum(map(len, self._held)) < self._faults.number("memory") * _MB:
            time.sleep(_STEP_SECONDS)

    def _follow(self) -> None:
        while True:
            with self._faults.changed:
                if not self._wanted():
                    self._held.clear()
                    self._faults.changed.wait()
            missing = self._wanted() - sum(map(len, self._held))
            for _ in range(min(_BURST, math.ceil(missing / _CHUNK))):
                self._held.append(bytearray(b"\1") * _CHUNK)
            time.sleep(_STEP_SECONDS)

    def _wanted(self) -> float:
        growth = self._faults.number("growth")
        grown = sum(map(len, self._held)) + growth * _MB * _STEP_SECONDS if growth else 0.0
        return max(self._faults.number("memory") * _MB, min(grown, self._most * _FULL - _BASE))

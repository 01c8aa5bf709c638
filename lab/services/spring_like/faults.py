# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that a running service shows: set by SERVICE_FAULTS at its start, or over HTTP at any time."""

from __future__ import annotations

import threading
from collections.abc import Mapping

NAMES = (
    "health",
    "readiness",
    "actuator",
    "slow",
    "latency",
    "errors",
    "pool",
    "leak",
    "breaker",
    "memory",
    "growth",
    "crash",
)


class Faults:
    """Names to values; a waiting thread is told of every change."""

    def __init__(self, first: Mapping[str, str]) -> None:
        self._values = dict(first)
        self.changed = threading.Condition()

    def get(self, name: str) -> str | None:
        return self._values.get(name)

    def number(self, name: str) -> float:
        """The value as a number; 0 when the fault is not set or is no number."""
        try:
            return float(self._values.get(name) or 0)
        except ValueError:
            return 0.0

    def all(self) -> dict[str, str]:
        return dict(self._values)

    def put(self, name: str, value: str) -> None:
        with self.changed:
            self._values = {**self._values, name: value}
            self.changed.notify_all()

    def clear(self, name: str | None = None) -> None:
        """One fault, or all."""
        with self.changed:
            self._values = {} if name is None else {key: value for key, value in self._values.items() if key != name}
            self.changed.notify_all()

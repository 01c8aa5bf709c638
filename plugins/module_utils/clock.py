# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time, so that tests need not sleep: a clock that can be replaced, and the deadline of one operation."""

from __future__ import annotations

import time
from dataclasses import dataclass

from .errors import DeadlineError


class Clock:
    """The real clock. Tests hand in their own object with these three methods."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        return time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


@dataclass
class Deadline:
    """The point in time at which an operation gives up.

    ``seconds`` is the total time it may take from the moment this object is made.
    """

    seconds: float
    clock: Clock

    def __post_init__(self) -> None:
        self._end = self.clock.monotonic() + self.seconds

    def remaining(self) -> float:
        """Seconds left, never below zero."""
        return max(0.0, self._end - self.clock.monotonic())

    @property
    def expired(self) -> bool:
        return self.remaining() <= 0

    def within(self, seconds: float, what: str) -> float:
        """The time a single step may take: ``seconds``, or what is left of the whole.

        Raises DeadlineError naming ``what`` when nothing is left.
        """
        left = self.remaining()
        if left <= 0:
            raise DeadlineError(f"the total time of {self.seconds:g} s was used up before: {what}. Raise 'timeout'.")
        return min(seconds, left)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counters, ratios and quantiles with Prometheus' meaning, where what cannot be known stays unknown. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Buckets = Mapping[float, float]


@dataclass(frozen=True)
class Value:
    """A number, or why there is none. With ``lower_bound`` the truth is this number or more; ``reason`` says why.

    ``idle``: there is none because nothing was counted.
    """

    number: float | None
    lower_bound: bool = False
    reason: str = ""
    idle: bool = False


@dataclass(frozen=True)
class Bounds:
    """What a value must keep to; None where nothing is asked."""

    at_least: float | None = None
    at_most: float | None = None
    above: float | None = None
    below: float | None = None

    def holds(self, value: Value) -> bool | None:
        """Whether it does; None when that cannot be known from ``value``."""
        number = value.number
        if number is None or math.isnan(number):
            return None
        low = (self.at_least is None or number >= self.at_least) and (self.above is None or number > self.above)
        high = (self.at_most is None or number <= self.at_most) and (self.below is None or number < self.below)
        if not value.lower_bound:
            return low and high
        if not high:
            return False
        has_high = self.at_most is not None or self.below is not None
        return True if low and not has_high else None

    def __str__(self) -> str:
        words = {"at least": self.at_least, "at most": self.at_most, "above": self.above, "below": self.below}
        asked = [f"{word} {shown(limit)}" for word, limit in words.items() if limit is not None]
        return " and ".join(asked) or "a value"


def shown(number: float) -> str:
    """A number for people: whole ones as they are, others with four significant digits."""
    return f"{number:.0f}" if abs(number) < 1e15 and number == int(number) else f"{number:.4g}"


def increase(before: float | None, after: float) -> tuple[float, bool]:
    """How much a counter rose, and whether it was reset on the way (then what it counted since is all that is known).

    A counter that was not there before began at zero, since it is made with its first event.
    """
    if before is None:
        return after, False
    return (after, True) if after < before else (after - before, False)


def divide(numerator: float, denominator: float, counted: str) -> Value:
    """The ratio; nothing over nothing is no 0 and no 1, but unknown. ``counted`` names what there was none of."""
    if denominator == 0:
        return Value(None, reason=f"{shown(numerator)} / 0: {counted}", idle=numerator == 0)
    return Value(numerator / denominator)


def merged(buckets: Iterable[Buckets]) -> dict[float, float] | None:
    """The sum of histograms; None when their limits differ, since such a sum has no meaning."""
    total: dict[float, float] = {}
    for number, histogram in enumerate(buckets):
        if number and histogram.keys() != total.keys():
            return None
        for limit, count in histogram.items():
            total[limit] = total.get(limit, 0.0) + count
    return total


def quantile(q: float, buckets: Buckets) -> Value:
    """Prometheus' histogram_quantile of cumulative buckets (upper limit to count), linear within a bucket.

    Where Prometheus gives the largest finite limit because the quantile lies beyond it, that is a lower bound here.
    """
    limits = sorted(limit for limit in buckets if math.isfinite(limit))
    if not limits:
        return Value(None, reason="the histogram has no bucket with a finite limit")
    if math.inf not in buckets:
        return Value(None, reason="the histogram has no bucket +Inf")
    if not all(map(math.isfinite, buckets.values())):
        return Value(None, reason="a bucket of the histogram holds no number")
    counts = _rising([buckets[limit] for limit in (*limits, math.inf)])
    total = counts[-1]
    if total <= 0:
        return Value(None, reason="nothing was counted, so there is no quantile", idle=True)
    rank = q * total
    index = next(i for i, count in enumerate(counts) if count >= rank)
    if index == len(limits):
        return Value(limits[-1], lower_bound=True, reason=f"it is above the largest bucket, {limits[-1]:g}")
    if index == 0 and limits[0] <= 0:
        return Value(limits[0])
    low, below = (limits[index - 1], counts[index - 1]) if index else (0.0, 0.0)
    within = counts[index] - below
    return Value(low + (limits[index] - low) * ((rank - below) / within) if within else low)


def _rising(counts: list[float]) -> list[float]:
    """Cumulative counts that never fall: buckets are read one after the other while the server goes on counting."""
    highest = 0.0
    rising = []
    for count in counts:
        highest = max(highest, count)
        rising.append(highest)
    return rising

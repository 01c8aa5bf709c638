# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laws of counters, ratios and quantiles, and of comparing what is only known as a lower bound."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import metrics_math
from ansible_collections.sre.runbooks.plugins.module_utils.metrics_math import Bounds, Value

counts = st.lists(st.integers(0, 1000), min_size=1, max_size=8)
fractions = st.floats(0.001, 0.999)


def histogram(within: list[int], beyond: int = 0) -> dict[float, float]:
    """Cumulative buckets with the limits 1, 2, ... and +Inf."""
    rising = list(accumulate([*within, beyond]))
    limits = [*map(float, range(1, len(within) + 1)), math.inf]
    return dict(zip(limits, map(float, rising), strict=True))


# -- counters


@given(st.lists(st.integers(0, 100), min_size=1), st.sets(st.integers(0, 30)))
def test_what_a_counter_rose_never_exceeds_what_was_counted(steps: list[int], resets: set[int]) -> None:
    """Over any number of samples, with the process restarting in between: never negative, never too much."""
    counter, counted, seen = 0.0, 0, 0.0
    for number, step in enumerate(steps):
        before = counter
        if number in resets:
            counter = 0.0
        counter += step
        counted += step
        rose, reset = metrics_math.increase(before, counter)
        assert rose >= 0
        assert not reset or number in resets
        seen += rose
    assert seen <= counted
    if not resets & set(range(len(steps))):
        assert seen == counted


def test_a_counter_that_was_not_there_began_at_zero() -> None:
    assert metrics_math.increase(None, 3.0) == (3.0, False)


def test_nothing_over_nothing_is_unknown() -> None:
    assert metrics_math.divide(0.0, 0.0, "nothing was counted").number is None
    assert metrics_math.divide(3.0, 0.0, "x").reason == "3 / 0: x"
    assert metrics_math.divide(1.0, 4.0, "x") == Value(0.25)


# -- quantiles


@given(counts, fractions)
def test_a_quantile_lies_in_the_bucket_that_holds_its_rank(within: list[int], q: float) -> None:
    buckets = histogram(within)
    value = metrics_math.quantile(q, buckets)
    total = sum(within)
    if not total:
        assert value.number is None
        return
    assert value.number is not None
    assert not value.lower_bound
    limit = math.ceil(value.number) or 1
    rank = q * total
    assert buckets[float(limit)] >= rank * (1 - 1e-9)
    assert (buckets[float(limit - 1)] if limit > 1 else 0) <= rank * (1 + 1e-9)


@given(counts, fractions, fractions)
def test_a_higher_quantile_is_no_smaller(within: list[int], left: float, right: float) -> None:
    low, high = (metrics_math.quantile(q, histogram(within)).number for q in sorted((left, right)))
    assert (low is None) == (high is None)
    assert low is None or high is None or low <= high + 1e-9


@given(counts, fractions, st.integers(1, 50))
def test_a_quantile_does_not_depend_on_how_often_it_was_counted(within: list[int], q: float, times: int) -> None:
    buckets = histogram(within)
    many = {limit: count * times for limit, count in buckets.items()}
    one, other = (metrics_math.quantile(q, which).number for which in (buckets, many))
    assert one == pytest.approx(other)


@given(counts, counts, fractions)
def test_the_sum_of_histograms_lies_between_them(left: list[int], right: list[int], q: float) -> None:
    size = min(len(left), len(right))
    both = [histogram(left[:size]), histogram(right[:size])]
    merged = metrics_math.merged(both)
    assert merged is not None
    values = [metrics_math.quantile(q, buckets).number for buckets in both]
    known = [value for value in values if value is not None]
    total = metrics_math.quantile(q, merged).number
    assert (total is None) == (not known)
    if total is not None:
        assert min(known) - 1 <= total <= max(known) + 1


def test_histograms_with_other_limits_are_not_added_up() -> None:
    assert metrics_math.merged([{1.0: 1, math.inf: 2}, {2.0: 1, math.inf: 2}]) is None
    assert metrics_math.merged([]) == {}


@given(counts, st.integers(1, 1000), fractions)
def test_beyond_the_largest_bucket_only_a_lower_bound_is_known(within: list[int], beyond: int, q: float) -> None:
    value = metrics_math.quantile(q, histogram(within, beyond))
    assert value.lower_bound == (q * (sum(within) + beyond) > sum(within))
    if value.lower_bound:
        assert value.number == len(within)


@pytest.mark.parametrize(
    ("q", "buckets", "number"),
    [  # as histogram_quantile computes them
        (0.5, {1.0: 0, 2.0: 10, math.inf: 10}, 1.5),
        (0.9, {0.1: 50, 0.5: 100, math.inf: 100}, 0.42),
        (0.99, {0.1: 100, 0.5: 100, math.inf: 100}, 0.099),
        (0.5, {0.0: 4, 1.0: 4, math.inf: 4}, 0.0),
        (0.5, {-1.0: 0, 1.0: 4, math.inf: 4}, 0.0),
    ],
)
def test_known_quantiles(q: float, buckets: dict[float, float], number: float) -> None:
    assert metrics_math.quantile(q, buckets).number == pytest.approx(number)


def test_buckets_that_were_read_while_counting_went_on() -> None:
    """A lower bucket that was read later can hold more than a higher one."""
    value = metrics_math.quantile(0.99, {1.0: 101, 2.0: 100, math.inf: 100})
    assert value.number is not None
    assert 0.9 < value.number <= 1


@pytest.mark.parametrize("buckets", [{math.inf: 5}, {1.0: 5}, {}, {1.0: 0, math.inf: 0}, {1.0: 1, math.inf: math.nan}])
def test_no_quantile(buckets: dict[float, float]) -> None:
    value = metrics_math.quantile(0.5, buckets)
    assert value.number is None
    assert value.reason


# -- bounds

numbers = st.floats(-100, 100)
bounds = st.builds(Bounds, *[st.none() | numbers] * 4)


@given(bounds, numbers, st.floats(0, 100))
def test_a_lower_bound_is_judged_only_where_every_truth_agrees(asked: Bounds, least: float, more: float) -> None:
    judged = asked.holds(Value(least, lower_bound=True))
    if judged is not None:
        assert asked.holds(Value(least + more)) is judged


@given(bounds)
def test_the_unknown_is_never_right(asked: Bounds) -> None:
    assert asked.holds(Value(None)) is None
    assert asked.holds(Value(math.nan)) is None


@pytest.mark.parametrize(
    ("asked", "number", "right"),
    [
        (Bounds(at_most=1), 1, True),
        (Bounds(below=1), 1, False),
        (Bounds(at_least=1), 1, True),
        (Bounds(above=1), 1, False),
        (Bounds(at_least=1, at_most=3), 4, False),
        (Bounds(), -7, True),
    ],
)
def test_bounds(asked: Bounds, number: float, right: bool) -> None:
    assert asked.holds(Value(number)) is right


def test_words() -> None:
    assert str(Bounds(at_least=0.95)) == "at least 0.95"
    assert str(Bounds(above=1, at_most=1e6)) == "at most 1000000 and above 1"
    assert str(Bounds()) == "a value"
    assert metrics_math.shown(0.123456) == "0.1235"

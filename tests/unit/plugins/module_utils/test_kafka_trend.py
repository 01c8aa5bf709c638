# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two samples: the status of a partition and of a group, rates, time to catch up, hanging transactions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_trend
from ansible_collections.sre.runbooks.plugins.module_utils.kafka_offsets import Ends, Row, row_of


def row(committed: int | None, end: int | None, member: str | None = "m", lso: int | None = None) -> Row:
    commit = {"topic": "t", "partition": 0, "offset": committed, "leader_epoch": 0, "metadata": "", "error": None}
    named: dict[str, Any] = {"member_id": member} if member else {}
    ends = Ends(0, end if lso is None else lso, end)
    return row_of(commit, ends, named, None, "read_uncommitted", "unknown")


@pytest.mark.parametrize(
    ("before", "after", "allowed", "status"),
    [
        (row(10, 10), row(20, 20), 0, "ok"),
        (row(5, 10), row(20, 20), 0, "ok"),  # caught up
        (row(10, 10), row(10, 14), 0, "ok"),  # the lag has only just begun
        (row(5, 10), row(5, 10), 0, "stalled"),
        (row(5, 10), row(5, 30), 0, "stalled"),
        (row(5, 10, None), row(5, 10, None), 0, "stopped"),
        (row(5, 10), row(3, 10), 0, "rewind"),
        (row(10, 10), row(3, 12), 0, "rewind"),
        (row(5, 10), row(8, 20), 0, "growing"),
        (row(5, 20), row(15, 25), 0, "draining"),
        (row(5, 10), row(9, 14), 0, "ok"),  # steady
        (row(9, 10), row(9, 10), 0, "unknown"),  # one record, or the marker of a transaction
        (row(9, 10), row(9, 10), 1, "ok"),
        (row(9, 10, None), row(9, 10, None), 0, "stopped"),
        (row(9, 10), row(9, 11), 0, "stalled"),
        (row(None, 10), row(None, 10), 0, "unknown"),
        (row(5, None), row(5, 10), 0, "unknown"),
        (row(5, 10), row(5, 15), 10, "ok"),
        (row(100, 5), row(100, 6), 0, "ok"),  # recreated topic: that is for the lag check
    ],
)
def test_status(before: Row, after: Row, allowed: int, status: str) -> None:
    assert kafka_trend.status_of(before, after, allowed) == status


@given(*[st.integers(0, 50)] * 4, st.integers(0, 5))
def test_a_small_lag_is_always_ok(c1: int, e1: int, c2: int, e2: int, allowed: int) -> None:
    before, after = row(c1, e1), row(c2, e2)
    if after["lag_offsets"] <= allowed:
        assert kafka_trend.status_of(before, after, allowed) == "ok"


def trend(*pairs: tuple[Row, Row], seconds: float = 10.0, allowed: int = 0) -> dict[str, Any]:
    before = {("t", number): pair[0] for number, pair in enumerate(pairs)}
    after = {("t", number): pair[1] for number, pair in enumerate(pairs)}
    return kafka_trend.group_trend(before, after, seconds, allowed)


def test_rates_and_time_to_catch_up() -> None:
    result = trend((row(0, 1000), row(300, 1100)), (row(50, 50), row(60, 60)))
    assert result["status"] == "draining"
    assert (result["consume_rate"], result["produce_rate"]) == (31.0, 11.0)
    assert result["eta_seconds"] == 40.0


@pytest.mark.parametrize(
    ("pair", "eta"),
    [
        ((row(0, 10), row(10, 30)), None),
        ((row(5, 10), row(5, 10)), None),
        ((row(5, 10), row(12, 12)), 0.0),
        ((row(None, 10), row(None, 12)), None),
    ],
)
def test_time_to_catch_up_is_known_only_when_the_lag_shrinks(pair: tuple[Row, Row], eta: float | None) -> None:
    assert trend(pair)["eta_seconds"] == eta


def test_a_group_is_as_bad_as_its_worst_partition() -> None:
    good, drains = (row(5, 5), row(6, 6)), (row(0, 100), row(90, 101))
    assert trend(good, drains)["status"] == "draining"
    assert trend(good, drains, (row(None, 5), row(None, 5)))["status"] == "unknown"
    assert trend(good, (row(None, 5), row(None, 5)), (row(1, 9), row(1, 9)))["status"] == "stalled"
    assert trend()["status"] == "unknown"
    assert trend(good, drains)["partitions"] == {("t", 0): "ok", ("t", 1): "draining"}


def test_hanging_transaction_needs_a_stable_offset_that_does_not_move() -> None:
    assert trend((row(4, 9, lso=4), row(4, 12, lso=4)))["hanging_transactions"] == [("t", 0)]
    assert trend((row(4, 9, lso=4), row(4, 12, lso=6)))["hanging_transactions"] == []
    assert trend((row(4, 9, lso=4), row(4, 9)))["hanging_transactions"] == []

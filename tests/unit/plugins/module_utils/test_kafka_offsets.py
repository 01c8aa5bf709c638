# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lag formula: examples, and its laws over any offsets."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_errors, kafka_offsets
from ansible_collections.sre.runbooks.plugins.module_utils.kafka_offsets import Ends, flags_of, lag_of, row_of

MEMBER = {"member_id": "m", "group_instance_id": None, "client_id": "c", "host": "/h"}
OFFSET = st.integers(0, 2**62)
MAYBE = st.none() | OFFSET
ISOLATIONS: list[kafka_offsets.Isolation] = ["read_uncommitted", "read_committed"]
POLICIES: list[kafka_offsets.NoCommitPolicy] = ["unknown", "earliest", "latest"]


def commit(offset: int | None, partition: int = 0, error: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "topic": "t",
        "partition": partition,
        "offset": offset,
        "leader_epoch": 3,
        "metadata": "",
        "error": error,
    }


@pytest.mark.parametrize(
    ("committed", "start", "end", "lag"),
    [
        (7, 0, 10, 3),
        (10, 0, 10, 0),
        (0, 0, 10, 10),
        (2, 8, 10, 2),  # retention took what was not read: not 8
        (2, 10, 10, 0),  # everything expired: no phantom lag
        (15, 0, 10, 0),  # recreated topic: never negative
        (7, None, 10, 3),  # an unknown log start is tolerated
    ],
)
def test_lag(committed: int, start: int | None, end: int, lag: int) -> None:
    assert lag_of(committed, Ends(start, end, end), "read_uncommitted", "unknown") == lag


@pytest.mark.parametrize(
    ("start", "end", "policy", "lag"),
    [
        (0, 0, "unknown", 0),
        (5, 5, "unknown", 0),
        (0, 4, "unknown", None),
        (1, 4, "earliest", 3),
        (0, 4, "latest", 0),
        (None, 4, "earliest", None),
        (None, 4, "latest", None),
    ],
)
def test_no_commit_is_not_zero_unless_it_holds_nothing(
    start: int | None, end: int, policy: kafka_offsets.NoCommitPolicy, lag: int | None
) -> None:
    assert lag_of(None, Ends(start, end, end), "read_uncommitted", policy) == lag


def test_open_transaction_holds_back_readers_of_committed_records_only() -> None:
    ends = Ends(start=0, lso=4, hw=9)
    assert lag_of(4, ends, "read_committed", "unknown") == 0
    assert lag_of(4, ends, "read_uncommitted", "unknown") == 5
    assert flags_of(4, ends, assigned=True) == ["lso_blocked"]


@given(MAYBE, MAYBE, MAYBE, MAYBE, st.sampled_from(ISOLATIONS), st.sampled_from(POLICIES))
def test_lag_is_unknown_or_between_zero_and_what_is_held(
    committed: int | None,
    start: int | None,
    lso: int | None,
    hw: int | None,
    isolation: kafka_offsets.Isolation,
    policy: kafka_offsets.NoCommitPolicy,
) -> None:
    ends = Ends(start, lso, hw)
    lag = lag_of(committed, ends, isolation, policy)
    end = ends.end(isolation)
    if end is None:
        assert lag is None
    elif committed is not None:
        assert lag is not None
    if lag is not None and end is not None:
        assert 0 <= lag <= max(0, end - (start or 0))


@given(OFFSET, OFFSET, OFFSET, OFFSET)
def test_reading_more_never_raises_the_lag_and_writing_more_never_lowers_it(
    committed: int, start: int, end: int, step: int
) -> None:
    def lag(position: int, last: int) -> int:
        known = lag_of(position, Ends(start, last, last), "read_uncommitted", "unknown")
        assert known is not None
        return known

    assert lag(committed + step, end) <= lag(committed, end)
    assert lag(committed, end + step) >= lag(committed, end)


@given(st.lists(st.tuples(MAYBE, OFFSET), max_size=20))
def test_totals_are_the_same_by_group_and_by_topic(partitions: list[tuple[int | None, int]]) -> None:
    rows = [
        row_of(commit(committed, number), Ends(0, end, end), MEMBER, None, "read_uncommitted", "unknown")
        for number, (committed, end) in enumerate(partitions)
    ]
    topics = kafka_offsets.by_topic(rows)
    assert kafka_offsets.total(rows) == sum(topic["total_lag"] for topic in topics.values())
    assert sum(topic["unknown_partitions"] for topic in topics.values()) == sum(
        row["lag_offsets"] is None for row in rows
    )
    for topic in topics.values():
        assert topic["log_end_sum"] == sum(end for _committed, end in partitions)


@pytest.mark.parametrize(
    ("committed", "ends", "assigned", "flags"),
    [
        (5, Ends(0, 9, 9), True, []),
        (None, Ends(0, 9, 9), True, ["no_commit"]),
        (1, Ends(4, 9, 9), True, ["below_log_start"]),
        (10, Ends(0, 9, 9), True, ["beyond_end"]),
        (9, Ends(0, 9, 9), False, ["unassigned"]),
        (9, Ends(0, 7, 9), True, ["lso_blocked"]),
        (
            5,
            Ends(error=kafka_errors.error("UNKNOWN_TOPIC_OR_PART", "gone")),
            False,
            ["unassigned", "unknown_topic"],
        ),
        (5, Ends(error=kafka_errors.error("LEADER_NOT_AVAILABLE", "no leader")), True, []),
    ],
)
def test_flags(committed: int | None, ends: Ends, assigned: bool, flags: list[str]) -> None:
    assert flags_of(committed, ends, assigned) == flags


def test_an_offset_that_could_not_be_fetched_is_not_a_missing_commit() -> None:
    failed = kafka_errors.error("UNSTABLE_OFFSET_COMMIT", "pending")
    row = row_of(commit(None, error=failed), Ends(0, 9, 9), MEMBER, None, "read_uncommitted", "earliest")
    assert row["lag_offsets"] is None
    assert row["flags"] == []
    assert row["error"] == failed


def test_row_names_both_ends_and_the_member() -> None:
    row = row_of(commit(4), Ends(1, 6, 9), MEMBER, "target", "read_committed", "unknown")
    assert {key: row[key] for key in ("log_start", "log_end", "hw", "lso", "committed", "lag_offsets")} == {
        "log_start": 1,
        "log_end": 6,
        "hw": 9,
        "lso": 6,
        "committed": 4,
        "lag_offsets": 2,
    }
    assert (row["member_id"], row["target_member"], row["commit_metadata"]) == ("m", "target", None)


def test_text_that_a_consumer_stored_with_its_commit_is_redacted() -> None:
    stored = {**commit(4), "metadata": "host=a password=hunter2hunter2"}
    row = row_of(stored, Ends(0, 9, 9), {}, None, "read_uncommitted", "unknown")
    assert row["commit_metadata"] == "host=a password=[redacted]"


def test_what_is_worth_showing() -> None:
    def row(offset: int | None, ends: Ends, member: dict[str, Any]) -> kafka_offsets.Row:
        return row_of(commit(offset), ends, member, None, "read_uncommitted", "unknown")

    assert not kafka_offsets.is_lagging(row(9, Ends(0, 9, 9), MEMBER))
    assert not kafka_offsets.is_lagging(row(None, Ends(0, 0, 0), {}))
    assert kafka_offsets.is_lagging(row(8, Ends(0, 9, 9), MEMBER))
    assert kafka_offsets.is_lagging(row(None, Ends(0, 9, 9), MEMBER))
    assert kafka_offsets.is_lagging(row(9, Ends(0, 7, 9), MEMBER))
    assert kafka_offsets.is_lagging(row(12, Ends(0, 9, 9), MEMBER))


def test_worst_first() -> None:
    rows = [
        row_of(commit(offset, number), Ends(0, 9, 9), MEMBER, None, "read_uncommitted", "unknown")
        for number, offset in enumerate([9, 3, None, 0])
    ]
    assert [row["lag_offsets"] for row in kafka_offsets.worst_first(rows)] == [None, 9, 6, 0]

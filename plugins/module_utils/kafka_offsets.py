# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lag of a consumer group, as pure arithmetic.

``lag = max(0, end - max(committed, log_start))`` per partition. ``end`` is the high watermark, or the last stable
offset for a group that reads committed records only. It counts offsets: in a compacted or transactional topic that is
more than the number of records. A lag that is not known is None, never 0; sums of known lags go with ``complete``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from . import redact
from .kafka_errors import Error

Isolation = Literal["read_uncommitted", "read_committed"]
NoCommitPolicy = Literal["unknown", "earliest", "latest"]
Row = dict[str, Any]

NO_COMMIT = "no_commit"  # the group never committed an offset here
BELOW_LOG_START = "below_log_start"  # records were deleted before the group read them
BEYOND_END = "beyond_end"  # committed after the end: the topic was recreated or truncated
UNASSIGNED = "unassigned"  # no member of the group reads the partition
UNKNOWN_TOPIC = "unknown_topic"  # the broker does not know the topic or the partition
LSO_BLOCKED = "lso_blocked"  # an open transaction holds back readers of committed records
NOTABLE = frozenset({BELOW_LOG_START, BEYOND_END, UNKNOWN_TOPIC, LSO_BLOCKED})
_UNKNOWN = ("UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC")


@dataclass(frozen=True)
class Ends:
    """Offsets of one partition on the broker; None is not known, with ``error`` saying why."""

    start: int | None = None
    lso: int | None = None
    hw: int | None = None
    error: Error | None = None

    def end(self, isolation: Isolation) -> int | None:
        return self.lso if isolation == "read_committed" else self.hw


def lag_of(committed: int | None, ends: Ends, isolation: Isolation, policy: NoCommitPolicy) -> int | None:
    """Offsets that the group still has to read, or None when that is not known.

    Without a commit ``policy`` says where the group would begin (its auto.offset.reset); a partition that holds nothing
    has lag 0 whatever the policy. An unknown log start is tolerated where a commit is known.
    """
    end = ends.end(isolation)
    if end is None:
        return None
    if committed is not None:
        return max(0, end - max(committed, ends.start or 0))
    if ends.start is None:
        return None
    held = max(0, end - ends.start)
    if held == 0 or policy == "latest":
        return 0
    return held if policy == "earliest" else None


def flags_of(committed: int | None, ends: Ends, assigned: bool) -> list[str]:
    """What is remarkable about the partition, in a fixed order."""
    facts = {
        NO_COMMIT: committed is None,
        BELOW_LOG_START: committed is not None and ends.start is not None and committed < ends.start,
        BEYOND_END: committed is not None and ends.hw is not None and committed > ends.hw,
        UNASSIGNED: not assigned,
        UNKNOWN_TOPIC: ends.error is not None and ends.error["name"] in _UNKNOWN,
        LSO_BLOCKED: ends.lso is not None and ends.hw is not None and ends.lso < ends.hw,
    }
    return [flag for flag, is_so in facts.items() if is_so]


def row_of(
    commit: dict[str, Any],
    ends: Ends,
    member: dict[str, Any],
    target: str | None,
    isolation: Isolation,
    policy: NoCommitPolicy,
) -> Row:
    """One partition of one group. ``commit`` is as Client.commits gives it; ``member`` is {} when none reads it."""
    error = commit["error"] or ends.error
    committed = commit["offset"]
    # An offset that could not be fetched is not "no commit".
    lag = None if commit["error"] else lag_of(committed, ends, isolation, policy)
    flags = flags_of(committed, ends, bool(member))
    if commit["error"]:
        flags.remove(NO_COMMIT)
    return {
        "topic": commit["topic"],
        "partition": commit["partition"],
        "log_start": ends.start,
        "log_end": ends.end(isolation),
        "hw": ends.hw,
        "lso": ends.lso,
        "committed": committed,
        "commit_metadata": redact.observed(commit["metadata"], limit=200) if commit["metadata"] else None,
        "leader_epoch": commit["leader_epoch"],
        "lag_offsets": lag,
        "flags": flags,
        "status": None,
        "error": error,
        "member_id": member.get("member_id"),
        "group_instance_id": member.get("group_instance_id"),
        "client_id": member.get("client_id"),
        "host": member.get("host"),
        "target_member": target,
    }


def is_lagging(row: Row) -> bool:
    """Whether a row is worth showing: behind, not known, or remarkable."""
    return row["lag_offsets"] != 0 or row["error"] is not None or not NOTABLE.isdisjoint(row["flags"])


def total(rows: Iterable[Row]) -> int:
    """The sum of the lags that are known."""
    return sum(row["lag_offsets"] or 0 for row in rows)


def by_topic(rows: Iterable[Row]) -> dict[str, Row]:
    """{topic: {total_lag, partitions, unknown_partitions, log_end_sum}}; the last is None when an end is not known."""
    topics: dict[str, list[Row]] = {}
    for row in rows:
        topics.setdefault(row["topic"], []).append(row)
    return {
        topic: {
            "total_lag": total(own),
            "partitions": len(own),
            "unknown_partitions": sum(row["lag_offsets"] is None for row in own),
            "log_end_sum": None if any(row["log_end"] is None for row in own) else sum(row["log_end"] for row in own),
        }
        for topic, own in sorted(topics.items())
    }


def worst_first(rows: Iterable[Row]) -> list[Row]:
    """Unknown lags first, then the largest."""
    return sorted(
        rows,
        key=lambda row: (row["lag_offsets"] is not None, -(row["lag_offsets"] or 0), row["topic"], row["partition"]),
    )

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is a lag being worked off? Burrow's rules, adapted to two samples taken a known time apart.

Per partition, only where the lag is above ``allowed_lag`` now: a commit that went back is *rewind*. And where it was
above it before as well: commits that stand still are *stopped* (the partition has no member) or *stalled* (it has one);
otherwise the lag decides between *growing* and *draining*, and an equal lag with moving commits is *ok*. A group is as
bad as its worst partition.

One offset that stands still in a partition without new records may be a record that nobody reads, or the marker of a
transaction, which no consumer ever commits: that is *unknown* unless the partition has no member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from .kafka_offsets import Row

Status = Literal["stopped", "stalled", "rewind", "growing", "unknown", "draining", "ok"]
WORST_FIRST: tuple[Status, ...] = ("stopped", "stalled", "rewind", "growing", "unknown", "draining", "ok")
BAD: frozenset[Status] = frozenset({"stopped", "stalled", "rewind"})
Key = tuple[str, int]


def status_of(before: Row, after: Row, allowed_lag: int) -> Status:
    """The status of one partition from its rows in two samples (see kafka_offsets.row_of)."""
    lags = before["lag_offsets"], after["lag_offsets"]
    commits = before["committed"], after["committed"]
    if None in lags:
        return "unknown"
    if lags[1] <= allowed_lag:
        return "ok"
    if None not in commits and commits[1] < commits[0]:
        return "rewind"
    if lags[0] <= allowed_lag:
        return "ok"
    if commits[0] == commits[1]:
        if after["member_id"] is None:
            return "stopped"
        may_be_marker = lags[1] == 1 and before["log_end"] == after["log_end"]
        return "unknown" if may_be_marker else "stalled"
    if lags[1] == lags[0]:
        return "ok"
    return "growing" if lags[1] > lags[0] else "draining"


def group_trend(
    before: Mapping[Key, Row], after: Mapping[Key, Row], seconds: float, allowed_lag: int
) -> dict[str, Any]:
    """Status, rates and time to catch up of a group; ``partitions`` holds the status of each partition in both samples.

    Rates are offsets per second over the partitions whose commits and ends are known in both samples; ``eta_seconds``
    is None when the lag is not shrinking, and 0 when there is none. ``hanging_transactions`` lists the partitions whose
    last stable offset is below the high watermark and did not move.
    """
    keys = [key for key in after if key in before]
    statuses = {key: status_of(before[key], after[key], allowed_lag) for key in keys}
    worst = min(statuses.values(), key=WORST_FIRST.index, default="unknown")
    consumed = _rate(before, after, keys, "committed", seconds)
    produced = _rate(before, after, keys, "log_end", seconds)
    lag = sum(after[key]["lag_offsets"] or 0 for key in keys)
    return {
        "status": worst,
        "seconds": round(seconds, 3),
        "consume_rate": consumed,
        "produce_rate": produced,
        "eta_seconds": _eta(lag, consumed, produced),
        "hanging_transactions": [key for key in keys if _hangs(before[key], after[key])],
        "partitions": statuses,
    }


def _rate(
    before: Mapping[Key, Row], after: Mapping[Key, Row], keys: list[Key], name: str, seconds: float
) -> float | None:
    known = [
        key
        for key in keys
        if before[key]["committed"] is not None and None not in (before[key][name], after[key][name])
    ]
    if not known or seconds <= 0:
        return None
    return round(sum(after[key][name] - before[key][name] for key in known) / seconds, 3)


def _eta(lag: int, consumed: float | None, produced: float | None) -> float | None:
    if consumed is None or produced is None:
        return None
    if lag == 0:
        return 0.0
    return round(lag / (consumed - produced), 1) if consumed > produced else None


def _hangs(before: Row, after: Row) -> bool:
    blocked = [None not in (row["lso"], row["hw"]) and row["lso"] < row["hw"] for row in (before, after)]
    return all(blocked) and before["lso"] == after["lso"]

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who waits for whose locks: a tree below each session that blocks others and waits for nobody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .postgres import Session

PREPARED = 0  # what pg_blocking_pids gives for a prepared transaction, which has no process

# Locks are visible to everybody; when the wait began is told from 14 on, before that the statement's begin is the bound.
_WAITS = """
SELECT l.pid, pg_blocking_pids(l.pid), extract(epoch FROM clock_timestamp() - coalesce(l.since, a.query_start))::float8
  FROM (SELECT pid, min((to_jsonb(k) ->> 'waitstart')::timestamptz) AS since
          FROM pg_catalog.pg_locks k WHERE NOT granted AND pid IS NOT NULL GROUP BY pid) l
  JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE a.datname = current_database()
"""


@dataclass(frozen=True)
class Wait:
    """One that waits, for whom (pids), and for how many seconds; None where that is not shown."""

    pid: int
    blocked_by: tuple[int, ...]
    seconds: float | None


@dataclass
class Root:
    """One that blocks others: all that wait for it, with their distance; nearest first, then those that wait longest."""

    pid: int
    waiters: list[tuple[int, Wait]] = field(default_factory=list)

    @property
    def longest_seconds(self) -> float | None:
        known = [wait.seconds for _depth, wait in self.waiters if wait.seconds is not None]
        return max(known, default=None)


def read(session: Session) -> list[Wait]:
    """Those of the session's database that wait for a lock. One whose wait ended meanwhile has no blocker: left out."""
    rows = session.rows(_WAITS)
    return [Wait(pid, tuple(sorted(set(blockers))), seconds) for pid, blockers, seconds in rows if blockers]


def roots(waits: Sequence[Wait]) -> list[Root]:
    """The trees, those with most waiters first. In a circle (a deadlock that the server has yet to see) the lowest pid
    of it is the root."""
    by_pid = {wait.pid: wait for wait in waits}
    followers: dict[int, list[Wait]] = {}
    for wait in waits:
        for blocker in wait.blocked_by:
            followers.setdefault(blocker, []).append(wait)
    free = sorted(blocker for blocker in followers if blocker not in by_pid)
    found = [_tree(pid, followers) for pid in free]
    reached = {wait.pid for root in found for _depth, wait in root.waiters}
    for pid in sorted(by_pid):
        if pid not in reached and pid in followers:
            found.append(_tree(pid, followers))
            reached |= {wait.pid for _depth, wait in found[-1].waiters} | {pid}
    return sorted(found, key=lambda root: (-len(root.waiters), root.pid))


def _tree(pid: int, followers: Mapping[int, Sequence[Wait]]) -> Root:
    root, depth, level, seen = Root(pid), 0, [pid], {pid}
    while level:
        depth += 1
        following = [wait for blocker in level for wait in followers.get(blocker, ())]
        fresh = {wait.pid: wait for wait in following if wait.pid not in seen}
        ordered = sorted(fresh.values(), key=lambda wait: (-(wait.seconds or 0.0), wait.pid))
        root.waiters += [(depth, wait) for wait in ordered]
        seen |= fresh.keys()
        level = [wait.pid for wait in ordered]
    return root

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a running BackOffice leaves behind that tells its store: its log and its snapshot.

Snapshots are written by the in-memory store only. When the newest boot printed ``BackOfficeSnapshotter enabled`` it is
in memory; when it printed that it listens, and not that line, it is not.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from . import log_search_file
from .clock import Deadline
from .log_search import Match, Pattern, Search

Store = Literal["memory", "postgresql", "unknown"]

LONGEST_WRITE_SECONDS = 10
SHORTEST_INTERVAL_SECONDS = 5
LOG_TAIL_BYTES = 64 << 20
MOST_LOG_FILES = 20
_LINES = {
    "replay": "Ledger replay: ReplayStats(",
    "snapshotter": "BackOfficeSnapshotter enabled",
    "listening": "BackOffice listening on :",
    "switched_off": "BackOfficeSnapshotter disabled",
}


@dataclass(frozen=True)
class LogTrace:
    """The store that the log tells, in one line why, and whether the files could be read."""

    store: Store
    reason: str


@dataclass(frozen=True)
class SnapshotTrace:
    """``written_at`` of the snapshot file, None when there is none; ``problem`` when that cannot be seen."""

    path: str
    written_at: float | None = None
    problem: str = ""


def read_log(paths: list[str], deadline: Deadline) -> LogTrace:
    """Search the logs for the lines of the newest boot."""
    patterns = [
        Pattern(name, None, text, name, "any", "", "", deque[Match](maxlen=200)) for name, text in _LINES.items()
    ]
    files, missing = log_search_file.resolve(paths, MOST_LOG_FILES)
    search = Search(patterns)
    for path in files:
        search.windows += log_search_file.windows(path, LOG_TAIL_BYTES, None)
    search.run(deadline)
    if search.stopped:
        return LogTrace("unknown", search.stopped)
    found = [(match.window.path, match.offset, pattern.id) for pattern in patterns for match in pattern.newest]
    listening = [path for path, _offset, name in found if name == "listening"]
    if not listening:
        problems = [f"{window.path}: {window.problem}" for window in (*search.windows, *missing) if window.problem]
        return LogTrace("unknown", "; ".join(["no line of a boot is in the logs", *problems]))
    whole = all(window.complete for window in search.windows if window.path == listening[-1])
    return store_of_newest_boot([name for path, _offset, name in sorted(found) if path == listening[-1]], whole)


def store_of_newest_boot(events: list[str], whole: bool = True) -> LogTrace:
    """The store that the newest boot uses, from the names of its lines in their order.

    The replay line comes first and is not printed for an empty ledger; the order of the others is not relied on.
    ``whole``: the log was read from its beginning.
    """
    if "replay" in events:
        events = events[len(events) - events[::-1].index("replay") :]
    elif not whole:
        return LogTrace("unknown", "the searched part of the log does not hold a boot from its beginning")
    if "switched_off" in events:
        return LogTrace("unknown", "snapshots are switched off, so that the log does not tell the store")
    boots, snapshotters = events.count("listening"), events.count("snapshotter")
    if boots and not snapshotters:
        return LogTrace("postgresql", "the newest boot printed no line of the snapshotter")
    if snapshotters and (boots <= 1 or snapshotters >= boots or events[-1] == "snapshotter"):
        return LogTrace("memory", "the newest boot printed: BackOfficeSnapshotter enabled")
    return LogTrace("unknown", "the log does not tell which of its boots printed the line of the snapshotter")


def read_snapshot(path: str) -> SnapshotTrace:
    """When the snapshot was written last."""
    try:
        return SnapshotTrace(path, Path(path).stat().st_mtime)
    except FileNotFoundError:
        return SnapshotTrace(path)
    except OSError as error:
        return SnapshotTrace(path, problem=f"it cannot be seen: {error.strerror}")


def snapshot_interval(setting: str | None) -> float:
    """Seconds between two snapshots, as the service reads its variable."""
    seconds = int(setting) if setting and re.fullmatch(r"[+-]?[0-9]{1,9}", setting) else 30
    return float(max(SHORTEST_INTERVAL_SECONDS, seconds))


def is_being_written(snapshot: SnapshotTrace, now: float, interval: float, started: float | None) -> bool:
    """Whether the running process writes this snapshot: it did since it was started, or else did so lately."""
    if snapshot.written_at is None:
        return False
    if started is not None:
        return snapshot.written_at > started
    return now - snapshot.written_at <= 2 * interval + LONGEST_WRITE_SECONDS

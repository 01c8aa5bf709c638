# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The snapshot of the in-memory store: how many ledger lines it covers, and whether a boot would believe it.

A boot that believes it reads no line it covers: a bad line below is neither seen nor healed by a repair.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from typing import Any

DEFAULT_NAME = "snapshot.json"
PARSED_BYTES = 16 * 1024 * 1024  # a larger one is only looked at at both ends
_HEAD_BYTES = 64 * 1024
_COVERED = re.compile(rb'"ledgerLines"\s*:\s*(\d{1,18})\b')


@dataclass(frozen=True)
class Snapshot:
    """``ledger_lines`` is None when there is no snapshot or it cannot be read; ``problem`` then says why."""

    path: str
    exists: bool = False
    ledger_lines: int | None = None
    problem: str = ""

    def covers(self, line: int, total_lines: int) -> bool:
        """Whether a boot would take the state of this line from the snapshot instead of reading it."""
        return self.used(total_lines) and line <= (self.ledger_lines or 0)

    def used(self, total_lines: int) -> bool:
        """Whether a boot would start from it: it is readable and covers no more lines than there are."""
        return self.ledger_lines is not None and self.ledger_lines <= total_lines

    def as_dict(self, total_lines: int) -> dict[str, Any]:
        return {
            "path": self.path,
            "exists": self.exists,
            "ledger_lines": self.ledger_lines,
            "used_at_boot": self.used(total_lines),
            "problem": self.problem or None,
        }


def read(path: str | None, ledger_path: str) -> Snapshot:
    """The snapshot at ``path``; when none is named, that beside the ledger under its usual name."""
    place = os.path.realpath(path or os.path.join(os.path.dirname(ledger_path), DEFAULT_NAME))
    try:
        with open(place, "rb") as stream:
            size = os.fstat(stream.fileno()).st_size
            small = size <= PARSED_BYTES
            lines = _parse(stream.read()) if small else _peek(stream.read(_HEAD_BYTES), _tail(stream, size))
    except FileNotFoundError:
        return Snapshot(place)
    except OSError as error:
        return Snapshot(place, exists=True, problem=f"cannot be read: {error.strerror}")
    if lines is None:
        return Snapshot(place, exists=True, problem="is no whole snapshot: a boot ignores it without a word")
    return Snapshot(place, exists=True, ledger_lines=lines)


def _parse(content: bytes) -> int | None:
    try:
        document = json.loads(content)
        lines = document["ledgerLines"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = isinstance(document.get("state"), dict) and isinstance(lines, int) and not isinstance(lines, bool)
    return lines if whole else None


def _tail(stream: Any, size: int) -> bytes:
    return os.pread(stream.fileno(), 16, max(0, size - 16))


def _peek(head: bytes, tail: bytes) -> int | None:
    match = _COVERED.search(head)
    return int(match[1]) if match and tail.rstrip().endswith(b"}") else None

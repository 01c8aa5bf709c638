# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Records of drills as JSON lines, and the trend that they show. Pure."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOST_RECORDS = 1_000
NUMBERS = ("rto_seconds", "rpo_seconds")


@dataclass(frozen=True)
class Records:
    """The lines as they stand, oldest first; those that are no JSON object are kept and counted as ``unreadable``."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Records:
        return cls(tuple(line for line in text.split("\n") if line.strip()))

    @property
    def parsed(self) -> list[dict[str, Any]]:
        return [found for found in map(_parsed, self.lines) if found is not None]

    @property
    def unreadable(self) -> int:
        return len(self.lines) - len(self.parsed)

    def has(self, record_id: str) -> bool:
        return any(str(found.get("id")) == record_id for found in self.parsed)

    def plus(self, record: Mapping[str, Any]) -> tuple[Records, str]:
        """With one record more, and its line; the oldest are dropped beyond MOST_RECORDS."""
        line = json.dumps(record, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
        return Records((*self.lines, line)[-MOST_RECORDS:]), line

    def text(self) -> str:
        return "".join(f"{line}\n" for line in self.lines)


def trend(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How many drills there were and passed, when one last passed, and how each number developed (None without one).

    A drill of a part of the system is counted, and its numbers are left out: they are of something else.
    """
    passed = [record for record in records if record.get("verdict") == "pass"]
    failures = 0
    for record in reversed(records):
        if record.get("verdict") == "pass":
            break
        failures += 1
    return {
        "runs": len(records),
        "passed": len(passed),
        "last_passed_at": passed[-1].get("verified_at") if passed else None,
        "not_passed_in_a_row": failures,
        **{
            name: _development([record.get(name) for record in records if not record.get("left_out")])
            for name in NUMBERS
        },
    }


def _development(values: Sequence[Any]) -> dict[str, float | None] | None:
    numbers = [float(value) for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if not numbers:
        return None
    previous = numbers[-2] if len(numbers) > 1 else None
    return {
        "last": numbers[-1],
        "previous": previous,
        "change": round(numbers[-1] - previous, 3) if previous is not None else None,
        "median": round(statistics.median(numbers), 3),
        "worst": max(numbers),
    }


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None

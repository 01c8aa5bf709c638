# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The statistics of a BackOffice, in the two shapes that are known; told apart by their keys."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Shape = Literal["kotlin", "java", "unknown"]

HEALTHY_STATES = frozenset({"RUNNING", "IDLE"})
YEAR_3000_MS = 32_503_680_000_000
_ISO = re.compile(
    r"([+-]?\d{4,9})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{0,9}))?)?(?:[Zz]|([+-])(\d\d):?(\d\d))",
    re.ASCII,
)
_CYCLE_YEARS, _CYCLE_DAYS = 400, 146_097  # the Gregorian calendar repeats
_EPOCH_DAY = datetime.date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Replay:
    """What the boot read of the ledger. ``duration_ms`` is None where the server does not measure it."""

    lines: int
    applied: int
    skipped: int
    duration_ms: int | None

    @property
    def measured(self) -> int:
        """Lines that were really replayed: those that a snapshot covered are in ``lines`` only."""
        return self.applied + self.skipped


@dataclass(frozen=True)
class Stats:
    """One sample. Times in milliseconds since the epoch; None where the server says null or nothing.

    ``last_event`` is the value as the server gave it, also when it is no time. ``behind_bytes`` is None for kotlin, and
    ``replay`` for java. ``losses`` names counters that are not zero and stand for events that were not booked.
    """

    shape: Shape
    started_at_ms: int | None = None
    processed: int | None = None
    skipped: int | None = None
    last_event: Any = None
    last_event_ms: int | None = None
    last_offset: str | None = None
    replay: Replay | None = None
    state: str | None = None
    enabled: bool | None = None
    behind_bytes: int | None = None
    losses: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For a result: the same without what repeats itself."""
        shown = asdict(self)
        del shown["keys"]
        shown["losses"] = list(self.losses)
        return shown


def parse(document: Any) -> Stats:
    """The statistics in a JSON document; shape ``unknown`` for anything that is neither of the two."""
    if not isinstance(document, Mapping):
        return Stats("unknown")
    if "ledgerReplay" in document:
        return _kotlin(document)
    if "currentAuditSize" in document:
        return _java(document)
    return Stats("unknown", keys=tuple(sorted(str(key) for key in document)[:12]))


def _kotlin(document: Mapping[str, Any]) -> Stats:
    offset = document.get("lastKafkaOffset")
    return Stats(
        shape="kotlin",
        started_at_ms=instant_ms(document.get("startedAt")),
        processed=_count(document.get("processed")),
        skipped=_count(document.get("skipped")),
        last_event=document.get("lastEventAt"),
        last_event_ms=instant_ms(document.get("lastEventAt")),
        last_offset=offset if isinstance(offset, str) else None,
        replay=_replay(document["ledgerReplay"]),
    )


def _java(document: Mapping[str, Any]) -> Stats:
    size, offset = _count(document.get("currentAuditSize")), _count(document.get("currentOffset"))
    state, enabled = document.get("state"), document.get("enabled")
    lossy = ("sequenceGaps", "deadLetterCount", "pendingOrphanCount")
    return Stats(
        shape="java",
        started_at_ms=instant_ms(document.get("startedAt")),
        processed=_count(document.get("processed")),
        skipped=_count(document.get("skipped")),
        last_event=document.get("lastEventAt"),
        last_event_ms=instant_ms(document.get("lastEventAt")),
        last_offset=None if offset is None else str(offset),
        state=state if isinstance(state, str) else None,
        enabled=enabled if isinstance(enabled, bool) else None,
        behind_bytes=None if size is None or offset is None else max(0, size - offset),
        losses=tuple(f"{name} {document[name]}" for name in lossy if _count(document.get(name))),
    )


def _replay(value: Any) -> Replay | None:
    if not isinstance(value, Mapping):
        return None
    lines, applied, skipped = (_count(value.get(name)) for name in ("lines", "applied", "skipped"))
    if lines is None or applied is None or skipped is None:
        return None
    return Replay(lines, applied, skipped, _count(value.get("durationMs")))


def _count(value: Any) -> int | None:
    return None if isinstance(value, bool) or not isinstance(value, int) or value < 0 else value


def instant_ms(value: Any) -> int | None:
    """Milliseconds since the epoch of an ISO-8601 instant (0 to 9 fractional digits, any offset and year) or a number.

    A number is taken as milliseconds. None when the value is no point in time.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    match = _ISO.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute = (int(match[group]) for group in range(1, 6))
    second, fraction = int(match[6] or 0), int((match[7] or "").ljust(3, "0")[:3])
    cycles, year_of_cycle = divmod(year - 2000, _CYCLE_YEARS)
    try:
        days = datetime.date(2000 + year_of_cycle, month, day).toordinal() + cycles * _CYCLE_DAYS - _EPOCH_DAY
    except ValueError:
        return None
    if hour > 23 or minute > 59 or second > 60:
        return None
    offset = int(match[9]) * 60 + int(match[10]) if match[8] else 0
    minutes = days * 1440 + hour * 60 + minute - (offset if match[8] != "-" else -offset)
    return (minutes * 60 + second) * 1000 + fraction

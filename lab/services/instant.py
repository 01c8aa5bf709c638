# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants as integer nanoseconds since the epoch, read and written the way ISO-8601 instants of the JVM are.

Python's datetime stops at microseconds and at the year 9999; the services meet nine digits and the year 58862.
"""

from __future__ import annotations

import calendar
import re
from decimal import Decimal

SECOND = 1_000_000_000
_DAY_SECONDS = 86_400
_ISO = re.compile(
    r"([+-]?\d{4,10})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{0,9}))?(?:[Zz]|([+-])(\d\d):(\d\d)(?::(\d\d))?)",
    re.ASCII,
)


def parse(text: str) -> int | None:
    """Nanoseconds since the epoch, or None when the text is no ISO-8601 instant (an offset is allowed)."""
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= _days_in_month(year, month)):
        return None
    if hour > 23 or minute > 59 or second > 59:
        return None
    seconds = _days(year, month, day) * _DAY_SECONDS + hour * 3600 + minute * 60 + second
    sign, off_hour, off_minute, off_second = match.group(8, 9, 10, 11)
    if sign:
        offset = int(off_hour) * 3600 + int(off_minute) * 60 + int(off_second or 0)
        if offset > 18 * 3600 or int(off_minute) > 59:
            return None
        seconds += -offset if sign == "+" else offset
    return seconds * SECOND + int((match.group(7) or "").ljust(9, "0"))


def from_event(value: object) -> int | None:
    """The ``at`` of an event: ISO text, or a number taken as epoch *seconds*."""
    if isinstance(value, str):
        if value.isascii() and value.isdigit():
            return int(value) * SECOND
        return parse(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(Decimal(str(value)) * SECOND)


def from_query(text: str) -> int | None:
    """``since`` and ``after``: an instant, or digits (up to ten: epoch seconds, more: milliseconds)."""
    if text.isascii() and text.isdigit():
        number = int(text)
        if number >= 2**63:
            return None
        return number * SECOND if len(text) <= 10 else number * 1_000_000
    return parse(text)


def iso(nanos: int) -> str:
    """ISO text with 0, 3, 6 or 9 fractional digits; years beyond 9999 carry a plus sign."""
    seconds, fraction = divmod(nanos, SECOND)
    days, rest = divmod(seconds, _DAY_SECONDS)
    year, month, day = _civil(days)
    year_text = f"{year:04d}" if 0 <= year <= 9999 else f"{year:+05d}"
    digits = f"{fraction:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    tail = f".{digits}" if digits else ""
    return f"{year_text}-{month:02d}-{day:02d}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}{tail}Z"


def _days_in_month(year: int, month: int) -> int:
    return 29 if month == 2 and calendar.isleap(year) else (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)[month]


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the proleptic Gregorian calendar (years counted from March)."""
    if month <= 2:
        year -= 1
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468


def _civil(days: int) -> tuple[int, int, int]:
    """The inverse of :func:`_days`."""
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day_of_year - (153 * shifted + 2) // 5 + 1

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where in a log a point in time is, from the times at its lines.

Lines are taken to be in the order of their times. A line without a time (a stack trace, a plain print) belongs to the
lines before it, except right at the boundary, where it counts as new: better one line too many than one too few.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from . import service_time

# An ISO 8601 time anywhere near the beginning, or a time of day right at it (what Java logs without a configuration).
DEFAULT_REGEX = (
    r"(?<![\d:])(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?)"
    r"|^(\d\d:\d\d:\d\d(?:[.,]\d{1,9})?)"
)
SEARCHED_CHARACTERS = 200
MIDNIGHT_SECONDS = 3600  # a clock that goes back by more than this has passed midnight

# Lines as (offset of the first byte, text, offset behind the last byte)
Lines = Iterable[tuple[int, str, int]]


@dataclass(frozen=True)
class Place:
    """``offset`` behind the last older line; ``dated``: a line with a time was seen; ``reaches``: an older line was."""

    offset: int
    dated: bool
    reaches: bool


def find(read: Callable[[], Lines], begin: int, since: float, regex: re.Pattern[str], written_at: float) -> Place:
    """The place of ``since`` in the lines that ``read`` gives anew at each call, the first of them at ``begin``.

    ``written_at`` (epoch seconds) is the time of the last write: it tells the day of times that have none.
    """
    day = _first_day(read(), regex, written_at)
    offset, dated, reaches = begin, False, False
    last = 0.0
    for _offset, text, end in read():
        stamp = _stamp(text, regex)
        if stamp is None:
            continue
        if isinstance(stamp, datetime.timedelta):
            seconds = stamp.total_seconds()
            if dated and seconds < last - MIDNIGHT_SECONDS:
                day += datetime.timedelta(days=1)
            last = seconds
            moment = (datetime.datetime.combine(day, datetime.time()) + stamp).timestamp()
        else:
            moment = stamp
        dated = True
        if moment >= since:
            break
        offset, reaches = end, True
    return Place(offset, dated, reaches)


def _first_day(lines: Lines, regex: re.Pattern[str], written_at: float) -> datetime.date:
    """The day of the first line, when times are without one: counted back from the last write, midnight by midnight."""
    midnights, last = 0, None
    for _offset, text, _end in lines:
        stamp = _stamp(text, regex)
        if isinstance(stamp, float):
            break
        if stamp is not None:
            midnights += last is not None and stamp.total_seconds() < last - MIDNIGHT_SECONDS
            last = stamp.total_seconds()
    written = datetime.datetime.fromtimestamp(written_at)  # noqa: DTZ006 - such logs are in local time
    since_midnight = (written - datetime.datetime.combine(written.date(), datetime.time())).total_seconds()
    if last is not None and last > since_midnight + MIDNIGHT_SECONDS:
        midnights += 1
    return written.date() - datetime.timedelta(days=midnights)


def _stamp(text: str, regex: re.Pattern[str]) -> float | datetime.timedelta | None:
    """Epoch seconds, or the time of day of a line that names no day."""
    match = regex.search(text[:SEARCHED_CHARACTERS])
    found = next((group for group in match.groups() if group), None) if match else None
    if not found:
        return None
    parts = re.fullmatch(r"(\d\d):(\d\d):(\d\d)(?:[.,](\d{1,9}))?", found)
    if parts is None:
        return service_time.parse(found)
    hours, minutes, seconds, fraction = parts.groups(default="0")
    return datetime.timedelta(hours=int(hours), minutes=int(minutes), seconds=int(seconds) + float(f"0.{fraction}"))

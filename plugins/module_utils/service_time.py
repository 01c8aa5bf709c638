# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Points in time as services, logs and their managers write them: ISO 8601 text to seconds since the epoch and back."""

from __future__ import annotations

import datetime
import os
import time
from pathlib import Path

from .errors import InputError
from .redact import observed


def parse(text: str) -> float | None:
    """Seconds since the epoch, or None for text that is no ISO 8601 time.

    Any number of fractional digits is taken (Java writes 0, 3, 6 or 9). A time without an offset is this machine's
    local time.
    """
    try:
        return datetime.datetime.fromisoformat(text.strip().replace(",", ".")).timestamp()
    except (ValueError, OverflowError, OSError):
        return None


def option(name: str, text: str | None) -> float | None:
    """The time given as option ``name``; None when it is not set. Raises InputError on anything else."""
    if text is None or not text.strip():
        return None
    seconds = parse(text)
    if seconds is None:
        raise InputError(f"{name}: {observed(text, 60)!r} is not an ISO 8601 time. Write it like 2031-04-02T08:00:00Z.")
    return seconds


def iso(seconds: float | None) -> str | None:
    """ISO 8601 in UTC, whole seconds where there is no fraction; None stays None."""
    if seconds is None:
        return None
    moment = datetime.datetime.fromtimestamp(seconds, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds").replace("+00:00", "Z")


def process_start(pid: int) -> float | None:
    """When a process of this machine was started, epoch seconds to a hundredth; None when /proc does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None
    return round(time.time() - age, 3)

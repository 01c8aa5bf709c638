# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a report says things: times, durations, counts and the one word on top. Shared by all its renderings."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

WORDS = {"pass": "PASS", "fail": "FAIL", "unverified": "UNVERIFIED"}


def word(report: Mapping[str, Any]) -> str:
    """The verdict of the whole run in capitals."""
    return WORDS[report["verdict"]] if report["verified"] else "NOTHING WAS VERIFIED"


def clock(moment: str, part: str = "all") -> str:
    """``2026-09-30 03:15:02 UTC`` of an ISO 8601 time, ``03:15:02`` for part ``time``, else the text itself."""
    try:
        when = datetime.datetime.fromisoformat(moment).astimezone(datetime.UTC)
    except ValueError:
        return moment
    return f"{when:%H:%M:%S}" if part == "time" else f"{when:%Y-%m-%d %H:%M:%S} UTC"


def duration(milliseconds: int | None) -> str:
    """``12 ms``, ``1.2 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if milliseconds is None:
        return ""
    seconds = milliseconds / 1000
    if seconds < 1:
        return f"{milliseconds} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def section(runbook: str) -> str:
    """``§2`` of a section number, the text itself of a title such as Checklist."""
    return f"§{runbook}" if runbook[:1].isdigit() else runbook


def counted(row: Mapping[str, Any]) -> str:
    """The checks of one procedure in words: ``2 of 12 failed, 1 unverified, 1 accepted``."""
    statuses = [check["status"] for check in row["checks"]]
    if not statuses:
        return "no checks"
    total = f"{len(statuses)} check{'s' if len(statuses) > 1 else ''}"
    named = (("fail", "failed"), ("unverified", "unverified"))
    parts = [f"{statuses.count(status)} {name}" for status, name in named if status in statuses]
    parts += [f"{len(row['accepted'])} accepted"] if row["accepted"] else []
    if not parts or statuses.count("pass") == len(statuses):
        parts.insert(0, "all passed")
    return f"{total}: {', '.join(parts)}"


def tally(deployment: Mapping[str, Any]) -> str:
    """What is wrong with a deployment, very short."""
    statuses = [check["status"] for row in deployment["procedures"] for check in row["checks"]]
    named = (("fail", "failed"), ("unverified", "unverified"))
    parts = [f"{statuses.count(status)} {name}" for status, name in named if status in statuses]
    if parts:
        return ", ".join(parts)
    return f"{len(statuses)} passed" if deployment["verdict"] == "pass" else "see below"


def changed_word(change: Mapping[str, Any]) -> str:
    """Whether a change happened, would happen, or may have happened."""
    if change["check_mode"]:
        return "would change"
    return "failed, may have changed" if change["status"] in ("failed", "unreachable") else "changed"


def flat(value: Any) -> str | None:
    """A structure one level deep on one line (``a: 1, b: 2``); None when it is deeper."""
    if isinstance(value, dict):
        parts = {key: scalar(item) for key, item in value.items()}
        return None if None in parts.values() else ", ".join(f"{key}: {item}" for key, item in parts.items())
    items = [scalar(item) for item in value]
    return None if None in items else ", ".join(str(item) for item in items)


def scalar(value: Any) -> str | None:
    """A single value as text; None of a structure."""
    if isinstance(value, (dict, list)):
        return None if value else "none"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)

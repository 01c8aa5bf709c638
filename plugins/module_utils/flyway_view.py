# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tool's own info sees of a history, beside what we see: only a tool with the same view may act. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from . import flyway_types as types
from .flyway_inspect import History
from .redact import observed

MOST_SHOWN = 20
# Programs are known to their tool only, and paid undo migrations to the paid editions.
_LEFT_OUT = types.PROGRAMS | types.UNDO


def differences(told: Sequence[Mapping[str, Any]], history: History) -> list[str]:
    """Lines for what only we see (-) and only the tool sees (+); empty when both see the same.

    ``told`` are the objects that ``info -outputType=json`` printed.
    """
    answer = next((each for each in told if isinstance(each.get("migrations"), list)), None)
    if answer is None:
        return ["+ the tool's info tells of no migrations at all"]
    places = (("database", history.database), ("schemaName", history.schema))
    other = [
        line
        for name, ours in places
        if answer.get(name) not in (None, ours)
        for line in (f"- {name} {ours}", f"+ {name} {observed(str(answer[name]), 200)}")
    ]
    unclear = {info.description for info in history.infos if info.checksum_status == "indeterminate"}
    ours, theirs = history.as_dict()["migrations"], [each for each in answer["migrations"] if isinstance(each, Mapping)]
    mine, seen = (Counter(_line(each) for each in rows if _told(each, unclear)) for rows in (ours, theirs))
    lines = [
        *other,
        *(f"- {line}" for line in (mine - seen).elements()),
        *(f"+ {line}" for line in (seen - mine).elements()),
    ]
    return [*lines[:MOST_SHOWN], f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else lines


def _told(each: Mapping[str, Any], unclear: set[str]) -> bool:
    return each.get("type") not in _LEFT_OUT and not (not each.get("version") and each.get("description") in unclear)


def _line(each: Mapping[str, Any]) -> str:
    words = (each.get("version") or "repeatable", each.get("description") or "", f"({each.get('state')})")
    return observed(" ".join(str(word) for word in words if word), 300)

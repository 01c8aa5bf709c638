# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of migrations: how Flyway reads, shows and orders them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

_SPLIT = re.compile(r"\.(?=[0-9])")
_NUMBER = re.compile(r"[+-]?\d+")
LATEST_NUMBER = str(2**63 - 1)


@dataclass(frozen=True, order=True)
class Version:
    """A version; 1, 1.0 and 1_0_0 are equal. ``text`` is what Flyway shows, ``raw`` what was written."""

    key: tuple[int, tuple[int, ...]]
    text: str = field(compare=False)
    raw: str = field(compare=False)

    def __str__(self) -> str:
        return self.text

    def __format__(self, spec: str) -> str:
        return format(self.text, spec)


EMPTY = Version((-2, ()), "", "")  # before every other: nothing was applied yet
CURRENT = Version((-1, ()), "<< Current Version >>", "<< Current Version >>")
NEXT = Version((0, (-3,)), "<< Next Version >>", "<< Next Version >>")
LATEST = Version((1, ()), LATEST_NUMBER, "<< Latest Version >>")
_WORDS = {"current": CURRENT, "next": NEXT, "latest": LATEST}


@lru_cache(maxsize=8192)
def parse(raw: str) -> Version:
    """The version that ``raw`` writes. ValueError when it holds more than digits and dots (or underscores)."""
    if raw.lower() in _WORDS:
        return _WORDS[raw.lower()]
    if raw == LATEST_NUMBER:
        return LATEST
    text = raw.replace("_", ".")
    parts = []
    for part in _SPLIT.split(text):
        if not _NUMBER.fullmatch(part) or len(part) > 4000:
            raise ValueError(f"{raw!r} is no version: only digits and dots (or underscores) make one")
        parts.append(int(part))
    while len(parts) > 1 and parts[-1] == 0:
        parts.pop()
    return Version((0, tuple(parts)), text, raw)

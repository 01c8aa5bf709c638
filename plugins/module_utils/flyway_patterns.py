# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Patterns such as ``*:future``, which say what validation overlooks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from . import flyway_types as types

KINDS = ("*", "versioned", "repeatable")
STATES = ("*", "missing", "pending", "ignored", "future")


@dataclass(frozen=True)
class Pattern:
    """``kind`` is *, versioned or repeatable; ``state`` is * or a state in small letters."""

    kind: str
    state: str

    @staticmethod
    def of(text: str) -> Pattern:
        """Raises ValueError for anything else than <kind>:<state>."""
        parts = [part.strip().lower() for part in text.split(":")]
        if len(parts) != 2 or parts[0] not in KINDS or parts[1] not in STATES:
            raise ValueError(
                f"{text!r} is no pattern; write one of {', '.join(KINDS)}, a colon, one of {', '.join(STATES)}"
            )
        return Pattern(parts[0], parts[1])

    def fits(self, versioned: bool, state: str) -> bool:
        return self.state in ("*", state.lower()) and self.kind in ("*", "versioned" if versioned else "repeatable")


PENDING = Pattern("*", "pending")


@dataclass(frozen=True)
class Ignored:
    """What a list of patterns overlooks as a whole, for versioned and repeatable migrations alike."""

    patterns: Sequence[Pattern]

    def fits(self, versioned: bool, state: str) -> bool:
        return any(pattern.fits(versioned, state) for pattern in self.patterns)

    def whole(self, state: str) -> bool:
        return self.fits(True, state) and self.fits(False, state)

    @property
    def pending(self) -> bool:
        return self.whole(types.PENDING)

    @property
    def ignored(self) -> bool:
        return self.whole(types.IGNORED)

    @property
    def missing(self) -> bool:
        return self.whole(types.MISSING)

    @property
    def future(self) -> bool:
        return self.whole(types.FUTURE)

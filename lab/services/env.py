# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Environment variables, read as strictly as the operated services read them."""

from __future__ import annotations

import os
import re

INT_RANGE = (-(2**31), 2**31 - 1)
LONG_RANGE = (-(2**63), 2**63 - 1)
_INTEGER = re.compile(r"[+-]?[0-9]+")


def text(name: str, default: str) -> str:
    return os.environ.get(name, default)


def not_blank(name: str) -> str | None:
    """The value, or None when it is unset or blank."""
    value = os.environ.get(name, "")
    return value if value.strip() else None


def integer(name: str, default: int, limits: tuple[int, int] = INT_RANGE) -> int:
    """Raises ValueError on anything but an integer in range: the service then dies at boot, as it should."""
    raw = os.environ.get(name)
    if raw is None:
        return default
    value = parse_integer(raw, limits)
    if value is None:
        raise ValueError(f'For input string: "{raw}" ({name} must be an integer)')
    return value


def flag(name: str, default: str) -> bool:
    """Only ``1`` and ``true`` (any case) are on."""
    value = os.environ.get(name, default)
    return value == "1" or value.lower() == "true"


def parse_integer(raw: str, limits: tuple[int, int] = INT_RANGE) -> int | None:
    """None for text, decimals, surrounding blanks and numbers out of range."""
    if not _INTEGER.fullmatch(raw):
        return None
    value = int(raw)
    return value if limits[0] <= value <= limits[1] else None

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Text and values from servers, made fit for a result: no control characters, no broken UTF-8, no NaN."""

from __future__ import annotations

import datetime
import decimal
import math
import re
from typing import Any

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|[\ud800-\udfff]")

# Colours and the like; taken out as a whole, or they would stand between a secret-like name and its value.
_TERMINAL = re.compile(r"\x1b\[[0-9:;<=>?]{0,40}[ -/]{0,4}[@-~]")


def clean(value: bytes | str) -> str:
    """Text without control characters (each becomes U+FFFD, tab and newline stay); bytes are decoded as UTF-8.

    Terminal sequences, such as colours, are left out.
    """
    text = value.decode("utf-8", errors="replace") if isinstance(value, bytes) else value
    return _CONTROL.sub("\ufffd", _TERMINAL.sub("", text.replace("\r\n", "\n")))


def shorten(text: str, limit: int) -> str:
    """At most ``limit`` characters; says how many were left out."""
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text) - limit} more characters)"


def json_safe(value: Any) -> Any:
    """The same value in JSON types: NaN and infinities become None, decimals text, dates ISO 8601, sets sorted lists."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, (str, bytes)):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {clean(str(key)): json_safe(item) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((json_safe(item) for item in value), key=str)
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return str(value)
    return clean(str(value))

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Placeholders in a text, replaced exactly as Flyway does while it reads.

Read sign by sign: what has been read ahead for a prefix and was none is passed on unseen, so that ``$${name}`` keeps its
text. What is put in is not searched again. Names do not depend on upper or lower case.
"""

from __future__ import annotations

from collections.abc import Callable


class UnknownPlaceholder(Exception):
    """There is no value for it; ``name`` is what stands between prefix and suffix."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def as_text(value: object) -> str:
    """A placeholder's value as text; YAML's true is Flyway's true."""
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def replaced(text: str, prefix: str, suffix: str, value_of: Callable[[str], str | None]) -> str:
    """The text with values put in. ``value_of`` takes a name in small letters; None raises UnknownPlaceholder."""
    found: list[str] = []
    at = 0
    while True:
        start = text.find(prefix[0], at)
        if start < 0:
            found.append(text[at:])
            return "".join(found)
        found.append(text[at:start])
        at = _read_ahead(text, start, prefix)
        if text[start:at] != prefix:
            found.append(text[start:at])
            continue
        end = text.find(suffix, at)
        if end < 0:
            raise UnknownPlaceholder(text[at : max(at, len(text) - len(suffix))])
        value = value_of(text[at:end].lower())
        if value is None:
            raise UnknownPlaceholder(text[at:end])
        found.append(value)
        at = end + len(suffix)


def _read_ahead(text: str, start: int, prefix: str) -> int:
    """Where reading stands after the signs that were taken to see whether a prefix begins at ``start``."""
    at = start
    while at < len(text):
        at += 1
        if at - start >= len(prefix) or text[start:at] != prefix[: at - start]:
            break
    return at

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The text of a statement, fit to be shown: its shape without the values and comments that were written into it."""

from __future__ import annotations

import re

from .redact import observed

LONGEST = 500
# More than is shown, and less than makes the search slow
READ = 4000

_TOKENS = re.compile(
    r"""
      (?P<name>"(?:[^"]|"")*"?)                                   # quoted identifier
    | (?P<comment>--[^\n]*|/\*(?:(?!/\*|\*/).)*\*/|/\*.*)         # one within another: all that follows
    | (?P<text>(?:\b[eEbBxXnN]|\b[uU]&)?'(?:[^']|'')*'?)
    | (?P<dollar>\$(?P<tag>(?:[A-Za-z_]\w*)?)\$.*?(?:\$(?P=tag)\$|\Z))
    | (?P<parameter>\$\d+)
    | (?P<word>[A-Za-z_\u0080-\U0010ffff][\w$]*)
    | (?P<number>\d[\w.]*|\.\d[\w.]*)
    """,
    re.VERBOSE | re.DOTALL,
)
_KEPT = ("name", "parameter", "word")


def shape(statement: str | None, limit: int = LONGEST) -> str:
    """The statement with each literal as ``?``, on one line, at most ``limit`` characters."""
    text = (statement or "")[:READ]
    escaped = re.search(r"\\'", text)
    if escaped:  # whether that ends a text depends on a setting of the session: nothing after the text's begin is shown
        start = text.find("'")
        text = f"{text[:start]} ? ..."
    return observed(" ".join(_TOKENS.sub(_shown, text).split()), limit)


def _shown(match: re.Match[str]) -> str:
    if match.lastgroup == "comment":
        return " "
    return match[0] if any(match[name] is not None for name in _KEPT) else "?"

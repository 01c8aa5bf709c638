# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is expected of a JSON answer: an expression (JMESPath) and one comparison each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import libraries, redact
from .errors import InputError

try:
    import jmespath
    from jmespath.exceptions import JMESPathError
except ImportError as error:
    libraries.record("jmespath", error)

COMPARISONS = ("equals", "one_of", "at_least", "at_most", "matches", "present")
SHOWN_CHARACTERS = 200
SEARCHED_CHARACTERS = 10_000


class Expression:
    """A JMESPath expression that was understood; InputError names where it stands and what is wrong with it."""

    def __init__(self, text: str, where: str) -> None:
        self.text = text
        try:
            self._compiled = jmespath.compile(text)
        except JMESPathError as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{where}: {text!r} is no JMESPath expression: {reason[:200]}") from None

    def search(self, value: Any) -> Any:
        """What it finds; None when there is nothing, or when it does not fit the data (a length of a number, ...)."""
        try:
            return self._compiled.search(value)
        except (JMESPathError, TypeError, ValueError, RecursionError):
            return None


@dataclass
class Expectation:
    """One comparison. ``kind`` is one of COMPARISONS, ``value`` what it compares with."""

    expression: Expression
    kind: str
    value: Any

    @property
    def title(self) -> str:
        return f"{self.expression.text} {self.kind.replace('_', ' ')} {shown(self.value)}"

    def holds(self, document: Any) -> tuple[bool, Any, str]:
        """Whether it holds, what was found (fit to be shown), and a hint where the types differ."""
        found = self.expression.search(document)
        right, hint = self._compare(found)
        return right, shown(found), hint

    def _compare(self, found: Any) -> tuple[bool, str]:
        if self.kind == "present":
            return (found is not None) == self.value, ""
        if self.kind == "matches":
            if not isinstance(found, str):
                return False, "Only text can match a regular expression."
            return self.value.search(found[:SEARCHED_CHARACTERS]) is not None, ""
        if self.kind in ("at_least", "at_most"):
            if isinstance(found, bool) or not isinstance(found, (int, float)):
                return False, "What was found is no number."
            return (found >= self.value if self.kind == "at_least" else found <= self.value), ""
        wanted = [self.value] if self.kind == "equals" else self.value
        right = any(same(found, value) for value in wanted)
        alike = not right and any(str(found) == str(value) for value in wanted)
        return right, "It looks the same but has another type (a text is no number)." if alike else ""


def expectation(item: Mapping[str, Any], where: str) -> Expectation:
    """From one item of the option ``expect``; InputError when it has none or several comparisons, or a wrong value."""
    given = [name for name in COMPARISONS if item.get(name) is not None]
    if len(given) != 1:
        named = f"it has {' and '.join(given)}" if given else "it has none"
        raise InputError(f"{where}: an expectation needs exactly one of {', '.join(COMPARISONS)}; {named}.")
    kind, value = given[0], item[given[0]]
    if kind == "matches":
        try:
            value = re.compile(value)
        except re.error as error:
            raise InputError(f"{where}: {value!r} is no regular expression: {error}.") from None
    return Expectation(Expression(item["jmespath"], where), kind, value)


def same(left: Any, right: Any) -> bool:
    """Equal as JSON values: 1 equals 1.0, but not true and not the text "1"."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        return left == right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


def shown(value: Any) -> Any:
    """A value fit for a check: scalars as they are, text and structures short and without secrets."""
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, re.Pattern):
        value = value.pattern
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return redact.observed(text, SHOWN_CHARACTERS)

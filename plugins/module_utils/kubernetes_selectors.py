# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Label selectors as kubectl takes them, matched here: one list of a namespace then answers for every selector."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from .errors import InputError

Operator = Literal["in", "notin", "exists", "absent"]
_KEY = r"(?:[A-Za-z0-9.-]{1,253}/)?[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_VALUE = r"(?:[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?"
_TERM = re.compile(
    rf"\s*(?:(?P<absent>!)\s*)?(?P<key>{_KEY})\s*"
    rf"(?:(?P<sign>==|=|!=)\s*(?P<value>{_VALUE})|(?P<word>(?<=\s)(?:in|notin))\s*\((?P<values>[^()]*)\))?\s*(?:,|$)"
)


@dataclass(frozen=True)
class Requirement:
    """One condition on the labels of an object."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """As the API server sees it: ``notin`` is also met by an object that lacks the label."""
        if self.operator == "exists":
            return self.key in labels
        if self.operator == "absent":
            return self.key not in labels
        if self.operator == "in":
            return labels.get(self.key) in self.values
        return labels.get(self.key) not in self.values


Requirements = tuple[Requirement, ...]


def parse(text: str, option: str = "selector") -> Requirements:
    """The requirements of a selector as kubectl takes it; InputError names the option and where it stops making sense."""
    found: list[Requirement] = []
    position = 0
    while position < len(text):
        match = _TERM.match(text, position)
        if not match or (match["absent"] and (match["sign"] or match["word"])):
            raise InputError(
                f"{option} {text!r} is no label selector from {text[position : position + 40]!r} on; write it as "
                "kubectl takes it, as in tier=backend,app!=web or app in (web, api).",
                option=option,
            )
        found.append(_requirement(match))
        position = match.end()
    if not found or text.rstrip().endswith(","):
        raise InputError(f"{option} {text!r} is an empty label selector, or ends in a comma.", option=option)
    return tuple(found)


def _requirement(match: re.Match[str]) -> Requirement:
    key = match["key"]
    if match["sign"]:
        return Requirement(key, "notin" if match["sign"] == "!=" else "in", frozenset((match["value"],)))
    if match["word"]:
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(key, "in" if match["word"] == "in" else "notin", values)
    return Requirement(key, "absent" if match["absent"] else "exists")


def matches(requirements: Requirements, labels: Mapping[str, str]) -> bool:
    """Whether an object with these labels is selected."""
    return all(requirement.met_by(labels) for requirement in requirements)


def text(labels: Mapping[str, str]) -> str:
    """Labels for a message, as kubectl shows them."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items())) or "no labels"

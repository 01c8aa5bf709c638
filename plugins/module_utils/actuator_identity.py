# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who answers, by what /actuator/info says of itself. Pure: nothing is asked here."""

from __future__ import annotations

from typing import Any

from . import checks, redact
from .checks import Status
from .http_client import Answer

# Where services write their name: the env and build contributors, and what people add by hand.
NAMES = (
    ("spring", "application", "name"),
    ("app", "name"),
    ("application", "name"),
    ("build", "artifact"),
    ("build", "name"),
    ("name",),
)
_SAYS_NOTHING = (
    "Its info holds no name: add build-info to its build (build.artifact), or info.app.name with "
    "management.info.env.enabled=true."
)
_NOT_EXPOSED = (
    "Expose info (management.endpoints.web.exposure.include), or leave identity out and know what is missing."
)


def identify(answer: Answer, expected: str) -> tuple[Status, str, str]:
    """Status, what was observed, and a hint, for an answer of the info endpoint."""
    if answer.problem:
        return checks.UNVERIFIED, answer.summary(), answer.problem.hint
    if answer.status != 200:
        return checks.UNVERIFIED, f"its info is not to be had: {answer.summary()}", _NOT_EXPOSED
    try:
        document = answer.json()
    except ValueError as error:
        return checks.FAIL, f"its info is none: {error}", "Another product answers here: check host and port."
    found = names(document)
    if not found:
        return checks.UNVERIFIED, "its info does not say who it is", _SAYS_NOTHING
    told = ", ".join(f"{where} {name}" for where, name in found.items())
    if expected in found.values():
        return checks.PASS, told, ""
    return checks.FAIL, told, "Another service answers here: check host and port, or correct identity."


def names(document: Any) -> dict[str, str]:
    """The names in an info document, by the place where they stand."""
    found = {}
    for path in NAMES:
        value = document
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, str) and value:
            found[".".join(path)] = redact.observed(value, 100)
    return found

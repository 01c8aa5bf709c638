# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What containers are asked to be: the option ``containers`` of workload_set, read and judged before anything is asked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import redact
from .errors import InputError
from .kubernetes_quantity import amount

OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "image": {"type": "str"},
    "expected_current_image": {"type": "str"},
    "env": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {"name": {"type": "str", "required": True}, "value": {"type": "str", "required": True}},
    },
    "env_absent": {"type": "list", "elements": "str", "default": []},
    "requests": {"type": "dict", "default": {}},
    "limits": {"type": "dict", "default": {}},
}
MOST_CONTAINERS = 50
MOST_VARIABLES = 200
MOST_CHARACTERS = 8_192

_ENV_NAME = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,510}")
_RESOURCE = re.compile(r"[a-z0-9][a-z0-9./-]*")
_HARMLESS = re.compile(r"(?i)|\d{1,9}|true|false|none|null|\d+(\.\d+)?(ms|s|m|h|d)")
_REFERS = re.compile(r"(?i).*_(file|path|dir|url|uri|name|header|type)")


@dataclass(frozen=True)
class Wanted:
    """One container. ``requests`` and ``limits``: an amount, or None for one that is to be taken out."""

    name: str
    image: str | None
    expected_image: str | None
    env: dict[str, str]
    env_absent: tuple[str, ...]
    requests: dict[str, str | None]
    limits: dict[str, str | None]


def wanted(given: list[dict[str, Any]]) -> list[Wanted]:
    """The option ``containers``; InputError for what is empty, contradicts itself, or should be in a Secret."""
    if not given or len(given) > MOST_CONTAINERS:
        raise InputError(f"containers has {len(given)} entries; it takes 1 to {MOST_CONTAINERS}.", option="containers")
    rows = [_wanted(row) for row in given]
    names = [row.name for row in rows]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"containers names {', '.join(twice)} more than once.", option="containers")
    return rows


def _wanted(row: dict[str, Any]) -> Wanted:
    name = row["name"].strip()
    if not name:
        raise InputError("containers has an entry with an empty name; was a variable empty?", option="containers")
    if row["image"] is not None and not _IMAGE.fullmatch(row["image"]):
        shown = redact.observed(row["image"], 200)
        raise InputError(f"container {name}: {shown!r} is no image; was a variable empty?", option="containers")
    found = Wanted(
        name,
        row["image"],
        row["expected_current_image"],
        _env(name, row["env"]),
        tuple(row["env_absent"]),
        _amounts(name, "requests", row["requests"]),
        _amounts(name, "limits", row["limits"]),
    )
    if not (found.image or found.env or found.env_absent or found.requests or found.limits):
        raise InputError(
            f"container {name}: nothing is asked for; give image, env, env_absent, requests or limits.",
            option="containers",
        )
    for variable in found.env_absent:
        if not _ENV_NAME.fullmatch(variable) or variable in found.env:
            problem = "is set by env as well" if variable in found.env else "is no name of a variable"
            raise InputError(f"container {name}: env_absent: {variable!r} {problem}.", option="containers")
    for resource, request in found.requests.items():
        limit = found.limits.get(resource)
        if request is not None and limit is not None and amount(request) > amount(limit):
            raise InputError(
                f"container {name}: the request of {request} {resource} is above the limit of {limit}.",
                option="containers",
            )
    return found


def _env(container: str, rows: list[dict[str, str]]) -> dict[str, str]:
    if len(rows) > MOST_VARIABLES:
        raise InputError(f"container {container}: env has more than {MOST_VARIABLES} entries.", option="containers")
    found: dict[str, str] = {}
    for row in rows:
        name, value = row["name"], row["value"]
        if not _ENV_NAME.fullmatch(name):
            raise InputError(f"container {container}: env: {name!r} is no name of a variable.", option="containers")
        if name in found:
            raise InputError(f"container {container}: env names {name} more than once.", option="containers")
        if len(value) > MOST_CHARACTERS:
            raise InputError(f"container {container}: env: {name} has more than {MOST_CHARACTERS} characters.")
        if secret_like(name, value):
            raise InputError(
                f"container {container}: env: the value of {name} looks like a secret, and would stand in clear in the "
                "workload, its history and every manifest that is read from it. Put it into a Secret, and refer to that "
                "(valueFrom) in the manifest.",
                option="containers",
                invocation={},
            )
        found[name] = value
    return found


def secret_like(name: str, value: str) -> bool:
    """Whether the value of a variable may be a secret: by its own looks, or by the variable's name.

    A number, a switch or a duration is none (TOKEN_TTL), and neither is what refers to something else (TOKEN_URL).
    """
    if redact.certain(value) != value or redact.STRUCK in redact.observed(value, MOST_CHARACTERS):
        return True
    if _HARMLESS.fullmatch(value) or _REFERS.fullmatch(name):
        return False
    return bool(redact.structure({name: value}) == {name: redact.STRUCK})


def _amounts(container: str, option: str, given: dict[str, Any]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for resource, value in given.items():
        if not _RESOURCE.fullmatch(str(resource)):
            raise InputError(f"container {container}: {option}: {resource!r} is no resource.", option="containers")
        text = None if value is None else str(value).strip()
        if text is not None:
            try:
                amount(text)
            except InputError as error:
                message = f"container {container}: {option}: {resource}: {error.message}"
                raise InputError(message, option="containers") from None
        found[str(resource)] = text
    return found

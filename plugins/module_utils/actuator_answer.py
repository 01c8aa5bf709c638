# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an answer of /actuator/health means. Pure: nothing is asked here.

The status in the JSON decides, not the HTTP code: Spring Boot sends 503 for DOWN and OUT_OF_SERVICE and 200 for all else,
UNKNOWN and a service's own statuses included. A refusal (401, 403, 404) says that health is not exposed, not that the
service is down; an answer that is no health at all says that something else answers there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from . import checks, http_client, redact
from .checks import Status
from .http_client import Answer
from .http_problems import NOTHING_OBSERVED

UP, UNKNOWN = "UP", "UNKNOWN"
FAILED = frozenset({"DOWN", "OUT_OF_SERVICE"})
STATUS = re.compile(r"[A-Z][A-Z0-9_-]{0,60}")  # as Spring Boot and those who define their own write it
MOST_COMPONENTS = 200
DEEPEST = 5
REASON_CHARACTERS = 200
NAMED = 5  # names in one line

Kind = Literal[
    "status",  # a health answer
    "not_exposed",  # refused: 401, 403, 404, a redirect to a login
    "other",  # something answers, but not with health
    "none",  # no answer
    "unclear",  # cut off, or busy
]


@dataclass(frozen=True)
class Component:
    """One component; ``name`` has the names of those it is part of before it (``db.orders``)."""

    name: str
    status: str
    reason: str = ""


@dataclass(frozen=True)
class Reading:
    """What an answer means. ``components`` is None where they are not shown; ``status`` is empty without a health answer."""

    kind: Kind
    verdict: Status
    observed: str
    hint: str = ""
    status: str = ""
    components: tuple[Component, ...] | None = None
    groups: tuple[str, ...] = ()

    @property
    def ailing(self) -> list[Component]:
        """The components that are not UP."""
        return [component for component in self.components or () if component.status != UP]


@dataclass(frozen=True)
class Accepted:
    """Statuses besides UP that are as good."""

    statuses: Collection[str] = field(default_factory=frozenset)

    def __contains__(self, status: str) -> bool:
        return status == UP or status in self.statuses


def read(answer: Answer, accepted: Accepted) -> Reading:
    """Judge one answer of the health endpoint or of one of its groups."""
    if answer.problem:
        nothing = answer.problem.kind in NOTHING_OBSERVED
        verdict = checks.UNVERIFIED if nothing else checks.FAIL
        return Reading("none", verdict, answer.summary(), answer.problem.hint)
    code = answer.status or 0
    if code < 400 or code >= 500:
        try:
            document = answer.json()
        except ValueError:
            document = None
        if isinstance(document, dict) and isinstance(document.get("status"), str):
            return _of_status(answer, document, accepted)
    if answer.more:
        return Reading("unclear", checks.UNVERIFIED, f"{answer.summary()}, cut after {len(answer.body)} bytes", _CUT)
    return _of_code(answer, code)


_CUT = "Raise max_body_bytes, or look at what it is that answers there."
_REFUSED = {
    401: "It asks for credentials: give a token, or expose health to who watches it. This does not say that it is down.",
    403: "The credentials are known, but not allowed this. This does not say that it is down.",
    404: "Health is not exposed under this path, or another product answers there: check URL, port and path "
    "(management.server.port, management.endpoints.web.base-path). This does not say that it is down.",
    405: "The path exists, but cannot be read: another product?",
}


def _of_code(answer: Answer, code: int) -> Reading:
    """An answer that is no health."""
    if code in _REFUSED:
        return Reading("not_exposed", checks.UNVERIFIED, f"not exposed: {answer.summary()}", _REFUSED[code])
    if code in http_client.REDIRECT_STATUS:
        where = http_client.shown_url(answer.headers.get("Location", "")) or "nowhere"
        hint = "A login page or another address: give the URL where health is answered itself."
        return Reading("not_exposed", checks.UNVERIFIED, f"{answer.summary()}, redirected to {where}", hint)
    if code == 429:
        return Reading("unclear", checks.UNVERIFIED, answer.summary(), "The rate of requests is limited: ask later.")
    said = f"{answer.summary()}, and no health: {answer.excerpt(80)}"
    if code >= 500:
        hint = "It cannot answer, or what stands before it (gateway, Ingress) has nobody to pass the request to."
        return Reading("other", checks.FAIL, said, hint)
    return Reading("other", checks.FAIL, said, "Another product answers here: check host, port and path of the target.")


def _of_status(answer: Answer, document: Mapping[str, Any], accepted: Accepted) -> Reading:
    status = redact.observed(document["status"], 60)
    shown = document.get("components", document.get("details"))
    components = tuple(_components(shown, "", 0))[:MOST_COMPONENTS] if isinstance(shown, dict) else None
    groups = tuple(redact.observed(str(group), 60) for group in document.get("groups") or ())[:MOST_COMPONENTS]
    reading = Reading("status", checks.PASS, "", "", status, components, groups)
    verdict, hint = _judge(status, answer.status or 0, reading, accepted)
    if verdict == checks.FAIL and not STATUS.fullmatch(status):
        return Reading("other", verdict, f"{answer.summary()}, but its status is {status!r}", hint)
    blame = _blame(reading)
    observed = f"{status}{blame} ({answer.summary()})"
    return Reading("status", verdict, observed, hint, status, components, groups)


def _judge(status: str, code: int, reading: Reading, accepted: Accepted) -> tuple[Status, str]:
    if status in accepted:
        if code >= 400:
            return (
                checks.UNVERIFIED,
                "Status and HTTP code contradict each other: what stands between here and the service?",
            )
        return checks.PASS, _covers(reading)
    as_healthy = "" if code >= 400 else "Who looks at the HTTP code only takes it for healthy."
    if status == UNKNOWN:
        return checks.UNVERIFIED, f"The service does not know its own state. {as_healthy}".strip()
    if status in FAILED:
        hidden = (
            ""
            if reading.components is not None
            else "Which component it is, it does not show: give a token, or read its log."
        )
        return checks.FAIL, f"{hidden} {as_healthy}".strip()
    if STATUS.fullmatch(status):
        return (
            checks.FAIL,
            f"A status of its own; list it in accept_status where it is a good one. {as_healthy}".strip(),
        )
    return checks.FAIL, "Spring Boot writes no such status: another product? Else list it in accept_status."


def _covers(reading: Reading) -> str:
    if reading.components is None:
        return "Its components are not shown: what this covers is not known."
    if not reading.components:
        return "It has no components: this says no more than that the process answers."
    return f"Covers {listed([component.name for component in reading.components], 12)}; nothing else."


def _blame(reading: Reading) -> str:
    """The components that are not UP, with their reasons, worst first."""
    ailing = sorted(reading.ailing, key=lambda component: (component.status not in FAILED, component.status == UNKNOWN))
    if not ailing:
        return ""
    texts = []
    for component in ailing[:NAMED]:
        status = "" if component.status == reading.status else f" {component.status}"
        texts.append(f"{component.name}{status}{f' ({component.reason})' if component.reason else ''}")
    return (", but " if reading.status == UP else ": ") + ", ".join(texts) + _more(len(ailing) - NAMED)


def listed(names: list[str], most: int = NAMED) -> str:
    """Names in one line: ``a, b and 3 more``."""
    return ", ".join(names[:most]) + _more(len(names) - most)


def _more(count: int) -> str:
    return f" and {count} more" if count > 0 else ""


def _components(shown: Mapping[str, Any], prefix: str, depth: int) -> Iterator[Component]:
    """Every component that is not made of others."""
    for key, value in shown.items():
        if not isinstance(value, dict) or not isinstance(value.get("status"), str):
            continue
        name = f"{prefix}{redact.observed(str(key), 80)}"
        inner = value.get("components")
        if isinstance(inner, dict) and inner and depth < DEEPEST:
            yield from _components(inner, f"{name}.", depth + 1)
        else:
            status = redact.observed(value["status"], 60)
            yield Component(name, status, "" if status == UP else _reason(value.get("details")))


def _reason(details: Any) -> str:
    """Why a component is not UP: what it calls error, else its parts that are not UP, else all that it says."""
    if not isinstance(details, dict) or not details:
        return ""
    for key in ("error", "message", "reason"):
        if isinstance(details.get(key), str):
            return _line(details[key])
    parts = [
        f"{key} {(part.get('details') or {}).get('state') or part['status']}"
        for key, part in details.items()
        if isinstance(part, dict) and isinstance(part.get("status"), str) and part["status"] != UP
    ]
    return _line(", ".join(parts) if parts else json.dumps(redact.structure(details, 100), ensure_ascii=False))


def _line(text: str) -> str:
    return " ".join(redact.observed(text, REASON_CHARACTERS).split())

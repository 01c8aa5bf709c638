# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What people sign: one canonical text that says which plan, on which target in which state, until when. Pure."""

from __future__ import annotations

import datetime
import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import redact
from .errors import InputError, RefusedError
from .text import clean, json_safe, shorten

FORMAT = 1
MOST_BYTES = 256 * 1024
MOST_LINES = 500
LINE_CHARACTERS = 300
MOST_DIFFERENCES = 40
TIME = "%Y-%m-%dT%H:%M:%SZ"

# What a run and its request must agree on, besides the plan.
_BOUND = {
    "procedure": "it is for another procedure",
    "target": "it is for another target",
    "inventory": "it is for another inventory",
    "parameters": "it is for other parameters",
    "target_state": "the target is no longer in the state it was asked for (has this been done already?)",
}
_KEYS = frozenset(
    {*_BOUND, "format", "plan_digest", "plan_summary", "requested_at", "expires_at", "requested_by", "reason"}
)


class NotApprovedError(RefusedError):
    """The step is not approved. ``details`` hold ``refusal``, a stable id of the reason."""

    def __init__(self, refusal: str, message: str, **details: Any) -> None:
        super().__init__(message, refusal=refusal, **details)


@dataclass(frozen=True)
class Subject:
    """What is to be approved: a plan on a target. ``target_state`` is what the act changes, so that it is not repeated."""

    procedure: str
    target: str
    inventory: str
    parameters: Mapping[str, Any]
    plan: Any
    summary: Sequence[str]
    target_state: Any

    @property
    def plan_digest(self) -> str:
        return digest(self.plan, self.summary)

    def bound(self) -> dict[str, Any]:
        """The fields that a request for it holds, whoever asks and whenever."""
        return {
            **{name: getattr(self, name) for name in _BOUND},
            "plan_digest": self.plan_digest,
            "plan_summary": list(self.summary),
        }


@dataclass(frozen=True)
class Request:
    """A request as it was read: its fields, checked for shape only, and the canonical text of them."""

    fields: Mapping[str, Any]
    text: str

    @property
    def requested_at(self) -> float:
        return _seconds("requested_at", self.fields["requested_at"])

    @property
    def expires_at(self) -> float:
        return _seconds("expires_at", self.fields["expires_at"])


def canonical(value: Any) -> str:
    """The one JSON text of a value: sorted keys, two blanks of indent, ASCII only, a final newline.

    Two values have the same text only when they are the same JSON. InputError for what is not JSON.
    """
    try:
        _plain(value)
        return json.dumps(value, sort_keys=True, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"it cannot be written as JSON: {shorten(str(error), 200)}") from None


def digest(plan: Any, summary: Sequence[str]) -> str:
    """What stands for a plan and its readable form: ``sha256:`` and 64 hexadecimal digits."""
    text = canonical({"plan": plan, "summary": list(summary)})
    return f"sha256:{hashlib.sha256(text.encode('ascii')).hexdigest()}"


def summary_of(plan: Any) -> list[str]:
    """A plan as lines ``path: value``; what is too long is told of, and covered by the digest all the same."""
    lines: list[str] = []
    _flatten(plan, "", lines)
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more lines, covered by the digest"]
    return [shorten(line, LINE_CHARACTERS) for line in lines]


def subject(params: Mapping[str, Any]) -> Subject:
    """The subject of a task's options. InputError for what is empty, holds a secret, or is no JSON."""
    for name in ("procedure", "target", "inventory"):
        if not params[name].strip():
            raise InputError(f"{name} is empty: is the variable set that it comes from?")
    for name in ("plan", "target_state"):
        if params[name] in (None, "", [], {}):
            raise InputError(
                f"{name} is empty: an approval is for a plan on a target in a known state, so that it holds once"
            )
    summary = params["plan_summary"] or summary_of(params["plan"])
    made = Subject(
        procedure=params["procedure"],
        target=params["target"],
        inventory=params["inventory"],
        parameters=params["parameters"],
        plan=params["plan"],
        summary=tuple(summary),
        target_state=params["target_state"],
    )
    for name in ("procedure", "target", "inventory", "parameters", "plan", "summary", "target_state"):
        _refuse_unfit("plan_summary" if name == "summary" else name, getattr(made, name))
    return made


def make(what: Subject, requested_by: str, reason: str, now: float, valid_hours: float) -> Request:
    """A request of ``requested_by`` that holds from now on, for ``valid_hours``."""
    for name, value in (("requested_by", requested_by), ("reason", reason)):
        _refuse_unfit(name, value)
    fields = {
        **what.bound(),
        "format": FORMAT,
        "requested_at": _shown(now),
        "expires_at": _shown(now + valid_hours * 3600),
        "requested_by": requested_by,
        "reason": reason,
    }
    text = canonical(fields)
    if len(text) > MOST_BYTES:
        raise InputError(
            f"the request would have {len(text)} characters, at most {MOST_BYTES} are signed: give a shorter "
            "plan_summary, its digest covers the plan"
        )
    if redact.certain(text) != text:
        raise InputError("the request reads as if it held a secret (a token, a key, a password in a URL): leave it out")
    return Request(fields, text)


def read(given: Any) -> Request:
    """A request from its text or its fields. NotApprovedError when it is none."""
    try:
        fields = json.loads(given, object_pairs_hook=_once) if isinstance(given, str | bytes) else given
        text = canonical(fields)
    except (ValueError, RecursionError, InputError) as error:
        raise NotApprovedError("malformed", f"the request is no JSON: {shorten(clean(str(error)), 200)}") from None
    if not isinstance(fields, Mapping) or fields.get("format") != FORMAT or set(fields) != _KEYS:
        found = sorted(str(key) for key in fields)[:20] if isinstance(fields, Mapping) else type(fields).__name__
        raise NotApprovedError(
            "malformed",
            f"the request is not of format {FORMAT}: found {shorten(clean(str(found)), 300)}. "
            "Take the text as check mode gives it.",
        )
    request = Request(fields, text)
    if request.expires_at <= request.requested_at:
        raise NotApprovedError("malformed", "the request expires before it was made")
    return request


def same_subject(request: Request, what: Subject) -> bool:
    """Whether the request asks for exactly this."""
    return all(canonical(request.fields[name]) == canonical(value) for name, value in what.bound().items())


def compare(request: Request, what: Subject) -> None:
    """NotApprovedError when the request is for something else than ``what``; it says what differs."""
    bound = what.bound()
    for name, meaning in _BOUND.items():
        asked, found = canonical(request.fields[name]), canonical(bound[name])
        if asked != found:
            lines = differences(summary_of(request.fields[name]), summary_of(bound[name]))
            raise NotApprovedError(
                f"{name}_differs",
                f"the request does not fit this run: {meaning}. {_first(lines)}Ask for approval anew.",
                differences=lines,
            )
    if (
        request.fields["plan_digest"] == bound["plan_digest"]
        and request.fields["plan_summary"] == bound["plan_summary"]
    ):
        return
    lines = differences(list(map(str, request.fields["plan_summary"])), bound["plan_summary"])
    told = _first(lines) or "Its summary reads the same, details that the digest covers have changed. "
    raise NotApprovedError(
        "plan_differs",
        f"the plan has changed since it was approved (approved {_brief(request.fields['plan_digest'])}, now "
        f"{_brief(bound['plan_digest'])}). {told}Run in check mode again and ask for approval of what it shows.",
        differences=lines,
    )


def check_time(request: Request, now: float, max_validity_hours: float, clock_skew_seconds: float) -> None:
    """NotApprovedError when the request does not hold now, or holds longer than is allowed."""
    begins, ends = request.requested_at, request.expires_at
    if begins > now + clock_skew_seconds:
        raise NotApprovedError(
            "not_yet_valid",
            f"the request was made at {_shown(begins)}, and it is {_shown(now)} here: one of the clocks is wrong, or "
            "the request was made for later",
        )
    if now >= ends:
        raise NotApprovedError(
            "expired", f"the request expired at {_shown(ends)}, it is {_shown(now)} here. Ask for approval anew."
        )
    if ends - begins > max_validity_hours * 3600:
        raise NotApprovedError(
            "valid_too_long",
            f"the request holds for {(ends - begins) / 3600:.1f} hours, at most {max_validity_hours:g} are allowed "
            "(max_validity_hours)",
        )


def differences(approved: Sequence[str], now: Sequence[str]) -> list[str]:
    """Lines that only the one has (``- ``) and only the other (``+ ``), at most MOST_DIFFERENCES."""
    lines = [line for line in difflib.ndiff(approved[:MOST_LINES], now[:MOST_LINES]) if line[:2] in ("- ", "+ ")]
    shown = [redact.observed(line, LINE_CHARACTERS) for line in lines[:MOST_DIFFERENCES]]
    return [*shown, f"and {len(lines) - MOST_DIFFERENCES} more"] if len(lines) > MOST_DIFFERENCES else shown


def _first(lines: Sequence[str]) -> str:
    return f"Approved (-) and now (+): {'; '.join(lines[:4])}{' ...' if len(lines) > 4 else ''}. " if lines else ""


def _brief(value: Any) -> str:
    return shorten(clean(str(value)).removeprefix("sha256:"), 12).split("...", 1)[0]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; one that names a key twice could be read in two ways."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key stands there twice")
    return made


def _plain(value: Any) -> None:
    """TypeError for keys that JSON would turn into text, which would make two values one."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text")
            _plain(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _plain(item)


def _flatten(value: Any, path: str, lines: list[str]) -> None:
    if isinstance(value, Mapping) and value:
        for key in sorted(value):
            _flatten(value[key], f"{path}.{key}" if path else str(key), lines)
    elif isinstance(value, list | tuple) and value:
        for number, item in enumerate(value):
            _flatten(item, f"{path}[{number}]", lines)
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        lines.append(f"{path}: {text}" if path else text)


def _refuse_unfit(name: str, value: Any) -> None:
    """InputError for what must not be shown, or would be shown otherwise than it is signed."""
    try:
        text = canonical(value)
    except InputError as error:
        raise InputError(f"{name}: {error.message}") from None
    if json.loads(text) != json_safe(json.loads(text)):
        raise InputError(f"{name} holds control characters, which people cannot see when they sign: leave them out")
    if redact.data(json.loads(text)) != json.loads(text):
        raise InputError(
            f"{name} holds what looks like a secret (a token, a key, a password in a URL). A request is shown and sent "
            "around: leave it out"
        )


def _seconds(name: str, value: Any) -> float:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value):
        raise NotApprovedError("malformed", f"{name} of the request is not a time like 2026-11-23T04:05:06Z")
    try:
        return datetime.datetime.strptime(value, TIME).replace(tzinfo=datetime.UTC).timestamp()
    except ValueError:
        raise NotApprovedError("malformed", f"{name} of the request is no date") from None


def _shown(seconds: float) -> str:
    return datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime(TIME)

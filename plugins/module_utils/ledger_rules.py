# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the BackOffice makes of one ledger line at boot.

``judge`` is the rule, written to be read. ``WHOLE_LINES`` is the same rule as one regular expression for the lines the
service itself writes, hundreds of times faster; it accepts a subset of what ``judge`` finds good and nothing else, so a
line that it does not accept is simply judged.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

FATAL = "fatal"
SKIPPED = "skipped"
SILENT = "silent"
UNJUDGED = "unjudged"
CLASSES = (FATAL, SKIPPED, SILENT, UNJUDGED)  # worst first

REASONS = {
    "bad_side": FATAL,
    "not_utf8": FATAL,
    "broken_json": SKIPPED,
    "torn_tail": SKIPPED,
    "glued": SKIPPED,
    "not_an_object": SKIPPED,
    "unknown_type": SKIPPED,
    "missing_field": SKIPPED,
    "bad_at": SKIPPED,
    "number_as_text": SILENT,
    "number_as_other": SILENT,
    "number_inexact": SILENT,
    "trailing_data": SILENT,
    "too_long": UNJUDGED,
}
"""Each reason for which a line is bad, and its class.

fatal = the process dies at boot; skipped = the line is left out, without a word; silent = counted as applied,
but not read as it is written; unjudged = too long to be read into memory.
"""

TYPES = ("OrderAccepted", "Fill")
SIDES = ("BUY", "SELL")
HEAD_FIELDS = ("at", "accountId", "orderId", "symbol", "side")
FILL_FIELDS = ("filledQtyDelta", "filledQtyTotal", "quoteCcy", "quoteCashDelta")
NUMBERS = ("filledQtyDelta", "filledQtyTotal", "price", "quoteCashDelta", "feeQuote")
LONGEST_NEGATIVE, LONGEST = -(2**63), 2**63 - 1
SHOWN = 60  # characters of a value that a detail shows

# What java.time.Instant.parse accepts, fraction of up to nine digits and offset included.
_AT = re.compile(
    r"(?:\d{4}|-\d{4,10}|\+\d{5,10})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d{0,9})?(?:Z|[+-](\d\d):(\d\d)(?::(\d\d))?)",
    re.ASCII | re.IGNORECASE,
)
_DAYS = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LAST_YEAR = 10**9


def _strings() -> dict[str, bytes]:
    """The parts of the fast expression. Only single characters repeat possessively: a possessive group that matches in
    part leaves Python before 3.11.5 (Debian 12 has 3.11.2) in the middle of the text, and broken lines are accepted."""
    text = rb'"[ !#-\[\]-\xff]*+"'
    whole = rb"(?:[1-9][0-9]{0,17}+|0|-[1-9][0-9]{0,17}+)"
    date = (
        rb"[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
        rb"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    )
    at = date + rb"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,9}+)?Z"
    head = rb'","at":"%b","accountId":%b,"orderId":%b,"symbol":%b,"side":"(?:BUY|SELL)"' % (at, text, text, text)
    fill = (
        rb',"filledQtyDelta":%b,"filledQtyTotal":%b(?:,"price":(?:%b|null))?,"quoteCcy":%b,"quoteCashDelta":%b'
        rb'(?:,"feeQuote":%b)?' % (whole, whole, whole, text, whole, whole)
    )
    return {"head": head, "fill": fill}


def _whole_lines(ascii_only: bool) -> re.Pattern[bytes]:
    parts = _strings()
    line = rb'\{"type":"(?:OrderAccepted%b|Fill%b%b)\}\r?\n' % (parts["head"], parts["head"], parts["fill"])
    if ascii_only:
        line = line.replace(rb"\xff", rb"\x7f")
    return re.compile(rb"(?:%b)*" % line)


WHOLE_LINES = {True: _whole_lines(ascii_only=True), False: _whole_lines(ascii_only=False)}
"""Matches as many good lines as follow each other, each with its newline. Key True: lines of ASCII only; key False:
only for data that is known to be valid UTF-8."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a line is bad. ``detail`` may quote a little of the line: whoever shows it redacts it."""

    reason: str
    detail: str

    @property
    def kind(self) -> str:
        return REASONS[self.reason]


def is_blank(line: bytes) -> bool:
    """Whether the service passes over the line as blank (it counts it, neither as applied nor as skipped)."""
    if not line.strip():
        return True
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return False
    return text.isspace() and "\x85" not in text


def judge(line: bytes) -> Fault | None:
    """Why the line is bad; None when it is good. The line comes without its terminator and is not blank."""
    try:
        text = line.decode().lstrip(" \t")
    except UnicodeDecodeError as error:
        return Fault("not_utf8", f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line is not UTF-8")
    try:
        value, end = _DECODER.raw_decode(text)
    except RecursionError:
        return Fault("broken_json", "nested too deep")
    except ValueError as error:
        return _broken(text, error)
    if not isinstance(value, dict):
        return Fault("not_an_object", f"a JSON {_type_name(value)}")
    fault = _head(value) or (_fill(value) if value["type"] == "Fill" else None)
    if fault is None and text[end:].strip():
        return Fault("trailing_data", f"only the first object is read; what follows it is lost: {_shown(text[end:])}")
    return fault


def at_of(line: bytes) -> str | None:
    """The field ``at`` of a good line."""
    try:
        return str(json.loads(line)["at"])
    except (ValueError, KeyError, TypeError):
        return None


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _broken(text: str, error: ValueError) -> Fault:
    """Broken JSON; told apart when a whole event stands at its end: it was appended to a line without newline."""
    start = text.rfind('{"type":')
    if start > 0 and text.startswith("{"):
        try:
            event = json.loads(text[start:])
        except (ValueError, RecursionError):
            event = None
        if isinstance(event, dict) and _head(event) is None:
            what = f"a torn line with a whole {event['type']} of order {_shown(event['orderId'])} glued to it"
            return Fault("glued", f"{what}: that event is lost too")
    position = error.pos + 1 if isinstance(error, json.JSONDecodeError) else 1
    message = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
    return Fault("broken_json", f"{message} at character {position}")


def _head(entry: dict[str, Any]) -> Fault | None:
    kind = entry.get("type")
    if kind is None:
        return Fault("missing_field", "missing: type")
    if kind not in TYPES:
        return Fault("unknown_type", f"type {_shown(kind)}; known are {' and '.join(TYPES)}")
    fault = _missing(entry, HEAD_FIELDS)
    if fault:
        return fault
    if not isinstance(entry["at"], str):
        return Fault("bad_at", f"at is a {_type_name(entry['at'])}, not ISO 8601 text")
    if not is_instant(entry["at"]):
        return Fault("bad_at", f"at {_shown(entry['at'])} is no ISO 8601 instant")
    if entry["side"] not in SIDES:
        return Fault("bad_side", f"side {_shown(entry['side'])}; only BUY and SELL, in capitals, are read")
    return None


def _fill(entry: dict[str, Any]) -> Fault | None:
    return _missing(entry, FILL_FIELDS) or next(filter(None, (_number(entry, name) for name in NUMBERS)), None)


def _missing(entry: dict[str, Any], names: tuple[str, ...]) -> Fault | None:
    missing = [name for name in names if entry.get(name) is None]
    return Fault("missing_field", f"missing: {', '.join(missing)}") if missing else None


def _number(entry: dict[str, Any], name: str) -> Fault | None:
    value = entry.get(name)
    if value is None:
        return None
    if isinstance(value, str):
        return Fault("number_as_text", f"{name} is text {_shown(value)}: read as 0 unless the text is a number")
    if isinstance(value, (bool, list, dict)):
        return Fault("number_as_other", f"{name} is a {_type_name(value)}, not a number")
    if (isinstance(value, float) and not value.is_integer()) or not LONGEST_NEGATIVE <= value <= LONGEST:
        return Fault("number_inexact", f"{name} {_shown(value)} is cut to a 64-bit integer")
    return None


def is_instant(text: str) -> bool:
    """Whether java.time.Instant.parse accepts the text."""
    match = _AT.fullmatch(text)
    if match is None:
        return False
    month, day, hour, minute, second = (int(part) for part in match.groups()[:5])
    year = int(text[: match.start(1) - 1])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= month <= 12 or not 1 <= day <= _DAYS[month] or (month == 2 and day == 29 and not leap):
        return False
    if abs(year) > _LAST_YEAR or text.startswith("-0000"):
        return False
    fraction = (match[6] or "").strip(".0")
    whole_day = hour == 24 and minute == second == 0 and not fraction
    leap_second = hour == 23 and minute == 59 and second == 60
    if not (whole_day or leap_second or (hour <= 23 and minute <= 59 and second <= 59)):
        return False
    offset_hour, offset_minute, offset_second = (int(part or 0) for part in match.groups()[6:])
    total = offset_hour * 3600 + offset_minute * 60 + offset_second
    return offset_minute <= 59 and offset_second <= 59 and total <= 18 * 3600


def _type_name(value: object) -> str:
    names = {bool: "boolean", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names.get(type(value), "null")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}'" if len(text) <= SHOWN else f"'{text[:SHOWN]}...'"

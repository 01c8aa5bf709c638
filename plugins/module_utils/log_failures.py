# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a log says about a failure: its statements, the most telling first. Pure, no rule about causes here.

A stack trace says the same several times, from the general to the particular: the deepest ``Caused by:`` of Java, the
first of Python's chained tracebacks. Spring Boot's ``APPLICATION FAILED TO START`` puts the particular into words. So:
reports first, then exceptions from the deepest outwards, newest trace first, then error lines, newest first.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from .redact import observed
from .text import clean

Kind = Literal["report", "exception", "error", "warning", "line"]

MOST_LINE = 4000
MOST_STATEMENTS = 200
MOST_HEADER_LINES = 30
MOST_MESSAGE_LINES = 12
LAST_LINES = 30

_FRAME = re.compile(r"^\s*(?:at [\w.$<>@/\\:\[\] -]+[(:\w]|\.\.\. \d+ (?:more|common frames omitted))")
_CAUSED = re.compile(r"^\s*(?:Caused by|Wrapped by): ")
_SUPPRESSED = re.compile(r"^\s+Suppressed: ")
_EXCEPTION = re.compile(
    r"(?:^|[\s:])(?:[a-zA-Z_][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error|Failure|Throwable|Timeout|Refused)(?=$|[:\s])"
)
_BARE = re.compile(r"(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?:$|: )")
_LOG_LINE = re.compile(r"^\W{0,3}\d{2,4}[-:/]\d\d[-:/T]\d\d")
_REPORT = re.compile(r"^APPLICATION FAILED TO START\s*$")
_TRACEBACK = "Traceback (most recent call last):"
_LEVELS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    (
        "error",
        re.compile(
            r"\b(?:ERROR|FATAL|SEVERE|CRITICAL|PANIC|EMERG)\b|^(?:panic|fatal error|FATAL ERROR|Error|error|exec |Exception in)"
            r"|^(?:/\S+: )?(?:line )?(?:\d+: )?\S+: (?:not found|Permission denied|No such file or directory)"
            r"|OutOfMemoryError|^(?:[a-z_][\w$]*\.)+[A-Z][\w$]*(?:Exception|Error)(?:$|:)"
        ),
    ),
    ("warning", re.compile(r"\bWARN(?:ING)?\b", re.IGNORECASE)),
)
_JSON_MESSAGE = ("message", "msg", "@message", "event", "log")
_JSON_LEVEL = ("level", "severity", "log.level", "levelname", "lvl")
_JSON_STACK = ("stack_trace", "stack", "exception", "exc_info", "error.stack_trace", "stackTrace", "traceback")
_JSON_TIME = ("@timestamp", "timestamp", "time", "ts")


@dataclass(frozen=True)
class Statement:
    """One thing that the log says. ``chain`` is everything that was said in the same breath (the whole chain of
    exceptions), ``line`` the number of its first line in the log as given, from 0."""

    kind: Kind
    text: str
    line: int
    chain: str = ""

    @property
    def lines(self) -> range:
        """The numbers of the lines that it stands on."""
        return range(self.line, self.line + self.text.count("\n") + 1)

    @property
    def context(self) -> str:
        return self.chain or self.text

    def shown(self, characters: int = 500) -> str:
        """The statement as one line, without secrets."""
        return observed(" ".join(self.text.split()), characters)


def lines_of(log: bytes | str) -> list[str]:
    """The lines of a log; JSON lines are put into words (time, level, message, stack trace)."""
    found: list[str] = []
    for line in clean(log).split("\n"):
        found += _from_json(line) if line.startswith("{") else [line[:MOST_LINE].rstrip()]
    while found and not found[-1]:
        found.pop()
    return found


def _from_json(line: str) -> list[str]:
    try:
        row = json.loads(line)
    except ValueError:
        return [line[:MOST_LINE]]
    if not isinstance(row, dict):
        return [line[:MOST_LINE]]
    flat = {**row, **{f"error.{key}": value for key, value in _nested(row, "error").items()}}
    flat |= {f"log.{key}": value for key, value in _nested(row, "log").items()}
    head = [_first(flat, names) for names in (_JSON_TIME, _JSON_LEVEL, _JSON_MESSAGE)]
    head[1] = head[1].upper()
    stack = _first(flat, _JSON_STACK)
    said = " ".join(part for part in head if part) or line
    return [part[:MOST_LINE].rstrip() for part in [*said.split("\n"), *(stack.split("\n") if stack else [])]]


def _nested(row: dict[str, Any], name: str) -> dict[str, Any]:
    value = row.get(name)
    return value if isinstance(value, dict) else {}


def _first(row: dict[str, Any], names: tuple[str, ...]) -> str:
    return next((str(row[name]) for name in names if isinstance(row.get(name), (str, int, float))), "")


def statements(lines: list[str]) -> list[Statement]:
    """What the log says about a failure, the most telling first; every line at the end of the log is among them."""
    traces = [*_traces(lines), *_tracebacks(lines)]
    traces.sort(key=lambda trace: max(one.line for one in trace), reverse=True)
    taken = {number for trace in traces for one in trace for number in one.lines}
    told = list(_lines(lines, taken))
    found = [*_reports(lines), *(one for trace in traces for one in trace)]
    for kind in ("error", "warning", "line"):
        found += [one for one in told if one.kind == kind]
    return found[:MOST_STATEMENTS]


def _reports(lines: list[str]) -> list[Statement]:
    """The descriptions of Spring Boot's failure reports, the newest first."""
    found = []
    for start in (number for number, line in enumerate(lines) if _REPORT.match(line)):
        block = lines[start + 1 : start + 60]
        description = _section(block, "Description:", ("Action:",))
        action = _section(block, "Action:", ())
        if description:
            found.append(Statement("report", description, start, f"{description}\n{action}"))
    return found[::-1]


def _section(block: list[str], title: str, ends: tuple[str, ...]) -> str:
    if title not in block:
        return ""
    said: list[str] = []
    for line in block[block.index(title) + 1 :]:
        if line in ends or _LOG_LINE.match(line):
            break
        said.append(line)
    return "\n".join(said).strip()


def _traces(lines: list[str]) -> list[list[Statement]]:
    """Java and Node stack traces, each as its exceptions from the deepest outwards."""
    traces: list[list[tuple[int, str]]] = []
    last_end = -1
    for start, header, end in _headers(lines):
        text = "\n".join(header)
        if _CAUSED.match(text) and traces and start - last_end <= 1:
            traces[-1].append((start, text))
        else:
            traces.append([(start, text)])
        last_end = end
    return [_chained(trace) for trace in traces]


def _headers(lines: list[str]) -> Iterator[tuple[int, list[str], int]]:
    """The header of each exception: (its first line, its text, the line after its frames)."""
    number = 0
    previous_end = 0
    while number < len(lines):
        bare = _without_frames(lines, number)
        if not bare and not _FRAME.match(lines[number]):
            number += 1
            continue
        start = number if bare else _header_start(lines, number, previous_end)
        stop = number + 1 if start == number else number
        end = stop
        while end < len(lines) and (_FRAME.match(lines[end]) or _SUPPRESSED.match(lines[end])):
            end += 1
        if start is not None and start < stop:
            yield start, lines[start:stop][:MOST_MESSAGE_LINES], end
        previous_end = number = max(end, number + 1)


def _without_frames(lines: list[str], number: int) -> bool:
    """An exception whose frames were cut off, or left out by the log's format: a cause, or what has one at once."""
    following = lines[number + 1 : number + MOST_MESSAGE_LINES]
    if _CAUSED.match(lines[number]):
        return not any(_FRAME.match(line) for line in following)
    return bool(_BARE.match(lines[number]) and following and _CAUSED.match(following[0]))


def _header_start(lines: list[str], frame: int, earliest: int) -> int | None:
    """The line where the exception before this frame begins: its cause line, else the nearest that names a class."""
    named = None
    for number in range(frame - 1, max(earliest, frame - MOST_HEADER_LINES) - 1, -1):
        line = lines[number]
        if _CAUSED.match(line):
            return number
        if _EXCEPTION.search(line):
            named = number
            if _LOG_LINE.match(line) or line[:1].strip():
                return number
        elif _LOG_LINE.match(line):
            break
    return named


def _chained(trace: list[tuple[int, str]]) -> list[Statement]:
    """The root cause is printed last, or first where the log is configured so."""
    chain = "\n".join(text for _number, text in trace)
    root_first = any(text.lstrip().startswith("Wrapped by") for _number, text in trace)
    ordered = trace if root_first else trace[::-1]
    return [Statement("exception", _without_word(text), number, chain) for number, text in ordered]


def _without_word(text: str) -> str:
    return _CAUSED.sub("", text, count=1)


def _tracebacks(lines: list[str]) -> list[list[Statement]]:
    """Python's tracebacks; chained ones are one, whose first is the root."""
    groups: list[list[tuple[int, str]]] = []
    number, last_end = 0, 0
    while number < len(lines):
        if not lines[number].strip().endswith(_TRACEBACK):
            number += 1
            continue
        end = number + 1
        while end < len(lines) and (lines[end][:1] in (" ", "\t", "|", "+") or not lines[end]):
            end += 1
        stop = end + 1
        while stop < len(lines) and stop - end < MOST_MESSAGE_LINES and lines[stop][:1] == "\t":
            stop += 1
        text = "\n".join(lines[end:stop])
        if text and groups and _joined(lines[last_end:number]):
            groups[-1].append((end, text))
        elif text:
            groups.append([(end, text)])
        number = last_end = max(stop, number + 1)
    chains = ["\n".join(text for _number, text in group) for group in groups]
    return [
        [Statement("exception", text, number, chain) for number, text in group]
        for group, chain in zip(groups, chains, strict=True)
    ]


def _joined(between: list[str]) -> bool:
    """Whether Python says that one traceback came of the other."""
    return any(line.startswith(("During handling of", "The above exception was")) for line in between)


def _lines(lines: list[str], taken: set[int]) -> Iterator[Statement]:
    """Single lines, the newest first: errors and warnings wherever they stand, others at the end only."""
    for number in range(len(lines) - 1, -1, -1):
        line = lines[number]
        if not line or number in taken or _FRAME.match(line):
            continue
        kind = next((kind for kind, pattern in _LEVELS if pattern.search(line)), None)
        if kind or number >= len(lines) - LAST_LINES:
            yield Statement(kind or "line", line, number)

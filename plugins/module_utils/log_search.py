# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bounded search of log files for patterns that should, or should not, be there."""

from __future__ import annotations

import contextlib
import functools
import re
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from . import checks, log_search_file, log_search_times
from .argspec import ArgumentSpec
from .bounded_regex import compiled, interrupted_after
from .clock import Deadline
from .errors import DeadlineError, InputError
from .log_search_file import Position, Window
from .operation import Context
from .redact import observed
from .service_time import option

EXCERPT_CHARACTERS = 500
MOST_PATTERNS = 50
MOST_MATCHES_KEPT = 2000
LIMITS = {"tail_bytes": (1024, 1 << 30), "max_matches": (1, 200), "max_files": (1, 200), "timeout": (1, 3600)}
LINES_BETWEEN_LOOKS = 1024

SPEC = ArgumentSpec(
    options={
        "paths": {"type": "list", "elements": "path", "required": True},
        "patterns": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": {
                "id": {"type": "str", "required": True},
                "text": {"type": "str"},
                "regex": {"type": "str"},
                "ignore_case": {"type": "bool", "default": False},
                "title": {"type": "str", "default": ""},
                "expect": {"type": "str", "default": "any", "choices": ["present", "absent", "any"]},
                "hint": {"type": "str", "default": ""},
                "runbook": {"type": "str", "default": ""},
            },
            "mutually_exclusive": [["text", "regex"]],
            "required_one_of": [["text", "regex"]],
        },
        "from_offset": {"type": "dict", "default": {}},
        "since": {"type": "str"},
        "time_regex": {"type": "str"},
        "tail_bytes": {"type": "int", "default": 8 << 20},
        "max_matches": {"type": "int", "default": 20},
        "max_files": {"type": "int", "default": 20},
        "timeout": {"type": "float", "default": 60.0},
    },
)


@dataclass(frozen=True)
class Match:
    """One line that matched, raw; ``matched`` is the part that did, ``line`` its number in the window, from 1."""

    window: Window
    offset: int
    line: int
    text: str
    matched: str
    groups: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        shown = observed(self.text, log_search_file.LINE_BYTES)
        start = max(0, shown.find(self.matched[:EXCERPT_CHARACTERS]))
        begin = 0 if start < EXCERPT_CHARACTERS // 2 else start - EXCERPT_CHARACTERS // 4
        return {
            "path": self.window.path,
            "offset": self.offset,
            "line_from_end": self.window.lines - self.line + 1,
            "dated": self.window.dated,
            "excerpt": observed(("..." if begin else "") + shown[begin:], EXCERPT_CHARACTERS),
            "groups": {name: value for name, value in self.groups.items() if value in shown},
        }


@dataclass
class Pattern:
    """One thing to look for, and what was found: how often, and the newest lines."""

    id: str
    regex: re.Pattern[str] | None
    text: str
    title: str
    expect: str
    hint: str
    runbook: str
    newest: deque[Match]
    count: int = 0

    def look(self, window: Window, offset: int, line: str) -> None:
        """Keep the line if it matches."""
        if self.regex is None:
            if self.text not in line:
                return
            matched, groups = self.text, {}
        else:
            match = self.regex.search(line)
            if match is None:
                return
            matched = match[0]
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
        self.count += 1
        self.newest.append(Match(window, offset, window.lines, line, matched, groups))


@dataclass
class Search:
    """Patterns looked for in windows. ``stopped`` says why the search ended early."""

    patterns: list[Pattern]
    windows: list[Window] = field(default_factory=list)
    stopped: str = ""

    @property
    def complete(self) -> bool:
        return not self.stopped and all(window.complete for window in self.windows)

    def run(self, deadline: Deadline) -> None:
        """Search every window; what could not be searched is noted where it belongs."""
        current: list[Pattern] = []
        try:
            with interrupted_after(deadline):
                for window in self.windows:
                    self._search(window, deadline, current)
        except DeadlineError:
            busy = f", at the pattern {current[0].id}" if current else ""
            self.stopped = f"the search ended after {deadline.seconds:g} s{busy}: raise timeout, or simplify the regex"

    def _search(self, window: Window, deadline: Deadline, current: list[Pattern]) -> None:
        if window.problem:
            return
        try:
            for offset, text, _behind in log_search_file.lines(window):
                if window.lines % LINES_BETWEEN_LOOKS == 0:
                    deadline.within(1, "the next lines")
                for pattern in self.patterns:
                    current[:] = [pattern]
                    pattern.look(window, offset, text)
                current.clear()
        except OSError as error:
            window.problem = f"it cannot be read to its end: {error.strerror}"
        if window.cut_lines:
            window.notes.append(f"{window.cut_lines} lines were cut at {log_search_file.LINE_BYTES} bytes")


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Search, and compare with what is expected."""
    _limits(params)
    patterns = [_pattern(given, params["max_matches"]) for given in _distinct(params["patterns"])]
    time_regex = compiled("time_regex", params["time_regex"] or log_search_times.DEFAULT_REGEX)
    if not time_regex.groups:
        raise InputError("time_regex has no group: put the time in parentheses")
    starts = _positions(params["from_offset"])
    since = option("since", params["since"])
    files, missing = log_search_file.resolve(params["paths"], params["max_files"])
    search = Search(patterns)
    ends = {window.path: Position(0) for window in missing}
    for path in files:
        opened = log_search_file.windows(path, params["tail_bytes"], starts.get(path))
        ends[path] = Position(opened[-1].size, opened[-1].inode)
        search.windows += opened
    search.windows += missing
    with contextlib.suppress(DeadlineError), interrupted_after(context.deadline):
        for window in search.windows if since is not None else []:
            _narrow(window, since or 0.0, time_regex)
    search.run(context.deadline)
    rows = [check for pattern in patterns if (check := _check(pattern, search, since is not None))]
    return checks.report(
        [*rows, *(_file_check(window) for window in search.windows)],
        found={
            pattern.id: {"count": pattern.count, "matches": [match.as_dict() for match in pattern.newest]}
            for pattern in patterns
        },
        files=[window.as_dict() for window in search.windows],
        searched_bytes=sum(max(0, window.end - window.begin) for window in search.windows if not window.problem),
        truncated=any(window.begin > window.asked for window in search.windows),
        complete=search.complete,
        end_offsets={path: end.as_dict() for path, end in ends.items()},
    )


def _narrow(window: Window, since: float, regex: re.Pattern[str]) -> None:
    """Let the window begin at ``since``, as far as the times in it, or of its last write, tell."""
    if window.problem:
        return
    if window.written_at < since - 1:
        window.asked = window.begin = window.end
        window.notes.clear()
        return
    try:
        read = functools.partial(log_search_file.lines, window)
        place = log_search_times.find(read, window.begin, since, regex, window.written_at)
    except OSError as error:
        window.problem = f"it cannot be read: {error.strerror}"
        return
    window.dated = place.dated or window.begin == window.end
    if place.reaches:
        window.asked = window.begin = place.offset
        window.notes = [note for note in window.notes if not note.startswith("only the last")]


def _check(pattern: Pattern, search: Search, with_time: bool) -> checks.Check | None:
    """What the count says about the expectation; nothing for a pattern of which nothing is expected and found."""
    if pattern.expect == "any" and not pattern.count:
        return None
    right: bool | None = pattern.expect == "any" or (pattern.count > 0) == (pattern.expect == "present")
    hint = pattern.hint
    undated = with_time and pattern.count and not any(match.window.dated for match in pattern.newest)
    if undated and pattern.expect != "any":
        right, hint = None, "Found, but its lines carry no time that time_regex recognises: it may be older than since."
    elif pattern.count == 0 and not search.complete:
        right, hint = None, "Not found in what was searched, which is not all that was asked for: " + _limits_of(search)
    if not hint:
        hint = (
            "All that was asked for was searched." if pattern.count == 0 else "The lines stand in found, newest last."
        )
    newest = pattern.newest[-1].as_dict()["excerpt"] if pattern.newest else ""
    return checks.Check(
        id=f"log.{pattern.id}",
        title=pattern.title or f"log: {pattern.text or pattern.id}",
        status=checks.status_of(right),
        observed=f"{pattern.count} times, last: {observed(newest, 160)}" if newest else "not found",
        expected=pattern.expect,
        hint=hint,
        runbook=pattern.runbook,
    )


def _limits_of(search: Search) -> str:
    reasons = [search.stopped] if search.stopped else []
    for window in search.windows:
        reasons += [f"{window.path}: {reason}" for reason in filter(None, (window.problem, *window.notes))]
    return observed("; ".join(reasons), 400)


def _file_check(window: Window) -> checks.Check:
    noted = [f"{window.nul_lines} lines with NUL bytes"] if window.nul_lines else []
    noted += [f"{window.invalid_utf8_lines} lines that are not UTF-8"] if window.invalid_utf8_lines else []
    return checks.Check(
        id=f"log_file.{window.path}",
        title=f"log file {window.path}",
        status=checks.UNVERIFIED if window.problem else checks.PASS,
        observed=window.problem or f"{max(0, window.end - window.begin)} of {window.size} bytes searched",
        expected="readable",
        hint="; ".join([*window.notes, *noted]) or "That a file was searched says nothing about what the service does.",
    )


def _distinct(given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(given) > MOST_PATTERNS:
        raise InputError(f"patterns has {len(given)} entries, at most {MOST_PATTERNS} are taken in one task")
    ids = [pattern["id"] for pattern in given]
    twice = sorted({i for i in ids if ids.count(i) > 1})
    if twice:
        raise InputError(f"patterns names {', '.join(twice)} more than once")
    wrong = [i for i in ids if not re.fullmatch(r"[A-Za-z0-9_.-]{1,60}", i)]
    if wrong:
        raise InputError(
            f"patterns: the id {observed(wrong[0], 60)!r} may hold letters, digits, dots, dashes and _ only"
        )
    return given


def _pattern(given: dict[str, Any], most: int) -> Pattern:
    name = f"pattern {given['id']}"
    if not (given["text"] or given["regex"]):
        raise InputError(f"{name} is empty: it would match every line")
    ignore_case = given["ignore_case"]
    regex = compiled(name, given["regex"], ignore_case) if given["regex"] else None
    if given["text"] and ignore_case:
        regex = compiled(name, re.escape(given["text"]), ignore_case)
    return Pattern(
        id=given["id"],
        regex=regex,
        text=given["text"] or "",
        title=given["title"],
        expect=given["expect"],
        hint=given["hint"],
        runbook=given["runbook"],
        newest=deque(maxlen=most),
    )


def _positions(given: dict[str, Any]) -> dict[str, Position]:
    """``from_offset`` as positions: a number, or what an earlier search returned as end_offsets."""
    found = {}
    for path, value in given.items():
        try:
            if isinstance(value, dict):
                offset, inode = int(value["offset"]), int(value.get("inode") or 0)
                found[path] = Position(offset, inode, existed=bool(inode))
            else:
                found[path] = Position(int(value))
        except (KeyError, TypeError, ValueError):
            found[path] = Position(-1)
        if found[path].offset < 0:
            shown = observed(str(value), 60)
            raise InputError(f"from_offset of {path}: {shown!r} is no number of bytes, nor an entry of end_offsets")
    return found


def _limits(params: dict[str, Any]) -> None:
    if not params["paths"]:
        raise InputError("paths is empty: name the files to search")
    if params["max_matches"] * len(params["patterns"]) > MOST_MATCHES_KEPT:
        raise InputError(f"max_matches times the number of patterns is above {MOST_MATCHES_KEPT}: lower max_matches")
    for name, (least, most) in LIMITS.items():
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least} to {most}")

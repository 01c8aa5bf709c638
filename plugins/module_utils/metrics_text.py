# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A page of metrics, as text of Prometheus or OpenMetrics, down to the few series that are asked for.

A page may have a hundred thousand lines. Those that matter are picked out by one regular expression and kept as text;
only they are parsed, by prometheus_client, when they are needed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from . import libraries, redact

try:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
    from prometheus_client.parser import text_string_to_metric_families as prometheus_families
except ImportError as error:
    libraries.record("prometheus-client", error)

ACCEPT = "text/plain;version=0.0.4"
OPENMETRICS = "application/openmetrics-text"
# Servers that name no type, or a wrong one for text, are read as Prometheus does.
TEXT_TYPES = frozenset({"text/plain", OPENMETRICS, "application/octet-stream", ""})
START_TIME = "process_start_time_seconds"
UPTIME = "process_uptime_seconds"
UPTIMES = (UPTIME, "jvm_uptime_seconds")
COUNTER_SUFFIXES = ("_total", "_count", "_sum", "_bucket")
MOST_NAMES = 5000
MOST_LINES = 50_000
_NAME = re.compile(rb"^[A-Za-z_:][A-Za-z0-9_:]*(?=[ \t{])", re.MULTILINE)
_TYPE = re.compile(rb"^#[ \t]+TYPE[ \t]+([A-Za-z_:][A-Za-z0-9_:]*)[ \t]+([a-z]+)", re.MULTILINE)
_SUFFIX = re.compile(r"(?:_total|_bucket|_count|_sum|_created|_max)$")

Labels = Mapping[str, str]


class NoMetrics(Exception):
    """The body is no page of metrics; the text says what it is instead."""


@dataclass(frozen=True)
class Page:
    """What is kept of a page: the lines of the wanted series, and the types of their families.

    ``there`` are the names of these series, ``names`` those of all series of the page, where one that is asked for was not found under any of its names.
    """

    text: str
    openmetrics: bool = False
    there: frozenset[str] = frozenset()
    types: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Sample:
    """One series at one moment."""

    labels: Labels
    value: float

    @property
    def key(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.labels.items())


class Wanted:
    """What is read of every page: ``groups`` of sample names, of each of which one at least should be there."""

    def __init__(self, groups: Iterable[Iterable[str]]) -> None:
        self._groups = [frozenset(name.encode() for name in group) for group in groups]
        names = {name.decode() for group in self._groups for name in group} | {START_TIME, *UPTIMES}
        families = {_SUFFIX.sub("", name) for name in names} | names
        self._types = frozenset(families)
        self._name_sets: dict[frozenset[str], frozenset[str]] = {}
        self._prometheus = re.compile(rf"^(?:{_any(names)})[ \t{{].*$".encode(), re.MULTILINE)
        self._openmetrics = re.compile(
            rf"^(?:# (?:TYPE|UNIT|HELP) )?(?:{_any(families)})(?:_[a-z]+)?[ {{].*$".encode(), re.MULTILINE
        )

    def page(self, body: bytes, content_type: str) -> Page:
        """The wanted part of a body; raises NoMetrics when it is something else than metrics."""
        if content_type not in TEXT_TYPES:
            raise NoMetrics(f"it is {content_type}, not metrics as text{_start(body)}")
        if not _NAME.search(body):
            raise NoMetrics("it has no series" + (_start(body) if body.strip() else ": the body is empty"))
        openmetrics = content_type == OPENMETRICS
        found = (self._openmetrics if openmetrics else self._prometheus).findall(body)
        there = {name[0] for name in map(_NAME.match, found) if name}
        if len(found) > MOST_LINES:
            raise NoMetrics(f"{len(found)} of its series are asked for, more than {MOST_LINES} are not looked at")
        text = b"\n".join(line.rstrip(b"\r") for line in found).decode("utf-8", errors="replace")
        types = {name.decode(): kind.decode() for name, kind in _TYPE.findall(body)}
        return Page(
            text=f"{text}\n# EOF\n" if openmetrics else f"{text}\n",
            openmetrics=openmetrics,
            there=frozenset(name.decode() for name in there),
            types={name: kind for name, kind in types.items() if name in self._types},
            names=self._names(body) if any(not group & there for group in self._groups) else frozenset(),
        )

    def _names(self, body: bytes) -> frozenset[str]:
        """All names on a page; pages that have the same names share one set."""
        names = _names(body)
        return self._name_sets.setdefault(names, names)


def _any(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names))


def samples(page: Page) -> dict[str, list[Sample]]:
    """The wanted series by name, as they stand on the page; raises NoMetrics for a line that is not as it must be."""
    found: dict[str, list[Sample]] = {}
    try:
        for family in openmetrics_families(page.text) if page.openmetrics else prometheus_families(page.text):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(Sample(sample.labels, float(sample.value)))
    except (ValueError, KeyError, IndexError, TypeError) as problem:
        said = redact.observed(str(problem), 160)
        raise NoMetrics(f"a line on it cannot be read: {type(problem).__name__}: {said}") from None
    return found


def is_counter(name: str, types: Mapping[str, str]) -> bool:
    """Whether a series only rises: by the type that the page says, else by its name."""
    family = _SUFFIX.sub("", name)
    kind = types.get(name) or ("" if name.endswith("_max") else types.get(family, ""))
    if kind == "counter":
        return True
    return kind not in ("gauge", "info", "stateset") and name.endswith(COUNTER_SUFFIXES)


def single(found: Mapping[str, list[Sample]], names: Iterable[str]) -> float | None:
    """The value of the first of ``names`` that has exactly one series with a number."""
    for name in names:
        series = found.get(name, [])
        if len(series) == 1 and math.isfinite(series[0].value):
            return series[0].value
    return None


def _names(body: bytes) -> frozenset[str]:
    names: set[bytes] = set()
    for match in _NAME.finditer(body):
        names.add(match[0])
        if len(names) >= MOST_NAMES:
            break
    return frozenset(name.decode() for name in names)


def _start(body: bytes) -> str:
    start = " ".join(redact.observed(body, 60).split())
    return f"; it begins with {start!r}" if start else ""

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rule finds on the pages of one instance, in a form that can be added up over instances. Pure.

A ``Part`` holds numbers before the last division, so that a ratio, a mean or a quantile over several instances is that
of all their requests together, and not a mean of means.
"""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from . import metrics_math, metrics_names
from .metrics_math import Value, shown
from .metrics_rules import Rule, Selector
from .metrics_text import START_TIME, UPTIMES, Page, Sample, is_counter, samples, single

Group = tuple[tuple[str, str], ...]
Between = Literal["same", "restarted", "mixed", "unknown"]
SIMILAR_NAMES = 3
OTHER_NAMES = 3
START_SLACK_SECONDS = 0.01
UPTIME_SLACK_SECONDS = 2.0


@dataclass(frozen=True)
class Reading:
    """The page of one instance at a time (seconds, monotonic), parsed."""

    at: float
    series: Mapping[str, list[Sample]]
    types: Mapping[str, str] = field(default_factory=dict)
    names: frozenset[str] = frozenset()

    @property
    def start_time(self) -> float | None:
        return single(self.series, (START_TIME,))

    @property
    def uptime(self) -> float | None:
        return single(self.series, UPTIMES)


@dataclass
class Part:
    """What one instance adds to a group. ``reason`` says why a number is unknown, or only a lower bound."""

    number: float | None = 0.0
    divisor: float = 0.0
    buckets: dict[float, float] | None = None
    lower_bound: bool = False
    reason: str = ""


@dataclass
class Found:
    """The parts of one instance by group; or ``problem``, when the rule finds nothing. ``notes`` explain what was used.

    ``moved``: counters were compared between two samples.
    """

    parts: dict[Group, Part] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    moved: bool = False
    problem: str = ""
    hint: str = ""


class _Absent(Exception):
    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


def read(page: Page, at: float) -> Reading:
    """Parse what was kept of a page."""
    return Reading(at, samples(page), page.types, page.names)


def between(first: Reading, second: Reading) -> Between:
    """Whether both readings are of one process: its start time, or else its uptime, says so."""
    elapsed = second.at - first.at
    starts = first.start_time, second.start_time
    uptimes = first.uptime, second.uptime
    young = uptimes[1] is not None and uptimes[1] <= elapsed + UPTIME_SLACK_SECONDS
    if starts[0] is not None and starts[1] is not None:
        if abs(starts[1] - starts[0]) <= START_SLACK_SECONDS:
            return "same"
        if uptimes[1] is None:
            return "mixed"
        return "restarted" if young and starts[1] > starts[0] else "mixed"
    if uptimes[0] is not None and uptimes[1] is not None:
        if abs(uptimes[1] - uptimes[0] - elapsed) <= UPTIME_SLACK_SECONDS + elapsed / 4:
            return "same"
        return "restarted" if young and uptimes[1] < uptimes[0] else "mixed"
    return "unknown"


def evaluate(rule: Rule, first: Reading | None, second: Reading) -> Found:
    """What ``rule`` finds on one instance. ``first`` is the earlier sample, where there is one."""
    found = Found()
    try:
        _Evaluation(rule, first, second, found).fill()
    except _Absent as absent:
        found.parts.clear()
        found.problem, found.hint = absent.problem, absent.hint
    return found


def total(rule: Rule, parts: Iterable[Part], complete: bool = True) -> Part:
    """The sum over instances. What is unknown of one is unknown of all, but counters that were seen were counted."""
    known = list(parts)
    result = Part(buckets={} if any(part.buckets is not None for part in known) else None)
    for part in known:
        result.reason = result.reason or part.reason
        result.lower_bound = result.lower_bound or part.lower_bound
        result.divisor += part.divisor
        if result.number is not None:
            result.number = None if part.number is None else result.number + part.number
    if rule.kind == "quantile" and result.buckets is None and len(known) > 1:
        result.number, result.reason = None, "quantiles that services compute themselves cannot be added up"
    if result.buckets is not None:
        result.buckets = metrics_math.merged(part.buckets for part in known if part.buckets is not None)
        if result.buckets is None:
            result.number, result.reason = None, "the instances have histograms with different limits"
    if not complete:
        result.reason = result.reason or "not all instances were read"
        result.lower_bound = True
        if rule.kind not in ("rate", "increase"):
            result.number = None
    return result


def value_of(rule: Rule, part: Part) -> Value:
    """The last step: the division of a ratio or a mean, or the quantile of the buckets."""
    if part.number is None:
        return Value(None, reason=part.reason)
    if rule.kind == "quantile" and part.buckets is not None:
        value = metrics_math.quantile(rule.quantile, part.buckets)
    elif rule.kind in ("ratio", "mean"):
        what = "nothing was counted" if rule.kind == "mean" else "the divisor is zero, so there is no ratio"
        value = metrics_math.divide(part.number, part.divisor, what)
    else:
        value = Value(part.number)
    if not part.lower_bound:
        return value
    # what was counted since a reset is a sum of its own; a ratio or a quantile of it is no bound
    if rule.kind in ("rate", "increase", "max") or (rule.kind == "quantile" and part.buckets is None):
        return Value(value.number, lower_bound=True, reason=part.reason)
    return Value(None, reason=part.reason)


class _Evaluation:
    """One rule on one instance."""

    def __init__(self, rule: Rule, first: Reading | None, second: Reading, found: Found) -> None:
        self.rule, self.first, self.second, self.found = rule, first, second, found
        self.relation: Between = between(first, second) if first else "unknown"

    def fill(self) -> None:
        fillers = {"mean": self._mean, "quantile": self._quantile, "ratio": self._ratio}
        fillers.get(self.rule.kind, self._plain)()

    # -- the kinds

    def _plain(self) -> None:
        rule = self.rule
        name, series = self._matching(rule.selector, ("",))
        if rule.wants_two_samples and not is_counter(name, self.second.types):
            raise _Absent(
                f"{name} is no counter, so it has no {rule.kind}",
                "Neither its type nor its name says that it only rises. For a gauge use kind value, sum or max.",
            )
        if not series:
            self.found.parts[()] = Part(0.0)
        for sample in series:
            group = tuple(sorted(sample.labels.items())) if rule.kind == "value" else self._group(sample)
            self._add(group, self._one(name, sample))

    def _ratio(self) -> None:
        rule = self.rule
        if rule.divisor is None:
            raise ValueError("a ratio without divisor")
        below, divisors = self._matching(rule.divisor, ("",))
        if not divisors:
            raise _Absent(f"{below} has no series with the labels of the divisor")
        above, numerators = self._matching(rule.selector, ("",))
        for sample in divisors:
            part = self._one(below, sample)
            part.divisor, part.number = part.number or 0.0, None if part.number is None else 0.0
            self._add(self._group(sample), part)
        seen = set()
        for sample in numerators:
            group = self._group(sample)
            seen.add(group)
            if group not in self.found.parts:
                self.found.parts[group] = Part(None, reason=f"{below} has no series for this group")
            self._add(group, self._one(above, sample))
        for group, part in self.found.parts.items():
            if group not in seen and not rule.zero_series:
                part.number = None
                part.reason = part.reason or f"{above} has no series for this group; see no_series"

    def _mean(self) -> None:
        name, counts = self._matching(self.rule.selector, ("_count",))
        sums = {sample.key: sample for sample in self.second.series.get(f"{name}_sum", ())}
        for sample in counts:
            part, counted = Part(None, reason=f"{name}_sum is absent"), self._one(f"{name}_count", sample)
            if sample.key in sums:
                part = self._one(f"{name}_sum", sums[sample.key])
            part.divisor = counted.number or 0.0
            part.reason = part.reason or counted.reason
            part.lower_bound = part.lower_bound or counted.lower_bound
            if counted.number is None:
                part.number = None
            self._add(self._group(sample), part)

    def _quantile(self) -> None:
        selector = self.rule.selector
        name, series = self._matching(selector, ("_bucket", "", "_count"))
        if f"{name}_bucket" not in self.second.series:
            self._summary_quantile(name)
            return
        histograms: dict[tuple[Group, frozenset[tuple[str, str]]], dict[float, Part]] = {}
        for sample in series:
            limit = _limit(sample.labels.get("le", ""))
            rest = frozenset(item for item in sample.labels.items() if item[0] != "le")
            if limit is not None:
                parts = histograms.setdefault((self._group(sample), rest), {})
                parts[limit] = self._one(f"{name}_bucket", sample)
        for (group, _rest), limits in histograms.items():
            unknown = next((part for part in limits.values() if part.number is None), None)
            buckets = {limit: part.number or 0.0 for limit, part in limits.items()}
            part = Part(0.0, buckets=buckets, lower_bound=any(part.lower_bound for part in limits.values()))
            part.reason = next((part.reason for part in limits.values() if part.reason), "")
            if unknown:
                part.number = None
            if not any(math.isfinite(limit) for limit in buckets):
                raise _Absent(f"{name} has no bucket but +Inf, so it has no quantile", self._offer(name))
            self._add(group, part)
        if not histograms:
            raise _Absent(f"{name}_bucket has no series with a label le")

    def _summary_quantile(self, name: str) -> None:
        """A quantile that the service has computed itself; such numbers cannot be added up."""
        wanted = [
            sample
            for sample in _selected(self.rule.selector, self.rule.selector.labels, self.second.series.get(name, []))
            if _limit(sample.labels.get("quantile", "")) == self.rule.quantile
        ]
        if not wanted:
            raise _Absent(f"{name} has no buckets, so it has no quantile", self._offer(name))
        self.found.notes.append(
            f"{name} has no buckets: these are the quantiles that the service computes itself, the largest of each group."
        )
        for sample in wanted:
            group = self._group(sample)
            value = self._number(sample)
            known = self.found.parts.get(group)
            self.found.parts[group] = _larger(known, value) if known else value

    # -- series

    def _matching(self, selector: Selector, suffixes: Sequence[str]) -> tuple[str, list[Sample]]:
        """The name that is on the page (without suffix), and its series; none only when that counts as zero."""
        for name in selector.names:
            for suffix in suffixes:
                series = self.second.series.get(f"{name}{suffix}")
                if series:
                    if name != selector.metric:
                        self.found.names[selector.metric] = name
                    return name, self._wanted(name, selector, series)
        raise self._absent(selector)

    def _wanted(self, name: str, selector: Selector, series: list[Sample]) -> list[Sample]:
        meant = {label: metrics_names.label_values(name, label, values) for label, values in selector.labels.items()}
        matching = _selected(selector, meant, series)
        if not matching:
            meant = {label: _in_other_letters(label, values, series) for label, values in meant.items()}
            matching = _selected(selector, meant, series)
        if matching and meant != selector.labels:
            told = ", ".join(f"{label}={'|'.join(values)}" for label, values in meant.items())
            self.found.notes.append(f"Its labels are {told}.")
        undefined = metrics_names.UNDEFINED.get(name)
        defined = [sample for sample in matching if sample.value != undefined]
        if matching and not defined:
            raise _Absent(f"{name} is {undefined:g}, which means undefined")
        if not matching and not self.rule.zero_series:
            there = sorted({f"{label}={value}" for sample in series for label, value in sample.labels.items()})
            like = [item for item in there if item.split("=")[0] in {*selector.labels, *selector.match}]
            raise _Absent(
                f"{name} is there, but has no series with these labels",
                f"There is {', '.join(like[:8]) or 'no such label'}. Where a series appears only with its first event, say "
                "no_series: zero.",
            )
        return defined

    def _absent(self, selector: Selector) -> _Absent:
        others = [name for name in selector.names if name != selector.metric][:OTHER_NAMES]
        names = selector.metric + (f" (nor {', '.join(others)})" if others else "")
        near = _similar(selector.metric, self.second.names)
        hint = metrics_names.absent_hint(selector.metric, self.second.names)
        if near:
            hint = f"{hint} Similar names there: {', '.join(near)}; see the option aliases.".strip()
        return _Absent(f"there is no {names}", hint)

    def _group(self, sample: Sample) -> Group:
        return tuple((label, sample.labels.get(label, "")) for label in self.rule.by)

    def _offer(self, name: str) -> str:
        there = [suffix for suffix in ("_count", "_sum", "_max") if f"{name}{suffix}" in self.second.series]
        offers = []
        if {"_count", "_sum"} <= set(there):
            offers.append("kind mean")
        if "_max" in there:
            offers.append(f"kind max of {name}_max")
        offer = f"There is {' and '.join(offers)} instead. " if offers else ""
        return (
            f"{offer}Micrometer gives buckets with management.metrics.distribution.percentiles-histogram.<meter>: true."
        )

    # -- numbers

    def _one(self, name: str, sample: Sample) -> Part:
        """The number of one series: how much it rose between the samples, or what it is now."""
        counts = self.rule.wants_two_samples and is_counter(name, self.second.types)
        return self._rise(name, sample) if counts else self._number(sample)

    @staticmethod
    def _number(sample: Sample) -> Part:
        if math.isfinite(sample.value):
            return Part(sample.value)
        return Part(None, reason=f"the value of {_labels(sample) or 'the series'} is {sample.value}")

    def _rise(self, name: str, sample: Sample) -> Part:
        if self.first is None:
            return Part(None, reason="there is one sample only")
        self.found.moved = True
        if not math.isfinite(sample.value):
            return self._number(sample)
        if self.relation == "mixed":
            return Part(None, reason="the samples are of different processes")
        before = self._before(name, sample)
        if before is not None and not math.isfinite(before):
            return Part(None, reason=f"its first value was {before}")
        rose, reset = metrics_math.increase(before, sample.value)
        restarted = self.relation == "restarted"
        if reset and not restarted and self.relation == "unknown":
            return Part(None, reason=f"{name} went from {shown(before or 0)} back to {shown(sample.value)}")
        if restarted:
            rose = sample.value
        if self.rule.kind == "rate":
            rose /= max(self.second.at - self.first.at, 1e-9)
        if not reset and not restarted:
            return Part(rose)
        reason = "the process restarted between the samples" if restarted else f"{name} was set back"
        return Part(rose, lower_bound=True, reason=f"{reason}; what it counted before that is lost")

    def _before(self, name: str, sample: Sample) -> float | None:
        if not hasattr(self, "_earlier"):
            self._earlier: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        if name not in self._earlier:
            series = self.first.series.get(name, []) if self.first else []
            self._earlier[name] = {item.key: item.value for item in series}
        return self._earlier[name].get(sample.key)

    def _add(self, group: Group, part: Part) -> None:
        known = self.found.parts.get(group)
        if known is None:
            self.found.parts[group] = part
        elif self.rule.kind == "max":
            self.found.parts[group] = _larger(known, part)
        else:
            added = total(self.rule, (known, part))
            self.found.parts[group] = added


def _selected(selector: Selector, labels: Mapping[str, Sequence[str]], series: list[Sample]) -> list[Sample]:
    """The series that have one of the values for each of ``labels`` and fit the patterns of the selector."""
    return [
        sample
        for sample in series
        if all(sample.labels.get(label, "") in values for label, values in labels.items())
        and all(pattern.fullmatch(sample.labels.get(label, "")) for label, pattern in selector.match.items())
        and not any(pattern.fullmatch(sample.labels.get(label, "")) for label, pattern in selector.exclude.items())
    ]


def _in_other_letters(label: str, values: Sequence[str], series: list[Sample]) -> tuple[str, ...]:
    """The values that the series have, where they differ from ``values`` in upper and lower case only."""
    folded = {value.lower() for value in values}
    there = {sample.labels[label] for sample in series if label in sample.labels}
    return tuple(sorted(value for value in there if value.lower() in folded)) or tuple(values)


def _larger(left: Part, right: Part) -> Part:
    """The larger of two; where one is unknown, the other is a lower bound."""
    if left.number is None or right.number is None:
        known = left.number if right.number is None else right.number
        return Part(known, lower_bound=known is not None, reason=left.reason or right.reason)
    bound = left.lower_bound or right.lower_bound
    return Part(max(left.number, right.number), lower_bound=bound, reason=left.reason or right.reason)


@functools.lru_cache(maxsize=1000)
def _similar(metric: str, names: frozenset[str]) -> list[str]:
    """Names on a page that are written much alike. Pages of one service have the same names, so they are compared once."""
    return difflib.get_close_matches(metric, sorted(names), SIMILAR_NAMES, cutoff=0.75)


def _limit(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _labels(sample: Sample) -> str:
    return ", ".join(f"{label}={value}" for label, value in sorted(sample.labels.items()))

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules as PromQL, for where a Prometheus server keeps the metrics. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from . import metrics_names
from .metrics_rules import Rule, Selector
from .metrics_text import is_counter

Series = Mapping[str, str]


@dataclass(frozen=True)
class Question:
    """The expressions of one rule on one target. ``limits`` gives the buckets of a quantile, else it is empty."""

    value: str
    limits: str = ""


def names_of(series: Series, names: Iterable[str]) -> str:
    """Which of the names have series at all."""
    listed = "|".join(re.escape(name) for name in sorted(set(names)))
    return f"count by (__name__) ({{__name__=~{_text(listed)}{''.join(f', {one}' for one in _equal(series))}}})"


def up_of(series: Series) -> str:
    """Whether the instances of a target can be scraped."""
    return f"up{{{', '.join(_equal(series))}}}"


def question(rule: Rule, series: Series, name: str, divisor: str, instance_label: str, seconds: float) -> Question:
    """What is asked for a rule whose metric is called ``name`` there, and its divisor ``divisor``.

    Counters are looked at over ``seconds`` before each point in time.
    """
    asker = _Asker(rule, series, instance_label, seconds)
    value = asker.value(name, divisor)
    limits = ""
    if rule.kind == "quantile":
        limits = f"count by (le) ({asker.selected(f'{name}_bucket', rule.selector)})"
    if rule.kind == "value" and rule.instances != "each":
        value = f"{rule.instances} without ({instance_label}) ({value})"
    elif rule.instances == "max":
        value = f"max{_by(rule.by)} ({value})"
    return Question(value, limits)


class _Asker:
    def __init__(self, rule: Rule, series: Series, instance_label: str, seconds: float) -> None:
        self.rule, self.series, self.range = rule, series, f"{seconds:.0f}s"
        self.by = rule.by if rule.instances == "sum" else (*rule.by, instance_label)

    def value(self, name: str, divisor: str) -> str:
        rule = self.rule
        if rule.kind == "quantile":
            buckets = self._moving(f"{name}_bucket", rule.selector, "rate")
            return f"histogram_quantile({rule.quantile!r}, sum{_by((*self.by, 'le'))} ({buckets}))"
        if rule.kind == "mean":
            return f"{self._sum(f'{name}_sum', rule.selector, 'rate')} / {self._sum(f'{name}_count', rule.selector, 'rate')}"
        if rule.kind == "ratio" and rule.divisor:
            below = self._sum(divisor, rule.divisor, self._motion(divisor))
            above = self._sum(name, rule.selector, self._motion(name))
            return f"({above} or 0 * {below}) / {below}" if rule.zero_series else f"{above} / {below}"
        if rule.kind in ("rate", "increase"):
            return self._or_zero(self._sum(name, rule.selector, rule.kind))
        if rule.kind == "value":
            return self._or_zero(self._moving(name, rule.selector, ""))
        return self._or_zero(f"{rule.kind}{_by(self.by)} ({self._moving(name, rule.selector, '')})")

    def selected(self, name: str, selector: Selector) -> str:
        """The series of a metric that the rule means."""
        matchers = _equal(self.series)
        for label, values in selector.labels.items():
            meant = metrics_names.label_values(name, label, values)
            matchers.append(f"{label}=~{_text('|'.join(re.escape(value) for value in meant))}")
        matchers += [f"{label}=~{_text(pattern.pattern)}" for label, pattern in selector.match.items()]
        matchers += [f"{label}!~{_text(pattern.pattern)}" for label, pattern in selector.exclude.items()]
        return f"{name}{{{', '.join(matchers)}}}"

    def _motion(self, name: str) -> str:
        """Counters are divided by what they rose, others by their values."""
        return "rate" if is_counter(name, {}) and self.rule.over == "sample" else ""

    def _moving(self, name: str, selector: Selector, function: str) -> str:
        found = self.selected(name, selector)
        if function and self.rule.over == "sample":
            return f"{function}({found}[{self.range}])"
        undefined = metrics_names.UNDEFINED.get(name)
        return found if undefined is None else f"({found} != {undefined:g})"

    def _sum(self, name: str, selector: Selector, function: str) -> str:
        return f"sum{_by(self.by)} ({self._moving(name, selector, function)})"

    def _or_zero(self, expression: str) -> str:
        """Zero where there are no such series and that was said to be zero; the metric itself is known to be there."""
        return f"({expression} or on() vector(0))" if self.rule.zero_series else expression


def _by(labels: Sequence[str]) -> str:
    return f" by ({', '.join(labels)})"


def _equal(series: Series) -> list[str]:
    return [f"{label}={_text(value)}" for label, value in series.items()]


def _text(value: str) -> str:
    """A string of PromQL: as in JSON, but for characters that JSON need not escape."""
    return json.dumps(value, ensure_ascii=False)

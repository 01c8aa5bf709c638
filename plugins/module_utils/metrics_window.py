# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same rules through a Prometheus server: there the minutes of an alert have really been observed.

A rule with ``for_minutes`` fails when it was wrong at every point of that window, as an alert fires; otherwise it is
judged by its latest value.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from . import checks, http_auth, http_client, metrics_judge, metrics_names, metrics_promql, redact
from .checks import Check
from .errors import InputError
from .http_client import Client, Request
from .instances import NAME
from .metrics_evaluate import Group
from .metrics_judge import Judged, Row
from .metrics_math import Value, shown
from .metrics_rules import Rule, Selector
from .operation import Context

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FEWEST_STEP_SECONDS = 15
MOST_POINTS = 60
_SUFFIX = {"mean": "_count", "quantile": "_bucket"}


class NoAnswer(Exception):
    """The server gave no result; the text says what it gave."""


@dataclass(frozen=True)
class Target:
    """Series in Prometheus that belong together."""

    name: str
    series: Mapping[str, str]
    min_instances: int


@dataclass
class Points:
    """The values of one group over time: seconds since the epoch to value."""

    labels: Mapping[str, str]
    values: dict[float, float]


@dataclass
class Window:
    """What is asked of a Prometheus server for all rules and targets."""

    server: Server
    instance_label: str
    rate_seconds: float
    now: float

    def look(self, rules: Sequence[Rule], target: Target) -> tuple[list[Check], list[tuple[Rule, Judged]]]:
        """The checks of one target, of its instances and its rules; and the rules with what became of them."""
        own = [rule for rule in rules if not rule.targets or target.name in rule.targets]
        try:
            found = [self._instances(target)]
            wanted = {name for rule in own for selector in rule.selectors for name in _names(rule, selector)}
            answer = self.server.vector(metrics_promql.names_of(target.series, wanted), self.now)
            there = {points.labels.get("__name__", "") for points in answer}
            judged = [self._judged(rule, target, there) for rule in own]
        except NoAnswer as problem:
            found, judged = [], [self._unknown(rule, target, str(problem)) for rule in own]
        return [*found, *(one.check for one in judged)], list(zip(own, judged, strict=True))

    def _instances(self, target: Target) -> Check:
        up = [
            points.values[max(points.values)]
            for points in self.server.vector(metrics_promql.up_of(target.series), self.now)
        ]
        good = sum(value == 1 for value in up)
        check = Check(
            f"{target.name}.instances",
            f"{target.name}: instances that Prometheus can scrape",
            checks.status_of(good >= target.min_instances and good == len(up) if up else None),
            observed=f"{good} of {len(up)} up",
            expected=f"all up, at least {target.min_instances}",
            hint="By the series up, at the last scrape.",
        )
        if not up:
            check.observed = "Prometheus scrapes nothing with these labels"
            check.hint = "Compare the target's series with the labels of the scraped targets."
        return check

    def _unknown(self, rule: Rule, target: Target, problem: str, hint: str = "") -> Judged:
        row = Row("", (), Value(None, reason=problem), None)
        return metrics_judge.conclude(rule, target.name, [row], {}, [hint or "Nothing is known of this rule."])

    def _judged(self, rule: Rule, target: Target, there: set[str]) -> Judged:
        names: dict[str, str] = {}
        chosen = []
        for selector in rule.selectors:
            name = _first(selector, _SUFFIX.get(rule.kind, ""), there)
            if name is None:
                counted = _first(selector, "_count", there) if rule.kind == "quantile" else None
                without = f"{counted} has no buckets, so it has no quantile"
                absent = f"there is no {selector.metric} under any known name"
                hint = (
                    metrics_names.absent_hint(selector.metric, ()) or "Names that differ belong in the option aliases."
                )
                return self._unknown(rule, target, without if counted else absent, hint)
            if name != selector.metric:
                names[selector.metric] = name
            chosen.append(name)
        asked = metrics_promql.question(
            rule, target.series, chosen[0], chosen[-1], self.instance_label, self.rate_seconds
        )
        try:
            rows = list(self._rows(rule, target, asked))
        except NoAnswer as problem:
            return self._unknown(rule, target, str(problem))
        rows, idle = metrics_judge.without_idle(rule, rows, rule.kind in ("ratio", "mean", "quantile"))
        hints = [*(f"{name} is {used} there." for name, used in names.items()), self._hint(rule)]
        if idle:
            hints.append(f"Groups in which nothing was counted are left out: {idle}.")
        judged = metrics_judge.conclude(rule, target.name, rows, names, hints)
        judged.window_observed = rule.for_minutes > 0
        return judged

    def _rows(self, rule: Rule, target: Target, asked: metrics_promql.Question) -> Iterator[Row]:
        highest = math.inf
        if asked.limits:
            found = self.server.vector(asked.limits, self.now)
            limits = [float(points.labels.get("le", "nan")) for points in found]
            highest = max((limit for limit in limits if math.isfinite(limit)), default=-math.inf)
        if rule.for_minutes:
            seconds = rule.for_minutes * 60
            step = max(FEWEST_STEP_SECONDS, math.ceil(seconds / MOST_POINTS))
            times = [round(self.now - step * number, 3) for number in range(math.ceil(seconds / step), -1, -1)]
            series = self.server.matrix(asked.value, times[0], self.now, step)
        else:
            times = [self.now]
            series = self.server.vector(asked.value, self.now)
        if not series:
            yield Row("", (), Value(None, reason="there are no such series now"), None)
        known = {*target.series, self.instance_label, "__name__"}
        for points in series:
            values = [_value(points.values.get(time), highest) for time in times]
            labels = {name: text for name, text in points.labels.items() if name not in known}
            instance = points.labels.get(self.instance_label, "")
            yield _row(rule, instance, tuple(sorted(labels.items())), values, times)

    def _hint(self, rule: Rule) -> str:
        if rule.for_minutes:
            return f"Wrong only when it was wrong for all of {rule.for_minutes:g} minutes, as an alert fires."
        return "The latest value; the rule names no window."


def _value(number: float | None, highest: float) -> Value:
    if number is None:
        return Value(None, reason="there is no value now")
    if not math.isfinite(number):
        return Value(None, reason=f"the value is {number}", idle=math.isnan(number))
    if number >= highest:
        return Value(number, lower_bound=True, reason=f"it is above the largest bucket, {highest:g}")
    return Value(number)


def _row(rule: Rule, instance: str, group: Group, values: Sequence[Value], times: Sequence[float]) -> Row:
    """One group over the window, judged as an alert would be."""
    rights = [rule.bounds.holds(value) for value in values]
    last = values[-1]
    right = rights[-1]
    reason = last.reason
    if right is False and len(rights) > 1:
        wrong = next((number for number, one in enumerate(reversed(rights)) if one is not False), len(rights))
        minutes = (times[-1] - times[-wrong]) / 60
        if wrong < len(rights):
            right = True if True in rights else None
            reason = f"wrong for the last {shown(minutes)} of {rule.for_minutes:g} minutes"
        else:
            reason = f"wrong for all of {rule.for_minutes:g} minutes"
    return Row(instance, group, replace(last, reason=reason), right)


def _names(rule: Rule, selector: Selector) -> list[str]:
    suffixes = {_SUFFIX.get(rule.kind, ""), "_count" if rule.kind == "quantile" else _SUFFIX.get(rule.kind, "")}
    return [f"{name}{suffix}" for name in selector.names for suffix in suffixes]


def _first(selector: Selector, suffix: str, there: set[str]) -> str | None:
    return next((name for name in selector.names if f"{name}{suffix}" in there), None)


class Server:
    """The query API of a Prometheus server."""

    def __init__(self, client: Client, url: str, secret_headers: Mapping[str, str]) -> None:
        self._client, self._url, self._secret_headers = client, url, secret_headers

    def vector(self, query: str, at: float) -> list[Points]:
        """Series at one moment; raises NoAnswer."""
        rows = self._ask("query", {"query": query, "time": f"{at:.3f}"}, "vector")
        return [_points(row, [row["value"]], at) for row in rows]

    def matrix(self, query: str, start: float, end: float, step: float) -> list[Points]:
        """Series over time; raises NoAnswer."""
        asked = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return [_points(row, row["values"], None) for row in self._ask("query_range", asked, "matrix")]

    def _ask(self, method: str, asked: Mapping[str, str], kind: str) -> list[dict[str, Any]]:
        url = http_client.join(self._url, f"/api/v1/{method}", asked)
        answer = self._client.send(Request("GET", url, secret_headers=self._secret_headers))
        try:
            document = answer.json()
        except ValueError as problem:
            raise NoAnswer(f"Prometheus: {answer.summary()}; {problem}" if answer.status else str(problem)) from None
        if not isinstance(document, dict) or document.get("status") != "success":
            said = document.get("error") if isinstance(document, dict) else None
            raise NoAnswer(f"Prometheus: HTTP {answer.status}: {redact.observed(str(said or 'no result'), 200)}")
        data = document.get("data")
        if not isinstance(data, dict) or data.get("resultType") != kind or not isinstance(data.get("result"), list):
            raise NoAnswer("Prometheus answers in a form that is not known")
        if document.get("warnings"):
            raise NoAnswer(f"Prometheus has parts only: {redact.observed(str(document['warnings']), 200)}")
        rows: list[dict[str, Any]] = data["result"]
        return rows


def _points(row: Mapping[str, Any], values: Sequence[Sequence[Any]], at: float | None) -> Points:
    try:
        read = {round(float(time) if at is None else at, 3): float(text) for time, text in values}
    except (TypeError, ValueError):
        raise NoAnswer("Prometheus answers with something that is no number") from None
    return Points({str(name): str(text) for name, text in (row.get("metric") or {}).items()}, read)


def run(
    params: Mapping[str, Any], targets: Sequence[Target], rules: Sequence[Rule], context: Context
) -> dict[str, Any]:
    """The report on all targets, from the server that ``prometheus_url`` names."""
    if not LABEL.fullmatch(params["instance_label"]):
        raise InputError(f"instance_label {params['instance_label']!r} is no name of a label.", option="instance_label")
    rate_seconds = http_client.require_range(params, "rate_minutes", 0.1, 1440) * 60
    most_rows = int(http_client.require_range(params, "max_values", 0, 10_000))
    settings = http_client.settings({**params, "retries": 2, "follow_redirects": False})
    concurrency = int(http_client.require_range(params, "concurrency", 1, 256))
    url = http_client.check_url(params["prometheus_url"], "prometheus_url")
    secret_headers = http_auth.authorization(params, context.clock)
    with Client(settings, context, connections=concurrency, cookies=False) as client:
        server = Server(client, url, secret_headers)
        window = Window(server, params["instance_label"], rate_seconds, round(context.clock.now(), 3))
        with ThreadPoolExecutor(min(concurrency, len(targets)), thread_name_prefix="prometheus") as pool:
            looked = list(pool.map(lambda target: window.look(rules, target), targets))
    found: list[Check] = []
    results: list[dict[str, Any]] = []
    for target, (own, judged) in zip(targets, looked, strict=True):
        found += own
        results += [one.as_dict(rule, target.name, most_rows) for rule, one in judged]
    for check in found:
        check.runbook = check.runbook or params["runbook"]
    return checks.report(found, targets=[], results=results)


def plan(rows: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The targets in order; InputError names the one that is wrong."""
    targets: dict[str, Target] = {}
    for number, row in enumerate(rows, start=1):
        where = f"targets[{number}] ({row['name']!r})"
        beside = [name for name in ("url", "service", "selector", "namespace", "port", "path") if row.get(name)]
        if beside or not row["series"]:
            raise InputError(
                f"{where}: with prometheus_url a target has series, the labels that it has there"
                + (f", and no {beside[0]}." if beside else "."),
                option="targets",
            )
        if not NAME.fullmatch(row["name"]) or row["name"] in targets:
            raise InputError(f"{where}: each target needs a name of its own, of letters, digits and ._:-.")
        wrong = [str(label) for label in row["series"] if not LABEL.fullmatch(str(label))]
        if wrong:
            raise InputError(f"{where}: series: {wrong[0]!r} is no name of a label.")
        series = {str(label): str(value) for label, value in row["series"].items()}
        targets[row["name"]] = Target(row["name"], series, row["min_instances"])
    if not targets:
        raise InputError("targets is empty: a probe that asks nobody proves nothing.", option="targets")
    return list(targets.values())

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The metrics of many targets, instance by instance, against rules that are data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import checks, instances, metrics_evaluate, metrics_judge, metrics_rules, metrics_targets, metrics_window
from .argspec import ArgumentSpec
from .checks import Check, Finding
from .errors import InputError
from .http_client import require_range
from .instances import Instances, Resolved
from .metrics_judge import Seen
from .metrics_rules import Rule
from .metrics_targets import Slot
from .metrics_text import NoMetrics
from .operation import Context

SPEC = ArgumentSpec(
    options={
        "targets": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                **instances.TARGET_OPTIONS,
                "path": {"type": "str"},
                "series": {"type": "dict"},
            },
        },
        "rules": {"type": "list", "elements": "dict", "required": True, "options": metrics_rules.OPTIONS},
        "aliases": {"type": "dict", "default": {}},
        "sample_seconds": {"type": "float", "default": 10.0},
        "prometheus_url": {"type": "str"},
        "instance_label": {"type": "str", "default": "instance"},
        "rate_minutes": {"type": "float", "default": 5.0},
        "max_values": {"type": "int", "default": 20},
        "runbook": {"type": "str", "default": ""},
    }
).merge(instances.SPEC)

MOST_CHECKS = 50_000


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read the pages and judge them; reads only, the same in check mode."""
    if params["prometheus_url"]:
        return _through_prometheus(params, context)
    most_rows = int(require_range(params, "max_values", 0, 10_000))
    sample_seconds = require_range(params, "sample_seconds", 0.1, 3600)
    if sample_seconds >= params["timeout"]:
        raise InputError(
            f"sample_seconds is {sample_seconds:g}, but the whole task may take only {params['timeout']:g} s: "
            "raise timeout.",
            option="timeout",
        )
    if any(row.get("series") for row in params["targets"]):
        raise InputError("targets have series, which are those of a Prometheus server: give prometheus_url.")
    targets = instances.plan(params["targets"])
    rules = metrics_rules.rules(params["rules"], params["aliases"], [target.name for target in targets])
    _check_ids([target.name for target in targets], rules)
    with Instances(params, context) as source:
        resolved = source.resolve(targets)
        slots = metrics_targets.fetch(source, resolved, rules, sample_seconds, context)
    return _report(resolved, slots, rules, most_rows, params["runbook"])


def _through_prometheus(params: dict[str, Any], context: Context) -> dict[str, Any]:
    targets = metrics_window.plan(params["targets"])
    names = [target.name for target in targets]
    rules = metrics_rules.rules(params["rules"], params["aliases"], names)
    _check_ids(names, rules)
    return metrics_window.run(params, targets, rules, context)


def _check_ids(targets: Sequence[str], rules: Sequence[Rule]) -> None:
    """Ids of checks are made of two names; they must stay different, and not too many."""
    ids = {f"{target}.{own}" for target in targets for own in ("metrics", "instances")}
    for rule in rules:
        for target in targets:
            made = f"{target}.{rule.id}"
            if made in ids:
                raise InputError(
                    f"rule {rule.id!r}: there is a check {made!r} already; rename the rule.", option="rules"
                )
            ids.add(made)
    if len(ids) > MOST_CHECKS:
        raise InputError(f"{len(ids)} checks of rules and targets, more than {MOST_CHECKS}: ask less.", option="rules")


def _report(
    resolved: Sequence[Resolved], slots: Sequence[Slot], rules: Sequence[Rule], most_rows: int, runbook: str
) -> dict[str, Any]:
    by_target: dict[str, list[Slot]] = {one.target.name: [] for one in resolved}
    for slot in slots:
        by_target[slot.instance.target.name].append(slot)
    found: list[Check] = []
    findings: list[Finding] = []
    pages: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for one in resolved:
        name = one.target.name
        own = [rule for rule in rules if not rule.targets or name in rule.targets]
        seen, rows = _read(by_target[name], own)
        pages.append({"name": name, "instances": rows})
        if one.check:
            found.append(one.check)
        if rows:
            found.append(_readable(name, rows))
        for rule in own:
            judged = metrics_judge.judge(rule, name, seen[rule.id])
            found.append(judged.check)
            results.append(judged.as_dict(rule, name, most_rows))
        findings += _mixed(name, rows, [rule.id for rule in own if any(_moved(item) for item in seen[rule.id])])
    for check in found:
        check.runbook = check.runbook or runbook
    return checks.report(found, findings, targets=pages, results=results)


def _read(slots: Sequence[Slot], rules: Sequence[Rule]) -> tuple[dict[str, list[Seen]], list[dict[str, Any]]]:
    """What each rule finds on each instance, and the rows of the instances. Pages are parsed one at a time."""
    seen: dict[str, list[Seen]] = {rule.id: [] for rule in rules}
    rows = []
    for slot in slots:
        problem, relation = slot.last.problem, "unknown"
        first = second = None
        if not problem:
            try:
                first, second = slot.readings()
            except NoMetrics as error:
                problem = str(error)
        if first and second:
            relation = metrics_evaluate.between(first, second)
        seconds = second.at - first.at if first and second else None
        for rule in rules:
            evaluated = metrics_evaluate.evaluate(rule, first, second) if second else None
            seen[rule.id].append(Seen(slot.name, evaluated, problem, seconds))
        rows.append(slot.row(second.start_time if second else None, relation, problem))
    return seen, rows


def _readable(name: str, rows: Sequence[Mapping[str, Any]]) -> Check:
    """Whether the metrics of all instances of a target could be read."""
    unread = [row for row in rows if row["problem"]]
    observed = f"{len(rows) - len(unread)} of {len(rows)} instances"
    if unread:
        observed += f"; {unread[0]['instance'] or unread[0]['url']}: {unread[0]['problem']}"
    return Check(
        id=f"{name}.metrics",
        title=f"{name}: metrics can be read",
        status=checks.status_of(None if unread else True),
        observed=observed,
        expected="all instances",
        hint=unread[0]["hint"] if unread else "That the page is there says nothing of what stands on it.",
        duration_ms=max(row["latency_ms"] for row in rows),
    )


def _moved(item: Seen) -> bool:
    return item.found is not None and item.found.moved


def _mixed(name: str, rows: Sequence[Mapping[str, Any]], rules: Sequence[str]) -> list[Finding]:
    mixed = [row for row in rows if row["process"] == "mixed"]
    if not mixed or not rules:
        return []
    cause = (
        f"{name}: {mixed[0]['url']} gave the pages of different processes: a load balancer, or a restart between the "
        "samples. Ask each instance by its own address."
    )
    return [Finding(cause, "seen", [f"{name}.{rule}" for rule in rules], [name])]

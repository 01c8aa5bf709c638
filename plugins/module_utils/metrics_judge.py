# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From what a rule found on the instances of a target to one check. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import checks, redact
from .checks import Check
from .metrics_evaluate import Found, Group, Part, total, value_of
from .metrics_math import Value, shown
from .metrics_rules import Rule

SECONDS = re.compile(r"_seconds(?:_max|_sum)?$")
BYTES = re.compile(r"_bytes(?:_max|_sum)?$")
NAME_CHARACTERS = 200


@dataclass(frozen=True)
class Seen:
    """What one instance gave: the rule's finds, or why its page was not read. ``seconds`` lie between its samples."""

    instance: str
    found: Found | None
    problem: str = ""
    seconds: float | None = None


@dataclass(frozen=True)
class Row:
    """One value that was compared with the bounds."""

    instance: str
    group: Group
    value: Value
    right: bool | None

    @property
    def where(self) -> str:
        labels = ", ".join(f"{name}={text}" for name, text in self.group)
        return redact.observed(", ".join(part for part in (self.instance, labels) if part), NAME_CHARACTERS)

    def as_dict(self) -> dict[str, Any]:
        return {
            "instance": self.instance,
            "labels": {name: redact.observed(text, NAME_CHARACTERS) for name, text in self.group},
            "value": self.value.number,
            "lower_bound": self.value.lower_bound,
            "status": checks.status_of(self.right),
            "reason": self.value.reason,
        }


@dataclass
class Judged:
    """The check of one rule on one target, and the values behind it, worst first."""

    check: Check
    rows: list[Row]
    names: dict[str, str] = field(default_factory=dict)
    window_observed: bool = False

    def as_dict(self, rule: Rule, target: str, most_rows: int) -> dict[str, Any]:
        return {
            "rule": rule.id,
            "target": target,
            "kind": rule.kind,
            "status": self.check.status,
            "metric": rule.selector.metric,
            "names_used": self.names,
            "window_observed": self.window_observed,
            "measurements": [row.as_dict() for row in self.rows[:most_rows]],
            "measurements_left_out": max(0, len(self.rows) - most_rows),
        }


def judge(rule: Rule, target: str, seen: Sequence[Seen]) -> Judged:
    """Compare what all instances of a target gave with the rule's bounds."""
    finds = [item.found for item in seen if item.found]
    counted = rule.kind in ("mean", "quantile") or rule.over == "lifetime" or any(found.moved for found in finds)
    rows, idle = without_idle(rule, list(_rows(rule, seen)), counted)
    names = {name: used for found in finds for name, used in found.names.items()}
    return conclude(rule, target, rows, names, _hints(rule, seen, finds, names, idle))


def conclude(rule: Rule, target: str, rows: list[Row], names: Mapping[str, str], hints: Iterable[str]) -> Judged:
    """The check of a rule from its rows: wrong when one is, unverified when one is unknown or there is none."""
    downwards = rule.bounds.at_least is not None or rule.bounds.above is not None
    rows.sort(key=lambda row: _badness(row, downwards))
    rights = [row.right for row in rows]
    right = None if not rows else False if False in rights else None if None in rights else True
    unit = _unit(rule, names)
    check = Check(
        id=f"{target}.{rule.id}",
        title=f"{target}: {rule.title or rule.describe()}",
        status=checks.status_of(right),
        observed=_observed(rows, unit),
        expected=f"{rule.bounds}{unit}",
        hint=" ".join(part for part in (*hints, rule.hint) if part),
        runbook=rule.runbook,
    )
    return Judged(check, rows, dict(names))


def _rows(rule: Rule, seen: Sequence[Seen]) -> Iterable[Row]:
    unread = [item for item in seen if not item.found or item.found.problem]
    parts = {item.instance: item.found.parts for item in seen if item.found and not item.found.problem}
    if rule.instances == "each" or not parts:
        for item in unread:
            reason = item.found.problem if item.found else f"not read: {item.problem}"
            yield Row(item.instance, (), Value(None, reason=reason), None)
        for instance, groups in parts.items():
            for group, part in groups.items():
                yield _row(rule, instance, group, value_of(rule, part))
        return
    for group in dict.fromkeys(group for groups in parts.values() for group in groups):
        own = [groups[group] for groups in parts.values() if group in groups]
        value = _summed(rule, own, not unread) if rule.instances == "sum" else _largest(rule, own, not unread)
        yield _row(rule, "", group, value)


def without_idle(rule: Rule, rows: list[Row], counted: bool) -> tuple[list[Row], int]:
    """The rows without groups in which nothing was counted, and how many these are.

    Somewhere there is always a route that nobody asks for; it says nothing of the others. An instance (or all of them
    together) in which nothing at all happened keeps its rows.
    """
    if not rule.by or not counted:
        return rows, 0
    busy = {row.instance for row in rows if row.value.number is not None}
    kept = [row for row in rows if not (row.value.idle and row.instance in busy)]
    return kept, len(rows) - len(kept)


def _row(rule: Rule, instance: str, group: Group, value: Value) -> Row:
    return Row(instance, group, value, rule.bounds.holds(value))


def _summed(rule: Rule, parts: Sequence[Part], complete: bool) -> Value:
    return value_of(rule, total(rule, parts, complete))


def _largest(rule: Rule, parts: Sequence[Part], complete: bool) -> Value:
    values = [value_of(rule, part) for part in parts]
    known = [value.number for value in values if value.number is not None]
    reason = next((value.reason for value in values if value.reason), "" if complete else "not all instances were read")
    if not known:
        return Value(None, reason=reason)
    bound = not complete or len(known) < len(values) or any(value.lower_bound for value in values)
    return Value(max(known), lower_bound=bound, reason=reason)


def _badness(row: Row, downwards: bool) -> tuple[int, float]:
    order = {False: 0, None: 1, True: 2}[row.right]
    number = row.value.number or 0.0
    return order, number if downwards else -number


def _observed(rows: Sequence[Row], unit: str) -> str:
    if not rows:
        return "nothing"
    worst = rows[0]
    number = worst.value.number
    parts = []
    if number is not None:
        parts.append(f"{'at least ' if worst.value.lower_bound else ''}{shown(number)}{unit}")
    if worst.value.reason:
        parts.append(worst.value.reason)
    told = ": ".join(parts) + (f" ({worst.where})" if worst.where else "")
    if len(rows) == 1:
        return told
    failed = sum(row.right is False for row in rows)
    unknown = sum(row.right is None for row in rows)
    return f"{told}; the worst of {len(rows)} values, {failed} of them wrong, {unknown} unknown"


def _unit(rule: Rule, names: Mapping[str, str]) -> str:
    name = names.get(rule.selector.metric, rule.selector.metric)
    if rule.kind == "rate":
        return "/s"
    if rule.kind in ("ratio", "increase"):
        return ""
    return " s" if SECONDS.search(name) else " bytes" if BYTES.search(name) else ""


def _hints(
    rule: Rule, seen: Sequence[Seen], finds: Sequence[Found], names: Mapping[str, str], idle: int
) -> Iterable[str]:
    if not seen:
        yield "No instance was read; see the check of the target."
    yield from list(dict.fromkeys(found.hint for found in finds if found.hint))[:2]
    yield from (f"{name} is {used} here." for name, used in names.items())
    yield from list(dict.fromkeys(note for found in finds for note in found.notes))[:3]
    if idle:
        yield f"Groups in which nothing was counted are left out: {idle}."
    if finds:
        yield _seen_over(rule, [item.seconds for item in seen if item.seconds and item.found and item.found.moved])


def _seen_over(rule: Rule, seconds: Sequence[float]) -> str:
    """What the check does not show: most rules are about minutes, and this was a look."""
    if rule.over == "lifetime":
        told = "Over all that was counted since the process started, which says little of now"
    elif seconds:
        told = f"Seen over {max(seconds):.0f} s"
    else:
        told = "Seen at one moment"
    return f"{told}; the window of {rule.for_minutes:g} minutes was not observed." if rule.for_minutes else f"{told}."

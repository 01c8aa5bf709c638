# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rules of a metrics probe: what a runbook asks of a metric, as data, checked before anything is contacted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import metrics_names
from .errors import InputError
from .metrics_math import Bounds

Kind = Literal["value", "sum", "max", "rate", "increase", "ratio", "mean", "quantile"]
Over = Literal["sample", "lifetime"]
KINDS: tuple[Kind, ...] = ("value", "sum", "max", "rate", "increase", "ratio", "mean", "quantile")
COUNTING: frozenset[Kind] = frozenset({"rate", "increase"})
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")
METRIC = re.compile(r"[A-Za-z_:][A-Za-z0-9_:.-]{0,199}")
MOST_RULES = 500

_SELECTOR: dict[str, dict[str, Any]] = {
    "metric": {"type": "str", "required": True},
    "labels": {"type": "dict", "default": {}},
    "labels_match": {"type": "dict", "default": {}},
    "labels_exclude": {"type": "dict", "default": {}},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "id": {"type": "str", "required": True},
    "title": {"type": "str"},
    "kind": {"type": "str", "default": "value", "choices": list(KINDS)},
    **_SELECTOR,
    "divisor": {"type": "dict", "options": _SELECTOR},
    "quantile": {"type": "float"},
    "by": {"type": "list", "elements": "str", "default": []},
    "over": {"type": "str", "default": "sample", "choices": ["sample", "lifetime"]},
    "instances": {"type": "str", "default": "each", "choices": ["each", "sum", "max"]},
    "no_series": {"type": "str", "default": "unverified", "choices": ["unverified", "zero"]},
    "at_least": {"type": "float"},
    "at_most": {"type": "float"},
    "above": {"type": "float"},
    "below": {"type": "float"},
    "for_minutes": {"type": "float", "default": 0.0},
    "targets": {"type": "list", "elements": "str", "default": []},
    "runbook": {"type": "str", "default": ""},
    "hint": {"type": "str", "default": ""},
}


@dataclass(frozen=True)
class Selector:
    """Series of one metric. ``names`` are those to look for, best first; the labels are as in the options."""

    metric: str
    names: tuple[str, ...]
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    match: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    exclude: Mapping[str, re.Pattern[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        parts = [f"{name}={'|'.join(values)}" for name, values in self.labels.items()]
        parts += [f"{name}=~{pattern.pattern}" for name, pattern in self.match.items()]
        parts += [f"{name}!~{pattern.pattern}" for name, pattern in self.exclude.items()]
        return self.metric + (f"{{{', '.join(parts)}}}" if parts else "")


@dataclass(frozen=True)
class Rule:
    """One question to the metrics of a target, and the bounds that its answer must keep to."""

    id: str
    kind: Kind
    selector: Selector
    bounds: Bounds = field(default_factory=Bounds)
    divisor: Selector | None = None
    quantile: float = 0.0
    by: tuple[str, ...] = ()
    over: Over = "sample"
    instances: Literal["each", "sum", "max"] = "each"
    zero_series: bool = False
    for_minutes: float = 0.0
    targets: frozenset[str] = frozenset()
    title: str = ""
    runbook: str = ""
    hint: str = ""

    @property
    def selectors(self) -> tuple[Selector, ...]:
        return (self.selector, self.divisor) if self.divisor else (self.selector,)

    @property
    def wants_two_samples(self) -> bool:
        """Whether it may need to know how counters move."""
        return self.kind in COUNTING or (self.kind in ("ratio", "mean", "quantile") and self.over == "sample")

    def sample_names(self, selector: Selector) -> list[str]:
        """The names of the samples that it reads, as they stand on a page."""
        others = ("_count", "_sum", "_max", "") if self.kind == "quantile" else ()
        return [*self.moving_names(selector), *(f"{name}{suffix}" for name in selector.names for suffix in others)]

    def moving_names(self, selector: Selector) -> list[str]:
        """Those of them whose change between two samples it may ask for."""
        suffixes = {"mean": ("_sum", "_count"), "quantile": ("_bucket",)}
        return [f"{name}{suffix}" for name in selector.names for suffix in suffixes.get(self.kind, ("",))]

    def describe(self) -> str:
        """The question in a few words."""
        words = {"value": "", "ratio": "", "quantile": f"p{self.quantile * 100:g} of "}
        over = f" / {self.divisor}" if self.divisor else ""
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"{words.get(self.kind, f'{self.kind} of ')}{self.selector}{over}{by}"


def rules(rows: Sequence[Mapping[str, Any]], aliases: Mapping[str, Any], targets: Iterable[str]) -> list[Rule]:
    """The rules in order. InputError names the rule and the option that is wrong."""
    if not rows:
        raise InputError("rules is empty: a probe that asks nothing proves nothing.", option="rules")
    if len(rows) > MOST_RULES:
        raise InputError(f"rules has {len(rows)} items, more than {MOST_RULES}.", option="rules")
    known_aliases = _aliases(aliases)
    known_targets = set(targets)
    found: dict[str, Rule] = {}
    for number, row in enumerate(rows, start=1):
        where = f"rules[{number}] ({row['id']!r})"
        if row["id"] in found:
            raise InputError(f"{where}: two rules have this id; each needs its own.", option="rules")
        found[row["id"]] = _rule(row, where, known_aliases)
        unknown = sorted(found[row["id"]].targets - known_targets)
        if unknown:
            raise InputError(f"{where}: targets names {unknown[0]!r}, which is no target.", option="rules")
    return list(found.values())


def _aliases(given: Mapping[str, Any]) -> dict[str, list[str]]:
    aliases: dict[str, list[str]] = {}
    for name, value in given.items():
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(item, str) and METRIC.fullmatch(item) for item in names):
            raise InputError(f"aliases: {name!r} needs a metric's name, or a list of them.", option="aliases")
        aliases[str(name)] = names
    return aliases


def _rule(row: Mapping[str, Any], where: str, aliases: Mapping[str, Sequence[str]]) -> Rule:
    kind: Kind = row["kind"]
    if not ID.fullmatch(row["id"]):
        raise InputError(f"{where}: an id has up to 100 letters, digits and ._:- and begins with a letter or digit.")
    if (kind == "ratio") != bool(row["divisor"]):
        raise InputError(f"{where}: kind ratio needs a divisor, and no other kind has one.", option="rules")
    if (kind == "quantile") != (row["quantile"] is not None):
        raise InputError(f"{where}: kind quantile needs the option quantile, and no other kind has it.", option="rules")
    if kind == "quantile" and not 0 < row["quantile"] < 1:
        raise InputError(f"{where}: quantile is {row['quantile']:g}; it lies between 0 and 1: 0.99 for p99.")
    if kind == "value" and row["by"]:
        raise InputError(f"{where}: kind value looks at each series; for groups use kind sum or max with by.")
    if not 0 <= row["for_minutes"] <= 43_200:
        raise InputError(f"{where}: for_minutes is {row['for_minutes']:g}; give 0 to 43200 (30 days).")
    if row["over"] == "lifetime" and kind not in ("ratio", "mean", "quantile"):
        raise InputError(f"{where}: over lifetime has a meaning for the kinds ratio, mean and quantile only.")
    return Rule(
        id=row["id"],
        kind=kind,
        selector=_selector(row, where, aliases),
        bounds=_bounds(row, where),
        divisor=_selector(row["divisor"], f"{where}, divisor", aliases) if row["divisor"] else None,
        quantile=row["quantile"] or 0.0,
        by=tuple(dict.fromkeys(row["by"])),
        over=row["over"],
        instances=row["instances"],
        zero_series=row["no_series"] == "zero",
        for_minutes=row["for_minutes"],
        targets=frozenset(row["targets"]),
        title=row["title"] or "",
        runbook=row["runbook"],
        hint=row["hint"],
    )


def _bounds(row: Mapping[str, Any], where: str) -> Bounds:
    bounds = Bounds(*(row[name] for name in ("at_least", "at_most", "above", "below")))
    for low, high in ((bounds.at_least, bounds.at_most), (bounds.above, bounds.below)):
        if low is not None and high is not None and low > high:
            raise InputError(f"{where}: no value is {bounds}.", option="rules")
    return bounds


def _selector(row: Mapping[str, Any], where: str, aliases: Mapping[str, Sequence[str]]) -> Selector:
    metric = row["metric"].strip()
    if not METRIC.fullmatch(metric):
        raise InputError(f"{where}: {row['metric']!r} is no name of a metric; labels belong in the option labels.")
    return Selector(
        metric=metric,
        names=metrics_names.candidates(metric, aliases),
        labels={str(name): _texts(value, f"{where}: labels: {name}") for name, value in row["labels"].items()},
        match=_patterns(row["labels_match"], f"{where}: labels_match"),
        exclude=_patterns(row["labels_exclude"], f"{where}: labels_exclude"),
    )


def _texts(value: Any, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(item, (dict, list)) or item is None for item in values):
        raise InputError(f"{where} needs a text, or a list of texts of which one must be there.")
    return tuple(str(item).lower() if isinstance(item, bool) else str(item) for item in values)


def _patterns(given: Mapping[str, Any], where: str) -> dict[str, re.Pattern[str]]:
    patterns = {}
    for name, text in given.items():
        try:
            patterns[str(name)] = re.compile(str(text))
        except re.error as error:
            raise InputError(f"{where}: {name}: {text!r} is no regular expression: {error}.") from None
    return patterns

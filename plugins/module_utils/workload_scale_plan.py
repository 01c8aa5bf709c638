# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What to do for a wanted number of replicas, with and without an autoscaler. Pure: refuses, asks nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import kubernetes_hpa
from . import kubernetes_objects as objects
from .errors import RefusedError
from .kubernetes_hpa import Hpa


@dataclass(frozen=True)
class Wish:
    """Exactly ``replicas``, or ``at_least`` so many (then never fewer than there are)."""

    replicas: int | None = None
    at_least: int | None = None
    expected_replicas: int | None = None
    limit_replicas: int | None = None
    partitions: int | None = None
    allow_zero: bool = False
    adapt: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Wish:
        names = ("replicas", "at_least", "expected_replicas", "limit_replicas", "partitions", "allow_zero")
        return cls(**{name: params[name] for name in names}, adapt=params["hpa"] == "adapt")


@dataclass(frozen=True)
class Limits:
    """minReplicas and maxReplicas of one autoscaler, before and after."""

    name: str
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def changed(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True)
class Plan:
    """Replicas ``before`` and ``after``; ``hpa`` when there is an autoscaler; ``warnings`` are {id, text}."""

    before: int
    after: int
    hpa: Limits | None = None
    reasons: list[str] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return self.before != self.after or bool(self.hpa and self.hpa.changed)


def plan(key: str, current: int, hpas: list[Hpa], wish: Wish) -> Plan:
    """The plan for workload ``key``, which has ``current`` replicas and is scaled by ``hpas``.

    RefusedError when it is unsafe, or would be undone at once.
    """
    if wish.at_least is not None:
        found = Plan(current, max(current, wish.at_least), reasons=[f"at least {wish.at_least} replicas are wanted"])
        if current >= wish.at_least:
            found.reasons.append(f"it has {current}")
    else:
        found = Plan(current, wish.replicas or 0, reasons=[f"{wish.replicas} replicas are wanted, it has {current}"])
    found = _within_partitions(key, found, wish)
    _allowed(key, found, wish)
    if hpas:
        found = _autoscaled(key, found, hpas, wish)
    if found.changes and wish.expected_replicas not in (None, current):
        raise RefusedError(
            f"{key} has {current} replicas, expected_replicas says {wish.expected_replicas}: somebody else has scaled it. "
            "Look why, then run this again.",
            replicas=current,
        )
    return found


def _within_partitions(key: str, found: Plan, wish: Wish) -> Plan:
    """A consumer beyond the number of partitions gets none; capping never shrinks what is there."""
    if wish.partitions is None or found.after <= found.before:
        return found
    if wish.partitions == 0:
        raise RefusedError(
            f"{key}: partitions is 0, it consumes nothing, so more replicas do not reduce any lag. Scale what consumes "
            "the topic, or leave partitions out."
        )
    if found.after <= wish.partitions:
        return found
    after = max(found.before, wish.partitions)
    text = (
        f"the topic has {wish.partitions} partitions, a consumer beyond that number gets none: "
        f"{after} replicas instead of {found.after}."
    )
    return replace(found, after=after, warnings=[*found.warnings, {"id": "partitions", "text": text}])


def _allowed(key: str, found: Plan, wish: Wish) -> None:
    if found.after == found.before:
        return
    if found.after == 0 and not wish.allow_zero:
        raise RefusedError(f"{key}: 0 replicas end the service. Say allow_zero if that is meant.")
    if wish.limit_replicas is not None and found.after > wish.limit_replicas:
        raise RefusedError(
            f"{key}: {found.after} replicas are wanted, limit_replicas allows {wish.limit_replicas}. "
            "The ceiling is set by who owns the cluster's room; ask there."
        )


def _autoscaled(key: str, found: Plan, hpas: list[Hpa], wish: Wish) -> Plan:
    own = hpas[0]
    low, high = kubernetes_hpa.low(own), kubernetes_hpa.high(own)
    name = objects.name(dict(own))
    if wish.at_least is not None and 0 < found.after < low:
        # Its minimum is more than what is wanted, and holds as soon as it is switched on.
        found = replace(found, after=max(found.after, min(low, wish.limit_replicas or low)))
    kept = replace(found, hpa=Limits(name, (low, high), (low, high)))
    moves = found.before != found.after
    if len(hpas) > 1 and (moves or wish.adapt):
        kind, _slash, target = key.partition(" ")
        raise RefusedError(kubernetes_hpa.several(kind, target, hpas))
    if found.after == 0:
        text = f"0 replicas switch HorizontalPodAutoscaler {name} off (ScalingDisabled) until it is scaled up again."
        return _warned(kept, "hpa_switched_off", text) if moves else kept
    if found.before == 0 and low <= found.after <= high:
        text = f"HorizontalPodAutoscaler {name} is switched on again, and sets {low} to {high} replicas from here on."
        return _warned(kept, "hpa_switched_on", text)
    if wish.adapt:
        return _adapted(kept, own, wish)
    if moves:
        raise RefusedError(_undone(key, found, name, low, high), hpa=name, min_replicas=low, max_replicas=high)
    if wish.at_least is not None and low < wish.at_least:
        text = (
            f"HorizontalPodAutoscaler {name} may shrink it to {low} again. hpa=adapt makes {wish.at_least} its minimum."
        )
        return _warned(kept, "hpa_may_shrink", text)
    return kept


def _adapted(found: Plan, own: Hpa, wish: Wish) -> Plan:
    """The wanted number becomes the lower limit, so that the autoscaler keeps it; the upper one is raised to hold it."""
    low, high = kubernetes_hpa.low(own), kubernetes_hpa.high(own)
    name = objects.name(dict(own))
    if wish.at_least is None:
        floor = found.after
    else:
        capped = wish.at_least if wish.partitions is None else min(wish.at_least, wish.partitions)
        floor = max(low, capped)
    after = (floor, max(high, floor))
    if wish.limit_replicas is not None and floor > max(low, wish.limit_replicas):
        raise RefusedError(
            f"the minimum of HorizontalPodAutoscaler {name} would become {floor}, limit_replicas allows "
            f"{wish.limit_replicas}. The ceiling is set by who owns the cluster's room; ask there."
        )
    reasons = [*found.reasons]
    if after != (low, high):
        reasons.append(
            f"HorizontalPodAutoscaler {name} would undo it with {low}..{high}, so its limits become {after[0]}..{after[1]}"
        )
    return replace(found, hpa=Limits(name, (low, high), after), reasons=reasons)


def _undone(key: str, found: Plan, name: str, low: int, high: int) -> str:
    if found.after > high:
        what = f"would cut {found.after} to its maximum of {high} within seconds"
    elif found.after < low:
        what = f"would raise {found.after} to its minimum of {low} within seconds"
    else:
        what = "sets the number by its metrics, and would change it again"
    return (
        f"{key} has {found.before} replicas, and HorizontalPodAutoscaler {name} ({low}..{high}) {what}. Nothing was "
        f"changed. Use hpa=adapt, which makes {found.after} its minimum, or change its limits with hpa_limits."
    )


def _warned(found: Plan, identity: str, text: str) -> Plan:
    return replace(found, warnings=[*found.warnings, {"id": identity, "text": text}])

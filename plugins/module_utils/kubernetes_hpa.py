# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A HorizontalPodAutoscaler, read: its limits, its metrics and what it says about itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_objects as objects
from .errors import InputError, RefusedError
from .kubernetes_owners import target_of
from .redact import observed

Hpa = Mapping[str, Any]
MOST_METRICS = 20
MOST_NAMES = 20
MESSAGE_CHARACTERS = 500
SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


@dataclass(frozen=True)
class Condition:
    """``status`` is True, False, or None for Unknown and absent."""

    status: bool | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True)
class Metric:
    """One metric with its target and what it is now, both as text; ``current`` is None when it is not known."""

    name: str
    source: str
    target: str
    current: str | None


@dataclass(frozen=True)
class Autoscaler:
    """``low`` and ``high`` are minReplicas and maxReplicas; ``desired`` is None where no metric could be read."""

    name: str
    namespace: str
    kind: str
    target: str
    low: int
    high: int
    current: int | None
    desired: int | None
    metrics: list[Metric] = field(default_factory=list)
    able: Condition = Condition()
    active: Condition = Condition()
    limited: Condition = Condition()
    last_scale_time: str | None = None

    @property
    def disabled(self) -> bool:
        """Its workload is scaled to 0, and so it does nothing until somebody scales it up."""
        return self.active.reason == "ScalingDisabled"

    def as_dict(self) -> dict[str, Any]:
        def condition(one: Condition) -> dict[str, Any]:
            return {"status": one.status, "reason": one.reason, "message": one.message}

        return {
            "name": self.name,
            "target": {"kind": self.kind, "name": self.target},
            "min_replicas": self.low,
            "max_replicas": self.high,
            "current_replicas": self.current,
            "desired_replicas": self.desired,
            "metrics": [vars(one) for one in self.metrics],
            "last_scale_time": self.last_scale_time,
            "able_to_scale": condition(self.able),
            "scaling_active": condition(self.active),
            "scaling_limited": condition(self.limited),
        }


def autoscaler(hpa: Hpa) -> Autoscaler:
    """From the object as the API server sends it."""
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    kind, target, _group = target_of(hpa)
    active = _condition(hpa, "ScalingActive")
    return Autoscaler(
        name=objects.name(dict(hpa)),
        namespace=objects.namespace(dict(hpa)),
        kind=kind,
        target=target,
        low=low(hpa),
        high=high(hpa),
        # The controller leaves out what is zero, also before it has looked for the first time.
        current=int(status.get("currentReplicas") or 0) if status.get("conditions") else None,
        desired=int(status.get("desiredReplicas") or 0) if active.status else None,
        metrics=[_metric(one, status) for one in (spec.get("metrics") or [])[:MOST_METRICS]],
        able=_condition(hpa, "AbleToScale"),
        active=active,
        limited=_condition(hpa, "ScalingLimited"),
        last_scale_time=status.get("lastScaleTime"),
    )


def low(hpa: Hpa) -> int:
    """minReplicas, which is 1 when it is not set."""
    value = (hpa.get("spec") or {}).get("minReplicas")
    return 1 if value is None else int(value)


def high(hpa: Hpa) -> int:
    """maxReplicas."""
    return int((hpa.get("spec") or {}).get("maxReplicas") or 0)


def named(hpas: Iterable[Hpa], name: str, namespace: str) -> Hpa:
    """The autoscaler of that name; InputError tells those that exist and what each scales."""
    every = list(hpas)
    for hpa in every:
        if objects.name(dict(hpa)) == name:
            return hpa
    raise InputError(
        f"no HorizontalPodAutoscaler {name} in namespace {namespace}: {listed(every)}. "
        "Give one of these names, or 'target' with the name of the workload.",
        option="name",
        autoscalers=[objects.name(dict(hpa)) for hpa in every[:MOST_NAMES]],
    )


def only(hpas: Iterable[Hpa], kind: str, target: str, namespace: str) -> Hpa:
    """The one autoscaler that scales this workload; InputError when there is none, RefusedError for several."""
    every = list(hpas)
    found = [hpa for hpa in every if target_of(hpa)[:2] == (kind, target)]
    if not found:
        raise InputError(
            f"no HorizontalPodAutoscaler in namespace {namespace} scales {kind} {target}: {listed(every)}.",
            option="target",
            autoscalers=[objects.name(dict(hpa)) for hpa in every[:MOST_NAMES]],
        )
    if len(found) > 1:
        raise RefusedError(several(kind, target, found))
    return found[0]


def several(kind: str, target: str, hpas: list[Hpa]) -> str:
    """The sentence about two autoscalers of one workload."""
    return (
        f"{len(hpas)} HorizontalPodAutoscalers scale {kind} {target} and work against each other: {listed(hpas)}. "
        "Delete all but one first."
    )


def listed(hpas: Iterable[Hpa]) -> str:
    """``there are web-hpa (Deployment web, 2..10) and ...``, for messages."""
    rows = [
        f"{objects.name(dict(hpa))} ({target_of(hpa)[0]} {target_of(hpa)[1]}, {low(hpa)}..{high(hpa)})" for hpa in hpas
    ]
    if not rows:
        return "there is none at all"
    more = f" and {len(rows) - MOST_NAMES} more" if len(rows) > MOST_NAMES else ""
    verb = "there is" if len(rows) == 1 else "there are"
    return f"{verb} {observed(', '.join(rows[:MOST_NAMES]), 2000)}{more}"


def _condition(hpa: Hpa, kind: str) -> Condition:
    found = objects.condition(dict(hpa), kind)
    if not found:
        return Condition()
    status = {"True": True, "False": False}.get(str(found.get("status")))
    message = " ".join(observed(str(found.get("message") or ""), MESSAGE_CHARACTERS).split())
    return Condition(status, str(found.get("reason") or ""), message)


def _metric(spec: Mapping[str, Any], status: Mapping[str, Any]) -> Metric:
    source = str(spec.get("type") or "")
    key = SOURCES.get(source, "")
    own = spec.get(key) or {}
    now: Mapping[str, Any] = next(
        (
            (one.get(key) or {}).get("current") or {}
            for one in status.get("currentMetrics") or []
            if one.get("type") == source and _same(one.get(key) or {}, own)
        ),
        {},
    )
    wanted = own.get("target") or {}
    name = own.get("name") or (own.get("metric") or {}).get("name") or source
    if own.get("container"):
        name = f"{own['container']}/{name}"
    value = _value(now, "averageUtilization" in wanted)
    return Metric(observed(str(name), 200), source, _value(wanted, "averageUtilization" in wanted) or "", value)


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(one.get(key) == other.get(key) for key in ("name", "container", "metric", "describedObject"))


def _value(amounts: Mapping[str, Any], percent: bool) -> str | None:
    if percent:
        return f"{amounts['averageUtilization']}%" if "averageUtilization" in amounts else None
    if "averageValue" in amounts:
        return f"{amounts['averageValue']} each"
    return str(amounts["value"]) if "value" in amounts else None

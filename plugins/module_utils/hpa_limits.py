# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the limits of one autoscaler, knowing what that does at once to the workload it scales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import kubernetes_capacity, kubernetes_hpa, kubernetes_owners, kubernetes_waiting
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .errors import InputError, RefusedError, RunbookError
from .kubernetes_capacity import Capacity
from .kubernetes_change import existing, until_settled, warn_all, written
from .kubernetes_client import Cluster
from .kubernetes_errors import NotFoundError
from .kubernetes_hpa import Hpa, autoscaler
from .kubernetes_owners import target_of
from .kubernetes_quota import Demand
from .kubernetes_waiting import Patience, Target, watch_rollouts
from .operation import Context
from .workload_scale import replicas_of

HPA = "HorizontalPodAutoscaler"
MOST_REPLICAS = 10_000
SCALED_KINDS = ("Deployment", "StatefulSet")
POLL_SECONDS = 1.0

SPEC = kubernetes_waiting.SPEC.merge(
    ArgumentSpec(
        options={
            "name": {"type": "str"},
            "target": {"type": "str"},
            "kind": {"type": "str", "default": "Deployment", "choices": list(SCALED_KINDS)},
            "min_replicas": {"type": "int"},
            "max_replicas": {"type": "int"},
            "expected_min_replicas": {"type": "int"},
            "expected_max_replicas": {"type": "int"},
            "limit_replicas": {"type": "int"},
            "allow_shrink": {"type": "bool", "default": False},
            "check_capacity": {"type": "bool", "default": True},
        },
        mutually_exclusive=(("name", "target"),),
        required_one_of=(("name", "target"), ("min_replicas", "max_replicas")),
    )
)


@dataclass(frozen=True)
class Plan:
    """(minReplicas, maxReplicas) before and after. ``current`` replicas of the workload, ``expected`` what the limits
    alone make of them; both None when the workload is of a kind that is not known here."""

    before: tuple[int, int]
    after: tuple[int, int]
    current: int | None
    reasons: list[str]

    @property
    def changes(self) -> bool:
        return self.before != self.after

    @property
    def expected(self) -> int | None:
        if not self.current:
            return self.current
        return min(max(self.current, self.after[0]), self.after[1])


def plan(name: str, before: tuple[int, int], current: int | None, params: dict[str, Any]) -> Plan:
    """The plan for the autoscaler ``name``; RefusedError for limits that cross, shrink, or are above the ceiling."""
    low = before[0] if params["min_replicas"] is None else params["min_replicas"]
    high = before[1] if params["max_replicas"] is None else params["max_replicas"]
    found = Plan(before, (low, high), current, [f"its limits are {before[0]}..{before[1]}, {low}..{high} are wanted"])
    if high < low:
        raise RefusedError(
            f"{name}: the maximum of {high} would be below the minimum of {low} (now {before[0]}..{before[1]}). "
            "Give both min_replicas and max_replicas.",
            min_replicas=before[0],
            max_replicas=before[1],
        )
    if not found.changes:
        return found
    _expected(name, before, params)
    ceiling = params["limit_replicas"]
    if ceiling is not None and max(low if low > before[0] else 0, high if high > before[1] else 0) > ceiling:
        raise RefusedError(
            f"{name}: limits of {low}..{high} are wanted, limit_replicas allows {ceiling}. "
            "The ceiling is set by who owns the cluster's room; ask there."
        )
    if current and high < current:
        if not params["allow_shrink"]:
            raise RefusedError(
                f"{name}: {current} replicas run, a maximum of {high} removes {current - high} of them at once. "
                "Say allow_shrink if that is meant.",
                replicas=current,
            )
        found.reasons.append(f"{current - high} of {current} replicas are removed at once, which is allowed")
    elif current and low > current:
        found.reasons.append(f"{low - current} replicas are added at once to the {current} there are")
    elif current == 0:
        found.reasons.append("its workload is scaled to 0: it does nothing until that is scaled up")
    return found


def _expected(name: str, before: tuple[int, int], params: dict[str, Any]) -> None:
    for option, word, value in (
        ("expected_min_replicas", "minimum", before[0]),
        ("expected_max_replicas", "maximum", before[1]),
    ):
        if params[option] not in (None, value):
            raise RefusedError(
                f"{name}: its {word} is {value}, {option} says {params[option]}: somebody else has changed it. "
                "Look why, then run this again.",
                min_replicas=before[0],
                max_replicas=before[1],
            )


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Change the limits. RefusedError when that is unsafe; RunbookError when the pods did not follow."""
    _check(params)
    patience = Patience.of(params)
    context = kubernetes_waiting.with_time(context, params, waits=2)
    with Cluster(params, context) as cluster:
        return _Change(cluster, params, context).run(patience)


def _check(params: dict[str, Any]) -> None:
    for option in ("min_replicas", "max_replicas", "expected_min_replicas", "expected_max_replicas", "limit_replicas"):
        value = params[option]
        if value is not None and not 1 <= value <= MOST_REPLICAS:
            raise InputError(f"{option} is {value}; it must be from 1 to {MOST_REPLICAS}.", option=option)
    for option in ("name", "target"):
        if params[option] is not None and not params[option].strip():
            raise InputError(f"{option} is empty; was a variable empty?", option=option)


@dataclass
class _Seen:
    hpa: Hpa
    workload: dict[str, Any] | None
    plan: Plan


class _Change:
    def __init__(self, cluster: Cluster, params: dict[str, Any], context: Context) -> None:
        self._cluster, self._params, self._context = cluster, params, context
        self._namespace = params["namespace"]
        self._first: _Seen | None = None
        self._capacity: Capacity | None = None
        self._unseen: list[dict[str, str]] = []

    def run(self, patience: Patience) -> dict[str, Any]:
        seen = until_settled(self._context, self._try)
        first = self._first or seen
        result = self._told(first) | {"changed": seen.plan.changes}
        warn_all(self._context, objects.key_of(dict(first.hpa)), result["warnings_about"])
        try:
            if not self._context.check_mode:
                result["after"] = self._limits(seen.plan)
                result["rollout"] = self._followed(seen, patience)
        except RunbookError as error:
            error.details = {**result, **error.details, "requests": self._cluster.requests}
            raise
        return result | {"requests": self._cluster.requests}

    def _try(self) -> _Seen:
        hpa = self._find()
        workload = self._workload(hpa)
        before = (kubernetes_hpa.low(hpa), kubernetes_hpa.high(hpa))
        key = objects.key_of(dict(hpa))
        seen = _Seen(hpa, workload, plan(key, before, replicas_of(workload) if workload else None, self._params))
        self._first = self._first or seen
        if seen.plan.changes:
            self._require_room(seen)
            spec = {"minReplicas": seen.plan.after[0], "maxReplicas": seen.plan.after[1]}
            body = {"metadata": {"resourceVersion": objects.resource_version(dict(hpa))}, "spec": spec}
            where = (HPA, self._namespace, objects.name(dict(hpa)))
            dry = self._context.check_mode
            written(key, lambda: self._cluster.patch(*where, body, "merge", dry_run=dry))
        return seen

    def _find(self) -> Hpa:
        hpas = self._cluster.list(HPA, self._namespace)
        if not hpas:
            self._cluster.require_namespace(self._namespace)
        if self._params["name"] is not None:
            return kubernetes_hpa.named(hpas, self._params["name"], self._namespace)
        return kubernetes_hpa.only(hpas, self._params["kind"], self._params["target"], self._namespace)

    def _workload(self, hpa: Hpa) -> dict[str, Any] | None:
        kind, name, group = target_of(hpa)
        if kind not in SCALED_KINDS or group != "apps":
            self._unseen = [{"id": "target_unverified", "text": f"what it does to {kind} {name} is not known here."}]
            return None
        try:
            return self._cluster.get(kind, self._namespace, name)
        except NotFoundError:
            self._unseen = [{"id": "target_missing", "text": f"it scales {kind} {name}, which does not exist."}]
            return None

    def _require_room(self, seen: _Seen) -> None:
        current, high = seen.plan.current or 0, seen.plan.after[1]
        raised = high > seen.plan.before[1] or seen.plan.after[0] > seen.plan.before[0]
        if seen.workload is None or not raised or high <= current:
            return
        if self._capacity is not None or not self._params["check_capacity"]:
            return
        self._capacity = kubernetes_capacity.assess(
            self._cluster,
            seen.workload,
            objects.template(seen.workload),
            high,
            lambda each: Demand.of_pods(high - current, each),
        )
        if self._capacity.refusals:
            raise RefusedError(
                f"{objects.key_of(dict(seen.hpa))}: {high} replicas cannot run, {current} do: "
                f"{'; '.join(self._capacity.refusals)}. Nothing was changed. Ask for a lower maximum, or make room first.",
                capacity=self._capacity.as_dict(),
            )

    # -- afterwards

    def _limits(self, wanted: Plan) -> dict[str, int]:
        hpa = self._find()
        low, high = kubernetes_hpa.low(hpa), kubernetes_hpa.high(hpa)
        if (low, high) != wanted.after:
            raise RunbookError(
                f"{objects.key_of(dict(hpa))} was given {wanted.after[0]}..{wanted.after[1]}, and has {low}..{high} now: "
                "somebody has changed it again.",
                after={"min_replicas": low, "max_replicas": high},
            )
        return {"min_replicas": low, "max_replicas": high}

    def _followed(self, seen: _Seen, patience: Patience) -> dict[str, Any] | None:
        """Wait until the workload is within the limits and its pods are up; only where the limits move it."""
        plan, workload = seen.plan, seen.workload
        if workload is None or patience.seconds <= 0 or plan.expected == plan.current:
            return None
        key = objects.key_of(workload)
        clock = self._context.clock
        until = clock.monotonic() + patience.seconds
        while not plan.after[0] <= (now := self._replicas(workload)) <= plan.after[1]:
            if clock.monotonic() >= until:
                raise RunbookError(
                    f"{objects.key_of(dict(seen.hpa))} has limits of {plan.after[0]}..{plan.after[1]}, and {key} still has "
                    f"{now} replicas after {patience.seconds:g} s: does the controller manager run?"
                )
            self._context.progress(
                f"{key}: {now} replicas, waiting for its autoscaler ({plan.after[0]}..{plan.after[1]})"
            )
            clock.sleep(self._context.deadline.within(POLL_SECONDS, f"the autoscaler to move {key}"))
        (rollout,) = watch_rollouts(self._cluster, [Target.of(workload)], self._context, patience)
        if not rollout.complete:
            raise RunbookError(
                f"{key} has {now} replicas now, and they are not up: {rollout.reason}: {rollout.message}",
                rollout=rollout.as_dict(),
            )
        return rollout.as_dict()

    def _replicas(self, workload: dict[str, Any]) -> int:
        return replicas_of(existing(self._cluster, workload["kind"], self._namespace, objects.name(workload)))

    def _told(self, seen: _Seen) -> dict[str, Any]:
        found, (low, high) = seen.plan, seen.plan.before
        rows = [*self._unseen, *(self._capacity.warnings if self._capacity else [])]
        if found.changes:
            rows += kubernetes_owners.warnings_about(seen.hpa, "limits")
        told: dict[str, Any] = {
            "namespace": self._namespace,
            "name": objects.name(dict(seen.hpa)),
            "action": "set_limits" if found.changes else "none",
            "reasons": found.reasons,
            "before": {"min_replicas": low, "max_replicas": high},
            "planned": {"min_replicas": found.after[0], "max_replicas": found.after[1]},
            "after": None,
            "replicas": {"before": found.current, "expected": found.expected},
            "autoscaler": autoscaler(seen.hpa).as_dict(),
            "undo": {"name": objects.name(dict(seen.hpa)), "min_replicas": low, "max_replicas": high},
            "capacity": self._capacity.as_dict() if self._capacity else None,
            "rollout": None,
            "warnings_about": rows,
        }
        if self._context.diff:
            told["diff"] = {"before": _text(found.before), "after": _text(found.after)}
        return told


def _text(limits: tuple[int, int]) -> str:
    return f"minReplicas: {limits[0]}\nmaxReplicas: {limits[1]}\n"

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Change the number of replicas of one workload, so that it stays changed, and see the pods come up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import kubernetes_capacity, kubernetes_owners, kubernetes_waiting, workload_scale_plan
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .errors import InputError, RefusedError, RunbookError
from .kubernetes_capacity import Capacity
from .kubernetes_change import existing, until_settled, warn_all, written
from .kubernetes_client import Cluster
from .kubernetes_hpa import Hpa, autoscaler
from .kubernetes_quota import Demand
from .kubernetes_rollout import Rollout
from .kubernetes_waiting import Patience, Target, watch_rollouts
from .operation import Context
from .workload_scale_plan import Plan, Wish

HPA = "HorizontalPodAutoscaler"
MOST_REPLICAS = 10_000

SPEC = kubernetes_waiting.SPEC.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "default": "Deployment", "choices": ["Deployment", "StatefulSet"]},
            "name": {"type": "str", "required": True},
            "replicas": {"type": "int"},
            "at_least": {"type": "int"},
            "expected_replicas": {"type": "int"},
            "hpa": {"type": "str", "default": "refuse", "choices": ["refuse", "adapt"]},
            "allow_zero": {"type": "bool", "default": False},
            "limit_replicas": {"type": "int"},
            "partitions": {"type": "int"},
            "check_capacity": {"type": "bool", "default": True},
        },
        mutually_exclusive=(("replicas", "at_least"),),
        required_one_of=(("replicas", "at_least"),),
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Scale it. RefusedError when it would be unsafe or undone; RunbookError when the pods did not come up."""
    _check(params)
    patience = Patience.of(params)
    context = kubernetes_waiting.with_time(context, params)
    with Cluster(params, context) as cluster:
        return _Scaling(cluster, params, context).run(patience)


def _check(params: dict[str, Any]) -> None:
    least = {"replicas": 0, "at_least": 1, "expected_replicas": 0, "limit_replicas": 1, "partitions": 0}
    for option, low in least.items():
        value = params[option]
        if value is not None and not low <= value <= MOST_REPLICAS:
            raise InputError(f"{option} is {value}; it must be from {low} to {MOST_REPLICAS}.", option=option)


@dataclass
class _Seen:
    """What was read, and what follows from it."""

    workload: dict[str, Any]
    hpas: list[Hpa]
    plan: Plan

    @property
    def replicas(self) -> int:
        return replicas_of(self.workload)


class _Scaling:
    def __init__(self, cluster: Cluster, params: dict[str, Any], context: Context) -> None:
        self._cluster, self._params, self._context = cluster, params, context
        self._kind, self._namespace, self._name = params["kind"], params["namespace"], params["name"]
        self._key = objects.key(self._kind, self._namespace, self._name)
        self._first: _Seen | None = None
        self._capacity: Capacity | None = None
        self._changed = {"replicas": False, "hpa": False}

    def run(self, patience: Patience) -> dict[str, Any]:
        try:
            seen = until_settled(self._context, self._try)
        except RunbookError as error:
            if self._first and any(self._changed.values()):
                error.details |= {**self._told(self._first), "changed": True}
            raise
        first = self._first or seen
        result = self._told(first)
        warn_all(self._context, self._key, result["warnings_about"])
        if self._context.check_mode:
            return result | {"changed": first.plan.changes, "requests": self._cluster.requests}
        rollout = self._watched(seen, patience)
        result |= {"changed": any(self._changed.values()), "rollout": rollout.as_dict() if rollout else None}
        try:
            result["after"] = self._after(first.plan, rollout)
        except RunbookError as error:
            error.details = {**result, **error.details, "requests": self._cluster.requests}
            raise
        return result | {"requests": self._cluster.requests}

    # -- plan and act

    def _try(self) -> _Seen:
        seen = self._look()
        if self._first is None:
            self._first = seen
        if seen.plan.changes:
            self._require_room(seen)
            self._act(seen)
        return seen

    def _look(self) -> _Seen:
        every = self._cluster.list(HPA, self._namespace)
        # Read last, so that nearly nobody can write it between this and the patch, which is locked to this version.
        workload = existing(self._cluster, self._kind, self._namespace, self._name)
        hpas = kubernetes_owners.autoscalers_of(workload, every)
        plan = workload_scale_plan.plan(self._key, replicas_of(workload), hpas, Wish.of(self._params))
        return _Seen(workload, hpas, plan)

    def _require_room(self, seen: _Seen) -> None:
        plan = seen.plan
        more = plan.after - plan.before
        if more <= 0 or self._capacity is not None or not self._params["check_capacity"]:
            return
        self._capacity = kubernetes_capacity.assess(
            self._cluster,
            seen.workload,
            objects.template(seen.workload),
            plan.after,
            lambda each: Demand.of_pods(more, each),
        )
        if self._capacity.refusals:
            raise RefusedError(
                f"{self._key} cannot have {plan.after} replicas instead of {plan.before}: "
                f"{'; '.join(self._capacity.refusals)}. Nothing was changed. Ask for fewer, or make room first.",
                capacity=self._capacity.as_dict(),
                replicas=plan.before,
            )

    def _act(self, seen: _Seen) -> None:
        limits, dry = seen.plan.hpa, self._context.check_mode
        adapt = bool(limits and limits.changed)
        moves = seen.plan.before != seen.plan.after
        if adapt and moves and not dry:
            self._scale(seen, dry_run=True)  # so that the autoscaler is not touched when this would be refused
        if limits and adapt:
            body = {
                "metadata": {"resourceVersion": objects.resource_version(dict(seen.hpas[0]))},
                "spec": {"minReplicas": limits.after[0], "maxReplicas": limits.after[1]},
            }
            where = (HPA, self._namespace, limits.name)
            written(self._key, lambda: self._cluster.patch(*where, body, "merge", dry_run=dry))
            self._changed["hpa"] = not dry
        if moves:
            self._scale(seen, dry_run=dry)
            self._changed["replicas"] = not dry

    def _scale(self, seen: _Seen, dry_run: bool) -> None:
        body = {
            "metadata": {"resourceVersion": objects.resource_version(seen.workload)},
            "spec": {"replicas": seen.plan.after},
        }
        where = (self._kind, self._namespace, self._name)
        answer = written(
            self._key, lambda: self._cluster.patch(*where, body, "merge", dry_run=dry_run, subresource="scale")
        )
        now = (answer.get("spec") or {}).get("replicas", 0)
        if now != seen.plan.after:
            raise RunbookError(f"{self._key}: {seen.plan.after} replicas were asked for, the API server made it {now}.")

    # -- afterwards

    def _watched(self, seen: _Seen, patience: Patience) -> Rollout | None:
        if patience.seconds <= 0:
            return None
        (rollout,) = watch_rollouts(self._cluster, [Target.of(seen.workload)], self._context, patience)
        return rollout

    def _after(self, plan: Plan, rollout: Rollout | None) -> dict[str, Any]:
        workload = existing(self._cluster, self._kind, self._namespace, self._name)
        now = replicas_of(workload)
        low = min(plan.after, self._params["at_least"] or plan.after)
        high = plan.hpa.after[1] if plan.hpa else plan.after
        # An autoscaler may go above the wanted number by its metrics, and nobody else may.
        if not low <= now <= max(high, plan.after):
            hpas = f" HorizontalPodAutoscaler {plan.hpa.name} scales it." if plan.hpa else ""
            raise RunbookError(
                f"{self._key} was scaled to {plan.after} replicas, and has {now} now: somebody has changed it again.{hpas}",
                after=_counts(workload),
            )
        if rollout and not rollout.complete:
            raise RunbookError(
                f"{self._key} is scaled to {now} replicas, and they are not up: {rollout.reason}: {rollout.message}"
                f"{_time_up(rollout)}",
                after=_counts(workload),
            )
        return _counts(workload)

    def _writers(self, seen: _Seen) -> list[dict[str, str]]:
        """Who would undo the plan; a manifest that says the same number as the plan would not."""
        plan = seen.plan
        adapt = bool(plan.hpa and plan.hpa.changed)
        rows = []
        if plan.before != plan.after:
            rows = kubernetes_owners.warnings_about(seen.workload, "replicas")
            manifest = kubernetes_owners.applied(seen.workload).get("spec") or {}
            if manifest.get("replicas") == plan.after:
                rows = [row for row in rows if row["id"] != "kubectl_apply"]
        if plan.hpa and adapt:
            for row in kubernetes_owners.warnings_about(seen.hpas[0], "limits"):
                rows.append({"id": row["id"], "text": f"HorizontalPodAutoscaler {plan.hpa.name}: {row['text']}"})
        return rows

    def _told(self, seen: _Seen) -> dict[str, Any]:
        plan = seen.plan
        rows = [*plan.warnings, *self._writers(seen), *(self._capacity.warnings if self._capacity else [])]
        told: dict[str, Any] = {
            "kind": self._kind,
            "namespace": self._namespace,
            "name": self._name,
            "action": "none" if not plan.changes else "scale" if plan.before != plan.after else "set_limits",
            "reasons": plan.reasons,
            "before": _counts(seen.workload),
            "planned": {"replicas": plan.after, "autoscaler": _limits(plan, after=True)},
            "after": None,
            "autoscaler": autoscaler(seen.hpas[0]).as_dict() if seen.hpas else None,
            "undo": {"replicas": plan.before, "autoscaler": _limits(plan, after=False)},
            "capacity": self._capacity.as_dict() if self._capacity else None,
            "rollout": None,
            "warnings_about": rows,
        }
        if self._context.diff:
            told["diff"] = {"before": _text(plan, False), "after": _text(plan, True)}
        return told


def replicas_of(workload: dict[str, Any]) -> int:
    """spec.replicas, which is 1 when it is not set."""
    value = workload["spec"].get("replicas")
    return 1 if value is None else int(value)


def _counts(workload: dict[str, Any]) -> dict[str, int]:
    status = workload.get("status") or {}
    return {
        "replicas": replicas_of(workload),
        "ready_replicas": int(status.get("readyReplicas") or 0),
        "available_replicas": int(status.get("availableReplicas") or 0),
    }


def _limits(plan: Plan, after: bool) -> dict[str, Any] | None:
    if plan.hpa is None or not plan.hpa.changed:
        return None
    low, high = plan.hpa.after if after else plan.hpa.before
    return {"name": plan.hpa.name, "min_replicas": low, "max_replicas": high}


def _text(plan: Plan, after: bool) -> str:
    lines = [f"replicas: {plan.after if after else plan.before}"]
    if plan.hpa:
        low, high = plan.hpa.after if after else plan.hpa.before
        lines += [f"minReplicas: {low} ({plan.hpa.name})", f"maxReplicas: {high} ({plan.hpa.name})"]
    return "\n".join(lines) + "\n"


def _time_up(rollout: Rollout) -> str:
    return f" (waited {rollout.waited_seconds:.0f} s; see wait_seconds)" if rollout.timed_out else ""

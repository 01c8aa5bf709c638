# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workloads a restart touches, in which order, and what speaks against it. Nothing is changed here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from . import kubernetes_objects as objects
from . import kubernetes_restart as restart
from .errors import RefusedError, RunbookError
from .kubernetes_client import Cluster
from .kubernetes_disruption import Budget, budgets_over, most_down
from .kubernetes_errors import ForbiddenError
from .kubernetes_named import NamedReader
from .kubernetes_new_pods import NewPods
from .kubernetes_objects import Object
from .kubernetes_restart import Order
from .kubernetes_rollout import rollout_of
from .kubernetes_trial import try_pod

Action = Literal["restart", "none", "refuse"]


@dataclass
class Step:
    """One workload: what is done with it, and why. ``batch`` counts from 1."""

    name: str
    batch: int
    action: Action = "restart"
    reason: str = ""
    workload: Object = field(default_factory=dict)
    may_take_down: int = 0
    budgets: list[Budget] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        self.action, self.reason = "refuse", reason

    def warn(self, identity: str, text: str) -> None:
        self.warnings.append({"id": identity, "text": f"{self.name}: {text}"})

    def as_dict(self) -> dict[str, Any]:
        rollout = rollout_of(self.workload) if self.workload else None
        return {
            "name": self.name,
            "batch": self.batch,
            "action": self.action,
            "reason": self.reason,
            "state": rollout.state if rollout else "absent",
            "revision": rollout.revision if rollout else "",
            "images": rollout.images if rollout else {},
            "replicas": rollout.desired if rollout else 0,
            "may_take_down": self.may_take_down,
            "budgets": [budget.as_dict() for budget in self.budgets],
        }


def plan(
    cluster: Cluster, kind: str, namespace: str, names: list[str], serial: int, order: Order, respect_budgets: bool
) -> list[Step]:
    """The steps in the order of ``names``. RefusedError with the plan when one of them must not be taken."""
    found = NamedReader(cluster).read(kind, namespace, names)
    if not found:
        cluster.require_namespace(namespace)
    steps = [_step(name, number // serial + 1, found.get(name), order) for number, name in enumerate(names)]
    if order.not_before is not None:
        _leave_new_pods(cluster, steps, order.not_before)
    going = [step for step in steps if step.action == "restart"]
    if respect_budgets:
        ask_budgets(cluster, namespace, going)
    for step in going:
        if step.action == "restart":
            _try(cluster, step)
    refuse_all(steps, namespace, kind)
    return steps


def refuse_all(steps: Iterable[Step], namespace: str, kind: str) -> None:
    """RefusedError when a step is refused: then none is taken."""
    rows = list(steps)
    refused = [step for step in rows if step.action == "refuse"]
    if refused:
        said = "; ".join(f"{step.name}: {step.reason.rstrip('.')}" for step in refused)
        raise RefusedError(
            f"nothing was restarted in namespace {namespace}, because of {kind} {said}.",
            plan=[step.as_dict() for step in rows],
        )


def _step(name: str, batch: int, workload: Object | None, order: Order) -> Step:
    step = Step(name, batch)
    if workload is None:
        step.refuse("it does not exist (another kind or namespace, or a misspelt name)")
        return step
    step.workload = workload
    already = restart.done(workload, order)
    if already:
        step.action, step.reason = "none", already
        return step
    rollout = rollout_of(workload)
    against = restart.objection(workload, rollout, order)
    if against:
        step.refuse(against)
        return step
    step.may_take_down = most_down(workload)
    if not rollout.complete:
        step.warn("not_complete", f"its rollout is not complete now: {rollout.message}.")
    return step


def _leave_new_pods(cluster: Cluster, steps: list[Step], not_before: float) -> None:
    """Pods that were all made since need no restart, whatever made them. What may not be read decides nothing."""
    going = [step for step in steps if step.action == "restart"]
    pods = NewPods(cluster).of([step.workload for step in going])
    for step in going:
        own = pods.get(objects.uid(step.workload), [])
        if restart.pods_are_newer(rollout_of(step.workload), own, not_before):
            step.action, step.reason = "none", "all its pods were made since"


def ask_budgets(cluster: Cluster, namespace: str, steps: list[Step]) -> None:
    """Refuse steps that a PodDisruptionBudget forbids; warn of those that might go below one."""
    if not steps:
        return
    try:
        budgets = cluster.list("PodDisruptionBudget", namespace)
    except ForbiddenError as error:
        for step in steps:
            step.refuse(f"whether a PodDisruptionBudget forbids it is not known: {error.message}")
        return
    for step in steps:
        step.budgets = budgets_over(step.workload, budgets)
        for budget in step.budgets:
            _judge(step, budget)


def _judge(step: Step, budget: Budget) -> None:
    down = step.may_take_down
    text = f"{budget}, and its update strategy may take {down} down at once"
    if not down:
        return
    if not budget.allowed:
        step.refuse(f"{text}. Bring its pods up first, or say disruption_budgets=ignore")
    elif budget.allowed < down:
        step.warn("below_budget", f"{text}.")


def _try(cluster: Cluster, step: Step) -> None:
    """Pods that the API server would refuse: the old ones would go, and none come."""
    try:
        trial = try_pod(cluster, step.workload, objects.template(step.workload))
    except RunbookError as error:
        step.warn("admission_unverified", error.message)
        return
    if trial.unverified:
        step.warn("admission_unverified", trial.unverified)
    elif "exceeded quota" in trial.refused and step.may_take_down:
        step.warn("quota", f"new pods only fit the quota as old ones go: {trial.refused}.")
    elif trial.refused:
        step.refuse(f"the API server would refuse its new pods: {trial.refused}")

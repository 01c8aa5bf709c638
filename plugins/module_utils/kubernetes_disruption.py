# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many pods an update takes away at once, and what PodDisruptionBudgets say to that. Pure.

Controllers that roll out a template do not ask the budgets; only evictions do. So who restarts has to ask.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_objects import Object


@dataclass(frozen=True)
class Budget:
    """A PodDisruptionBudget over the pods of a workload. ``allowed`` is None while its controller has not looked."""

    name: str
    allowed: int | None
    healthy: int
    wanted: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "disruptions_allowed": self.allowed,
            "current_healthy": self.healthy,
            "desired_healthy": self.wanted,
        }

    def __str__(self) -> str:
        if self.allowed is None:
            return f"PodDisruptionBudget {self.name} has not been looked at by its controller"
        return (
            f"PodDisruptionBudget {self.name} allows {self.allowed} disruptions now "
            f"({self.healthy} pods healthy, {self.wanted} needed)"
        )


def budgets_over(workload: Object, budgets: Iterable[Object]) -> list[Budget]:
    """The budgets whose selector matches the pods of ``workload``; ``budgets`` are those of its namespace."""
    own = objects.labels_of(objects.template(workload))
    return [_budget(one) for one in budgets if objects.selects((one.get("spec") or {}).get("selector"), own)]


def _budget(found: Object) -> Budget:
    status = found.get("status") or {}
    known = int(status.get("observedGeneration") or 0) >= objects.generation(found)
    return Budget(
        objects.name(found),
        int(status.get("disruptionsAllowed") or 0) if known else None,
        int(status.get("currentHealthy") or 0),
        int(status.get("desiredHealthy") or 0),
    )


def most_down(workload: Object) -> int:
    """Pods that a change of the template may take away at once, before new ones are ready in their place."""
    spec = workload["spec"]
    replicas = 1 if spec.get("replicas") is None else int(spec["replicas"])
    kind = objects.kind(workload)
    strategy = spec.get("strategy" if kind == "Deployment" else "updateStrategy") or {}
    rolling = strategy.get("rollingUpdate") or {}
    if kind == "Deployment":
        if strategy.get("type") == "Recreate":
            return replicas
        down = _scaled(rolling.get("maxUnavailable", "25%"), replicas, up=False)
        # Without room to go up or down nothing could move: the controller then takes one away.
        return down or (0 if _scaled(rolling.get("maxSurge", "25%"), replicas, up=True) else 1)
    if kind == "StatefulSet":
        return min(replicas, max(1, _scaled(rolling.get("maxUnavailable", 1), replicas, up=False)))
    nodes = int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    surge = _scaled(rolling.get("maxSurge", 0), nodes, up=True)
    return 0 if surge else min(nodes, max(1, _scaled(rolling.get("maxUnavailable", 1), nodes, up=True)))


def _scaled(value: int | str, of: int, *, up: bool) -> int:
    if isinstance(value, int):
        return value
    percent = int(value.rstrip("%")) * of
    return -(-percent // 100) if up else percent // 100

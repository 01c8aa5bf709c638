# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Is there room for more (or larger) pods of a workload: admission, ResourceQuotas, nodes.

What admission or a quota refuses is certain, and is a reason not to begin. The room on nodes is an estimate, so it is a
warning, except that a pod which is larger than every node can never run. What may not be read is said as unverified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_objects as objects
from . import kubernetes_quota
from .kubernetes_client import Cluster
from .kubernetes_errors import ForbiddenError
from .kubernetes_nodes import Room, room
from .kubernetes_quantity import Needs, needs, shown
from .kubernetes_quota import Demand
from .kubernetes_trial import Trial, try_pod

UNFINISHED = "status.phase!=Succeeded,status.phase!=Failed"


@dataclass
class Capacity:
    """``refusals`` are certain: each is one sentence, and pods will not be made. ``warnings`` are {id, text}."""

    each: Needs
    refusals: list[str] = field(default_factory=list)
    warnings: list[dict[str, str]] = field(default_factory=list)
    room: Room | None = None

    def warn(self, identity: str, text: str) -> None:
        self.warnings.append({"id": identity, "text": text})

    def as_dict(self) -> dict[str, Any]:
        fits = (
            {"nodes": self.room.nodes, "all_nodes": self.room.all_nodes, "pods": self.room.pods} if self.room else None
        )
        return {
            "status": "fail" if self.refusals else "unverified" if self._unseen() else "pass",
            "per_pod": self.each.as_dict(),
            "node_room": fits,
            "refusals": self.refusals,
        }

    def _unseen(self) -> bool:
        return any(row["id"] == "capacity_unverified" for row in self.warnings)


def assess(
    cluster: Cluster,
    workload: dict[str, Any],
    template: Mapping[str, Any],
    replicas: int,
    demand: Callable[[Needs], Demand],
) -> Capacity:
    """Room for ``replicas`` pods of ``template`` in all, where ``demand`` says what that adds to what the quotas count.

    Nothing is stored. Rights used where they are given: create pods (dry run), list resourcequotas in the namespace,
    list nodes, list pods of all namespaces.
    """
    trial = try_pod(cluster, workload, template)
    spec = (trial.pod or template).get("spec") or {}
    found = Capacity(needs(spec))
    _quotas(found, cluster, workload, spec, demand, trial)
    if not found.refusals:
        _nodes(found, cluster, workload, spec, replicas)
    return found


def _quotas(
    found: Capacity,
    cluster: Cluster,
    workload: dict[str, Any],
    spec: Mapping[str, Any],
    demand: Callable[[Needs], Demand],
    trial: Trial,
) -> None:
    try:
        quotas = cluster.list("ResourceQuota", objects.namespace(workload))
    except ForbiddenError as error:
        quotas = []
        found.warn("capacity_unverified", f"the quotas of the namespace could not be read: {error.message}")
    if quotas:
        found.refusals = [row.text() for row in kubernetes_quota.shortages(quotas, spec, demand(found.each))]
    for name in kubernetes_quota.unreadable(quotas):
        found.warn("capacity_unverified", f"ResourceQuota {name} has a scope that is not understood here.")
    if trial.refused and not (found.refusals and "exceeded quota" in trial.refused):
        found.refusals.append(f"the API server would refuse its pods: {trial.refused}")
    if trial.unverified:
        found.warn("capacity_unverified", trial.unverified)


def _nodes(found: Capacity, cluster: Cluster, workload: dict[str, Any], spec: Mapping[str, Any], replicas: int) -> None:
    try:
        nodes = cluster.list("Node")
        pods = cluster.list("Pod", fields=UNFINISHED)
    except ForbiddenError as error:
        found.warn("capacity_unverified", f"the room on the nodes could not be read: {error.message}")
        return
    found.room = room(nodes, [pod for pod in pods if not _own(pod, workload)], spec, found.each)
    if not found.room.nodes:
        text = f"none of {len(nodes)} nodes takes such a pod now (readiness, cordons, taints, node selector)"
        found.warn("node_room", f"{text}: new pods would stay Pending.")
        return
    for resource, value in found.each.requests.items():
        most = found.room.largest.get(resource)
        if value and (most is None or value > most):
            has = shown(resource, most) if most is not None else "none"
            found.refusals.append(
                f"a pod requests {shown(resource, value)} {resource}, the largest node that may take it has {has}"
            )
    if not found.refusals and workload["kind"] != "DaemonSet" and found.room.pods < replicas:
        found.warn(
            "node_room",
            f"by their requests about {found.room.pods} such pods fit on the {found.room.nodes} nodes that take them, "
            f"{replicas} are wanted: the rest would stay Pending unless the cluster adds nodes.",
        )


def _own(pod: dict[str, Any], workload: dict[str, Any]) -> bool:
    return objects.namespace(pod) == objects.namespace(workload) and objects.selects(
        workload["spec"].get("selector"), objects.labels_of(pod)
    )

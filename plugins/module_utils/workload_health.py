# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health of many workloads of a namespace, from one list request for each kind of object."""

from __future__ import annotations

from typing import Any

from . import checks, kubernetes_client, workload_presence, workload_view
from . import kubernetes_gather as gather
from . import kubernetes_objects as objects
from . import kubernetes_owners as owners
from . import kubernetes_pods as pods
from . import workload_health_checks as health
from . import workload_services as services
from .argspec import ArgumentSpec
from .errors import InputError
from .kubernetes_client import Cluster
from .kubernetes_gather import Listed
from .operation import Context
from .workload_view import View

MOST_PODS = 50

SPEC = kubernetes_client.SPEC.merge(
    workload_view.SPEC,
    ArgumentSpec(
        options={
            "minimum_addresses": {"type": "int", "default": 1},
            "recent_restart_seconds": {"type": "float", "default": 600.0},
            "max_recent_restarts": {"type": "int", "default": 0},
            "require_service": {"type": "bool", "default": True},
            "require_hpa": {"type": "bool", "default": False},
            "require_pdb": {"type": "bool", "default": False},
        }
    ),
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Reads only; the same in check mode."""
    asked = workload_view.wanted(params)
    terms = _terms(params, context)
    kinds = [*workload_view.kinds_for(asked.kind), "Service", "EndpointSlice", "PodDisruptionBudget"]
    if asked.kind != "DaemonSet":
        kinds.append("HorizontalPodAutoscaler")
    with Cluster(params, context) as cluster:
        listed = gather.namespace(cluster, params["namespace"], kinds)
        if not params["require_hpa"]:
            listed.problems.pop("HorizontalPodAutoscaler", None)
        selection = workload_view.select(asked, listed)
        rows = list(workload_presence.checks_of(cluster, asked, listed, selection))
        requests = cluster.requests
    findings = workload_presence.findings_of(rows, terms.system)
    for view in selection.views:
        judged = health.judge(view, listed, terms)
        rows += judged.checks
        findings += judged.findings
    for check in rows:
        check.runbook = params["runbook"]
    return checks.report(
        rows,
        findings,
        namespace=params["namespace"],
        selected_pods=len(selection.selected) if asked.selector and "Pod" not in listed.problems else None,
        workloads=[_data(view, listed) for view in selection.views],
        requests=requests,
    )


def _terms(params: dict[str, Any], context: Context) -> health.Terms:
    for option in ("recent_restart_seconds", "max_recent_restarts", "minimum_addresses"):
        if params[option] < 0:
            raise InputError(f"{option} is {params[option]:g}; it cannot be below 0.", option=option)
    return health.Terms(
        now=context.clock.now(),
        system=params["system"],
        recent_restart_seconds=params["recent_restart_seconds"],
        max_recent_restarts=params["max_recent_restarts"],
        minimum_addresses=params["minimum_addresses"],
        require_service=params["require_service"],
        require_hpa=params["require_hpa"],
        require_pdb=params["require_pdb"],
    )


def _data(view: View, listed: Listed) -> dict[str, Any]:
    rollout = view.rollout
    hpas = owners.autoscalers_of(view.object, listed.of("HorizontalPodAutoscaler"))
    return {
        "name": view.name,
        "kind": view.kind,
        "desired": rollout.desired,
        "updated": rollout.updated,
        "ready": rollout.ready,
        "available": rollout.available,
        "rollout": rollout.state,
        "reason": rollout.reason or None,
        "revision": rollout.revision or None,
        "images": rollout.images,
        "restarts": sum(pods.restarts(pod) for pod in view.alive),
        "pods_count": len(view.pods),
        "pods": [{**pods.row(pod), "current": view.is_current(pod)} for pod in view.pods[:MOST_PODS]],
        "services": [
            {
                "name": objects.name(one),
                "ports": services.ports_text(one),
                "ready_addresses": list(services.addresses(one, listed.of("EndpointSlice")).ready),
                "not_ready_addresses": list(services.addresses(one, listed.of("EndpointSlice")).not_ready),
            }
            for one in services.services_of(view, listed.of("Service"))
        ],
        "hpa": health.autoscaler_row(hpas[0]) if hpas else None,
    }

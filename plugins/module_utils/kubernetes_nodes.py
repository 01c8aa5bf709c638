# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many more pods fit on the nodes, by what the scheduler counts first. Pure, and an estimate.

Looked at are readiness, cordons, taints, node selectors, required node affinity, requests and the number of pods. Not
looked at: affinity between pods, topology spread, volumes, ports, preemption, and a cluster that adds nodes by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .kubernetes_quantity import Amounts, Needs, amount, needs

_BLOCKING = ("NoSchedule", "NoExecute")


@dataclass(frozen=True)
class Room:
    """``nodes`` of ``all_nodes`` may take such a pod; ``pods`` more of it fit there. ``largest`` is the most that one
    of these nodes has for pods at all, by resource."""

    all_nodes: int
    nodes: int
    pods: int
    largest: Amounts


def room(
    nodes: Iterable[Mapping[str, Any]], pods: Iterable[Mapping[str, Any]], spec: Mapping[str, Any], each: Needs
) -> Room:
    """How many more pods of ``spec``, which take up ``each``, fit beside ``pods`` (those of all namespaces)."""
    every = list(nodes)
    fitting = [node for node in every if _takes(node, spec)]
    used: dict[str, list[Mapping[str, Any]]] = {}
    for pod in pods:
        used.setdefault(str((pod.get("spec") or {}).get("nodeName") or ""), []).append(pod.get("spec") or {})
    largest: Amounts = {}
    count = 0
    for node in fitting:
        allocatable = {
            key: amount(value) for key, value in ((node.get("status") or {}).get("allocatable") or {}).items()
        }
        largest = {key: max(value, largest.get(key, Decimal(0))) for key, value in {**largest, **allocatable}.items()}
        count += _more(allocatable, used.get(str((node.get("metadata") or {}).get("name")), []), each)
    return Room(len(every), len(fitting), count, largest)


def _more(allocatable: Amounts, there: list[Mapping[str, Any]], each: Needs) -> int:
    taken: Amounts = {}
    for spec in there:
        for resource, value in needs(spec).requests.items():
            taken[resource] = taken.get(resource, Decimal(0)) + value
    fits = [int(allocatable.get("pods", Decimal(0))) - len(there)]
    for resource, value in each.requests.items():
        if value > 0:
            free = allocatable.get(resource, Decimal(0)) - taken.get(resource, Decimal(0))
            fits.append(int(free // value))
    return max(0, min(fits))


def _takes(node: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    node_spec = node.get("spec") or {}
    ready: Mapping[str, Any] = next(
        (one for one in (node.get("status") or {}).get("conditions") or [] if one.get("type") == "Ready"), {}
    )
    taints = [taint for taint in node_spec.get("taints") or [] if taint.get("effect") in _BLOCKING]
    tolerations = spec.get("tolerations") or []
    return (
        ready.get("status") == "True"
        and not node_spec.get("unschedulable")
        and all(any(_tolerates(one, taint) for one in tolerations) for taint in taints)
        and _selected(node, spec)
    )


def _tolerates(toleration: Mapping[str, Any], taint: Mapping[str, Any]) -> bool:
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("operator") == "Exists":
        return not toleration.get("key") or toleration["key"] == taint.get("key")
    return toleration.get("key") == taint.get("key") and (toleration.get("value") or "") == (taint.get("value") or "")


def _selected(node: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    labels = (node.get("metadata") or {}).get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution"
    )
    if not affinity:
        return True
    fields = {"metadata.name": str((node.get("metadata") or {}).get("name"))}
    return any(
        all(_meets(one, labels) for one in term.get("matchExpressions") or [])
        and all(_meets(one, fields) for one in term.get("matchFields") or [])
        for term in affinity.get("nodeSelectorTerms") or []
        if term.get("matchExpressions") or term.get("matchFields")
    )


def _meets(expression: Mapping[str, Any], own: Mapping[str, str]) -> bool:
    value = own.get(expression.get("key") or "")
    values = list(expression.get("values") or [])
    operator = expression.get("operator")
    if operator in ("Gt", "Lt"):
        if not (value and value.lstrip("-").isdigit()):
            return False
        return int(value) > int(values[0]) if operator == "Gt" else int(value) < int(values[0])
    return {
        "In": value in values,
        "NotIn": value not in values,
        "Exists": value is not None,
        "DoesNotExist": value is None,
    }.get(str(operator), False)

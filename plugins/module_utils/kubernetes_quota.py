# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the ResourceQuotas of a namespace have room for more pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from .kubernetes_quantity import Amounts, Needs, amount, shown
from .redact import observed

_COMPUTE = ("cpu", "memory", "ephemeral-storage")


@dataclass(frozen=True)
class Demand:
    """What is wanted on top of what there is; amounts below zero give some back."""

    pods: int
    requests: Amounts
    limits: Amounts

    @classmethod
    def of_pods(cls, count: int, each: Needs) -> Demand:
        return cls(
            count,
            {resource: value * count for resource, value in each.requests.items()},
            {resource: value * count for resource, value in each.limits.items()},
        )


@dataclass(frozen=True)
class Shortage:
    """A quota that refuses the pods. ``needed`` is None where the pod must say an amount and says none."""

    quota: str
    resource: str
    hard: Decimal
    used: Decimal
    needed: Decimal | None

    def text(self) -> str:
        if self.needed is None:
            return f"ResourceQuota {self.quota} counts {self.resource}, and a container of the pod does not set it"
        free = max(Decimal(0), self.hard - self.used)
        return (
            f"ResourceQuota {self.quota} has {shown(self.resource, free)} of {shown(self.resource, self.hard)} "
            f"{self.resource} left, {shown(self.resource, self.needed)} more are needed"
        )


def shortages(quotas: Iterable[Mapping[str, Any]], spec: Mapping[str, Any], demand: Demand) -> list[Shortage]:
    """What the quotas that count pods of ``spec`` lack for ``demand``."""
    found = []
    for quota in quotas:
        if not _counts(quota, spec):
            continue
        status = quota.get("status") or {}
        hard = status.get("hard") or (quota.get("spec") or {}).get("hard") or {}
        used = status.get("used") or {}
        name = observed(str((quota.get("metadata") or {}).get("name")), 200)
        for resource, most in hard.items():
            known, needed = _needed(resource, demand)
            row = Shortage(name, resource, amount(most), amount(used.get(resource, 0)), needed)
            if known and (needed is None or (needed > 0 and row.used + needed > row.hard)):
                found.append(row)
    return found


def unreadable(quotas: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names of the quotas whose scope is not known here, so that nobody knows whether they count the pods."""
    return [
        observed(str((quota.get("metadata") or {}).get("name")), 200)
        for quota in quotas
        if any(scope not in _SCOPES for scope, _operator, _values in _scopes(quota))
    ]


def _needed(resource: str, demand: Demand) -> tuple[bool, Decimal | None]:
    """Whether the quota's resource is one of pods, and how much of it is needed."""
    if resource in ("pods", "count/pods"):
        return True, Decimal(demand.pods)
    amounts = demand.limits if resource.startswith("limits.") else demand.requests
    plain = resource.removeprefix("limits.").removeprefix("requests.")
    if plain in _COMPUTE[:2]:
        return demand.pods > 0 or bool(amounts.get(plain)), amounts.get(plain)
    return plain in amounts, amounts.get(plain, Decimal(0))


def _best_effort(spec: Mapping[str, Any]) -> bool:
    containers = [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]
    resources = [container.get("resources") or {} for container in containers]
    return not any(one.get("requests") or one.get("limits") for one in resources)


def _priority(spec: Mapping[str, Any], operator: str, values: list[str]) -> bool:
    own = spec.get("priorityClassName")
    return {"In": own in values, "NotIn": own not in values, "Exists": bool(own), "DoesNotExist": not own}[operator]


_SCOPES = {
    "Terminating": lambda spec, operator, values: spec.get("activeDeadlineSeconds") is not None,
    "NotTerminating": lambda spec, operator, values: spec.get("activeDeadlineSeconds") is None,
    "BestEffort": lambda spec, operator, values: _best_effort(spec),
    "NotBestEffort": lambda spec, operator, values: not _best_effort(spec),
    "PriorityClass": _priority,
}


def _scopes(quota: Mapping[str, Any]) -> list[tuple[str, str, list[str]]]:
    spec = quota.get("spec") or {}
    chosen = (spec.get("scopeSelector") or {}).get("matchExpressions") or []
    return [
        *((str(scope), "Exists", []) for scope in spec.get("scopes") or []),
        *((str(one.get("scopeName")), str(one.get("operator")), list(one.get("values") or [])) for one in chosen),
    ]


def _counts(quota: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    """Whether the quota counts such a pod, as far as its scopes are known here."""
    return all(
        scope in _SCOPES and _SCOPES[scope](spec, operator, values) for scope, operator, values in _scopes(quota)
    )

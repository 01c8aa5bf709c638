# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amounts of cpu, memory and the like as Kubernetes writes them, and what one pod asks for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from . import libraries
from .errors import InputError

try:
    from kubernetes.utils.quantity import format_quantity, parse_quantity
except ImportError as error:
    libraries.record("kubernetes", error)

Amounts = dict[str, Decimal]
_BYTES = ("Ti", "Gi", "Mi", "Ki")


def amount(text: Any, option: str = "") -> Decimal:
    """``500m``, ``1Gi`` or a number; InputError for what is no quantity, or is below zero."""
    said = str(text).strip()
    try:
        # Decimal takes blanks and underscores within a number, the API server does not.
        found = Decimal(-1 if "_" in said or len(said.split()) != 1 else parse_quantity(said))
    except (ValueError, ArithmeticError):
        found = Decimal(-1)
    if not (found.is_finite() and found >= 0):
        raise InputError(f"{text!r} is no amount as Kubernetes writes it (250m, 2, 512Mi, 1Gi).", option=option)
    return found


def same(one: Any, other: Any) -> bool:
    """Whether two quantities are the same amount: ``1`` and ``1000m``. None is the same as None only."""
    if one is None or other is None:
        return one is other
    return amount(one) == amount(other)


def shown(resource: str, value: Decimal) -> str:
    """An amount for a message: memory and storage in binary units, the rest in units or thousandths."""
    if "memory" in resource or "storage" in resource:
        for unit in _BYTES:
            if value and value % Decimal(1024) ** (4 - _BYTES.index(unit)) == 0:
                return str(format_quantity(value, unit))
        return f"{value.normalize():f}" if value < 1024 * 1024 else f"{value / 1024**2:.1f}Mi"
    return f"{value.normalize():f}" if value == value.to_integral_value() else f"{(value * 1000).normalize():f}m"


@dataclass(frozen=True)
class Needs:
    """What one pod takes up, by resource: the scheduler counts ``requests``, quotas count both."""

    requests: Amounts = field(default_factory=dict)
    limits: Amounts = field(default_factory=dict)

    def as_dict(self) -> dict[str, dict[str, str]]:
        return {
            name: {resource: shown(resource, value) for resource, value in sorted(amounts.items())}
            for name, amounts in (("requests", self.requests), ("limits", self.limits))
        }


def needs(spec: Mapping[str, Any]) -> Needs:
    """What a pod of this spec (of a pod, or of a template) takes up.

    The sum of its containers, or its largest init container where that is more; sidecars run beside both. Where only a
    limit is set it is the request as well. Amounts of the whole pod (``spec.resources``) outrank those of containers.
    """
    whole = spec.get("resources") or {}
    overhead = _amounts(spec.get("overhead") or {})
    requests = {**_effective(spec, _requests), **_requests({"resources": whole})}
    limits = {**_effective(spec, _limits), **_limits({"resources": whole})}
    return Needs(_sum([requests, overhead]), _sum([limits, {k: v for k, v in overhead.items() if k in limits}]))


def _requests(container: Mapping[str, Any]) -> Amounts:
    own = container.get("resources") or {}
    return {**_amounts(own.get("limits") or {}), **_amounts(own.get("requests") or {})}


def _limits(container: Mapping[str, Any]) -> Amounts:
    return _amounts((container.get("resources") or {}).get("limits") or {})


def _effective(spec: Mapping[str, Any], read: Any) -> Amounts:
    sidecars: Amounts = {}
    largest: Amounts = {}
    for container in spec.get("initContainers") or []:
        if container.get("restartPolicy") == "Always":
            sidecars = _sum([sidecars, read(container)])
            largest = _largest(largest, sidecars)
        else:
            largest = _largest(largest, _sum([sidecars, read(container)]))
    running = _sum([sidecars, *(read(container) for container in spec.get("containers") or [])])
    return _largest(running, largest)


def _amounts(raw: Mapping[str, Any]) -> Amounts:
    return {str(resource): amount(value) for resource, value in raw.items()}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for resource, value in part.items():
            total[resource] = total.get(resource, Decimal(0)) + value
    return total


def _largest(one: Amounts, other: Amounts) -> Amounts:
    return {
        resource: max(one.get(resource, Decimal(0)), other.get(resource, Decimal(0))) for resource in {**one, **other}
    }

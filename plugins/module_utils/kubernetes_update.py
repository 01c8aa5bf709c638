# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rolling update of a workload needs on top of what runs, as quotas count it. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from .kubernetes_quantity import Amounts, Needs
from .kubernetes_quota import Demand

ZERO = Decimal(0)


def pods_of(workload: dict[str, Any]) -> int:
    """How many pods it wants: one for each node with a DaemonSet."""
    if workload["kind"] == "DaemonSet":
        return int((workload.get("status") or {}).get("desiredNumberScheduled") or 0)
    value = workload["spec"].get("replicas")
    return 1 if value is None else int(value)


def one_more_first(workload: dict[str, Any]) -> bool:
    """Whether the update makes a new pod before it ends an old one, and so needs room for one more."""
    spec = workload["spec"]
    if workload["kind"] == "StatefulSet":
        return False
    strategy = spec.get("updateStrategy" if workload["kind"] == "DaemonSet" else "strategy") or {}
    if strategy.get("type") in ("Recreate", "OnDelete"):
        return False
    rolling = strategy.get("rollingUpdate") or {}
    pods = pods_of(workload)
    surge = _count(rolling.get("maxSurge", 0), pods, up=True)
    unavailable = _count(rolling.get("maxUnavailable", 0), pods, up=False)
    return unavailable == 0 and surge > 0


def demand(workload: dict[str, Any], old: Needs, new: Needs) -> Demand:
    """The most that is needed at any time of the update, on top of what its present pods take up."""
    pods = pods_of(workload)
    if not pods:
        return Demand(0, {}, {})
    extra = one_more_first(workload)
    return Demand(
        int(extra),
        _peak(pods, extra, old.requests, new.requests),
        _peak(pods, extra, old.limits, new.limits),
    )


def _peak(pods: int, extra: bool, old: Amounts, new: Amounts) -> Amounts:
    """At first one new pod is added; at the end one old pod is left beside all new ones."""
    found: Amounts = {}
    for resource in {**old, **new}:
        before, after = old.get(resource, ZERO), new.get(resource, ZERO)
        end = pods * (after - before)
        found[resource] = max(after, end + before) if extra else end
    return found


def _count(value: Any, pods: int, up: bool) -> int:
    text = str(value)
    if not text.endswith("%"):
        return int(text)
    share = pods * int(text[:-1]) / 100
    return math.ceil(share) if up else math.floor(share)

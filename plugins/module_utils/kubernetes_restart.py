# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What restarts a workload, what shows that it has been restarted, and what speaks against it. Pure.

A restart is ``kubectl rollout restart``: an annotation in the template. A second one, with a token that the caller
chose, makes it something that can be asked for twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import kubernetes_expected_images
from . import kubernetes_objects as objects
from .kubernetes_expected_images import Expected
from .kubernetes_history import CHANGE_CAUSE
from .kubernetes_objects import Object
from .kubernetes_rollout import Rollout

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
TOKEN = "sre.runbooks/restart-token"


@dataclass(frozen=True)
class Order:
    """What is asked for. Exactly one of ``token`` and ``not_before`` (seconds since the epoch) is set.

    ``at`` is the time of this restart, as it is written down; ``change_cause`` None leaves that annotation alone.
    """

    at: str
    token: str = ""
    not_before: float | None = None
    change_cause: str | None = None
    images: Expected | None = None
    during_rollout: bool = False
    partition: bool = False


def done(workload: Object, order: Order) -> str:
    """Why it has been restarted already, as ordered; empty when it has not."""
    marks = objects.annotations_of(objects.template(workload))
    if order.token:
        return f"restarted with this token at {marks.get(RESTARTED_AT)}" if marks.get(TOKEN) == order.token else ""
    restarted = objects.seconds(marks.get(RESTARTED_AT))
    if restarted is not None and order.not_before is not None and restarted >= order.not_before:
        return f"restarted at {marks[RESTARTED_AT]}"
    return ""


def pods_are_newer(rollout: Rollout, pods: Iterable[Object], not_before: float) -> bool:
    """Whether a complete rollout has only pods that were made after ``not_before``."""
    made = [objects.seconds(pod["metadata"].get("creationTimestamp")) for pod in pods]
    return rollout.complete and len(made) >= rollout.desired > 0 and all(one and one >= not_before for one in made)


def objection(workload: Object, rollout: Rollout, order: Order) -> str:
    """Why it must not be restarted as it is now; empty when nothing speaks against it."""
    if rollout.paused:
        return "it is paused: a restart would do nothing until 'kubectl rollout resume'"
    if rollout.strategy == "OnDelete":
        return "its strategy is OnDelete: a restart would do nothing until somebody deletes its pods"
    if not rollout.desired:
        return "it has 0 replicas: there is nothing to restart"
    partition = ((workload["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}).get("partition")
    if partition and not order.partition:
        return f"its partition {partition} would keep the pods below it as they are (allow_partition)"
    if rollout.reason in ("NotObserved", "Updating", "OldPodsTerminating") and not order.during_rollout:
        return f"a rollout is under way ({rollout.message}); wait for it with rollout_status, or set during_rollout"
    wanted = (order.images or {}).get(rollout.name)
    differs = kubernetes_expected_images.mismatch(wanted, rollout.images) if wanted else ""
    return f"expected_images: {differs}" if differs else ""


def marks(order: Order) -> dict[str, str]:
    """The annotations of the template that restart a workload."""
    return {RESTARTED_AT: order.at, **({TOKEN: order.token} if order.token else {})}


def body(workload: Object, order: Order) -> dict[str, Any]:
    """A merge patch that holds only for the workload exactly as it was read."""
    metadata: dict[str, Any] = {"resourceVersion": objects.resource_version(workload), "uid": objects.uid(workload)}
    if order.change_cause is not None:
        metadata["annotations"] = {CHANGE_CAUSE: order.change_cause}
    return {"metadata": metadata, "spec": {"template": {"metadata": {"annotations": marks(order)}}}}


def diff(workload: Object, order: Order) -> dict[str, str]:
    """The annotations before and after, as Ansible shows a difference."""
    before = objects.annotations_of(objects.template(workload))
    shown = {RESTARTED_AT, TOKEN}
    return {
        "before_header": objects.key_of(workload),
        "after_header": objects.key_of(workload),
        "before": _lines({name: value for name, value in before.items() if name in shown}),
        "after": _lines({**{name: value for name, value in before.items() if name in shown}, **marks(order)}),
    }


def _lines(found: Mapping[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in sorted(found.items()))

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods of a StatefulSet that would keep an undo from rolling out.

With OrderedReady the controller waits at the first pod that is not ready, before it replaces pods of an old revision:
a broken pod stays broken although the template is good again (kubernetes/kubernetes#67250). Deleted after the template
is back, it comes back good.
"""

from __future__ import annotations

from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_client import Cluster
from .kubernetes_errors import ConflictError, NotFoundError
from .kubernetes_objects import Object

HASH_LABEL = "controller-revision-hash"


def stuck(cluster: Cluster, workload: Object, revision: str) -> list[Object]:
    """Its own pods that are not ready, not of ``revision`` (a ControllerRevision's name) and not being deleted."""
    labels = objects.selector_text((workload.get("spec") or {}).get("selector"))
    pods = cluster.list("Pod", objects.namespace(workload), labels=labels)
    lowest = _lowest_ordinal(workload)
    return [
        pod
        for pod in objects.owned_by(workload, pods)
        if objects.labels_of(pod).get(HASH_LABEL) != revision
        and not (pod.get("metadata") or {}).get("deletionTimestamp")
        and (objects.condition(pod, "Ready") or {}).get("status") != "True"
        and _ordinal(pod) >= lowest
    ]


def row(pod: Object) -> dict[str, Any]:
    """What names a pod in the result."""
    return {"name": objects.name(pod), "uid": objects.uid(pod), "revision": objects.labels_of(pod).get(HASH_LABEL)}


def delete(cluster: Cluster, pod: Object, dry_run: bool) -> bool:
    """Delete this very pod; False when it is gone, or another one of its name is there, by now."""
    try:
        cluster.delete("Pod", objects.namespace(pod), objects.name(pod), uid=objects.uid(pod), dry_run=dry_run)
    except (NotFoundError, ConflictError):
        return False
    return True


def _lowest_ordinal(workload: Object) -> int:
    """Pods below it keep the old revision and would come back on it."""
    spec = workload.get("spec") or {}
    rolling = (spec.get("updateStrategy") or {}).get("rollingUpdate") or {}
    return int((spec.get("ordinals") or {}).get("start") or 0) + int(rolling.get("partition") or 0)


def _ordinal(pod: Object) -> int:
    last = objects.name(pod).rpartition("-")[2]
    return int(last) if last.isdecimal() else -1

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What somebody who rolls back should know, as data. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import kubernetes_objects as objects
from . import kubernetes_owners, rollout_undo_patch
from .kubernetes_history import History, Revision
from .kubernetes_objects import Object
from .rollout_undo_diff import only_restarted

Warnings = list[dict[str, str]]

# Always so, or of no consequence: in the result, but not worth a line on the screen.
QUIET = frozenset({"schema", "hpa", "hpa_unverified", "admission_unverified"})


def warning(name: str, text: str) -> dict[str, str]:
    return {"id": name, "text": text}


def of_plan(history: History, target: Revision) -> Warnings:
    """For a rollback that is to be made."""
    found = kubernetes_owners.warnings_about(history.workload, "template")
    found += _what_it_changes(history, target)
    if objects.kind(history.workload) == "Deployment":
        gone = rollout_undo_patch.dropped(history.workload, target)
        if gone:
            text = f"annotations of the Deployment that revision {target.number} did not have are dropped: "
            found.append(warning("annotations_dropped", text + ", ".join(gone)))
    found += of_strategy(history.workload)
    text = "only the pod template goes back: no database schema, no ConfigMap, no Secret and no data"
    return [*found, warning("schema", text)]


def _what_it_changes(history: History, target: Revision) -> Warnings:
    current = history.current
    if current is None:
        return []
    found = []
    if current.known_good:
        text = f"the current revision {current} is the one that is marked as known good, and it is left"
        found.append(warning("leaves_known_good", text))
    if only_restarted(current.template, target.template):
        text = (
            f"revision {target} differs from the current one only by a restart, so the same "
            "code and settings run again; to: previous_image looks further back"
        )
        found.append(warning("nothing_changes_image", text))
    elif current.images == target.images:
        text = (
            f"revision {target} names the same images as the current one; if the fault is in "
            "the image this changes nothing, and a tag such as latest may mean another image than it did then"
        )
        found.append(warning("nothing_changes_image", text))
    return found


def of_strategy(workload: Object) -> Warnings:
    """For a StatefulSet or DaemonSet that does not replace all its pods by itself."""
    strategy = (workload.get("spec") or {}).get("updateStrategy") or {}
    if strategy.get("type") == "OnDelete":
        return [warning("on_delete", "its updateStrategy is OnDelete: a pod goes back only when somebody deletes it")]
    partition = int((strategy.get("rollingUpdate") or {}).get("partition") or 0)
    if partition:
        text = f"its updateStrategy has partition {partition}: pods with a lower ordinal keep the revision they have"
        return [warning("partition", text)]
    return []


def of_autoscalers(workload: Object, hpas: Iterable[Any]) -> Warnings:
    """A rollback does not touch the number of replicas; somebody who reads it may wonder why it moves."""
    return [
        warning(
            "hpa",
            f"HorizontalPodAutoscaler {hpa['metadata']['name']} sets the number of replicas; the rollback leaves it",
        )
        for hpa in kubernetes_owners.autoscalers_of(workload, hpas)
    ]

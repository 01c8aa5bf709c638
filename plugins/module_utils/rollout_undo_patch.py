# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The patch that brings a revision back: what kubectl sends, with a lock on what was read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_client import PatchType
from .kubernetes_history import OURS, RENUMBERED, History, Revision, renumbered

# Annotations that belong to the Deployment and not to one revision of it.
# https://github.com/kubernetes/kubectl/blob/master/pkg/util/deployment/deployment.go
KEPT = (
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)
MOST_NOTES = 50


def patch(history: History, target: Revision) -> tuple[Any, PatchType]:
    """Body and type. The API server refuses it when the workload is not as it was read any more."""
    workload = history.workload
    if objects.kind(workload) == "Deployment":
        return [
            {"op": "test", "path": "/metadata/resourceVersion", "value": objects.resource_version(workload)},
            {"op": "replace", "path": "/spec/template", "value": target.template},
            {"op": "add", "path": "/metadata/annotations", "value": annotations_after(workload, target)},
        ], "json"
    metadata: dict[str, Any] = {"resourceVersion": objects.resource_version(workload)}
    if target.number is not None:
        metadata["annotations"] = {RENUMBERED: _notes(history, target.number, target.name)}
    return {"metadata": metadata, "spec": {"template": {**target.template, "$patch": "replace"}}}, "strategic"


def annotations_after(workload: Mapping[str, Any], target: Revision) -> dict[str, str]:
    """The annotations of a Deployment once the revision is back: those of the revision, its own, and our marks."""
    own = objects.annotations_of(dict(workload))
    revision = objects.annotations_of(target.source)
    return {
        **{key: value for key, value in revision.items() if not _stays(key)},
        **{key: value for key, value in own.items() if _stays(key)},
    }


def dropped(workload: Mapping[str, Any], target: Revision) -> list[str]:
    """Annotations of a Deployment that are gone once the revision is back, because it did not have them."""
    return sorted(set(objects.annotations_of(dict(workload))) - set(annotations_after(workload, target)))


def _stays(annotation: str) -> bool:
    return annotation in KEPT or annotation.startswith(OURS)


def _notes(history: History, number: int, name: str) -> str:
    """The numbers that revisions lost to us, this one included, of revisions that are still kept."""
    notes = {**renumbered(history.workload), number: name}
    kept = sorted(pair for pair in notes.items() if history.named(pair[1]))[-MOST_NOTES:]
    return ",".join(f"{earlier}={whose}" for earlier, whose in kept)

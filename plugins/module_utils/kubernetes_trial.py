# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Would the API server let a controller make a pod of this template? Asked with a dry run: nothing is stored.

A Deployment with a template that admission forbids is accepted without a word; only later its ReplicaSet says
FailedCreate. So the pod itself is tried: LimitRanges, Pod Security, quotas, the ServiceAccount and webhooks all answer.
The right to create pods is no more than the right to patch a workload gives anyway.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, ForbiddenError, InvalidError

_NAME = re.compile(r'^(pods|Pod) "[^"]*" is (forbidden|invalid): ')


@dataclass(frozen=True)
class Trial:
    """One of: ``pod``, as it would be stored (defaults and sidecars filled in); ``refused``, the server's words;
    ``unverified``, why it could not be tried."""

    pod: Mapping[str, Any] | None = None
    refused: str = ""
    unverified: str = ""


def try_pod(cluster: Cluster, workload: Mapping[str, Any], template: Mapping[str, Any]) -> Trial:
    """Try a pod of ``template`` in the namespace of ``workload``, which it names as its controller."""
    owner = dict(workload)
    try:
        return Trial(pod=cluster.create("Pod", objects.namespace(owner), _pod(owner, template), dry_run=True))
    except (ForbiddenError, InvalidError) as error:
        said = str(error.details.get("server_message") or error.message).rstrip(".")
        if error.status == 403 and "cannot create resource" in said:
            return Trial(unverified=f"whether admission lets such pods in could not be tried: {error.message}")
        return Trial(refused=_NAME.sub("", said))
    except ApiError as error:
        return Trial(unverified=f"whether admission lets such pods in could not be tried: {error.message}")


def _pod(workload: dict[str, Any], template: Mapping[str, Any]) -> dict[str, Any]:
    metadata = template.get("metadata") or {}
    spec = dict(template.get("spec") or {})
    claims = [(one.get("metadata") or {}).get("name") for one in workload["spec"].get("volumeClaimTemplates") or []]
    own = {volume.get("name") for volume in spec.get("volumes") or []}
    spec["volumes"] = [
        *(spec.get("volumes") or []),
        *({"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claims if name not in own),
    ]
    owner = {
        "apiVersion": workload.get("apiVersion") or "apps/v1",
        "kind": workload["kind"],
        "name": objects.name(workload),
        "uid": objects.uid(workload),
        "controller": True,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": f"{objects.name(workload)}-trial-",
            "labels": metadata.get("labels") or {},
            "annotations": metadata.get("annotations") or {},
            "ownerReferences": [owner],
        },
        "spec": spec,
    }

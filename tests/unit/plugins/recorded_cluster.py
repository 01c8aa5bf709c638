# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster that answers with recorded objects, and objects of one Deployment in any trouble, built on a fixed time."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import (
    ApiError,
    ForbiddenError,
    NotFoundError,
)
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import kind_of

FIXTURES = Path(__file__).parents[2] / "fixtures" / "workloads"
NOW = 1_900_000_000.0
Object = dict[str, Any]


def ago(seconds: float) -> str:
    return objects.timestamp(NOW - seconds)


class RecordedCluster:
    """``objects`` by kind; ``logs`` by ``pod/container/current`` or ``pod/container/previous``; ``forbidden`` holds
    verbs as in ``list pods`` and ``get pods/log``; ``failing`` is the answer to everything."""

    url, user = "https://recorded", "user recorded"

    def __init__(
        self, stored: dict[str, list[Object]], logs: dict[str, str] | None = None, namespace: str = "hafnium"
    ) -> None:
        self.stored = copy.deepcopy(stored)
        self.logs = dict(logs or {})
        self.namespaces = [namespace]
        self.forbidden: set[str] = set()
        self.failing: RunbookError | None = None
        self.asked: list[str] = []

    def __enter__(self) -> RecordedCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    @property
    def requests(self) -> int:
        return len(self.asked)

    def _ask(self, verb: str, resource: str, more: str = "") -> None:
        self.asked.append(f"{verb} {resource} {more}".strip())
        if self.failing:
            raise self.failing
        if f"{verb} {resource}" in self.forbidden:
            raise ForbiddenError(f"{verb} {resource}: user recorded lacks the verb '{verb}' on '{resource}'", 403)

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        self._ask("list" if namespace else "list all", kind_of(kind).plural, labels or fields)
        found = [one for one in self.stored.get(kind, []) if not namespace or objects.namespace(one) == namespace]
        if fields:
            found = [one for one in found if objects.name(one) == fields.removeprefix("metadata.name=")]
        if labels:
            wanted = dict(part.split("=") for part in labels.split(","))
            found = [one for one in found if wanted.items() <= objects.labels_of(one).items()]
        return found

    def get(self, kind: str, namespace: str, name: str) -> Object:
        self._ask("get", kind_of(kind).plural, name)
        if kind == "Namespace" and name in self.namespaces:
            return {"metadata": {"name": name}, "status": {"phase": "Active"}}
        for one in self.stored.get(kind, []):
            if objects.name(one) == name and objects.namespace(one) == namespace:
                return one
        raise NotFoundError(f"get {kind_of(kind).plural}/{name}: not found", 404)

    def pod_log(
        self,
        _namespace: str,
        pod: str,
        container: str,
        *,
        previous: bool,
        tail_lines: int,
        limit_bytes: int,
        since_seconds: int | None = None,
    ) -> bytes:
        which = "previous" if previous else "current"
        since = f" {since_seconds} s" if since_seconds else ""
        self._ask("get", "pods/log", f"{pod} {which} {tail_lines}{since}")
        text = self.logs.get(f"{pod}/{container}/{which}")
        if text is None:
            raise ApiError(f"get pods/{pod}/log: HTTP 400: {which} log not found", 400)
        lines = text.splitlines(keepends=True)[-tail_lines:]
        return "".join(lines).encode()[:limit_bytes]


def recorded(name: str, namespace: str = "hafnium") -> tuple[RecordedCluster, float]:
    """The recording of that name, and the time of its newest event."""
    data = json.loads((FIXTURES / f"{name}.json").read_text())
    times = [objects.seconds(event.get("lastTimestamp")) or 0.0 for event in data["objects"]["Event"]]
    return RecordedCluster(data["objects"], data["logs"], namespace), max(times, default=NOW)


def container(name: str = "app", **extra: Any) -> Object:
    probe = {"httpGet": {"path": "/actuator/health/liveness", "port": 8080}, "initialDelaySeconds": 60}
    ready = {
        "httpGet": {"path": "/actuator/health/readiness", "port": "http"},
        "initialDelaySeconds": 30,
        "periodSeconds": 5,
    }
    return {
        "name": name,
        "image": "registry.example/hafnium/identity-service:1.5.0",
        "ports": [{"name": "http", "containerPort": 8080}],
        "livenessProbe": probe,
        "readinessProbe": ready,
        "resources": {"limits": {"memory": "512Mi"}},
        **extra,
    }


def status_of(
    name: str = "app", *, ready: bool = False, restarts: int = 0, image_id: str = "sha256:1", **states: Any
) -> Object:
    """A container status: ``running``, ``waiting`` or ``terminated``, and ``last`` for the run before."""
    last = states.pop("last", None)
    return {
        "name": name,
        "ready": ready,
        "restartCount": restarts,
        "imageID": image_id,
        "state": states,
        "lastState": {"terminated": last} if last else {},
    }


def ended(code: int, reason: str = "Error", lasted: float = 30, before: float = 20, **extra: Any) -> Object:
    """A run that ended ``before`` seconds ago."""
    return {
        "exitCode": code,
        "reason": reason,
        "startedAt": ago(before + lasted),
        "finishedAt": ago(before),
        **extra,
    }


class Scene:
    """One Deployment with its ReplicaSets, pods and events, in the namespace hafnium."""

    def __init__(self, desired: int = 1, name: str = "identity-service", spec: Object | None = None) -> None:
        self.name = name
        self.spec = spec or {"containers": [container()]}
        self.labels = {"app": name, "tier": "backend"}
        self.deployment = self._object(
            "Deployment",
            name,
            spec={
                "replicas": desired,
                "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": self.labels}, "spec": self.spec},
                "progressDeadlineSeconds": 600,
            },
            status={"observedGeneration": 1, "conditions": []},
        )
        self.deployment["metadata"] |= {"generation": 1, "annotations": {"deployment.kubernetes.io/revision": "2"}}
        self.stored: dict[str, list[Object]] = {
            kind: [] for kind in ("ReplicaSet", "Pod", "Event", "Service", "EndpointSlice", "PodDisruptionBudget")
        }
        self.stored |= {"HorizontalPodAutoscaler": [], "Node": [], "ConfigMap": [], "ResourceQuota": []}
        self.stored["Deployment"] = [self.deployment]
        self.logs: dict[str, str] = {}
        self.replica_set("new", 2)

    def _object(self, kind: str, name: str, **parts: Any) -> Object:
        meta = {"name": name, "namespace": "hafnium", "uid": f"uid-{kind}-{name}", "creationTimestamp": ago(600)}
        return {"kind": kind, "metadata": {**meta, "labels": dict(getattr(self, "labels", {}))}, **parts}

    def replica_set(self, hash_value: str, revision: int, **status: Any) -> Object:
        found = self._object("ReplicaSet", f"{self.name}-{hash_value}", spec={}, status=status)
        found["metadata"] |= {
            "annotations": {"deployment.kubernetes.io/revision": str(revision)},
            "labels": {**self.labels, "pod-template-hash": hash_value},
            "ownerReferences": [
                {"kind": "Deployment", "name": self.name, "uid": f"uid-Deployment-{self.name}", "controller": True}
            ],
        }
        self.stored["ReplicaSet"].append(found)
        return found

    def pod(
        self, name: str = "p1", *statuses: Object, hash_value: str = "new", ready: bool = False, **status: Any
    ) -> Object:
        """A pod on node-1; ``inits`` are statuses of init containers, ``conditions`` come beside Ready."""
        inits, more = status.pop("inits", []), status.pop("conditions", [])
        spec = {**copy.deepcopy(self.spec), "nodeName": status.pop("node", "node-1")}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}, *more]
        reported = {"containerStatuses": list(statuses), "initContainerStatuses": inits, "conditions": conditions}
        found = self._object("Pod", name, spec=spec, status={"phase": "Running", **reported, **status})
        owner = f"{self.name}-{hash_value}"
        found["metadata"] |= {
            "labels": {**self.labels, "pod-template-hash": hash_value},
            "ownerReferences": [
                {"kind": "ReplicaSet", "name": owner, "uid": f"uid-ReplicaSet-{owner}", "controller": True}
            ],
        }
        self.stored["Pod"].append(found)
        self._count()
        return found

    def healthy(self, name: str, hash_value: str = "new", **status: Any) -> Object:
        return self.pod(
            name, status_of(ready=True, running={"startedAt": ago(500)}), hash_value=hash_value, ready=True, **status
        )

    def _count(self) -> None:
        """The counts that the controller would report."""
        pods = self.stored["Pod"]
        ready = sum(1 for pod in pods if pod["status"]["conditions"][0]["status"] == "True")
        new = [pod for pod in pods if pod["metadata"]["labels"]["pod-template-hash"] == "new"]
        self.deployment["status"] |= {
            "replicas": len(pods),
            "readyReplicas": ready,
            "availableReplicas": ready,
            "updatedReplicas": len(new),
        }

    def event(self, about: Object, reason: str, message: str, kind: str = "Warning", **extra: Any) -> None:
        number = len(self.stored["Event"])
        meta = about["metadata"]
        reference = {"kind": about["kind"], "name": meta["name"], "uid": meta["uid"], **extra.pop("reference", {})}
        row = {"type": kind, "reason": reason, "message": message, "count": 1, "lastTimestamp": ago(10), **extra}
        self.stored["Event"].append({**self._object("Event", f"event-{number}"), "involvedObject": reference, **row})

    def node(self, name: str = "node-1", **conditions: str) -> Object:
        rows = [
            {"type": kind, "status": status, "reason": f"{kind}Reason", "message": "as said"}
            for kind, status in conditions.items()
        ]
        found: Object = {"kind": "Node", "metadata": {"name": name}, "status": {"conditions": rows}}
        self.stored["Node"].append(found)
        return found

    def add(self, kind: str, name: str, **parts: Any) -> Object:
        found = self._object(kind, name, **parts)
        self.stored[kind].append(found)
        return found

    def cluster(self) -> RecordedCluster:
        self.stored["Node"] = self.stored["Node"] or [self.node(Ready="True")]
        return RecordedCluster(self.stored, self.logs)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads, pods and events as an API server gives them, and a cluster in memory that holds them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
)

Object = dict[str, Any]
NAMESPACE = "hafnium"
COUNTS = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
MADE = "2030-01-01T00:00:00Z"


def condition(kind: str, status: str = "True", reason: str = "", message: str = "", at: str = MADE) -> Object:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastUpdateTime": at,
        "lastTransitionTime": at,
    }


def _workload(kind: str, name: str, spec: Object, status: Object, generation: int = 1) -> Object:
    labels = {"app": name, "tier": "backend"}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{kind}-{name}",
            "generation": generation,
            "resourceVersion": "100",
            "labels": labels,
            "annotations": {"deployment.kubernetes.io/revision": "3"} if kind == "Deployment" else {},
        },
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": f"registry/{name}:1"}]},
            },
            **spec,
        },
        "status": {"observedGeneration": generation, **status},
    }


def deployment(name: str = "web", wanted: int = 2, **status: Any) -> Object:
    """A complete Deployment; ``status`` changes fields of its status, ``conditions`` included."""
    full = dict.fromkeys(COUNTS if wanted else (), wanted)
    done = [condition("Progressing", reason="NewReplicaSetAvailable")]
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}}
    spec = {"replicas": wanted, "strategy": rolling, "progressDeadlineSeconds": 600}
    return _workload("Deployment", name, spec, {**full, "conditions": done, **status})


def stateful_set(name: str = "store", wanted: int = 3, **status: Any) -> Object:
    full = dict.fromkeys(COUNTS if wanted else (), wanted)
    revisions = {"currentRevision": f"{name}-a", "updateRevision": f"{name}-a"}
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    spec = {"replicas": wanted, "updateStrategy": strategy}
    return _workload("StatefulSet", name, spec, {**full, **revisions, **status})


def daemon_set(name: str = "agent", nodes: int = 3, **status: Any) -> Object:
    counts = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberReady")
    full = dict.fromkeys((*counts, "numberAvailable"), nodes)
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    return _workload("DaemonSet", name, {"updateStrategy": strategy}, {**full, **status})


def child(owner: Object, name: str, **metadata: Any) -> Object:
    return {
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "creationTimestamp": MADE,
            "ownerReferences": [{"uid": objects.uid(owner), "controller": True}],
            **metadata,
        }
    }


def replica_set(owner: Object, hash_value: str = "new", revision: int = 3) -> Object:
    """The ReplicaSet of the Deployment's template as it is."""
    template = copy.deepcopy(owner["spec"]["template"])
    template["metadata"]["labels"]["pod-template-hash"] = hash_value
    found = child(
        owner,
        f"{objects.name(owner)}-{hash_value}",
        labels={**objects.labels_of(owner), "pod-template-hash": hash_value},
        annotations={"deployment.kubernetes.io/revision": str(revision)},
    )
    return {"kind": "ReplicaSet", **found, "spec": {"template": template}}


def pod(owner: Object, name: str, app: str = "web", *, ready: bool = False, **status: Any) -> Object:
    """A pod of a ReplicaSet (or of a workload itself, with ``hash_value`` in the labels by ``child``)."""
    labels = {"app": app, "tier": "backend"}
    if owner["kind"] == "ReplicaSet":
        labels["pod-template-hash"] = objects.labels_of(owner)["pod-template-hash"]
    else:
        labels["controller-revision-hash"] = (owner.get("status") or {}).get("updateRevision", "")
    conditions = [condition("Ready", "True" if ready else "False"), *status.pop("conditions", [])]
    return {"kind": "Pod", **child(owner, name, labels=labels), "status": {"conditions": conditions, **status}}


def waiting(reason: str, message: str = "", restarts: int = 0, last: Object | None = None) -> Object:
    """The status of a container that waits."""
    return {
        "name": "main",
        "ready": False,
        "restartCount": restarts,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }


class FakeCluster:
    """What the modules ask of a Cluster. ``denied`` holds verbs as in ``list pods``; ``then`` and
    ``refuse`` run before each request."""

    def __init__(self, *stored: Object, namespaces: tuple[str, ...] = (NAMESPACE,)) -> None:
        self.stored = {_key(one): copy.deepcopy(one) for one in stored}
        self.namespaces = namespaces
        self.denied: set[str] = set()
        self.then: Callable[[FakeCluster, str], None] = lambda cluster, request: None
        self.refuse: Callable[[FakeCluster, str], None] = lambda cluster, request: None
        self.asked: list[str] = []
        self.url, self.user = "https://fake", "user fake"

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self.asked.append("closed")

    @property
    def requests(self) -> int:
        return len(self.asked)

    def add(self, *stored: Object) -> None:
        self.stored |= {_key(one): copy.deepcopy(one) for one in stored}

    def at(self, kind: str, name: str) -> Object:
        """The stored object itself, to be changed by a test."""
        return self.stored[kind, NAMESPACE, name]

    def _ask(self, verb: str, kind: str, name: str = "") -> None:
        self.asked.append(f"{verb} {kind} {name}".strip())
        self.then(self, self.asked[-1])
        self.refuse(self, self.asked[-1])
        if f"{verb} {kind}" in self.denied:
            raise ForbiddenError(
                f"{verb} {kind}: user fake lacks the verb '{verb}'", 403, server_message="cannot create resource"
            )

    def get(self, kind: str, namespace: str, name: str) -> Object:
        found = self.find(kind, namespace, name)
        if found is None:
            raise NotFoundError(f"get {kind}/{name}: not found", 404)
        return found

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        self._ask("get", kind, name)
        return copy.deepcopy(self.stored.get((kind, namespace, name)))

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        self._ask("list", kind, labels or fields)
        wanted = dict(pair.split("=", 1) for pair in labels.split(",") if pair)
        found = [
            one for (one_kind, inside, _name), one in self.stored.items() if (one_kind, inside) == (kind, namespace)
        ]
        if fields:
            uid = fields.partition("=")[2]
            return copy.deepcopy([one for one in found if one["involvedObject"]["uid"] == uid])
        return copy.deepcopy([one for one in found if wanted.items() <= objects.labels_of(one).items()])

    def require_namespace(self, namespace: str) -> None:
        self._ask("get", "Namespace", namespace)
        if namespace not in self.namespaces:
            raise InputError(f"namespace {namespace} does not exist on {self.url}", option="namespace")

    def patch(
        self, kind: str, namespace: str, name: str, body: Any, patch_type: str, *, dry_run: bool = False
    ) -> Object:
        self._ask("dry-run" if dry_run else "patch", kind, name)
        stored = self.stored[kind, namespace, name]
        for field in ("resourceVersion", "uid"):
            if body["metadata"].get(field, stored["metadata"][field]) != stored["metadata"][field]:
                raise ConflictError(f"patch {kind}/{name}: it was changed by someone else meanwhile", 409)
        changed = _merge(copy.deepcopy(stored), body)
        changed["metadata"]["generation"] += 1
        changed["metadata"]["resourceVersion"] = str(int(stored["metadata"]["resourceVersion"]) + 1)
        if not dry_run:
            self.stored[kind, namespace, name] = copy.deepcopy(changed)
        return changed

    def create(self, kind: str, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        assert dry_run
        self._ask("try", kind)
        return body


def _merge(into: Any, patch: Any) -> Any:
    if not isinstance(patch, dict) or not isinstance(into, dict):
        return patch
    return {**into, **{key: _merge(into.get(key, {}), value) for key, value in patch.items()}}


def _key(found: Object) -> tuple[str, str, str]:
    return objects.kind(found), objects.namespace(found), objects.name(found)


def finish(cluster: FakeCluster, kind: str = "Deployment") -> None:
    """The controller at work: every workload of that kind becomes complete."""
    for (one, _namespace, _name), found in cluster.stored.items():
        if one == kind:
            found["status"]["observedGeneration"] = objects.generation(found)

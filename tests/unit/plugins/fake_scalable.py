# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in memory for modules that scale and set: it merges patches, checks locks, and can refuse."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import (
    ApiError,
    Attempted,
    ConflictError,
    NotFoundError,
    api_error,
)

Object = dict[str, Any]
NAMESPACE = "shop"
HPA = "HorizontalPodAutoscaler"


def deployment(name: str = "web", replicas: int = 2, **spec: Any) -> Object:
    container = {
        "name": "app",
        "image": "registry/web:1",
        "env": [
            {"name": "LOG_LEVEL", "value": "info"},
            {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}},
        ],
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "1Gi"}},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "1",
        },
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}},
            **spec,
        },
        "status": {},
    }


def hpa(name: str = "web-hpa", target: str = "web", low: int = 2, high: int = 10, **status: Any) -> Object:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": HPA,
        "metadata": {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": "1"},
        "spec": {
            "minReplicas": low,
            "maxReplicas": high,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}},
                }
            ],
        },
        "status": status,
    }


def node(cpu: str = "8", memory: str = "16Gi") -> Object:
    return {
        "kind": "Node",
        "metadata": {"name": "n1"},
        "spec": {},
        "status": {
            "allocatable": {"cpu": cpu, "memory": memory, "pods": "100"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def refusal(status: int, message: str, verb: str = "create", resource: str = "pods") -> ApiError:
    """As the client makes it of an answer of the API server."""
    return api_error(Attempted(verb, resource, NAMESPACE, user="user sre"), status, {"message": message}, "")


def lacking(verb: str, resource: str) -> ApiError:
    message = f'{resource} is forbidden: User "sre" cannot {verb} resource "{resource}" in API group "apps"'
    return refusal(403, message, verb, resource)


class FakeScalable:
    """Stands for kubernetes_client.Cluster.

    ``errors`` by (verb, kind) are raised; ``before_patch`` are run one for each patch that is stored; every stored change
    is rolled out at once. ``stored`` and ``dry`` count patches.
    """

    def __init__(self, *objects_: Object) -> None:
        self.store: dict[tuple[str, str], Object] = {}
        self.errors: dict[tuple[str, str], Exception] = {}
        self.before_patch: list[Callable[[], None]] = []
        self.stored: list[tuple[str, str, Object]] = []
        self.dry: list[tuple[str, str, Object]] = []
        self.requests = 0
        self.url = "https://api"
        self._versions = itertools.count(100)
        for one in (node(), *objects_):
            self.add(one)

    def __enter__(self) -> FakeScalable:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def add(self, one: Object) -> Object:
        self.store[one["kind"], objects.name(one)] = one
        self._rolled_out(one)
        return one

    def _ask(self, verb: str, kind: str) -> None:
        self.requests += 1
        if (verb, kind) in self.errors:
            raise self.errors[verb, kind]

    def get(self, kind: str, namespace: str, name: str, subresource: str = "") -> Object:
        self._ask("get", kind)
        if (kind, name) not in self.store or namespace != NAMESPACE:
            raise NotFoundError(f"{kind} {name}: not found", 404)
        return copy.deepcopy(self.store[kind, name])

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return self.get(kind, namespace, name)
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        self._ask("list", kind)
        if namespace not in ("", NAMESPACE):
            return []
        return [copy.deepcopy(one) for (own, _name), one in self.store.items() if own == kind]

    def require_namespace(self, namespace: str) -> None:
        if namespace != NAMESPACE:
            raise InputError(f"namespace {namespace} does not exist")

    def create(self, kind: str, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        assert dry_run, "these modules create nothing"
        self._ask("create", kind)
        return copy.deepcopy(body)

    def patch(
        self,
        kind: str,
        namespace: str,
        name: str,
        body: Object,
        patch_type: str,
        *,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        self._ask("patch", kind)
        if not dry_run and self.before_patch:
            self.before_patch.pop(0)()
        own = self.store[kind, name]
        if body["metadata"]["resourceVersion"] != own["metadata"]["resourceVersion"]:
            raise ConflictError(f"{kind} {name}: it was changed by someone else meanwhile.", 409)
        changed = _merged(own, body, patch_type == "strategic")
        answer = {"kind": "Scale", "spec": {"replicas": changed["spec"]["replicas"]}} if subresource else changed
        answer = copy.deepcopy(answer)
        (self.dry if dry_run else self.stored).append((kind, name, body))
        if not dry_run:
            self.store[kind, name] = changed
            self.touch(kind, name)
        return answer

    def touch(self, kind: str, name: str) -> None:
        """As if somebody had written it: another version, rolled out."""
        one = self.store[kind, name]
        one["metadata"]["resourceVersion"] = str(next(self._versions))
        if "generation" in one["metadata"]:
            one["metadata"]["generation"] += 1
        self._rolled_out(one)

    def _rolled_out(self, one: Object) -> None:
        if one["kind"] == "Deployment":
            count = one["spec"]["replicas"]
            names = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
            generation = one["metadata"]["generation"]
            one["status"] = {"observedGeneration": generation, "conditions": [], **dict.fromkeys(names, count)}


def _merged(own: Any, patch: Any, strategic: bool) -> Any:
    """A merge patch, or as much of a strategic one as is needed: lists of named things are merged by name."""
    if strategic and isinstance(patch, list):
        return _named(own or [], patch)
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    found = copy.deepcopy(own) if isinstance(own, dict) else {}
    for key, value in patch.items():
        if value is None:
            found.pop(key, None)
        else:
            found[key] = _merged(found.get(key), value, strategic)
    return found


def _named(own: list[Object], patch: list[Object]) -> list[Object]:
    rows = {row["name"]: row for row in copy.deepcopy(own)}
    for row in patch:
        if row.get("$patch") == "delete":
            rows.pop(row["name"], None)
        else:
            rows[row["name"]] = _merged(rows.get(row["name"]), row, True)
    return list(rows.values())

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An API server in memory with the controllers of Deployments, StatefulSets and DaemonSets, as far as revisions go."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history as history
from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ConflictError, NotFoundError

Object = dict[str, Any]
NAMESPACE = "hafnium"


def template(image: str = "web:1", env: dict[str, str] | None = None, **metadata: Any) -> Object:
    """A pod template with one container."""
    container: Object = {"name": "main", "image": image, "resources": {}}
    if env:
        container["env"] = [{"name": name, "value": value} for name, value in env.items()]
    return {"metadata": {"labels": {"app": "web"}, **metadata}, "spec": {"containers": [container]}}


class FakeCluster:
    """Stands for kubernetes_client.Cluster. ``before_patch`` are run, one for each patch, before it is looked at;
    ``controllers`` False leaves everything as it was written."""

    def __init__(self, kind: str = "Deployment", name: str = "web") -> None:
        self.kind = kind
        self.name = name
        self.store: dict[tuple[str, str], Object] = {}
        self.before_patch: list[Callable[[], None]] = []
        self.denied: dict[tuple[str, str], Exception] = {}
        self.asked: list[str] = []
        self.patches: list[tuple[Any, str, bool]] = []
        self.controllers = True
        self._versions = itertools.count(100)
        self._names = itertools.count(1)

    # -- scene

    def deploy(self, wanted: Object, **annotations: str) -> FakeCluster:
        """Give the workload this template, as a deployment does."""
        workload = self.store.get((self.kind, self.name))
        if workload is None:
            workload = self.add(
                self.kind,
                self.name,
                spec={"replicas": 2, "selector": {"matchLabels": {"app": "web"}}},
                status={},
            )
        workload["spec"]["template"] = copy.deepcopy(wanted)
        workload["metadata"].setdefault("annotations", {}).update(annotations)
        self._touched(workload, spec=True)
        return self

    def add(self, kind: str, name: str, owner: Object | None = None, **fields: Any) -> Object:
        """Any object; ``owner`` is its controller."""
        metadata: Object = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{kind}-{name}", "generation": 1}
        metadata["creationTimestamp"] = f"2031-01-01T00:00:{len(self.store):02d}Z"
        if owner:
            metadata["ownerReferences"] = [{"uid": owner["metadata"]["uid"], "controller": True}]
        metadata |= fields.pop("metadata", {})
        found: Object = {"kind": kind, "metadata": metadata, **fields}
        self.store[kind, name] = found
        self._version(found)
        return found

    @property
    def workload(self) -> Object:
        return self.store[self.kind, self.name]

    def children(self) -> list[Object]:
        """ReplicaSets or ControllerRevisions, in the order in which they were made."""
        return [one for (kind, _name), one in self.store.items() if kind == history.CHILDREN[self.kind]]

    def history(self) -> history.History:
        return history.history_of(copy.deepcopy(self.workload), copy.deepcopy(self.children()))

    # -- what the modules call

    @property
    def requests(self) -> int:
        return len(self.asked)

    def __enter__(self) -> FakeCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def get(self, kind: str, namespace: str, name: str, subresource: str = "") -> Object:
        self._ask("get", kind)
        if (kind, name) not in self.store or namespace != NAMESPACE:
            raise NotFoundError(f"get {kind}/{name}: not found", 404)
        return copy.deepcopy(self.store[kind, name])

    def find(self, kind: str, namespace: str, name: str) -> Object | None:
        try:
            return self.get(kind, namespace, name)
        except NotFoundError:
            return None

    def list(self, kind: str, namespace: str = "", labels: str = "", fields: str = "") -> list[Object]:
        self._ask("list", kind)
        return [copy.deepcopy(one) for (of, _name), one in self.store.items() if of == kind]

    def require_namespace(self, namespace: str) -> None:
        if namespace != NAMESPACE:
            raise InputError(f"namespace {namespace} does not exist")

    def create(self, kind: str, namespace: str, body: Object, *, dry_run: bool = False) -> Object:
        self._ask("create", kind)
        assert dry_run, "nothing is created here"
        return body

    def delete(self, kind: str, namespace: str, name: str, *, uid: str, **options: Any) -> Object:
        self._ask("delete", kind)
        found = self.store.get((kind, name))
        if found is None:
            raise NotFoundError(f"delete {kind}/{name}: not found", 404)
        if objects.uid(found) != uid:
            raise ConflictError(f"delete {kind}/{name}: another one", 409)
        return found if options.get("dry_run") else self.store.pop((kind, name))

    def patch(
        self, kind: str, namespace: str, name: str, body: Any, patch_type: str, *, dry_run: bool = False
    ) -> Object:
        if self.before_patch:
            self.before_patch.pop(0)()
        self._ask("patch", kind)
        self.patches.append((body, patch_type, dry_run))
        stored = self.store[kind, name]
        new = copy.deepcopy(stored)
        if patch_type == "json":
            test, *changes = body
            version = test["value"]
            for change in changes:
                _head, *path, last = change["path"].split("/")
                parent = new
                for part in path:
                    parent = parent[part]
                parent[last] = copy.deepcopy(change["value"])
        else:
            version = body["metadata"]["resourceVersion"]
            new["metadata"].setdefault("annotations", {}).update(body["metadata"].get("annotations") or {})
            if "spec" in body:
                new["spec"]["template"] = {k: v for k, v in body["spec"]["template"].items() if k != "$patch"}
        if version != stored["metadata"]["resourceVersion"]:
            raise ConflictError(f"patch {kind}/{name}: it was changed by someone else meanwhile", 409)
        spec = new["spec"] != stored["spec"]
        if dry_run:
            new["metadata"]["generation"] += spec
            return new
        self.store[kind, name] = new
        self._touched(new, spec=spec)
        return copy.deepcopy(new)

    # -- controllers

    def touch(self) -> None:
        """Somebody writes the workload and changes nothing that matters."""
        self._version(self.workload)

    def _ask(self, verb: str, kind: str) -> None:
        self.asked.append(f"{verb} {kind}")
        if (verb, kind) in self.denied:
            raise self.denied[verb, kind]

    def _version(self, found: Object) -> None:
        found["metadata"]["resourceVersion"] = str(next(self._versions))

    def _touched(self, workload: Object, spec: bool) -> None:
        self._version(workload)
        workload["metadata"]["generation"] += spec
        if self.controllers:
            self.reconcile()

    def reconcile(self) -> None:
        """One round of the workload's controller; its pods follow at once."""
        workload = self.workload
        own = objects.owned_by(workload, self.children())
        newest = max((history.number_of(one) or 0 for one in own), default=0)
        wanted = objects.template(workload)
        equal = [one for one in own if history.same_template(history.template_of(one), wanted)]
        child = equal[0] if equal else self._child(workload, wanted)
        number = history.number_of(child)
        if not equal or (number or 0) < newest:
            self._number(child, newest + 1)
        replicas = int(workload["spec"].get("replicas") or 0)
        for one in own:
            if one["kind"] == "ReplicaSet":
                one["status"] = {"replicas": replicas if one is child else 0}
        if child["kind"] == "ReplicaSet":
            child["status"] = {"replicas": replicas}
            workload["metadata"].setdefault("annotations", {})[history.REVISION] = str(history.number_of(child))
        counts = ("replicas", "updatedReplicas", "readyReplicas", "availableReplicas")
        daemon = (
            "desiredNumberScheduled",
            "currentNumberScheduled",
            "updatedNumberScheduled",
            "numberReady",
            "numberAvailable",
        )
        workload["status"] = {
            "observedGeneration": workload["metadata"]["generation"],
            "updateRevision": objects.name(child),
            "currentRevision": objects.name(child),
            **dict.fromkeys((*counts, *daemon), replicas),
        }

    def _child(self, workload: Object, wanted: Object) -> Object:
        code = f"h{next(self._names)}"
        name = f"{self.name}-{code}"
        if self.kind != "Deployment":
            data = {"spec": {"template": {**copy.deepcopy(wanted), "$patch": "replace"}}}
            return self.add("ControllerRevision", name, workload, data=data, revision=0)
        own = copy.deepcopy(wanted)
        own["metadata"]["labels"][history.HASH_LABEL] = code
        kept = {
            key: value
            for key, value in objects.annotations_of(workload).items()
            if key not in (history.REVISION, history.EARLIER)
        }
        metadata = {"labels": dict(own["metadata"]["labels"]), "annotations": kept}
        return self.add("ReplicaSet", name, workload, spec={"template": own}, metadata=metadata)

    def _number(self, child: Object, number: int) -> None:
        if child["kind"] != "ReplicaSet":
            child["revision"] = number
            return
        marks = child["metadata"].setdefault("annotations", {})
        old = marks.get(history.REVISION)
        if old:
            marks[history.EARLIER] = ",".join([*filter(None, [marks.get(history.EARLIER)]), old])
        marks[history.REVISION] = str(number)

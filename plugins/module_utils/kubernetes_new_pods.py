# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods of a workload's newest revision, and what its controller says when it cannot make them.

A pod is a workload's own by its controller, never by labels alone. For few workloads each is asked for by its selector,
for many the namespace is listed once. What may not be read is told in ``unseen``, and the rest goes on.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import kubernetes_objects as objects
from .kubernetes_client import Cluster
from .kubernetes_errors import ForbiddenError
from .kubernetes_objects import Object
from .kubernetes_rollout import REVISION, Problem, creation_problem

FEW = 3
HASH = "pod-template-hash"
REVISION_HASH = "controller-revision-hash"


@dataclass(frozen=True)
class Newest:
    """The newest revision of a workload: whose controller uid and which hash its pods bear."""

    uid: str
    hash: str


class NewPods:
    """Reads pods again at each call; which revision is newest is remembered by the workload's generation."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._newest: dict[tuple[str, int], Newest] = {}
        self.unseen: list[str] = []

    def of(self, workloads: list[Object]) -> dict[str, list[Object]]:
        """Pods of the newest revision by the workload's uid; a revision that is not there yet is left out.

        The workloads are in one namespace.
        """
        newest = {objects.uid(one): _of_status(one) for one in workloads if objects.kind(one) == "StatefulSet"}
        for kind, owned in (("Deployment", "ReplicaSet"), ("DaemonSet", "ControllerRevision")):
            newest |= self._owned([one for one in workloads if objects.kind(one) == kind], owned)
        known = [(one, found) for one in workloads if (found := newest.get(objects.uid(one)))]
        pods = self._list("Pod", [(one, _pod_selector(one, found)) for one, found in known])
        return {objects.uid(one): _own(one, found, pods) for one, found in known}

    def creation_problems(self, workload: Object) -> list[Problem]:
        """Why no pod can be made, from the events of a StatefulSet or DaemonSet, which have no condition for it."""
        fields = f"involvedObject.uid={objects.uid(workload)}"
        try:
            events = self._cluster.list("Event", objects.namespace(workload), fields=fields)
        except ForbiddenError as error:
            self._note(error)
            return []
        told = [one for one in events if one.get("reason") in ("FailedCreate", "SuccessfulCreate")]
        last = max(told, key=_event_seconds, default=None)
        if last is None or last.get("reason") != "FailedCreate":
            return []
        return [creation_problem(str(last.get("message") or ""))]

    def _owned(self, workloads: list[Object], kind: str) -> dict[str, Newest | None]:
        unknown = [one for one in workloads if _version(one) not in self._newest]
        listed = self._list(kind, [(one, objects.selector_text(one["spec"].get("selector"))) for one in unknown])
        for one in unknown:
            find = _replica_set if kind == "ReplicaSet" else _controller_revision
            found = find(one, objects.owned_by(one, listed))
            if found:
                self._newest[_version(one)] = found
        return {objects.uid(one): self._newest.get(_version(one)) for one in workloads}

    def _list(self, kind: str, selected: list[tuple[Object, str]]) -> list[Object]:
        """Objects for workloads with the selector of each; more than wanted where the namespace is listed."""
        if not selected:
            return []
        namespace = objects.namespace(selected[0][0])
        try:
            if len(selected) > FEW:
                return self._cluster.list(kind, namespace)
            found = [item for _one, labels in selected for item in self._cluster.list(kind, namespace, labels)]
        except ForbiddenError as error:
            self._note(error)
            return []
        return list({objects.uid(one): one for one in found}.values())

    def _note(self, error: ForbiddenError) -> None:
        if error.message not in self.unseen:
            self.unseen.append(error.message)


def _version(workload: Object) -> tuple[str, int]:
    return objects.uid(workload), objects.generation(workload)


def _of_status(stateful_set: Object) -> Newest | None:
    """A StatefulSet names its newest revision itself, and owns its pods itself."""
    name = str((stateful_set.get("status") or {}).get("updateRevision") or "")
    return Newest(objects.uid(stateful_set), name) if name else None


def _replica_set(deployment: Object, owned: list[Object]) -> Newest | None:
    """The ReplicaSet of the Deployment's template, as the controller finds it; else the one that bears its revision."""
    wanted = objects.template(deployment)
    same = [one for one in owned if _without_hash(objects.template(one)) == wanted]
    revision = objects.annotation_int(deployment, REVISION)
    same = same or [one for one in owned if revision is not None and objects.annotation_int(one, REVISION) == revision]
    if not same:
        return None
    oldest = min(same, key=lambda one: str(one["metadata"].get("creationTimestamp")))
    return Newest(objects.uid(oldest), objects.labels_of(oldest).get(HASH, ""))


def _without_hash(template: Object) -> Object:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {label: value for label, value in (metadata.get("labels") or {}).items() if label != HASH}
    return {**template, "metadata": metadata}


def _controller_revision(daemon_set: Object, owned: list[Object]) -> Newest | None:
    if not owned:
        return None
    newest = max(owned, key=lambda one: int(one.get("revision") or 0))
    return Newest(objects.uid(daemon_set), objects.labels_of(newest).get(REVISION_HASH, ""))


def _hash_label(workload: Object) -> str:
    return HASH if objects.kind(workload) == "Deployment" else REVISION_HASH


def _pod_selector(workload: Object, newest: Newest) -> str:
    own = objects.selector_text(workload["spec"].get("selector"))
    return ",".join(filter(None, (own, f"{_hash_label(workload)}={newest.hash}")))


def _own(workload: Object, newest: Newest, pods: list[Object]) -> list[Object]:
    label = _hash_label(workload)
    return [
        pod
        for pod in pods
        if objects.controller_uid(pod) == newest.uid and objects.labels_of(pod).get(label, "") == newest.hash
    ]


def _event_seconds(event: Object) -> float:
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max((objects.seconds(time) or 0.0 for time in times), default=0.0)

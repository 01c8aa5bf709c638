# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pods behind a Service (its EndpointSlices) or a label selector, ready or not, and the port each of them listens on.

Pods that are ending are left out: nobody sends them requests any more. Rights needed: get services, list endpointslices
(for a Service), list pods (for a selector); where they may be had, get pods tells why one is not ready, and get namespaces
tells an empty namespace from none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_objects as objects
from .errors import InputError, RunbookError, UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import NotFoundError, UnauthorizedError

SERVICE_LABEL = "kubernetes.io/service-name"
NAMES_IN_A_REQUEST = 50
MOST_PODS = 5000
MOST_LOOKED_AT = 20  # pods of one Service that are not ready

Object = dict[str, Any]


@dataclass
class Pod:
    """One pod. ``ready``: Kubernetes sends it requests. ``not_serving`` says why it cannot be asked at all."""

    name: str
    port: int
    ready: bool
    not_serving: str = ""


@dataclass
class Found:
    """The pods, or the problem why there are none; ``unknown``: it could not be seen whether there are any, and
    ``unreachable``: because the API server gives no answer, or none to these credentials."""

    pods: list[Pod] = field(default_factory=list)
    problem: str = ""
    hint: str = ""
    unknown: bool = False
    unreachable: bool = False


class Pods:
    """Looks pods up. The EndpointSlices of all ``services`` (namespace, name) are read at once, per namespace."""

    def __init__(self, cluster: Cluster, services: Iterable[tuple[str, str]]) -> None:
        self.cluster = cluster
        self._slices: dict[tuple[str, str], list[Object]] = defaultdict(list)
        self._unread: dict[str, RunbookError] = {}
        names: dict[str, set[str]] = defaultdict(set)
        for namespace, name in services:
            names[namespace].add(name)
        for namespace, wanted in names.items():
            self._read_slices(namespace, sorted(wanted))

    def _read_slices(self, namespace: str, names: list[str]) -> None:
        try:
            for start in range(0, len(names), NAMES_IN_A_REQUEST):
                some = ",".join(names[start : start + NAMES_IN_A_REQUEST])
                for found in self.cluster.list("EndpointSlice", namespace, labels=f"{SERVICE_LABEL} in ({some})"):
                    self._slices[namespace, found["metadata"]["labels"][SERVICE_LABEL]].append(found)
        except RunbookError as error:
            self._unread[namespace] = error

    def of(self, namespace: str, service: str, selector: str, port: str) -> Found:
        """The pods of the Service, or of the selector when no Service is named. ``port`` as the Service names it."""
        try:
            found = (
                self._of_service(namespace, service, port) if service else self._of_selector(namespace, selector, port)
            )
            if not found.pods and not found.unknown:
                self.cluster.require_namespace(namespace)
        except InputError as error:
            return Found(problem=error.message, hint="Correct the namespace, the selector or the port of the target.")
        except RunbookError as error:
            return Found(
                problem=error.message,
                hint="Nothing is known of its pods.",
                unknown=True,
                unreachable=isinstance(error, (UnreachableError, UnauthorizedError)),
            )
        return found

    def _of_service(self, namespace: str, service: str, port: str) -> Found:
        if namespace in self._unread:
            raise self._unread[namespace]
        try:
            spec = self.cluster.get("Service", namespace, service).get("spec") or {}
        except NotFoundError:
            return Found(
                problem=f"there is no Service {service} in namespace {namespace}",
                hint="Correct its name, or deploy it. Is it the right cluster and namespace?",
            )
        if spec.get("type") == "ExternalName":
            return Found(
                problem=f"Service {service} is a mere name for {spec.get('externalName')}", hint="Ask its URL."
            )
        name = _service_port(spec.get("ports") or [], port, service)
        pods: dict[str, Pod] = {}
        strangers: list[str] = []
        for found in self._slices[namespace, service]:
            number = next(
                (one.get("port") for one in found.get("ports") or [] if (one.get("name") or "") == name), None
            )
            for endpoint in found.get("endpoints") or []:
                _add(endpoint, number, pods, strangers)
        if pods:
            return Found(self._explained(namespace, _sorted(pods.values())))
        if strangers:
            return Found(
                problem=f"the addresses of Service {service} are no pods: {', '.join(strangers[:3])}", unknown=True
            )
        return Found(
            problem=f"Service {service} has no endpoints",
            hint="No pod matches its selector, or none has an address yet: see the pods of the workload.",
        )

    def _explained(self, namespace: str, pods: list[Pod]) -> list[Pod]:
        """With the reason why those that are not ready cannot be asked, where it can be read."""
        for pod in [pod for pod in pods if not pod.ready][:MOST_LOOKED_AT]:
            try:
                found = self.cluster.find("Pod", namespace, pod.name)
            except RunbookError:
                continue
            pod.not_serving = _not_serving(found, pod.port) if found else "gone"
        return pods

    def _of_selector(self, namespace: str, selector: str, port: str) -> Found:
        pods = []
        for found in self.cluster.list("Pod", namespace, labels=selector):
            phase = (found.get("status") or {}).get("phase")
            if phase not in ("Succeeded", "Failed") and not found["metadata"].get("deletionTimestamp"):
                pods.append(_pod(found, port))
            if len(pods) > MOST_PODS:
                raise InputError(f"selector {selector} in namespace {namespace} matches more than {MOST_PODS} pods.")
        if pods:
            return Found(_sorted(pods))
        return Found(
            problem=f"no pod in namespace {namespace} matches {selector}",
            hint="Compare with the labels of the pods; a selector that matches nothing proves nothing.",
        )


def _sorted(pods: Iterable[Pod]) -> list[Pod]:
    return sorted(pods, key=lambda pod: pod.name)


def _service_port(ports: list[Object], wanted: str, service: str) -> str:
    """The name of a Service's port (empty where it has none); InputError when it has none such, or which is not clear."""
    known = ", ".join(f"{one.get('name') or 'unnamed'} ({one.get('port')})" for one in ports) or "none"
    chosen = [one for one in ports if not wanted or wanted in (one.get("name"), str(one.get("port")))]
    if len(chosen) != 1:
        trouble = f"has no port {wanted}" if wanted else "has several ports, and the target does not say which"
        raise InputError(f"Service {service} {trouble}; there are {known}.", option="port")
    return str(chosen[0].get("name") or "")


def _add(endpoint: Mapping[str, Any], number: int | None, pods: dict[str, Pod], strangers: list[str]) -> None:
    """Take one endpoint of an EndpointSlice: a pod has one in each slice of its address families."""
    conditions = endpoint.get("conditions") or {}
    reference = endpoint.get("targetRef") or {}
    if conditions.get("terminating"):
        return
    if reference.get("kind") != "Pod" or not number:
        strangers += endpoint.get("addresses") or ["no address"]
        return
    ready = conditions.get("ready") is not False  # absent means ready
    name = str(reference["name"])
    if name not in pods or ready:
        pods[name] = Pod(name, number, ready)


def _pod(found: Object, wanted: str) -> Pod:
    """A pod of a selector with the port to ask; InputError when its containers do not say which port that is."""
    ready = (objects.condition(found, "Ready") or {}).get("status") == "True"
    port = _container_port(found, wanted)
    not_serving = _not_serving(found, port)
    return Pod(objects.name(found), port, ready and not not_serving, not_serving)


def _not_serving(found: Object, port: int) -> str:
    """Why nobody can answer on the port: ``Pending: ImagePullBackOff``, ``CrashLoopBackOff``; empty when somebody may."""
    status = found.get("status") or {}
    containers = (found.get("spec") or {}).get("containers") or []
    own = [one["name"] for one in containers if port in {p.get("containerPort") for p in one.get("ports") or []}]
    known = status.get("containerStatuses") or []
    states = [one.get("state") or {} for one in known if not own or one.get("name") in own]
    reason = next((text for text in map(_reason, states) if text), "")
    if status.get("phase") != "Running" or not status.get("podIP"):
        waiting = reason or next((text for text in map(_reason, _init_states(status)) if text), "")
        return f"{status.get('phase') or 'Unknown'}{f': {waiting}' if waiting else ''}"
    return "" if not states or any("running" in state for state in states) else reason or "not running"


def _init_states(status: Mapping[str, Any]) -> list[Object]:
    return [one.get("state") or {} for one in status.get("initContainerStatuses") or []]


def _reason(state: Mapping[str, Any]) -> str:
    """Why a container does not run: what it waits for, or how it ended; empty when it runs or has done its work."""
    waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
    if ended:
        return f"{ended.get('reason') or 'ended'} (exit code {ended.get('exitCode')})" if ended.get("exitCode") else ""
    return str(waiting.get("reason") or "")


def _container_port(found: Object, wanted: str) -> int:
    if wanted.isdecimal():
        return int(wanted)
    containers = (found.get("spec") or {}).get("containers") or []
    ports = [port for container in containers for port in container.get("ports") or []]
    chosen = {int(port["containerPort"]) for port in ports if not wanted or port.get("name") == wanted}
    if len(chosen) == 1:
        return chosen.pop()
    known = ", ".join(f"{port.get('name') or 'unnamed'} ({port['containerPort']})" for port in ports) or "none"
    trouble = f"has no port named {wanted}" if wanted else "does not declare exactly one port: give the target's port"
    raise InputError(f"pod {objects.name(found)} {trouble}; declared are {known}.", option="port")

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the faults of Hafnium do and look at: pods that are told of a fault, objects that are changed and put back."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from lab import cluster, control, hafnium
from lab.faults.model import Fault
from lab.layout import LabError, paths
from lab.objects import Client
from lab.runner.addresses import loopback

PART = "kubernetes"
SHOWN_SECONDS = 45
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
_MERGE = "application/merge-patch+json"
Change = Callable[[dict[str, Any]], None]


def client() -> Client:
    return Client(cluster.admin_kubeconfig(paths()))


def running(name: str, summary: str, service: str, faults: Mapping[str, str], shows: Callable[[], object]) -> Fault:
    """Every pod of a service is told of the faults; nothing is rolled out, and a restarted container is well again.

    `shows`: true when the fault is seen from outside.
    """

    def apply() -> None:
        _need(service)
        for pod in pods(service):
            for fault, value in faults.items():
                ask(pod, f"/faults/{fault}?value={value}", "PUT")
        control.wait_until(shows, SHOWN_SECONDS, f"{service}: {', '.join(faults)} seen")

    def undo() -> None:
        for pod in pods(service):
            with suppress(OSError):  # its process has just ended, and the fault with it
                ask(pod, "/faults", "DELETE")

    return Fault(name, summary, apply, undo, PART)


def rolled_out(name: str, summary: str, service: str, change: Change, shows: Callable[[], object]) -> Fault:
    """The Deployment of a service with a change to its manifest."""

    def apply() -> None:
        _need(service)
        deployment = next(each for each in hafnium.service_documents(service) if each["kind"] == "Deployment")
        change(deployment)
        client().put(deployment)
        control.wait_until(shows, SHOWN_SECONDS, f"{service}: {name} seen")

    return Fault(name, summary, apply, lambda: restore(service), PART)


def tagged(tag: str) -> Change:
    """Another tag of the image."""

    def change(deployment: dict[str, Any]) -> None:
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        container["image"] = f"{container['image'].rpartition(':')[0]}:{tag}"

    return change


def restore(service: str) -> None:
    """All objects of a service as their manifests have them."""
    for document in hafnium.service_documents(service):
        client().put(document)


def pods(service: str) -> list[dict[str, Any]]:
    """Pods of a service that are not being deleted."""
    path = f"/api/v1/namespaces/{hafnium.NAMESPACE}/pods?labelSelector=app%3D{service}"
    found = client().call("GET", path, f"pods of {service}")["items"]
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def ready(service: str) -> int:
    """Number of its pods that are ready."""
    return sum(
        condition["type"] == "Ready" and condition["status"] == "True"
        for pod in pods(service)
        for condition in pod["status"].get("conditions", ())
    )


def stuck(service: str, *reasons: str) -> bool:
    """True when a container of the service waits, or has ended last, for one of these reasons."""
    for pod in pods(service):
        for status in pod["status"].get("containerStatuses", ()):
            waits = status["state"].get("waiting", {}).get("reason")
            ended = status["lastState"].get("terminated", {}).get("reason")
            if waits in reasons or ended in reasons:
                return True
    return False


def ask(pod: Mapping[str, Any], path: str, method: str = "GET", seconds: float = 5) -> tuple[int, bytes]:
    """A request to a pod itself: code and body. OSError, also when it does not answer in time."""
    url = f"http://{loopback(pod['status']['podIP'])}:8080{path}"
    headers = {"Authorization": f"Bearer {hafnium.token(paths())}"}
    try:
        with _DIRECT.open(urllib.request.Request(url, method=method, headers=headers), timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def health(service: str) -> tuple[int, str]:
    """Code and status of /actuator/health of its first pod; (0, "") when it does not answer."""
    try:
        code, body = ask(pods(service)[0], "/actuator/health")
        return code, str(json.loads(body).get("status", ""))
    except (OSError, IndexError):
        return 0, ""
    except ValueError:
        return code, ""


def merge(path: str, what: str, change: Mapping[str, Any]) -> None:
    """A merge patch of one object."""
    client().call("PATCH", path, what, change, _MERGE)


def _need(service: str) -> None:
    if not ready(service):
        raise LabError(f"{service} has no ready pod in namespace {hafnium.NAMESPACE}: `make lab-heal` first")

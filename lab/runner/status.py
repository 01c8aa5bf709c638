# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a pod, from what is known of its containers: pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from lab.runner import HOST_IP, clock
from lab.runner.kube import Object


def build(
    pod: Object,
    address: str,
    start: str,
    inits: Sequence[Object],
    containers: Sequence[Object],
    known: Sequence[Object],
) -> Object:
    """The status to write. `known`: the conditions written last, whose times stay when nothing changed."""
    phase = phase_of(pod, inits, containers)
    status: Object = {
        "observedGeneration": pod["metadata"].get("generation", 1),
        "phase": phase,
        "conditions": _timed(_conditions(phase, inits, containers), known),
        "hostIP": HOST_IP,
        "hostIPs": [{"ip": HOST_IP}],
        "podIP": address,
        "podIPs": [{"$patch": "replace"}, {"ip": address}],  # else an earlier address stays in the list
        "startTime": start,
        "containerStatuses": list(containers),
    }
    if inits:
        status["initContainerStatuses"] = list(inits)
    return status


def phase_of(pod: Object, inits: Sequence[Object], containers: Sequence[Object]) -> str:
    """The phase by the rules of a kubelet."""
    policy = pod["spec"].get("restartPolicy", "Always")
    if any(not _succeeded(status) for status in inits):
        failed = policy == "Never" and any(
            "terminated" in status["state"] and not _succeeded(status) for status in inits
        )
        return "Failed" if failed else "Pending"
    if any("waiting" in status["state"] and not status["lastState"] for status in containers):
        return "Pending"
    if any("running" in status["state"] for status in containers) or policy == "Always":
        return "Running"
    if any("waiting" in status["state"] for status in containers):
        return "Running"
    if all(_succeeded(status) for status in containers):
        return "Succeeded"
    return "Failed" if policy == "Never" else "Running"


def _succeeded(status: Object) -> bool:
    ended = status["state"].get("terminated")
    return bool(ended) and ended["exitCode"] == 0


def _conditions(phase: str, inits: Sequence[Object], containers: Sequence[Object]) -> list[Object]:
    waiting = [status["name"] for status in inits if not _succeeded(status)]
    unready = [status["name"] for status in containers if not status["ready"]]
    initialized: Object = {"type": "Initialized", "status": "True"}
    if waiting:
        initialized |= {
            "status": "False",
            "reason": "ContainersNotInitialized",
            "message": f"containers with incomplete status: [{' '.join(waiting)}]",
        }
    ready: Object = {"status": "True"}
    if phase == "Succeeded":
        ready = {"status": "False", "reason": "PodCompleted"}
    elif unready:
        ready = {
            "status": "False",
            "reason": "ContainersNotReady",
            "message": f"containers with unready status: [{' '.join(unready)}]",
        }
    return [
        {"type": "PodReadyToStartContainers", "status": "True"},
        initialized,
        {"type": "Ready", **ready},
        {"type": "ContainersReady", **ready},
    ]


def _timed(conditions: list[Object], known: Sequence[Object]) -> list[Object]:
    before = {condition["type"]: condition for condition in known}
    for condition in conditions:
        earlier = before.get(condition["type"])
        same = earlier is not None and earlier["status"] == condition["status"]
        condition["lastTransitionTime"] = earlier["lastTransitionTime"] if earlier and same else clock.now()
        condition.setdefault("reason", None)
        condition.setdefault("message", None)  # null removes what an earlier patch wrote
    return conditions

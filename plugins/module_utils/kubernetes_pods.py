# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pods and their containers as the API server shows them, in kubectl's words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import kubernetes_objects as objects
from .kubernetes_objects import Object
from .redact import observed

MESSAGE_CHARACTERS = 600


@dataclass(frozen=True)
class Termination:
    """How one run of a container ended. Times are RFC 3339 as the API server wrote them; ``signal`` 0 for none."""

    reason: str
    exit_code: int | None
    signal: int
    started_at: str
    finished_at: str
    message: str

    @property
    def seconds(self) -> float | None:
        """How long the run lasted."""
        started, finished = objects.seconds(self.started_at), objects.seconds(self.finished_at)
        return None if started is None or finished is None else finished - started

    def __str__(self) -> str:
        code = f"exit code {self.exit_code}" if self.exit_code is not None else "no exit code"
        signal = f", signal {self.signal}" if self.signal else ""
        ended = f" at {self.finished_at}" if self.finished_at else ""
        return f"{self.reason or 'ended'} ({code}{signal}){ended}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "reason": self.reason,
            "exit_code": self.exit_code,
            "signal": self.signal or None,
            "started_at": self.started_at or None,
            "finished_at": self.finished_at or None,
            "message": self.message,
        }


@dataclass(frozen=True)
class Container:
    """One container of a pod with its status. ``state`` is waiting, running, terminated, or empty when not reported."""

    name: str
    init: bool
    spec: Object
    image: str
    image_id: str
    ready: bool
    restarts: int
    state: str
    reason: str
    message: str
    started_at: str
    ended: Termination | None
    last: Termination | None

    @property
    def latest_end(self) -> Termination | None:
        """The end of its newest run that has ended."""
        return self.ended or self.last

    @property
    def has_run(self) -> bool:
        return self.state in ("running", "terminated") or self.last is not None

    def as_dict(self) -> dict[str, Any]:
        end = self.latest_end
        return {
            "name": self.name,
            "init": self.init,
            "image": observed(self.image, 300),
            "ready": self.ready,
            "restarts": self.restarts,
            "state": self.state or None,
            "reason": self.reason or None,
            "message": self.message or None,
            "last_termination": end.as_dict() if end else None,
        }


def is_ready(pod: Object) -> bool:
    return (objects.condition(pod, "Ready") or {}).get("status") == "True" and not is_terminating(pod)


def is_terminating(pod: Object) -> bool:
    return bool((pod.get("metadata") or {}).get("deletionTimestamp"))


def has_ended(pod: Object) -> bool:
    """It will not run again: its place is taken by another pod of its controller."""
    return (pod.get("status") or {}).get("phase") in ("Failed", "Succeeded")


def containers(pod: Object) -> list[Container]:
    """Init containers first, in their order."""
    return [*_containers(pod, "initContainers", True), *_containers(pod, "containers", False)]


def _containers(pod: Object, field: str, init: bool) -> Iterator[Container]:
    reported = {row.get("name"): row for row in (pod.get("status") or {}).get(f"{field[:-1]}Statuses") or ()}
    for wanted in (pod.get("spec") or {}).get(field) or ():
        row: Object = reported.get(wanted.get("name")) or {}
        state = row.get("state") or {}
        word = next((word for word in ("running", "waiting", "terminated") if state.get(word) is not None), "")
        detail: Object = state.get(word) or {}
        yield Container(
            name=str(wanted.get("name", "")),
            init=init,
            spec=wanted,
            image=str(wanted.get("image") or row.get("image") or ""),
            image_id=str(row.get("imageID") or ""),
            ready=bool(row.get("ready")),
            restarts=int(row.get("restartCount") or 0),
            state=word,
            reason=str(detail.get("reason") or ""),
            message=_message(detail),
            started_at=str(detail.get("startedAt") or ""),
            ended=_termination(state.get("terminated")),
            last=_termination((row.get("lastState") or {}).get("terminated")),
        )


def _termination(row: Object | None) -> Termination | None:
    if not row:
        return None
    return Termination(
        reason=str(row.get("reason") or ""),
        exit_code=row.get("exitCode"),
        signal=int(row.get("signal") or 0),
        started_at=str(row.get("startedAt") or ""),
        finished_at=str(row.get("finishedAt") or ""),
        message=_message(row),
    )


def _message(said: Object) -> str:
    return observed(str(said["message"]), MESSAGE_CHARACTERS) if said.get("message") else ""


def restarts(pod: Object) -> int:
    return sum(container.restarts for container in containers(pod))


def recent_ends(pod: Object, since: float) -> list[tuple[Container, Termination]]:
    """Runs that ended after ``since`` (epoch) in containers that were started again, or wait to be."""
    found = []
    for container in containers(pod):
        end = container.latest_end
        at = objects.seconds(end.finished_at) if end else None
        if end and container.restarts and at is not None and at >= since:
            found.append((container, end))
    return found


def words(pod: Object) -> str:
    """What kubectl shows as STATUS, and why it is not ready where the status alone does not say so."""
    if is_terminating(pod):
        return "Terminating"
    reason = str((pod.get("status") or {}).get("reason") or "")
    if reason:
        return reason
    trouble = _container_words(pod)
    if trouble:
        return trouble
    phase = str((pod.get("status") or {}).get("phase") or "Unknown")
    scheduled = objects.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        return str(scheduled.get("reason") or "Pending")
    return phase if phase != "Running" or is_ready(pod) else f"Running, {_unready(pod)}"


def _container_words(pod: Object) -> str:
    for each in containers(pod):
        prefix = f"Init:{each.name}:" if each.init else ""
        if each.state == "waiting" and each.reason not in ("", "PodInitializing", "ContainerCreating"):
            return prefix + each.reason
        if each.ended and not (each.init and each.ended.exit_code == 0):
            return prefix + (each.ended.reason or f"ExitCode:{each.ended.exit_code}")
        if each.init and each.state in ("waiting", "running") and not each.ready:
            return f"Init:{each.name}"
        if each.state == "waiting" and each.reason == "ContainerCreating":
            return each.reason
    return ""


def _unready(pod: Object) -> str:
    names = [each.name for each in containers(pod) if not each.init and not each.ready]
    if names:
        return f"not ready: {', '.join(names)}"
    return "its readiness gate is not met" if (pod.get("spec") or {}).get("readinessGates") else "not ready"


def row(pod: Object) -> dict[str, Any]:
    """One pod for a result."""
    found = containers(pod)
    return {
        "name": objects.name(pod),
        "status": words(pod),
        "ready": is_ready(pod),
        "restarts": restarts(pod),
        "node": (pod.get("spec") or {}).get("nodeName"),
        "created": (pod.get("metadata") or {}).get("creationTimestamp"),
        "message": _message(pod.get("status") or {}) or None,
        "containers": [each.as_dict() for each in found],
    }


def floating_tag(image: str) -> bool:
    """Whether which code runs cannot be told from the image's name: no tag, or ``latest``, and no digest."""
    if "@" in image:
        return False
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    return tag in ("", "latest")

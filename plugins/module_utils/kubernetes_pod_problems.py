# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why pods do not become ready, as kubelet and scheduler say it in the pods' status. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import kubernetes_objects as objects
from . import redact
from .kubernetes_objects import Object
from .kubernetes_rollout import MESSAGE_CHARACTERS, Problem

# Worst first: what stands first is shown first.
CATEGORIES = ("failed_create", "image_pull", "config_error", "crash_loop", "unschedulable", "not_ready")
WAITING = {
    "ErrImagePull": "image_pull",
    "ImagePullBackOff": "image_pull",
    "InvalidImageName": "image_pull",
    "ErrImageNeverPull": "image_pull",
    "ImageInspectError": "image_pull",
    "RegistryUnavailable": "image_pull",
    "SignatureValidationFailed": "image_pull",
    "CreateContainerConfigError": "config_error",
    "CreateContainerError": "config_error",
    "RunContainerError": "config_error",
    "PreCreateHookError": "config_error",
    "PostStartHookError": "config_error",
    "CrashLoopBackOff": "crash_loop",
}
SAME = {"ErrImagePull": "ImagePullBackOff"}  # two faces of one reason, which alternate


def problems_of(pods: Iterable[Object]) -> list[Problem]:
    """One row for each reason, with the number of pods that have it and one of them as example; worst first."""
    rows: dict[tuple[str, str], Problem] = {}
    for pod in sorted(pods, key=objects.name):
        own = problem_of(pod)
        if own is None:
            continue
        row = rows.setdefault((own.category, own.reason), own)
        row.count += 1
        if own.restarts > row.restarts:
            own.count = row.count
            rows[own.category, own.reason] = own
    return sorted(rows.values(), key=lambda row: (CATEGORIES.index(row.category), -row.count, row.reason))


def problem_of(pod: Object) -> Problem | None:
    """The worst thing that keeps this pod from being ready; None when it is ready, or is going away."""
    status = pod.get("status") or {}
    if (pod.get("metadata") or {}).get("deletionTimestamp") or _ready(pod):
        return None
    containers = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    found = [one for one in map(_container_problem, containers) if one]
    found += [one for one in (_unscheduled(pod), _ended(status)) if one]
    worst = min(found, key=lambda one: CATEGORIES.index(one.category), default=None) or _not_ready(pod, containers)
    worst.pod = objects.name(pod)
    worst.since = worst.since or objects.seconds((pod.get("metadata") or {}).get("creationTimestamp"))
    return worst


def _ready(pod: Object) -> bool:
    return (objects.condition(pod, "Ready") or {}).get("status") == "True"


def _container_problem(container: Object) -> Problem | None:
    """A container that waits for a known reason, or that has ended and is about to be started again."""
    state = container.get("state") or {}
    waiting = state.get("waiting") or {}
    reason = str(waiting.get("reason") or "")
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = state.get("terminated") or {}
    if ended.get("exitCode"):
        reason, last = "CrashLoopBackOff", ended
    restarts = int(container.get("restartCount") or 0)
    category = WAITING.get(reason)
    if category is None:
        if not last or not restarts or container.get("ready"):
            return None
        category, reason = "crash_loop", "CrashLoopBackOff"  # between two crashes it runs for a moment
    crash = category == "crash_loop"
    said = _termination(last) if crash and last else str(waiting.get("message") or "")
    return Problem(
        category,
        SAME.get(reason, reason),
        _text(said),
        container=str(container.get("name") or ""),
        restarts=restarts,
        exit_code=last.get("exitCode") if crash else None,
    )


def _termination(last: Object) -> str:
    said = f"last ended with exit code {last.get('exitCode')} ({last.get('reason') or 'no reason'})"
    return f"{said}: {last['message']}" if last.get("message") else said


def _unscheduled(pod: Object) -> Problem | None:
    scheduled = objects.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") != "False":
        return None
    since = objects.seconds(scheduled.get("lastTransitionTime"))
    reason = str(scheduled.get("reason") or "Unschedulable")
    return Problem("unschedulable", reason, _text(scheduled.get("message")), since=since)


def _ended(status: Object) -> Problem | None:
    """A pod that is over as a whole: evicted, out of resources of its node."""
    if status.get("phase") != "Failed":
        return None
    return Problem("not_ready", str(status.get("reason") or "Failed"), _text(status.get("message")))


def _not_ready(pod: Object, containers: list[Object]) -> Problem:
    """It runs, or is about to: the readiness probe has not passed yet, or a container is still being made."""
    making = [one for one in containers if (one.get("state") or {}).get("waiting")]
    if making:
        waiting = making[0]["state"]["waiting"]
        reason = str(waiting.get("reason") or "ContainerCreating")
        return Problem("not_ready", reason, _text(waiting.get("message")), container=str(making[0].get("name") or ""))
    late: Object = next((one for one in containers if not one.get("ready")), {})
    said = (objects.condition(pod, "Ready") or {}).get("message")
    restarts = int(late.get("restartCount") or 0)
    reason = "NotReady" if containers else str((pod.get("status") or {}).get("phase") or "Pending")
    return Problem("not_ready", reason, _text(said), container=str(late.get("name") or ""), restarts=restarts)


def _text(said: Any) -> str:
    return " ".join(redact.observed(str(said or ""), MESSAGE_CHARACTERS).split())

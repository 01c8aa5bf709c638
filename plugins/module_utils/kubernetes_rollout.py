# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a rollout, read from one Deployment, StatefulSet or DaemonSet as it is. Pure.

The steps are those of ``kubectl rollout status``, with what it misses: pods that cannot even be created
(ReplicaFailure) while READY is green, a paused rollout, which it awaits for ever, the old pods of a partition, and zero
replicas, which it calls success.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from . import kubernetes_objects as objects
from . import redact
from .errors import InputError
from .kubernetes_objects import Object

State = Literal["complete", "progressing", "blocked", "failed", "unknown"]

REVISION = "deployment.kubernetes.io/revision"
DEADLINE_EXCEEDED = "ProgressDeadlineExceeded"
MESSAGE_CHARACTERS = 500


@dataclass
class Problem:
    """Why pods of the new revision do not become ready. ``pod`` is an example of ``count`` pods with this reason.

    ``category`` is one of image_pull, crash_loop, config_error, failed_create, unschedulable and not_ready.
    """

    category: str
    reason: str
    message: str = ""
    pod: str = ""
    container: str = ""
    count: int = 0
    restarts: int = 0
    exit_code: int | None = None
    since: float | None = None  # seconds since the epoch, where an object says it

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "since"}


@dataclass
class Rollout:
    """How far the pods of one workload follow its template. Replica counts have kubectl's names.

    ``state``: complete; progressing; blocked (it will not go on by itself: ``Paused`` or ``OnDelete``); failed; unknown
    (could not be observed). ``reason`` is one word: ``NotObserved``, ``Updating``, ``OldPodsTerminating``, ``NotReady``;
    for complete ``""``, ``ScaledToZero``, ``NoNodes`` or ``Partitioned`` (old pods stay); for failed
    ``ProgressDeadlineExceeded``, ``FailedCreate``, ``QuotaExceeded``, ``PodSecurity``, ``ServiceAccountMissing``,
    ``AdmissionDenied``, what pods wait for (``ImagePullBackOff``), ``Absent``, ``Deleted``, ``Replaced``, ``Superseded``.
    ``revision`` is the number that a Deployment bears, and the name of a StatefulSet's new ControllerRevision.
    """

    kind: str
    namespace: str
    name: str
    state: State = "unknown"
    reason: str = ""
    message: str = ""
    uid: str = ""
    generation: int = 0
    observed_generation: int = 0
    revision: str = ""
    strategy: str = ""
    paused: bool = False
    desired: int = 0
    current: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    unavailable: int = 0
    images: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    timed_out: bool = False
    waited_seconds: float = 0.0

    @property
    def complete(self) -> bool:
        return self.state == "complete"

    @property
    def key(self) -> str:
        return objects.key(self.kind, self.namespace, self.name)

    def as_dict(self) -> dict[str, Any]:
        """JSON types, all fields; ``problems`` without what only the wait needs."""
        return {
            **vars(self),
            "problems": [one.as_dict() for one in self.problems],
            "waited_seconds": round(self.waited_seconds, 1),
        }

    def line(self) -> str:
        """``identity-service: 3 of 5 updated, 1 pod waiting: ImagePullBackOff``: progress, and the end of messages."""
        if self.state in ("unknown", "blocked") or self.reason in _GONE:
            return f"{self.name}: {self.message}"
        if self.complete:
            return f"{self.name}: complete, {self.available} of {self.desired} available"
        if self.reason == "NotObserved":
            return f"{self.name}: its controller has not seen the change yet"
        said = f"{self.name}: {self.updated} of {self.desired} updated"
        if self.reason == "OldPodsTerminating":
            return f"{said}, old pods are still going"
        if self.updated >= self.desired:
            said = f"{self.name}: {min(self.available, self.desired)} of {self.desired} available"
        if self.problems:
            worst = self.problems[0]
            if not worst.count:
                return f"{said}, no pod can be made: {worst.reason}"
            return f"{said}, {worst.count} pod{'s' if worst.count > 1 else ''} waiting: {worst.reason}"
        return f"{said}, {self.reason}" if self.state == "failed" else said


_GONE = ("Absent", "Deleted", "Replaced", "Superseded")


def rollout_of(workload: Object) -> Rollout:
    """The rollout as the object alone shows it. InputError for a kind that has none."""
    judges = {"Deployment": _deployment, "StatefulSet": _stateful_set, "DaemonSet": _daemon_set}
    kind = str(workload.get("kind"))
    if kind not in judges:
        raise InputError(f"{objects.key_of(workload)} has no rollout; {', '.join(judges)} have.", option="kind")
    status = workload.get("status") or {}
    found = Rollout(
        kind,
        objects.namespace(workload),
        objects.name(workload),
        uid=objects.uid(workload),
        generation=objects.generation(workload),
        observed_generation=int(status.get("observedGeneration") or 0),
        images=objects.images(objects.template(workload)),
    )
    judges[kind](found, workload["spec"], status, workload)
    return found


def absent(kind: str, namespace: str, name: str) -> Rollout:
    return Rollout(kind, namespace, name, "failed", "Absent", f"does not exist in namespace {namespace}")


def _say(found: Rollout, state: State, reason: str, message: str) -> None:
    found.state, found.reason, found.message = state, reason, message


def _observed(found: Rollout) -> bool:
    if 0 < found.observed_generation >= found.generation:
        return True
    text = f"the controller has not yet seen generation {found.generation} (seen: {found.observed_generation})"
    _say(found, "progressing", "NotObserved", text)
    return False


def _count(status: Object, name: str) -> int:
    return int(status.get(name) or 0)


def _replicas(spec: Object) -> int:
    return 1 if spec.get("replicas") is None else int(spec["replicas"])


def _deployment(found: Rollout, spec: Object, status: Object, workload: Object) -> None:
    found.revision = objects.annotations_of(workload).get(REVISION, "")
    found.strategy = str((spec.get("strategy") or {}).get("type") or "RollingUpdate")
    found.paused = bool(spec.get("paused"))
    found.desired, found.current = _replicas(spec), _count(status, "replicas")
    found.updated, found.ready = _count(status, "updatedReplicas"), _count(status, "readyReplicas")
    found.available, found.unavailable = _count(status, "availableReplicas"), _count(status, "unavailableReplicas")
    if not _observed(found):
        return
    progressing = objects.condition(workload, "Progressing") or {}
    failure = objects.condition(workload, "ReplicaFailure") or {}
    if failure.get("status") == "True":
        found.problems = [creation_problem(str(failure.get("message") or ""), failure.get("lastTransitionTime"))]
    if progressing.get("reason") == DEADLINE_EXCEEDED:
        text = f"made no progress for {spec.get('progressDeadlineSeconds')} s (progressDeadlineSeconds)"
        _say(found, "failed", DEADLINE_EXCEEDED, _with_problem(text, found))
    elif found.problems:
        _say(found, "failed", found.problems[0].reason, f"pods cannot be made: {found.problems[0].message}")
    else:
        _by_counts(found)
        if found.paused and not found.complete:
            text = f"paused with {found.updated} of {found.desired} updated; it goes on after 'kubectl rollout resume'"
            _say(found, "blocked", "Paused", text)


def _by_counts(found: Rollout) -> None:
    """The order of kubectl: updated, then old ones gone, then available."""
    if found.updated < found.desired:
        _say(found, "progressing", "Updating", f"{found.updated} of {found.desired} updated")
    elif found.current > found.updated:
        old = found.current - found.updated
        _say(found, "progressing", "OldPodsTerminating", f"{old} old pods are pending termination")
    elif found.current > found.desired:
        many = found.current - found.desired
        text = f"{many} pods above the {found.desired} wanted are still there"
        _say(found, "progressing", "OldPodsTerminating", text)
    elif found.available < found.updated:
        text = f"{found.available} of {found.updated} updated pods are available"
        _say(found, "progressing", "NotReady", text)
    else:
        _complete(found, "ScaledToZero", "scaled to 0 replicas: nothing runs")


def _complete(found: Rollout, zero_reason: str, zero_text: str) -> None:
    if found.desired:
        _say(found, "complete", "", f"{found.available} of {found.desired} updated and available")
    else:
        _say(found, "complete", zero_reason, zero_text)


def _stateful_set(found: Rollout, spec: Object, status: Object, workload: Object) -> None:
    strategy = spec.get("updateStrategy") or {}
    found.strategy = str(strategy.get("type") or "RollingUpdate")
    found.revision = str(status.get("updateRevision") or "")
    found.desired, found.current = _replicas(spec), _count(status, "replicas")
    found.updated, found.ready = _count(status, "updatedReplicas"), _count(status, "readyReplicas")
    found.available = _count(status, "availableReplicas")
    found.unavailable = max(0, found.desired - found.available)
    if not _observed(found):
        return
    partition = min(int((strategy.get("rollingUpdate") or {}).get("partition") or 0), found.desired)
    wanted = found.desired - partition
    if found.strategy == "OnDelete" and found.updated < found.desired:
        _on_delete(found)
    elif found.updated < wanted:
        _say(found, "progressing", "Updating", f"{found.updated} of {wanted} updated")
    elif found.current > found.desired:
        old = found.current - found.desired
        _say(found, "progressing", "OldPodsTerminating", f"{old} pods above the {found.desired} wanted are still there")
    elif min(found.ready, found.available) < found.desired:
        text = f"{min(found.ready, found.available)} of {found.desired} pods are available"
        _say(found, "progressing", "NotReady", text)
    elif partition and found.updated < found.desired:
        old = found.desired - found.updated
        text = f"{found.updated} of {found.desired} updated; partition {partition} keeps {old} on the old revision"
        _say(found, "complete", "Partitioned", text)
    else:
        _complete(found, "ScaledToZero", "scaled to 0 replicas: nothing runs")


def _daemon_set(found: Rollout, spec: Object, status: Object, workload: Object) -> None:
    found.strategy = str((spec.get("updateStrategy") or {}).get("type") or "RollingUpdate")
    found.desired = _count(status, "desiredNumberScheduled")
    found.current, found.updated = _count(status, "currentNumberScheduled"), _count(status, "updatedNumberScheduled")
    found.ready, found.available = _count(status, "numberReady"), _count(status, "numberAvailable")
    found.unavailable = _count(status, "numberUnavailable")
    if not _observed(found):
        return
    if found.strategy == "OnDelete" and found.updated < found.desired:
        _on_delete(found)
    elif found.updated < found.desired:
        _say(found, "progressing", "Updating", f"{found.updated} of {found.desired} updated")
    elif found.available < found.desired:
        _say(found, "progressing", "NotReady", f"{found.available} of {found.desired} updated pods are available")
    else:
        _complete(found, "NoNodes", "no node matches: nothing runs")


def _on_delete(found: Rollout) -> None:
    text = f"{found.updated} of {found.desired} updated; with strategy OnDelete a pod is replaced when it is deleted"
    _say(found, "blocked", "OnDelete", text)


def creation_problem(message: str, since: str | None = None) -> Problem:
    """What the controller says when it could not create a pod, as one of a few reasons."""
    text = " ".join(redact.observed(message, MESSAGE_CHARACTERS).split())
    small = text.lower()
    if "exceeded quota" in small:
        reason = "QuotaExceeded"
    elif "violates podsecurity" in small:
        reason = "PodSecurity"
    elif "service account" in small or "serviceaccount" in small:
        reason = "ServiceAccountMissing"
    elif "admission webhook" in small or "validatingadmissionpolicy" in small:
        reason = "AdmissionDenied"
    else:
        reason = "FailedCreate"
    return Problem("failed_create", reason, text, since=objects.seconds(since))


def _with_problem(text: str, found: Rollout) -> str:
    return f"{text}: {found.problems[0].message}" if found.problems else text

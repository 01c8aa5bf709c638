# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Kubernetes itself says about a workload and its pods: causes that need no log. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from . import kubernetes_objects as objects
from . import kubernetes_pods as pods
from . import workload_log_rules as rules
from .kubernetes_objects import Object
from .kubernetes_pods import Container
from .log_failures import Statement
from .redact import observed
from .workload_causes import Cause, Evidence
from .workload_events import Event
from .workload_view import View

STUCK_SECONDS = 60.0
PLACED_SECONDS = 60.0
TEXT = 400
Events = Mapping[str, Sequence[Event]]

# What the API server says when it does not let a controller make a pod.
CREATION: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (cause, says, re.compile(pattern))
    for cause, says, pattern in (
        ("quota_exceeded", "the quota of the namespace is used up", r"exceeded quota: (?P<name>[^,\s]+)"),
        ("admission_forbidden", "Pod Security forbids the pod template", r"violates PodSecurity"),
        (
            "service_account_missing",
            "the ServiceAccount {name} does not exist",
            r'serviceaccount "(?P<name>[^"]+)" not found',
        ),
        ("service_account_missing", "its ServiceAccount cannot be used", r"error looking up service account"),
        (
            "webhook_unreachable",
            "the admission webhook {name} does not answer",
            r'failed calling webhook "(?P<name>[^"]+)"',
        ),
        (
            "admission_forbidden",
            "the admission webhook {name} forbids it",
            r'admission webhook "(?P<name>[^"]+)" denied',
        ),
        ("admission_forbidden", "a policy forbids it", r"ValidatingAdmissionPolicy|denied the request"),
        (
            "limit_range",
            "requests or limits are outside the LimitRange",
            r"(?:maximum|minimum) \S+ usage per \w+ is|LimitRange",
        ),
        (
            "priority_class_missing",
            "the PriorityClass {name} does not exist",
            r"no PriorityClass with name (?P<name>\S+)",
        ),
        ("create_failed", "its controller cannot make pods", r""),
    )
)

# What a node says about an image that it cannot get.
IMAGES: tuple[tuple[str, str, re.Pattern[str]], ...] = tuple(
    (cause, says, re.compile(pattern, re.IGNORECASE))
    for cause, says, pattern in (
        (
            "wrong_architecture",
            "there is no {image} for the node's processor",
            r"no match for platform|no matching manifest",
        ),
        (
            "image_rate_limited",
            "the registry {registry} limits how often it may be asked",
            r"toomanyrequests|rate limit|\b429\b",
        ),
        (
            "registry_unreachable",
            "the node does not reach the registry {registry}",
            r"dial tcp|no such host|i/o timeout|connection refused|connection reset|TLS handshake|x509|proxyconnect|\b50[234]\b"
            r"|server misbehaving|context deadline exceeded|RegistryUnavailable",
        ),
        (
            "image_auth",
            "the registry {registry} refuses the image {image}: no login, or no right to it (or no such repository)",
            r"unauthorized|authentication required|denied|forbidden|no basic auth|insufficient_scope|\b40[13]\b",
        ),
        ("image_not_found", "the image {image} does not exist", r"not found|manifest unknown|\b404\b|does not exist"),
        ("image_pull", "the image {image} cannot be pulled", r""),
    )
)
PULLING = ("ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed")
NOT_MADE = ("CreateContainerError", "RunContainerError", "StartError", "ContainerCannotRun", "PreCreateHookError")
ABSENT = re.compile(
    r'(?P<kind>configmap|secret|persistentvolumeclaim) "(?P<name>[^"]+)" not found'
    r"|couldn't find key (?P<key>\S+) in (?P<kind2>ConfigMap|Secret) (?P<name2>\S+)"
    r"|references non-existent (?P<kind3>secret|config) key: (?P<key2>\S+)"
)


def of_workload(view: View, events: Events) -> list[Cause]:
    """What concerns the workload as a whole: nothing wanted, nobody looking, no pod that can be made."""
    rollout, who = view.rollout, f"{view.kind}/{view.name}"
    found = []
    if not rollout.desired:
        text = "0 replicas are wanted" if view.kind != "DaemonSet" else "no node matches it"
        found.append(Cause("scaled_to_zero", text, [Evidence("spec", who, text)]))
    if rollout.reason == "NotObserved":
        found.append(Cause("controller_behind", rollout.message, [Evidence("status", who, rollout.message)]))
    if rollout.state == "blocked":
        found.append(Cause("rollout_paused", rollout.message, [Evidence("spec", who, rollout.message)]))
    return [*found, *_creation(view, events)]


def _creation(view: View, events: Events) -> list[Cause]:
    """Why the controller cannot make pods, from conditions, and from events while pods are short."""
    evidence = []
    for one in (view.object, *view.replica_sets):
        failure = objects.condition(one, "ReplicaFailure") or {}
        if failure.get("status") == "True":
            text = line(failure.get("message"))
            evidence.append(Evidence("condition", _who(one), text, str(failure.get("lastTransitionTime") or "")))
    if view.kind == "Deployment" and (objects.condition(view.object, "Progressing") or {}).get("reason") == (
        "ReplicaSetCreateError"
    ):
        text = line((objects.condition(view.object, "Progressing") or {}).get("message"))
        evidence.append(Evidence("condition", _who(view.object), text))
    if len(view.alive) < view.rollout.desired or evidence:
        evidence += _failed_creations(view, events)
    if not evidence:
        return []
    message = evidence[0].text
    cause, says, match = _first(CREATION, message)
    text = f"no {'further ' if view.alive else ''}pod can be made: {rules.filled(says, match.groupdict())}"
    return [Cause(cause, text, evidence[:3])]


def _failed_creations(view: View, events: Events) -> Iterator[Evidence]:
    """The newest failures of each controller, unless it has made a pod since."""
    for one in (*view.replica_sets, view.object):
        told = [
            event for event in events.get(objects.uid(one), ()) if event.reason in ("FailedCreate", "SuccessfulCreate")
        ]
        if told and told[0].reason == "FailedCreate":
            yield Evidence("event", told[0].object, f"FailedCreate x{told[0].count}: {told[0].message}", told[0].time)


def _first(table: Iterable[tuple[str, str, re.Pattern[str]]], message: str) -> tuple[str, str, re.Match[str]]:
    """The first row whose pattern is found; the last row of a table is found in everything."""
    return next((cause, says, match) for cause, says, pattern in table if (match := pattern.search(message)))


def of_pod(view: View, pod: Object, events: Events, node: Object | None, now: float) -> list[Cause]:
    """What the pod's status and events say, the first to mend first. Crashes and probes are judged with the logs."""
    own = events.get(objects.uid(pod), ())
    found = [*_node(pod, node), *_ended(pod), *_unplaced(pod, own, now)]
    for container in pods.containers(pod):
        found += _container(pod, container, own)
    return found or [*_unmounted(pod, own), *_leaving(pod, now)]


def _node(pod: Object, node: Object | None) -> Iterator[Cause]:
    if node is None:
        return
    who = f"Node/{objects.name(node)}"
    ready = objects.condition(node, "Ready") or {}
    if ready.get("status") != "True":
        text = f"the node {objects.name(node)} is not ready"
        said = line(f"{ready.get('reason')}: {ready.get('message')}")
        evidence = Evidence("node", who, said, str(ready.get("lastTransitionTime") or ""))
        yield Cause("node_not_ready", text, [evidence], pods=[objects.name(pod)])


def pressure(node: Object) -> Iterator[Evidence]:
    """Conditions that say that the node runs short."""
    for kind in ("MemoryPressure", "DiskPressure", "PIDPressure", "NetworkUnavailable"):
        found = objects.condition(node, kind) or {}
        if found.get("status") == "True":
            text = line(f"{kind}: {found.get('message') or found.get('reason')}")
            yield Evidence("node", f"Node/{objects.name(node)}", text, str(found.get("lastTransitionTime") or ""))


def _ended(pod: Object) -> Iterator[Cause]:
    """A pod that is over as a whole."""
    status = pod.get("status") or {}
    reason, message = str(status.get("reason") or ""), line(status.get("message"))
    if status.get("phase") != "Failed" or not reason:
        return
    name = "evicted" if reason == "Evicted" else "preempted" if reason.startswith("Preempt") else "killed"
    words = {"evicted": "its node threw it out", "preempted": "a pod of higher priority took its place"}
    if reason.startswith(("OutOf", "NodeAffinity", "UnexpectedAdmission")):
        name = "unschedulable"
    text = f"{words.get(name, f'the pod ended as {reason}')}: {message or reason}"
    yield Cause(name, text, [Evidence("status", _who(pod), f"{reason}: {message}")], pods=[objects.name(pod)])


def _unplaced(pod: Object, events: Sequence[Event], now: float) -> Iterator[Cause]:
    scheduled = objects.condition(pod, "PodScheduled") or {}
    if scheduled.get("status") == "False":
        message = line(scheduled.get("message") or scheduled.get("reason"))
        unbound = "PersistentVolumeClaim" in message or "persistentvolumeclaim" in message
        name = "volume_unbound" if unbound else "unschedulable"
        text = f"no node takes the pod: {message.partition(' preemption:')[0]}"
        evidence = [Evidence("condition", _who(pod), message, str(scheduled.get("lastTransitionTime") or ""))]
        evidence += [as_evidence(event) for event in events if event.reason == "FailedScheduling"][:1]
        yield Cause(name, text, evidence, pods=[objects.name(pod)])
    elif not (pod.get("spec") or {}).get("nodeName") and (objects.age(pod, now) or 0) > PLACED_SECONDS:
        text = f"the scheduler {(pod.get('spec') or {}).get('schedulerName')} has not looked at the pod"
        evidence = [Evidence("status", _who(pod), "no node, and no condition PodScheduled")]
        yield Cause("scheduler_silent", text, evidence, sure=False, pods=[objects.name(pod)])


def _container(pod: Object, container: Container, events: Sequence[Event]) -> Iterator[Cause]:
    """Containers that could not be made, and those that took too much memory."""
    who = f"{_who(pod)}/{container.name}"
    reason = container.reason if container.state in ("waiting", "terminated") else ""
    if reason in PULLING:
        yield _image(pod, container, events)
    elif reason == "InvalidImageName":
        yield _state(pod, container, "image_name_invalid", f"{_image_name(container)} is no name of an image")
    elif reason == "ErrImageNeverPull":
        yield _state(
            pod,
            container,
            "image_not_found",
            f"the image {_image_name(container)} is not on the node, and imagePullPolicy is Never",
        )
    elif reason == "CreateContainerConfigError":
        yield _configuration(pod, container)
    elif reason in NOT_MADE:
        yield _not_made(pod, container, events)
    elif reason == "PostStartHookError":
        yield _state(pod, container, "hook_failed", f"the postStart hook of {container.name} fails")
    end = container.latest_end
    if end and end.reason == "OOMKilled" and not container.ready:
        yield out_of_memory(pod, container)
    elif end and end.reason in ("StartError", "ContainerCannotRun") and reason == "CrashLoopBackOff":
        reading = _read(end.message)
        if reading:
            evidence = [Evidence("status", who, f"{end}: {end.message}", end.finished_at)]
            yield Cause(reading.cause, reading.text, evidence, pods=[objects.name(pod)])


def out_of_memory(pod: Object, container: Container) -> Cause:
    """The kernel ended the container: its own limit, or the node's memory where it has none."""
    limit = ((container.spec.get("resources") or {}).get("limits") or {}).get("memory")
    text = f"the container {container.name} took more than its memory limit of {limit}"
    if not limit:
        text = f"the container {container.name} has no memory limit, and the node ran out of memory"
    end = container.latest_end
    evidence = Evidence("status", f"{_who(pod)}/{container.name}", str(end), end.finished_at if end else "")
    return Cause("oom_killed", text, [evidence], pods=[objects.name(pod)])


def _state(pod: Object, container: Container, cause: str, text: str) -> Cause:
    said = line(f"{container.reason}: {container.message}" if container.message else container.reason)
    return Cause(cause, text, [Evidence("status", f"{_who(pod)}/{container.name}", said)], pods=[objects.name(pod)])


def _image(pod: Object, container: Container, events: Sequence[Event]) -> Cause:
    """The message of the back-off may not hold the reason; the event of the failed pull does."""
    told = [
        event
        for event in events
        if event.reason == "Failed" and "pull" in event.message and event.container in ("", container.name)
    ]
    message = container.message
    if "ack-off" in message and ":" not in message.partition('"')[2].partition('"')[2] and told:
        message = told[0].message
    image = _image_name(container)
    # The image's own name must not decide: it may hold any word.
    cause, says, _match = _first(IMAGES, message.replace(container.image, ""))
    found = _state(pod, container, cause, rules.filled(says, {"image": image, "registry": _registry(container.image)}))
    found.evidence += [as_evidence(event) for event in told[:1]]
    if cause == "image_pull" and not told:
        found.sure = False
    return found


def _registry(image: str) -> str:
    """The registry in an image's name; Docker's own where it names none."""
    head = image.split("/", 1)[0]
    return head if "/" in image and ("." in head or ":" in head or head == "localhost") else "docker.io"


def _image_name(container: Container) -> str:
    return observed(container.image, 200)


def _configuration(pod: Object, container: Container) -> Cause:
    absent = _absent(container.message)
    if absent:
        return _state(pod, container, "config_missing", f"the container {container.name} needs {absent}")
    if (
        "run as root" in container.message
        or "runAsNonRoot" in container.message
        or "non-numeric user" in container.message
    ):
        return _state(pod, container, "run_as_root_forbidden", "its image runs as root, and the pod forbids that")
    return _state(
        pod, container, "container_not_made", f"the container {container.name} cannot be made: {container.message}"
    )


def _absent(message: str) -> str:
    match = ABSENT.search(message)
    if not match:
        return ""
    kinds = {"configmap": "ConfigMap", "config": "ConfigMap", "secret": "Secret", "persistentvolumeclaim": "claim"}
    kind = kinds.get((match["kind"] or match["kind2"] or match["kind3"]).lower(), "object")
    key = match["key"] or match["key2"]
    name = match["name"] or (match["name2"] or "").rpartition("/")[2]
    return " ".join(part for part in (f"key {key} of" if key else "", kind, name) if part) + ", which does not exist"


def _not_made(pod: Object, container: Container, events: Sequence[Event]) -> Cause:
    told = [event for event in events if event.reason == "Failed" and event.container in ("", container.name)]
    message = container.message or (told[0].message if told else "")
    reading = _read(message)
    if reading and reading.cause in ("command_not_found", "permission_denied", "wrong_architecture", "disk_full"):
        return _state(pod, container, reading.cause, reading.text)
    return _state(pod, container, "container_not_made", f"the container {container.name} cannot be made: {message}")


def _read(message: str) -> rules.Reading | None:
    found = rules.read([Statement("error", message, 0)], 1)
    return found[0] if found else None


def _unmounted(pod: Object, events: Sequence[Event]) -> Iterator[Cause]:
    """Containers that are still being made, and events that say what is in the way."""
    if not any(each.state in ("waiting", "") and not each.has_run for each in pods.containers(pod)):
        return
    for event in events:
        evidence = [as_evidence(event)]
        if event.reason in ("FailedMount", "FailedAttachVolume"):
            absent = _absent(event.message)
            text = f"a volume needs {absent}" if absent else f"a volume cannot be mounted: {event.message}"
            name = "config_missing" if absent and "claim" not in absent else "volume_failed"
            yield Cause(name, text, evidence, pods=[objects.name(pod)])
            return
        if event.reason == "FailedCreatePodSandBox":
            text = f"the node cannot set the pod up: {event.message}"
            yield Cause("sandbox_failed", text, evidence, pods=[objects.name(pod)])
            return


def _leaving(pod: Object, now: float) -> Iterator[Cause]:
    """A pod that should be gone: deletionTimestamp already holds its grace period."""
    since = objects.seconds((pod.get("metadata") or {}).get("deletionTimestamp"))
    if since is not None and now - since > STUCK_SECONDS:
        finalizers = (pod.get("metadata") or {}).get("finalizers") or []
        text = f"the pod should have been gone for {now - since:.0f} s"
        text += f"; finalizers: {', '.join(finalizers)}" if finalizers else ""
        evidence = Evidence(
            "status", _who(pod), f"deletionTimestamp {(pod.get('metadata') or {})['deletionTimestamp']}"
        )
        yield Cause("stuck_terminating", text, [evidence], pods=[objects.name(pod)])


def as_evidence(event: Event) -> Evidence:
    times = f" x{event.count}" if event.count > 1 else ""
    return Evidence("event", event.object, line(f"{event.reason}{times}: {event.message}"), event.time)


def _who(found: Object) -> str:
    return f"{objects.kind(found) or 'Pod'}/{objects.name(found)}"


def line(text: Any) -> str:
    return " ".join(observed(str(text or ""), TEXT).split())

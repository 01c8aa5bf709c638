# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What kwok does with the pods of its nodes: they are ready at once, unless their label asks for a trouble.

A pod's label ``lab.sre.runbooks/stage`` chooses the trouble (STAGES), its annotations the details:

    lab.sre.runbooks/exit-code      of crash-loop (1)
    lab.sre.runbooks/ready-after    of slow-ready, a duration as Go writes it (5s)
    lab.sre.runbooks/log            its log: a name in lab/fake_logs without .log, or the absolute path of such a file
    lab.sre.runbooks/previous-log   the log before its last restart, of crash-loop and oom-killed; the same
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lab.gobuild import KWOK

LOGS = Path(__file__).parent / "fake_logs"
LABEL = "lab.sre.runbooks/stage"
STAGES = ("crash-loop", "oom-killed", "image-pull-error", "never-ready", "slow-ready")
_API = "kwok.x-k8s.io/v1alpha1"
_MOST_RESTARTS = 20  # then a loop rests, so that a forgotten one costs nothing
_RESTART_MS = 8_000
_HEARTBEAT_MS = 15_000
_PULL_MS = 10_000
_OWN = ("node-initialize", "node-heartbeat-with-lease", "pod-ready", "pod-complete", "pod-delete")

# Templates of Go over the pod; a word between @ is replaced by one of the texts below.
_STATUS = """\
{{ $now := Now }}
{{ $pod := . }}
{{ $notes := or .metadata.annotations dict }}
phase: @PHASE@
startTime: {{ or .status.startTime $now | Quote }}
conditions:
- {type: PodReadyToStartContainers, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
- {type: Ready, status: "@READY@", reason: @REASON@, lastTransitionTime: {{ $now | Quote }}}
- {type: ContainersReady, status: "@READY@", reason: @REASON@, lastTransitionTime: {{ $now | Quote }}}
containerStatuses:
{{ range $index, $item := .spec.containers }}
{{ $restarts := 0 }}
{{ with $pod.status.containerStatuses }}{{ $restarts = (index . $index).restartCount }}{{ end }}
- name: {{ $item.name | Quote }}
  image: {{ $item.image | Quote }}
  imageID: ""
  ready: @RUNS_READY@
@CONTAINER@
{{ end }}
{{ with NodeIPsWith .spec.nodeName }}
hostIP: {{ index . 0 | Quote }}
hostIPs: [{ip: {{ index . 0 | Quote }}}]
{{ end }}
{{ if not .status.podIP }}
{{ with PodIPsWith .spec.nodeName (or .spec.hostNetwork false) .metadata.uid .metadata.name .metadata.namespace }}
podIP: {{ index . 0 | Quote }}
podIPs: [{ip: {{ index . 0 | Quote }}}]
{{ end }}
{{ end }}
"""
_RUNNING = """\
  started: true
  restartCount: 0
  state: {running: {startedAt: {{ $now | Quote }}}}
"""
_CRASHED = """\
  started: false
  restartCount: {{ add $restarts 1 }}
  state:
    waiting:
      reason: CrashLoopBackOff
      message: {{ printf "back-off 10s restarting failed container=%s pod=%s_%s(%s)" $item.name
        $pod.metadata.name $pod.metadata.namespace $pod.metadata.uid | Quote }}
  lastState: {terminated: {@END@, startedAt: {{ $now | Quote }}, finishedAt: {{ $now | Quote }}}}
"""
_NOT_PULLED = """\
  started: false
  restartCount: 0
  state: {waiting: {reason: @WHY@, message: {{ printf "@MESSAGE@" $item.image | Quote }}}}
"""
_FAILED = 'exitCode: {{ or (index $notes "lab.sre.runbooks/exit-code") "1" }}, reason: Error'
_KILLED = "exitCode: 137, reason: OOMKilled"
_LOG_OF_POD = """\
{{ $notes := or .metadata.annotations dict }}
{{ $log := or (index $notes "lab.sre.runbooks/log") "@LOG@" }}
{{ $previous := or (index $notes "lab.sre.runbooks/previous-log") "@PREVIOUS@" }}
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Logs
metadata:
  name: {{ .metadata.name | Quote }}
  namespace: {{ .metadata.namespace | Quote }}
  ownerReferences:
  - apiVersion: v1
    kind: Pod
    name: {{ .metadata.name | Quote }}
    uid: {{ .metadata.uid | Quote }}
spec:
  logs:
  - follow: false
    {{ if $log }}
    logsFile: {{ if hasPrefix "/" $log }}{{ $log }}{{ else }}@FOLDER@/{{ $log }}.log{{ end }}
    {{ end }}
    {{ if $previous }}
    previousLogsFile: {{ if hasPrefix "/" $previous }}{{ $previous }}{{ else }}@FOLDER@/{{ $previous }}.log{{ end }}
    {{ end }}
"""


def configuration() -> str:
    """kwok's configuration file: its own stages for nodes and healthy pods, ours for troubled ones, and the logs."""
    import yaml

    default = {"logs": [{"logsFile": str(LOGS / "started.log")}]}
    documents = [*_own(), *_crashing(), *_pulling(), *_waiting()]
    documents.append({"apiVersion": _API, "kind": "ClusterLogs", "metadata": {"name": "started"}, "spec": default})
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def log_definition() -> Path:
    """The definition of the resource by which a pod has a log of its own."""
    return KWOK.folder / "kwok.x-k8s.io_logs.yaml"


def _own() -> list[dict[str, Any]]:
    """The stages that come with kwok.

    Troubled pods are taken out of the one that makes pods ready. Of the two heartbeats the one for nodes with a lease is
    taken, often enough for nodes without: it also gives a node its address back.
    """
    import yaml

    stages: list[dict[str, Any]] = [yaml.safe_load((KWOK.folder / f"{name}.yaml").read_text()) for name in _OWN]
    for stage in stages:
        if stage["metadata"]["name"] == "pod-ready":
            healthy = {"key": f'.metadata.labels["{LABEL}"]', "operator": "NotIn", "values": list(STAGES)}
            stage["spec"]["selector"]["matchExpressions"].append(healthy)
        elif stage["metadata"]["name"] == "node-heartbeat-with-lease":
            stage["spec"]["delay"] = {"durationMilliseconds": _HEARTBEAT_MS}
    return stages


def _crashing() -> list[dict[str, Any]]:
    event = _event("BackOff", "Back-off restarting failed container")
    not_many = f"select( .restartCount < {_MOST_RESTARTS} )"
    waits = _jq(f".status.containerStatuses.[] | {not_many} | .state.waiting.reason", "CrashLoopBackOff")
    stages = []
    for trouble, end, log in (
        ("crash-loop", _FAILED, "database-refused"),
        ("oom-killed", _KILLED, "out-of-memory"),
    ):
        steps = [_log(previous=log), _status(_CRASHED, END=end), event]
        stages.append(_stage(trouble, trouble, _NEW, steps))
        stages.append(_stage(f"{trouble}-again", trouble, [waits], steps[1:], {"durationMilliseconds": _RESTART_MS}))
    return stages


def _pulling() -> list[dict[str, Any]]:
    """ErrImagePull and ImagePullBackOff in turn, as a kubelet tries again and again."""
    trouble = "image-pull-error"
    message = "failed to pull and unpack image %s: failed to resolve reference: not found"
    failed = [
        _log(current=""),
        _status(_NOT_PULLED, phase="Pending", WHY="ErrImagePull", MESSAGE=message),
        _event("Failed", "Failed to pull image: not found"),
    ]
    waits = _status(_NOT_PULLED, phase="Pending", WHY="ImagePullBackOff", MESSAGE="Back-off pulling image %s")
    return [
        _stage(trouble, trouble, _NEW, failed),
        _stage(
            f"{trouble}-waits",
            trouble,
            [_reason("ErrImagePull")],
            [waits, _event("BackOff", "Back-off pulling image")],
            {"durationMilliseconds": 1_000},
        ),
        _stage(
            f"{trouble}-again",
            trouble,
            [_reason("ImagePullBackOff")],
            failed[1:],
            {"durationMilliseconds": _PULL_MS},
        ),
    ]


def _waiting() -> list[dict[str, Any]]:
    steps = [
        _log(),
        _status(_RUNNING),
        _event("Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503"),
    ]
    later = {
        "durationMilliseconds": 5_000,
        "durationFrom": {"expressionFrom": '.metadata.annotations["lab.sre.runbooks/ready-after"]'},
    }
    unready = _jq('.status.conditions.[] | select( .type == "Ready" ) | .status', "False")
    return [
        *(_stage(trouble, trouble, _NEW, steps) for trouble in ("never-ready", "slow-ready")),
        _stage("slow-ready-now", "slow-ready", [unready], [_status(_RUNNING, ready=True)], later),
    ]


_NEW = [{"key": ".status.containerStatuses", "operator": "DoesNotExist"}]


def _reason(word: str) -> dict[str, Any]:
    return _jq(".status.containerStatuses.[].state.waiting.reason", word)


def _jq(query: str, value: str) -> dict[str, Any]:
    return {"key": query, "operator": "In", "values": [value]}


def _stage(
    name: str,
    trouble: str,
    when: list[dict[str, Any]],
    steps: list[dict[str, Any]],
    delay: dict[str, Any] | None = None,
) -> dict[str, Any]:
    conditions = [{"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}, *when]
    spec: dict[str, Any] = {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchLabels": {LABEL: trouble}, "matchExpressions": conditions},
        "steps": steps,
    }
    if delay:
        spec["delay"] = delay
    return {"apiVersion": _API, "kind": "Stage", "metadata": {"name": f"lab-{name}"}, "spec": spec}


def _status(container: str, phase: str = "Running", ready: bool = False, **words: str) -> dict[str, Any]:
    words |= {
        "PHASE": phase,
        "READY": str(ready),
        "RUNS_READY": str(ready).lower(),
        "REASON": '""' if ready else "ContainersNotReady",
    }
    return {
        "patch": {
            "subresource": "status",
            "root": "status",
            "template": _fill(_STATUS, CONTAINER=container.rstrip(), **words),
        }
    }


def _log(current: str = "started", previous: str = "") -> dict[str, Any]:
    """The pod's logs; one that is "" is refused, as by a kubelet that has none."""
    return {"apply": {"template": _fill(_LOG_OF_POD, LOG=current, PREVIOUS=previous, FOLDER=str(LOGS))}}


def _event(reason: str, message: str) -> dict[str, Any]:
    return {"event": {"type": "Warning", "reason": reason, "message": message}}


def _fill(template: str, **words: str) -> str:
    for name, text in words.items():
        template = template.replace(f"@{name}@", text)
    return template

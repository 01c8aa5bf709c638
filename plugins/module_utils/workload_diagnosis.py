# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why workloads do not start or stay up: many in one task, each ending with a named cause.

The namespace is listed once. Only what is wrong is looked into further: a few pods that stand for the others, with the
ends of their logs and their nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import checks, kubernetes_client, kubernetes_logs, workload_events, workload_presence, workload_view
from . import kubernetes_gather as gather
from . import kubernetes_objects as objects
from . import workload_patient as patients
from .argspec import ArgumentSpec
from .checks import UNVERIFIED, Check
from .errors import InputError, RunbookError
from .kubernetes_client import Cluster
from .kubernetes_logs import Log, Wanted
from .kubernetes_objects import Object
from .operation import Context
from .workload_causes import Evidence
from .workload_events import Event
from .workload_patient import Patient
from .workload_pod_causes import Case
from .workload_view import View

MOST_NODES = 10
MOST_MAPS = 10
MOST_QUOTAS = 5
LIMITS: dict[str, tuple[float, float]] = {
    "max_pods": (1, 10),
    "log_lines": (10, 5000),
    "log_bytes": (1024, 4 << 20),
    "log_lines_returned": (0, 500),
    "recent_restart_seconds": (0, 30 * 86400),
}

SPEC = kubernetes_client.SPEC.merge(
    workload_view.SPEC,
    ArgumentSpec(
        options={
            "max_pods": {"type": "int", "default": 3},
            "log_lines": {"type": "int", "default": 500},
            "log_bytes": {"type": "int", "default": 262144},
            "log_lines_returned": {"type": "int", "default": 20},
            "recent_restart_seconds": {"type": "float", "default": 600.0},
        }
    ),
)


@dataclass
class Gathered:
    """What was read beyond the lists, by name. ``problems`` by the kind of thing that could not be read."""

    logs: dict[Wanted, Log] = field(default_factory=dict)
    nodes: dict[str, Object] = field(default_factory=dict)
    maps: dict[str, Mapping[str, str]] = field(default_factory=dict)
    problems: dict[str, RunbookError] = field(default_factory=dict)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Reads only; the same in check mode."""
    asked = workload_view.wanted(params)
    _check_limits(params)
    now, recent, namespace = context.clock.now(), params["recent_restart_seconds"], params["namespace"]
    with Cluster(params, context) as cluster:
        listed = gather.namespace(cluster, namespace, [*workload_view.kinds_for(asked.kind), "Event"])
        selection = workload_view.select(asked, listed)
        rows = list(workload_presence.checks_of(cluster, asked, listed, selection))
        findings = workload_presence.findings_of(rows, params["system"])
        events = workload_events.by_object(listed.of("Event"))
        blind = listed.unseen("Pod")
        found = [patients.patient(view, now, recent, params["max_pods"]) for view in selection.views if not blind]
        sick = [one for one in found if not one.well]
        seen = _gather(cluster, sick, params, context)

        def case_of(view: View, pod: Object) -> Case:
            node = seen.nodes.get(str((pod.get("spec") or {}).get("nodeName")))
            return Case(view, pod, events, node, seen.logs, seen.maps, now, recent)

        _judge(sick, events, case_of)
        if _look_further(cluster, sick, seen, namespace):
            _judge(sick, events, case_of)
        _quotas(cluster, sick, namespace)
        requests = cluster.requests
    rows += [patients.check_of(one) for one in found]
    rows += [_blind(view, blind) for view in selection.views if blind]
    rows += _unread(sick, seen)
    findings += [finding for one in sick for finding in patients.findings_of(one, params["system"])]
    for check in rows:
        check.runbook = params["runbook"]
    return checks.report(
        rows,
        findings,
        namespace=namespace,
        workloads=[_data(one, events, seen, params) for one in found],
        requests=requests,
    )


def _check_limits(params: Mapping[str, Any]) -> None:
    for option, (least, most) in LIMITS.items():
        if not least <= params[option] <= most:
            raise InputError(f"{option} is {params[option]:g}; it must be from {least:g} to {most:g}.", option=option)


def _judge(sick: list[Patient], events: Mapping[str, Sequence[Event]], case_of: Callable[[View, Object], Case]) -> None:
    for one in sick:
        patients.judge(one, events, case_of)


def _gather(cluster: Cluster, sick: list[Patient], params: Mapping[str, Any], context: Context) -> Gathered:
    """Logs and nodes of the pods that are looked into, a few requests at a time."""
    found = Gathered()
    now, recent, namespace = context.clock.now(), params["recent_restart_seconds"], params["namespace"]
    wanted = dict.fromkeys(log for one in sick for log in patients.logs_wanted(one, now, recent))
    nodes = list(dict.fromkeys(name for one in sick for name in patients.nodes_wanted(one)))[:MOST_NODES]

    def log_reader(log: Wanted) -> Callable[[], Any]:
        return lambda: kubernetes_logs.read(cluster, namespace, log, params["log_lines"], params["log_bytes"])

    def node_reader(name: str) -> Callable[[], Any]:
        return lambda: cluster.get("Node", "", name)

    reads: dict[Wanted | str, Callable[[], Any]] = {
        **{log: log_reader(log) for log in wanted},
        **{name: node_reader(name) for name in nodes},
    }
    if reads:
        context.progress(f"{namespace}: {len(sick)} workloads are not well; reading {len(wanted)} logs")
    for key, answer in gather.all_of(reads).items():
        if isinstance(key, Wanted) and answer.value is not None:
            found.logs[key] = answer.value
        elif answer.problem:
            found.problems["nodes"] = answer.problem
        elif answer.value and not isinstance(key, Wanted):
            found.nodes[key] = answer.value
    return found


def _look_further(cluster: Cluster, sick: list[Patient], seen: Gathered, namespace: str) -> bool:
    """Read the ConfigMaps whose variables belong to a cause; whether there were any to read."""
    names = sorted({name for one in sick for name in patients.config_maps_wanted(one)})[:MOST_MAPS]

    def reader(name: str) -> Callable[[], Any]:
        return lambda: cluster.get("ConfigMap", namespace, name)

    for name, answer in gather.all_of({name: reader(name) for name in names}).items():
        if answer.value is not None:
            seen.maps[name] = answer.value.get("data") or {}
    return bool(seen.maps)


def _quotas(cluster: Cluster, sick: list[Patient], namespace: str) -> None:
    """Add what the quotas hold to causes that have to do with them."""
    causes = [cause for one in sick for cause in one.causes if cause.name == "quota_exceeded"]
    if not causes:
        return
    answer = gather.once(lambda: cluster.list("ResourceQuota", namespace))
    evidence = [_quota(quota) for quota in (answer.value or [])[:MOST_QUOTAS]]
    for cause in causes:
        cause.evidence = [*cause.evidence, *evidence]


def _quota(quota: Object) -> Evidence:
    status = quota.get("status") or {}
    used = status.get("used") or {}
    rows = [f"{name} {used.get(name, '?')} of {hard}" for name, hard in (status.get("hard") or {}).items()]
    return Evidence("quota", f"ResourceQuota/{objects.name(quota)}", f"used: {', '.join(rows)}")


def _blind(view: View, problem: str) -> Check:
    return Check(
        f"startup.{view.name}",
        f"{view.name} starts and stays up",
        UNVERIFIED,
        observed=f"{view.rollout.ready} of {view.rollout.desired} ready; {problem}",
        expected="every pod of the newest revision is ready and stays up",
        hint="Without a list of pods no cause can be told.",
    )


def _unread(sick: list[Patient], seen: Gathered) -> Iterator[Check]:
    """What could not be read, and may hold the cause."""
    for one in sick:
        names = {objects.name(pod) for pod in one.examined}
        lost = [log for log in seen.logs.values() if log.wanted.pod in names and log.problem and not log.absent]
        if lost and lost[0].problem:
            yield Check(
                f"logs.{one.view.name}",
                f"Logs of {one.view.name} can be read",
                UNVERIFIED,
                observed=lost[0].problem.message,
                expected="the end of the log of each container that is in trouble",
                hint="The cause was told without these logs; it may be another one.",
            )
    if "nodes" in seen.problems:
        yield Check(
            "nodes",
            "Nodes of the pods can be read",
            UNVERIFIED,
            observed=seen.problems["nodes"].message,
            expected="the conditions of the nodes",
            hint="Whether a node is not ready, or runs short, is not known.",
        )


def _data(
    one: Patient, events: Mapping[str, Sequence[Event]], seen: Gathered, params: Mapping[str, Any]
) -> dict[str, Any]:
    names = {objects.name(pod) for pod in one.examined}
    read = [log for log in seen.logs.values() if log.wanted.pod in names]
    return patients.data_of(one, params["system"], events, read, params["log_lines_returned"])

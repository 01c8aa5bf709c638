# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One workload under diagnosis: which of its pods stand for the others, and which causes they add up to. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_logs as logs
from . import kubernetes_objects as objects
from . import kubernetes_pods as pods
from . import workload_environment as environment
from . import workload_states as states
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next
from .kubernetes_logs import Wanted
from .kubernetes_objects import Object
from .workload_causes import EFFECTS, Cause, Evidence
from .workload_events import Event
from .workload_pod_causes import Case, causes_of, troubled
from .workload_view import View

MOST_EVIDENCE = 4
MOST_EVENTS = 20
MOST_ROWS = 20


@dataclass
class Patient:
    """A workload, the pods that stand for each kind of trouble (with all that have it), and what was found.

    ``well`` when there is nothing to look into.
    """

    view: View
    groups: list[list[Object]]
    well: bool
    causes: list[Cause] = field(default_factory=list)

    @property
    def examined(self) -> list[Object]:
        return [group[0] for group in self.groups]


def patient(view: View, now: float, recent_seconds: float, most_pods: int) -> Patient:
    """Healthy: the newest revision is complete, something is wanted, every pod is ready, and none has ended lately."""
    sick = [pod for pod in view.pods if _is_sick(view, pod, now, recent_seconds)]
    well = view.rollout.complete and view.rollout.desired > 0 and not sick
    return Patient(view, _groups(view, sick)[:most_pods], well)


def _is_sick(view: View, pod: Object, now: float, recent_seconds: float) -> bool:
    if pods.is_terminating(pod):
        since = objects.seconds(pod["metadata"]["deletionTimestamp"])
        return since is not None and now - since > states.STUCK_SECONDS
    if pods.has_ended(pod):
        return not view.rollout.complete  # else its place was taken
    return not pods.is_ready(pod) or bool(pods.recent_ends(pod, now - recent_seconds))


def _groups(view: View, sick: Iterable[Object]) -> list[list[Object]]:
    """Pods with the same trouble together, the one that tells most first; pods of the newest revision first."""
    found: dict[tuple[Any, ...], list[Object]] = {}
    for pod in sick:
        ends = tuple((each.name, each.latest_end and each.latest_end.exit_code) for each in pods.containers(pod))
        found.setdefault((view.is_current(pod) is not False, pods.words(pod), ends), []).append(pod)
    for group in found.values():
        group.sort(key=lambda pod: (pods.restarts(pod), str(pod["metadata"].get("creationTimestamp"))), reverse=True)
    order = sorted(found, key=lambda key: (not key[0], key[1] == "Terminating", -len(found[key]), key[1]))
    return [found[key] for key in order]


def logs_wanted(one: Patient, now: float, recent_seconds: float) -> list[Wanted]:
    """The logs that may tell why."""
    return [
        wanted
        for pod in one.examined
        for container in troubled(pod, now, recent_seconds)
        for wanted in logs.wanted_of(objects.name(pod), container)
    ]


def nodes_wanted(one: Patient) -> list[str]:
    return [str(name) for pod in one.examined if (name := (pod.get("spec") or {}).get("nodeName"))]


def config_maps_wanted(one: Patient) -> set[str]:
    """ConfigMaps of the environment, when a cause has to do with it."""
    if not any(cause.about.family for cause in one.causes):
        return set()
    containers = [each for pod in one.examined for each in pods.containers(pod)]
    return {name for each in containers for name in environment.config_maps(each.spec)}


def judge(one: Patient, events: Mapping[str, Sequence[Event]], case_of: Callable[[View, Object], Case]) -> None:
    """Fill in the causes, the first to mend first: what comes first for a pod before what it entails."""
    first: list[Cause] = states.of_workload(one.view, events)
    entailed: list[Cause] = []
    for group in one.groups:
        found = causes_of(case_of(one.view, group[0]))
        names = [objects.name(pod) for pod in group]
        for cause in found:
            cause.pods = names
        first += found[:1]
        entailed += found[1:]
    merged = _merged([*sorted(first, key=_order), *sorted(entailed, key=_order)])
    if not merged and not one.well:
        merged = [_undecided(one.view)]
    one.causes = merged


def _order(cause: Cause) -> int:
    return cause.rank


def _merged(found: Iterable[Cause]) -> list[Cause]:
    """One row for each cause."""
    rows: dict[str, Cause] = {}
    for cause in found:
        known = rows.setdefault(cause.name, cause)
        if known is not cause:
            known.pods = [*known.pods, *(name for name in cause.pods if name not in known.pods)]
            known.evidence = [*known.evidence, *(one for one in cause.evidence if one not in known.evidence)]
    for cause in rows.values():
        cause.evidence = cause.evidence[:MOST_EVIDENCE]
    return list(rows.values())


def _undecided(view: View) -> Cause:
    """The counts are not right, and no pod shows why."""
    text = view.rollout.message or view.rollout.reason or view.rollout.state
    evidence = [Evidence("status", f"{view.kind}/{view.name}", text)]
    name = "starting" if view.rollout.state == "progressing" else "unknown_cause"
    return Cause(name, text, evidence, sure=False)


def check_of(one: Patient) -> Check:
    """The verdict on one workload, with its cause and the lines that show it."""
    view = one.view
    check = Check(
        f"startup.{view.name}",
        f"{view.name} starts and stays up",
        PASS,
        observed=f"{view.rollout.ready} of {view.rollout.desired} ready, {restarts(view)} restarts",
        expected="every pod of the newest revision is ready and stays up",
        hint="Ready is what its probes say. Logs were not read, since nothing is wrong.",
    )
    if one.well:
        return check
    cause = one.causes[0]
    check.status = UNVERIFIED if cause.name == "starting" else FAIL
    also = f" (also: {', '.join(other.name for other in one.causes[1:])})" if one.causes[1:] else ""
    check.observed = [f"{cause.name}: {cause.text}{also}", *(_shown(evidence) for evidence in cause.evidence[:2])]
    check.hint = cause.about.advice + _still_serving(view)
    return check


def restarts(view: View) -> int:
    return sum(pods.restarts(pod) for pod in view.alive)


def _shown(evidence: Evidence) -> str:
    at = f" {evidence.at}" if evidence.at else ""
    return f"{evidence.source} of {evidence.object}{at}: {evidence.text}"


def _still_serving(view: View) -> str:
    old = _old_ready(view)
    return f" Meanwhile {old} pods of an older revision serve." if old else ""


def findings_of(one: Patient, system: str) -> list[Finding]:
    """One finding for each cause."""
    view = one.view
    affected = [_affected(view)]
    check = f"startup.{view.name}"
    return [
        Finding(
            cause.name,
            "seen" if cause.sure else "inferred",
            [check],
            affected,
            next_of(cause, view, system),
        )
        for cause in one.causes
    ]


def _affected(view: View) -> str:
    ready, desired = view.rollout.ready, view.rollout.desired
    old = _old_ready(view)
    if not old:
        return f"{view.name}: {ready} of {desired} ready"
    return f"{view.name}: {len(view.ready) - old} of {desired} ready in the newest revision, {old} in an older one"


def _old_ready(view: View) -> int:
    return sum(1 for pod in view.ready if view.is_current(pod) is False)


def next_of(cause: Cause, view: View, system: str) -> Next | None:
    """The procedure that mends the cause. Going back is proposed where the older revision is there, and well.

    What only the newest revision's processes complain of, while older ones are ready, came with that revision.
    """
    then = cause.about.then
    older = bool(_old_ready(view))
    if older and (cause.about.of_revision or cause.of_process) and _only_newest(cause, view):
        then = "rollback"
    if then == "rollback" and not (older or has_history(view)):
        then = "health"
    if then == "scale" and view.kind == "DaemonSet":
        then = "health"
    if not then:
        return None
    return Next(f"sre.runbooks.{system}.{then}", {f"{system}_service": view.name}, EFFECTS[then])


def _only_newest(cause: Cause, view: View) -> bool:
    """Only pods of the newest revision show it, or no pod does."""
    return all(view.is_current(pod) is not False for pod in view.pods if objects.name(pod) in cause.pods)


def has_history(view: View) -> bool:
    """Whether there is an older revision; only a Deployment's is known here."""
    return len(view.replica_sets) > 1


def data_of(
    one: Patient, system: str, events: Mapping[str, Sequence[Event]], read: Iterable[logs.Log], most_lines: int
) -> dict[str, Any]:
    """One workload for the result."""
    view, rollout = one.view, one.view.rollout
    own = [view.object, *view.replica_sets, *view.pods]
    told = sorted((event for item in own for event in events.get(objects.uid(item), ())), key=lambda event: -event.at)
    return {
        "name": view.name,
        "kind": view.kind,
        "healthy": one.well,
        "cause": one.causes[0].name if one.causes else None,
        "text": one.causes[0].text if one.causes else None,
        "causes": [_cause_data(cause, view, system) for cause in one.causes],
        "desired": rollout.desired,
        "updated": rollout.updated,
        "ready": rollout.ready,
        "available": rollout.available,
        "rollout": rollout.state,
        "revision": rollout.revision or None,
        "restarts": restarts(view),
        "conditions": [_condition(row) for row in (view.object.get("status") or {}).get("conditions") or ()],
        "pods_count": len(view.pods),
        "pods": [{**pods.row(pod), "owners": _owners(pod, view)} for pod in _shown_pods(one)],
        "events": [event.as_dict() for event in told if not one.well or event.type != "Normal"][:MOST_EVENTS],
        "logs": [log.as_dict(most_lines) for log in read],
    }


def _shown_pods(one: Patient) -> list[Object]:
    """Examined pods first."""
    rest = [pod for pod in one.view.pods if all(pod is not other for other in one.examined)]
    return [*one.examined, *rest][:MOST_ROWS]


def _cause_data(cause: Cause, view: View, system: str) -> dict[str, Any]:
    step = next_of(cause, view, system)
    return {
        "cause": cause.name,
        "confidence": "seen" if cause.sure else "inferred",
        "text": cause.text,
        "advice": cause.about.advice,
        "pods": cause.pods[:MOST_ROWS],
        "evidence": [evidence.as_dict() for evidence in cause.evidence],
        "next": {"playbook": step.playbook, "args": step.args, "effect": step.effect} if step else None,
    }


def _condition(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": row.get("type"),
        "status": row.get("status"),
        "reason": row.get("reason"),
        "message": states.line(row.get("message")),
        "since": row.get("lastTransitionTime"),
    }


def _owners(pod: Object, view: View) -> list[str]:
    """The chain from the pod to what owns its workload, nearest first."""
    chain = []
    known = {objects.uid(one): one for one in (*view.replica_sets, view.object)}
    at: Object | None = pod
    while at is not None:
        owner = next(
            (ref for ref in (at.get("metadata") or {}).get("ownerReferences") or () if ref.get("controller")), None
        )
        if owner is None:
            break
        chain.append(f"{owner.get('kind')}/{owner.get('name')}")
        at = known.pop(str(owner.get("uid")), None)
    return chain

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judging the health of workloads: what they should be, against what their pods, Services and budgets are. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Optional

from . import kubernetes_objects as objects
from . import kubernetes_owners as owners
from . import kubernetes_pods as pods
from . import workload_services as services
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next, status_of
from .kubernetes_gather import Listed
from .kubernetes_objects import Object
from .redact import observed
from .workload_view import View

MOST_ROWS = 10
DIAGNOSE = "diagnose_startup"
SCALE = "scale"


@dataclass(frozen=True)
class Terms:
    """What is expected of every workload. ``system`` names the playbooks that come next; ``now`` is the epoch."""

    now: float
    system: str
    recent_restart_seconds: float
    max_recent_restarts: int
    minimum_addresses: int
    require_service: bool
    require_hpa: bool
    require_pdb: bool


@dataclass
class Judged:
    """Checks and findings of one workload."""

    checks: list[Check]
    findings: list[Finding]


def judge(view: View, listed: Listed, terms: Terms) -> Judged:
    """Everything about one workload that can be known; what could not be listed is left out."""
    found = Judged([], [])
    for part, kinds in PARTS:
        if listed.unseen(*kinds):
            continue  # said once for the namespace, not for each workload
        for check, cause in part(view, listed, terms):
            found.checks.append(check)
            if cause:
                found.findings.append(_finding(cause, check, view, terms))
    return found


Rows = Iterator[tuple[Check, Optional[str]]]  # noqa: UP045  (evaluated at import, as ansible-test checks for old Pythons)

# Cause to what it affects and the procedure that comes next.
CAUSES: dict[str, tuple[str, str | None]] = {
    "scaled_to_zero": ("everything it serves", SCALE),
    "replicas_missing": ("its capacity", DIAGNOSE),
    "pods_refused": ("every new pod: after a restart or a node's loss it stays short", DIAGNOSE),
    "rollout_failed": ("the newest revision", DIAGNOSE),
    "rollout_unfinished": ("the newest revision", None),
    "rollout_paused": ("the newest revision", None),
    "pods_not_ready": ("its capacity", DIAGNOSE),
    "restarting": ("requests at the time of each restart", DIAGNOSE),
    "mixed_images": ("which code answers", None),
    "floating_image_tag": ("rollback: each revision names the same image", None),
    "service_absent": ("all who call it", None),
    "service_selects_nothing": ("all who call it", None),
    "service_port_wrong": ("all who call it", None),
    "no_endpoints": ("all who call it", DIAGNOSE),
    "quorum_lost": ("evictions: a node cannot be drained", DIAGNOSE),
    "autoscaler_absent": ("its capacity under load", None),
    "budget_absent": ("its capacity while nodes are drained", None),
}


def _finding(cause: str, check: Check, view: View, terms: Terms) -> Finding:
    affects, then = CAUSES[cause]
    step = None
    if then:
        effect = "change" if then == SCALE else "read"
        step = Next(f"sre.runbooks.{terms.system}.{then}", {f"{terms.system}_service": view.name}, effect)  # type: ignore[arg-type]
    return Finding(cause, "seen", [check.id], [f"{view.name}: {affects}"], step)


def _check(kind: str, view: View, title: str, status: Any, **rest: Any) -> Check:
    return Check(f"{kind}.{view.name}", f"{view.name}: {title}", status, **rest)


def _replicas(view: View, _listed: Listed, _terms: Terms) -> Rows:
    """Desired against ready and available."""
    rollout = view.rollout
    check = _check(
        "replicas",
        view,
        "replicas are ready",
        PASS,
        observed=f"{rollout.ready} ready, {rollout.available} available of {rollout.desired} desired",
        expected=f"{rollout.desired} ready and available, more than 0",
        hint="Ready is what the readiness probe says; whether requests are answered is not shown.",
    )
    cause = None
    if not rollout.desired:
        check.status, cause = FAIL, "scaled_to_zero"
        check.hint = (
            "Nothing is meant to run, and an autoscaler is off at 0 replicas. Scale it up if that is not meant."
        )
    elif min(rollout.ready, rollout.available) < rollout.desired:
        check.status, cause = FAIL, "replicas_missing"
        check.hint = "See its pods and its rollout for the reason."
    yield check, cause


ROLLOUT_HINT = {
    "complete": "All pods are of the newest revision; the revision may still be a wrong one.",
    "progressing": "A rollout goes on, or stands still: look again, or wait for it with rollout_status.",
    "blocked": "It will not go on by itself.",
    "failed": "READY can stay green meanwhile, on pods of an older revision.",
    "unknown": "The rollout could not be observed.",
}


def _rollout(view: View, _listed: Listed, _terms: Terms) -> Rows:
    """The newest revision, which READY does not show: old pods can keep it green."""
    rollout = view.rollout
    status = {"complete": PASS, "failed": FAIL}.get(rollout.state, UNVERIFIED)
    if rollout.state == "blocked":
        status = FAIL
    cause = {"failed": "rollout_failed", "blocked": "rollout_paused", "progressing": "rollout_unfinished"}.get(
        rollout.state
    )
    if rollout.problems and rollout.problems[0].category == "failed_create":
        cause = "pods_refused"
    what = rollout.message or rollout.reason
    yield (
        _check(
            "rollout",
            view,
            "runs its newest revision",
            status,
            observed=f"{what} ({_revisions(view)})",
            expected="all pods of the newest revision, and new ones can be made",
            hint=ROLLOUT_HINT[rollout.state],
        ),
        cause,
    )


def _revisions(view: View) -> str:
    if view.current is None:
        return f"{len(view.alive)} pods, newest revision not known"
    current = sum(1 for pod in view.alive if view.is_current(pod))
    return f"{current} of {len(view.alive)} pods of revision {view.rollout.revision or view.current}"


def _pods(view: View, _listed: Listed, _terms: Terms) -> Rows:
    """Each pod that is not ready, with the reason."""
    late = [pod for pod in view.alive if not pods.is_ready(pod)]
    rows = [f"{objects.name(pod)}: {_why(pod)}" for pod in late]
    leaving = sum(1 for pod in view.pods if pods.is_terminating(pod))
    ended = sum(1 for pod in view.pods if pods.has_ended(pod))
    others = ", ".join(
        text for text in (f"{leaving} terminating" * bool(leaving), f"{ended} ended" * bool(ended)) if text
    )
    found: Any = rows[:MOST_ROWS] or f"{len(view.alive)} pods" + (f" ({others})" if others else "")
    check = _check(
        "pods",
        view,
        "every pod is ready",
        status_of(not late and bool(view.alive or not view.rollout.desired)),
        observed=found,
        expected="no pod that waits, crashes or is not ready",
        hint=f"{len(rows)} pods are not ready: diagnose_startup names the cause."
        if late
        else "Pods that have ended or are being terminated are counted, not judged.",
    )
    if not late and check.status == FAIL:
        check.hint = "There is no pod at all: see its rollout for what its controller says."
    yield check, "pods_not_ready" if late else None


def _why(pod: Object) -> str:
    message = next((each.message for each in pods.containers(pod) if each.message and not each.ready), "")
    message = message or str((objects.condition(pod, "PodScheduled") or {}).get("message") or "")
    return observed(pods.words(pod) + (f": {message}" if message else ""), 300)


def _restarts(view: View, _listed: Listed, terms: Terms) -> Rows:
    """How often containers were started again, and how lately. Of each only the newest end is known."""
    if not view.alive:
        return
    since = terms.now - terms.recent_restart_seconds
    recent = [(pod, *end) for pod in view.alive for end in pods.recent_ends(pod, since)]
    total = sum(pods.restarts(pod) for pod in view.alive)
    rows = [
        f"{objects.name(pod)}/{each.name}: {each.restarts} restarts, last: {end}"
        for pod, each, end in recent[:MOST_ROWS]
    ]
    over = len(recent) > terms.max_recent_restarts
    check = _check(
        "restarts",
        view,
        "containers stay up",
        status_of(not over),
        observed=rows or f"{total} restarts, none in the last {terms.recent_restart_seconds:g} s",
        expected=f"at most {terms.max_recent_restarts} containers that ended within {terms.recent_restart_seconds:g} s",
        hint="Kubernetes keeps the end of the newest run only, and a new pod begins at 0 restarts.",
    )
    yield check, "restarting" if over else None


def _images(view: View, _listed: Listed, _terms: Terms) -> Rows:
    """Pods of one revision that run different images have got them under one moving tag."""
    if not view.alive:
        return
    named = objects.images(view.template)
    current = [pod for pod in view.alive if view.is_current(pod) is not False]
    mixed = []
    for name in named:
        ids = Counter(
            each.image_id for pod in current for each in pods.containers(pod) if each.name == name and each.image_id
        )
        if len(ids) > 1:
            mixed.append(f"{name}: {', '.join(f'{count} pods run {image}' for image, count in ids.most_common())}")
    floating = sorted({image for image in named.values() if pods.floating_tag(image)})
    shown = [observed(f"{name}: {image}", 300) for name, image in named.items()]
    check = _check(
        "images",
        view,
        "pods of one revision run one image",
        status_of(not mixed),
        observed=[observed(row, 600) for row in mixed] or shown,
        expected="one image id for each container",
        hint="Image ids are those that nodes report for started containers.",
    )
    if mixed:
        check.hint = "The tag moved between two starts. Name images by version or digest, then restart the workload."
    elif floating:
        check.hint = (
            f"{', '.join(floating)}: the tag does not say which code runs, and going back to an older revision that "
            "names it changes nothing."
        )
    yield check, "mixed_images" if mixed else "floating_image_tag" if floating else None


def _service(view: View, listed: Listed, terms: Terms) -> Rows:
    """The way to its pods: a Service that selects them, ready addresses, ports that lead somewhere."""
    mine = services.services_of(view, listed.of("Service"))
    if not mine and terms.require_service:
        yield _no_service(view, listed)
    for service in mine:
        yield _addresses(view, service, listed, terms)


def _no_service(view: View, listed: Listed) -> tuple[Check, str | None]:
    same = next((one for one in listed.of("Service") if objects.name(one) == view.name), None)
    check = _check(
        "service",
        view,
        "a Service leads to its pods",
        FAIL,
        observed="no Service selects its pods",
        expected="a Service that selects the pods that the workload makes",
        hint="Set require_service to false for a workload that nobody calls.",
    )
    if same is None:
        others = sorted(objects.name(one) for one in listed.of("Service"))
        check.observed = f"no Service selects its pods; {_names('Services here', others)}"
        return check, "service_absent"
    check.observed = f"Service {view.name} does not select its pods: {services.mismatch(same, view)}"
    check.hint = "Correct spec.selector of the Service, or the labels in the workload's template."
    return check, "service_selects_nothing"


def _names(what: str, names: list[str]) -> str:
    shown = ", ".join(names[:MOST_ROWS]) + (f" and {len(names) - MOST_ROWS} more" if len(names) > MOST_ROWS else "")
    return f"{what}: {shown or 'none'}"


def _addresses(view: View, service: Object, listed: Listed, terms: Terms) -> tuple[Check, str | None]:
    name = objects.name(service)
    found = services.addresses(service, listed.of("EndpointSlice"))
    check = Check(
        f"service.{view.name}" if name == view.name else f"service.{view.name}.{name}",
        f"{view.name}: Service {name} has ready addresses",
        status_of(len(found.ready) >= terms.minimum_addresses),
        observed=f"{found}; {services.ports_text(service)}",
        expected=f"at least {terms.minimum_addresses} ready addresses, and a container behind each port",
        hint="Ready pods are behind it; that the process listens on the port is shown by its probe alone.",
    )
    dead = services.dead_ports(service, view)
    if dead:
        check.status, check.observed = FAIL, "; ".join(dead)
        check.hint = "Correct targetPort of the Service, or name the port in the container."
        return check, "service_port_wrong"
    if check.status == FAIL:
        check.hint = (
            "Callers get no connection. The Service exists and kubectl ends with 0 on it; its pods are not ready, see "
            f"pods.{view.name}."
        )
        return check, "no_endpoints"
    loose = services.undeclared_ports(service, view)
    if loose:
        check.status, check.observed = UNVERIFIED, f"{found}; {'; '.join(loose)}"
        check.hint = "Nothing shows that a process listens there: declare the containerPort, or correct targetPort."
    return check, None


def _budget(view: View, listed: Listed, terms: Terms) -> Rows:
    """The disruption budget: how many pods it wants up, and whether they are."""
    mine = [
        one
        for one in listed.of("PodDisruptionBudget")
        if objects.selects((one.get("spec") or {}).get("selector"), view.template_labels)
    ]
    if not mine and terms.require_pdb:
        yield _missing("pdb", view, "a disruption budget guards it", "PodDisruptionBudget"), "budget_absent"
    for one in mine:
        status = one.get("status") or {}
        healthy, wanted = int(status.get("currentHealthy") or 0), int(status.get("desiredHealthy") or 0)
        seen = int(status.get("observedGeneration") or 0) >= objects.generation(one)
        lost = healthy < wanted
        allowed = int(status.get("disruptionsAllowed") or 0)
        name = objects.name(one)
        yield (
            Check(
                f"pdb.{view.name}" if len(mine) == 1 else f"pdb.{view.name}.{name}",
                f"{view.name}: disruption budget {name} is met",
                status_of(not lost if seen else None),
                observed=f"{healthy} healthy, {wanted} wanted, {allowed} may be evicted"
                if seen
                else "its controller has not looked at it yet",
                expected=f"at least {wanted} healthy pods",
                hint="The budget holds back evictions; it does not hold back rollouts or deletions."
                if allowed
                else "No pod may be evicted: draining a node would wait for ever.",
            ),
            "quorum_lost" if lost and seen else None,
        )


def _autoscaler(view: View, listed: Listed, terms: Terms) -> Rows:
    """Only that it is there: what it does is judged by hpa_limits."""
    if not terms.require_hpa:
        return
    title = "an autoscaler owns its replicas"
    mine = owners.autoscalers_of(view.object, listed.of("HorizontalPodAutoscaler"))
    if not mine:
        yield _missing("hpa", view, title, "HorizontalPodAutoscaler"), "autoscaler_absent"
        return
    row = autoscaler_row(mine[0])
    yield (
        _check(
            "hpa",
            view,
            title,
            PASS,
            observed=f"{row['name']}: {row['min']}..{row['max']}, now {row['current']}, wants {row['desired']}",
            expected="a HorizontalPodAutoscaler that targets it",
            hint="That it gets its metrics is not judged here, see hpa_limits.",
        ),
        None,
    )


def _missing(kind: str, view: View, title: str, resource: str) -> Check:
    return _check(
        kind,
        view,
        title,
        FAIL,
        observed=f"no {resource} is for it",
        expected=f"a {resource}",
        hint="Create one, or do not require it of this workload.",
    )


def autoscaler_row(hpa: Mapping[str, Any]) -> dict[str, Any]:
    spec, status = hpa.get("spec") or {}, hpa.get("status") or {}
    return {
        "name": hpa["metadata"]["name"],
        "min": spec.get("minReplicas", 1),
        "max": spec.get("maxReplicas"),
        "current": status.get("currentReplicas"),
        "desired": status.get("desiredReplicas"),
    }


PARTS: tuple[tuple[Callable[[View, Listed, Terms], Rows], tuple[str, ...]], ...] = (
    (_replicas, ()),
    (_rollout, ()),
    (_pods, ("Pod",)),
    (_restarts, ("Pod",)),
    (_images, ("Pod",)),
    (_service, ("Service", "EndpointSlice")),
    (_budget, ("PodDisruptionBudget",)),
    (_autoscaler, ("HorizontalPodAutoscaler",)),
)

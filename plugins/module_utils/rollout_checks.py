# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rollout as it was observed means: checks and findings. Pure.

In progress is unverified, since nobody knows yet how it ends; after a wait that was long enough it is a failure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import checks, kubernetes_expected_images
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Status
from .kubernetes_expected_images import Expected
from .kubernetes_rollout import DEADLINE_EXCEEDED, Problem, Rollout

CAUSES = {
    "QuotaExceeded": "quota_exceeded",
    "PodSecurity": "pod_security_forbids_the_template",
    "ServiceAccountMissing": "service_account_missing",
    "AdmissionDenied": "admission_denied",
    "FailedCreate": "pods_cannot_be_made",
    "Absent": "workload_absent",
    "Deleted": "workload_deleted",
    "Replaced": "workload_replaced",
    "Superseded": "rollout_superseded",
    "Paused": "rollout_paused",
    "OnDelete": "pods_must_be_deleted",
    "Partitioned": "partition_keeps_old_pods",
    "ScaledToZero": "scaled_to_zero",
    "NoNodes": "no_node_matches",
}
BY_CATEGORY = {
    "image_pull": "image_cannot_be_pulled",
    "config_error": "container_cannot_be_made",
    "crash_loop": "crash_loop",
    "unschedulable": "unschedulable",
    "not_ready": "never_ready",
}


@dataclass(frozen=True)
class Wanted:
    """What the task expects of all its workloads."""

    images: Expected = field(default_factory=dict)
    revision: int | None = None
    zero_replicas: bool = False
    partition: bool = False
    waited_for: float = 0.0


def of(rollout: Rollout, wanted: Wanted) -> Iterator[Check]:
    """The checks of one workload."""
    if not rollout.uid or rollout.state == "unknown" or rollout.reason in ("Deleted", "Replaced"):
        yield _existence(rollout)
        return
    yield _generation(rollout)
    yield _updated(rollout, wanted)
    yield _available(rollout, wanted)
    yield _creation(rollout)
    if rollout.name in wanted.images:
        yield _images(rollout, wanted.images[rollout.name])


def _existence(rollout: Rollout) -> Check:
    seen = rollout.state != "unknown"
    hint = "Is it another kind, another namespace, or a misspelt name?"
    if rollout.reason in ("Deleted", "Replaced"):
        hint = "Somebody deleted it while this was waiting; look who, before doing anything."
    return Check(
        f"exists.{rollout.name}",
        f"{rollout.kind} {rollout.name} exists",
        FAIL if seen else UNVERIFIED,
        observed=rollout.message,
        expected=f"in namespace {rollout.namespace}",
        hint=hint if seen else "It could not be looked at; mend that first (the observation says what is missing).",
    )


def _generation(rollout: Rollout) -> Check:
    """That the controller works on the template that is there now; all other numbers are of the past otherwise."""
    seen = rollout.reason != "NotObserved"
    status: Status = PASS if seen else _unfinished(rollout)
    hint = "The counts below belong to the newest template."
    if not seen:
        hint = (
            "Its controller has not seen the newest change: look again; if it stays so, the controller manager is ill."
        )
    if rollout.reason == "Superseded":
        status, hint = FAIL, "Somebody changed the template during the wait: what is rolled out is not what was meant."
    return Check(
        f"generation.{rollout.name}",
        f"The controller has seen the newest {rollout.name}",
        status,
        observed=rollout.message if rollout.reason == "Superseded" else rollout.observed_generation,
        expected=rollout.generation,
        hint=hint,
    )


def _updated(rollout: Rollout, wanted: Wanted) -> Check:
    old = max(0, rollout.current - rollout.updated)
    check = Check(
        f"updated.{rollout.name}",
        f"All pods of {rollout.name} have the newest template",
        UNVERIFIED,
        observed=f"{rollout.updated} of {rollout.desired} updated" + (f", {old} old" if old else ""),
        expected=f"{rollout.desired} updated, no old ones",
        hint="That they work is not shown: a readiness probe may say less than the service's users would.",
    )
    if rollout.reason in ("NotObserved", "Superseded"):
        check.status, check.hint = _unfinished(rollout), "Not known for the newest template yet."
    elif rollout.reason == "Partitioned":
        check.status = PASS if wanted.partition else FAIL
        check.hint = f"{rollout.message}. Set the partition to 0, or allow_partition where it is meant to be so."
    elif rollout.reason == "Paused":
        check.status, check.hint = FAIL, f"It is paused: {rollout.message}."
    elif rollout.reason == "OnDelete":
        check.status, check.hint = FAIL, f"{rollout.message}."
    elif rollout.updated >= rollout.desired and not old:
        check.status = PASS
    else:
        check.status, check.hint = _unfinished(rollout), _why(rollout, wanted)
    return check


def _available(rollout: Rollout, wanted: Wanted) -> Check:
    check = Check(
        f"available.{rollout.name}",
        f"All replicas of {rollout.name} are available",
        UNVERIFIED,
        observed=f"{rollout.available} of {rollout.desired} available",
        expected=f"{rollout.desired}" if rollout.desired or wanted.zero_replicas else "at least 1",
        hint="Ready for as long as minReadySeconds asks, says the kubelet.",
    )
    if rollout.reason == "NotObserved":
        check.hint = "Not known for the newest change yet."
    elif not rollout.desired:
        check.status = PASS if wanted.zero_replicas else FAIL
        check.hint = (
            "Nothing runs, on purpose or not: an autoscaler is switched off by 0 replicas, and kubectl says success."
        )
        if rollout.kind == "DaemonSet":
            check.hint = "No node matches its node selector, affinity and tolerations."
    elif rollout.available >= rollout.desired:
        check.status = PASS
        if not rollout.complete:
            check.hint = "Old pods count here: they may serve while the new template cannot run at all."
    else:
        check.status, check.hint = _unfinished(rollout), _why(rollout, wanted)
    return check


def _creation(rollout: Rollout) -> Check:
    """What READY hides: while the old pods run, no new one may be made."""
    refused = next((one for one in rollout.problems if one.category == "failed_create"), None)
    told = rollout.kind == "Deployment" or rollout.complete or not rollout.unseen
    return Check(
        f"creation.{rollout.name}",
        f"Pods of {rollout.name} can be made",
        checks.status_of(False if refused else True if told else None),
        observed=refused.message if refused else "no refusal is known",
        expected="no refusal",
        hint=_REMEDIES[refused.reason]
        if refused
        else "Nothing was refused; where no pod had to be made, nothing was tried."
        if told
        else f"Its events could not be read: {rollout.unseen[0]}",
    )


_REMEDIES = {
    "QuotaExceeded": "Free some of the quota, or raise it; the controller tries again by itself, ever more seldom.",
    "PodSecurity": "Correct the template (securityContext), or roll back; the namespace enforces Pod Security.",
    "ServiceAccountMissing": "Create the ServiceAccount; a restart then makes pods at once, where the controller waits.",
    "AdmissionDenied": "A webhook or policy refuses the pods: correct the template, or look at the webhook.",
    "FailedCreate": "The API server refuses the pods; the observation says why.",
}


def _images(rollout: Rollout, expected: str | dict[str, str]) -> Check:
    differs = kubernetes_expected_images.mismatch(expected, rollout.images)
    return Check(
        f"images.{rollout.name}",
        f"Image of {rollout.name}",
        checks.status_of(not differs),
        observed=rollout.images,
        expected=expected,
        hint=f"The template: {differs}."
        if differs
        else "The template's; whether pods run it says the check of updated.",
    )


def _unfinished(rollout: Rollout) -> Status:
    return FAIL if rollout.timed_out or rollout.state in ("failed", "blocked") else UNVERIFIED


def _why(rollout: Rollout, wanted: Wanted) -> str:
    parts = [_problem(one) for one in rollout.problems]
    if rollout.reason == DEADLINE_EXCEEDED or (rollout.state == "failed" and not parts):
        parts.insert(0, rollout.message)
    if rollout.timed_out:
        parts.insert(0, f"not complete within {wanted.waited_for:g} s")
    if not parts:
        parts = [f"in progress: {rollout.message}" if wanted.waited_for else "in progress: look again, or wait_seconds"]
    return "; ".join([*parts, *(f"not seen: {text}" for text in rollout.unseen[:1])])


def _problem(one: Problem) -> str:
    where = f"{one.count} pod{'s' if one.count > 1 else ''} ({one.pod}) " if one.count else "no pod can be made: "
    restarts = f" after {one.restarts} restarts" if one.restarts else ""
    return f"{where}{one.reason}{restarts}" + (f": {one.message}" if one.message else "")


def findings(rollout: Rollout, found: Iterable[Check], wanted: Wanted) -> Iterator[Finding]:
    """The named cause for a workload whose checks are not all passed."""
    own = {check.id.partition(".")[0]: check.id for check in found if _is_red(check, rollout.name)}
    for kind, cause in (("images", "unexpected_image"), ("revision", "unexpected_revision")):
        if kind in own:
            yield Finding(cause, "seen", [own.pop(kind)], [rollout.name])
    named = _cause(rollout) if own else None
    if named:
        yield Finding(named, "seen", list(own.values()), [rollout.name])


def _is_red(check: Check, name: str) -> bool:
    return check.status != PASS and check.id.partition(".")[2] == name


def _cause(rollout: Rollout) -> str | None:
    """One word for why it is not complete; None while that is open."""
    if rollout.reason in CAUSES:
        return CAUSES[rollout.reason]
    worst = rollout.problems[0] if rollout.problems else None
    ended = rollout.timed_out or rollout.state == "failed"
    if worst and (ended or worst.category != "not_ready"):
        return CAUSES.get(worst.reason) or BY_CATEGORY[worst.category]
    return "progress_deadline_exceeded" if rollout.reason == DEADLINE_EXCEEDED else None

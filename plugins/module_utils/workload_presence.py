# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part that health and diagnosis of workloads have in common: what was asked for is there at all.

``kubectl get pods -l tier=backend`` prints nothing and ends with 0, whether the namespace is absent, the label is another
or the pods cannot be made. Here each of these is a check that fails, and says what is there instead.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import kubernetes_gather as gather
from . import workload_view
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next
from .errors import UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import NotFoundError, UnauthorizedError
from .kubernetes_gather import Listed
from .kubernetes_kinds import kind_of
from .workload_view import Selection, Wanted

NAMESPACE_HINT = "An absent namespace looks empty to kubectl, which ends with 0."


def checks_of(cluster: Cluster, asked: Wanted, listed: Listed, selection: Selection) -> Iterator[Check]:
    """The namespace, what could not be listed, the names that are absent, and the pods that the selector meets."""
    away = unreachable(listed)
    if away:
        yield away
        return
    yield from unseen(asked, listed)
    there = any(listed.objects.values())
    space = _namespace(cluster, listed, there)
    yield space
    lost = [] if asked.kind in listed.problems else selection.absent
    places = ""
    if lost or (asked.selector and not selection.selected and space.status != UNVERIFIED):
        places = workload_view.elsewhere(cluster, asked, listed.namespace, lost)
    if space.status == FAIL and places:
        space.hint = f"{places}. Is the namespace the right one for this deployment?"
    for name in lost:
        yield _absent(name, asked, listed, places)
    if asked.selector and "Pod" not in listed.problems:
        yield _selected(asked, listed, selection, places)
    if not (selection.views or lost or asked.selector or listed.problems):
        yield Check("selection", "Workloads are selected", UNVERIFIED, "none", asked.text)


def unreachable(listed: Listed) -> Check | None:
    """The API server itself gives no answer, or does not accept the credentials: one check for all that follows."""
    found = [
        problem for problem in listed.problems.values() if isinstance(problem, (UnreachableError, UnauthorizedError))
    ]
    if not found or any(listed.objects.values()):
        return None
    return Check(
        "cluster.reachable",
        "The API server answers, and accepts the credentials",
        UNVERIFIED,
        observed=found[0].message,
        expected=f"lists of what is in namespace {listed.namespace}",
        hint="Nothing was observed of the workloads: this is no word on whether they run.",
    )


def unseen(asked: Wanted, listed: Listed) -> Iterator[Check]:
    """One check for each kind that could not be listed; what depends on it is not judged."""
    for kind, problem in listed.problems.items():
        yield Check(
            f"rights.{kind_of(kind).plural}",
            f"{kind_of(kind).plural} can be listed",
            UNVERIFIED,
            observed=problem.message,
            expected=f"a list of {kind_of(kind).plural} in namespace {listed.namespace}",
            hint=f"Nothing that shows in {kind_of(kind).plural} was judged"
            + (": not one workload was seen." if kind == asked.kind else "."),
        )


def _namespace(cluster: Cluster, listed: Listed, there: bool) -> Check:
    check = Check(
        f"namespace.{listed.namespace}",
        f"Namespace {listed.namespace} exists",
        PASS,
        observed="it holds objects",
        expected="exists, not being deleted",
        hint=NAMESPACE_HINT,
    )
    if there:
        return check
    answer = gather.once(lambda: cluster.get("Namespace", "", listed.namespace))
    if isinstance(answer.problem, NotFoundError):
        check.status, check.observed = FAIL, f"there is no namespace {listed.namespace} on {cluster.url}"
        check.hint = f"{NAMESPACE_HINT} Is it the right cluster ({cluster.user})?"
    elif answer.problem:
        check.status, check.observed = UNVERIFIED, answer.problem.message
        check.hint = f"Nothing was found in it. {NAMESPACE_HINT}"
    else:
        phase = (answer.value.get("status") or {}).get("phase")
        check.observed = f"exists, {phase}; holds none of the objects that were looked for"
        if phase == "Terminating":
            check.status, check.hint = FAIL, "It is being deleted: nothing new can be made in it."
    return check


def _absent(name: str, asked: Wanted, listed: Listed, places: str) -> Check:
    others = sorted(
        str(one["metadata"]["name"]) for one in listed.of(asked.kind) if one["metadata"]["name"] not in asked.names
    )
    known = ", ".join(others[: workload_view.MOST_NAMED]) or "none"
    elsewhere = f" {places}." if places else ""
    return Check(
        f"workload.{name}",
        f"{asked.kind} {name} exists",
        FAIL,
        observed=f"there is no {asked.kind} {name} in namespace {listed.namespace}; others there: {known}",
        expected="exists",
        hint=f"Correct the name or the namespace in the inventory, or deploy it.{elsewhere}",
    )


def _selected(asked: Wanted, listed: Listed, selection: Selection, places: str) -> Check:
    count = len(selection.selected)
    check = Check(
        "selection",
        f"Pods with {asked.selector}",
        PASS if count >= asked.minimum_pods else FAIL,
        observed=f"{count} pods",
        expected=f"at least {asked.minimum_pods}",
        hint="Counted whatever their state; readiness is judged for each workload.",
    )
    if not count:
        waiting = [view.name for view in selection.views if view.name not in asked.names]
        if waiting:
            check.observed = f"0 pods; the templates of {', '.join(waiting[: workload_view.MOST_NAMED])} would bear it"
            check.hint = "The workloads are there and have no pods: their rollouts say why."
            return check
        check.observed = f"0 pods; {workload_view.alternatives(asked, listed)}"
        check.hint = (
            "kubectl prints nothing and ends with 0 on this. Set the selector of the inventory to labels that the pods "
            f"have.{f' {places}.' if places else ''}"
        )
    return check


CAUSES = {
    "namespace": "namespace_absent",
    "workload": "workload_absent",
    "selection": "selection_empty",
}


def findings_of(checks: list[Check], system: str) -> list[Finding]:
    """What fails of the above, as findings."""
    found = []
    for check in checks:
        cause = CAUSES.get(check.id.partition(".")[0])
        if check.status == FAIL and cause:
            if cause == "namespace_absent" and "Terminating" in str(check.observed):
                cause = "namespace_terminating"
            health = Next(f"sre.runbooks.{system}.health")
            found.append(Finding(cause, "seen", [check.id], [check.id.partition(".")[2] or "the selection"], health))
    return found

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Are the rollouts of these workloads complete: one list request for all of them, and pods of those that are not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from . import checks, kubernetes_expected_images, rollout_checks
from . import kubernetes_history as history
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .checks import FAIL, UNVERIFIED, Check, Finding
from .errors import InputError, UnreachableError
from .kubernetes_client import SPEC as CLUSTER
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_objects import Object
from .kubernetes_rollout import Rollout
from .kubernetes_waiting import OPTIONS, Patience, Target, watch_rollouts, with_time
from .operation import Context
from .rollout_checks import Wanted

MOST_NAMES = 1000

SPEC = CLUSTER.merge(
    ArgumentSpec(
        options={
            **OPTIONS,
            "wait_seconds": {"type": "float", "default": 0.0},
            "kind": {"type": "str", "choices": list(WORKLOAD_KINDS), "default": "Deployment"},
            "names": {"type": "list", "elements": "str"},
            "selector": {"type": "str"},
            "minimum": {"type": "int", "default": 1},
            "expected_revision": {"type": "int"},
            "expected_images": {"type": "dict", "default": {}},
            "allow_zero_replicas": {"type": "bool", "default": False},
            "allow_partition": {"type": "bool", "default": False},
            "runbook": {"type": "str", "default": ""},
        },
        mutually_exclusive=(("names", "selector"),),
        required_one_of=(("names", "selector"),),
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at the rollouts, or wait for them. Reads only; the same in check mode."""
    patience = Patience.of(params)
    names = workload_names(params["names"])
    wanted = Wanted(
        images=kubernetes_expected_images.parse(params["expected_images"], names),
        revision=_pin(params, names),
        zero_replicas=params["allow_zero_replicas"],
        partition=params["allow_partition"],
        waited_for=patience.seconds,
    )
    if params["minimum"] < 1:
        raise InputError(f"minimum is {params['minimum']}; it must be 1 or more: nothing found is never success.")
    context = with_time(context, params)
    with Cluster(params, context) as cluster:
        rollouts, found = _rollouts(params, names, cluster, context, patience)
        found += [check for rollout in rollouts for check in rollout_checks.of(rollout, wanted)]
        if wanted.revision is not None:
            found += [_revision(cluster, rollout, wanted.revision) for rollout in rollouts if rollout.uid]
        requests = cluster.requests
    found += _unselected(wanted, rollouts) if names is None else []
    for check in found:
        check.runbook = params["runbook"]
    return checks.report(
        found,
        _findings(found, rollouts, wanted),
        rollouts=[rollout.as_dict() for rollout in rollouts],
        count=len(rollouts),
        complete_count=sum(rollout.complete for rollout in rollouts),
        requests=requests,
    )


def workload_names(given: list[str] | None) -> list[str] | None:
    """The option ``names``: InputError for an empty list, an empty name, one named twice, or too many."""
    if given is None:
        return None
    names = [name.strip() for name in given]
    if not names or not all(names):
        raise InputError("names is empty, or holds an empty name; was a variable empty?", option="names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"names holds {', '.join(twice)} more than once.", option="names")
    if len(names) > MOST_NAMES:
        raise InputError(f"names holds {len(names)} workloads; at most {MOST_NAMES} go into one task.", option="names")
    return names


def _pin(params: dict[str, Any], names: list[str] | None) -> int | None:
    pin: int | None = params["expected_revision"]
    if pin is None:
        return None
    if pin < 1:
        raise InputError(f"expected_revision is {pin}; revisions begin with 1.", option="expected_revision")
    if names is None or len(names) != 1:
        raise InputError(
            "expected_revision is the revision of one workload: give exactly one name.", option="expected_revision"
        )
    return pin


def _rollouts(
    params: dict[str, Any], names: list[str] | None, cluster: Cluster, context: Context, patience: Patience
) -> tuple[list[Rollout], list[Check]]:
    """The rollouts, and the check of the selection. InputError when the namespace does not exist."""
    kind, namespace = params["kind"], params["namespace"]
    if names is not None:
        rollouts = watch_rollouts(cluster, [Target(kind, namespace, name) for name in names], context, patience)
        if all(rollout.reason == "Absent" for rollout in rollouts):
            cluster.require_namespace(namespace)
        return rollouts, []
    selector = str(params["selector"])
    if not selector.strip():
        raise InputError("selector is empty, which would mean every workload; was a variable empty?", option="selector")
    try:
        seen = sorted(cluster.list(kind, namespace, selector), key=objects.name)
        if not seen:
            cluster.require_namespace(namespace)
    except (UnreachableError, ApiError) as error:
        if isinstance(error, ApiError) and error.status == 400:
            raise InputError(f"selector {selector!r} is refused: {error.message}", option="selector") from None
        return [], [_selection(params, None, error.message)]
    check = _selection(params, seen)
    targets = [Target(kind, namespace, objects.name(one)) for one in seen]
    return watch_rollouts(cluster, targets, context, patience, seen=seen, labels=selector), [check]


def _selection(params: dict[str, Any], seen: list[Object] | None, problem: str = "") -> Check:
    kind, minimum = params["kind"], params["minimum"]
    status = checks.status_of(None if seen is None else len(seen) >= minimum)
    hint = "The labels of the workloads themselves are meant, not those of their pods."
    if problem:
        hint = problem
    return Check(
        "selection",
        f"{kind}s that match {params['selector']} in namespace {params['namespace']}",
        status,
        observed="not known" if seen is None else len(seen),
        expected=f"at least {minimum}",
        hint=hint,
    )


def _unselected(wanted: Wanted, rollouts: Iterable[Rollout]) -> list[Check]:
    """Workloads with an expected image that the selector did not find."""
    absent = sorted(wanted.images.keys() - {rollout.name for rollout in rollouts})
    hint = "The selector does not find it; correct the selector, its labels, or expected_images."
    return [
        Check(f"images.{name}", f"Image of {name}", FAIL, "not selected", wanted.images[name], hint) for name in absent
    ]


def _revision(cluster: Cluster, rollout: Rollout, pin: int) -> Check:
    """kubectl's --revision: is it still that revision which is being rolled out."""
    check = Check(f"revision.{rollout.name}", f"Revision of {rollout.name}", UNVERIFIED, expected=pin)
    check.hint = "Somebody has rolled out another revision since; read rollout_history."
    try:
        check.observed = _running_revision(cluster, rollout)
    except (UnreachableError, ApiError) as error:
        check.hint = error.message
    if check.observed is None or rollout.reason == "NotObserved":
        return check
    check.status = checks.status_of(check.observed == pin)
    return check


def _running_revision(cluster: Cluster, rollout: Rollout) -> int | None:
    if rollout.kind == "Deployment":
        return int(rollout.revision) if rollout.revision.isdecimal() else None
    current = history.read_existing(cluster, rollout.kind, rollout.namespace, rollout.name).current
    return current.number if current else None


def _findings(found: list[Check], rollouts: list[Rollout], wanted: Wanted) -> list[Finding]:
    told = [one for rollout in rollouts for one in rollout_checks.findings(rollout, found, wanted)]
    empty = [check for check in found if check.id == "selection" and check.status == FAIL]
    return [Finding("selection_too_small", "seen", ["selection"], [str(check.title)]) for check in empty] + told

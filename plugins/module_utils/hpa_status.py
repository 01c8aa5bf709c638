# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Do the autoscalers of a namespace work: can they scale, do they know their metrics, is there room to grow."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from . import checks, kubernetes_client
from .argspec import ArgumentSpec
from .checks import FAIL, PASS, UNVERIFIED, Check, Confidence, Finding
from .errors import InputError, RunbookError
from .kubernetes_client import Cluster
from .kubernetes_hpa import Autoscaler, autoscaler
from .kubernetes_kinds import KINDS
from .operation import Context

MOST_AUTOSCALERS = 500
_KIND = KINDS["HorizontalPodAutoscaler"].name

SPEC = kubernetes_client.SPEC.merge(
    ArgumentSpec(
        options={
            "names": {"type": "list", "elements": "str", "default": []},
            "targets": {"type": "list", "elements": "str", "default": []},
            "kind": {"type": "str", "default": "Deployment", "choices": ["Deployment", "StatefulSet"]},
            "minimum_count": {"type": "int", "default": 1},
            "runbook": {"type": "str", "default": ""},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at the autoscalers. Reads only; the same in check mode."""
    _check(params)
    with Cluster(params, context) as cluster:
        started = context.clock.monotonic()
        try:
            found, problem = [autoscaler(hpa) for hpa in cluster.list(_KIND, params["namespace"])], ""
            if not found:
                cluster.require_namespace(params["namespace"])
        except InputError:
            raise
        except RunbookError as error:
            found, problem = [], error.message
        requests = cluster.requests
    rows = [_read(params, found, problem, round((context.clock.monotonic() - started) * 1000))]
    chosen = _chosen(params, found)
    if not problem:
        rows += _expected(params, found)
        for one in chosen:
            rows += _judge(one, _rivals(one, found))
    for row in rows:
        row.runbook = params["runbook"]
    return checks.report(
        rows,
        _findings(chosen, found),
        namespace=params["namespace"],
        autoscalers=[one.as_dict() for one in chosen],
        requests=requests,
    )


def _check(params: dict[str, Any]) -> None:
    for option in ("names", "targets"):
        given = params[option]
        if any(not name.strip() for name in given):
            raise InputError(f"{option} holds an empty name; was a variable empty?", option=option)
        twice = sorted(name for name, count in Counter(given).items() if count > 1)
        if twice:
            raise InputError(f"{option} names {', '.join(twice)} more than once.", option=option)
    least = 0 if params["names"] or params["targets"] else 1
    if params["minimum_count"] < least:
        raise InputError(
            f"minimum_count is {params['minimum_count']}; {least} is the least: an empty selection is no success.",
            option="minimum_count",
        )


def _chosen(params: dict[str, Any], found: list[Autoscaler]) -> list[Autoscaler]:
    """Those that are asked for, or all."""
    if not params["names"] and not params["targets"]:
        return found[:MOST_AUTOSCALERS]
    targets = {(params["kind"], target) for target in params["targets"]}
    return [one for one in found if one.name in params["names"] or (one.kind, one.target) in targets]


def _read(params: dict[str, Any], found: list[Autoscaler], problem: str, duration_ms: int) -> Check:
    least = params["minimum_count"]
    status = UNVERIFIED if problem else PASS if least <= len(found) <= MOST_AUTOSCALERS else FAIL
    hint = "That they are right for their workloads is not shown by their number."
    if problem:
        hint = problem
    elif len(found) > MOST_AUTOSCALERS:
        hint = f"Only the first {MOST_AUTOSCALERS} are looked at; name those that matter (names, targets)."
    elif status == FAIL:
        hint = "Without an autoscaler the number of replicas is fixed. Is it the right namespace?"
    return Check(
        id="hpas",
        title=f"HorizontalPodAutoscalers of namespace {params['namespace']}",
        status=status,
        observed="not read" if problem else f"{len(found)} found",
        expected=f"at least {least}",
        hint=hint,
        duration_ms=duration_ms,
    )


def _expected(params: dict[str, Any], found: list[Autoscaler]) -> Iterator[Check]:
    """One check for each name and each workload that is asked for."""
    there = ", ".join(f"{one.name} (for {one.kind} {one.target})" for one in found[:20]) or "none"
    for name in params["names"]:
        exists = any(one.name == name for one in found)
        yield Check(
            id=f"hpa.{name}.exists",
            title=f"HorizontalPodAutoscaler {name}",
            status=PASS if exists else FAIL,
            observed="exists" if exists else "absent",
            expected="exists",
            hint="Its own checks say whether it works." if exists else f"In this namespace there are: {there}.",
        )
    for target in params["targets"]:
        own = [one.name for one in found if (one.kind, one.target) == (params["kind"], target)]
        yield Check(
            id=f"autoscaled.{target}",
            title=f"{params['kind']} {target} has one autoscaler",
            status=PASS if len(own) == 1 else FAIL,
            observed=", ".join(own) or "none",
            expected="exactly one",
            hint="By scaleTargetRef; the name of the autoscaler does not matter."
            if own
            else f"Nothing scales it. In this namespace there are: {there}.",
        )


def _rivals(one: Autoscaler, found: list[Autoscaler]) -> list[str]:
    """Names of the other autoscalers of the same workload."""
    return [row.name for row in found if (row.kind, row.target) == (one.kind, one.target) and row.name != one.name]


def _judge(one: Autoscaler, rivals: list[str]) -> Iterator[Check]:
    yield Check(
        id=f"hpa.{one.name}.able",
        title=f"{one.name} scales {one.kind} {one.target}",
        status=FAIL if one.disabled or rivals else checks.status_of(one.able.status),
        observed=f"so does {', '.join(rivals)}" if rivals else _able(one),
        expected="able to scale, switched on, and the only one",
        hint="They work against each other: delete all but one." if rivals else _able_hint(one),
    )
    yield Check(
        id=f"hpa.{one.name}.metrics",
        title=f"{one.name} knows its metrics",
        status=PASS if one.active.status else UNVERIFIED,
        observed=_metrics(one),
        expected="every metric is known",
        hint="It scales by these; whether they are the right ones is not shown."
        if one.active.status
        else f"Without metrics it only keeps the number of replicas within its limits. {one.active.message}".strip(),
    )
    yield _room(one)


def _able(one: Autoscaler) -> str:
    if one.disabled:
        return "switched off: its workload is scaled to 0"
    if one.able.status is None:
        return "no word from its controller yet"
    return one.able.reason


def _able_hint(one: Autoscaler) -> str:
    if one.disabled:
        return f"Scale {one.kind} {one.target} to {one.low} or more to switch it on again."
    if one.able.status is None:
        return "The controller looks every 15 s. Does the controller manager run?"
    return one.able.message or "Its controller says nothing more."


def _metrics(one: Autoscaler) -> str:
    if not one.active.status:
        return f"unknown: {one.active.reason or 'no word from its controller yet'}"
    return ", ".join(f"{row.name} {row.current or 'unknown'} of {row.target}" for row in one.metrics) or "none"


def _room(one: Autoscaler) -> Check:
    """At its maximum it cannot follow a growing load. Where both limits are equal that is what was asked for."""
    wants_more = one.limited.status is True and one.limited.reason == "TooManyReplicas"
    fixed = one.low == one.high and not wants_more
    status, hint = PASS, "Room in its limits; whether nodes and quotas have room as well is not shown."
    if one.current is None:
        status, hint = UNVERIFIED, "Its controller has not looked at it yet."
    elif one.current >= one.high and not fixed:
        status = FAIL
        wish = "its metrics ask for more" if wants_more else "a growing load is not followed"
        hint = f"It is at its maximum: {wish}. Raise max_replicas after checking quota and nodes, or find the load."
    elif fixed:
        hint = "Both limits are equal: the number of replicas is fixed on purpose."
    now = "unknown" if one.current is None else str(one.current)
    return Check(
        id=f"hpa.{one.name}.room",
        title=f"{one.name} can grow",
        status=status,
        observed=f"{now} replicas",
        expected=f"fewer than {one.high} (limits {one.low}..{one.high})",
        hint=hint,
    )


def _findings(chosen: list[Autoscaler], found: list[Autoscaler]) -> list[Finding]:
    """One for each cause, whatever the number of autoscalers that show it; what is inferred is kept apart."""
    by_cause: dict[tuple[str, Confidence], Finding] = {}
    for cause, confidence, evidence, affects in _causes(chosen, found):
        one = by_cause.setdefault((cause, confidence), Finding(cause, confidence, [], []))
        one.evidence.append(evidence)
        if affects not in one.affects:
            one.affects.append(affects)
    return list(by_cause.values())


def _causes(chosen: list[Autoscaler], found: list[Autoscaler]) -> Iterator[tuple[str, Confidence, str, str]]:
    """(cause, confidence, id of the check that shows it, workload) of each autoscaler."""
    for one in chosen:
        room = _room(one)
        if room.status == FAIL:
            wants_more = one.limited.reason == "TooManyReplicas"
            yield "autoscaler_at_maximum", "seen" if wants_more else "inferred", room.id, one.target
        if one.disabled:
            yield "autoscaler_switched_off", "seen", f"hpa.{one.name}.able", one.target
        elif one.active.status is False:
            yield "metrics_missing", "seen", f"hpa.{one.name}.metrics", one.target
        if _rivals(one, found):
            yield "autoscalers_in_conflict", "seen", f"hpa.{one.name}.able", f"{one.kind} {one.target}"

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health of many Spring Boot services at once, each instance on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import actuator_checks, actuator_findings, actuator_plan, checks, instances
from .actuator_answer import Reading, read
from .actuator_plan import DEFAULTS, EITHER, Wanted
from .argspec import ArgumentSpec
from .checks import Check
from .http_client import Answer
from .instances import Instance, Resolved
from .operation import Context

SPEC = ArgumentSpec(
    options={
        "targets": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {**instances.TARGET_OPTIONS, **EITHER, "identity": {"type": "str"}},
        },
        **{
            name: {**option, "default": DEFAULTS[name]} if name in DEFAULTS else option
            for name, option in EITHER.items()
        },
    }
).merge(instances.SPEC)

ASKED = {"Accept": "application/vnd.spring-boot.actuator.v3+json, application/json;q=0.9, */*;q=0.5"}
# After these nothing that lives on the same address needs to be asked any more.
_NOBODY_THERE = frozenset({"refused", "unreachable", "connect_timeout", "name", "proxy", "tls", "deadline", "request"})


_NOT_RUNNING = "It is not running yet, or cannot start: workload_diagnosis tells why."


@dataclass
class Seen:
    """What one instance came to. ``further`` holds the readings of groups and additional paths by name."""

    instance: Instance
    reading: Reading
    row: dict[str, Any]
    checks: list[Check]
    further: dict[str, Reading] = field(default_factory=dict)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Ask all instances of all targets; see the module's RETURN."""
    targets = instances.plan(params["targets"])
    wanted = {target.name: actuator_plan.wanted(target.row, params, f"target {target.name!r}") for target in targets}
    with instances.Instances(params, context) as source:
        resolved = source.resolve(targets)
        everyone = [instance for one in resolved for instance in one.instances]
        seen = list(source.each(everyone, lambda instance: look(instance, wanted[instance.target.name]), "answered"))
    return checks.report(
        _ordered(resolved, seen, wanted), actuator_findings.findings(seen), services=[one.row for one in seen]
    )


def look(instance: Instance, wanted: Wanted) -> Seen:
    """Ask one instance and judge what it says."""
    if instance.not_serving:
        reading = Reading("none", checks.FAIL, f"not asked: Kubernetes says {instance.not_serving}", _NOT_RUNNING)
        return Seen(
            instance, reading, _row(instance, reading, None), [actuator_checks.health(instance, wanted, reading, None)]
        )
    answer = instance.fetch(wanted.path, ASKED)
    reading = read(answer, wanted.accepted)
    seen = Seen(
        instance, reading, _row(instance, reading, answer), [actuator_checks.health(instance, wanted, reading, answer)]
    )
    if wanted.max_latency_ms is not None:
        seen.checks.append(actuator_checks.latency(instance, wanted, answer, wanted.max_latency_ms))
    if wanted.expect_components:
        seen.checks.append(actuator_checks.components(instance, wanted, reading))
    nobody = answer.problem is not None and answer.problem.kind in _NOBODY_THERE
    for name, path in wanted.further.items():
        if nobody:
            seen.checks.append(actuator_checks.not_asked(instance, wanted, name))
            continue
        further = instance.fetch(path, ASKED)
        seen.further[name] = read(further, wanted.accepted)
        seen.checks.append(actuator_checks.further(instance, wanted, name, seen.further[name], further))
        seen.row["groups"][name] = seen.further[name].status
    if wanted.identity:
        answered = None if nobody or reading.kind == "other" else instance.fetch(wanted.info_path, ASKED)
        seen.checks.append(actuator_checks.identity(instance, wanted, reading, answered))
    return seen


def _row(instance: Instance, reading: Reading, answer: Answer | None) -> dict[str, Any]:
    """The instance in the result."""
    return {
        "name": instance.target.name,
        "instance": instance.pod.name if instance.pod else "",
        "target": instance.target.described,
        "ready": instance.pod.ready if instance.pod else None,
        "verdict": reading.verdict,
        "status": reading.status,
        "http_status": answer.status if answer else None,
        "latency_ms": answer.latency_ms if answer else None,
        "components": None
        if reading.components is None
        else {component.name: component.status for component in reading.components},
        "reasons": {component.name: component.reason for component in reading.ailing if component.reason},
        "groups": {},
    }


def _ordered(resolved: list[Resolved], seen: list[Seen], wanted: Mapping[str, Wanted]) -> list[Check]:
    """All checks in the order of the targets."""
    by_target: dict[str, list[Check]] = {}
    for one in seen:
        by_target.setdefault(one.instance.target.name, []).extend(one.checks)
    rows: list[Check] = []
    for one_target in resolved:
        name = one_target.target.name
        if one_target.check:
            one_target.check.runbook = wanted[name].runbook
            rows.append(one_target.check)
        rows += by_target.get(name, [])
    return rows

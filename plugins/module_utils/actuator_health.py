# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The health of many Spring Boot services at once, each instance on its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import actuator_findings, checks, instances
from .actuator_answer import FAILED, Accepted, Reading, read
from .actuator_identity import identify
from .argspec import ArgumentSpec
from .checks import Check
from .errors import InputError
from .http_client import Answer
from .instances import Instance, Resolved
from .operation import Context

# Said once for all targets, or by a target for itself.
EITHER: dict[str, dict[str, Any]] = {
    "path": {"type": "str"},
    "groups": {"type": "list", "elements": "str"},
    "additional_paths": {"type": "list", "elements": "str"},
    "expect_components": {"type": "list", "elements": "str"},
    "accept_status": {"type": "list", "elements": "str"},
    "info_path": {"type": "str"},
    "max_latency_ms": {"type": "int"},
    "runbook": {"type": "str"},
}
_DEFAULTS: dict[str, Any] = {
    "path": "/actuator/health",
    "groups": [],
    "additional_paths": [],
    "expect_components": [],
    "accept_status": [],
    "info_path": "/actuator/info",
    "runbook": "",
}
SPEC = ArgumentSpec(
    options={
        "targets": {
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {**instances.TARGET_OPTIONS, **EITHER, "identity": {"type": "str"}},
        },
        **{
            name: {**option, "default": _DEFAULTS[name]} if name in _DEFAULTS else option
            for name, option in EITHER.items()
        },
    }
).merge(instances.SPEC)

ASKED = {"Accept": "application/vnd.spring-boot.actuator.v3+json, application/json;q=0.9, */*;q=0.5"}
# After these nothing that lives on the same address needs to be asked any more.
_NOBODY_THERE = frozenset({"refused", "unreachable", "connect_timeout", "name", "proxy", "tls", "deadline", "request"})


@dataclass(frozen=True)
class Wanted:
    """What is looked at in the instances of one target."""

    path: str
    groups: tuple[str, ...]
    additional_paths: tuple[str, ...]
    expect_components: tuple[str, ...]
    accepted: Accepted
    info_path: str
    identity: str
    max_latency_ms: int | None
    runbook: str

    @property
    def further(self) -> dict[str, str]:
        """What is asked besides, by the end of its check's id: its path."""
        groups = {group: f"{self.path.rstrip('/')}/{group}" for group in self.groups}
        return groups | {path.strip("/").replace("/", "."): path for path in self.additional_paths}


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
    wanted = {target.name: _wanted(target.row, params, f"target {target.name!r}") for target in targets}
    with instances.Instances(params, context) as source:
        resolved = source.resolve(targets)
        everyone = [instance for one in resolved for instance in one.instances]
        seen = list(source.each(everyone, lambda instance: look(instance, wanted[instance.target.name]), "answered"))
    return checks.report(
        _ordered(resolved, seen, wanted), actuator_findings.findings(seen), services=[one.row for one in seen]
    )


def _wanted(row: Mapping[str, Any], params: Mapping[str, Any], where: str) -> Wanted:
    chosen = {name: params[name] if row.get(name) is None else row[name] for name in EITHER}
    never = sorted(FAILED & set(chosen["accept_status"]))
    if never:
        raise InputError(f"{where}: accept_status has {never[0]}, which is never good.", option="accept_status")
    if chosen["max_latency_ms"] is not None and chosen["max_latency_ms"] < 1:
        raise InputError(f"{where}: max_latency_ms is {chosen['max_latency_ms']}; it must be above 0.")
    for name in ("path", "info_path"):
        _require_path(chosen[name], f"{where}: {name}")
    for path in chosen["additional_paths"]:
        _require_path(path, f"{where}: additional_paths")
    for group in chosen["groups"]:
        if not group or set(group) & set("/?#% "):
            raise InputError(f"{where}: groups has {group!r}, which is no name of a group.", option="groups")
    wanted = Wanted(
        path=chosen["path"],
        groups=tuple(dict.fromkeys(chosen["groups"])),
        additional_paths=tuple(dict.fromkeys(chosen["additional_paths"])),
        expect_components=tuple(dict.fromkeys(chosen["expect_components"])),
        accepted=Accepted(frozenset(chosen["accept_status"])),
        info_path=chosen["info_path"],
        identity=row.get("identity") or "",
        max_latency_ms=chosen["max_latency_ms"],
        runbook=chosen["runbook"],
    )
    own = {"latency", "components", "identity", ""}
    clash = sorted(own & wanted.further.keys())
    if clash or len(wanted.further) < len(wanted.groups) + len(wanted.additional_paths):
        raise InputError(
            f"{where}: groups and additional_paths must differ in their names from each other and from {', '.join(sorted(own - {''}))}."
        )
    return wanted


def _require_path(path: str, where: str) -> None:
    if not path.startswith("/") or any(ord(character) <= 32 for character in path):
        raise InputError(f"{where} is {path!r}; a path begins with / and has no blanks.")


def look(instance: Instance, wanted: Wanted) -> Seen:
    """Ask one instance and judge what it says."""
    if instance.not_serving:
        reading = Reading("none", checks.FAIL, f"not asked: Kubernetes says {instance.not_serving}", _NOT_RUNNING)
        return Seen(instance, reading, _row(instance, reading, None), [_health(instance, wanted, reading, None)])
    answer = instance.fetch(wanted.path, ASKED)
    reading = read(answer, wanted.accepted)
    seen = Seen(instance, reading, _row(instance, reading, answer), [_health(instance, wanted, reading, answer)])
    if wanted.max_latency_ms is not None:
        seen.checks.append(_latency(instance, wanted, answer, wanted.max_latency_ms))
    if wanted.expect_components:
        seen.checks.append(_components(instance, wanted, reading))
    nobody = answer.problem is not None and answer.problem.kind in _NOBODY_THERE
    for name, path in wanted.further.items():
        if nobody:
            seen.checks.append(_not_asked(instance, wanted, name))
            continue
        further = instance.fetch(path, ASKED)
        seen.further[name] = read(further, wanted.accepted)
        seen.checks.append(_further(instance, wanted, name, seen.further[name], further))
        seen.row["groups"][name] = seen.further[name].status
    if wanted.identity:
        answered = None if nobody or reading.kind == "other" else instance.fetch(wanted.info_path, ASKED)
        seen.checks.append(_identity(instance, wanted, reading, answered))
    return seen


_NOT_RUNNING = "It is not running yet, or cannot start: workload_diagnosis tells why."
_READINESS = (
    "By default readiness holds readinessState alone: it stays UP when a database or a broker is gone "
    "(management.endpoint.health.group.readiness.include)."
)


def _check(instance: Instance, wanted: Wanted, part: str, title: str, **values: Any) -> Check:
    name = f"{instance.id}.{part}" if part else instance.id
    whose = f"{instance.target.name} ({instance.pod.name})" if instance.pod else instance.target.name
    return Check(id=name, title=f"{whose}: {title}", runbook=wanted.runbook, **values)


def _health(instance: Instance, wanted: Wanted, reading: Reading, answer: Answer | None) -> Check:
    return _check(
        instance,
        wanted,
        "",
        "health",
        status=reading.verdict,
        observed=reading.observed,
        expected=" or ".join(["UP", *sorted(wanted.accepted.statuses)]),
        hint=reading.hint,
        duration_ms=answer.latency_ms if answer else None,
    )


def _latency(instance: Instance, wanted: Wanted, answer: Answer, most_ms: int) -> Check:
    known = answer.status is not None and not answer.problem
    return _check(
        instance,
        wanted,
        "latency",
        "latency of its health",
        status=checks.status_of(answer.latency_ms <= most_ms if known else None),
        observed=f"{answer.latency_ms} ms" if known else answer.summary(),
        expected=f"at most {most_ms} ms",
        hint="One answer with all that its components had to ask; it says nothing of the requests of users.",
        duration_ms=answer.latency_ms,
    )


def _components(instance: Instance, wanted: Wanted, reading: Reading) -> Check:
    """Whether the components that must be there are, and are UP."""
    check = _check(
        instance,
        wanted,
        "components",
        "components",
        status=checks.UNVERIFIED,
        observed="no health to look at",
        expected=", ".join(wanted.expect_components) + " UP",
    )
    if reading.kind != "status":
        return check
    if reading.components is None:
        check.observed = "not shown"
        check.hint = "management.endpoint.health.show-components hides them: give a token, or declare it accepted."
        return check
    told = []
    right = True
    for name in wanted.expect_components:
        found = {one.status for one in reading.components if one.name == name or one.name.startswith(f"{name}.")}
        right = right and bool(found) and all(status in wanted.accepted for status in found)
        told.append(f"{name} {'absent' if not found else '/'.join(sorted(found))}")
        if not found:
            check.hint = "A component that is absent cannot show an outage: is its indicator switched off?"
    check.status, check.observed = checks.status_of(right), ", ".join(told)
    return check


def _further(instance: Instance, wanted: Wanted, name: str, reading: Reading, answer: Answer) -> Check:
    hint = reading.hint
    if name in ("readiness", "readyz") and reading.verdict == checks.PASS:
        inside = [component.name for component in reading.components or ()]
        if reading.components is None or inside == ["readinessState"]:
            hint = _READINESS
    elif reading.kind == "not_exposed" and answer.status == 404 and name in wanted.groups:
        hint = f"The service has no health group {name} (management.endpoint.health.probes.enabled), or does not expose it."
    return _check(
        instance,
        wanted,
        name,
        name,
        status=reading.verdict,
        observed=reading.observed,
        expected=" or ".join(["UP", *sorted(wanted.accepted.statuses)]),
        hint=hint,
        duration_ms=answer.latency_ms,
    )


def _not_asked(instance: Instance, wanted: Wanted, name: str) -> Check:
    return _check(
        instance,
        wanted,
        name,
        name,
        status=checks.UNVERIFIED,
        observed="not asked: nobody answers there",
        expected="UP",
    )


def _identity(instance: Instance, wanted: Wanted, reading: Reading, answer: Answer | None) -> Check:
    check = _check(
        instance,
        wanted,
        "identity",
        "who answers",
        status=checks.UNVERIFIED,
        observed="not asked: nobody answers there",
        expected=wanted.identity,
        hint="Without knowing who answers, its health is anybody's.",
    )
    if answer is not None:
        check.status, check.observed, check.hint = identify(answer, wanted.identity)
        check.duration_ms = answer.latency_ms
    elif reading.kind == "other":
        check.status, check.observed, check.hint = checks.FAIL, reading.observed, reading.hint
    return check


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

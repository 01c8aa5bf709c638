# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The checks on one instance, from what was read."""

from __future__ import annotations

from typing import Any

from . import checks
from .actuator_answer import Reading
from .actuator_identity import identify
from .actuator_plan import Wanted
from .checks import Check
from .http_client import Answer
from .instances import Instance

_READINESS = (
    "By default readiness holds readinessState alone: it stays UP when a database or a broker is gone "
    "(management.endpoint.health.group.readiness.include)."
)


def _check(instance: Instance, wanted: Wanted, part: str, title: str, **values: Any) -> Check:
    name = f"{instance.id}.{part}" if part else instance.id
    whose = f"{instance.target.name} ({instance.pod.name})" if instance.pod else instance.target.name
    return Check(id=name, title=f"{whose}: {title}", runbook=wanted.runbook, **values)


def health(instance: Instance, wanted: Wanted, reading: Reading, answer: Answer | None) -> Check:
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


def latency(instance: Instance, wanted: Wanted, answer: Answer, most_ms: int) -> Check:
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


def components(instance: Instance, wanted: Wanted, reading: Reading) -> Check:
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


def further(instance: Instance, wanted: Wanted, name: str, reading: Reading, answer: Answer) -> Check:
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


def not_asked(instance: Instance, wanted: Wanted, name: str) -> Check:
    return _check(
        instance,
        wanted,
        name,
        name,
        status=checks.UNVERIFIED,
        observed="not asked: nobody answers there",
        expected="UP",
    )


def identity(instance: Instance, wanted: Wanted, reading: Reading, answer: Answer | None) -> Check:
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

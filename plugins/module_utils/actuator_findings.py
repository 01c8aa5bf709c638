# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the health of several instances means together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from . import checks
from .actuator_answer import FAILED, listed
from .checks import Finding

if TYPE_CHECKING:
    from .actuator_health import Seen

MOST_FINDINGS = 50
OWN_STATES = frozenset({"livenessState", "readinessState", "ping"})
_READINESS = ("readiness", "readyz")
_LIVENESS = ("liveness", "livez")


def findings(seen: list[Seen]) -> list[Finding]:
    """The findings, those about many services first; at most MOST_FINDINGS."""
    found = [*_ailing(seen), *_strangers(seen), *_some_of_many(seen), *_readiness(seen), *_liveness(seen)]
    return found[:MOST_FINDINGS]


def _ailing(seen: list[Seen]) -> Iterator[Finding]:
    """A component that is not UP, once for all services: what several of them lack at once they may share."""
    by_component: dict[tuple[str, str], list[Seen]] = defaultdict(list)
    for one in seen:
        for component in one.reading.ailing:
            by_component[component.name, component.status].append(one)
    for (name, status), instances in sorted(by_component.items(), key=lambda item: -len(item[1])):
        services = _services(instances)
        reason = next((c.reason for c in instances[0].reading.ailing if c.name == name and c.reason), "")
        cause = f"{name} is {status} in {listed(services)}" + (f": {reason}" if reason else "")
        if all(one.reading.verdict == checks.PASS for one in instances):
            cause += "; the health as a whole stays good, so nobody is told"
        if len(services) > 1:
            cause += "; is it one dependency that they share?"
        yield Finding(cause, "seen" if len(services) == 1 else "inferred", _evidence(instances), services)


def _strangers(seen: list[Seen]) -> Iterator[Finding]:
    for one in seen:
        if one.reading.kind == "other" and (one.row["http_status"] or 0) < 500:
            target = one.instance.target
            cause = f"something else than a Spring Boot actuator answers for {target.name} ({target.described})"
            yield Finding(cause, "seen", [one.instance.id], [target.name])


def _some_of_many(seen: list[Seen]) -> Iterator[Finding]:
    """Some instances are ill and others are not: behind a load balancer that is one failed request in a few."""
    by_target: dict[str, list[Seen]] = defaultdict(list)
    for one in seen:
        by_target[one.instance.target.name].append(one)
    for name, instances in by_target.items():
        ill = [one for one in instances if one.reading.verdict == checks.FAIL]
        if 0 < len(ill) < len(instances):
            pods = listed([one.row["instance"] for one in ill])
            cause = f"{len(ill)} of {len(instances)} instances of {name} are ill: {pods}; the others answer"
            yield Finding(cause, "seen", _evidence(ill), [name])


def _readiness(seen: list[Seen]) -> Iterator[Finding]:
    """DOWN, and ready all the same: requests keep coming."""
    ill = [one for one in seen if one.reading.status in FAILED and _up(one, _READINESS)]
    if ill:
        services = _services(ill)
        cause = f"readiness stays UP while the health of {listed(services)} is not: requests are still sent there"
        evidence = _evidence(ill) + [f"{one.instance.id}.{_up(one, _READINESS)}" for one in ill]
        yield Finding(cause, "seen", evidence, services)


def _liveness(seen: list[Seen]) -> Iterator[Finding]:
    """Liveness that holds a dependency: Kubernetes restarts what a restart cannot mend."""
    for one in seen:
        for name in _LIVENESS:
            reading = one.further.get(name)
            others = [part.name for part in reading.ailing if part.name not in OWN_STATES] if reading else []
            if others and reading and reading.status in FAILED:
                service = one.instance.target.name
                cause = (
                    f"liveness of {service} holds {listed(others)}: it is restarted for what a restart does not mend"
                )
                yield Finding(cause, "seen", [f"{one.instance.id}.{name}"], [service])


def _up(one: Seen, names: Iterable[str]) -> str:
    """The first of these groups that is UP; empty when none is."""
    return next((name for name in names if name in one.further and one.further[name].status == "UP"), "")


def _services(instances: list[Seen]) -> list[str]:
    return list(dict.fromkeys(one.instance.target.name for one in instances))


def _evidence(instances: list[Seen]) -> list[str]:
    return [one.instance.id for one in instances]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which faults are in the lab: putting them in, taking them out again, and proof of health afterwards."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

from lab import cluster, control, databases, hafnium, probes, programs, supervisor
from lab.layout import LabError, Paths, write_private
from lab.progress import say

HEALTHY_SECONDS = 90


class Fault(Protocol):
    """A fault of lab.faults."""

    @property
    def summary(self) -> str: ...

    @property
    def part(self) -> str: ...

    def apply(self) -> None: ...

    def undo(self) -> None: ...


def catalogue() -> Mapping[str, Fault]:
    """All faults by name."""
    from lab.faults import FAULTS

    return FAULTS


def active(paths: Paths) -> dict[str, str]:
    """Faults that are in the lab, in the order in which they were put in: name to time (UTC, ISO)."""
    try:
        recorded: dict[str, str] = json.loads(paths.faults_json.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except ValueError:
        raise LabError(
            f"{paths.faults_json} is not JSON; undo what was done by hand, remove it, and run `make lab`"
        ) from None
    return recorded


def put_in(paths: Paths, name: str) -> None:
    """Put one fault in; what was done is undone when it fails half-way."""
    faults = catalogue()
    if name not in faults:
        raise LabError(f"no fault {name!r}; there are {', '.join(faults)}")
    now = active(paths)
    if name in now:
        raise LabError(
            f"fault {name} is in the lab already, since {now[name]}; `make lab-heal FAULT={name}` takes it out"
        )
    part = faults[name].part
    if not control.is_up(part) and not now:
        raise LabError(f"the lab's part {part} is not up: a fault needs a healthy lab; start it with `make lab`")
    missing = control.left_out(part)
    if missing:
        raise LabError(f"fault {name} needs the whole part {part}, and some of it is left out: {missing}")
    _record(paths, {**now, name: datetime.now(UTC).isoformat(timespec="seconds")})
    try:
        faults[name].apply()
    except BaseException:
        say(f"fault {name} could not be put in: undoing it")
        with suppress(LabError):  # what stopped it comes first; what is left of it stays recorded, for `heal`
            faults[name].undo()
            _record(paths, now)
        raise
    say(f"fault {name} is in: {faults[name].summary}")


def heal(paths: Paths, name: str | None = None) -> None:
    """Take out one fault, or all in reverse order; with none left, prove that the lab is healthy."""
    if not supervisor.running(paths):
        raise LabError("the lab is down: `make lab` starts it, and takes out the faults that are left in it")
    now = active(paths)
    if name is not None and name not in now:
        raise LabError(f"fault {name!r} is not in the lab; active: {', '.join(now) or 'none'}")
    faults = catalogue()
    for each in [name] if name else list(reversed(now)):
        if each in faults:
            faults[each].undo()
        del now[each]
        _record(paths, now)
        say(f"fault {each} is out")
    if now:
        say(f"still in the lab: {', '.join(now)}")
        return
    prove_healthy(paths)
    flows = {
        "databases": "every migration is applied as it stands",
        "backoffice": "orders flow through gateway, Kafka and BackOffice",
        "kubernetes": "every node and service of the cluster is ready",
    }
    parts = programs.whole_parts(paths)
    say(f"healed: every program runs, {', '.join(flows[part] for part in parts)}")


def prove_healthy(paths: Paths) -> None:
    """Start what does not run, replace pods that were restarted and wait until data flows.

    LabError lists what is wrong otherwise.
    """
    parts, missing = programs.whole_parts(paths), programs.left_out(paths)
    for program in programs.of_parts(parts):
        if program not in missing:
            control.start(program)
    if "kubernetes" in parts and not control.left_out("kubernetes"):
        control.wait_until(
            lambda: not hafnium.replace_restarted(cluster.admin_kubeconfig(paths)),
            HEALTHY_SECONDS,
            "pods that were restarted replaced by new ones",
        )
    troubles: dict[str, Callable[[Paths], list[str]]] = {
        "databases": databases.trouble,
        "backoffice": probes.trouble,
        "kubernetes": _cluster_trouble,
    }
    wrong: list[str] = []

    def healthy() -> bool:
        wrong[:] = [line for part in parts if not control.left_out(part) for line in troubles[part](paths)]
        return not wrong

    try:
        control.wait_until(healthy, HEALTHY_SECONDS, "lab healthy")
    except LabError as error:
        raise LabError(f"{error}: {'; '.join(wrong)}") from None


def _cluster_trouble(paths: Paths) -> list[str]:
    return cluster.trouble(paths) + hafnium.trouble(paths, cluster.admin_kubeconfig(paths))


def _record(paths: Paths, faults: Mapping[str, str]) -> None:
    write_private(paths.faults_json, json.dumps(dict(faults), indent=1) + "\n")

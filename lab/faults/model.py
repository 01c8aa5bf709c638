# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A fault: something that goes wrong in operation, put into the running lab and taken out again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lab import control, probes

CONSUMER_SECONDS = 60
DEATH_SECONDS = 30


@dataclass(frozen=True)
class Fault:
    """``apply`` returns when the fault shows; ``undo`` can be called at any time, also twice. Both raise LabError.

    ``undo`` starts what it has to, and does not wait: another fault may still be in the way. That every program
    answers and data flows again is for its caller to prove, when the last fault is out.
    """

    name: str
    summary: str
    apply: Callable[[], None]
    undo: Callable[[], None]
    part: str = "backoffice"


def overridden(name: str, summary: str, program: str, variables: dict[str, str | None], joins: bool = False) -> Fault:
    """A program restarted with other variables (None: without the variable).

    ``joins``: wait until BackOffice's consumer is a member of its group again.
    """

    def apply() -> None:
        control.set_env(program, **variables)
        control.restart(program)
        if joins:
            wait_consumer("STABLE")

    def undo() -> None:
        control.clear_env(program, *variables)
        restart(program)

    return Fault(name, summary, apply, undo)


def dead_with(name: str, summary: str, variables: dict[str, str | None]) -> Fault:
    """A BackOffice that dies at boot because of its variables."""

    def apply() -> None:
        control.set_env("backoffice", **variables)
        control.stop("backoffice")
        start_and_die("backoffice")

    def undo() -> None:
        control.clear_env("backoffice", *variables)
        restart("backoffice")

    return Fault(name, summary, apply, undo)


def start(program: str) -> None:
    """Start a program without waiting until it answers."""
    control.start(program, wait=False)


def restart(program: str) -> None:
    """Stop a program and start it without waiting until it answers."""
    control.stop(program)
    start(program)


def start_and_die(program: str) -> None:
    """Start a program that is expected to end by itself; LabError when it lives on."""
    control.start(program, wait=False)
    control.wait_until(
        lambda: control.state(program) in ("EXITED", "FATAL"), DEATH_SECONDS, f"{program} dead, as the fault wants it"
    )


def wait_consumer(state: str) -> None:
    """Wait for the state (STABLE, EMPTY) of BackOffice's consumer group."""
    control.wait_until(
        lambda: probes.consumer_group()[0] == state, CONSUMER_SECONDS, f"consumer group backoffice {state}"
    )

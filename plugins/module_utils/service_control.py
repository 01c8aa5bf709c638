# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query, start, stop and restart long-running services of one machine, and see that it really happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from . import checks, process_environment
from .argspec import ArgumentSpec
from .errors import DeadlineError, InputError, RefusedError, RunbookError
from .operation import Context
from .redact import observed
from .service_model import FAILED, RUNNING, STARTING, STOPPED, STOPPING, UNKNOWN, Manager, ManagerError, Status
from .service_supervisor import Supervisor
from .service_systemd import Systemd
from .service_time import iso, option

MOST_SERVICES = 100
MOST_LOG_LINES = 20
POLL_SECONDS = (0.1, 1.0)

SPEC = ArgumentSpec(
    options={
        "manager": {"type": "str", "required": True, "choices": ["systemd", "supervisor"]},
        "services": {"type": "list", "elements": "str", "required": True},
        "state": {"type": "str", "default": "queried", "choices": ["queried", "started", "stopped", "restarted"]},
        "expected": {"type": "str", "default": "running", "choices": ["running", "stopped"]},
        "scope": {"type": "str", "default": "system", "choices": ["system", "user"]},
        "supervisor_socket": {"type": "path"},
        "supervisor_url": {"type": "str"},
        "supervisor_username": {"type": "str"},
        "supervisor_password": {"type": "str", "no_log": True},
        "environment_names": {"type": "list", "elements": "str", "default": []},
        "not_before": {"type": "str"},
        "settle_seconds": {"type": "float", "default": 2.0},
        "stop_timeout_seconds": {"type": "float", "default": 60.0},
        "timeout": {"type": "float", "default": 180.0},
    },
    mutually_exclusive=(("supervisor_socket", "supervisor_url"),),
    required_if=(("manager", "supervisor", ("supervisor_socket", "supervisor_url"), True),),
)

Action = Literal["none", "wait", "start", "stop", "restart"]


@dataclass
class Step:
    """What is planned for one service, and what came of it."""

    service: str
    before: Status
    action: Action
    reason: str
    after: Status | None = None
    changed: bool = False

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.service,
            "action": self.action,
            "reason": self.reason,
            "changed": self.changed,
            "before": self.before.as_dict(),
            "after": self.after.as_dict() if self.after else None,
        }


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Query or change the services; raises RunbookError when a change was refused or did not come about."""
    services = _services(params["services"])
    _limits(params)
    manager = _manager(params, context)
    if params["state"] == "queried":
        names = process_environment.check_names(params["environment_names"], "environment_names")
        return _query(manager, services, params["expected"], names, context)
    not_before = option("not_before", params["not_before"])
    if not_before is not None and not_before > context.clock.now() + 1:
        raise InputError(
            f"not_before {iso(not_before)} is in the future: this machine's clock says {iso(context.clock.now())}. "
            "Take the time from this machine (observed_at of a query), or correct its clock."
        )
    steps = plan(params["state"], services, _known(manager.read(services)), not_before)
    if not context.check_mode:
        _Execution(manager, steps, params, context).run()
    changed = any(step.action in ("start", "stop", "restart") if context.check_mode else step.changed for step in steps)
    return {
        "changed": changed,
        "services": [step.as_dict() for step in steps],
        "observed_at": iso(context.clock.now()),
    }


def plan(wanted: str, services: list[str], status: dict[str, Status], not_before: float | None) -> list[Step]:
    """One step for each service, in the given order. Touches nothing."""
    decide = {"started": _to_start, "stopped": _to_stop}.get(wanted) or (lambda now: _to_restart(now, not_before))
    return [Step(service, status[service], *decide(status[service])) for service in services]


def _to_start(now: Status) -> tuple[Action, str]:
    if now.state == RUNNING:
        return "none", "it runs already"
    if now.state == STARTING:
        return "wait", "its manager is starting it already"
    return "start", f"it is {now.state}"


def _to_stop(now: Status) -> tuple[Action, str]:
    if not now.active:
        return "none", f"it is {now.state} already"
    return "stop", f"it is {now.state}"


def _to_restart(now: Status, not_before: float | None) -> tuple[Action, str]:
    if now.state in (RUNNING, STARTING) and not_before is not None and now.started_since(not_before):
        reason = f"it was started at {iso(now.since)}, not before {iso(not_before)}"
        return ("none" if now.state == RUNNING else "wait"), reason
    if not now.active:
        return "start", f"it is {now.state}"
    return "restart", f"it is {now.state}" + (f" since {iso(now.since)}" if now.since else "")


class _Execution:
    """Acts on exactly the planned steps: stops in reverse order, starts in order, then watches that all stay up."""

    def __init__(self, manager: Manager, steps: list[Step], params: dict[str, Any], context: Context) -> None:
        self._manager, self._steps, self._context = manager, steps, context
        self._settle = params["settle_seconds"]
        self._stop_timeout = params["stop_timeout_seconds"]
        self._up: list[Step] = []

    def run(self) -> None:
        if not any(step.action != "none" for step in self._steps):
            return
        self._up = [step for step in self._steps if step.action == "none" and step.before.state == RUNNING]
        for step in self._up:
            step.after = step.before
        try:
            for step in reversed(self._steps):
                if step.action in ("stop", "restart"):
                    self._stop(step)
            for step in self._steps:
                if step.action in ("start", "restart", "wait"):
                    self._start(step)
            self._watch()
        except RunbookError as error:
            self._read_after()
            error.details.setdefault("services", [step.as_dict() for step in self._steps])
            error.details.setdefault("changed", any(step.changed for step in self._steps))
            raise
        self._read_after()

    def _stop(self, step: Step) -> None:
        now = self._read(step.service)
        if not now.active:
            step.changed = True
            return
        if now.pid and step.before.pid and now.pid != step.before.pid:
            raise RefusedError(
                f"{step.service} was pid {step.before.pid} when this was planned and is pid {now.pid} now: "
                "somebody else restarted it. Nothing was done to it; look, then run this again."
            )
        self._manager.stop(step.service)
        step.changed = True
        until = self._context.clock.monotonic() + self._stop_timeout
        while (now := self._poll(step.service, f"stop {step.service}")).active:
            if self._context.clock.monotonic() >= until:
                raise DeadlineError(
                    f"{step.service} did not stop within {self._stop_timeout:g} s: it is {now.in_words()}. "
                    "See what it is doing, or raise stop_timeout_seconds."
                )

    def _start(self, step: Step) -> None:
        while self._read(step.service).state == STOPPING:
            self._poll(step.service, f"start {step.service}, which is stopping")
        if step.action != "wait":
            self._manager.start(step.service)
            step.changed = True
        while (now := self._poll(step.service, f"start {step.service}")).state != RUNNING:
            if now.state in (STOPPED, FAILED, UNKNOWN):
                raise self._ended(step, now, "was started")
        step.after = now
        self._up.append(step)
        self._all_still_up()

    def _watch(self) -> None:
        """All that were started stay up, as the same process, until the last of them has settled."""
        until = self._context.clock.monotonic() + self._settle
        while self._up and self._context.clock.monotonic() < until:
            self._poll(self._up[-1].service, "watch that the services stay up")
            self._all_still_up()

    def _all_still_up(self) -> None:
        status = self._manager.read([step.service for step in self._up])
        for step in self._up:
            now, first = status[step.service], step.after
            if now.state != RUNNING or (first and first.pid and now.pid != first.pid):
                raise self._ended(step, now, "was running" if step.action == "none" else "came up")

    def _poll(self, service: str, what: str) -> Status:
        """Wait a little, longer as time goes on, and read; DeadlineError when the total time is used up."""
        clock, deadline = self._context.clock, self._context.deadline
        short, long = POLL_SECONDS
        pause = min(long, max(short, (deadline.seconds - deadline.remaining()) / 20))
        if deadline.remaining() <= pause:
            raise DeadlineError(
                f"{what}: it is still {self._read(service).in_words()} after {deadline.seconds:g} s."
                f"{self._last_words(service)[0]} Look at its log, or raise timeout."
            )
        clock.sleep(pause)
        now = self._read(service)
        self._context.progress(f"{what}: {now.in_words()}")
        return now

    def _read(self, service: str) -> Status:
        return self._manager.read([service])[service]

    def _ended(self, step: Step, now: Status, how: str) -> RunbookError:
        words, lines = self._last_words(step.service)
        return RunbookError(
            f"{step.service} {how} and ended: it is {now.in_words()}.{words or ' It left no error output.'}",
            log_tail=lines,
        )

    def _last_words(self, service: str) -> tuple[str, list[str]]:
        """The telling one of the last lines, for a message, and all of them; redacted."""
        try:
            text = observed(self._manager.last_lines(service), 8192)
        except RunbookError:
            return "", []
        lines = [line for line in text.splitlines() if line.strip()][-MOST_LOG_LINES:]
        telling = [line for line in lines if not line[0].isspace()] or lines
        return (f" Its last words: {observed(telling[-1].strip(), 300)}" if telling else ""), lines

    def _read_after(self) -> None:
        try:
            status = self._manager.read([step.service for step in self._steps])
        except RunbookError:
            return
        for step in self._steps:
            step.after = status[step.service]


def _query(manager: Manager, services: list[str], expected: str, names: list[str], context: Context) -> dict[str, Any]:
    try:
        status = manager.read(services)
    except ManagerError as error:
        status = {service: Status(UNKNOWN, problem=error.message) for service in services}
    rows = [_check(manager, service, status[service], expected) for service in services]
    found = [
        {"name": service, **status[service].as_dict(), "environment": _environment(status[service], names)}
        for service in services
    ]
    return checks.report(rows, services=found, observed_at=iso(context.clock.now()))


def _environment(now: Status, names: list[str]) -> dict[str, str] | None:
    return process_environment.read(now.pid, names) if names and now.pid else None


def _check(manager: Manager, service: str, now: Status, expected: str) -> checks.Check:
    right: bool | None = now.state == RUNNING if expected == "running" else not now.active
    hint = f"{manager.name}'s word: it says that a process runs, not that it serves requests."
    if now.state == UNKNOWN:
        right, hint = None, now.problem
    elif not right:
        hint = f"{manager.name} says {now.in_words()}."
        if now.logs:
            hint += f" Its log: {now.logs.get('stderr') or now.logs.get('stdout')}"
    return checks.Check(
        id=f"service.{service}",
        title=f"{service} is {expected}",
        status=checks.status_of(right),
        observed=now.in_words(),
        expected=expected,
        hint=hint,
        runbook="1",
    )


def _known(status: dict[str, Status]) -> dict[str, Status]:
    problems = [now.problem for now in status.values() if now.state == UNKNOWN]
    if problems:
        raise ManagerError("; ".join(problems) + ". Nothing was done.", problems=problems)
    return status


def _services(given: list[str]) -> list[str]:
    names = [name.strip() for name in given]
    if not names or not all(names):
        raise InputError("services is empty or holds an empty name: name each service to act on")
    if len(names) > MOST_SERVICES:
        raise InputError(f"services has {len(names)} names, at most {MOST_SERVICES} are taken in one task")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"services names {', '.join(twice)} more than once")
    wrong = [name for name in names if name.startswith("-") or any(sign.isspace() or sign == "*" for sign in name)]
    if wrong:
        raise InputError(f"services: {observed(wrong[0], 60)!r} is not a name of one service")
    return names


def _limits(params: dict[str, Any]) -> None:
    for name, least, most in (("settle_seconds", 0, 600), ("stop_timeout_seconds", 1, 3600), ("timeout", 1, 7200)):
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least} to {most}")


def _manager(params: dict[str, Any], context: Context) -> Manager:
    makers: dict[str, Callable[[], Manager]] = {
        "systemd": lambda: Systemd(context.deadline, params["scope"]),
        "supervisor": lambda: Supervisor(
            context.deadline,
            socket_path=params["supervisor_socket"],
            url=params["supervisor_url"],
            username=params["supervisor_username"],
            password=params["supervisor_password"],
        ),
    }
    return makers[params["manager"]]()

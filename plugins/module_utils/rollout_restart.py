# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restart workloads a few at a time, wait for each, and stop at the first that does not come back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_expected_images, kubernetes_waiting
from . import kubernetes_objects as objects
from . import kubernetes_restart as restart
from .argspec import ArgumentSpec
from .errors import InputError, RefusedError, RunbookError, UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, ConflictError
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_objects import Object
from .kubernetes_restart import Order
from .kubernetes_rollout import Rollout, rollout_of
from .kubernetes_waiting import Patience, Target, watch_rollouts, with_time
from .operation import Context
from .rollout_restart_plan import Step, ask_budgets, plan
from .rollout_status import workload_names
from .text import shorten

ATTEMPTS = 8
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 5.0
BUDGET_SECONDS = 15.0  # the controller of the budgets needs a moment to count new pods
MOST_WORKLOADS = 100
MOST_CHARACTERS = 200

SPEC = kubernetes_waiting.SPEC.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "choices": list(WORKLOAD_KINDS), "default": "Deployment"},
            "names": {"type": "list", "elements": "str", "required": True},
            "restart_token": {"type": "str", "no_log": False},
            "not_before": {"type": "str"},
            "serial": {"type": "int", "default": 1},
            "max_workloads": {"type": "int", "default": 10},
            "expected_images": {"type": "dict", "default": {}},
            "disruption_budgets": {"type": "str", "choices": ["respect", "ignore"], "default": "respect"},
            "during_rollout": {"type": "bool", "default": False},
            "allow_partition": {"type": "bool", "default": False},
            "change_cause": {"type": "str"},
        },
        mutually_exclusive=(("restart_token", "not_before"),),
        required_one_of=(("restart_token", "not_before"),),
    )
)


@dataclass
class _Outcome:
    """What has been done so far; the result of success and, with a message, of failure."""

    steps: list[Step]
    order: Order
    restarted: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)
    rollouts: list[Rollout] = field(default_factory=list)

    @property
    def not_touched(self) -> list[str]:
        return [step.name for step in self.steps if step.name not in {*self.restarted, *self.unchanged}]

    def result(self, cluster: Cluster) -> dict[str, Any]:
        return {
            "changed": bool(self.restarted),
            "plan": [step.as_dict() for step in self.steps],
            "restarted": self.restarted,
            "unchanged": self.unchanged,
            "not_touched": self.not_touched,
            "restarted_at": self.order.at if self.restarted else None,
            "rollouts": [rollout.as_dict() for rollout in self.rollouts],
            "warnings_about": [warning for step in self.steps for warning in step.warnings],
            "requests": cluster.requests,
        }


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan, and outside check mode act on exactly that plan. RunbookError with all that was done when one fails."""
    names, order, patience = _checked(params, context)
    batches = -(-len(names) // params["serial"])
    context = with_time(context, params, batches)
    respect = params["disruption_budgets"] == "respect"
    with Cluster(params, context) as cluster:
        steps = plan(cluster, params["kind"], params["namespace"], names, params["serial"], order, respect)
        for text in (warning["text"] for step in steps for warning in step.warnings):
            context.warn(text)
        work = _Restart(cluster, context, order, patience, respect, _Outcome(steps, order))
        result = work.rehearse() if context.check_mode else work.run()
    if context.diff:
        result["diff"] = [restart.diff(step.workload, order) for step in steps if step.action == "restart"]
    return result


def _checked(params: dict[str, Any], context: Context) -> tuple[list[str], Order, Patience]:
    """The options, InputError for what does not fit together."""
    names, most, serial = workload_names(params["names"]) or [], params["max_workloads"], params["serial"]
    if serial < 1:
        raise InputError(f"serial is {serial}; it is how many are restarted at once: 1 or more.", option="serial")
    if not 1 <= most <= MOST_WORKLOADS:
        raise InputError(f"max_workloads is {most}; it may be 1 to {MOST_WORKLOADS}.", option="max_workloads")
    if len(names) > most:
        raise RefusedError(f"names holds {len(names)} workloads, max_workloads allows {most}. Nothing was restarted.")
    patience = Patience.of(params)
    if not patience.seconds and len(names) > serial:
        raise InputError(
            f"with wait_seconds=0 nobody would see the first failure: wait, or set serial to {len(names)}.",
            option="wait_seconds",
        )
    order = Order(
        at=objects.timestamp(context.clock.now()),
        token=_token(params["restart_token"]),
        not_before=_not_before(params["not_before"], context.clock.now()),
        change_cause=_change_cause(params),
        images=kubernetes_expected_images.parse(params["expected_images"], names),
        during_rollout=params["during_rollout"],
        partition=params["allow_partition"],
    )
    return names, order, patience


def _token(given: str | None) -> str:
    if given is None:
        return ""
    if not given.strip() or len(given) > MOST_CHARACTERS:
        raise InputError(
            f"restart_token is empty or longer than {MOST_CHARACTERS} characters; give one text for one intended "
            "restart, such as the id of a job or ticket.",
            option="restart_token",
        )
    return given.strip()


def _not_before(given: str | None, now: float) -> float | None:
    if given is None:
        return None
    seconds = objects.seconds(given.strip())
    if seconds is None:
        raise InputError(
            f"not_before is {given!r}; give an RFC 3339 time with its zone, such as {objects.timestamp(now)}.",
            option="not_before",
        )
    if seconds > now:
        raise InputError(f"not_before {given} is in the future: each run would restart once more.", option="not_before")
    return seconds


def _change_cause(params: dict[str, Any]) -> str | None:
    given = params["change_cause"]
    if given is None:
        why = f"token {params['restart_token']}" if params["restart_token"] else f"not before {params['not_before']}"
        given = f"restart, {why.strip()}"
    return shorten(given.strip(), MOST_CHARACTERS) or None


class _StoppedError(RunbookError):
    """One workload is not what was planned for any more; nothing was done to it."""


class _Restart:
    def __init__(
        self,
        cluster: Cluster,
        context: Context,
        order: Order,
        patience: Patience,
        respect_budgets: bool,
        outcome: _Outcome,
    ) -> None:
        self._cluster = cluster
        self._context = context
        self._order = order
        self._patience = patience
        self._respect_budgets = respect_budgets
        self._outcome = outcome

    def rehearse(self) -> dict[str, Any]:
        """What would be done; the API server is asked whether it would take it, and stores nothing."""
        out = self._outcome
        for step in out.steps:
            _workload, changed = self._restart(step, fresh=True, dry_run=True)
            (out.restarted if changed else out.unchanged).append(step.name)
        return {**out.result(self._cluster), "restarted_at": None}

    def run(self) -> dict[str, Any]:
        for number, batch in itertools.groupby(self._outcome.steps, key=lambda step: step.batch):
            self._batch(list(batch), fresh=number == 1)
        return self._outcome.result(self._cluster)

    def _batch(self, steps: list[Step], fresh: bool) -> None:
        out = self._outcome
        targets: list[Target] = []
        if not fresh:
            self._ask_budgets([step for step in steps if step.action == "restart"])
        for step in steps:
            try:
                workload, changed = self._restart(step, fresh)
            except (_StoppedError, ApiError, UnreachableError) as error:
                # What of this batch was restarted before is awaited, so that its end is known.
                self._wait(targets)
                raise self._failure(f"{_key(step)} was not restarted: {error}") from None
            (out.restarted if changed else out.unchanged).append(step.name)
            targets.append(Target.of(workload))
        bad = [rollout for rollout in self._wait(targets) if not rollout.complete]
        if bad and self._patience.seconds:
            raise self._failure(_told(bad, out))

    def _wait(self, targets: list[Target]) -> list[Rollout]:
        if not self._patience.seconds or not targets:
            return []
        rollouts = watch_rollouts(self._cluster, targets, self._context, self._patience)
        self._outcome.rollouts += rollouts
        return rollouts

    def _failure(self, message: str) -> RunbookError:
        out = self._outcome
        others = f" Restarted: {', '.join(out.restarted)}." if out.restarted else " Nothing was restarted."
        left = f" Not touched: {', '.join(out.not_touched)}." if out.not_touched else ""
        return RunbookError(f"{message}.{others}{left}", **out.result(self._cluster))

    def _ask_budgets(self, steps: list[Step]) -> None:
        """The budgets again, as they are now. The pods of the last batch may not be counted yet: ask for a while."""
        if not self._respect_budgets:
            return
        clock = self._context.clock
        end = clock.monotonic() + min(BUDGET_SECONDS, self._context.deadline.remaining())
        while True:
            ask_budgets(self._cluster, objects.namespace(steps[0].workload) if steps else "", steps)
            refused = [step for step in steps if step.action == "refuse"]
            if not refused:
                return
            if clock.monotonic() >= end:
                raise self._failure(f"{_key(refused[0])} was not restarted: {refused[0].reason}")
            for step in refused:
                step.action, step.reason = "restart", ""
            clock.sleep(1.0)

    def _restart(self, step: Step, fresh: bool, dry_run: bool = False) -> tuple[Object, bool]:
        """The workload with its mark, and whether this run set it. ``fresh``: the plan was made a moment ago.

        Somebody else's write in between, or an answer that did not come, is met by reading again and planning again.
        """
        workload: Object | None = step.workload if fresh else None
        sent, problem = False, ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._context.clock.sleep(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1)))
            try:
                workload = workload or self._again(step)
                if step.action == "none" or restart.done(workload, self._order):
                    return workload, sent
                sent = not dry_run
                return self._patch(workload, dry_run), True
            except ConflictError as error:
                workload, problem, sent = None, error.message, False
            except UnreachableError as error:
                workload, problem = None, error.message
        unknown = " Whether the restart arrived is not known." if sent else ""
        raise _StoppedError(f"tried {ATTEMPTS} times: {problem}{unknown}")

    def _again(self, step: Step) -> Object:
        """The workload as it is now; _StoppedError when it is not the one that was planned for."""
        was = step.workload
        found = self._cluster.find(objects.kind(was), objects.namespace(was), step.name)
        if found is None or objects.uid(found) != objects.uid(was):
            raise _StoppedError("it was deleted, or made again, since the plan was made")
        if restart.done(found, self._order):
            return found
        if objects.template(found) != objects.template(was):
            raise _StoppedError("somebody changed its template since the plan was made; run this again")
        against = restart.objection(found, rollout_of(found), self._order)
        if against and step.action == "restart":
            raise _StoppedError(against)
        return found

    def _patch(self, workload: Object, dry_run: bool) -> Object:
        return self._cluster.patch(
            objects.kind(workload),
            objects.namespace(workload),
            objects.name(workload),
            restart.body(workload, self._order),
            "merge",
            dry_run=dry_run,
        )


def _key(step: Step) -> str:
    return objects.key_of(step.workload)


def _told(bad: list[Rollout], out: _Outcome) -> str:
    """Which did not come back and why, and why an undo is no way out."""
    said = "; ".join(f"{one.key}: {one.reason}: {one.message}" if one.reason else one.key for one in bad)
    late = f" (not complete within {bad[0].waited_seconds:.0f} s)" if any(one.timed_out for one in bad) else ""
    images = ", ".join(dict.fromkeys(image for one in bad for image in one.images.values()))
    mark = "restart_token" if out.order.token else "not_before"
    return (
        f"did not come back after the restart{late}: {said}. A restart keeps the image, so 'rollout undo' would bring "
        f"back the same one ({images}): find the cause. The same {mark} again restarts nothing twice, and waits"
    )

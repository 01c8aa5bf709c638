# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting for rollouts, many at once: bounded, with progress, and not to the end where it is clear that they failed.

Asks for what is unfinished only, in one list request for each kind and namespace. An API server that is away is
asked again until the time is up.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_client, kubernetes_pod_problems
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .clock import Deadline
from .errors import InputError, RunbookError, UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, ForbiddenError, UnauthorizedError
from .kubernetes_named import NamedReader
from .kubernetes_new_pods import NewPods
from .kubernetes_objects import Object
from .kubernetes_rollout import DEADLINE_EXCEEDED, Problem, Rollout, absent, rollout_of
from .operation import Context

FAIL_FAST = ("image_pull", "config_error", "crash_loop", "failed_create", "unschedulable")
OPTIONS: dict[str, dict[str, Any]] = {
    "wait_seconds": {"type": "float", "default": 300.0},
    "fail_fast": {"type": "list", "elements": "str", "choices": list(FAIL_FAST), "default": list(FAIL_FAST)},
    "fail_after_seconds": {"type": "float", "default": 10.0},
    "unschedulable_seconds": {"type": "float", "default": 60.0},
    "crash_loop_restarts": {"type": "int", "default": 3},
}
SPEC = kubernetes_client.SPEC.merge(ArgumentSpec(options=OPTIONS))

SHORTEST_PAUSE = 0.2
LONGEST_PAUSE = 2.0
GROWTH = 1.5
PODS_SECONDS = 1.0
REPORT_SECONDS = 0.5
DENIED_SECONDS = 15.0  # an API server that starts refuses some requests before it knows its roles
MOST_LINES = 3
DEADLINE = "progress_deadline"


@dataclass(frozen=True)
class Patience:
    """How long to wait, and what ends the wait at once.

    ``seconds`` 0 looks once. A reason of ``fail_fast`` ends the wait when it has stood for ``fail_after_seconds`` (for
    unschedulable pods ``unschedulable_seconds``) while no count moved; a crash loop when a container has been
    started again ``crash_loop_restarts`` times.
    """

    seconds: float = 300.0
    fail_fast: frozenset[str] = frozenset(FAIL_FAST)
    fail_after_seconds: float = 10.0
    unschedulable_seconds: float = 60.0
    crash_loop_restarts: int = 3

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Patience:
        """From the options of ``SPEC``; InputError for one below its least value."""
        for name, least in (("fail_after_seconds", 0), ("unschedulable_seconds", 0), ("crash_loop_restarts", 1)):
            _require(params, name, least)
        _require(params, "wait_seconds", 0)
        return cls(
            seconds=params["wait_seconds"],
            fail_fast=frozenset(params["fail_fast"]),
            fail_after_seconds=params["fail_after_seconds"],
            unschedulable_seconds=params["unschedulable_seconds"],
            crash_loop_restarts=params["crash_loop_restarts"],
        )


def _require(params: Mapping[str, Any], name: str, least: float) -> None:
    if params[name] < least:
        raise InputError(f"{name} is {params[name]:g}; it must be {least:g} or more.", option=name)


def with_time(context: Context, params: Mapping[str, Any], waits: int = 1) -> Context:
    """The context with time for ``waits`` waits one after the other, beside the ``timeout`` for all the rest."""
    seconds = params["timeout"] + params["wait_seconds"] * max(1, waits)
    return dataclasses.replace(context, deadline=Deadline(seconds, context.clock))


@dataclass(frozen=True)
class Target:
    """One workload to wait for. With ``uid`` and ``template`` it must remain that object with that template.

    ``stale`` is the time of a progress deadline that was exceeded before the change that is waited for.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""
    template: Object | None = None
    stale: str = ""

    @classmethod
    def of(cls, workload: Object) -> Target:
        """From the object as a patch gave it back."""
        return cls(
            objects.kind(workload),
            objects.namespace(workload),
            objects.name(workload),
            objects.uid(workload),
            objects.template(workload),
            _exceeded_at(workload),
        )


def _exceeded_at(workload: Object) -> str:
    progressing = objects.condition(workload, "Progressing") or {}
    if progressing.get("reason") != DEADLINE_EXCEEDED:
        return ""
    return str(progressing.get("lastUpdateTime") or "")


@dataclass
class _Watched:
    target: Target
    rollout: Rollout
    workload: Object | None = None
    final: bool = False
    since: dict[str, float] = field(default_factory=dict)  # category of a problem: when it was first seen
    counts: tuple[int, ...] = ()
    denied_since: float | None = None

    def end(self, state: Any, reason: str, message: str) -> None:
        self.rollout.state, self.rollout.reason, self.rollout.message = state, reason, message
        self.final = True


def watch_rollouts(
    cluster: Cluster,
    targets: Iterable[Target],
    context: Context,
    patience: Patience | None = None,
    *,
    seen: Iterable[Object] = (),
    labels: str = "",
) -> list[Rollout]:
    """The rollouts of ``targets``, in their order, when all have ended one way or the other or the time is up.

    ``seen`` are workloads that were read a moment ago: the first look takes them. ``labels`` is a selector that matches
    all targets, for a list that is no longer than need be. Raises nothing for what is observed, an API server that is
    away included: see ``Rollout.state`` and ``timed_out``.
    """
    watch = _Watch(cluster, targets, context, patience or Patience())
    watch.labels = labels
    watch.seen = {(objects.kind(one), objects.namespace(one), objects.name(one)): one for one in seen}
    return watch.run()


class _Watch:
    def __init__(self, cluster: Cluster, targets: Iterable[Target], context: Context, patience: Patience) -> None:
        self._named = NamedReader(cluster)
        self._context = context
        self._patience = patience
        self._rows = [_Watched(one, Rollout(one.kind, one.namespace, one.name)) for one in targets]
        self._pods = NewPods(cluster)
        self._pods_read: float | None = None
        self._outage = ""
        self._start = context.clock.monotonic()
        self.seen: dict[tuple[str, str, str], Object] = {}
        self.labels = ""
        self._seconds = max(0.0, min(patience.seconds, context.deadline.remaining() - REPORT_SECONDS))

    def run(self) -> list[Rollout]:
        pause = SHORTEST_PAUSE
        while True:
            self._look()
            if not self._open() or self._left() <= 0:
                break
            self._tell()
            self._context.clock.sleep(min(pause, self._left()))
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        for row in self._open():
            row.rollout.timed_out = self._patience.seconds > 0
        for row in self._rows:
            row.rollout.unseen = list(self._pods.unseen)
        return [row.rollout for row in self._rows]

    def _open(self) -> list[_Watched]:
        return [row for row in self._rows if not row.final]

    def _waited(self) -> float:
        return self._context.clock.monotonic() - self._start

    def _left(self) -> float:
        return self._seconds - self._waited()

    # -- one look

    def _look(self) -> None:
        self._outage = ""
        groups: dict[tuple[str, str], list[_Watched]] = {}
        for row in self._open():
            groups.setdefault((row.target.kind, row.target.namespace), []).append(row)
        for (kind, namespace), rows in groups.items():
            try:
                found = self._read(kind, namespace, rows)
            except (UnreachableError, ApiError) as error:
                self._unseen(rows, error)
                continue
            for row in rows:
                row.denied_since = None
                self._judge(row, found.get(row.target.name))
        self._look_at_pods()
        for row in self._open():
            self._decide(row)

    def _read(self, kind: str, namespace: str, rows: list[_Watched]) -> dict[str, Object]:
        names = [row.target.name for row in rows]
        seen = {name: self.seen.pop((kind, namespace, name), None) for name in names}
        if all(seen.values()):
            return {name: one for name, one in seen.items() if one}
        return self._named.read(kind, namespace, names, self.labels)

    def _unseen(self, rows: list[_Watched], error: RunbookError) -> None:
        """Nothing was seen this time. The counts of the last time stay, the state is unknown."""
        denied = isinstance(error, (ForbiddenError, UnauthorizedError))
        kind = type(error).__name__.removesuffix("Error") if denied else "Unreachable"
        self._outage = error.message
        for row in rows:
            last = f" Last seen: {row.rollout.message}." if row.workload else ""
            row.rollout.state, row.rollout.reason = "unknown", kind
            row.rollout.message = error.message + last if row.workload else error.message
            row.rollout.waited_seconds = self._waited()
            if not denied:
                continue
            row.denied_since = self._waited() if row.denied_since is None else row.denied_since
            row.final = row.workload is None or self._waited() - row.denied_since >= DENIED_SECONDS

    def _judge(self, row: _Watched, found: Object | None) -> None:
        target, known = row.target, row.workload
        if found is None:
            row.rollout.problems = []
            if known or target.uid:
                row.end("failed", "Deleted", "was deleted meanwhile")
            else:
                row.rollout, row.final = absent(target.kind, target.namespace, target.name), True
            return
        last, row.rollout, row.workload = row.rollout, rollout_of(found), found
        row.rollout.waited_seconds = self._waited()
        expected_uid = target.uid or (objects.uid(known) if known else "")
        expected = target.template or (objects.template(known) if known else None)
        if expected_uid and objects.uid(found) != expected_uid:
            row.end("failed", "Replaced", "was deleted and made again meanwhile: it is another object now")
        elif expected is not None and objects.template(found) != expected:
            said = f"its template was changed by someone else meanwhile (generation {objects.generation(found)})"
            row.end("failed", "Superseded", said)
        elif row.rollout.state in ("complete", "blocked"):
            row.final = True
        elif last.problems and row.rollout.reason != "NotObserved":
            row.rollout.problems = row.rollout.problems or [one for one in last.problems if one.count]

    # -- pods

    def _look_at_pods(self) -> None:
        """Once a second, and whenever this may be the last look."""
        rows = [row for row in self._open() if row.workload and row.rollout.state != "unknown"]
        rows = [row for row in rows if row.rollout.reason != "NotObserved"]
        last = self._left() <= 0 or any(self._exceeded(row) for row in rows)
        due = self._waited() - (self._pods_read or 0.0) >= PODS_SECONDS
        if not rows or not (last or due):
            return
        self._pods_read = self._waited()
        for namespace in sorted({row.target.namespace for row in rows}):
            try:
                self._read_pods([row for row in rows if row.target.namespace == namespace])
            except (UnreachableError, ApiError) as error:
                self._outage = error.message

    def _read_pods(self, rows: list[_Watched]) -> None:
        pods = self._pods.of([row.workload for row in rows if row.workload])
        for row in rows:
            rollout = row.rollout
            found = [one for one in rollout.problems if not one.count]  # said by the workload itself
            found += kubernetes_pod_problems.problems_of(pods.get(rollout.uid, []))
            if not found and rollout.kind != "Deployment" and rollout.updated < rollout.desired and row.workload:
                found = self._pods.creation_problems(row.workload)
            rollout.problems = found

    # -- what it means

    def _exceeded(self, row: _Watched) -> bool:
        """Whether the progress deadline was exceeded, by this rollout and not by the one before."""
        if row.rollout.reason != DEADLINE_EXCEEDED or row.workload is None:
            return False
        return _exceeded_at(row.workload) != row.target.stale

    def _decide(self, row: _Watched) -> None:
        rollout = row.rollout
        if row.workload is None or rollout.state == "unknown":
            return
        counts = (rollout.current, rollout.updated, rollout.ready, rollout.available, rollout.desired)
        standing = {problem.category for problem in rollout.problems}
        if rollout.reason == DEADLINE_EXCEEDED:
            standing.add(DEADLINE)
        now = self._waited()
        row.since = {one: row.since.get(one, now) if counts == row.counts else now for one in standing}
        row.counts = counts
        if self._exceeded(row) or self._stood(row, DEADLINE) >= self._patience.fail_after_seconds:
            row.end("failed", DEADLINE_EXCEEDED, _joined(rollout))
            return
        ripe = next((one for one in rollout.problems if self._ripe(row, one)), None)
        if ripe:
            row.end("failed", ripe.reason, _problem_text(ripe))

    def _stood(self, row: _Watched, category: str) -> float:
        return self._waited() - row.since[category] if category in row.since else -1.0

    def _ripe(self, row: _Watched, problem: Problem) -> bool:
        if problem.category not in self._patience.fail_fast:
            return False
        if problem.category == "crash_loop":
            return problem.restarts >= self._patience.crash_loop_restarts
        long = problem.category == "unschedulable"
        enough = self._patience.unschedulable_seconds if long else self._patience.fail_after_seconds
        stood = self._stood(row, problem.category)
        if self._patience.seconds <= 0 and problem.since is not None:  # one look: take the object's word for it
            stood = self._context.clock.now() - problem.since
        return stood >= enough

    # -- progress

    def _tell(self) -> None:
        rows = self._open()
        lines = [row.rollout.line() for row in rows[:MOST_LINES]]
        if self._outage:
            lines = [f"the API server cannot be asked, trying again: {self._outage}"]
        elif len(rows) > MOST_LINES:
            lines.append(f"and {len(rows) - MOST_LINES} more")
        if len(self._rows) > 1:
            done = sum(row.rollout.complete for row in self._rows)
            lines.insert(0, f"{done} of {len(self._rows)} complete")
        self._context.progress("; ".join(lines))


def _joined(rollout: Rollout) -> str:
    worst = rollout.problems[0] if rollout.problems else None
    return f"{rollout.message}; {_problem_text(worst)}" if worst and worst.count else rollout.message


def _problem_text(problem: Problem) -> str:
    said = f": {problem.message}" if problem.message else ""
    if not problem.count:
        return f"pods cannot be made: {problem.reason}{said}"
    container = f", container {problem.container}" if problem.container else ""
    restarts = f", {problem.restarts} restarts" if problem.restarts else ""
    noun = "pods" if problem.count > 1 else "pod"
    return (
        f"{problem.count} {noun} of the new revision: {problem.reason} (pod {problem.pod}{container}{restarts}){said}"
    )

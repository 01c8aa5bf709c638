# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mark the current revision of workloads as known good, so that a rollback has a target that was once verified.

The mark is an annotation of the workload with the name of the ReplicaSet or ControllerRevision. All workloads are read
and judged before the first is marked: one that is not fit keeps the others from being marked as well.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from . import kubernetes_history, rollout_history
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .errors import InputError, RefusedError, RunbookError
from .kubernetes_client import SPEC as CONNECTION
from .kubernetes_client import Cluster
from .kubernetes_errors import ConflictError
from .kubernetes_history import KNOWN_GOOD, KNOWN_GOOD_AT, History, Revision
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_rollout import rollout_of
from .operation import Context

RETRIES = 5
PAUSE = 0.05

SPEC = CONNECTION.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "default": "Deployment", "choices": list(WORKLOAD_KINDS)},
            "names": {"type": "list", "elements": "str", "required": True},
            "expected_current_names": {"type": "dict", "default": {}},
        }
    )
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class _Mark:
    """A workload that may be marked; ``problem`` says why not."""

    history: History
    revision: Revision | None
    problem: str = ""

    @property
    def is_set(self) -> bool:
        return self.revision is not None and self.revision.known_good


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Mark all or, when one is not fit, none (RefusedError with the rows)."""
    names = rollout_history.workload_names(params["names"])
    expected = {str(name): str(value) for name, value in params["expected_current_names"].items()}
    strangers = sorted(set(expected) - set(names))
    if strangers:
        raise InputError(
            f"expected_current_names has {', '.join(strangers)}, which names does not have.",
            option="expected_current_names",
        )
    with Cluster(params, context, connections=rollout_history.AT_ONCE) as cluster:
        marks = _each(names, lambda name: _judge(cluster, params, name, expected.get(name)))
        problems = [mark.problem for mark in marks if mark.problem]
        if problems:
            raise RefusedError(
                f"nothing was marked as known good: {'; '.join(problems)}.",
                workloads=[_row(mark, False) for mark in marks],
                requests=cluster.requests,
            )
        done: list[str] = []

        def mark_one(name: str) -> dict[str, Any]:
            mark = marks[names.index(name)]
            changed = not mark.is_set
            if changed:
                mark = _write(cluster, params, context, name, mark, expected.get(name))
                done.append(name)
            return _row(mark, changed)

        try:
            rows = _each(names, mark_one)
        except RunbookError as error:
            marked = ", ".join(sorted(done)) or "none"
            raise RunbookError(
                f"{error.message} Marked before: {marked}.", **{**error.details, "changed": bool(done)}
            ) from None
        return {"changed": any(row["changed"] for row in rows), "workloads": rows, "requests": cluster.requests}


def _each(names: list[str], work: Callable[[str], Result]) -> list[Result]:
    with ThreadPoolExecutor(max_workers=min(rollout_history.AT_ONCE, len(names))) as pool:
        return list(pool.map(work, names))


def _judge(cluster: Cluster, params: dict[str, Any], name: str, expected: str | None) -> _Mark:
    history = kubernetes_history.read(cluster, params["kind"], params["namespace"], name)
    key, current, rollout = objects.key_of(history.workload), history.current, rollout_of(history.workload)
    if current is None:
        return _Mark(history, None, f"{key} has no revision of its present template yet")
    if expected is not None and current.name != expected:
        return _Mark(history, current, f"{key} is at revision {current}, not at {expected}")
    if not rollout.complete or rollout.reason:
        # ScaledToZero, NoNodes and Partitioned are complete, but show nothing about the new pods, or not of all.
        return _Mark(history, current, f"the rollout of {key} is not complete: {rollout.message}")
    return _Mark(history, current)


def _write(
    cluster: Cluster, params: dict[str, Any], context: Context, name: str, mark: _Mark, expected: str | None
) -> _Mark:
    """Write the mark on what was judged. When somebody else wrote in between it is judged anew."""
    wanted = mark.revision
    for _try in range(RETRIES + 1):
        if mark.problem or wanted is None or mark.revision is None or mark.revision.name != wanted.name:
            problem = mark.problem or f"{objects.key_of(mark.history.workload)} got another template meanwhile"
            raise RefusedError(f"not marked as known good: {problem}.")
        marks = {KNOWN_GOOD: wanted.name, KNOWN_GOOD_AT: objects.timestamp(context.clock.now())}
        version = objects.resource_version(mark.history.workload)
        body = {"metadata": {"resourceVersion": version, "annotations": marks}}
        try:
            dry_run = context.check_mode
            after = cluster.patch(params["kind"], params["namespace"], name, body, "merge", dry_run=dry_run)
        except ConflictError:
            context.clock.sleep(min(PAUSE, context.deadline.remaining()))
            mark = _judge(cluster, params, name, expected)
        else:
            after.setdefault("kind", params["kind"])
            return _Mark(History(after, mark.history.revisions), wanted)
    raise RunbookError(
        f"{objects.key_of(mark.history.workload)}: not marked, it was changed by others {RETRIES + 1} times in between."
    )


def _row(mark: _Mark, changed: bool) -> dict[str, Any]:
    marks = objects.annotations_of(mark.history.workload)
    return {
        "kind": objects.kind(mark.history.workload),
        "namespace": objects.namespace(mark.history.workload),
        "name": objects.name(mark.history.workload),
        "changed": changed,
        "known_good": mark.revision.brief() if mark.revision and not mark.problem else None,
        "known_good_at": marks.get(KNOWN_GOOD_AT),
        "problem": mark.problem,
    }

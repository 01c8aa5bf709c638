# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bring back an earlier revision of a Deployment, StatefulSet or DaemonSet, so that a second run changes nothing.

Read, plan, try one pod of the target, patch with a lock on what was read, and watch. Whoever wrote in between makes the
lock fail; then everything is read and planned again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import kubernetes_history, kubernetes_waiting, rollout_undo_diff, rollout_undo_pods, rollout_undo_warnings
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .errors import InputError, RefusedError, RunbookError, UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, ConflictError
from .kubernetes_history import CHILDREN, History, Revision, same_template
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_objects import Object
from .kubernetes_rollout import Rollout
from .kubernetes_trial import try_pod
from .kubernetes_waiting import Patience, Target, watch_rollouts
from .operation import Context
from .rollout_undo_patch import patch
from .rollout_undo_plan import RELATIVE, TARGETS, Goal, Plan, plan
from .rollout_undo_warnings import QUIET, warning

SPEC = kubernetes_waiting.SPEC.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "default": "Deployment", "choices": list(WORKLOAD_KINDS)},
            "name": {"type": "str", "required": True},
            "to": {"type": "str", "choices": [*RELATIVE, "known_good"]},
            "to_revision": {"type": "int"},
            "to_name": {"type": "str"},
            "to_hash": {"type": "str"},
            "to_image": {"type": "str"},
            "to_change_cause": {"type": "str"},
            "expected_current_revision": {"type": "int"},
            "expected_current_name": {"type": "str"},
            "expected_current_image": {"type": "str"},
            "on_mismatch": {"type": "str", "default": "skip", "choices": ["skip", "fail"]},
            "try_pod": {"type": "bool", "default": True},
            "retries": {"type": "int", "default": 5},
            "recover_stuck_pods": {"type": "bool", "default": False},
        },
        mutually_exclusive=(TARGETS,),
        required_one_of=(TARGETS,),
    )
)

MOST_RETRIES = 20
FIRST_PAUSE = 0.03
LONGEST_PAUSE = 2.0
GROWTH = 2.5
OBSERVE_SECONDS = 10.0


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Undo, and return what was found and done; see the module for the keys.

    A rollback that was made but did not come to its end raises RunbookError, with the same keys and changed: true.
    """
    goal, patience = Goal.of(params), Patience.of(params)
    if not 0 <= params["retries"] <= MOST_RETRIES:
        raise InputError(f"retries is {params['retries']}; it may be 0 to {MOST_RETRIES}.", option="retries")
    if params["recover_stuck_pods"] and params["kind"] != "StatefulSet":
        raise InputError(
            f"recover_stuck_pods is for a StatefulSet: a {params['kind']} replaces broken pods by itself.",
            option="recover_stuck_pods",
        )
    if not context.check_mode:
        context = kubernetes_waiting.with_time(context, params)
    with Cluster(params, context) as cluster:
        return _Undo(cluster, params, goal, patience, context).run()


@dataclass(frozen=True)
class _Change:
    """What was decided on ``history``, and the workload as the API server gave it back (None: nothing was sent)."""

    history: History
    plan: Plan
    after: Object | None = None

    @property
    def made(self) -> bool:
        """Whether the server has another template now (or would have): it fills in defaults on both sides."""
        before = objects.template(self.history.workload)
        return self.after is not None and not same_template(objects.template(self.after), before)

    @property
    def stored(self) -> bool:
        """Whether anything at all is (or would be) stored."""
        before = objects.annotations_of(self.history.workload)
        return self.made or (self.after is not None and objects.annotations_of(self.after) != before)


class _Undo:
    def __init__(
        self, cluster: Cluster, params: dict[str, Any], goal: Goal, patience: Patience, context: Context
    ) -> None:
        self._cluster = cluster
        self._params = params
        self._goal = goal
        self._patience = patience
        self._context = context
        self._attempts: list[dict[str, str]] = []
        self._warnings: list[dict[str, str]] = []
        self._tried: set[str] = set()

    def run(self) -> dict[str, Any]:
        change = self._change()
        result = self._result(change)
        if change.plan.reason == "already_moved":
            if self._params["on_mismatch"] == "fail":
                raise RefusedError(result["msg"], **result)
            return result
        self._observe(change, result)
        problem = self._follow(change, result)
        for one in self._warnings:
            if one["id"] not in QUIET:
                self._context.warn(f"{result['kind']} {result['name']}: {one['text']}")
        result["requests"] = self._cluster.requests
        if problem:
            raise RunbookError(problem, **result)
        return result

    # -- reading

    def _read(self) -> History:
        """The history, with some patience for a controller that has not made a revision of a new template yet."""
        name, kind, namespace = self._params["name"], self._params["kind"], self._params["namespace"]
        seconds, pause = OBSERVE_SECONDS, FIRST_PAUSE
        while True:
            history = kubernetes_history.read(self._cluster, kind, namespace, name)
            settled = history.current or kubernetes_history.observed(history.workload)
            if settled or seconds <= 0 or self._context.deadline.remaining() < pause:
                return history
            self._context.progress(f"{name}: waiting for the controller to see the present template")
            self._context.clock.sleep(pause)
            seconds, pause = seconds - pause, min(pause * GROWTH, LONGEST_PAUSE)

    # -- changing

    def _change(self) -> _Change:
        unanswered: _Change | None = None
        pause = FIRST_PAUSE
        for _try in range(self._params["retries"] + 1):
            try:
                history = self._read()
            except UnreachableError as error:
                if unanswered is None:
                    raise
                raise self._not_known(error) from None
            if unanswered and _is_current(history, unanswered.plan.target):
                return _Change(unanswered.history, unanswered.plan, history.workload)
            decided = _Change(history, plan(history, self._goal))
            if decided.plan.reason != "rolled_back" or decided.plan.target is None:
                return decided
            self._try_pod(history, decided.plan.target)
            try:
                return self._patched(decided, decided.plan.target)
            except ConflictError as error:
                self._attempts.append({"outcome": "conflict", "text": error.message})
            except UnreachableError as error:
                # The lock makes it safe to send it again: the workload cannot be in the state that was read twice.
                unanswered = decided
                self._attempts.append({"outcome": "no_answer", "text": error.message})
            self._context.clock.sleep(min(pause, self._context.deadline.remaining()))
            pause = min(pause * GROWTH, LONGEST_PAUSE)
        if unanswered:
            raise self._not_known(self._attempts[-1]["text"])
        raise RunbookError(
            f"{self._key()}: not rolled back, it was changed by others each of the {len(self._attempts)} times between "
            "reading and writing. Who writes it all the time? Try again, or raise retries.",
            changed=False,
            attempts=self._attempts,
            requests=self._cluster.requests,
        )

    def _patched(self, decided: _Change, target: Revision) -> _Change:
        body, patch_type = patch(decided.history, target)
        where = (self._params["kind"], self._params["namespace"], self._params["name"])
        after = self._cluster.patch(*where, body, patch_type, dry_run=self._context.check_mode)
        after.setdefault("kind", self._params["kind"])
        self._attempts.append({"outcome": "dry_run" if self._context.check_mode else "stored", "text": ""})
        return _Change(decided.history, decided.plan, after)

    def _try_pod(self, history: History, target: Revision) -> None:
        """RefusedError when the API server would not let the controller make pods of the target."""
        if not self._params["try_pod"] or target.name in self._tried:
            return
        self._tried.add(target.name)
        trial = try_pod(self._cluster, history.workload, target.template)
        if trial.unverified:
            self._warnings.append(warning("admission_unverified", trial.unverified))
        elif "exceeded quota" in trial.refused:
            text = f"one more pod does not fit into the quota now: {trial.refused}"
            self._warnings.append(warning("quota", text))
        elif trial.refused:
            raise RefusedError(
                f"{self._key()}: not rolled back, because the API server would refuse the pods of revision {target}: "
                f"{trial.refused}. Choose another revision, or repair what it lacks; try_pod: false rolls back "
                "nevertheless.",
                revisions=[one.as_dict() for one in history.revisions],
                requests=self._cluster.requests,
            )

    def _not_known(self, error: Any) -> RunbookError:
        return RunbookError(
            f"{self._key()}: the API server was lost while the rollback was written; whether it is stored is not known. "
            f"It is safe to run this task again. Last: {error}",
            changed=None,
            attempts=self._attempts,
            requests=self._cluster.requests,
        )

    # -- after the change; nothing here may hide that it was made

    def _observe(self, change: _Change, result: dict[str, Any]) -> None:
        """The warnings, and the number that the controller gives to the revision that is back."""
        target = change.plan.target
        if target is None or not change.made:
            return
        self._warnings += rollout_undo_warnings.of_plan(change.history, target)
        try:
            self._look_for_autoscalers(change.history.workload)
            if not self._context.check_mode:
                result["resulting_revision"] = self._number_after(change.history, target)
                result["msg"] += _numbered(result["resulting_revision"])
        except (ApiError, UnreachableError) as error:
            self._warnings.append(warning("not_observed", f"what came of it could not be read: {error.message}"))

    def _look_for_autoscalers(self, workload: Object) -> None:
        if objects.kind(workload) == "DaemonSet":
            return
        try:
            hpas = self._cluster.list("HorizontalPodAutoscaler", self._params["namespace"])
        except ApiError as error:
            text = f"whether an autoscaler sets the number of replicas could not be read: {error.message}"
            self._warnings.append(warning("hpa_unverified", text))
        else:
            self._warnings += rollout_undo_warnings.of_autoscalers(workload, hpas)

    def _number_after(self, history: History, target: Revision) -> int | None:
        """None, with a warning, when the controller does not move."""
        if target is history.revisions[-1]:
            return target.number
        kind = CHILDREN[self._params["kind"]]
        seconds, pause = OBSERVE_SECONDS, FIRST_PAUSE
        while seconds > 0 and self._context.deadline.remaining() > pause:
            child = self._cluster.find(kind, self._params["namespace"], target.name)
            number = kubernetes_history.number_of(child) if child else target.number
            if number != target.number:
                return number
            self._context.progress(f"{self._params['name']}: waiting for the controller to take the revision up")
            self._context.clock.sleep(pause)
            seconds, pause = seconds - pause, min(pause * GROWTH, LONGEST_PAUSE)
        text = "the controller has not taken it up yet: is the controller manager running?"
        self._warnings.append(warning("not_observed", text))
        return None

    def _follow(self, change: _Change, result: dict[str, Any]) -> str:
        """Free stuck pods and wait, as asked; gives what is wrong at the end, empty when nothing is."""
        target, check_mode = change.plan.target, self._context.check_mode
        workload = change.history.workload if change.after is None else change.after
        if target is None:
            return ""
        if self._params["recover_stuck_pods"]:
            result["deleted_pods"] = self._free(workload, target, set())
            result["changed"] = bool(result["changed"] or result["deleted_pods"])
        if check_mode or self._patience.seconds <= 0:
            return ""
        rollout = self._wait(workload)
        while not rollout.complete and self._params["recover_stuck_pods"] and not rollout.timed_out:
            freed = self._free(workload, target, {pod["uid"] for pod in result["deleted_pods"]})
            if not freed:
                break
            result["deleted_pods"] += freed
            result["changed"] = True
            rollout = self._wait(workload)
        result["rollout"] = rollout.as_dict()
        if rollout.complete:
            return ""
        said = "timed out after" if rollout.timed_out else "gave up after"
        return f"{result['msg']}; but it did not roll out, {said} {rollout.waited_seconds:.0f} s: {rollout.line()}" + (
            f" ({rollout.message})" if rollout.message and rollout.message not in rollout.line() else ""
        )

    def _wait(self, workload: Object) -> Rollout:
        return watch_rollouts(self._cluster, [Target.of(workload)], self._context, self._patience)[0]

    def _free(self, workload: Object, target: Revision, done: set[str]) -> list[dict[str, Any]]:
        try:
            found = rollout_undo_pods.stuck(self._cluster, workload, target.name)
            dry_run = self._context.check_mode
            return [
                rollout_undo_pods.row(pod)
                for pod in found
                if objects.uid(pod) not in done and rollout_undo_pods.delete(self._cluster, pod, dry_run)
            ]
        except (ApiError, UnreachableError) as error:
            text = f"pods that are stuck could not be freed: {error.message}"
            self._warnings.append(warning("not_recovered", text))
            return []

    # -- telling

    def _key(self) -> str:
        return objects.key(self._params["kind"], self._params["namespace"], self._params["name"])

    def _result(self, change: _Change) -> dict[str, Any]:
        history, target = change.history, change.plan.target
        reason = change.plan.reason if change.made or change.after is None else "already_there"
        current = history.current
        result: dict[str, Any] = {
            "changed": change.stored,
            "reason": reason,
            "msg": self._message(change, reason),
            "kind": self._params["kind"],
            "namespace": self._params["namespace"],
            "name": self._params["name"],
            "from": current.brief() if current else _unnumbered(history.workload),
            "to": target.brief() if target else None,
            "resulting_revision": current.number if reason == "already_there" and current else None,
            "revisions": [one.as_dict() for one in history.revisions],
            "attempts": self._attempts,
            "warnings_about": self._warnings,
            "deleted_pods": [],
            "rollout": None,
            "requests": self._cluster.requests,
        }
        if self._context.diff and change.after is not None:
            result["diff"] = rollout_undo_diff.diff(history.workload, change.after)
        return result

    def _message(self, change: _Change, reason: str) -> str:
        current = change.history.current
        if reason == "rolled_back":
            done = "would be rolled back" if self._context.check_mode else "rolled back"
            source = f" from revision {current}" if current else ""
            return f"{self._key()}: {done}{source} to {change.plan.text}"
        if reason == "already_moved":
            return f"{self._key()}: left alone, since {change.plan.text}"
        return f"{self._key()}: nothing to roll back, {change.plan.text}"


def _is_current(history: History, target: Revision | None) -> bool:
    return history.current is not None and target is not None and history.current.name == target.name


def _unnumbered(workload: Object) -> dict[str, Any]:
    """What the workload's template says where it has no revision yet."""
    images = objects.images(objects.template(workload))
    return {"revision": None, "name": None, "hash": None, "images": images, "change_cause": None}


def _numbered(number: int | None) -> str:
    return f"; it is revision {number} now" if number is not None else ""

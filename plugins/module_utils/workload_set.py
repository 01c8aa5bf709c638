# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Set images, variables and resources of a workload's containers, in one rollout, and see it through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import kubernetes_capacity, kubernetes_history, kubernetes_owners, kubernetes_update, kubernetes_waiting, redact
from . import kubernetes_objects as objects
from .argspec import ArgumentSpec
from .errors import RefusedError, RunbookError
from .kubernetes_capacity import Capacity
from .kubernetes_change import existing, until_settled, warn_all, written
from .kubernetes_client import Cluster
from .kubernetes_errors import ForbiddenError
from .kubernetes_history import History, Revision
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_pods import floating_tag
from .kubernetes_quantity import Needs, amount, needs, shown
from .kubernetes_quota import Demand
from .kubernetes_trial import try_pod
from .kubernetes_waiting import Patience, Target, watch_rollouts
from .operation import Context
from .workload_set_change import Change, change
from .workload_set_options import OPTIONS, Wanted, wanted

HPA = "HorizontalPodAutoscaler"
CAUSE_CHARACTERS = 500

SPEC = kubernetes_waiting.SPEC.merge(
    ArgumentSpec(
        options={
            "kind": {"type": "str", "default": "Deployment", "choices": list(WORKLOAD_KINDS)},
            "name": {"type": "str", "required": True},
            "containers": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
            "change_cause": {"type": "str"},
            "expected_current_revision": {"type": "str"},
            "check_capacity": {"type": "bool", "default": True},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Set them. RefusedError when that is unsafe or its pods could not be made; RunbookError when they did not come up."""
    rows = wanted(params["containers"])
    patience = Patience.of(params)
    context = kubernetes_waiting.with_time(context, params)
    with Cluster(params, context) as cluster:
        return _Setting(cluster, params, rows, context).run(patience)


@dataclass
class _Seen:
    workload: dict[str, Any]
    history: History | None
    change: Change

    @property
    def current(self) -> Revision | None:
        return self.history.current if self.history else None


class _Setting:
    def __init__(self, cluster: Cluster, params: dict[str, Any], rows: list[Wanted], context: Context) -> None:
        self._cluster, self._params, self._rows, self._context = cluster, params, rows, context
        self._kind, self._namespace, self._name = params["kind"], params["namespace"], params["name"]
        self._key = objects.key(self._kind, self._namespace, self._name)
        self._first: _Seen | None = None
        self._histories: dict[int, History | None] = {}
        self._warnings: list[dict[str, str]] = []
        self._capacity: Capacity | None = None
        self._patched: dict[str, Any] | None = None

    def run(self, patience: Patience) -> dict[str, Any]:
        seen = until_settled(self._context, self._try)
        first = self._first or seen
        self._advise(first)
        result = self._told(first)
        warn_all(self._context, self._key, result["warnings_about"])
        if self._context.check_mode:
            result["changed"] = bool(seen.change)
            result["revisions"]["after"] = self._same(seen)
            return result | {"requests": self._cluster.requests}
        result["changed"] = self._patched is not None
        try:
            self._see_through(result, self._patched or seen.workload, patience)
        except RunbookError as error:
            error.details = {**result, **error.details, "requests": self._cluster.requests}
            raise
        return result | {"requests": self._cluster.requests}

    # -- plan and act

    def _try(self) -> _Seen:
        workload = existing(self._cluster, self._kind, self._namespace, self._name)
        seen = _Seen(workload, self._history(workload), change(self._key, objects.template(workload), self._rows))
        self._first = self._first or seen
        if seen.change:
            self._guard(seen)
            self._require_room(seen)
            self._patch(seen)
        return seen

    def _history(self, workload: dict[str, Any]) -> History | None:
        """Its revisions, read once for each generation: the time between reading and writing is kept short."""
        generation = objects.generation(workload)
        if generation not in self._histories:
            self._histories[generation] = self._read_history(workload)
        return self._histories[generation]

    def _read_history(self, workload: dict[str, Any]) -> History | None:
        labels = objects.selector_text(workload["spec"].get("selector"))
        child = kubernetes_history.CHILDREN[self._kind]
        try:
            return kubernetes_history.history_of(workload, self._cluster.list(child, self._namespace, labels=labels))
        except ForbiddenError as error:
            if self._params["expected_current_revision"]:
                raise
            self._warn("revision_unverified", f"its revisions could not be read: {error.message}")
            return None

    def _guard(self, seen: _Seen) -> None:
        if seen.workload["spec"].get("paused"):
            raise RefusedError(
                f"{self._key} is paused: a change would wait for somebody to resume it. Resume it first "
                "(kubectl rollout resume), when you know why it was paused."
            )
        images = objects.images(objects.template(seen.workload))
        for row in self._rows:
            if row.expected_image not in (None, images[row.name]):
                raise RefusedError(
                    f"{self._key}: container {row.name} runs {images[row.name]}, expected_current_image says "
                    f"{row.expected_image}: somebody else has deployed. Look why, then run this again.",
                    image=images[row.name],
                )
        expected = self._params["expected_current_revision"]
        if not expected:
            return
        if seen.current is None:
            raise RefusedError(
                f"{self._key}: its controller has made no revision of the present template yet; try again."
            )
        if expected not in (seen.current.name, str(seen.current.number)):
            raise RefusedError(
                f"{self._key} is at revision {seen.current}, expected_current_revision says {expected}: somebody else "
                "has deployed. Look why, then run this again.",
                revision=seen.current.brief(),
            )

    def _require_room(self, seen: _Seen) -> None:
        if self._capacity is not None or not self._params["check_capacity"]:
            return
        template, workload = seen.change.template, seen.workload

        def demand(each: Needs) -> Demand:
            trial = try_pod(self._cluster, workload, objects.template(workload))
            # Where the present template cannot be tried, both are taken as they are written, without defaults.
            old, new = (trial.pod, each) if trial.pod else (objects.template(workload), needs(template["spec"]))
            return kubernetes_update.demand(workload, needs(old["spec"]), new)

        pods = kubernetes_update.pods_of(workload)
        self._capacity = kubernetes_capacity.assess(self._cluster, workload, template, pods, demand)
        refusals = [*self._capacity.refusals, *self._too_large(self._capacity)]
        if refusals:
            raise RefusedError(
                f"{self._key}: {'; '.join(refusals)}. Nothing was changed.", capacity=self._capacity.as_dict()
            )

    def _too_large(self, capacity: Capacity) -> list[str]:
        """Limits that no node could ever honour."""
        if not (capacity.room and capacity.room.nodes):
            return []
        largest = capacity.room.largest
        return [
            f"container {row.name}: the limit of {value} {resource} is above what the largest node has for pods "
            f"({shown(resource, largest[resource])})"
            for row in self._rows
            for resource, value in row.limits.items()
            if value is not None and resource in largest and amount(value) > largest[resource]
        ]

    def _patch(self, seen: _Seen) -> None:
        cause = self._params["change_cause"] or f"{seen.change.text()} (sre.runbooks.workload_set)"
        body = {
            "metadata": {
                "resourceVersion": objects.resource_version(seen.workload),
                "annotations": {kubernetes_history.CHANGE_CAUSE: redact.observed(cause, CAUSE_CHARACTERS)},
            },
            "spec": {"template": seen.change.patch},
        }
        dry = self._context.check_mode
        where = (self._kind, self._namespace, self._name)
        answer = written(self._key, lambda: self._cluster.patch(*where, body, "strategic", dry_run=dry))
        left = change(self._key, objects.template(answer), self._rows)
        if left:
            raise RunbookError(
                f"{self._key}: the API server took the change and made something else of it: still to do would be "
                f"{left.text()}. A webhook changes it; see who does.",
                changed=not dry,
            )
        self._patched = None if dry else answer

    # -- advice

    def _warn(self, identity: str, text: str) -> None:
        if not any(row["id"] == identity and row["text"] == text for row in self._warnings):
            self._warnings.append({"id": identity, "text": text})

    def _advise(self, seen: _Seen) -> None:
        for row in self._rows:
            if row.image and floating_tag(row.image):
                text = f"container {row.name}: {row.image} does not say which build it is, so revisions look alike."
                self._warn("floating_tag", text)
            if row.image and not seen.change:
                text = f"container {row.name} has the image {row.image} already: nothing is rolled out."
                hint = " A tag that was pushed again is pulled by rollout_restart." if floating_tag(row.image) else ""
                self._warn("same_image", text + hint)
        if not seen.change:
            return
        self._warnings += kubernetes_owners.warnings_about(seen.workload, "template")
        if self._capacity:
            self._warnings += self._capacity.warnings
        if any(row.requests for row in self._rows):
            self._advise_autoscaler(seen)

    def _advise_autoscaler(self, seen: _Seen) -> None:
        resources = {resource for row in self._rows for resource in row.requests}
        try:
            hpas = kubernetes_owners.autoscalers_of(seen.workload, self._cluster.list(HPA, self._namespace))
        except ForbiddenError as error:
            self._warn(
                "autoscaler_unverified", f"whether an autoscaler goes by its requests is not known: {error.message}"
            )
            return
        for hpa in hpas:
            for metric in (hpa.get("spec") or {}).get("metrics") or []:
                own = metric.get("resource") or metric.get("containerResource") or {}
                if own.get("name") in resources and (own.get("target") or {}).get("type") == "Utilization":
                    name = objects.name(dict(hpa))
                    text = (
                        f"HorizontalPodAutoscaler {name} goes by {own['name']} in percent of the request: it will scale"
                    )
                    self._warn("autoscaler_utilization", f"{text} at another load than before.")

    # -- afterwards

    def _see_through(self, result: dict[str, Any], workload: dict[str, Any], patience: Patience) -> None:
        if patience.seconds > 0:
            (rollout,) = watch_rollouts(self._cluster, [Target.of(workload)], self._context, patience)
            result["rollout"] = rollout.as_dict()
            if not rollout.complete:
                begun = "was set" if self._patched else "is as asked for"
                raise RunbookError(
                    f"{self._key} {begun}, and its rollout did not end well: {rollout.reason}: {rollout.message}"
                    f"{' (time is up; see wait_seconds)' if rollout.timed_out else ''}. Undo it with rollout_undo."
                )
        if self._patched:
            found = existing(self._cluster, self._kind, self._namespace, self._name)
            history = self._read_history(found)
            result["revisions"]["after"] = history.current.brief() if history and history.current else None
        else:
            result["revisions"]["after"] = result["revisions"]["before"]

    def _same(self, seen: _Seen) -> dict[str, Any] | None:
        """The revision that holds the planned template already, which would come back; None for a new one."""
        known = seen.history.revisions if seen.history else ()
        same = (one for one in known if kubernetes_history.same_template(one.template, seen.change.template))
        found = next(same, None)
        return found.brief() if found else None

    def _told(self, seen: _Seen) -> dict[str, Any]:
        found = seen.change
        options = [row.as_option() for row in found.before]
        told: dict[str, Any] = {
            "kind": self._kind,
            "namespace": self._namespace,
            "name": self._name,
            "action": "set" if found else "none",
            "summary": found.text(),
            "before": [row.as_dict() for row in found.before],
            "planned": [row.as_dict() for row in found.after],
            "revisions": {"before": seen.current.brief() if seen.current else None, "after": None},
            "undo": {
                "revision": seen.current.name if seen.current else None,
                "containers": options if all(options) else None,
            },
            "capacity": self._capacity.as_dict() if self._capacity else None,
            "rollout": None,
            "warnings_about": self._warnings,
        }
        if self._context.diff:
            told["diff"] = {
                "before": {row.name: row.as_dict() for row in found.before},
                "after": {row.name: row.as_dict() for row in found.after},
            }
        return told

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which workloads of a namespace are meant, each with its own pods; and why none is, when none is.

Workloads are chosen by name, by a label selector that pods meet (those that exist, or those the template would make),
or both. An empty selection is told with what is there instead: other labels, other namespaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import kubernetes_gather as gather
from . import kubernetes_objects as objects
from . import kubernetes_pods as pods
from . import kubernetes_selectors as selectors
from .argspec import ArgumentSpec
from .errors import InputError
from .kubernetes_client import Cluster
from .kubernetes_gather import Listed
from .kubernetes_kinds import WORKLOAD_KINDS
from .kubernetes_objects import Object
from .kubernetes_rollout import REVISION, Rollout, rollout_of
from .redact import observed

MOST_WORKLOADS = 500
MOST_NAMED = 10
MOST_LOOKED_FOR = 3

SPEC = ArgumentSpec(
    options={
        "kind": {"type": "str", "choices": list(WORKLOAD_KINDS), "default": "Deployment"},
        "names": {"type": "list", "elements": "str", "aliases": ["workloads"]},
        "selector": {"type": "str"},
        "minimum_pods": {"type": "int", "default": 1},
        "system": {"type": "str", "default": "hafnium"},
        "runbook": {"type": "str", "default": ""},
    },
    required_one_of=(("names", "selector"),),
)


@dataclass
class View:
    """One workload with what is its own. ``current`` is the label value that its pods of the newest revision bear."""

    object: Object
    rollout: Rollout
    pods: list[Object] = field(default_factory=list)
    replica_sets: list[Object] = field(default_factory=list)
    current: str | None = None

    @property
    def name(self) -> str:
        return objects.name(self.object)

    @property
    def kind(self) -> str:
        return objects.kind(self.object)

    @property
    def template(self) -> Object:
        return objects.template(self.object)

    @property
    def template_labels(self) -> dict[str, str]:
        return objects.labels_of(self.template)

    @property
    def alive(self) -> list[Object]:
        """Pods that run, or are meant to."""
        return [pod for pod in self.pods if not pods.has_ended(pod) and not pods.is_terminating(pod)]

    @property
    def ready(self) -> list[Object]:
        return [pod for pod in self.alive if pods.is_ready(pod)]

    def is_current(self, pod: Object) -> bool | None:
        """Whether the pod is of the newest revision; None when that is not known."""
        return None if self.current is None else revision_of(pod, self.kind) == self.current


@dataclass
class Wanted:
    """What was asked for. ``requirements`` is None without a selector."""

    kind: str
    names: tuple[str, ...]
    selector: str
    requirements: selectors.Requirements | None
    minimum_pods: int

    @property
    def text(self) -> str:
        parts = [f"{self.kind} {', '.join(self.names[:MOST_NAMED])}"] if self.names else []
        return " and ".join([*parts, *([f"pods with {self.selector}"] if self.selector else [])])


@dataclass
class Selection:
    """``views`` in the order they were named, then by name; ``selected`` are the pods that meet the selector."""

    views: list[View]
    absent: list[str]
    selected: list[Object]


def wanted(params: Mapping[str, Any]) -> Wanted:
    """The options as one object; InputError for names that are empty or doubled, and for what is no selector."""
    names = [str(name).strip() for name in params["names"] or []]
    if "" in names:
        raise InputError("names holds an empty name; was a variable empty?", option="names")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"names holds {', '.join(twice)} more than once.", option="names")
    selector = (params["selector"] or "").strip()
    if not names and not selector:
        raise InputError("names and selector are both empty: say which workloads are meant.", option="names")
    if len(names) > MOST_WORKLOADS:
        raise InputError(f"names holds {len(names)} names; at most {MOST_WORKLOADS} go into one task.", option="names")
    if params["minimum_pods"] < 0:
        raise InputError("minimum_pods is below 0.", option="minimum_pods")
    requirements = selectors.parse(selector) if selector else None
    return Wanted(params["kind"], tuple(names), selector, requirements, params["minimum_pods"])


def kinds_for(kind: str) -> list[str]:
    """What must be listed to know the workloads of this kind, their pods and which revision these are of."""
    return [kind, "Pod", *{"Deployment": ["ReplicaSet"], "DaemonSet": ["ControllerRevision"]}.get(kind, [])]


def select(asked: Wanted, listed: Listed) -> Selection:
    """The workloads that are meant, with their pods. InputError when a selector takes in more than fit in one task."""
    everything = listed.of("Pod")
    selected = [pod for pod in everything if _meets(asked, objects.labels_of(pod))]
    by_name = {objects.name(one): one for one in listed.of(asked.kind)}
    owners = _Owners(listed, asked.kind)
    chosen = [by_name[name] for name in asked.names if name in by_name]
    if asked.requirements is not None:
        owned = {owners.of(pod) for pod in selected}
        named = set(asked.names)
        chosen += [
            one
            for name, one in sorted(by_name.items())
            if name not in named
            and (objects.uid(one) in owned or _meets(asked, objects.labels_of(objects.template(one))))
        ]
    if len(chosen) > MOST_WORKLOADS:
        raise InputError(
            f"selector {asked.selector} takes in {len(chosen)} workloads; at most {MOST_WORKLOADS} go into one task.",
            option="selector",
        )
    absent = [name for name in asked.names if name not in by_name]
    return Selection([_view(one, listed, owners) for one in chosen], absent, selected)


def _meets(asked: Wanted, labels: Mapping[str, str]) -> bool:
    return asked.requirements is not None and selectors.matches(asked.requirements, labels)


class _Owners:
    """Which pods and ReplicaSets belong to which workload, told by its uid. Never by labels where owners are told."""

    def __init__(self, listed: Listed, kind: str) -> None:
        self._workloads = listed.of(kind)
        self._through = {objects.uid(one): objects.controller_uid(one) for one in listed.of("ReplicaSet")}
        self._blind = kind == "Deployment" and "ReplicaSet" in listed.problems
        self.pods: dict[str, list[Object]] = {}
        self.replica_sets: dict[str, list[Object]] = {}
        for pod in sorted(listed.of("Pod"), key=objects.name):
            self.pods.setdefault(self.of(pod), []).append(pod)
        for one in listed.of("ReplicaSet"):
            self.replica_sets.setdefault(objects.controller_uid(one), []).append(one)

    def of(self, pod: Object) -> str:
        """The uid of the workload that a pod belongs to, through its ReplicaSet."""
        owner = objects.controller_uid(pod)
        if not self._blind:
            return self._through.get(owner, owner)
        # Without a right to see ReplicaSets: their pods bear the Deployment's labels, and a name that begins as its own.
        for one in self._workloads:
            mine = objects.selects((one.get("spec") or {}).get("selector"), objects.labels_of(pod))
            if mine and objects.name(pod).startswith(f"{objects.name(one)}-"):
                return objects.uid(one)
        return owner


def _view(workload: Object, listed: Listed, owners: _Owners) -> View:
    uid = objects.uid(workload)
    view = View(workload, rollout_of(workload), owners.pods.get(uid, []), owners.replica_sets.get(uid, []))
    view.current = _current(view, listed)
    return view


def _current(view: View, listed: Listed) -> str | None:
    """Which label value pods of the newest revision bear; None while the controller has not seen the newest template."""
    if view.rollout.reason == "NotObserved":
        return None
    if view.kind == "StatefulSet":
        return view.rollout.revision or None
    if view.kind == "DaemonSet":
        newest = max(
            objects.owned_by(view.object, listed.of("ControllerRevision")),
            key=lambda one: int(one.get("revision") or 0),
            default=None,
        )
        return objects.labels_of(newest).get("controller-revision-hash") if newest else None
    revision = objects.annotations_of(view.object).get(REVISION)
    same = [one for one in view.replica_sets if revision and objects.annotations_of(one).get(REVISION) == revision]
    return objects.labels_of(same[0]).get("pod-template-hash") if same else None


def revision_of(pod: Object, kind: str) -> str | None:
    label = "pod-template-hash" if kind == "Deployment" else "controller-revision-hash"
    return objects.labels_of(pod).get(label)


def alternatives(asked: Wanted, listed: Listed) -> str:
    """For a selector that meets nothing: which labels the pods or templates that are there do have."""
    if asked.requirements is None:
        return ""
    keys = sorted({requirement.key for requirement in asked.requirements})
    only_outside = [
        objects.name(one)
        for one in listed.of(asked.kind)
        if _meets(asked, objects.labels_of(one)) and not _meets(asked, objects.labels_of(objects.template(one)))
    ]
    said = []
    if only_outside:
        said.append(
            f"the {asked.kind} itself bears it, its pods do not ({_some(only_outside)}): a selector of pods needs the "
            "label in spec.template.metadata.labels"
        )
    rows = [(objects.name(one), objects.labels_of(objects.template(one))) for one in listed.of(asked.kind)]
    rows = rows or [(objects.name(pod), _own_labels(pod)) for pod in listed.of("Pod")]
    if rows:
        noun = "pods of" if listed.of(asked.kind) else "pods:"
        shown = "; ".join(f"{name} have {selectors.text(labels)}" for name, labels in rows[:MOST_NAMED])
        said.append(f"no pod here meets {', '.join(keys)} as asked; {noun} {observed(shown, 900)}")
    else:
        said.append(f"there is no {asked.kind} and no pod in namespace {listed.namespace}")
    return "; ".join(said)


def _own_labels(pod: Object) -> dict[str, str]:
    machine = ("pod-template-hash", "controller-revision-hash", "pod-template-generation")
    return {key: value for key, value in objects.labels_of(pod).items() if key not in machine}


def elsewhere(cluster: Cluster, asked: Wanted, namespace: str, names: Iterable[str]) -> str:
    """Other namespaces that hold what was looked for, as a sentence; empty when there is none or it may not be known."""

    def named(name: str) -> Callable[[], list[Object]]:
        return lambda: cluster.list(asked.kind, fields=f"metadata.name={name}")

    reads = {name: named(name) for name in list(names)[:MOST_LOOKED_FOR]}
    if not reads and asked.selector:
        reads = {asked.selector: lambda: cluster.list("Pod", labels=asked.selector)}
    found = []
    for what, answer in gather.all_of(reads).items():
        places = sorted({objects.namespace(one) for one in answer.value or []} - {namespace})
        if places:
            found.append(f"{what} is in namespace {_some(places)}")
    return "; ".join(found)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more

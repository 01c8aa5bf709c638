# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The revisions of one Deployment, StatefulSet or DaemonSet: which there are, which one is current, which is known good.

A Deployment keeps its revisions in ReplicaSets, the others in ControllerRevisions. Only those whose controller is the
workload itself count: others may bear the same labels. Numbers change: the controller gives a revision that comes back
the next free number. A ReplicaSet remembers the numbers it had; for ControllerRevisions Kubernetes does not, so
``rollout_undo`` notes on the workload those that it takes away. Names never change, since they hold a hash of the
template.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import kubernetes_objects as objects
from . import redact
from .errors import InputError
from .kubernetes_client import Cluster
from .kubernetes_errors import NotFoundError
from .kubernetes_objects import Object

REVISION = "deployment.kubernetes.io/revision"
EARLIER = "deployment.kubernetes.io/revision-history"
CHANGE_CAUSE = "kubernetes.io/change-cause"
HASH_LABEL = "pod-template-hash"

OURS = "sre.runbooks/"
KNOWN_GOOD = f"{OURS}known-good"
KNOWN_GOOD_AT = f"{OURS}known-good-at"
RENUMBERED = f"{OURS}earlier-revisions"

CHILDREN = {"Deployment": "ReplicaSet", "StatefulSet": "ControllerRevision", "DaemonSet": "ControllerRevision"}
CAUSE_CHARACTERS = 500
NAMED_IN_MESSAGES = 12


@dataclass(frozen=True)
class Revision:
    """One revision. ``source`` is its ReplicaSet or ControllerRevision, ``template`` the pod template in it.

    ``number`` is None where it bears none. ``earlier`` are numbers it is known to have had, oldest first. ``replicas``
    are its pods as far as the controller counts them by revision, else None. ``change_cause`` is empty when not given.
    """

    number: int | None
    name: str
    hash: str
    images: dict[str, str]
    change_cause: str
    created: str
    replicas: int | None
    earlier: tuple[int, ...]
    current: bool
    known_good: bool
    template: Object
    source: Object

    def brief(self) -> dict[str, Any]:
        """What names it, as JSON types."""
        return {
            "revision": self.number,
            "name": self.name,
            "hash": self.hash,
            "images": self.images,
            "change_cause": self.change_cause or None,
        }

    def as_dict(self) -> dict[str, Any]:
        """JSON types, without the template."""
        return {
            **self.brief(),
            "created": self.created,
            "replicas": self.replicas,
            "current": self.current,
            "known_good": self.known_good,
            "earlier_revisions": list(self.earlier),
        }

    def __str__(self) -> str:
        number = "without a number" if self.number is None else str(self.number)
        return f"{number} ({self.name}, {', '.join(dict.fromkeys(self.images.values())) or 'no image'})"


@dataclass(frozen=True)
class History:
    """All revisions of ``workload``, lowest number first."""

    workload: Object
    revisions: tuple[Revision, ...]

    @property
    def current(self) -> Revision | None:
        """The revision of the workload's template; None when the controller has made none of it yet."""
        return next((one for one in self.revisions if one.current), None)

    @property
    def known_good(self) -> Revision | None:
        """The revision that the marker names; None when there is no marker, or no such revision any more."""
        return next((one for one in self.revisions if one.known_good), None)

    @property
    def newest_first(self) -> list[Revision]:
        return list(reversed(self.revisions))

    def named(self, name: str) -> Revision | None:
        return next((one for one in self.revisions if one.name == name), None)

    def text(self) -> str:
        """The revisions in one line, newest first: for messages."""
        shown = [f"{one}{', current' if one.current else ''}" for one in self.newest_first[:NAMED_IN_MESSAGES]]
        more = len(self.revisions) - len(shown)
        return "; ".join(shown) + (f"; and {more} older" if more > 0 else "") if shown else "none"


def read(cluster: Cluster, kind: str, namespace: str, name: str) -> History:
    """The history of one workload, in two requests. InputError when it, or its namespace, does not exist."""
    try:
        return read_existing(cluster, kind, namespace, name)
    except NotFoundError:
        cluster.require_namespace(namespace)
        raise InputError(
            f"{objects.key(kind, namespace, name)} does not exist. Is it another kind, another namespace or context?",
            option="name",
            absent=True,
        ) from None


def read_existing(cluster: Cluster, kind: str, namespace: str, name: str) -> History:
    """As ``read``, with NotFoundError when the workload does not exist."""
    workload = cluster.get(kind, namespace, name)
    labels = objects.selector_text((workload.get("spec") or {}).get("selector"))
    return history_of(workload, cluster.list(CHILDREN[kind], namespace, labels=labels))


def history_of(workload: Object, children: Iterable[Object]) -> History:
    """``children`` are candidates: ReplicaSets or ControllerRevisions, of which only the owned ones count."""
    own = sorted(objects.owned_by(workload, children), key=_order)
    current = _current(workload, own)
    good = objects.annotations_of(workload).get(KNOWN_GOOD, "")
    noted = renumbered(workload)
    revisions = (
        _revision(workload, child, noted, current=objects.name(child) == current, good=objects.name(child) == good)
        for child in own
    )
    return History(workload, tuple(revisions))


def observed(workload: Object) -> bool:
    """Whether the controller has seen the workload as it is."""
    seen = int((workload.get("status") or {}).get("observedGeneration") or 0)
    return 0 < objects.generation(workload) <= seen


def number_of(child: Object) -> int | None:
    """The revision number of a ReplicaSet or ControllerRevision."""
    if child.get("kind") == "ReplicaSet":
        return objects.annotation_int(child, REVISION)
    return int(child.get("revision") or 0)


def template_of(child: Object) -> Object:
    """The pod template that a ReplicaSet or ControllerRevision holds, without what marks it as one of its own."""
    if child.get("kind") == "ReplicaSet":
        return without_hash(objects.template(child))
    data = child.get("data") or {}
    found = (data.get("spec") or {}).get("template") or {}
    return {key: value for key, value in found.items() if key != "$patch"}


def without_hash(template: Object) -> Object:
    """The template without the label by which a Deployment tells its ReplicaSets apart."""
    metadata = dict(template.get("metadata") or {})
    labels = {key: value for key, value in (metadata.get("labels") or {}).items() if key != HASH_LABEL}
    return {**template, "metadata": {**metadata, "labels": labels}}


def same_template(one: Object, other: Object) -> bool:
    """Whether two templates mean the same, whatever server wrote them."""
    return bool(_plain(without_hash(one)) == _plain(without_hash(other)))


def _plain(value: Any) -> Any:
    """Without nulls, and without the empty structures that one release writes and another leaves out."""
    if isinstance(value, dict):
        kept = {key: _plain(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {} or key not in ("labels", "metadata", "resources")}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def renumbered(workload: Object) -> dict[int, str]:
    """Numbers that ``rollout_undo`` took from a ControllerRevision, with its name: the note on the workload."""
    found = {}
    for part in objects.annotations_of(workload).get(RENUMBERED, "").split(","):
        number, _sign, name = part.strip().partition("=")
        if number.isdecimal() and name:
            found[int(number)] = name
    return found


def _order(child: Object) -> tuple[int, str, str]:
    number = number_of(child)
    made = str((child.get("metadata") or {}).get("creationTimestamp") or "")
    return (-1 if number is None else number, made, objects.name(child))


def _current(workload: Object, own: list[Object]) -> str:
    """The name of the child that holds the workload's template; empty when there is none yet."""
    status = workload.get("status") or {}
    if workload.get("kind") == "StatefulSet" and observed(workload) and status.get("updateRevision"):
        return str(status["updateRevision"])
    wanted = objects.template(workload)
    equal = [child for child in own if same_template(template_of(child), wanted)]
    if equal and workload.get("kind") == "Deployment":
        # Of several equal ones the controller takes the oldest.
        return objects.name(min(equal, key=lambda child: str(child["metadata"].get("creationTimestamp") or "")))
    if equal:
        return objects.name(equal[-1])
    if workload.get("kind") == "DaemonSet" and observed(workload) and own:
        # Written by an older server, with other defaults: the controller gives the current one the highest number.
        return objects.name(own[-1])
    return ""


def _revision(workload: Object, child: Object, noted: Mapping[int, str], current: bool, good: bool) -> Revision:
    template = template_of(child)
    name = objects.name(child)
    cause = objects.annotations_of(child).get(CHANGE_CAUSE, "")
    return Revision(
        number=number_of(child),
        name=name,
        hash=_hash(workload, child),
        images=objects.images(template),
        change_cause=redact.observed(cause, CAUSE_CHARACTERS) if cause else "",
        created=str((child.get("metadata") or {}).get("creationTimestamp") or ""),
        replicas=_replicas(workload, child, current),
        earlier=_earlier(child, noted),
        current=current,
        known_good=good,
        template=template,
        source=child,
    )


def _hash(workload: Object, child: Object) -> str:
    """The pod-template-hash, or the part of a ControllerRevision's name that is one."""
    return objects.labels_of(child).get(HASH_LABEL) or objects.name(child).removeprefix(f"{objects.name(workload)}-")


def _earlier(child: Object, noted: Mapping[int, str]) -> tuple[int, ...]:
    if child.get("kind") != "ReplicaSet":
        return tuple(sorted(number for number, name in noted.items() if name == objects.name(child)))
    written = objects.annotations_of(child).get(EARLIER, "")
    return tuple(int(part) for part in written.split(",") if part.strip().isdecimal())


def _replicas(workload: Object, child: Object, current: bool) -> int | None:
    status = workload.get("status") or {}
    if child.get("kind") == "ReplicaSet":
        return int((child.get("status") or {}).get("replicas") or 0)
    if workload.get("kind") == "DaemonSet":
        return int(status.get("updatedNumberScheduled") or 0) if current else None
    if current:
        return int(status.get("updatedReplicas") or 0)
    return int(status.get("currentReplicas") or 0) if objects.name(child) == status.get("currentRevision") else None

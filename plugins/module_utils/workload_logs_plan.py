# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which logs are wanted: of which pods, of which of their containers, and why a container has none. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from . import kubernetes_logs as logs
from . import kubernetes_objects as objects
from . import kubernetes_pods as pods
from .kubernetes_logs import Log, Wanted
from .kubernetes_objects import Object
from .kubernetes_pods import Container
from .workload_view import Selection, View

OTHERS = "other_pods"  # no name of a workload: these have no underscore


@dataclass
class Entry:
    """One container. Either ``wanted`` says which log is read, or ``note`` why there is none."""

    pod: Object
    container: Container
    wanted: Wanted | None
    note: str = ""
    log: Log | None = None

    @property
    def lost(self) -> bool:
        """It has a log that could not be read. A run that is over may have none any more, and so may a pod that is."""
        if self.log is None or self.log.problem is None:
            return False
        over = self.log.wanted.previous or self.container.state != "running" or self.log.pod_gone
        return not (self.log.absent and over)


@dataclass
class Group:
    """The pods of one workload, or those that meet the selector and belong to none: ``view`` is None then."""

    name: str
    view: View | None
    pods: list[Object]
    chosen: list[Object] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)


def groups_of(selection: Selection, most_pods: int, *, previous: bool, inits: bool) -> list[Group]:
    """The workloads in their order, then the pods of none. When the pods are too many, each group gives some."""
    groups = [Group(view.name, view, view.pods) for view in selection.views]
    owned = {objects.uid(pod) for group in groups for pod in group.pods}
    others = sorted((pod for pod in selection.selected if objects.uid(pod) not in owned), key=objects.name)
    if others:
        groups.append(Group(OTHERS, None, others))
    ranked = sorted(
        ((rank, number, pod) for number, group in enumerate(groups) for rank, pod in enumerate(_telling(group.pods))),
        key=lambda row: row[:2],
    )
    for _rank, number, pod in ranked[:most_pods]:
        groups[number].chosen.append(pod)
    for group in groups:
        group.chosen.sort(key=objects.name)
        group.entries = [entry for pod in group.chosen for entry in _entries(pod, previous, inits)]
    return groups


def _telling(found: Sequence[Object]) -> list[Object]:
    """Pods that are in trouble first, those that have ended last."""
    return sorted(found, key=lambda pod: (pods.has_ended(pod), pods.is_ready(pod), objects.name(pod)))


def _entries(pod: Object, previous: bool, inits: bool) -> Iterator[Entry]:
    for container in pods.containers(pod):
        if container.init and not (inits or _matters(container)):
            continue
        name = objects.name(pod)
        runs = logs.wanted_of(name, container)
        if previous:
            runs = [run for run in runs if run.previous]
        yield Entry(pod, container, runs[-1] if runs else None, "" if runs else _why_none(pod, container, previous))


def _matters(container: Container) -> bool:
    """An init container that runs (it keeps the others waiting, or is a sidecar), or whose last run failed."""
    end = container.latest_end
    return container.state == "running" or bool(end and end.exit_code != 0)


def _why_none(pod: Object, container: Container, previous: bool) -> str:
    if previous and container.has_run:
        if container.restarts:
            return f"restarted {container.restarts} times, but the end of the run before is not known any more"
        return "never restarted: there is no run before this one"
    said = ": ".join(part for part in (container.reason, container.message) if part)
    return f"has not started: {said or pods.words(pod)}"

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many reads of one cluster at once. What could not be read is an observation too: each answer is a value or a problem."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .errors import InputError, RunbookError
from .kubernetes_client import Cluster
from .kubernetes_objects import Object

MOST_AT_ONCE = 8
Value = TypeVar("Value")
Key = TypeVar("Key")


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """What a read gave: ``problem`` says why it gave nothing, and names the missing verb where that is the reason."""

    value: Value
    problem: RunbookError | None = None


@dataclass
class Listed:
    """The objects of a namespace by kind. A kind that could not be listed is empty, and has a problem."""

    namespace: str
    objects: dict[str, list[Object]] = field(default_factory=dict)
    problems: dict[str, RunbookError] = field(default_factory=dict)

    def of(self, kind: str) -> list[Object]:
        return self.objects.get(kind, [])

    def unseen(self, *kinds: str) -> str:
        """Why one of these kinds is not known; empty when all are."""
        return "; ".join(self.problems[kind].message for kind in kinds if kind in self.problems)


def all_of(reads: Mapping[Key, Callable[[], Value]]) -> dict[Key, Answer[Value | None]]:
    """Each read's value or problem, a few at a time. InputError is the caller's mistake and is raised."""

    def attempt(read: Callable[[], Value]) -> Answer[Value | None]:
        try:
            return Answer(read())
        except InputError:
            raise
        except RunbookError as problem:
            return Answer(None, problem)

    if not reads:
        return {}
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(reads))) as pool:
        return dict(zip(reads, pool.map(attempt, reads.values()), strict=True))


def namespace(cluster: Cluster, name: str, kinds: Iterable[str]) -> Listed:
    """Every object of these kinds in one namespace, one list request for each kind."""

    def reader(kind: str) -> Callable[[], list[Object]]:
        return lambda: cluster.list(kind, name)

    found = Listed(name)
    for kind, answer in all_of({kind: reader(kind) for kind in kinds}).items():
        found.objects[kind] = answer.value or []
        if answer.problem:
            found.problems[kind] = answer.problem
    return found


def once(read: Callable[[], Any]) -> Answer[Any]:
    """One read, as ``all_of`` does many."""
    return all_of({"": read})[""]

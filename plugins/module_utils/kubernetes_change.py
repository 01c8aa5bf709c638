# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modules that change one object share: finding it, and starting over when somebody else was quicker."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from . import kubernetes_objects as objects
from .errors import InputError, RunbookError, UnreachableError
from .kubernetes_client import Cluster
from .kubernetes_errors import ConflictError, ForbiddenError, NotFoundError
from .operation import Context

MOST_TRIES = 8
FIRST_PAUSE_SECONDS = 0.1
MOST_NAMES = 20

Result = TypeVar("Result")


def existing(cluster: Cluster, kind: str, namespace: str, name: str) -> dict[str, Any]:
    """The object; InputError when it, or its namespace, does not exist, with the names of those that do."""
    if not name.strip():
        raise InputError("name is empty; was a variable empty?", option="name")
    try:
        return cluster.get(kind, namespace, name)
    except NotFoundError:
        cluster.require_namespace(namespace)
    try:
        names = [objects.name(one) for one in cluster.list(kind, namespace)]
    except ForbiddenError:
        names = []
    there = f"There are: {_some(name, names)}." if names else f"No {kind} was found there."
    raise InputError(
        f"{objects.key(kind, namespace, name)} does not exist on {cluster.url}. {there}", option="name", there=names
    )


def until_settled(context: Context, attempt: Callable[[], Result]) -> Result:
    """Run ``attempt``, which reads, plans and writes with a lock, again when the object changed in between.

    Controllers write the status of a workload all the time, so this is ordinary. ConflictError when it goes on.
    """
    for number in range(1, MOST_TRIES + 1):
        try:
            return attempt()
        except ConflictError as error:
            if number == MOST_TRIES:
                raise ConflictError(
                    f"{error.message} {MOST_TRIES} tries, nothing was changed by the last. Who writes it all the time?",
                    **error.details,
                ) from None
            pause = FIRST_PAUSE_SECONDS * number
            context.clock.sleep(context.deadline.within(pause, "trying again after a conflict"))
    raise AssertionError("unreachable")


def written(key: str, write: Callable[[], Result]) -> Result:
    """The answer to a write that is meant to be stored; says so when nobody knows whether it was."""
    try:
        return write()
    except UnreachableError as error:
        raise RunbookError(
            f"{key}: the API server was lost while the change was written, so whether it is stored is not known. "
            f"It is safe to run this task again. {error.message}",
            changed=None,
        ) from None


def warn_all(context: Context, key: str, rows: Iterable[dict[str, str]]) -> None:
    """Show {id, text} rows, which are also returned as data, as warnings of the task."""
    for row in rows:
        context.warn(f"{key}: {row['text']}")


def _some(name: str, names: list[str]) -> str:
    close = difflib.get_close_matches(name, names, MOST_NAMES, 0.5)
    chosen = [*close, *(one for one in names if one not in close)][:MOST_NAMES]
    more = f" and {len(names) - len(chosen)} more" if len(names) > len(chosen) else ""
    return f"{', '.join(chosen)}{more}"

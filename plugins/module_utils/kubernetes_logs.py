# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ends of container logs, bounded in lines and bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from . import log_failures
from .errors import RunbookError
from .kubernetes_client import Cluster
from .kubernetes_errors import ApiError, NotFoundError
from .kubernetes_pods import Container
from .log_failures import Statement
from .redact import observed

FEWEST_LINES = 1
GONE = b"unable to retrieve container logs for "  # with HTTP 200
LINE_CHARACTERS = 400


@dataclass(frozen=True)
class Wanted:
    """One log: of the run that goes on (or has just ended), or of the one before."""

    pod: str
    container: str
    previous: bool

    @property
    def source(self) -> str:
        return "previous log" if self.previous else "log"


@dataclass
class Log:
    """``lines`` is None when it could not be read, and ``problem`` says why; ``cut`` when its beginning is left out."""

    wanted: Wanted
    lines: list[str] | None = None
    cut: bool = False
    problem: RunbookError | None = None
    _statements: list[Statement] | None = field(default=None, repr=False)

    @property
    def absent(self) -> bool:
        """There is no such log (any more): the container has not restarted, or its log was cleared away."""
        return isinstance(self.problem, ApiError) and self.problem.status in (400, 404)

    @property
    def pod_gone(self) -> bool:
        """The pod itself is not there any more."""
        return isinstance(self.problem, NotFoundError)

    def statements(self) -> list[Statement]:
        if self._statements is None:
            self._statements = log_failures.statements(self.lines or [])
        return self._statements

    def as_dict(self, most_lines: int) -> dict[str, Any]:
        shown = (self.lines or [])[-most_lines:] if most_lines else []
        return {
            "pod": self.wanted.pod,
            "container": self.wanted.container,
            "previous": self.wanted.previous,
            "lines": [observed(line, LINE_CHARACTERS) for line in shown],
            "lines_read": None if self.lines is None else len(self.lines),
            "cut": self.cut,
            "problem": self.problem.message if self.problem else None,
        }


def wanted_of(pod: str, container: Container) -> list[Wanted]:
    """Which logs tell of a container. While it waits to be started again both are the same: one is asked for."""
    if container.state == "waiting":
        return [Wanted(pod, container.name, True)] if container.last else []
    if not container.has_run:
        return []
    before = [Wanted(pod, container.name, True)] if container.restarts and container.last else []
    return [*before, Wanted(pod, container.name, False)]


def read(
    cluster: Cluster,
    namespace: str,
    wanted: Wanted,
    most_lines: int,
    most_bytes: int,
    *,
    since_seconds: int | None = None,
    lines_of: Callable[[bytes], list[str]] = log_failures.lines_of,
) -> Log:
    """The end of one log. ``lines_of`` makes lines of its bytes.

    The API server's limit of bytes cuts the *end* of what it was asked for, which is what matters: where it was reached,
    fewer lines are asked for, until they fit.
    """
    lines = most_lines
    while True:
        try:
            body = cluster.pod_log(
                namespace,
                wanted.pod,
                wanted.container,
                previous=wanted.previous,
                tail_lines=lines,
                limit_bytes=most_bytes,
                since_seconds=since_seconds,
            )
        except RunbookError as problem:
            return Log(wanted, problem=problem)
        if body.startswith(GONE):
            gone = f"the node has no log of that run of {wanted.pod}/{wanted.container} any more"
            return Log(wanted, problem=ApiError(gone, 404))
        fits = len(body) < most_bytes
        if fits or lines <= FEWEST_LINES:
            cut = not fits or body.count(b"\n") >= lines
            return Log(wanted, lines_of(body), cut)
        lines = max(FEWEST_LINES, lines // 4)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every service manager is to the collection: it reads states, starts, stops, and shows the last error lines."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

from .errors import RunbookError
from .service_time import iso, process_start

State = Literal["running", "stopped", "failed", "starting", "stopping", "unknown"]

RUNNING: State = "running"
STOPPED: State = "stopped"
FAILED: State = "failed"
STARTING: State = "starting"
STOPPING: State = "stopping"
UNKNOWN: State = "unknown"

TOLD_SECONDS = 1.0
SEEN_SECONDS = 0.05


class ManagerError(RunbookError):
    """The service manager could not be asked, or refused. The message says which manager, and what to do."""


@dataclass(frozen=True)
class Status:
    """One service as its manager sees it.

    ``active``: the manager holds it up or is about to (a crashed service that will be retried is active and failed);
    ``since``: epoch seconds at which the process of this state began (running, starting) or ended (stopped, failed);
    ``started``: epoch seconds of the last start, whatever came of it; ``resolution``: their exactness in seconds;
    ``exit_code``: of the process that ended last, negative for a signal, None while it runs; ``problem``: why the state
    is unknown; ``detail``: the manager's own words; ``logs``: paths by stream, where the manager tells them.
    """

    state: State
    active: bool = False
    pid: int | None = None
    since: float | None = None
    started: float | None = None
    resolution: float = TOLD_SECONDS
    exit_code: int | None = None
    problem: str = ""
    detail: dict[str, Any] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)

    def started_since(self, moment: float) -> bool:
        """Whether its process was started at ``moment`` or later, as far as the times can tell."""
        return self.since is not None and self.since > moment - self.resolution

    def as_dict(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "pid": self.pid,
            "since": iso(self.since),
            "started_at": iso(self.started),
            "exit_code": self.exit_code,
            "problem": self.problem,
            "detail": self.detail,
            "logs": self.logs,
        }

    def in_words(self) -> str:
        """The state for a message: ``failed (exit status 1, FATAL)``."""
        words = []
        if self.exit_code is not None:
            words.append(f"exit status {self.exit_code}" if self.exit_code >= 0 else f"signal {-self.exit_code}")
        if self.pid:
            words.append(f"pid {self.pid}")
        if self.detail.get("summary"):
            words.append(str(self.detail["summary"]))
        return f"{self.state} ({', '.join(words)})" if words else self.state


def with_exact_start(status: Status) -> Status:
    """The same status with the start of its process to hundredths of a second, where this machine's /proc tells it.

    Managers tell whole seconds. What /proc says is taken only when it agrees with that: another machine or container
    may have a process of the same number.
    """
    if status.pid is None or status.started is None or status.since != status.started:
        return status
    exact = process_start(status.pid)
    if exact is not None and -0.1 <= exact - status.started < TOLD_SECONDS + 0.1:
        return replace(status, since=exact, started=exact, resolution=SEEN_SECONDS)
    return status


class Manager(Protocol):
    """A service manager. Every method raises ManagerError when the manager cannot be asked or refuses."""

    name: str

    def read(self, services: list[str]) -> dict[str, Status]:
        """The status of each service; one that the manager does not have is ``unknown`` with its ``problem``."""

    def start(self, service: str) -> None:
        """Ask for a start; does not wait."""

    def stop(self, service: str) -> None:
        """Ask for a stop; does not wait."""

    def last_lines(self, service: str) -> str:
        """The last lines that the service wrote as errors, raw and bounded; empty when there are none to be had."""

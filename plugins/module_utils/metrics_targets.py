# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of many instances: one or two samples of each, read many at a time, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from . import http_client, metrics_evaluate
from .http_client import Answer
from .instances import Instance, Instances, Resolved, Target
from .metrics_evaluate import Reading
from .metrics_rules import Rule
from .metrics_text import ACCEPT, NoMetrics, Page, Wanted, is_counter
from .operation import Context

PATH = "/actuator/prometheus"
_REFUSED = {
    401: "the page wants credentials (HTTP 401)",
    403: "the credentials are not allowed to read the page (HTTP 403)",
    404: "there is no such page (HTTP 404)",
}


@dataclass
class Fetched:
    """A page at a time (seconds, monotonic, half way through the request); or why there is none."""

    at: float = 0.0
    page: Page | None = None
    problem: str = ""
    hint: str = ""
    status: int | None = None
    latency_ms: int = 0
    bytes: int = 0
    content_type: str = ""


@dataclass
class Slot:
    """The samples of one instance."""

    instance: Instance
    first: Fetched
    second: Fetched | None = None

    @property
    def last(self) -> Fetched:
        return self.second or self.first

    @property
    def name(self) -> str:
        """The pod; empty for a URL, which has one instance as far as anybody knows."""
        return self.instance.pod.name if self.instance.pod else ""

    def readings(self) -> tuple[Reading | None, Reading | None]:
        """The earlier and the later sample, parsed; the earlier one is None when there is one sample only.

        Raises NoMetrics when a line of a page cannot be read.
        """
        if self.second is None:
            return None, _reading(self.first)
        return _reading(self.first), _reading(self.second)

    def row(self, start_time: float | None, process: str, problem: str) -> dict[str, Any]:
        """What is returned of the instance."""
        target, last = self.instance.target, self.last
        return {
            "instance": self.name,
            "url": http_client.shown_url(http_client.join(target.url, path_of(target))) if target.url else "",
            "status": last.status,
            "content_type": last.content_type,
            "bytes": last.bytes,
            "latency_ms": last.latency_ms,
            "samples": 2 if self.second else 1,
            "process": process,
            "start_time": start_time,
            "problem": problem,
            "hint": last.hint,
        }


def path_of(target: Target) -> str:
    """The path that was asked for; a URL that has a path of its own is taken as it is."""
    if target.row.get("path"):
        return str(target.row["path"])
    return "" if target.url and urlsplit(target.url).path.strip("/") else PATH


def fetch(
    source: Instances, resolved: Sequence[Resolved], rules: Sequence[Rule], sample_seconds: float, context: Context
) -> list[Slot]:
    """Read every instance once, and where a rule has to see counters move a second time ``sample_seconds`` later."""
    wanted = Wanted(rule.sample_names(selector) for rule in rules for selector in rule.selectors)

    def one(instance: Instance) -> Fetched:
        return _fetched(instance, wanted, context)

    started = context.clock.monotonic()
    asked = [instance for one in resolved for instance in one.instances]
    pages = source.each(asked, one, "pages read")
    slots = [Slot(instance, page) for instance, page in zip(asked, pages, strict=True)]
    again = [slot for slot in slots if slot.first.page]
    if any(_moves(rule, slot.first.page) for slot in again for rule in rules):
        pause = min(started + sample_seconds - context.clock.monotonic(), context.deadline.remaining())
        context.progress(f"waiting {max(pause, 0):.0f} s for the second sample")
        context.clock.sleep(pause)
        pages = source.each([slot.instance for slot in again], one, "pages read again")
        for slot, page in zip(again, pages, strict=True):
            slot.second = page
    return slots


def _moves(rule: Rule, page: Page | None) -> bool:
    """Whether the rule is about counters of that page, and how they move."""
    if page is None or not rule.wants_two_samples:
        return False
    names = (name for selector in rule.selectors for name in rule.moving_names(selector))
    return any(name in page.there and is_counter(name, page.types) for name in names)


def _fetched(instance: Instance, wanted: Wanted, context: Context) -> Fetched:
    if instance.not_serving:
        return Fetched(problem=instance.not_serving, hint="A pod that does not run has no metrics.")
    answer = instance.fetch(path_of(instance.target), {"Accept": ACCEPT})
    fetched = Fetched(
        at=context.clock.monotonic() - answer.latency_ms / 2000,
        status=answer.status,
        latency_ms=answer.latency_ms,
        bytes=len(answer.body),
        content_type=answer.content_type,
    )
    fetched.problem, fetched.hint = _refused(answer)
    if not fetched.problem:
        try:
            fetched.page = wanted.page(answer.body, answer.content_type)
        except NoMetrics as problem:
            fetched.problem, fetched.hint = str(problem), "Is this the path of the metrics?"
    return fetched


def _refused(answer: Answer) -> tuple[str, str]:
    """Why an answer is no page of metrics, and what to do; empty when it may be one."""
    if answer.problem:
        return answer.summary(), answer.problem.hint
    if answer.status in http_client.REDIRECT_STATUS:
        location = http_client.shown_url(answer.headers.get("Location", "")) or "nowhere"
        return f"it redirects to {location}", "Give the address of the metrics themselves."
    if answer.status in _REFUSED:
        hint = (
            "Check the path, what the service exposes (management.endpoints.web.exposure.include), and the credentials."
        )
        return f"not exposed: {_REFUSED[answer.status]}", hint
    if answer.status != 200:
        return f"HTTP {answer.status}" + (f": {answer.excerpt(120)}" if answer.body else ""), ""
    if answer.more:
        return f"the page is longer than {len(answer.body)} bytes, so some of it is unknown", "Raise max_body_bytes."
    return "", ""


def _reading(fetched: Fetched) -> Reading | None:
    return metrics_evaluate.read(fetched.page, fetched.at) if fetched.page else None

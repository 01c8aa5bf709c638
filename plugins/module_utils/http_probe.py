# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A sequence of HTTP requests on one session, or many independent ones at once; each answer becomes checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from . import checks, http_auth, http_captures, http_client, redact
from .argspec import ArgumentSpec
from .checks import Check
from .http_probe_plan import OPTIONS, Item, plan
from .http_problems import NOTHING_OBSERVED
from .operation import Context

SPEC = ArgumentSpec(
    options={
        "requests": {"type": "list", "elements": "dict", "required": True, "options": OPTIONS},
        "base_url": {"type": "str"},
        "mode": {"type": "str", "default": "sequence", "choices": ["sequence", "parallel"]},
        "concurrency": {"type": "int", "default": 16},
        "secret_headers": {"type": "dict", "default": {}, "no_log": True},
        "max_json_chars": {"type": "int", "default": 2000},
    }
).merge(http_auth.SPEC, http_client.SPEC)

MAY_CHANGE = "it may change something"
MANY = 50  # requests from which on it is told how far they are


@dataclass
class Outcome:
    """What one item came to: the row of the result, its checks, its captures; ``planned`` when it was not sent."""

    row: dict[str, Any] | None = None
    checks: list[Check] = field(default_factory=list)
    captured: dict[str, Any] = field(default_factory=dict)
    planned: dict[str, Any] | None = None
    changed: bool = False

    @property
    def good(self) -> bool:
        return all(check.status == checks.PASS for check in self.checks)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Send the requests and judge the answers; see the module's RETURN."""
    settings = http_client.settings(params)
    concurrency = int(http_client.require_range(params, "concurrency", 1, 256))
    items = plan(params)
    secret_headers = http_auth.authorization(params, context.clock)
    secret_headers |= {name: str(value) for name, value in params["secret_headers"].items()}
    parallel = params["mode"] == "parallel"
    connections = concurrency if parallel else 4
    with http_client.Client(settings, context, connections=connections, cookies=not parallel) as client:
        probe = Probe(
            client, context, secret_headers, int(http_client.require_range(params, "max_json_chars", 0, 1_000_000))
        )
        outcomes = list(probe.parallel(items, concurrency) if parallel else probe.sequence(items))
    result = checks.report(
        (check for outcome in outcomes for check in outcome.checks),
        responses=[outcome.row for outcome in outcomes if outcome.row],
        planned=[outcome.planned for outcome in outcomes if outcome.planned],
    )
    result["changed"] = any(outcome.changed for outcome in outcomes)
    return result


@dataclass
class Probe:
    """One run of a probe."""

    client: http_client.Client
    context: Context
    secret_headers: Mapping[str, str]
    max_json_chars: int

    def sequence(self, items: list[Item]) -> Iterator[Outcome]:
        """One after the other. What comes after a request that was held back is held back too."""
        captured: dict[str, Any] = {}
        held = ""
        failed = ""
        for item in items:
            if not held and self.context.check_mode and item.changes:
                held = item.id
            if held:
                reason = MAY_CHANGE if held == item.id else f"its answer depends on {held}, which was not sent"
                yield _planned(item, captured, f"check mode: {reason}")
                continue
            absent = sorted(name for name in item.needs if captured.get(name) is None)
            if absent:
                outcome = _not_sent(item, f"<{absent[0]}> was not in the answer that should have given it")
            elif failed and item.changes:
                outcome = _not_sent(item, f"{MAY_CHANGE}, and {failed} was not as expected")
            else:
                outcome = self.ask(item, captured)
            captured |= outcome.captured
            failed = failed or ("" if outcome.good else item.id)
            yield outcome

    def parallel(self, items: list[Item], concurrency: int) -> Iterator[Outcome]:
        """All at once, at most ``concurrency`` at a time; outcomes in the order of the items."""
        with ThreadPoolExecutor(min(concurrency, len(items)), thread_name_prefix="probe") as pool:
            for done, outcome in enumerate(pool.map(self._one_of_many, items), start=1):
                if len(items) >= MANY:
                    self.context.progress(f"{done} of {len(items)} answered")
                yield outcome

    def _one_of_many(self, item: Item) -> Outcome:
        if self.context.check_mode and item.changes:
            return _planned(item, {}, f"check mode: {MAY_CHANGE}")
        return self.ask(item, {})

    def ask(self, item: Item, captured: Mapping[str, Any]) -> Outcome:
        """Send one item, again and again where it has ``until``, and judge the last answer."""
        clock = self.context.clock
        end = clock.monotonic() + (item.until.seconds if item.until else 0)
        polls = 0
        while True:
            polls += 1
            answer = self.client.send(item.request(captured, self.secret_headers))
            document, unreadable = _document(answer, item)
            found = _judge(item, answer, document, unreadable)
            left = min(end - clock.monotonic(), self.context.deadline.remaining())
            if not item.until or left <= 0 or all(check.status == checks.PASS for check in found):
                break
            unmet = next(check for check in found if check.status != checks.PASS)
            self.context.progress(f"{item.id}: waiting, {left:.0f} s left: {unmet.title}: {unmet.observed}")
            clock.sleep(min(item.until.interval_seconds, left))
        values = {name: expression.search(document) for name, expression in item.captures.items()}
        row = self._row(item, answer, document, unreadable)
        row["polls"] = polls
        row["captured"] = redact.structure(values)
        return Outcome(row, found, values, changed=item.changes and answer.status in item.status)

    def _row(self, item: Item, answer: http_client.Answer, document: Any, unreadable: str) -> dict[str, Any]:
        row: dict[str, Any] = {
            "id": item.id,
            "method": answer.method,
            "url": answer.url,
            "status": answer.status,
            "latency_ms": answer.latency_ms,
            "attempts": answer.attempts,
            "bytes": len(answer.body),
            "content_type": answer.content_type,
            "redirects": answer.redirects,
            "location": http_client.shown_url(answer.headers.get("Location", "")),
            "problem": answer.problem.text if answer.problem else "",
            "problem_kind": answer.problem.kind if answer.problem else "",
        }
        if unreadable:
            text = answer.excerpt(self.max_json_chars) if answer.body else ""
            return row | {"json": None, "text": text, "cut": answer.more}
        shown = redact.structure(document, self.max_json_chars)
        text = json.dumps(shown, ensure_ascii=False)
        if len(text) > self.max_json_chars:
            return row | {"json": None, "text": text[: self.max_json_chars], "cut": True}
        return row | {"json": shown, "text": "", "cut": False}


def _document(answer: http_client.Answer, item: Item) -> tuple[Any, str]:
    """The JSON of an answer, or why there is none."""
    if item.method == "HEAD":
        return None, "the answer to HEAD has no body"
    try:
        return answer.json(), ""
    except ValueError as error:
        return None, str(error)


def _judge(item: Item, answer: http_client.Answer, document: Any, unreadable: str) -> list[Check]:
    answered = _answered(item, answer)
    found = [answered]
    if item.max_latency_ms is not None:
        found.append(_latency(item, answer, item.max_latency_ms))
    for number, expected in enumerate(item.expectations, start=1):
        check = Check(
            id=f"{item.id}.{number}",
            title=f"{item.title}: {expected.title}",
            status=checks.UNVERIFIED,
            observed="no answer to look at",
            expected=expected.title,
            hint=item.hint,
            runbook=item.runbook,
            duration_ms=answer.latency_ms,
        )
        if answered.status == checks.PASS and unreadable:
            # a body that was cut at our own limit may well be what is expected
            check.status, check.observed = (checks.UNVERIFIED if answer.more else checks.FAIL), unreadable
        elif answered.status == checks.PASS:
            right, check.observed, hint = expected.holds(document)
            check.status = checks.status_of(right)
            check.hint = _sentences(hint, item.hint)
        found.append(check)
    return found


def _answered(item: Item, answer: http_client.Answer) -> Check:
    check = Check(
        id=item.id,
        title=item.title,
        status=checks.status_of(answer.status in item.status),
        observed=answer.summary(),
        expected="HTTP " + " or ".join(str(code) for code in item.status),
        hint=item.hint,
        runbook=item.runbook,
        duration_ms=answer.latency_ms,
    )
    if answer.problem:
        check.status = checks.UNVERIFIED if answer.problem.kind in NOTHING_OBSERVED else checks.FAIL
        check.hint = _sentences(answer.problem.hint, item.hint)
    elif check.status == checks.FAIL:
        check.hint = _sentences(_hint_on_status(answer), item.hint)
    return check


def _latency(item: Item, answer: http_client.Answer, most_ms: int) -> Check:
    known = answer.status is not None and not answer.problem
    return Check(
        id=f"{item.id}.latency",
        title=f"{item.title}: latency",
        status=checks.status_of(answer.latency_ms <= most_ms if known else None),
        observed=f"{answer.latency_ms} ms" if known else answer.summary(),
        expected=f"at most {most_ms} ms",
        hint=_sentences("One request, from sending to the last byte; a single one is no percentile.", item.hint),
        runbook=item.runbook,
        duration_ms=answer.latency_ms,
    )


def _hint_on_status(answer: http_client.Answer) -> str:
    if answer.status in http_client.REDIRECT_STATUS:
        location = http_client.shown_url(answer.headers.get("Location", "")) or "nowhere"
        return f"It redirects to {location}: correct the URL, or set follow_redirects."
    return {
        401: "The credentials are missing, wrong or expired.",
        403: "The credentials are known, but not allowed this.",
        404: "Nothing lives under this path: check the URL, and what it is that answers there.",
        405: "The path exists, but not for this method.",
        429: "The server limits the rate of requests.",
    }.get(answer.status or 0, f"It said: {answer.excerpt(120)}" if answer.body else "")


def _not_sent(item: Item, reason: str) -> Outcome:
    check = Check(item.id, item.title, checks.UNVERIFIED, f"not sent: {reason}", "an answer", item.hint, item.runbook)
    return Outcome(checks=[check])


def _planned(item: Item, captured: Mapping[str, Any], reason: str) -> Outcome:
    url = http_client.shown_url(http_captures.fill_url(item.url, captured))
    row = {"id": item.id, "method": item.method, "url": url, "reason": reason}
    return Outcome(planned=row, changed=item.changes)


def _sentences(*parts: str) -> str:
    return " ".join(part for part in parts if part)

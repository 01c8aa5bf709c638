# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether orders can reach BackOffice at all: the gateway answers, and its Kafka publisher is on and gets through.

With the publisher off (its default) an order is accepted all the same and never arrives anywhere.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import checks, gateway_metrics, http_client
from .argspec import ArgumentSpec
from .backoffice_api import Api, Credentials
from .checks import PASS, UNVERIFIED, Check, status_of
from .gateway_metrics import Publisher
from .operation import Context

MOST_WAITING = 100
RUNBOOK = "Prereqs"
NOBODY = Credentials({}, None, None, made_here=False)

SPEC = http_client.SPEC.merge(
    ArgumentSpec(
        options={
            "url": {"type": "str", "required": True},
            "max_queue_depth": {"type": "int", "default": MOST_WAITING},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at /health and /metrics of the gateway."""
    settings = http_client.settings(params)
    url = http_client.check_url(params["url"], "url")
    http_client.require_range(params, "max_queue_depth", 0, 10**9)
    with http_client.Client(settings, context) as client:
        rows, seen = look(Api(client, url, NOBODY, context.clock), params["max_queue_depth"])
    return checks.report(rows, url=http_client.shown_url(url), publisher=asdict(seen) if seen else None)


def look(gateway: Api, max_waiting: int = MOST_WAITING) -> tuple[list[Check], Publisher | None]:
    """The checks gateway.health, gateway.publisher and gateway.queue, and what the publisher shows of itself."""
    reply = gateway.get("/health", token=False)
    alive = reply.meaning == "ok"
    hint = "It answers health while its publisher is off or its broker is down: see gateway.publisher."
    health = Check("gateway.health", "Gateway answers", PASS if alive else reply.status, reply.text, "HTTP 200")
    health.hint, health.runbook, health.duration_ms = hint if alive else reply.hint, RUNBOOK, reply.answer.latency_ms
    if reply.answer.status is None:
        return [health, _publisher(None, "no answer from the gateway")], None
    seen, why = _metrics(gateway)
    rows = [health, _publisher(seen, why)]
    if seen and seen.enabled:
        rows.append(_queue(seen, max_waiting))
    return rows, seen


def backlog(gateway: Api) -> str:
    """What the publisher holds back or lost, in words; empty when nothing is known to be."""
    seen = _metrics(gateway)[0]
    if seen is None:
        return ""
    counted = {"events wait": seen.queue_depth, "were dropped": seen.dropped, "failed": seen.errors}
    return ", ".join(f"{count} {what}" for what, count in counted.items() if count)


def _publisher(seen: Publisher | None, why: str) -> Check:
    title, enabled = "Gateway publishes to Kafka", seen.enabled if seen else None
    if enabled is None:
        hint = "Without gateway_kafka_publisher_enabled on /metrics nobody knows whether orders are published."
        return Check("gateway.publisher", title, UNVERIFIED, why, "on", hint, RUNBOOK)
    hint = "Off is its default: orders are accepted and never arrive. Set KAFKA_ENABLE=1 and restart the gateway."
    return Check("gateway.publisher", title, status_of(enabled), "on" if enabled else "off", "on", hint, RUNBOOK)


def _queue(seen: Publisher, most: int) -> Check:
    right = None if seen.queue_depth is None else seen.queue_depth <= most
    observed = f"{seen.queue_depth} waiting, {seen.dropped} dropped and {seen.errors} errors since its start"
    hint = "Events that stay in the queue do not reach the broker; the errors rise only after about 60 s."
    expected = f"at most {most} waiting"
    return Check("gateway.queue", "Events get through to Kafka", status_of(right), observed, expected, hint, RUNBOOK)


def _metrics(gateway: Api) -> tuple[Publisher | None, str]:
    """The publisher's series, or None and why they could not be read."""
    page = gateway.page("/metrics")
    if page.status != 200 or page.problem or page.more:
        return None, f"/metrics: {page.summary()}"
    try:
        seen = gateway_metrics.publisher(page.body.decode("utf-8", errors="replace"))
    except ValueError:
        return None, f"/metrics is no Prometheus text but {page.excerpt(60)}"
    return seen, "" if seen.enabled is not None else "/metrics has no gateway_kafka_publisher_enabled"

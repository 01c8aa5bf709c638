# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an order that the gateway accepts can arrive: looked at before one is placed."""

from __future__ import annotations

from . import gateway_metrics, http
from .backoffice_api import Api
from .checks import PASS, Check, status_of
from .gateway_metrics import Publisher


def gateway_checks(gateway: Api) -> list[Check]:
    """Two checks: it answers, and its publisher is on."""
    reply = gateway.get("/health", token=False)
    alive = reply.meaning == "ok"
    hint = "It says nothing about its publisher." if alive else reply.hint
    rows = [
        Check(
            "gateway.health",
            "Gateway answers",
            PASS if alive else reply.status,
            reply.text,
            "HTTP 200",
            hint,
            "3",
            reply.answer.latency_ms,
        )
    ]
    if not alive:
        return rows
    seen, why = _publisher(gateway)
    enabled = seen.enabled if seen else None
    observed = why if enabled is None else "on" if enabled else "off"
    hint = "Off is its default: orders are accepted and never arrive. Set KAFKA_ENABLE=1 and restart the gateway."
    rows.append(Check("gateway.publisher", "Gateway publishes to Kafka", status_of(enabled), observed, "on", hint, "3"))
    return rows


def publisher_backlog(gateway: Api) -> str:
    """What the publisher holds back or lost, in words; empty when nothing is known to be."""
    seen, _ = _publisher(gateway)
    if seen is None:
        return ""
    counted = {"events wait": seen.queue_depth, "were dropped": seen.dropped, "failed": seen.errors}
    return ", ".join(f"{count} {what}" for what, count in counted.items() if count)


def _publisher(gateway: Api) -> tuple[Publisher | None, str]:
    page: http.Answer = gateway.page("/metrics")
    if page.status != 200 or page.problem or page.more:
        return None, f"/metrics: {page.summary()}"
    try:
        seen = gateway_metrics.publisher(page.body.decode("utf-8", errors="replace"))
    except ValueError:
        return None, f"/metrics is no Prometheus text but {page.excerpt(60)}"
    return seen, "" if seen.enabled is not None else "/metrics has no gateway_kafka_publisher_enabled"

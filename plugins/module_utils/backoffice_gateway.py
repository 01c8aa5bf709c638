# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether orders can reach BackOffice at all: the gateway answers, and its Kafka publisher is on and gets through.

With the publisher off (its default) an order is accepted all the same and never arrives anywhere.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import checks, http
from .argspec import ArgumentSpec
from .checks import Check, status_of
from .gateway_metrics import Publisher, publisher
from .http_problems import NOTHING_OBSERVED
from .operation import Context

SPEC = http.SPEC.merge(
    ArgumentSpec(options={"url": {"type": "str", "required": True}, "max_queue_depth": {"type": "int", "default": 100}})
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at /health and /metrics of the gateway."""
    base = http.check_url(params["url"], "url").rstrip("/")
    with http.Client(http.settings(params), context) as client:
        health = client.send(http.Request("GET", f"{base}/health"))
        rows = [_health(health)]
        seen: Publisher | None = None
        if health.status is not None:
            page = client.send(http.Request("GET", f"{base}/metrics", headers={"Accept": "text/plain;version=0.0.4"}))
            seen = _read(page)
            rows += _publisher(page, seen, params["max_queue_depth"])
        else:
            rows.append(_not_seen("no answer from the gateway"))
    return checks.report(
        rows, url=health.url, reachable=health.status is not None, publisher=asdict(seen) if seen else None
    )


def _health(answer: http.Answer) -> Check:
    hint = (
        "Start the gateway. It answers health while its publisher is off or its broker is down: see gateway.publisher."
    )
    if answer.problem and answer.problem.kind in NOTHING_OBSERVED:
        return Check(
            "gateway.health",
            "Gateway answers",
            checks.UNVERIFIED,
            answer.summary(),
            "HTTP 200",
            answer.problem.hint,
            "Prereqs",
        )
    return Check(
        "gateway.health",
        "Gateway answers",
        status_of(answer.status == 200),
        answer.summary(),
        "HTTP 200",
        hint,
        "Prereqs",
        answer.latency_ms,
    )


def _read(answer: http.Answer) -> Publisher | None:
    if answer.status != 200 or answer.problem or answer.more:
        return None
    try:
        return publisher(answer.body.decode("utf-8", errors="replace"))
    except ValueError:
        return None


def _not_seen(why: str) -> Check:
    hint = "Look at gateway_kafka_publisher_enabled on the gateway's /metrics; without it nobody knows whether orders are published."
    return Check("gateway.publisher", "Gateway publishes to Kafka", checks.UNVERIFIED, why, "enabled", hint, "Prereqs")


def _publisher(answer: http.Answer, seen: Publisher | None, max_depth: int) -> list[Check]:
    if seen is None or seen.enabled is None:
        return [_not_seen(f"/metrics: {answer.summary()}, no gateway_kafka_publisher_enabled")]
    hint = "Set KAFKA_ENABLE=1 for the gateway and restart it; orders taken until then were never published."
    rows = [
        Check(
            "gateway.publisher",
            "Gateway publishes to Kafka",
            status_of(seen.enabled),
            "enabled" if seen.enabled else "off",
            "enabled",
            hint,
            "Prereqs",
        )
    ]
    if seen.enabled:
        waiting = None if seen.queue_depth is None else seen.queue_depth <= max_depth
        queue_hint = "Events that stay in the queue mean that the gateway cannot reach its broker; errors rise only after about 60 s."
        observed = f"{seen.queue_depth} waiting, {seen.dropped} dropped and {seen.errors} errors since its start"
        rows.append(
            Check(
                "gateway.queue",
                "Events get through to Kafka",
                status_of(waiting),
                observed,
                f"at most {max_depth} waiting",
                queue_hint,
                "Prereqs",
            )
        )
    return rows

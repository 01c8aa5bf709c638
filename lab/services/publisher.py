# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes the gateway's events to Kafka. Off by default; a broker that is down never stops an order."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

from lab.services import env, instant, log

DELIVERY_TIMEOUT_MS = 60_000
STOP_SECONDS = 1.0


def event(kind: str, at: int, account_id: str, order_id: str, data: dict[str, Any] | None = None) -> dict[str, Any]:
    """The form of an event on the bus and in the audit log."""
    return {"type": kind, "at": instant.iso(at), "accountId": account_id, "orderId": order_id, "data": data or {}}


class Publisher:
    """Raises ValueError at construction when it is on and no bootstrap host resolves."""

    def __init__(self) -> None:
        self.enabled = env.flag("KAFKA_ENABLE", "0")
        self.dropped = 0
        self.errors = 0
        self._producer: Any = None
        if not self.enabled:
            return
        from confluent_kafka import Producer

        from lab.services import kafka

        self._topic = env.text("KAFKA_TOPIC", "events")
        self._producer = Producer(
            kafka.client_settings("gateway-producer", "Producer clientId=gateway-producer")
            | {
                "queue.buffering.max.messages": max(1, env.integer("KAFKA_QUEUE_CAPACITY", 10_000)),
                "message.timeout.ms": DELIVERY_TIMEOUT_MS,
                "max.in.flight": 1,
                "linger.ms": 0,
            }
        )
        threading.Thread(target=self._run, name="kafka-publisher", daemon=True).start()

    @property
    def depth(self) -> int:
        """Events that no broker has confirmed yet."""
        return len(self._producer) if self._producer is not None else 0

    def publish(self, body: dict[str, Any]) -> None:
        if self._producer is None:
            return
        key = body["orderId"] or body["accountId"]
        try:
            self._producer.produce(
                self._topic, json.dumps(body, separators=(",", ":")).encode(), key.encode(), on_delivery=self._delivered
            )
        except BufferError:
            self.dropped += 1

    def close(self) -> None:
        if self._producer is not None:
            self._producer.flush(STOP_SECONDS)

    def _delivered(self, error: object, _message: object) -> None:
        if error is not None:
            self.errors += 1
            log.line("WARN", "gateway.kafka.KafkaEventPublisher", f"publish failed: {error}")

    def _run(self) -> None:
        while True:
            with suppress(BufferError):
                self._producer.poll(0.5)

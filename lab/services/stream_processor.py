# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hafnium's stream processor: reads transactions as a member of a group, commits, puts what it cannot read aside.

Run with ``python -m lab.services.stream_processor``. Variables: KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPIC, KAFKA_GROUP_ID,
KAFKA_DLQ_TOPIC.
"""

from __future__ import annotations

import json
from contextlib import suppress

from confluent_kafka import Consumer, KafkaException, Message, Producer

from lab.services import env, kafka, process

BATCH = 500
POLL_SECONDS = 0.5
FLUSH_SECONDS = 10.0


def readable(value: bytes | None) -> bool:
    """Whether the record is a transaction."""
    try:
        return isinstance(json.loads(value or b"")["transactionId"], str)
    except (ValueError, KeyError, TypeError):
        return False


def work(consumer: Consumer, producer: Producer, dead_letters: str) -> None:
    """One batch: what it cannot read is in the other topic before the group goes on."""
    messages: list[Message] = [each for each in consumer.consume(BATCH, POLL_SECONDS) if not each.error()]
    for message in messages:
        if not readable(message.value()):
            producer.produce(dead_letters, message.value(), message.key())
            print(
                f"stream-processor: {message.topic()}[{message.partition()}] {message.offset()} put aside", flush=True
            )
    if messages and not producer.flush(FLUSH_SECONDS):
        consumer.commit(asynchronous=False)


def main() -> None:
    topic, group = env.text("KAFKA_TOPIC", "hf.txn.ingested.v1"), env.text("KAFKA_GROUP_ID", "hafnium-stream-processor")
    settings = kafka.client_settings("stream-processor", f"Consumer clientId=stream-processor, groupId={group}")
    consumer = Consumer(
        {
            **settings,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 10_000,
        }
    )
    producer = Producer(settings)
    stopping = process.stop_requested()
    consumer.subscribe([topic])
    print(f"stream-processor: reads {topic} as {group}", flush=True)
    while not stopping.is_set():
        with suppress(KafkaException):  # the broker is away, or the group is being shared out anew: read on from there
            work(consumer, producer, env.text("KAFKA_DLQ_TOPIC", "hf.dlq.v1"))
    consumer.close()
    process.end()


if __name__ == "__main__":
    main()

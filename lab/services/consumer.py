# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kafka consumer of the BackOffice, with a real group. It dies silently of any exception of ledger or store."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from lab.services import env, events, kafka, log
from lab.services.book import Book
from lab.services.entries import Fill
from lab.services.ledger import Ledger
from lab.services.pg_store import PostgresStore
from lab.services.stats import Stats

POLL_SECONDS = 0.25
BATCH = 500
ASK_SECONDS = 1.0
_FATAL = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED})


class BackOfficeConsumer:
    """Raises ValueError at construction when no bootstrap host resolves or a number is none."""

    def __init__(self, store: Book | PostgresStore, ledger: Ledger, stats: Stats) -> None:
        self._store, self._ledger, self._stats = store, ledger, stats
        self._topic = env.text("KAFKA_TOPIC", "events")
        self._quote_ccy = env.text("BACKOFFICE_QUOTE_CCY", "JPY")
        self._fee_bps = max(0, env.integer("BACKOFFICE_FEE_BPS", 10, env.LONG_RANGE))
        self._delay_seconds = env.integer("LAB_CONSUME_DELAY_MS", 0) / 1000
        self._seen: dict[tuple[str, int], int] = {}
        self._asked = float("-inf")
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._consumer: Consumer | None = None
        if not env.flag("BACKOFFICE_ENABLE", "1"):
            return
        group = env.text("KAFKA_GROUP_ID", "backoffice")
        self._title = f"Consumer clientId=consumer-{group}-1, groupId={group}"
        self._consumer = Consumer(
            kafka.client_settings(f"consumer-{group}-1", self._title)
            | {
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "allow.auto.create.topics": True,
                "topic.metadata.refresh.interval.ms": 10_000,
            }
        )

    def start(self) -> None:
        if self._consumer is None:
            print("BackOfficeConsumer disabled (BACKOFFICE_ENABLE=0)", flush=True)
            return
        self._consumer.subscribe([self._topic], on_revoke=lambda consumer, _: self._commit(consumer))
        self._thread = threading.Thread(
            target=self._run, args=(self._consumer,), name="backoffice-consumer", daemon=True
        )
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """Waits at most ``seconds`` for the consumer to leave its group."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, consumer: Consumer) -> None:
        try:
            while not self._stopping.is_set():
                self._ask_for_topic(consumer)
                self._poll(consumer)
        except Exception:  # noqa: BLE001
            pass  # the fault of the operated service: nothing is logged, nothing restarts it
        finally:
            with suppress(KafkaException, RuntimeError):
                consumer.close()

    def _ask_for_topic(self, consumer: Consumer) -> None:
        """While nothing is assigned: a broker that may create topics makes the missing (or misspelt) one."""
        if consumer.assignment() or time.monotonic() - self._asked < ASK_SECONDS:
            return
        self._asked = time.monotonic()
        with suppress(KafkaException):
            consumer.list_topics(self._topic, timeout=POLL_SECONDS)

    def _poll(self, consumer: Consumer) -> None:
        first = consumer.poll(POLL_SECONDS)
        batch = 1 if self._delay_seconds else BATCH
        messages = [first, *consumer.consume(batch - 1, 0)] if first is not None else []
        log.line("DEBUG", "org.apache.kafka.clients.consumer", f"[{self._title}] poll returned {len(messages)} records")
        records = [message for message in messages if self._is_record(message)]
        for record in records:
            self._process(record)
            if self._stopping.is_set():
                break
        if records:
            self._commit(consumer)

    @staticmethod
    def _is_record(message: Message) -> bool:
        """False for what is only news of the client; raises KafkaException where the group or topic is forbidden."""
        error = message.error()
        if error is not None and error.code() in _FATAL:
            raise KafkaException(error)
        return error is None

    def _process(self, record: Message) -> None:
        """Ledger first, then the store, then (at the end of the poll) the commit."""
        if self._delay_seconds:
            self._stopping.wait(self._delay_seconds)
        topic, partition, offset = record.topic(), record.partition(), record.offset()
        event = events.parse(record.value())
        entry = None if event is None else events.entry_of(event, self._store, self._quote_ccy, self._fee_bps)
        if entry is not None:
            self._ledger.append(entry)
            if isinstance(entry, Fill):
                self._store.apply_fill(entry)
            else:
                self._store.apply_order(entry)
        self._stats.record(None if entry is None else entry.at, topic, partition, offset)
        self._seen[topic, partition] = offset

    def _commit(self, consumer: Consumer) -> None:
        """Last seen + 1 of every partition; a commit that fails is ignored."""
        offsets = [TopicPartition(topic, partition, offset + 1) for (topic, partition), offset in self._seen.items()]
        if offsets:
            with suppress(KafkaException):
                consumer.commit(offsets=offsets, asynchronous=False)

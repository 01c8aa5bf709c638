# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topics, groups and transactions on the lab's broker, made for a test and removed after it.

The client library runs in one process of its own, so that the process under test forks without its threads.
"""

from __future__ import annotations

import functools
import multiprocessing
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

SECONDS = 30
_consumers: dict[str, Consumer] = {}
_producers: dict[str, Producer] = {}


@functools.cache  # a client that is collected takes its answers with it
def _admin(servers: str) -> AdminClient:
    return AdminClient({"bootstrap.servers": servers})


def create(servers: str, topic: str, partitions: int, config: dict[str, str]) -> None:
    wanted = NewTopic(topic, partitions, 1, config=config)
    for future in _admin(servers).create_topics([wanted], operation_timeout=SECONDS).values():
        future.result(SECONDS)


def topics(servers: str) -> list[str]:
    return sorted(_admin(servers).list_topics(timeout=SECONDS).topics)


def groups(servers: str) -> list[str]:
    return sorted(row.id for row in _admin(servers).list_groups(timeout=SECONDS))


def produce(servers: str, topic: str, partition: int, count: int) -> None:
    producer = Producer({"bootstrap.servers": servers})
    for number in range(count):
        producer.produce(topic, f"record {number}", partition=partition)
    assert producer.flush(SECONDS) == 0


def transaction(servers: str, topic: str, partition: int, count: int, end: str) -> None:
    """Records in a transaction; ``end`` is commit, abort, or open (until end_transaction)."""
    producer = Producer({"bootstrap.servers": servers, "transactional.id": topic, "transaction.timeout.ms": 60_000})
    producer.init_transactions(SECONDS)
    producer.begin_transaction()
    for number in range(count):
        producer.produce(topic, f"record {number}", partition=partition)
    producer.flush(SECONDS)
    if end == "commit":
        producer.commit_transaction(SECONDS)
    elif end == "abort":
        producer.abort_transaction(SECONDS)
    else:
        _producers[topic] = producer


def end_transaction(_servers: str, topic: str) -> None:
    _producers.pop(topic).abort_transaction(SECONDS)


def join(servers: str, group: str, topic: str, protocol: str, partitions: int) -> None:
    """A member of the group that holds ``partitions`` partitions and reads nothing on its own."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "client.id": f"client-{group}",
            "group.protocol": protocol,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    _consumers[group] = consumer
    end = time.monotonic() + SECONDS
    while len(consumer.assignment()) < partitions:
        assert time.monotonic() < end, f"{group} was not assigned {partitions} partitions"
        consumer.poll(0.1)


def commit(_servers: str, group: str, topic: str, offsets: dict[int, int], after_seconds: float = 0.0) -> None:
    """A commit by the member that joined."""
    time.sleep(after_seconds)
    rows = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    _consumers[group].commit(offsets=rows, asynchronous=False)


def leave(_servers: str, group: str) -> None:
    _consumers.pop(group).close()


def set_offsets(servers: str, group: str, topic: str, offsets: dict[int, int]) -> None:
    """Commits of a group without members."""
    rows = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    wanted = [ConsumerGroupTopicPartitions(group, rows)]
    for future in _admin(servers).alter_consumer_group_offsets(wanted).values():
        future.result(SECONDS)


def delete_records(servers: str, topic: str, partition: int, before: int) -> None:
    for future in _admin(servers).delete_records([TopicPartition(topic, partition, before)]).values():
        future.result(SECONDS)


def remove(servers: str, prefix: str) -> None:
    """Everything whose name begins with ``prefix``."""
    for producer in _producers.values():
        producer.abort_transaction(SECONDS)
    for consumer in _consumers.values():
        consumer.close()
    _producers.clear()
    _consumers.clear()
    admin = _admin(servers)
    found = [row.group_id for row in admin.list_consumer_groups().result(SECONDS).valid]
    mine = [name for name in found if name.startswith(prefix)]
    futures = dict(admin.delete_consumer_groups(mine)) if mine else {}
    old = [name for name in topics(servers) if name.startswith(prefix)]
    futures.update(admin.delete_topics(old, operation_timeout=SECONDS) if old else {})
    for future in futures.values():
        future.result(SECONDS)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """An error of the client library cannot travel between processes: its text can."""
    try:
        return function(*arguments)
    except KafkaException as error:
        raise RuntimeError(f"{function.__name__}{arguments}: {error}") from None


class Scene:
    """The functions above, run in the other process on the broker at ``servers``; names get a prefix of their own."""

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.prefix = f"t{uuid.uuid4().hex[:8]}-"
        self._pool = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))

    def name(self, name: str) -> str:
        return self.prefix + name

    def start(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._pool.submit(_call, function, self.servers, *arguments)

    def do(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return self.start(function, *arguments).result(SECONDS * 2)

    def topic(self, name: str, *records: int, **config: str) -> str:
        """A new topic; one number of records for each partition."""
        topic = self.name(name)
        self.do(create, topic, len(records), {key.replace("_", "."): value for key, value in config.items()})
        for partition, count in enumerate(records):
            if count:
                self.do(produce, topic, partition, count)
        return topic

    def group(self, name: str, topic: str, offsets: dict[int, int]) -> str:
        """A new group with commits and without members."""
        group = self.name(name)
        self.do(set_offsets, group, topic, offsets)
        return group

    def close(self) -> None:
        try:
            self.do(remove, self.prefix)
        finally:
            self._pool.shutdown()

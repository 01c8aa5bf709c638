# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topics, records and offsets, as the faults need them. Everything raises LabError.

An admin client must outlive its answers, so each function keeps its own until it returns.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from lab import control, kafka
from lab.layout import LabError, address
from lab.services.market import Record

GROUP = "backoffice"
SECONDS = 20


def publish(records: Iterable[Record], topic: str = kafka.TOPIC) -> None:
    """Records to Kafka, confirmed by the broker."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": address("kafka"), "log_level": 0, "message.timeout.ms": SECONDS * 1000})
    for key, value in records:
        producer.produce(topic, value, key)
    if producer.flush(SECONDS):
        raise LabError(f"kafka: records for topic {topic} were not taken within {SECONDS} s")


def create_topic(name: str, partitions: int = kafka.PARTITIONS) -> None:
    """Make an empty topic, after removing one of that name."""
    from confluent_kafka.admin import NewTopic

    delete_topic(name)
    admin = kafka.admin()
    _wait(admin.create_topics([NewTopic(name, partitions, 1)], request_timeout=SECONDS), f"topic {name} made")


def delete_topic(name: str) -> None:
    """Remove a topic; nothing when there is none."""
    from confluent_kafka import KafkaException

    admin = kafka.admin()
    with suppress(KafkaException):
        for result in admin.delete_topics([name], request_timeout=SECONDS).values():
            result.result(SECONDS)
    control.wait_until(lambda: name not in admin.list_topics(timeout=SECONDS).topics, SECONDS, f"topic {name} removed")


def offsets(topic: str = kafka.TOPIC, latest: bool = True) -> dict[int, int]:
    """End offset (or first offset) of each partition."""
    from confluent_kafka import TopicPartition
    from confluent_kafka.admin import OffsetSpec

    admin = kafka.admin()
    partitions = admin.list_topics(topic, timeout=SECONDS).topics[topic].partitions
    spec = OffsetSpec.latest() if latest else OffsetSpec.earliest()
    answers = admin.list_offsets({TopicPartition(topic, each): spec for each in partitions}, request_timeout=SECONDS)
    return {each.partition: result.result(SECONDS).offset for each, result in answers.items()}


def count(topic: str) -> int:
    """Records that a topic holds."""
    return sum(offsets(topic).values()) - sum(offsets(topic, latest=False).values())


def empty(topic: str) -> None:
    """Delete the records of a topic; nothing when it holds none."""
    from confluent_kafka import TopicPartition

    ends = [TopicPartition(topic, partition, end) for partition, end in offsets(topic).items()]
    admin = kafka.admin()
    _wait(admin.delete_records(ends, request_timeout=SECONDS), f"records of {topic} deleted")


def committed(topic: str = kafka.TOPIC, group: str = GROUP) -> dict[int, int]:
    """Committed offset of each partition of the topic; -1001 where nothing was committed."""
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

    wanted = [TopicPartition(topic, each) for each in offsets(topic)]
    request = ConsumerGroupTopicPartitions(group, wanted)
    admin = kafka.admin()
    answers = admin.list_consumer_group_offsets([request], request_timeout=SECONDS)
    return {each.partition: each.offset for each in answers[group].result(SECONDS).topic_partitions}


def lag(topic: str = kafka.TOPIC, group: str = GROUP) -> int:
    """Records that the group has not committed yet."""
    done = committed(topic, group)
    return sum(end - max(0, done[partition]) for partition, end in offsets(topic).items())


def wait_caught_up() -> None:
    """Wait until the consumer has committed all there is."""
    control.wait_until(lambda: lag() == 0, 60, "consumer group backoffice without lag")


def rewind() -> int:
    """Set the group (without members) to the first offset of each partition; the number of records to read again."""
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition

    first, last = offsets(latest=False), offsets()
    positions = [TopicPartition(kafka.TOPIC, partition, offset) for partition, offset in first.items()]
    request = ConsumerGroupTopicPartitions(GROUP, positions)
    admin = kafka.admin()
    _wait(admin.alter_consumer_group_offsets([request], request_timeout=SECONDS), "offsets reset")
    return sum(last.values()) - sum(first.values())


def _wait(answers: dict[Any, Any], what: str) -> None:
    from confluent_kafka import KafkaException

    for answer in answers.values():
        try:
            answer.result(SECONDS)
        except (KafkaException, TimeoutError) as error:
            raise LabError(f"kafka: {what}: {error}") from None

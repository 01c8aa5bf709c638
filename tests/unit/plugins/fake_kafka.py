# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Kafka cluster with prepared answers, in place of the client. It is used in the forked child, as the real one is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_errors
from ansible_collections.sre.runbooks.plugins.module_utils.kafka_client import Answer, Partition
from ansible_collections.sre.runbooks.plugins.module_utils.kafka_errors import Error

Ends = tuple[int, int, int]


def member(name: str, *assigned: Partition, target: list[Partition] | None = None) -> dict[str, Any]:
    return {
        "member_id": f"{name}-id",
        "group_instance_id": None,
        "client_id": name,
        "host": "/10.0.0.1",
        "assigned": list(assigned),
        "target": target,
    }


def description(*members: dict[str, Any], **values: Any) -> dict[str, Any]:
    state = "Stable" if members else "Empty"
    default = {"state": state, "type": "classic", "is_simple_consumer_group": False, "assignor": "range"}
    return {**default, "coordinator": {"id": 1, "host": "k", "port": 9092}, "members": list(members), **values}


def commit(topic: str, partition: int, offset: int | None, error: Error | None = None) -> dict[str, Any]:
    row = {"topic": topic, "partition": partition, "offset": offset}
    return {**row, "leader_epoch": 0, "metadata": "", "error": error}


@dataclass
class FakeKafka:
    """``groups``: name -> description or error; ``committed``: name -> one list of rows for each sample, or an error;
    ``ends``: one dictionary for each sample, partition -> (start, lso, hw) or error; ``leaders``: without a leader."""

    topics: dict[str, int] = field(default_factory=lambda: {"events": 2})
    groups: dict[str, Any] = field(default_factory=dict)
    committed: dict[str, Any] = field(default_factory=dict)
    ends: list[dict[Partition, Any]] = field(default_factory=lambda: [{}])
    leaderless: set[Partition] = field(default_factory=set)
    in_sync: dict[Partition, int] = field(default_factory=dict)
    hidden: dict[str, Error] = field(default_factory=dict)
    listed: list[str] | None = None
    list_errors: list[Error] = field(default_factory=list)
    foreign: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Answer] = field(default_factory=dict)
    brokers: int = 1
    controller: int = 1
    calls: list[str] = field(default_factory=list)

    def metadata(self) -> dict[str, Any]:
        topics = {
            name: {"partitions": {n: self._partition(name, n) for n in range(count)}, "error": None}
            for name, count in self.topics.items()
        }
        brokers = [{"id": n + 1, "host": f"k{n + 1}", "port": 9092} for n in range(self.brokers)]
        return {"cluster_id": "c", "controller_id": self.controller, "brokers": brokers, "topics": topics}

    def _partition(self, topic: str, number: int) -> dict[str, Any]:
        in_sync = list(range(1, self.in_sync.get((topic, number), 1) + 1))
        return {"leader": -1 if (topic, number) in self.leaderless else 1, "replicas": [1], "in_sync": in_sync}

    def list_groups(self) -> tuple[list[dict[str, Any]], list[Error]]:
        names = list(self.groups) if self.listed is None else self.listed
        return [{"group": name} for name in names], self.list_errors

    def foreign_groups(self) -> dict[str, str]:
        return self.foreign

    def describe_groups(self, groups: list[str]) -> dict[str, Answer]:
        dead = description(state="Dead")
        return {name: _answer(self.groups.get(name, dead)) for name in groups}

    def commits(self, groups: list[str]) -> dict[str, Answer]:
        self.calls.append("commits")
        return {name: _answer(_nth(self.committed.get(name, []), self.calls.count("commits"))) for name in groups}

    def offsets(self, partitions: list[Partition]) -> dict[Partition, dict[str, Any]]:
        self.calls.append("offsets")
        assert self.calls[-2:] == ["commits", "offsets"] or "commits" not in self.calls
        ends = self.ends[min(self.calls.count("offsets"), len(self.ends)) - 1]
        return {key: _ends(ends.get(key, (0, 0, 0))) for key in partitions}

    def topic_errors(self, topics: list[str]) -> dict[str, Error]:
        unknown = kafka_errors.error("UNKNOWN_TOPIC_OR_PART", "Unknown topic or partition", 3)
        return {name: self.hidden.get(name, unknown) for name in topics}

    def configs(self, broker: int, topics: list[str]) -> dict[str, Answer]:
        denied = Answer(error=kafka_errors.error("CLUSTER_AUTHORIZATION_FAILED", "denied"))
        return {name: self.configuration.get(name, denied) for name in ["", *topics]}


def _answer(value: Any) -> Answer:
    return Answer(error=value) if isinstance(value, dict) and "retriable" in value else Answer(value=value)


def _nth(samples: Any, number: int) -> Any:
    """Samples are lists of lists; a plain list is the same in every sample."""
    if isinstance(samples, list) and samples and isinstance(samples[0], list):
        return samples[min(number, len(samples)) - 1]
    return samples


def _ends(value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"start": None, "lso": None, "hw": None, "error": value}
    start, lso, high = value
    return {"start": start, "lso": lso, "hw": high, "error": None}

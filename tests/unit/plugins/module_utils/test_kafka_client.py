# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Requests to Kafka with a client library that gives prepared answers: bounds, retries, deadlines, errors as data."""

from __future__ import annotations

import concurrent.futures
import logging
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

confluent_kafka = pytest.importorskip("confluent_kafka")

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_client  # noqa: E402
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline  # noqa: E402
from ansible_collections.sre.runbooks.plugins.module_utils.errors import (  # noqa: E402
    DeadlineError,
    InputError,
    UnreachableError,
)
from tests.unit.plugins.module_runner import FakeClock  # noqa: E402

Future = concurrent.futures.Future
LOADING = confluent_kafka.KafkaError.COORDINATOR_LOAD_IN_PROGRESS
DENIED = confluent_kafka.KafkaError.GROUP_AUTHORIZATION_FAILED


def done(value: Any) -> Future[Any]:
    """A future with its answer; an error code becomes the exception of the client library."""
    future: Future[Any] = Future()
    if isinstance(value, int):
        future.set_exception(confluent_kafka.KafkaException(confluent_kafka.KafkaError(value)))
    else:
        future.set_result(value)
    return future


def committed(*rows: tuple[str, int, int]) -> Any:
    return SimpleNamespace(topic_partitions=[confluent_kafka.TopicPartition(*row) for row in rows])


class FakeAdmin:
    """Stands for AdminClient. ``answers`` gives each group's answers, one after the other."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.error_cb: Callable[[Any], None] = settings["error_cb"]
        self.logger: logging.Logger = settings["logger"]
        self.answers: dict[str, Iterator[Any]] = {}
        self.asked: list[str] = []
        self.pending: list[tuple[Future[Any], Any]] = []
        self.most_pending = 0
        self.offset_answers: Callable[[str, int, int], Any] = lambda topic, partition, call: 10
        self.offset_calls: list[set[tuple[str, int]]] = []

    def poll(self, _seconds: float) -> int:
        return 0

    def list_consumer_group_offsets(self, wanted: list[Any], request_timeout: float) -> dict[str, Future[Any]]:
        group = wanted[0].group_id
        self.asked.append(group)
        if group in self.answers:
            return {group: done(next(self.answers[group]))}
        future: Future[Any] = Future()
        self.pending.append((future, committed((group, 0, 1))))
        self.most_pending = max(self.most_pending, len(self.pending))
        return {group: future}

    def list_offsets(self, request: dict[Any, Any], isolation_level: Any, request_timeout: float) -> dict[Any, Any]:
        self.offset_calls.append({(key.topic, key.partition) for key in request})
        call = len(self.offset_calls)
        futures = {}
        for key in request:
            answer = self.offset_answers(key.topic, key.partition, call)
            futures[key] = done(answer[0] if isinstance(answer, tuple) else SimpleNamespace(offset=answer))
        return futures


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> kafka_client.Client:
    monkeypatch.setattr(kafka_client.admin, "AdminClient", FakeAdmin)
    return kafka_client.Client({"bootstrap.servers": "a:1,b:2"}, 10.0, Deadline(60.0, clock))


def fake(client: kafka_client.Client) -> FakeAdmin:
    admin: FakeAdmin = client._admin
    return admin


def test_commits_as_data(client: kafka_client.Client) -> None:
    fake(client).answers["g"] = iter([committed(("t", 0, 5), ("t", 1, confluent_kafka.OFFSET_INVALID))])
    rows = client.commits(["g"])["g"].value
    assert [(row["topic"], row["partition"], row["offset"], row["error"]) for row in rows] == [
        ("t", 0, 5, None),
        ("t", 1, None, None),
    ]


def test_at_most_eight_requests_in_flight(client: kafka_client.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    admin = fake(client)
    shown: list[str] = []
    monkeypatch.setattr(client, "_progress", shown.append)

    def answer_one(futures: Any, **_options: Any) -> Any:
        future, value = admin.pending.pop(0)
        future.set_result(value)
        return {future}, set(futures) - {future}

    monkeypatch.setattr(kafka_client.concurrent.futures, "wait", answer_one)
    groups = [f"g{number}" for number in range(120)]
    answers = client.commits(groups)
    assert list(answers) == groups
    assert all(answer.error is None for answer in answers.values())
    assert admin.most_pending == kafka_client.IN_FLIGHT == 8
    assert shown == ["50 of 120 groups read", "100 of 120 groups read"]


def test_temporary_error_is_tried_again_and_only_that_group(client: kafka_client.Client, clock: FakeClock) -> None:
    admin = fake(client)
    admin.answers = {"loads": iter([LOADING, LOADING, committed(("t", 0, 5))]), "well": iter([committed()])}
    answers = client.commits(["loads", "well"])
    assert answers["loads"].value[0]["offset"] == 5
    assert admin.asked == ["loads", "well", "loads", "loads"]
    assert clock.slept == [0.0, 0.2, 0.4]


def test_retries_are_bounded(client: kafka_client.Client) -> None:
    admin = fake(client)
    admin.answers = {"loads": iter([LOADING] * 50)}
    error = client.commits(["loads"])["loads"].error
    assert error is not None
    assert (error["name"], error["code"], error["retriable"]) == ("COORDINATOR_LOAD_IN_PROGRESS", 14, True)
    assert len(admin.asked) == kafka_client.ATTEMPTS


def test_permanent_error_is_not_tried_again(client: kafka_client.Client) -> None:
    admin = fake(client)
    admin.answers = {"denied": iter([DENIED])}
    error = client.commits(["denied"])["denied"].error
    assert error is not None
    assert error["name"] == "GROUP_AUTHORIZATION_FAILED"
    assert admin.asked == ["denied"]


def test_groups_that_are_too_late_are_named_not_lost(
    client: kafka_client.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_futures: Any, **_options: Any) -> Any:
        clock.time += 100
        return set(), set()

    monkeypatch.setattr(kafka_client.concurrent.futures, "wait", nothing)
    answers = client.commits([f"g{number}" for number in range(20)])
    assert len(answers) == 20
    assert {answer.error["name"] for answer in answers.values() if answer.error} == {"_TIMED_OUT"}
    assert len(fake(client).asked) == 8


def test_invalid_group_name_is_an_error_of_that_group(
    client: kafka_client.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(wanted: list[Any], request_timeout: float) -> Any:
        raise ValueError("Invalid group")

    monkeypatch.setattr(fake(client), "list_consumer_group_offsets", refuse)
    error = client.commits(["x"])["x"].error
    assert error is not None
    assert (error["name"], error["message"]) == ("_INVALID_ARG", "Invalid group")


def test_offsets_ask_for_all_partitions_at_once_and_the_high_watermark_last(client: kafka_client.Client) -> None:
    admin = fake(client)
    admin.offset_answers = lambda topic, partition, call: call
    keys = [("t", number) for number in range(30)]
    offsets = client.offsets(keys)
    assert admin.offset_calls == [set(keys)] * 3
    assert offsets["t", 29] == {"start": 1, "lso": 2, "hw": 3, "error": None}


def test_offsets_of_a_moving_leader_are_asked_again_alone(client: kafka_client.Client) -> None:
    admin = fake(client)
    moved = confluent_kafka.KafkaError.LEADER_NOT_AVAILABLE
    admin.offset_answers = lambda topic, partition, call: (moved,) if partition == 1 and call == 1 else 7
    offsets = client.offsets([("t", 0), ("t", 1)])
    assert admin.offset_calls[1] == {("t", 1)}
    assert offsets["t", 1] == {"start": 7, "lso": 7, "hw": 7, "error": None}


def test_one_bad_partition_does_not_hide_the_others(client: kafka_client.Client) -> None:
    denied = confluent_kafka.KafkaError.TOPIC_AUTHORIZATION_FAILED
    fake(client).offset_answers = lambda topic, partition, call: (denied,) if topic == "secret" else 7
    offsets = client.offsets([("t", 0), ("secret", 0)])
    assert offsets["t", 0]["hw"] == 7
    assert offsets["secret", 0]["hw"] is None
    assert offsets["secret", 0]["error"]["name"] == "TOPIC_AUTHORIZATION_FAILED"


def slow_metadata(client: kafka_client.Client, monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """A cluster that does not answer, while the client library tells ``texts`` of its brokers."""
    admin = fake(client)
    monkeypatch.setattr(admin, "list_topics", lambda timeout: time.sleep(2), raising=False)
    told = iter(texts)

    def poll(_seconds: float) -> int:
        text = next(told, None)
        if text:
            admin.error_cb(SimpleNamespace(str=lambda: text))
        return 0

    monkeypatch.setattr(admin, "poll", poll)


def test_wrong_password_ends_the_attempt_at_once(
    client: kafka_client.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = (
        "SASL authentication error: Authentication failed: Invalid username or password (after 3ms in state AUTH_REQ)"
    )
    slow_metadata(client, monkeypatch, f"sasl_ssl://a:1/bootstrap: {refused}", f"sasl_ssl://b:2/bootstrap: {refused}")
    with pytest.raises(UnreachableError, match=r"a:1: SASL authentication failed.*; b:2: SASL authentication failed"):
        client.metadata()


def test_closed_ports_are_given_a_moment_then_named(
    client: kafka_client.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = "failed: Connection refused (after 0ms in state CONNECT)"
    slow_metadata(client, monkeypatch, f"a:1/bootstrap: Connect {closed}", f"b:2/bootstrap: Connect {closed}")
    start = clock.time

    def tick() -> float:
        clock.time += 0.3
        return clock.time

    monkeypatch.setattr(clock, "monotonic", tick)
    with pytest.raises(UnreachableError, match="a:1: nothing listens there") as caught:
        client.metadata()
    assert kafka_client.SETTLE_SECONDS < clock.time - start < 10
    assert caught.value.details["brokers"] == ["a:1", "b:2"]


def test_silent_brokers_are_named_after_the_request_timeout(
    client: kafka_client.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_metadata(client, monkeypatch, "a:1/bootstrap: Connect failed: Connection refused (after 0ms in state CONNECT)")

    def tick() -> float:
        clock.time += 1.0
        return clock.time

    monkeypatch.setattr(clock, "monotonic", tick)
    with pytest.raises(UnreachableError, match=r"a:1: nothing listens there.*; b:2: no answer within 10 s"):
        client.metadata()


def test_connection_that_closes_under_the_request_is_tried_again(
    client: kafka_client.Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = confluent_kafka.KafkaException(confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT))
    listed = SimpleNamespace(cluster_id="c", controller_id=1, brokers={}, topics={})
    answers = iter([closed, closed, listed])

    def list_topics(timeout: float) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(fake(client), "list_topics", list_topics, raising=False)
    assert client.metadata()["cluster_id"] == "c"
    assert clock.slept == [0.0, 0.2, 0.4]

    answers = iter([closed] * 20)
    with pytest.raises(UnreachableError, match=r"a:1, b:2: .*transport failure"):
        client.metadata()
    assert len(list(answers)) == 20 - kafka_client.ATTEMPTS


def test_log_lines_name_the_broker_too(client: kafka_client.Client) -> None:
    fake(client).logger.error(
        "FAIL [rdkafka#producer-2] [thrd:a:1/bootstrap]: a:1/bootstrap: Disconnected: connection closed by peer: "
        "receive 0 after POLLIN (after 1ms in state APIVERSION_QUERY)"
    )
    assert "security_protocol does not fit" in client._troubles["a:1"].text


def test_timeout_tells_which_broker_could_not_be_reached(client: kafka_client.Client) -> None:
    admin = fake(client)
    admin.logger.error(
        "FAIL [x] [thrd:y]: inner:9/7: Failed to resolve 'inner:9': unknown (after 1ms in state CONNECT)"
    )
    admin.answers = {"g": iter([confluent_kafka.KafkaError._TIMED_OUT])}
    error = client.commits(["g"])["g"].error
    assert error is not None
    assert "inner:9: the host name cannot be resolved" in error["message"]


def test_used_up_time_is_said_before_a_request(client: kafka_client.Client, clock: FakeClock) -> None:
    clock.time += 100
    with pytest.raises(DeadlineError, match="used up before: connecting to Kafka"):
        client.metadata()


def test_settings_that_the_library_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"the Kafka client refuses its settings: .*ssl\.ca\.location"):
        kafka_client.Client(
            {"bootstrap.servers": "a:1", "security.protocol": "SSL", "ssl.ca.location": "/no/such/file"},
            10.0,
            Deadline(60.0, FakeClock()),
        )

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""kafka_status as a module, on prepared answers."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_errors, kafka_status, libraries
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kafka_client import Answer
from ansible_collections.sre.runbooks.plugins.modules import kafka_status as module
from tests.unit.plugins.fake_kafka import FakeKafka
from tests.unit.plugins.module_runner import run_module

P0, P1 = ("events", 0), ("events", 1)
Look = Callable[..., dict[str, Any]]
DENIED = kafka_errors.error("TOPIC_AUTHORIZATION_FAILED", "Topic authorization failed", 29)


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the module against a FakeKafka."""

    def run(kafka: FakeKafka | Callable[..., Any], check: bool = False, **options: Any) -> dict[str, Any]:
        connect = (lambda *_arguments: kafka) if isinstance(kafka, FakeKafka) else kafka
        monkeypatch.setattr(kafka_status, "connect", connect)
        return run_module(module, capsys, check=check, **{"bootstrap_servers": ["k:9092"], **options})

    return run


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def configured(**values: str) -> dict[str, Answer]:
    named = {name.replace("_", "."): value for name, value in values.items()}
    return {"": Answer(value=named), "events": Answer(value=named)}


@pytest.mark.parametrize("check_mode", [False, True])
def test_healthy(look: Look, check_mode: bool) -> None:
    result = look(FakeKafka(), check=check_mode, topics=["events"], expected_brokers=1, runbook="5")
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert status(result) == {
        "kafka.reachable": "pass",
        "kafka.controller": "pass",
        "kafka.brokers": "pass",
        "topic.events": "pass",
        "kafka.leaders": "pass",
        "kafka.replicas": "pass",
    }
    assert all(check["hint"] and check["runbook"] == "5" for check in result["checks"])
    assert result["controller"] == {"id": 1, "host": "k1", "port": 9092}
    assert (result["cluster_id"], result["topic_count"], result["partition_count"]) == ("c", 1, 2)
    (topic,) = result["topics"]
    assert (topic["name"], topic["partitions"], topic["end_offset_sum"]) == ("events", 2, None)


def test_dead_cluster_fails(look: Look) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise UnreachableError("Kafka cannot be reached: k:9092: nothing listens there (connection refused).")

    result = look(refuse, topics=[{"name": "events"}])
    assert status(result) == {"kafka.reachable": "fail", "topic.events": "unverified"}
    assert "k:9092: nothing listens" in check(result, "kafka.reachable")["observed"]
    assert causes(result) == ["kafka_unreachable"]
    assert (result["cluster_id"], result["brokers"], result["topic_count"]) == (None, [], None)


def test_death_of_the_child_is_an_unverified_check(look: Look) -> None:
    result = look(lambda *_arguments: os.kill(os.getpid(), signal.SIGKILL))
    assert status(result) == {"kafka.reachable": "unverified"}
    assert "ended by signal 9" in check(result, "kafka.reachable")["observed"]
    assert causes(result) == []


def test_missing_broker(look: Look) -> None:
    result = look(FakeKafka(brokers=2), expected_brokers=3)
    assert status(result)["kafka.brokers"] == "fail"
    assert "1 brokers are not in the cluster" in check(result, "kafka.brokers")["hint"]


def test_no_controller(look: Look) -> None:
    result = look(FakeKafka(controller=-1))
    assert (status(result)["kafka.controller"], result["controller"]) == ("fail", None)


def test_missing_topic_suggests_the_one_that_is_there(look: Look) -> None:
    result = look(FakeKafka(topics={"events": 1, "__consumer_offsets": 1}), topics=[{"name": "evnts"}])
    assert status(result)["topic.evnts"] == "fail"
    assert "Did you mean events?" in check(result, "topic.evnts")["hint"]
    assert causes(result) == ["topic_missing"]


def test_hidden_topic_is_unverified_and_names_the_acl(look: Look) -> None:
    result = look(FakeKafka(topics={}, hidden={"events": DENIED}), topics=[{"name": "events"}])
    assert status(result)["topic.events"] == "unverified"
    assert "Describe on Topic 'events'" in check(result, "topic.events")["hint"]
    assert status(result)["kafka.leaders"] == "unverified"
    assert causes(result) == []


@pytest.mark.parametrize(
    ("wanted", "values", "words"),
    [
        ({"min_partitions": 3}, {}, "Fewer partitions"),
        ({}, {"leaderless": {P1}}, "No leader for partitions 1"),
        ({"min_in_sync_replicas": 2}, {}, "Fewer than 2 replicas in sync"),
        ({}, {"configuration": configured(min_insync_replicas="2")}, "Fewer than 2 replicas in sync"),
    ],
)
def test_topic_that_is_not_well(look: Look, wanted: dict[str, Any], values: dict[str, Any], words: str) -> None:
    result = look(FakeKafka(**values), topics=[{"name": "events", **wanted}])
    assert status(result)["topic.events"] == "fail"
    assert words in check(result, "topic.events")["hint"]


def test_offline_and_under_replicated_partitions(look: Look) -> None:
    result = look(FakeKafka(leaderless={P1}, in_sync={P0: 0}))
    assert (status(result)["kafka.leaders"], status(result)["kafka.replicas"]) == ("fail", "fail")
    assert (result["offline_partitions"], result["under_replicated_partitions"]) == (["events-1"], ["events-0"])
    assert causes(result) == ["partitions_offline"]


@pytest.mark.parametrize(
    ("configuration", "wanted", "actual", "expected"),
    [
        (configured(auto_create_topics_enable="true"), None, True, None),
        (configured(auto_create_topics_enable="true"), True, True, "pass"),
        (configured(auto_create_topics_enable="true"), False, True, "fail"),
        (configured(auto_create_topics_enable="false"), False, False, "pass"),
        ({}, False, None, "unverified"),
        ({}, None, None, None),
    ],
)
def test_auto_creation_is_judged_only_when_asked_for(
    look: Look, configuration: dict[str, Answer], wanted: bool | None, actual: bool | None, expected: str | None
) -> None:
    options = {} if wanted is None else {"auto_create_topics": wanted}
    result = look(FakeKafka(configuration=configuration), **options)
    assert result["auto_create_topics"] is actual
    assert status(result).get("kafka.auto_create_topics") == expected


def test_end_offsets(look: Look) -> None:
    kafka = FakeKafka(topics={"events": 2, "empty": 1, "__internal": 1}, ends=[{P0: (2, 5, 5), P1: (0, 7, 7)}])
    named = look(kafka, topics=[{"name": "events"}], end_offsets=True)
    assert [(row["name"], row["start_offset_sum"], row["end_offset_sum"]) for row in named["topics"]] == [
        ("events", 2, 12)
    ]
    everything = look(kafka, end_offsets=True)
    assert [(row["name"], row["end_offset_sum"]) for row in everything["topics"]] == [("empty", 0), ("events", 12)]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ends": [{P0: DENIED, P1: (0, 7, 7)}]}, "missing ACL"),
        ({"leaderless": {P1}}, "no leader"),
    ],
)
def test_end_offsets_that_cannot_be_read_are_not_zero(look: Look, values: dict[str, Any], words: str) -> None:
    result = look(FakeKafka(**values), topics=[{"name": "events"}], end_offsets=True)
    assert status(result)["end_offsets.events"] == "unverified"
    assert words in check(result, "end_offsets.events")["hint"]
    assert result["topics"][0]["end_offset_sum"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"topics": [{"name": ""}]}, "topics holds an empty name"),
        ({"topics": [{"name": "a"}, {"name": "a"}]}, "topics names a more than once"),
        ({"topics": [{"name": "a", "min_partitions": 0}]}, "min_partitions of a is '0'"),
        ({"topics": [3]}, "topics: 3 is neither the name of a topic nor a dictionary"),
        ({"topics": [{"topic": "a"}]}, "nor a dictionary with a name"),
        ({"topics": [{"name": "a", "partitions": 3}]}, "topics: a has partitions; it may have name, min_partitions"),
        ({"topics": [{"name": "a", "min_partitions": "many"}]}, "min_partitions of a is 'many'"),
        ({"expected_brokers": 0}, "expected_brokers is 0"),
        ({"expected_brokers": ""}, "expected_brokers"),
        ({"bootstrap_servers": ["tcp://k:1"]}, "looks like a URL"),
        ({"timeout": -1}, "timeout is -1"),
    ],
)
def test_bad_input_is_one_clear_line(look: Look, options: dict[str, Any], words: str) -> None:
    def never(*_arguments: Any) -> Any:
        raise AssertionError("nothing may be contacted")

    result = look(never, **options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]


def test_missing_library(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "confluent-kafka", ImportError("No module named 'confluent_kafka'"))
    result = look(FakeKafka())
    assert "pip install confluent-kafka" in result["msg"]


@pytest.mark.parametrize(("most", "judged"), [(0, "fail"), (9, "fail"), (10, "pass")])
def test_a_topic_of_dead_letters_may_hold_so_many_records(look: Look, most: int, judged: str) -> None:
    kafka = FakeKafka(ends=[{P0: (2, 5, 5), P1: (0, 7, 7)}])
    found = check(look(kafka, topics=[{"name": "events", "max_records": most}]), "records.events")
    assert (found["status"], found["observed"]) == (judged, 10)


def test_records_that_cannot_be_counted_are_unverified(look: Look) -> None:
    result = look(FakeKafka(), topics=[{"name": "absent", "max_records": 0}])
    assert status(result)["records.absent"] == "unverified"
    assert result["verdict"] == "fail"

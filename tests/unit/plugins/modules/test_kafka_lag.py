# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""kafka_lag as a module, on prepared answers: checks, findings, rows, bad input, and the death of the child."""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_errors, kafka_observe, libraries
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.modules import kafka_lag
from tests.unit.plugins.fake_kafka import FakeKafka, commit, description, member
from tests.unit.plugins.module_runner import run_module

P0, P1 = ("events", 0), ("events", 1)
READER = member("reader", P0, P1)
Lag = Callable[..., dict[str, Any]]
DENIED_GROUP = kafka_errors.error("GROUP_AUTHORIZATION_FAILED", "Group authorization failed", 30)
DENIED_TOPIC = kafka_errors.error("TOPIC_AUTHORIZATION_FAILED", "Topic authorization failed", 29)


@pytest.fixture
def lag(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Lag:
    """Runs the module against a FakeKafka."""

    def run(kafka: FakeKafka | Callable[..., Any], **options: Any) -> dict[str, Any]:
        connect = (lambda *_arguments: kafka) if isinstance(kafka, FakeKafka) else kafka
        monkeypatch.setattr(kafka_observe, "connect", connect)
        arguments = {"bootstrap_servers": ["k:9092"], "groups": ["g"], **options}
        return run_module(kafka_lag, capsys, **arguments)

    return run


def cluster(*offsets: int | None, highs: list[int] | None = None, **values: Any) -> FakeKafka:
    """Group g reads both partitions of events; ``offsets`` are its commits."""
    rows = [commit("events", number, offset) for number, offset in enumerate(offsets) if offset is not None]
    default: dict[str, Any] = {
        "groups": {"g": description(READER)},
        "committed": {"g": rows},
        "ends": [{("events", number): (0, high, high) for number, high in enumerate(highs or [10, 10])}],
    }
    return FakeKafka(**{**default, **values})


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def causes(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["cause"]: finding for finding in result["findings"]}


def test_healthy_group(lag: Lag) -> None:
    result = lag(cluster(9, 8), max_lag=5, runbook="2.3")
    assert (result["verdict"], result["changed"], result["total_lag"], result["complete"]) == ("pass", False, 3, True)
    assert status(result) == {"kafka.reachable": "pass", "members.g": "pass", "lag.g": "pass", "kafka.complete": "pass"}
    assert {check["runbook"] for check in result["checks"]} == {"2.3"}
    assert all(check["hint"] and check["expected"] for check in result["checks"])
    (group,) = result["groups"]
    assert group["by_topic"] == {
        "events": {"total_lag": 3, "partitions": 2, "unknown_partitions": 0, "log_end_sum": 20}
    }
    assert [row["lag_offsets"] for row in group["partitions"]] == [1, 2]
    assert group["members"] == [
        {
            "member_id": "reader-id",
            "group_instance_id": None,
            "client_id": "reader",
            "host": "/10.0.0.1",
            "partitions_assigned": 2,
        }
    ]
    assert "rows" not in group


def test_check_mode_is_the_same(lag: Lag, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    plain = lag(cluster(9, 8))
    monkeypatch.setattr(kafka_observe, "connect", lambda *_arguments: cluster(9, 8))
    checked = run_module(kafka_lag, capsys, check=True, bootstrap_servers=["k:9092"], groups=["g"])
    for result in (plain, checked):
        result["checks"][0].pop("duration_ms")
        result.pop("invocation", None)
    assert plain == checked


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"max_lag": 3}, "pass"),
        ({"max_lag": 2}, "fail"),
        ({"max_lag_by_topic": {"events": 2}}, "fail"),
        ({"max_lag_by_topic": {"events": "3", "other": 0}}, "pass"),
        ({}, "pass"),
    ],
)
def test_limits(lag: Lag, options: dict[str, Any], expected: str) -> None:
    assert status(lag(cluster(9, 8), **options))["lag.g"] == expected


def test_no_commit_in_a_partition_that_holds_nothing_is_no_error(lag: Lag) -> None:
    result = lag(cluster(9, None, highs=[10, 0]))
    assert result["verdict"] == "pass"
    assert (result["total_lag"], result["complete"]) == (1, True)


@pytest.mark.parametrize(
    ("policy", "total", "expected"), [("unknown", 1, "unverified"), ("earliest", 11, "pass"), ("latest", 1, "pass")]
)
def test_no_commit_in_a_partition_with_records(lag: Lag, policy: str, total: int, expected: str) -> None:
    result = lag(cluster(9, None), no_commit_policy=policy)
    assert (result["total_lag"], status(result)["lag.g"]) == (total, expected)
    (row,) = [row for row in result["groups"][0]["partitions"] if row["partition"] == 1] or [None]
    if row:
        assert row["flags"] == ["no_commit"]
        assert row["committed"] is None
    if policy == "unknown":
        assert "events-1" in check(result, "lag.g")["hint"]
        assert "no_commit_policy" in check(result, "lag.g")["hint"]
        assert status(result)["kafka.complete"] == "unverified"


def test_partial_data_never_passes_a_limit_but_may_fail_it(lag: Lag) -> None:
    broken = kafka_errors.error("LEADER_NOT_AVAILABLE", "no leader")
    partial: dict[str, Any] = {"ends": [{P0: (0, 10, 10), P1: broken}]}
    assert status(lag(cluster(9, 9, **partial), max_lag=100))["lag.g"] == "unverified"
    result = lag(cluster(2, 9, **partial), max_lag=5)
    assert status(result)["lag.g"] == "fail"
    assert result["complete"] is False


def test_leaderless_partition_is_not_asked_for(lag: Lag) -> None:
    result = lag(cluster(9, 9, leaderless={P1}))
    assert status(result)["lag.g"] == "unverified"
    assert "no leader" in check(result, "lag.g")["hint"]
    assert result["groups"][0]["partitions"][-1]["error"]["name"] == "LEADER_NOT_AVAILABLE"


def test_empty_group_with_commits_has_a_lag_and_a_cause(lag: Lag) -> None:
    result = lag(cluster(9, 8, groups={"g": description()}), max_lag=100)
    assert (status(result)["members.g"], status(result)["lag.g"], result["total_lag"]) == ("fail", "pass", 3)
    assert causes(result)["consumer_stopped"] == {
        "cause": "consumer_stopped",
        "confidence": "seen",
        "evidence": ["lag.g", "members.g"],
        "affects": ["g"],
        "next": None,
    }


def test_empty_group_without_lag_is_no_stopped_consumer(lag: Lag) -> None:
    result = lag(cluster(10, 10, groups={"g": description()}), min_members=0)
    assert (result["verdict"], causes(result)) == ("pass", {})


def test_dead_group_with_commits_exists(lag: Lag) -> None:
    """A broker may call a KIP-848 group dead; its commits are there all the same."""
    result = lag(cluster(9, 8, groups={"g": description(state="Dead")}), min_members=0)
    assert (result["groups"][0]["exists"], result["total_lag"]) == (True, 3)


@pytest.mark.parametrize(
    "described",
    [description(state="Dead"), kafka_errors.error("GROUP_ID_NOT_FOUND", "The group id does not exist", 69)],
)
def test_absent_group(lag: Lag, described: dict[str, Any]) -> None:
    absent = FakeKafka(groups={"g": described})
    result = lag(absent)
    assert (status(result)["lag.g"], status(result)["members.g"]) == ("fail", "fail")
    assert "'g' does not exist" in check(result, "lag.g")["hint"]
    assert (result["groups"][0]["exists"], result["groups"][0]["total_lag"]) == (False, None)
    allowed = lag(absent, missing_ok=True)
    assert (allowed["verdict"], "members.g" in status(allowed)) == ("pass", False)


def test_share_group_is_unsupported_not_absent(lag: Lag) -> None:
    result = lag(FakeKafka(foreign={"g": ""}))
    assert (status(result)["lag.g"], status(result)["members.g"]) == ("unverified", "unverified")
    assert "not a consumer group (a share group, for example)" in check(result, "lag.g")["hint"]


def test_missing_acl_on_the_group_is_named(lag: Lag) -> None:
    result = lag(FakeKafka(groups={"g": DENIED_GROUP}, committed={"g": DENIED_GROUP}))
    assert (status(result)["lag.g"], status(result)["members.g"]) == ("unverified", "unverified")
    assert check(result, "lag.g")["hint"].startswith("missing ACL: the user needs Describe on Group 'g'")
    assert check(result, "members.g")["hint"].startswith("missing ACL: the user needs Describe on Group 'g'")
    assert result["groups"][0]["exists"] is None
    assert result["groups"][0]["total_lag"] is None


def test_missing_acl_on_the_topic_is_named(lag: Lag) -> None:
    kafka = cluster(9, 8, topics={}, hidden={"events": DENIED_TOPIC})
    result = lag(kafka, topics=["events"])
    assert "Describe on Topic 'events'" in check(result, "lag.g")["hint"]
    assert (status(result)["topic.events"], status(result)["lag.g"]) == ("unverified", "unverified")


def test_group_that_shows_nothing_is_unverified(lag: Lag) -> None:
    """Kafka hides the commits on topics that the user may not describe."""
    result = lag(FakeKafka(groups={"g": description(member("reader"))}))
    assert status(result)["lag.g"] == "unverified"
    assert "lacks Describe on its topics" in check(result, "lag.g")["hint"]


def test_deleted_topic(lag: Lag) -> None:
    kafka = cluster(9, 8)
    kafka.committed["g"].append(commit("gone", 0, 5))
    result = lag(kafka)
    assert status(result)["lag.g"] == "unverified"
    (row,) = [row for row in result["groups"][0]["partitions"] if row["topic"] == "gone"]
    assert (row["flags"], row["lag_offsets"]) == (["unassigned", "unknown_topic"], None)
    assert status(lag(kafka, topics=["events"]))["lag.g"] == "pass"


def test_expected_topic_that_does_not_exist(lag: Lag) -> None:
    result = lag(cluster(9, 8), topics=["evnts"], min_members=0)
    assert status(result)["topic.evnts"] == "fail"
    assert "Did you mean events?" in check(result, "topic.evnts")["hint"]


def test_group_that_reads_another_topic(lag: Lag) -> None:
    kafka = cluster(9, 8, topics={"events": 2, "orders": 1})
    result = lag(kafka, topics=["orders"])
    assert status(result)["lag.g"] == "fail"
    assert "reads events, and none of orders" in check(result, "lag.g")["hint"]
    assert result["groups"][0]["topics"] == ["events"]


def test_recreated_topic_fails_although_its_lag_is_clamped(lag: Lag) -> None:
    result = lag(cluster(90, 8), max_lag=100)
    assert (status(result)["lag.g"], result["total_lag"]) == ("fail", 2)
    assert causes(result)["topic_recreated"]["affects"] == ["g", "events-0"]
    assert "beyond_end" in result["groups"][0]["partitions"][0]["flags"]


def test_records_that_expired_unread_are_told(lag: Lag) -> None:
    kafka = cluster(2, 8)
    kafka.ends = [{P0: (6, 10, 10), P1: (0, 10, 10)}]
    result = lag(kafka, max_lag=100)
    assert (status(result)["lag.g"], result["total_lag"]) == ("pass", 6)
    assert causes(result)["records_expired_unread"]["affects"] == ["g", "events-0"]


def test_isolation(lag: Lag) -> None:
    kafka = cluster(4, 10)
    kafka.ends = [{P0: (0, 4, 10), P1: (0, 10, 10)}]
    assert lag(kafka)["total_lag"] == 6
    result = lag(kafka, isolation="read_committed")
    assert result["total_lag"] == 0
    (row,) = result["groups"][0]["partitions"]
    assert (row["hw"], row["lso"], row["log_end"], row["flags"]) == (10, 4, 4, ["lso_blocked"])


def test_topic_that_nobody_reads_any_more(lag: Lag) -> None:
    kafka = cluster(10, 10, topics={"events": 2, "old": 1})
    kafka.committed["g"].append(commit("old", 0, 5))
    kafka.ends[0]["old", 0] = (0, 50, 50)
    assert causes(lag(kafka))["topic_not_read"]["affects"] == ["g", "old"]


@pytest.mark.parametrize(
    ("commits", "ends", "trend", "expected", "cause"),
    [
        ([(5, 5), (5, 5)], [(10, 10), (10, 10)], "stalled", "fail", "consumer_stalled"),
        ([(5, 10), (3, 10)], [(10, 10), (10, 10)], "rewind", "fail", "offsets_rewound"),
        ([(5, 10), (6, 10)], [(10, 10), (20, 10)], "growing", "pass", "consumer_slow"),
        ([(0, 10), (8, 10)], [(10, 10), (11, 10)], "draining", "pass", None),
        ([(9, 10), (9, 10)], [(10, 10), (10, 10)], "unknown", "unverified", None),
        ([(9, 10), (10, 10)], [(10, 10), (10, 10)], "ok", "pass", None),
    ],
)
def test_two_samples(
    lag: Lag, commits: list[Any], ends: list[Any], trend: str, expected: str, cause: str | None
) -> None:
    kafka = cluster(
        committed={"g": [[commit("events", n, offset) for n, offset in enumerate(sample)] for sample in commits]},
        ends=[{("events", n): (0, high, high) for n, high in enumerate(sample)} for sample in ends],
    )
    result = lag(kafka, samples=2, sample_interval_seconds=0.1)
    assert result["groups"][0]["trend"]["status"] == trend
    assert status(result)["progress.g"] == expected
    assert set(causes(result)) == ({cause} if cause else set())
    for finding in result["findings"]:
        assert set(finding["evidence"]) <= set(status(result))


def test_stopped_partitions_of_an_empty_group(lag: Lag) -> None:
    result = lag(cluster(9, 10, groups={"g": description()}), samples=2, sample_interval_seconds=0.1)
    assert result["groups"][0]["trend"]["status"] == "stopped"
    assert list(causes(result)) == ["consumer_stopped"]


def test_hanging_transaction(lag: Lag) -> None:
    kafka = cluster(4, 10)
    kafka.ends = [{P0: (0, 4, 10), P1: (0, 10, 10)}, {P0: (0, 4, 12), P1: (0, 10, 10)}]
    result = lag(kafka, isolation="read_committed", samples=2, sample_interval_seconds=0.1)
    assert result["groups"][0]["trend"]["hanging_txn_suspected"] is True
    assert causes(result)["hanging_transaction"]["affects"] == ["g", "events-0"]


def test_patterns(lag: Lag) -> None:
    groups = {name: description(READER) for name in ("orders-a", "orders-b", "billing")}
    kafka = cluster(
        groups=groups, committed={name: [commit("events", 0, 10)] for name in groups}, ends=[{P0: (0, 10, 10)}]
    )
    result = lag(kafka, groups=["billing"], group_patterns=["orders-*", "bill*"])
    assert [group["group"] for group in result["groups"]] == ["billing", "orders-a", "orders-b"]
    assert status(result)["kafka.groups"] == "pass"


@pytest.mark.parametrize(
    ("values", "options", "expected", "words"),
    [
        ({}, {}, "fail", "No group matches x*"),
        ({}, {"missing_ok": True}, "pass", ""),
        ({"listed": []}, {}, "unverified", "lacks Describe on Cluster"),
        ({"list_errors": [DENIED_GROUP]}, {}, "unverified", "missing ACL"),
    ],
)
def test_pattern_that_matches_nothing(
    lag: Lag, values: dict[str, Any], options: dict[str, Any], expected: str, words: str
) -> None:
    result = lag(cluster(9, 8, **values), groups=[], group_patterns=["x*"], **options)
    assert status(result)["kafka.groups"] == expected
    assert words in check(result, "kafka.groups")["hint"]
    assert result["verdict"] != "pass"  # no group was read: nothing is shown by that


def test_groups_beyond_the_bound_are_said(lag: Lag) -> None:
    groups = {f"g{number}": description(READER) for number in range(5)}
    result = lag(FakeKafka(groups=groups), groups=[], group_patterns=["g*"], max_groups=3)
    assert (len(result["groups"]), result["groups_left_out"]) == (3, 2)
    assert status(result)["kafka.groups"] == "unverified"


@pytest.mark.parametrize(("which", "rows"), [("all", 2), ("lagging", 1), ("none", 0)])
def test_which_partitions_are_returned(lag: Lag, which: str, rows: int) -> None:
    assert len(lag(cluster(9, 10), partitions=which)["groups"][0]["partitions"]) == rows


def test_the_worst_rows_are_kept(lag: Lag) -> None:
    result = lag(cluster(9, 2), max_partition_rows=1)
    (group,) = result["groups"]
    assert ([row["lag_offsets"] for row in group["partitions"]], group["partitions_left_out"]) == ([8], 1)
    assert group["total_lag"] == 9


def test_kip_848_target_member(lag: Lag) -> None:
    described = description(member("a", P0, P1, target=[P0]), member("b", target=[P1]), type="consumer")
    rows = lag(cluster(9, 8, groups={"g": described}))["groups"][0]["partitions"]
    assert [(row["member_id"], row["target_member"]) for row in rows] == [("a-id", "a-id"), ("a-id", "b-id")]


def test_unreachable_cluster_leaves_the_lag_unverified(lag: Lag) -> None:
    def refuse(*_arguments: Any) -> Any:
        raise UnreachableError("Kafka cannot be reached: k:9092: nothing listens there (connection refused).")

    result = lag(refuse, groups=["g", "h"])
    assert status(result) == {"kafka.reachable": "unverified", "lag.g": "unverified", "lag.h": "unverified"}
    assert "k:9092" in check(result, "kafka.reachable")["observed"]
    assert (result["verdict"], result["total_lag"], result["complete"]) == ("unverified", None, False)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_death_of_the_child_is_an_unverified_check(lag: Lag, number: signal.Signals) -> None:
    def die(*_arguments: Any) -> Any:
        faulthandler.disable()
        os.kill(os.getpid(), number)

    result = lag(die)
    assert result["verdict"] == "unverified"
    assert f"ended by signal {int(number)}" in check(result, "kafka.reachable")["observed"]


def test_death_between_the_samples_is_an_unverified_check(lag: Lag, monkeypatch: pytest.MonkeyPatch) -> None:
    class Dying(FakeKafka):
        def commits(self, groups: list[str]) -> Any:
            if "commits" in self.calls:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().commits(groups)

    kafka = Dying(groups={"g": description(READER)}, committed={"g": [commit("events", 0, 0)]})
    result = lag(kafka, samples=2, sample_interval_seconds=0.1)
    assert status(result) == {"kafka.reachable": "unverified", "lag.g": "unverified"}


def test_total_time(lag: Lag) -> None:
    class Slow(FakeKafka):
        def metadata(self) -> Any:
            signal.pause()

    result = lag(Slow(), timeout=1)
    assert "no result within" in check(result, "kafka.reachable")["observed"]
    assert result["verdict"] == "unverified"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"groups": []}, "groups and group_patterns are both empty"),
        ({"groups": [" "]}, "groups holds an empty name"),
        ({"topics": [""]}, "topics holds an empty name"),
        ({"max_lag": -1}, "max_lag is -1; it must be 0 or more"),
        ({"max_lag_by_topic": {"events": "many"}}, "the limit of 'events' is 'many'"),
        ({"max_lag_by_topic": {"events": -1}}, "the limit of 'events' is '-1'"),
        ({"max_lag_by_topic": {"events": True}}, "the limit of 'events' is 'True'"),
        ({"max_groups": 0}, "max_groups is 0"),
        ({"max_partition_rows": 99999}, "max_partition_rows is 99999"),
        ({"sample_interval_seconds": 0}, "sample_interval_seconds is 0"),
        ({"samples": 2, "timeout": 5}, "raise timeout"),
        ({"samples": 3}, "value of samples must be one of: 1, 2"),
        ({"max_lag": ""}, "max_lag"),
        ({"bootstrap_servers": ["kafka"]}, "'kafka' is not host:port"),
        ({"isolation": "dirty"}, "value of isolation must be one of"),
        ({"security_protocol": "SASL_SSL"}, "sasl_mechanism, sasl_username, sasl_password"),
        (
            {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "u",
                "sasl_password": "x",
            },
            "fewer than 3 characters",
        ),
    ],
)
def test_bad_input_is_one_clear_line(lag: Lag, options: dict[str, Any], words: str) -> None:
    def never(*_arguments: Any) -> Any:
        raise AssertionError("nothing may be contacted")

    result = lag(never, **options)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]
    assert "checks" not in result


def test_strings_as_a_form_sends_them(lag: Lag) -> None:
    result = lag(cluster(9, 8), groups="g", max_lag="5", missing_ok="false", samples="1", min_members="1")
    assert result["verdict"] == "pass"


def test_strange_names_become_distinct_ids_without_control_characters(lag: Lag) -> None:
    names = ["a\x01b", "a\x02b"]
    result = lag(FakeKafka(groups={name: description(READER) for name in names}), groups=names)
    ids = list(status(result))
    assert len(ids) == len(set(ids)) == 6
    assert not [name for name in ids if "\x01" in name or "\x02" in name]


def test_missing_library(lag: Lag, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(libraries._missing, "confluent-kafka", ImportError("No module named 'confluent_kafka'"))
    result = lag(cluster(9, 8))
    assert result["failed"] is True
    assert "pip install confluent-kafka" in result["msg"]
    assert result["missing_libraries"] == ["confluent-kafka"]

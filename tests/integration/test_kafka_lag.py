# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""kafka_lag and kafka_status against the lab's broker, with ConsumerGroupCommand as the second opinion."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.sre.runbooks.plugins.module_utils import kafka_lag, kafka_status
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from lab import control, jars, java, oracle
from tests.integration import kafka_scene as scenes
from tests.integration.kafka_scene import Scene

pytestmark = pytest.mark.lab
ROOT = Path(__file__).resolve().parents[2]
DASH = "-"


@pytest.fixture(scope="module")
def scene(lab: None) -> Iterator[Scene]:
    found = Scene(control.address("kafka"))
    yield found
    found.close()


def run(module: Any, progress: Any = lambda text: None, **options: Any) -> dict[str, Any]:
    """The module's operation with options as a task gives them."""
    given = {"bootstrap_servers": [control.address("kafka")], **options}
    validated = ArgumentSpecValidator(**module.SPEC.module_arguments()).validate(given)
    assert not validated.error_messages, validated.error_messages
    params = validated.validated_parameters
    clock = Clock()
    context = Context(clock=clock, deadline=Deadline(params["timeout"], clock), progress=progress)
    result: dict[str, Any] = module.run(params, context)
    return result


def lag(*groups: str, **options: Any) -> dict[str, Any]:
    return run(kafka_lag, groups=list(groups), **options)


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def causes(result: dict[str, Any]) -> set[str]:
    return {finding["cause"] for finding in result["findings"]}


def only_group(result: dict[str, Any]) -> dict[str, Any]:
    (group,) = result["groups"]
    return dict(group)


def flags(result: dict[str, Any]) -> list[str]:
    (row,) = only_group(result)["partitions"]
    return list(row["flags"])


def oracle_table(*arguments: str) -> tuple[list[str], list[list[str]]]:
    """The tables that ConsumerGroupCommand prints: the names of their columns, and the words of each row."""
    lines = [line.split() for line in oracle.consumer_groups(["--describe", "--all-groups", *arguments]).splitlines()]
    columns = next(words for words in lines if words[:1] == ["GROUP"])
    return columns, [words for words in lines if words and words != columns]


@pytest.fixture(scope="module")
def groups(scene: Scene) -> dict[str, str]:
    """One group of each kind, on topics of their own: name of the kind to name of the group."""
    made = {}
    for kind, protocol in (("classic", "classic"), ("kip848", "consumer")):
        topic = scene.topic(kind, 7, 3, 0)
        made[kind] = scene.name(kind)
        scene.do(scenes.join, made[kind], topic, protocol, 3)
        scene.do(scenes.commit, made[kind], topic, {0: 4, 1: 3})
    topic = scene.topic("shared", 5, 6)
    made["empty"] = scene.name("empty")
    scene.do(scenes.join, made["empty"], topic, "classic", 2)
    scene.do(scenes.commit, made["empty"], topic, {0: 5, 1: 2})
    scene.do(scenes.leave, made["empty"])
    made["decoy"] = scene.name("decoy")
    scene.do(scenes.join, made["decoy"], topic, "classic", 2)
    made["simple"] = scene.group("simple", topic, {0: 1})
    return made


def test_agrees_with_consumer_group_command(scene: Scene, groups: dict[str, str]) -> None:
    result = run(kafka_lag, group_patterns=[f"{scene.prefix}*"], partitions="all")
    ours = {
        (group["group"], row["topic"], str(row["partition"])): (
            row["committed"],
            row["log_end"],
            row["lag_offsets"],
            row["member_id"],
            row["client_id"],
            row["host"],
        )
        for group in result["groups"]
        for row in group["partitions"]
    }
    compared: dict[str, int] = {}
    columns, lines = oracle_table()
    for words in lines:
        if not words[0].startswith(scene.prefix) or len(words) < len(columns):
            continue
        row = dict(zip(columns, words, strict=True))
        committed, end, known_lag, *member = ours[row["GROUP"], row["TOPIC"], row["PARTITION"]]
        assert str(DASH if committed is None else committed) == row["CURRENT-OFFSET"]
        assert str(end) == row["LOG-END-OFFSET"]
        if row["LAG"] != DASH:
            assert str(known_lag) == row["LAG"]
        assert [value or DASH for value in member] == [row[name] for name in ("CONSUMER-ID", "CLIENT-ID", "HOST")]
        compared[row["GROUP"]] = compared.get(row["GROUP"], 0) + 1
    assert set(compared) == set(groups.values())
    assert compared[groups["classic"]] == compared[groups["kip848"]] == 3

    _columns, lines = oracle_table("--state")
    states = {words[0]: (words[-2], int(words[-1])) for words in lines if words[0].startswith(scene.prefix)}
    for group in result["groups"]:
        assert (group["state"], group["members_count"]) == states[group["group"]]


def test_members_of_both_protocols(groups: dict[str, str]) -> None:
    for kind, protocol in (("classic", "classic"), ("kip848", "consumer")):
        result = lag(groups[kind], partitions="all", max_lag=3)
        group = only_group(result)
        assert result["verdict"] == "pass", result["checks"]
        assert (group["type"], group["state"], group["members_count"]) == (protocol, "Stable", 1)
        assert (group["total_lag"], group["complete"]) == (3, True)
        # partition 2 holds no records and has no commit: lag 0, not an error
        assert [row["lag_offsets"] for row in group["partitions"]] == [3, 0, 0]
        assert group["partitions"][2]["flags"] == ["no_commit"]
        targets = {row["target_member"] for row in group["partitions"]}
        assert targets == ({None} if protocol == "classic" else {group["members"][0]["member_id"]})


def test_empty_group_is_a_stopped_consumer_with_a_lag(groups: dict[str, str]) -> None:
    result = lag(groups["empty"])
    assert (only_group(result)["state"], result["total_lag"], result["complete"]) == ("Empty", 4, True)
    assert (status(result)[f"members.{groups['empty']}"], causes(result)) == ("fail", {"consumer_stopped"})


def test_group_that_never_committed_has_no_known_lag(groups: dict[str, str]) -> None:
    name = groups["decoy"]
    result = lag(name)
    assert (only_group(result)["max_lag"], result["complete"]) == (None, False)
    assert status(result)[f"lag.{name}"] == "unverified"
    assert lag(name, no_commit_policy="earliest")["total_lag"] == 11
    assert lag(name, no_commit_policy="latest")["total_lag"] == 0


def test_simple_consumer(groups: dict[str, str]) -> None:
    name = groups["simple"]
    result = lag(name)
    assert only_group(result)["is_simple_consumer_group"] is True
    assert "min_members: 0" in check(result, f"members.{name}")["hint"]
    assert status(lag(name, min_members=0, no_commit_policy="latest"))[f"lag.{name}"] == "pass"


def test_absent_group(scene: Scene) -> None:
    name = scene.name("nobody")
    result = lag(name)
    assert (only_group(result)["exists"], status(result)[f"lag.{name}"]) == (False, "fail")
    assert lag(name, missing_ok=True)["verdict"] == "pass"


def test_share_group_is_unverified(scene: Scene) -> None:
    topic, name = scene.topic("share", 1), scene.name("share")
    java_path = java.recorded(control.paths()) or java.ensure(control.paths())
    consumer = "org.apache.kafka.tools.consumer.ConsoleShareConsumer"
    arguments = ["--bootstrap-server", scene.servers, "--topic", topic, "--group", name]
    quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"
    command = [str(java_path), *java.QUICK_START, quiet, "-cp", f"{jars.KAFKA.ensure()}/*", consumer, *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            control.wait_until(lambda: name in scene.do(scenes.groups), 60, f"share group {name}")
            result = lag(name)
        finally:
            process.kill()
    assert status(result)[f"lag.{name}"] == "unverified"
    assert "not a consumer group" in check(result, f"lag.{name}")["hint"]


def test_commit_beyond_the_end(scene: Scene) -> None:
    name = scene.group("beyond", scene.topic("beyond", 5), {0: 90})
    result = lag(name, min_members=0, max_lag=100)
    assert (result["total_lag"], flags(result)) == (0, ["beyond_end", "unassigned"])
    assert (status(result)[f"lag.{name}"], causes(result)) == ("fail", {"topic_recreated"})


def test_deleted_records_are_no_phantom_lag(scene: Scene) -> None:
    topic = scene.topic("deleted", 50)
    name = scene.group("deleted", topic, {0: 10})
    assert lag(name)["total_lag"] == 40
    scene.do(scenes.delete_records, topic, 0, 45)
    result = lag(name, min_members=0, max_lag=5)
    assert (result["total_lag"], flags(result)) == (5, ["below_log_start", "unassigned"])
    assert status(result)[f"lag.{name}"] == "pass"
    assert "records_expired_unread" in causes(result)


def test_open_transaction_and_the_marker_that_it_leaves(scene: Scene) -> None:
    topic = scene.topic("transactions", 4)
    name = scene.group("transactions", topic, {0: 4})
    scene.do(scenes.transaction, topic, 0, 3, "open")
    assert lag(name)["total_lag"] == 3
    held = lag(name, isolation="read_committed", samples=2, sample_interval_seconds=0.5, min_members=0)
    assert (held["total_lag"], flags(held)) == (0, ["unassigned", "lso_blocked"])
    assert only_group(held)["trend"]["hanging_transactions"] == [f"{topic}-0"]
    assert "hanging_transaction" in causes(held)
    scene.do(scenes.end_transaction, topic)
    # Three records that were taken back and their marker: nobody will ever see them, offsets count them.
    after = lag(name, isolation="read_committed", partitions="all")
    assert (after["total_lag"], flags(after)) == (4, ["unassigned"])


def test_topic_filter(scene: Scene, groups: dict[str, str]) -> None:
    topic, name = scene.name("classic"), groups["classic"]
    assert status(lag(name, topics=[topic]))[f"topic.{topic}"] == "pass"
    other = scene.topic("other", 1)
    result = lag(name, topics=[other])
    assert status(result)[f"lag.{name}"] == "fail"
    assert f"reads {topic}, and none of {other}" in check(result, f"lag.{name}")["hint"]
    missing = lag(name, topics=[f"{topic}x"])
    assert f"Did you mean {topic}" in check(missing, f"topic.{topic}x")["hint"]


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_two_samples_of_a_living_group(scene: Scene, protocol: str) -> None:
    topic, name = scene.topic(f"moves-{protocol}", 20), scene.name(f"moves-{protocol}")
    scene.do(scenes.join, name, topic, protocol, 1)
    scene.do(scenes.commit, name, topic, {0: 5})
    two = {"samples": 2, "sample_interval_seconds": 2, "partitions": "all"}

    stalled = lag(name, **two)
    assert (only_group(stalled)["trend"]["status"], causes(stalled)) == ("stalled", {"consumer_stalled"})
    assert status(stalled)[f"progress.{name}"] == "fail"

    later = scene.start(scenes.commit, name, topic, {0: 15}, 1.0)
    draining = lag(name, **two)
    later.result(30)
    trend = only_group(draining)["trend"]
    assert (trend["status"], trend["produce_rate"]) == ("draining", 0.0)
    assert trend["consume_rate"] > 0
    assert trend["eta_seconds"] > 0
    assert [row["status"] for row in only_group(draining)["partitions"]] == ["draining"]

    later = scene.start(scenes.commit, name, topic, {0: 10}, 1.0)
    rewound = lag(name, **two)
    later.result(30)
    assert (only_group(rewound)["trend"]["status"], causes(rewound)) == ("rewind", {"offsets_rewound"})

    scene.do(scenes.leave, name)
    stopped = lag(name, **two)
    assert (only_group(stopped)["trend"]["status"], causes(stopped)) == ("stopped", {"consumer_stopped"})


def children() -> list[int]:
    """Processes that were forked by this one and run the same program."""
    own = Path("/proc/self/cmdline").read_bytes()
    found = []
    for task in Path("/proc/self/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text(encoding="utf-8").split()]
    return [pid for pid in found if Path(f"/proc/{pid}/cmdline").read_bytes() == own]


def test_killed_child_is_an_unverified_check(groups: dict[str, str]) -> None:
    killed: list[int] = []

    def kill(_text: str) -> None:
        killed.extend(children())
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    name = groups["classic"]
    result = run(kafka_lag, kill, groups=[name], samples=2, sample_interval_seconds=5)
    assert len(killed) == 1
    assert status(result) == {"kafka.reachable": "unverified", f"lag.{name}": "unverified"}
    assert "ended by signal 9 (Killed)" in check(result, "kafka.reachable")["observed"]


def sasl(user: str, mechanism: str, **options: Any) -> dict[str, Any]:
    password = control.paths().secret(f"kafka_{user.replace('-', '_')}_password")
    return {
        "security_protocol": "SASL_PLAINTEXT",
        "bootstrap_servers": [control.address("kafka_sasl")],
        "sasl_mechanism": mechanism,
        "sasl_username": user,
        "sasl_password": password,
        **options,
    }


def tls(**options: Any) -> dict[str, Any]:
    return {
        **sasl("lag-reader", "SCRAM-SHA-512"),
        "security_protocol": "SASL_SSL",
        "bootstrap_servers": [control.address("kafka_ssl")],
        "ssl_ca_path": str(control.paths().ca_file),
        **options,
    }


def test_reader_with_the_documented_acls_sees_all(groups: dict[str, str]) -> None:
    for options in (sasl("lag-reader", "PLAIN"), sasl("lag-reader", "SCRAM-SHA-512"), tls()):
        result = lag(groups["kip848"], max_lag=3, **options)
        assert (result["verdict"], result["total_lag"]) == ("pass", 3)
        assert run(kafka_status, topics=["events"], end_offsets=True, **options)["verdict"] == "pass"


def test_missing_acls_are_named(groups: dict[str, str]) -> None:
    name = groups["classic"]
    result = lag(name, topics=["events"], group_patterns=["*"], **sasl("no-acl", "PLAIN"))
    assert set(status(result).values()) - {"unverified"} == {"pass"}
    assert "Describe on Group" in check(result, f"lag.{name}")["hint"]
    assert "Describe on Group" in check(result, f"members.{name}")["hint"]
    assert "Describe on Topic 'events'" in check(result, "topic.events")["hint"]
    assert "Describe on Cluster" in check(result, "kafka.groups")["hint"]
    assert result["total_lag"] == 0
    assert only_group(result)["total_lag"] is None
    looked = run(kafka_status, topics=["events"], auto_create_topics=True, **sasl("no-acl", "PLAIN"))
    assert looked["verdict"] == "unverified"
    assert "Describe on Topic 'events'" in check(looked, "topic.events")["hint"]
    assert "DescribeConfigs on Cluster" in check(looked, "kafka.auto_create_topics")["hint"]


CONNECTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "closed port": ("replay", {}, "nothing listens there"),
    "plain text to SASL": ("kafka_sasl", {}, "security_protocol does not fit this listener"),
    "plain text to TLS": ("kafka_ssl", {}, "security_protocol does not fit this listener"),
    "TLS to plain text": ("kafka", {"security_protocol": "SSL"}, "does not speak TLS"),
}


@pytest.mark.parametrize("case", list(CONNECTIONS))
def test_wrong_connection_is_one_line_that_names_the_broker(scene: Scene, case: str) -> None:
    port, options, words = CONNECTIONS[case]
    address = control.address(port)
    looked = run(kafka_status, **{"bootstrap_servers": [address], **options})
    read = lag("g", **{"bootstrap_servers": [address], **options})
    assert (looked["verdict"], read["verdict"]) == ("fail", "unverified")
    assert causes(looked) == {"kafka_unreachable"}
    for result in (looked, read):
        text = check(result, "kafka.reachable")["observed"]
        assert f"{address}: " in text
        assert words in text
        assert "\n" not in text


def test_wrong_credentials_and_certificates(scene: Scene, tmp_path: Path) -> None:
    def observed(**options: Any) -> str:
        result = run(kafka_status, **options)
        assert result["verdict"] == "fail"
        return str(check(result, "kafka.reachable")["observed"])

    for mechanism in ("PLAIN", "SCRAM-SHA-512"):
        wrong = sasl("lag-reader", mechanism, sasl_password="a-wrong-password")
        assert "SASL authentication failed" in observed(**wrong)
        assert "a-wrong-password" not in json.dumps(run(kafka_status, **wrong))
    assert "PLAIN,SCRAM-SHA-512" in observed(**sasl("lag-reader", "SCRAM-SHA-256"))
    plain = control.address("kafka")
    assert "does not use SASL" in observed(**sasl("lag-reader", "PLAIN", bootstrap_servers=[plain]))
    assert "certificate could not be verified" in observed(**tls(ssl_ca_path=None))


def test_unknown_host_and_a_second_server_that_answers() -> None:
    name = "no-such-host.invalid:9092"
    result = run(kafka_status, bootstrap_servers=[name])
    assert f"{name}: the host name cannot be resolved" in check(result, "kafka.reachable")["observed"]
    assert run(kafka_status, bootstrap_servers=[name, control.address("kafka")])["verdict"] == "pass"


def test_never_creates_a_topic_on_a_broker_that_creates_them(scene: Scene) -> None:
    name = scene.name("never")
    looked = run(kafka_status, topics=[name], end_offsets=True, auto_create_topics=True)
    assert (status(looked)[f"topic.{name}"], looked["auto_create_topics"]) == ("fail", True)
    group = scene.group("never", scene.topic("there", 1), {0: 1})
    assert status(lag(group, topics=[name]))[f"topic.{name}"] == "fail"
    assert name not in scene.do(scenes.topics)


def test_end_offsets(scene: Scene) -> None:
    full, empty = scene.topic("full", 4, 6), scene.topic("bare", 0, 0)
    result = run(kafka_status, topics=[{"name": full, "min_partitions": 2}, empty], end_offsets=True)
    assert result["verdict"] == "pass"
    sums = {
        row["name"]: (row["partitions"], row["end_offset_sum"], row["start_offset_sum"]) for row in result["topics"]
    }
    assert sums == {full: (2, 10, 0), empty: (2, 0, 0)}


def play(tmp_path: Path, tasks: list[dict[str, Any]], *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """Run the tasks on localhost; their results, and what was printed."""
    steps = [{**task, "register": f"r{number}", "ignore_errors": True} for number, task in enumerate(tasks)]
    kept = {"content": "{{ [" + ", ".join(f"r{number}" for number in range(len(tasks))) + "] | to_json }}"}
    keep = {"ansible.builtin.copy": {**kept, "dest": str(tmp_path / "results.json"), "mode": "0600"}}
    book = tmp_path / "play.yml"
    plays = [{"hosts": "localhost", "gather_facts": False, "tasks": [*steps, {**keep, "check_mode": False}]}]
    book.write_text(json.dumps(plays), encoding="utf-8")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, str(book), *arguments],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0, output
    results: list[dict[str, Any]] = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    for result in results:
        result.pop("invocation", None)
        for made in result.get("checks", []):
            made.pop("duration_ms")
    return output, results


def test_both_paths_and_check_mode_give_the_same(groups: dict[str, str], tmp_path: Path) -> None:
    names = [groups[kind] for kind in ("classic", "kip848", "empty")]
    reader = sasl("lag-reader", "PLAIN")
    tasks: list[dict[str, Any]] = [
        {"sre.runbooks.kafka_lag": {**reader, "groups": names, "partitions": "all", "max_lag": "3"}},
        {"sre.runbooks.kafka_status": {**reader, "topics": [{"name": "events", "min_partitions": "3"}]}},
        {"sre.runbooks.kafka_lag": {"bootstrap_servers": ["nowhere"], "groups": names}},
    ]
    _output, inside = play(tmp_path, tasks, "-vvv")
    output, ordinary = play(tmp_path, tasks, "-vvv", "-e", "runbooks_in_process=false")
    _output, checked = play(tmp_path, tasks, "--check")
    assert inside == ordinary == checked
    assert [result["verdict"] for result in inside[:2]] == ["fail", "pass"]
    assert "'nowhere' is not host:port" in inside[2]["msg"]
    assert "ordinary module process, because runbooks_in_process is false" in output
    assert reader["sasl_password"] not in _output + output


def test_progress_reaches_the_terminal(groups: dict[str, str], tmp_path: Path) -> None:
    two = {"samples": 2, "sample_interval_seconds": 1, "min_members": 0}
    arguments = {"bootstrap_servers": [control.address("kafka")], "groups": [groups["empty"]], **two}
    output, _results = play(tmp_path, [{"sre.runbooks.kafka_lag": arguments}])
    assert "[localhost] first sample of 1 groups taken, the second follows in 1 s" in output

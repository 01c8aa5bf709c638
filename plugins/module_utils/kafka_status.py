# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The state of a Kafka cluster: brokers, controller, topics, partitions. Never creates a topic.

``observe`` runs in the child process and only reads; ``run`` judges what it brought back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from . import checks, isolate, kafka_connection, kafka_errors
from .argspec import ArgumentSpec
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding
from .clock import Deadline
from .errors import InputError, RunbookError, UnreachableError
from .kafka_connection import require_between
from .kafka_observe import connect, similar
from .operation import Context
from .text import clean

MOST_NAMES = 50
MOST_PARTITIONS = 20000
HIDDEN = "__"  # internal topics begin so
# With their defaults and least values
TOPIC_COUNTS: dict[str, tuple[int | None, int]] = {
    "min_partitions": (1, 1),
    "min_in_sync_replicas": (None, 1),
    "max_records": (None, 0),
}
TOPIC_KEYS = ("name", *TOPIC_COUNTS)

SPEC = kafka_connection.SPEC.merge(
    ArgumentSpec(
        options={
            "expected_brokers": {"type": "int"},
            "topics": {"type": "list", "elements": "raw", "default": []},
            "auto_create_topics": {"type": "bool"},
            "end_offsets": {"type": "bool", "default": False},
            "runbook": {"type": "str", "default": ""},
        }
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Look at the cluster. Reads only; the same in check mode."""
    settings = kafka_connection.configuration(params)
    require_between(params, "expected_brokers", 1)
    wanted = _wanted_topics(params["topics"])
    names = [topic["name"] for topic in wanted]
    end_offsets = params["end_offsets"] or any(topic["max_records"] is not None for topic in wanted)
    problem: RunbookError | None = None
    facts: dict[str, Any] = {}
    started = context.clock.monotonic()
    try:
        facts = isolate.call(
            lambda progress: observe(
                settings, params["request_timeout_seconds"], names, end_offsets, context.deadline, progress
            ),
            context.deadline.remaining(),
            "reading Kafka",
            context.progress,
        )
    except InputError:
        raise
    except RunbookError as error:
        problem = error
    duration_ms = round((context.clock.monotonic() - started) * 1000)
    found = [_reachable(settings["bootstrap.servers"], problem, duration_ms)]
    if problem:
        found += [_unseen(name) for name in names]
    else:
        found += _judge(params, wanted, facts)
    for check in found:
        check.id, check.runbook = clean(check.id), params["runbook"]
    return checks.report(found, _findings(problem, facts), **_data(facts))


def _wanted_topics(given: list[Any]) -> list[dict[str, Any]]:
    """Expected topics as {name, min_partitions, min_in_sync_replicas, max_records}; a text is a name. InputError for the rest."""
    topics = []
    for item in given:
        row = {"name": item} if isinstance(item, str) else item
        if not isinstance(row, dict) or not isinstance(row.get("name"), str):
            raise InputError(f"topics: {item!r} is neither the name of a topic nor a dictionary with a name.")
        if not row["name"].strip():
            raise InputError("topics holds an empty name; was a variable empty?")
        if unknown := sorted(row.keys() - TOPIC_KEYS):
            raise InputError(f"topics: {row['name']} has {', '.join(unknown)}; it may have {', '.join(TOPIC_KEYS)}.")
        topics.append({"name": row["name"], **{key: _count(row, key, *bounds) for key, bounds in TOPIC_COUNTS.items()}})
    names = [topic["name"] for topic in topics]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"topics names {', '.join(twice)} more than once.")
    return topics


def _count(row: dict[str, Any], key: str, default: int | None, least: int) -> int | None:
    value = row.get(key)
    if value is None:
        return default
    if isinstance(value, bool) or not str(value).isdigit() or int(value) < least:
        raise InputError(f"topics: {key} of {row['name']} is '{value}'; it must be a whole number, {least} or more.")
    return int(value)


def observe(
    settings: dict[str, Any],
    request_seconds: float,
    names: list[str],
    end_offsets: bool,
    total: Deadline,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Facts, in the child: {cluster_id, brokers, controller, topics, missing, configs, offsets}."""
    client = connect(settings, request_seconds, total, progress)
    metadata = client.metadata()
    topics = metadata["topics"]
    there = [name for name in names if name in topics]
    absent = [name for name in names if name not in topics]
    errors = client.topic_errors(absent)
    broker = metadata["brokers"][0]["id"] if metadata["brokers"] else -1
    configs = client.configs(broker, there) if broker >= 0 else {}
    chosen = there or [name for name in topics if not names and not name.startswith(HIDDEN)]
    return {
        **metadata,
        "missing": {name: {"error": errors.get(name), "similar": similar(name, topics)} for name in absent},
        "configs": {name: {"value": _wanted(answer.value), "error": answer.error} for name, answer in configs.items()},
        "offsets": _offsets(client, topics, chosen) if end_offsets else None,
    }


def _wanted(config: dict[str, str] | None) -> dict[str, str | None] | None:
    """Only the settings that are judged: a configuration is long, and may hold what is nobody's business."""
    if config is None:
        return None
    return {name: config.get(name) for name in ("auto.create.topics.enable", "min.insync.replicas")}


def _offsets(client: Any, topics: dict[str, Any], chosen: list[str]) -> dict[str, dict[str, Any]]:
    """Sum of end and of start offsets by topic; None with an error where one partition could not be read."""
    keys = [(name, number) for name in chosen for number in topics[name]["partitions"]][:MOST_PARTITIONS]
    led = [key for key in keys if topics[key[0]]["partitions"][key[1]]["leader"] >= 0]
    ends = client.offsets(led) if led else {}
    sums = {}
    for name in chosen:
        own = [ends.get((name, number)) for number in topics[name]["partitions"]]
        read = [row for row in own if row and row["hw"] is not None and row["start"] is not None]
        complete = len(read) == len(own)
        sums[name] = {
            "end_offset_sum": sum(row["hw"] for row in read) if complete else None,
            "start_offset_sum": sum(row["start"] for row in read) if complete else None,
            "error": next((row["error"] for row in own if row and row["error"]), None),
        }
    return sums


def _reachable(servers: str, problem: RunbookError | None, duration_ms: int) -> Check:
    """A cluster that does not answer is an observation; a client that died is not."""
    check = Check(
        "kafka.reachable",
        "Kafka answers",
        PASS,
        observed=servers,
        expected=f"an answer from {servers}",
        hint="A broker answered a metadata request; whether it can be written to is not shown.",
        duration_ms=duration_ms,
    )
    if problem:
        check.status = FAIL if isinstance(problem, UnreachableError) else UNVERIFIED
        check.observed = problem.message
        check.hint = (
            "Check that the broker runs, its address, security_protocol and credentials; then the network between."
        )
    return check


def _unseen(name: str) -> Check:
    hint = "Nothing could be read from Kafka; see kafka.reachable."
    return Check(f"topic.{name}", f"Topic {name}", UNVERIFIED, expected="exists", hint=hint)


def _judge(params: dict[str, Any], wanted: list[dict[str, Any]], facts: dict[str, Any]) -> Iterator[Check]:
    yield _controller(facts)
    if params["expected_brokers"] is not None:
        yield _brokers(facts, params["expected_brokers"])
    for topic in wanted:
        yield _topic(topic, facts)
    yield from _partitions(facts)
    if params["auto_create_topics"] is not None:
        yield _auto_create(facts, params["auto_create_topics"])
    for name, sums in (facts["offsets"] or {}).items():
        if sums["end_offset_sum"] is None:
            yield _no_offsets(name, sums)
    for topic in wanted:
        if topic["max_records"] is not None:
            yield _records(topic, facts)


def _controller(facts: dict[str, Any]) -> Check:
    known = facts["controller_id"] >= 0
    hint = (
        "With KRaft the brokers name any live broker here: it shows that the cluster has metadata, not who controls it."
    )
    if not known:
        hint = "The cluster has no controller: topics cannot be made, leaders cannot move; read the controllers' logs."
    return Check(
        "kafka.controller",
        "A controller is known",
        PASS if known else FAIL,
        facts["controller_id"],
        "a broker id",
        hint,
    )


def _brokers(facts: dict[str, Any], expected: int) -> Check:
    count = len(facts["brokers"])
    hint = "Brokers that the cluster calls alive; whether clients can reach each of them is not shown."
    if count < expected:
        hint = f"{expected - count} brokers are not in the cluster: start them, or read their logs for why they left."
    status = checks.status_of(count >= expected)
    return Check("kafka.brokers", "Brokers are in the cluster", status, count, f"at least {expected}", hint)


def _topic(wanted: dict[str, Any], facts: dict[str, Any]) -> Check:
    name = wanted["name"]
    check = Check(f"topic.{name}", f"Topic {name}", PASS, expected=_expected(wanted))
    row = facts["topics"].get(name)
    if row is None:
        return _missing(check, name, facts["missing"][name])
    partitions = list(row["partitions"].values())
    in_sync = min((len(one["in_sync"]) for one in partitions), default=0)
    check.observed = f"{len(partitions)} partitions, at least {in_sync} replicas in sync"
    needed = wanted["min_in_sync_replicas"] or _configured_minimum(facts, name)
    leaderless = [number for number, one in row["partitions"].items() if one["leader"] < 0]
    check.hint = "It exists and can be read; that anybody writes to it is not shown (see end_offsets)."
    if row["error"]:
        check.status, check.hint = FAIL, kafka_errors.explain(row["error"], name)
    elif leaderless:
        check.status, check.hint = FAIL, f"No leader for partitions {_some(leaderless)}: neither readable nor writable."
    elif len(partitions) < wanted["min_partitions"]:
        check.status, check.hint = (
            FAIL,
            "Fewer partitions than expected: was it made by auto-creation, or by another name?",
        )
    elif needed is not None and in_sync < needed:
        check.status = FAIL
        check.hint = f"Fewer than {needed} replicas in sync: producers with acks=all are refused; which broker is down?"
    return check


def _expected(wanted: dict[str, Any]) -> str:
    in_sync = wanted["min_in_sync_replicas"]
    return f"exists, at least {wanted['min_partitions']} partitions" + (
        f", {in_sync} replicas in sync" if in_sync else ""
    )


def _configured_minimum(facts: dict[str, Any], topic: str) -> int | None:
    value = (facts["configs"].get(topic, {}).get("value") or {}).get("min.insync.replicas")
    return int(value) if value and value.isdigit() else None


def _missing(check: Check, name: str, reason: dict[str, Any]) -> Check:
    error = reason["error"]
    if error and error["name"] != "UNKNOWN_TOPIC_OR_PART":
        check.status, check.observed, check.hint = UNVERIFIED, error["name"], kafka_errors.explain(error, name)
        return check
    like = f" Did you mean {', '.join(reason['similar'])}?" if reason["similar"] else ""
    check.status, check.observed = FAIL, "does not exist"
    check.hint = (
        f"The broker knows no topic of this name.{like} Create it, or correct the name in the services' settings."
    )
    return check


def _partitions(facts: dict[str, Any]) -> Iterator[Check]:
    """All partitions that the user may see, internal topics too: without them groups cannot commit."""
    offline, behind, count = _faulty(facts)
    expected, unseen = "none", None
    if not count:
        unseen = "No topic is visible: there is none, or the user lacks Describe on Topic."
    yield Check(
        "kafka.leaders",
        "Every partition has a leader",
        checks.status_of(None if unseen else not offline),
        observed={"partitions": count, "without_leader": len(offline)},
        expected=f"{expected} without a leader",
        hint=unseen
        or (f"Offline: {_some(offline)}. Start the brokers that hold them." if offline else "All visible topics."),
    )
    yield Check(
        "kafka.replicas",
        "Every replica is in sync",
        checks.status_of(None if unseen else not behind),
        observed={"partitions": count, "under_replicated": len(behind)},
        expected=f"{expected} under-replicated",
        hint=unseen
        or (f"Under-replicated: {_some(behind)}. A broker is down or slow." if behind else "All visible topics."),
    )


def _faulty(facts: dict[str, Any]) -> tuple[list[str], list[str], int]:
    rows = [(f"{name}-{n}", row) for name, topic in facts["topics"].items() for n, row in topic["partitions"].items()]
    offline = [label for label, row in rows if row["leader"] < 0]
    behind = [label for label, row in rows if len(row["in_sync"]) < len(row["replicas"])]
    return offline, behind, len(rows)


def _auto_creation(facts: dict[str, Any]) -> bool | None:
    value = ((facts.get("configs") or {}).get("", {}).get("value") or {}).get("auto.create.topics.enable")
    return {"true": True, "false": False}.get(value or "")


def _auto_create(facts: dict[str, Any], expected: bool) -> Check:
    actual = _auto_creation(facts)
    status = checks.status_of(None if actual is None else actual == expected)
    hint = "With auto-creation a misspelt topic name raises no error: a consumer waits for ever on an empty topic."
    if actual is None:
        hint = "The user may not read the broker's configuration: it needs DescribeConfigs on Cluster."
    return Check("kafka.auto_create_topics", "Topic auto-creation is set as expected", status, actual, expected, hint)


def _no_offsets(name: str, sums: dict[str, Any]) -> Check:
    why = kafka_errors.explain(sums["error"], name) if sums["error"] else "A partition has no leader."
    return Check(
        f"end_offsets.{name}", f"End offsets of {name}", UNVERIFIED, expected="known for every partition", hint=why
    )


def _records(wanted: dict[str, Any], facts: dict[str, Any]) -> Check:
    """How much a topic holds that should be empty or nearly so, such as one of dead letters."""
    name, most = wanted["name"], wanted["max_records"]
    sums = (facts["offsets"] or {}).get(name) or {}
    count = None if sums.get("end_offset_sum") is None else sums["end_offset_sum"] - sums["start_offset_sum"]
    hint = "Offsets that the topic keeps: markers of transactions count, and what was compacted away does too."
    if count is None:
        hint = "Its offsets could not be read; see the other checks of the topic."
    elif count > most:
        hint = f"Look at the records before anything is done with them: what could not be handled, since when. {hint}"
    status = checks.status_of(None if count is None else count <= most)
    return Check(f"records.{name}", f"Records kept in {name}", status, count, f"at most {most}", hint)


def _findings(problem: RunbookError | None, facts: dict[str, Any]) -> list[Finding]:
    if isinstance(problem, UnreachableError):
        return [Finding("kafka_unreachable", "seen", ["kafka.reachable"], ["every consumer and producer"])]
    found = []
    for name, reason in facts.get("missing", {}).items():
        if reason["error"] is None or reason["error"]["name"] == "UNKNOWN_TOPIC_OR_PART":
            found.append(Finding("topic_missing", "seen", [f"topic.{clean(name)}"], [name]))
    if facts and _faulty(facts)[0]:
        found.append(Finding("partitions_offline", "seen", ["kafka.leaders"], _faulty(facts)[0][:MOST_NAMES]))
    return found


def _data(facts: dict[str, Any]) -> dict[str, Any]:
    offline, behind, count = _faulty(facts) if facts else ([], [], 0)
    topics = facts.get("topics", {})
    named = facts.get("offsets") or {}
    controller = next((row for row in facts.get("brokers", []) if row["id"] == facts.get("controller_id")), None)
    return {
        "cluster_id": facts.get("cluster_id"),
        "controller": controller,
        "brokers": facts.get("brokers", []),
        "topics": [_topic_row(name, topics[name], facts) for name in sorted({*_asked(facts), *named})],
        "topic_count": len(topics) if facts else None,
        "partition_count": count if facts else None,
        "offline_partitions": offline[:MOST_NAMES],
        "under_replicated_partitions": behind[:MOST_NAMES],
        "auto_create_topics": _auto_creation(facts),
    }


def _asked(facts: dict[str, Any]) -> list[str]:
    return [name for name in facts.get("configs", {}) if name]


def _topic_row(name: str, topic: dict[str, Any], facts: dict[str, Any]) -> dict[str, Any]:
    rows = topic["partitions"].values()
    sums = (facts["offsets"] or {}).get(name, {})
    return {
        "name": name,
        "partitions": len(rows),
        "replication_factor": max((len(row["replicas"]) for row in rows), default=0),
        "lowest_in_sync_replicas": min((len(row["in_sync"]) for row in rows), default=0),
        "min_insync_replicas": _configured_minimum(facts, name),
        "leaderless_partitions": sum(row["leader"] < 0 for row in rows),
        "end_offset_sum": sums.get("end_offset_sum"),
        "start_offset_sum": sums.get("start_offset_sum"),
    }


def _some(names: list[Any]) -> str:
    shown = ", ".join(str(name) for name in names[:MOST_NAMES])
    return shown if len(names) <= MOST_NAMES else f"{shown} and {len(names) - MOST_NAMES} more"

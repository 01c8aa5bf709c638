# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lag of many consumer groups in one operation: options, what is asked, and the result."""

from __future__ import annotations

from typing import Any

from . import isolate, kafka_connection, kafka_lag_checks, kafka_observe, kafka_offsets, kafka_trend
from .argspec import ArgumentSpec
from .errors import InputError, RunbookError
from .kafka_connection import require_between
from .kafka_lag_checks import Options
from .kafka_offsets import Row
from .operation import Context

MOST_GROUPS = 5000
MOST_MEMBERS = 100
MOST_ROWS = 10000

SPEC = kafka_connection.SPEC.merge(
    ArgumentSpec(
        options={
            "groups": {"type": "list", "elements": "str", "default": []},
            "group_patterns": {"type": "list", "elements": "str", "default": []},
            "topics": {"type": "list", "elements": "str", "default": []},
            "isolation": {
                "type": "str",
                "default": "read_uncommitted",
                "choices": ["read_uncommitted", "read_committed"],
            },
            "no_commit_policy": {"type": "str", "default": "unknown", "choices": ["unknown", "earliest", "latest"]},
            "missing_ok": {"type": "bool", "default": False},
            "max_lag": {"type": "int"},
            "max_lag_by_topic": {"type": "dict", "default": {}},
            "min_members": {"type": "int", "default": 1},
            "samples": {"type": "int", "default": 1, "choices": [1, 2]},
            "sample_interval_seconds": {"type": "float", "default": 10.0},
            "allowed_lag": {"type": "int", "default": 0},
            "partitions": {"type": "str", "default": "lagging", "choices": ["all", "lagging", "none"]},
            "max_partition_rows": {"type": "int", "default": 1000},
            "max_groups": {"type": "int", "default": 1000},
            "runbook": {"type": "str", "default": ""},
        },
        required_one_of=(("groups", "group_patterns"),),
    )
)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read the lag of the selected groups. Reads only; the same in check mode."""
    request = _request(params)
    options = _options(params)
    seconds = context.deadline.remaining()
    problem: RunbookError | None = None
    facts: dict[str, Any] = {}
    started = context.clock.monotonic()
    try:
        facts = isolate.call(
            lambda progress: kafka_observe.observe(request, context.deadline, progress),
            seconds,
            "reading Kafka",
            context.progress,
        )
    except InputError:
        raise
    except RunbookError as error:
        problem = error
    duration_ms = round((context.clock.monotonic() - started) * 1000)
    groups = [] if problem else [_group(name, facts, options) for name in facts["groups"]]
    judged = kafka_lag_checks.judge(request, options, facts, groups, problem, duration_ms)
    _limit_rows(groups, options.max_rows)
    return {**judged, **_data(facts, groups)}


def _request(params: dict[str, Any]) -> kafka_observe.Request:
    names = {option: _names(params, option) for option in ("groups", "group_patterns", "topics")}
    if not names["groups"] and not names["group_patterns"]:
        raise InputError("groups and group_patterns are both empty: name at least one consumer group or pattern.")
    require_between(params, "max_groups", 1, MOST_GROUPS)
    require_between(params, "sample_interval_seconds", 0.1, kafka_connection.LONGEST_TIMEOUT_SECONDS)
    settings = kafka_connection.configuration(params)
    interval = params["sample_interval_seconds"]
    if params["samples"] > 1 and interval + kafka_observe.RESERVE_SECONDS >= params["timeout"]:
        raise InputError(
            f"sample_interval_seconds is {interval:g}, but the whole task may take only {params['timeout']:g} s: "
            "raise timeout."
        )
    return kafka_observe.Request(
        settings=settings,
        request_seconds=params["request_timeout_seconds"],
        groups=names["groups"],
        patterns=names["group_patterns"],
        max_groups=params["max_groups"],
        topics=names["topics"],
        samples=params["samples"],
        interval_seconds=interval,
    )


def _names(params: dict[str, Any], option: str) -> list[str]:
    given = list(dict.fromkeys(params[option]))
    if any(not name.strip() for name in given):
        raise InputError(f"{option} holds an empty name; was a variable empty?")
    return given


def _options(params: dict[str, Any]) -> Options:
    require_between(params, "max_lag", 0)
    require_between(params, "allowed_lag", 0)
    require_between(params, "min_members", 0)
    require_between(params, "max_partition_rows", 0, MOST_ROWS)
    limits: dict[str, int] = {}
    for topic, limit in params["max_lag_by_topic"].items():
        if isinstance(limit, bool) or not str(limit).isdigit():
            raise InputError(
                f"max_lag_by_topic: the limit of '{topic}' is '{limit}'; it must be a whole number, 0 or more."
            )
        limits[topic] = int(limit)
    return Options(
        isolation=params["isolation"],
        policy=params["no_commit_policy"],
        missing_ok=params["missing_ok"],
        max_lag=params["max_lag"],
        max_lag_by_topic=limits,
        min_members=params["min_members"],
        allowed_lag=params["allowed_lag"],
        partitions=params["partitions"],
        max_rows=params["max_partition_rows"],
        runbook=params["runbook"],
    )


def _group(name: str, facts: dict[str, Any], options: Options) -> dict[str, Any]:
    """Everything about one group that was observed, computed from the last sample, with the trend of two."""
    own = facts["groups"][name]
    described = own["description"] or {}
    samples = [_rows(name, own, sample, options) for sample in facts["samples"]]
    rows = list(samples[-1].values())
    fetch_error = facts["samples"][-1]["groups"][name]["error"]
    topics = kafka_offsets.by_topic(rows)
    known = not own["absent"] and fetch_error is None and bool(rows)
    lags = [row["lag_offsets"] for row in rows if row["lag_offsets"] is not None]
    errors = [error for error in (own["error"], fetch_error) if error and not own["absent"]]
    group = {
        "group": name,
        "exists": None if errors and not rows else not own["absent"],
        "type": described.get("type"),
        "state": None if own["absent"] else described.get("state"),
        "is_simple_consumer_group": described.get("is_simple_consumer_group"),
        "assignor": described.get("assignor"),
        "coordinator": described.get("coordinator"),
        "members_count": len(described["members"]) if described else None,
        "members": [_member(member) for member in described.get("members", [])[:MOST_MEMBERS]],
        "topics": sorted({*facts["samples"][-1]["groups"][name]["topics"], *_assigned_topics(described)}),
        "total_lag": kafka_offsets.total(rows) if known else None,
        "max_lag": max(lags, default=None),
        "by_topic": topics,
        "complete": known and all(row["lag_offsets"] is not None for row in rows),
        "partitions_count": len(rows),
        "errors": errors,
        "trend": None,
        "foreign_type": own["foreign_type"],
        "rows": rows,
        "partitions": _shown(rows, options.partitions),
        "partitions_left_out": 0,
    }
    if len(samples) > 1 and not own["absent"]:
        seconds = facts["samples"][1]["at"] - facts["samples"][0]["at"]
        group["trend"] = _trend(
            kafka_trend.group_trend(samples[0], samples[1], seconds, options.allowed_lag), samples[1]
        )
    return group


def _trend(trend: dict[str, Any], rows: dict[kafka_trend.Key, Row]) -> dict[str, Any]:
    for key, status in trend.pop("partitions").items():
        rows[key]["status"] = status
    trend["hanging_txn_suspected"] = bool(trend["hanging_transactions"])
    trend["hanging_transactions"] = [f"{topic}-{partition}" for topic, partition in trend["hanging_transactions"]]
    return trend


def _rows(name: str, own: dict[str, Any], sample: dict[str, Any], options: Options) -> dict[kafka_trend.Key, Row]:
    """One row per partition of every topic that the group committed to or reads."""
    members, targets = _assignments(own["description"])
    commits = {(row["topic"], row["partition"]): row for row in sample["groups"][name]["commits"]}
    if sample["groups"][name]["error"] or own["absent"]:
        return {}
    topics = {topic for topic, _partition in [*commits, *members]}
    keys = {(topic, int(number)) for topic in topics for number in sample["offsets"].get(topic, {})}
    rows = {}
    for key in sorted(keys):
        topic, partition = key
        ends = kafka_offsets.Ends(**sample["offsets"][topic][str(partition)])
        commit = commits.get(key) or _no_commit(topic, partition)
        rows[key] = kafka_offsets.row_of(
            commit, ends, members.get(key, {}), targets.get(key), options.isolation, options.policy
        )
    return rows


def _no_commit(topic: str, partition: int) -> dict[str, Any]:
    return {
        "topic": topic,
        "partition": partition,
        "offset": None,
        "leader_epoch": None,
        "metadata": None,
        "error": None,
    }


def _assignments(
    described: dict[str, Any] | None,
) -> tuple[dict[kafka_trend.Key, dict[str, Any]], dict[kafka_trend.Key, str]]:
    members: dict[kafka_trend.Key, dict[str, Any]] = {}
    targets: dict[kafka_trend.Key, str] = {}
    for member in (described or {}).get("members", []):
        for topic, partition in member["assigned"]:
            members[topic, partition] = member
        for topic, partition in member["target"] or []:
            targets[topic, partition] = member["member_id"]
    return members, targets


def _assigned_topics(described: dict[str, Any]) -> set[str]:
    return {topic for member in described.get("members", []) for topic, _partition in member["assigned"]}


def _member(member: dict[str, Any]) -> dict[str, Any]:
    named = {key: member[key] for key in ("member_id", "group_instance_id", "client_id", "host")}
    return {**named, "partitions_assigned": len(member["assigned"])}


def _shown(rows: list[Row], which: str) -> list[Row]:
    if which == "none":
        return []
    return [row for row in rows if which == "all" or kafka_offsets.is_lagging(row)]


def _limit_rows(groups: list[dict[str, Any]], most: int) -> None:
    """Keep the worst rows of all groups together; each group says how many of its own were left out."""
    shown = [(group, row) for group in groups for row in group["partitions"]]
    if len(shown) <= most:
        return
    kept = {id(row) for row in kafka_offsets.worst_first(row for _group, row in shown)[:most]}
    for group in groups:
        rows = [row for row in group["partitions"] if id(row) in kept]
        group["partitions_left_out"] = len(group["partitions"]) - len(rows)
        group["partitions"] = rows


def _data(facts: dict[str, Any], groups: list[dict[str, Any]]) -> dict[str, Any]:
    for group in groups:
        del group["rows"]
    return {
        "cluster_id": facts.get("cluster", {}).get("cluster_id"),
        "groups": groups,
        "total_lag": sum(group["total_lag"] or 0 for group in groups) if groups else None,
        "complete": bool(groups) and all(group["complete"] or group["exists"] is False for group in groups),
        "groups_left_out": facts.get("selection", {}).get("left_out", 0),
    }

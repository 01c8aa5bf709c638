# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs in the child process: what the brokers say of consumer groups, as JSON. No judgement is made here.

Commits are read before ends, so that a lag is never negative by the order of reading.
"""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from . import kafka_errors, kafka_offsets
from .clock import Clock, Deadline
from .kafka_client import Answer, Client, Partition

RESERVE_SECONDS = 1.0  # kept back from the total time to hand over what was read
SHORTEST_SECONDS = 0.5


@dataclass
class Request:
    """What to observe. ``topics`` empty = every topic of each group."""

    settings: dict[str, Any]
    request_seconds: float
    groups: list[str]
    patterns: list[str]
    max_groups: int
    topics: list[str]
    samples: int
    interval_seconds: float


def connect(
    settings: dict[str, Any], request_seconds: float, total: Deadline, progress: Callable[[str], None]
) -> Client:
    """A client that gives up early enough to hand over what it has."""
    deadline = Deadline(max(SHORTEST_SECONDS, total.remaining() - RESERVE_SECONDS), Clock())
    return Client(settings, request_seconds, deadline, progress)


def observe(request: Request, total: Deadline, progress: Callable[[str], None]) -> dict[str, Any]:
    """Facts about the selected groups: {cluster, selection, topics, groups: {name: facts}, samples: [sample]}.

    A sample is {at, groups: {name: {commits, topics, error}}, offsets: {topic: {partition: {start, lso, hw, error}}}}.
    Raises UnreachableError when no broker could be used.
    """
    client = connect(request.settings, request.request_seconds, total, progress)
    metadata = client.metadata()
    names, selection = _select(client, request)
    described = client.describe_groups(names)
    groups = {name: {"description": answer.value, "error": answer.error} for name, answer in described.items()}
    missing = [name for name in request.topics if name not in metadata["topics"]]
    unseen = client.topic_errors(missing)
    samples = [_sample(client, names, groups, request, metadata)]
    samples[0]["at"] = total.clock.monotonic()
    absent = [name for name in names if _is_absent(groups[name], samples[0]["groups"][name])]
    foreign = client.foreign_groups() if absent else {}
    for name in names:
        groups[name]["absent"] = name in absent
        groups[name]["foreign_type"] = foreign.get(name) if name in absent else None
    if request.samples > 1:
        progress(f"first sample of {len(names)} groups taken, the second follows in {request.interval_seconds:g} s")
        clock = total.clock
        clock.sleep(max(0.0, samples[0]["at"] + request.interval_seconds - clock.monotonic()))
        samples.append(_sample(client, names, groups, request, metadata))
        samples[1]["at"] = clock.monotonic()
    return {
        "cluster": {key: metadata[key] for key in ("cluster_id", "brokers")},
        "selection": selection,
        "topics": {name: _topic(name, metadata, unseen.get(name)) for name in request.topics},
        "groups": groups,
        "samples": samples,
    }


def _select(client: Client, request: Request) -> tuple[list[str], dict[str, Any]]:
    names = dict.fromkeys(request.groups)
    selection: dict[str, Any] = {"patterns": {}, "visible": None, "errors": [], "left_out": 0}
    if request.patterns:
        listed, selection["errors"] = client.list_groups()
        visible = sorted(row["group"] for row in listed)
        selection["visible"] = len(visible)
        for pattern in request.patterns:
            matching = [name for name in visible if fnmatch.fnmatchcase(name, pattern)]
            selection["patterns"][pattern] = len(matching)
            names.update(dict.fromkeys(matching))
    selection["left_out"] = max(0, len(names) - request.max_groups)
    return list(names)[: request.max_groups], selection


def _is_absent(facts: dict[str, Any], sampled: dict[str, Any]) -> bool:
    """Dead or unknown to the coordinator, and without a single commit."""
    if sampled["topics"] or sampled["error"]:
        return False
    described, error = facts["description"], facts["error"]
    if error:
        return bool(error["name"] == "GROUP_ID_NOT_FOUND")
    return bool(described["state"] == "Dead" and not described["members"])


def _sample(
    client: Client, names: list[str], groups: dict[str, Any], request: Request, metadata: dict[str, Any]
) -> dict[str, Any]:
    commits = client.commits(names)
    wanted = _partitions(groups, commits, request.topics, metadata)
    offsets = _offsets(client, wanted, metadata)
    by_topic: dict[str, dict[int, Any]] = {}
    for (topic, partition), ends in offsets.items():
        by_topic.setdefault(topic, {})[partition] = ends
    return {
        "groups": {name: _commits(answer, request.topics) for name, answer in commits.items()},
        "offsets": by_topic,
    }


def _commits(answer: Answer, topics: list[str]) -> dict[str, Any]:
    rows = answer.value or []
    return {
        "commits": [row for row in rows if not topics or row["topic"] in topics],
        "topics": sorted({row["topic"] for row in rows}),
        "error": answer.error,
    }


def _partitions(
    groups: dict[str, Any], commits: dict[str, Answer], topics: list[str], metadata: dict[str, Any]
) -> list[Partition]:
    """All partitions of each topic that a group committed to or is assigned, and those with a commit that are gone."""
    named: set[Partition] = set()
    for name, facts in groups.items():
        named.update((row["topic"], row["partition"]) for row in commits[name].value or [])
        for member in (facts["description"] or {}).get("members", []):
            named.update((topic, partition) for topic, partition in member["assigned"])
    wanted = {topic for topic, _partition in named} | set(topics)
    for topic in wanted:
        named.update((topic, partition) for partition in metadata["topics"].get(topic, {}).get("partitions", {}))
    return sorted(key for key in named if not topics or key[0] in topics)


def _offsets(client: Client, wanted: list[Partition], metadata: dict[str, Any]) -> dict[Partition, Any]:
    """Offsets of all partitions; those that cannot be asked for get their error without a request."""
    unseen = client.topic_errors(sorted({topic for topic, _partition in wanted if topic not in metadata["topics"]}))
    offsets: dict[Partition, Any] = {}
    askable: list[Partition] = []
    for topic, partition in wanted:
        problem = _why_not(topic, partition, metadata, unseen)
        if problem:
            offsets[topic, partition] = asdict(kafka_offsets.Ends(error=problem))
        else:
            askable.append((topic, partition))
    if askable:
        offsets.update(client.offsets(askable))
    return offsets


def _why_not(
    topic: str, partition: int, metadata: dict[str, Any], unseen: dict[str, kafka_errors.Error]
) -> kafka_errors.Error | None:
    known = metadata["topics"].get(topic)
    if known is None:
        return unseen.get(topic) or kafka_errors.error(
            "UNKNOWN_TOPIC_OR_PART", "the topic was made after the first look"
        )
    row = known["partitions"].get(partition)
    if row is None:
        return kafka_errors.error("UNKNOWN_TOPIC_OR_PART", f"the topic has {len(known['partitions'])} partitions")
    if row["leader"] < 0:
        return kafka_errors.error("LEADER_NOT_AVAILABLE", "the partition has no leader")
    return None


def _topic(name: str, metadata: dict[str, Any], error: kafka_errors.Error | None) -> dict[str, Any]:
    known = metadata["topics"].get(name)
    return {
        "partitions": len(known["partitions"]) if known else None,
        "error": error,
        "similar": [] if known else similar(name, metadata["topics"]),
    }


def similar(name: str, names: Iterable[str]) -> list[str]:
    """Topics whose names look like ``name``, for a hint."""
    return difflib.get_close_matches(name, [other for other in names if not other.startswith("__")], n=3, cutoff=0.6)

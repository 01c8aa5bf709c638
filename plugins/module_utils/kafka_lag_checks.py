# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the observed lag of consumer groups means: checks and findings. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from . import checks, kafka_errors, kafka_offsets, kafka_trend
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Status
from .errors import RunbookError
from .kafka_observe import Request
from .text import clean

Group = dict[str, Any]
NAMES_SHOWN = 5


@dataclass
class Options:
    """What the user calls right, and what is shown."""

    isolation: kafka_offsets.Isolation = "read_uncommitted"
    policy: kafka_offsets.NoCommitPolicy = "unknown"
    missing_ok: bool = False
    max_lag: int | None = None
    max_lag_by_topic: dict[str, int] | None = None
    min_members: int = 1
    allowed_lag: int = 0
    partitions: str = "lagging"
    max_rows: int = 1000
    runbook: str = ""


def judge(
    request: Request,
    options: Options,
    facts: dict[str, Any],
    groups: list[Group],
    problem: RunbookError | None,
    duration_ms: int,
) -> dict[str, Any]:
    """The report (verdict, checks, findings) on the groups. With ``problem`` nothing was observed."""
    found: list[Check] = [_reachable(request, problem, duration_ms)]
    findings: list[Finding] = []
    if problem:
        found += [_unread(name, request) for name in request.groups]
    else:
        found += _selection(request, options, facts["selection"])
        found += [_topic(name, facts["topics"][name]) for name in request.topics]
        for group in groups:
            found += _members(group, options)
            found.append(_lag(group, request, options))
            found += _progress(group)
            findings += _findings(group, options)
        found.append(_complete(groups))
    _finish(found, options.runbook)
    return checks.report(found, findings)


def _finish(found: list[Check], runbook: str) -> None:
    """Fit ids (two names may differ in control characters only), and the section of the runbook."""
    seen: dict[str, int] = {}
    for check in found:
        shown = clean(check.id)
        seen[shown] = seen.get(shown, 0) + 1
        check.id = shown if seen[shown] == 1 else f"{shown}#{seen[shown]}"
        check.runbook = runbook


def _reachable(request: Request, problem: RunbookError | None, duration_ms: int) -> Check:
    servers = request.settings["bootstrap.servers"]
    hint = "Lag is read from the brokers; nothing is known without them."
    if problem:
        hint = "The lag is not known. The module kafka_status judges whether the brokers are up."
    return Check(
        "kafka.reachable",
        "Kafka answers",
        UNVERIFIED if problem else PASS,
        observed=problem.message if problem else servers,
        expected=f"an answer from {servers}",
        hint=hint,
        duration_ms=duration_ms,
    )


def _unread(name: str, request: Request) -> Check:
    return Check(
        f"lag.{name}",
        f"Lag of {name}",
        UNVERIFIED,
        expected="a lag that could be read",
        hint="Nothing could be read from Kafka; see kafka.reachable.",
    )


def _selection(request: Request, options: Options, selection: dict[str, Any]) -> Iterator[Check]:
    if not request.patterns and not selection["left_out"]:
        return
    empty = [pattern for pattern, count in selection["patterns"].items() if not count]
    status: Status = PASS
    hint = "Patterns match the groups that the user may see; a group that was deleted is not missed by a pattern."
    if selection["left_out"]:
        status = UNVERIFIED
        more = f"{selection['left_out']} groups beyond max_groups ({request.max_groups})"
        hint = f"{more} were not read: raise it or select less."
    elif selection["errors"]:
        status = UNVERIFIED
        hint = " ".join(kafka_errors.explain(error, "listing groups") for error in selection["errors"][:NAMES_SHOWN])
    elif empty and not selection["visible"]:
        status = UNVERIFIED
        hint = (
            "The broker shows no group at all: there is none, or the user lacks Describe on Cluster (or on the groups)."
        )
    elif empty and not options.missing_ok:
        status = FAIL
        hint = (
            f"No group matches {_some(empty)}. Is the pattern right (shell wildcards, whole name)? Or set missing_ok."
        )
    yield Check(
        "kafka.groups",
        "Groups are selected",
        status,
        observed={"matches": selection["patterns"], "visible_groups": selection["visible"]},
        expected="each pattern matches a group" if not options.missing_ok else "a complete list of groups",
        hint=hint,
    )


def _topic(name: str, topic: dict[str, Any]) -> Check:
    if topic["partitions"] is not None:
        hint = "The topic exists; with auto-creation on, a misspelt name exists as well as soon as it was used once."
        return Check(f"topic.{name}", f"Topic {name} exists", PASS, f"{topic['partitions']} partitions", "exists", hint)
    error = topic["error"]
    like = f" Did you mean {', '.join(topic['similar'])}?" if topic["similar"] else ""
    if error and error["name"] != "UNKNOWN_TOPIC_OR_PART":
        return Check(
            f"topic.{name}",
            f"Topic {name} exists",
            UNVERIFIED,
            error["name"],
            "exists",
            kafka_errors.explain(error, name),
        )
    hint = f"The broker knows no topic of this name.{like} Check the name in the service's settings."
    return Check(f"topic.{name}", f"Topic {name} exists", FAIL, "does not exist", "exists", hint)


def _members(group: Group, options: Options) -> Iterator[Check]:
    name = group["group"]
    if options.min_members == 0 or (group["exists"] is False and options.missing_ok):
        return
    count, described_error = group["members_count"], next(iter(group["errors"]), None)
    status = checks.status_of(None if count is None else count >= options.min_members)
    hint = "Members are counted as the group coordinator knows them; whether they work is shown by the lag over time."
    if group["foreign_type"] is not None:
        status, hint = UNVERIFIED, _foreign(group)
    elif count is None and described_error:
        hint = kafka_errors.explain(described_error, name)
    elif group["exists"] is False:
        status, hint = FAIL, _absent(group)
    elif status == FAIL and group["is_simple_consumer_group"]:
        hint = (
            "The group commits without joining (a simple consumer): its members cannot be counted; set min_members: 0."
        )
    elif status == FAIL:
        hint = "No consumer is joined, or fewer than expected: start it, and read its log for why it left the group."
    observed = {"state": group["state"], "members": count}
    yield Check(f"members.{name}", f"{name} has members", status, observed, f"at least {options.min_members}", hint)


def _absent(group: Group) -> str:
    return (
        f"The group '{group['group']}' does not exist: it never committed, or its offsets expired. "
        "Check the group id in the service's settings."
    )


def _foreign(group: Group) -> str:
    kind = f" of protocol type '{group['foreign_type']}'" if group["foreign_type"] else " (a share group, for example)"
    return f"'{group['group']}' is not a consumer group{kind}: it has no committed offsets, its lag is not supported."


def _lag(group: Group, request: Request, options: Options) -> Check:
    """One check per group: known and within the limits."""
    name = group["group"]
    limits = _limits(options)
    check = Check(f"lag.{name}", f"Lag of {name}", UNVERIFIED, expected=limits)
    check.observed = _summary(group)
    beyond = _over(group, options)
    if group["foreign_type"] is not None:
        check.observed, check.hint = "not a consumer group", _foreign(group)
    elif group["exists"] is False:
        check.observed, check.hint = "the group does not exist", _absent(group)
        check.status = PASS if options.missing_ok else FAIL
    elif beyond:
        check.status, check.hint = FAIL, f"{'; '.join(beyond)}. {_advice(group)}"
    elif _reads_others(group, request):
        check.status = FAIL
        check.hint = (
            f"The group reads {_some(group['topics'])}, and none of {_some(request.topics)}: check its topic setting."
        )
    elif not group["complete"]:
        check.hint = _why_incomplete(group, request)
    elif rows := _flagged(group, kafka_offsets.BEYOND_END):
        check.status = FAIL
        check.hint = f"Committed beyond the end of {_some(rows)}: the topic was recreated or truncated."
    else:
        check.status, check.hint = PASS, _passed(group, options)
    return check


def _limits(options: Options) -> str:
    parts = [] if options.max_lag is None else [f"at most {options.max_lag}"]
    parts += [f"at most {limit} in {topic}" for topic, limit in (options.max_lag_by_topic or {}).items()]
    return ", ".join(parts) or "a lag that could be read (no limit given)"


def _summary(group: Group) -> dict[str, Any]:
    topics = {topic: row["total_lag"] for topic, row in list(group["by_topic"].items())[:NAMES_SHOWN]}
    return {"total_lag": group["total_lag"], "complete": group["complete"], "state": group["state"], "by_topic": topics}


def _over(group: Group, options: Options) -> list[str]:
    """Limits that are exceeded already by what is known."""
    over = []
    total = group["total_lag"]
    if options.max_lag is not None and total is not None and total > options.max_lag:
        over.append(f"{total} offsets behind, {options.max_lag} allowed")
    for topic, limit in (options.max_lag_by_topic or {}).items():
        lag = group["by_topic"].get(topic, {}).get("total_lag", 0)
        if lag > limit:
            over.append(f"{lag} offsets behind in {topic}, {limit} allowed")
    return over


def _advice(group: Group) -> str:
    if group["members_count"] == 0:
        return "No consumer is joined: start it."
    trend = group["trend"]
    if trend is None:
        return "One look cannot tell a backlog that drains from a consumer that is stuck: run again with samples: 2."
    if trend["eta_seconds"]:
        return f"It is being worked off; at this rate it takes {trend['eta_seconds']:g} s more."
    return f"Over {trend['seconds']:g} s the group is: {trend['status']}."


def _reads_others(group: Group, request: Request) -> bool:
    """It has members that read something, and nothing of what was expected."""
    return bool(
        request.topics and group["members_count"] and group["topics"] and not set(request.topics) & set(group["topics"])
    )


def _why_incomplete(group: Group, request: Request) -> str:
    name = group["group"]
    if group["errors"]:
        return " ".join(dict.fromkeys(kafka_errors.explain(error, name) for error in group["errors"]))
    if not group["rows"]:
        where = f" on {_some(request.topics)}" if request.topics else ""
        return (
            f"The group shows no committed offset and no assigned partition{where}: it never read anything, "
            "or the user lacks Describe on its topics (Kafka then hides them)."
        )
    failed = {row["topic"]: row["error"] for row in group["rows"] if row["lag_offsets"] is None and row["error"]}
    if failed:
        return " ".join(kafka_errors.explain(error, topic) for topic, error in list(failed.items())[:NAMES_SHOWN])
    rows = [row for row in group["rows"] if row["lag_offsets"] is None]
    return (
        f"No committed offset for {_some(_labels(rows))}, which hold records: whether they are lag depends on the "
        "consumer's auto.offset.reset; say so with no_commit_policy."
    )


def _passed(group: Group, options: Options) -> str:
    if options.max_lag is None and not options.max_lag_by_topic:
        return "No limit was given (max_lag): this shows only that the lag could be read."
    if group["members_count"] == 0:
        return "Within the limit, but no consumer is joined: nothing more will be read."
    return "Counts committed offsets: records that were read and dropped by the service count as done."


def _progress(group: Group) -> Iterator[Check]:
    trend = group["trend"]
    if trend is None:
        return
    status = trend["status"]
    result: Status = FAIL if status in kafka_trend.BAD else UNVERIFIED if status == "unknown" else PASS
    if not group["complete"] and result == PASS:
        result = UNVERIFIED
    name = group["group"]
    shown = {key: trend[key] for key in ("status", "consume_rate", "produce_rate", "eta_seconds")}
    yield Check(
        f"progress.{name}", f"{name} moves", result, shown, "commits move while there is lag", _PROGRESS_HINTS[status]
    )


_PROGRESS_HINTS: dict[str, str] = {
    "stopped": "Lag, no commit between the samples, and no member on the partition: start the consumer.",
    "stalled": (
        "Lag and a member, but no commit between the samples: a stuck consumer, or one that commits less often than "
        "sample_interval_seconds."
    ),
    "rewind": "A committed offset went back: an offset reset, or two consumers that commit for the same group.",
    "growing": (
        "It reads, but more is written than it reads: add consumers or look for what slows it. "
        "Two samples are weak evidence."
    ),
    "unknown": (
        "Not every partition could be judged; a lag of 1 that stands still in a quiet partition is a record or a "
        "transaction marker: set allowed_lag: 1 where the topic is written in transactions."
    ),
    "draining": "The lag is being worked off; eta_seconds says how long at this rate.",
    "ok": "Lag within allowed_lag in one of the samples, or steady with moving commits.",
}


def _complete(groups: list[Group]) -> Check:
    partial = [group["group"] for group in groups if not group["complete"] and group["exists"] is not False]
    read = sum(group["partitions_count"] for group in groups)
    status = checks.status_of(None if partial or not groups else True)
    hint = f"Totals of {_some(partial)} hold only what could be read; see their lag checks." if partial else ""
    if not groups:
        hint = "No group was read at all."
    return Check(
        "kafka.complete",
        "Every partition of every group was read",
        status,
        observed={"groups": len(groups), "incomplete_groups": len(partial), "partitions": read},
        expected="no incomplete group",
        hint=hint or "All offsets that the totals need were there.",
    )


def _findings(group: Group, options: Options) -> Iterator[Finding]:
    """What the evidence of this module alone allows to say."""
    name = group["group"]
    lag, progress = f"lag.{name}", f"progress.{name}"
    members = [f"members.{name}"] if options.min_members else []
    trend = group["trend"]
    if group["members_count"] == 0 and group["total_lag"]:
        yield Finding("consumer_stopped", "seen", [lag, *members], [name])
    elif trend and trend["status"] in ("stopped", "stalled"):
        yield Finding("consumer_stalled", "inferred", [lag, progress], [name])
    elif trend and trend["status"] == "growing":
        yield Finding("consumer_slow", "inferred", [lag, progress], [name])
    if trend and trend["status"] == "rewind":
        yield Finding("offsets_rewound", "seen", [progress], [name])
    if trend and trend["hanging_txn_suspected"]:
        yield Finding(
            "hanging_transaction", "inferred", [lag, progress], [name, *trend["hanging_transactions"][:NAMES_SHOWN]]
        )
    if rows := _flagged(group, kafka_offsets.BEYOND_END):
        yield Finding("topic_recreated", "inferred", [lag], [name, *rows[:NAMES_SHOWN]])
    if rows := _flagged(group, kafka_offsets.BELOW_LOG_START):
        yield Finding("records_expired_unread", "inferred", [lag], [name, *rows[:NAMES_SHOWN]])
    if rows := _unread_topics(group):
        yield Finding("topic_not_read", "inferred", [lag], [name, *rows[:NAMES_SHOWN]])


def _unread_topics(group: Group) -> list[str]:
    """Topics with lag that no member reads, while members read others: old commits of a subscription that is gone."""
    if group["state"] != "Stable" or not group["members_count"]:
        return []
    assigned = {row["topic"] for row in group["rows"] if row["member_id"] is not None}
    return [topic for topic, row in group["by_topic"].items() if topic not in assigned and row["total_lag"]]


def _flagged(group: Group, flag: str) -> list[str]:
    return _labels(row for row in group["rows"] if flag in row["flags"])


def _labels(rows: Any) -> list[str]:
    return [f"{row['topic']}-{row['partition']}" for row in rows]


def _some(names: list[str]) -> str:
    """A few names, and how many more there are."""
    shown = ", ".join(names[:NAMES_SHOWN])
    return shown if len(names) <= NAMES_SHOWN else f"{shown} and {len(names) - NAMES_SHOWN} more"

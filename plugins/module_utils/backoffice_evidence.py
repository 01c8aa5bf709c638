# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the Evidence out of the results of the modules. What a result does not hold stays None: not observed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .backoffice_causes import BOOT_DEATHS, Evidence

Result = Mapping[str, Any]
ON = ("1", "true")


def evidence_of(params: Mapping[str, Any]) -> Evidence:
    """``params`` holds the results by name (stats, kafka, lag, gateway, service, log, database) and topic and group."""
    evidence = Evidence(topic=params["topic"], stale_after_seconds=params["stale_after_seconds"] or 0)
    _stats(evidence, params["stats"])
    _kafka(evidence, params["kafka"])
    _lag(evidence, params["lag"], params["group"])
    _gateway(evidence, params["gateway"])
    _service(evidence, params["service"])
    _log(evidence, params["log"])
    _database(evidence, params["database"])
    return evidence


def status_of(result: Result, name: str) -> str | None:
    """Status of the check ``name`` of a result."""
    return next((check.get("status") for check in result.get("checks") or () if check.get("id") == name), None)


def _observed(result: Result, name: str) -> bool | None:
    """True for a check that passes, False for one that fails, None for one that is unverified or absent."""
    return {"pass": True, "fail": False}.get(status_of(result, name) or "")


def _stats(e: Evidence, result: Result) -> None:
    e.http, e.auth_reason = result.get("http"), result.get("auth_reason")
    e.state_empty, e.ledger_empty = result.get("state_empty"), result.get("ledger_empty")
    sample = result.get("stats")
    if not sample or sample.get("shape") == "unknown":
        return
    e.processed, e.skipped = sample.get("processed"), sample.get("skipped")
    e.age_seconds = sample.get("last_event_age_seconds")
    e.event_seen = sample.get("last_event") is not None
    e.offset_seen = sample.get("last_offset") is not None
    e.replay_lines = (sample.get("replay") or {}).get("lines")
    moved = result.get("progress") or {}
    if not moved.get("restarted"):
        e.offset_moved, e.event_moved = moved.get("offset_moved"), moved.get("event_moved")


def _kafka(e: Evidence, result: Result) -> None:
    e.broker = _observed(result, "kafka.reachable")
    topic = next((row for row in result.get("topics") or () if row.get("name") == e.topic), None)
    e.topic_exists = True if topic else _observed(result, f"topic.{e.topic}")
    e.topic_end = topic.get("end_offset_sum") if topic else None


def _lag(e: Evidence, result: Result, name: str) -> None:
    group = next((row for row in result.get("groups") or () if row.get("group") == name), None)
    if not group:
        return
    e.group_state = "absent" if group.get("exists") is False else (group.get("state") or "").lower() or None
    e.members = 0 if group.get("exists") is False else group.get("members_count")
    rows = group.get("partitions") or []
    e.group_topics = sorted({row["topic"] for row in rows if row.get("member_id")})
    e.committed = any(row.get("committed") is not None for row in rows)
    own = [row for row in rows if row["topic"] == e.topic] or rows
    lags = [row.get("lag_offsets") for row in own]
    e.lag = None if not lags or None in lags else sum(lags)
    e.lag_growing = _growing(group.get("trend"))


def _growing(trend: Result | None) -> bool | None:
    """Whether more is produced than is consumed; a slow consumer may commit less often than samples are taken."""
    if not trend:
        return None
    produced, consumed = trend.get("produce_rate"), trend.get("consume_rate")
    behind = produced is not None and consumed is not None and produced > consumed
    return trend.get("status") == "growing" or (trend.get("status") == "stalled" and behind)


def _gateway(e: Evidence, result: Result) -> None:
    e.gateway = _observed(result, "gateway.health")
    e.publisher = _observed(result, "gateway.publisher")


def _service(e: Evidence, result: Result) -> None:
    row: Result = next(iter(result.get("services") or ()), {})
    e.service, e.exit_code = row.get("state"), row.get("exit_code")
    environment = row.get("environment")
    if environment is not None:
        e.enabled = environment.get("BACKOFFICE_ENABLE", "1").strip().lower() in ON
        e.env_topic = environment.get("KAFKA_TOPIC", "events")
        e.env_bootstrap = environment.get("KAFKA_BOOTSTRAP_SERVERS")


def _log(e: Evidence, result: Result) -> None:
    found: dict[str, Result] = {name: row for name, row in (result.get("found") or {}).items() if row.get("matches")}
    e.log = frozenset(found)
    deaths = {name: row for name, row in found.items() if name in BOOT_DEATHS}
    e.last_death = max(deaths, key=lambda name: max(match["offset"] for match in deaths[name]["matches"]), default=None)


def _database(e: Evidence, result: Result) -> None:
    e.database = _observed(result, "store.reachable")
    books = _observed(result, "store.orders_without_fills")
    e.books_nothing = None if books is None else not books

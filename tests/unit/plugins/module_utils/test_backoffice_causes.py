# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table "Telling causes apart", rule by rule, and the order in which the rules win over each other."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_causes import (
    EFFECTS,
    RULES,
    Evidence,
    cause_of,
    facts_of,
    freshness,
)

HEALTHY: dict[str, Any] = {
    "http": "ok",
    "processed": 7,
    "skipped": 7,
    "age_seconds": 4.0,
    "stale_after_seconds": 120,
    "event_seen": True,
    "offset_seen": True,
    "broker": True,
    "topic": "events",
    "topic_exists": True,
    "topic_end": 41,
    "group_state": "stable",
    "members": 1,
    "group_topics": ["events"],
    "committed": True,
    "lag": 0,
    "gateway": True,
    "publisher": True,
    "service": "running",
    "database": True,
}
NULLS = {"processed": 0, "skipped": 0, "age_seconds": None, "event_seen": False, "offset_seen": False}
NO_MEMBER = {"group_state": "empty", "members": 0}


def evidence(*changes: dict[str, Any], **more: Any) -> Evidence:
    merged = dict(HEALTHY)
    for change in changes:
        merged |= change
    return Evidence(**(merged | more))


TABLE: list[tuple[str, Evidence, str | None, str]] = [
    ("healthy", evidence(), None, "pass"),
    ("refused, stopped", evidence(http="refused", service="stopped"), "service_stopped", "fail"),
    ("refused, replaying", evidence(http="refused", service="running"), "replay_in_progress", "fail"),
    ("refused, died", evidence(http="refused", service="failed", exit_code=1), "died_at_boot", "fail"),
    (
        "refused, bad side",
        evidence(http="refused", service="failed", last_death="boot_bad_side"),
        "ledger_fatal_line",
        "fail",
    ),
    (
        "refused, bad bytes",
        evidence(http="refused", service="failed", last_death="boot_bad_bytes"),
        "ledger_fatal_line",
        "fail",
    ),
    ("refused, port", evidence(http="refused", service="failed", last_death="boot_port"), "port_in_use", "fail"),
    (
        "refused, database",
        evidence(http="refused", service="failed", last_death="boot_database"),
        "database_down",
        "fail",
    ),
    (
        "refused, variable",
        evidence(http="refused", service="failed", last_death="boot_variable"),
        "variable_not_numeric",
        "fail",
    ),
    ("refused, unknown", evidence(http="refused", service=None), "service_down", "fail"),
    (
        "401 no secret",
        evidence(http="unauthorized", auth_reason="JWT_SECRET_NOT_CONFIGURED"),
        "jwt_secret_missing",
        "unverified",
    ),
    (
        "401 other secret",
        evidence(http="unauthorized", auth_reason="INVALID_JWT_SIGNATURE"),
        "jwt_secret_differs",
        "unverified",
    ),
    ("401 other", evidence(http="unauthorized", auth_reason="MISSING_EXP"), "token_refused", "unverified"),
    ("disabled, seen", evidence(NULLS, NO_MEMBER, enabled=False), "consumer_disabled", "fail"),
    ("disabled, by log", evidence(NULLS, NO_MEMBER, log=frozenset({"consumer_disabled"})), "consumer_disabled", "fail"),
    ("disabled once, runs now", evidence(log=frozenset({"consumer_disabled"})), None, "pass"),
    ("broker address", evidence(NULLS, NO_MEMBER, log=frozenset({"kafka_connection"})), "broker_address_wrong", "fail"),
    ("broker gone", evidence(broker=False, group_state=None, lag=None), "kafka_down", "fail"),
    ("topic misspelt", evidence(NULLS, group_topics=["evnets"]), "topic_wrong", "fail"),
    ("topic misspelt, by process", evidence(NULLS, group_topics=[], env_topic="evnets"), "topic_wrong", "fail"),
    ("rebalancing", evidence(group_state="preparingrebalance", members=2, lag=72), "group_rebalancing", "unverified"),
    ("topic missing", evidence(NULLS, topic_exists=False, topic_end=None), "topic_missing", "fail"),
    ("topic empty", evidence(NULLS, topic_end=0), "topic_empty", "fail"),
    ("publisher off", evidence(NULLS, topic_end=0, publisher=False), "publisher_off", "fail"),
    ("gateway gone", evidence(gateway=False, publisher=None), "gateway_down", "fail"),
    ("restart on a quiet market", evidence(NULLS), "restarted_on_quiet_market", "pass"),
    ("dead consumer", evidence(NO_MEMBER, lag=5), "consumer_dead", "fail"),
    ("dead consumer, database down", evidence(NO_MEMBER, lag=5, database=False), "consumer_dead", "fail"),
    ("database down, consumer lives", evidence(database=False), "database_down", "fail"),
    ("no member, nothing waits", evidence(NO_MEMBER), "consumer_gone", "fail"),
    ("no member, no commit", evidence(NULLS, NO_MEMBER, committed=False, lag=None), "consumer_never_joined", "fail"),
    ("skipped, two samples", evidence(offset_moved=True, event_moved=False), "everything_skipped", "fail"),
    ("skipped since boot", evidence(NULLS, offset_seen=True, skipped=9), "everything_skipped", "fail"),
    ("quiet market", evidence(age_seconds=900.0), "quiet_market", "pass"),
    ("quiet, gateway unknown", evidence(age_seconds=900.0, gateway=None, publisher=None), "quiet_market", "unverified"),
    ("slow", evidence(lag=900, lag_growing=True, offset_moved=True, event_moved=True), "consumer_slow", "fail"),
    ("stuck", evidence(lag=900, lag_growing=False, offset_moved=False), "consumer_stuck", "fail"),
    ("another process on the port", evidence(service="failed", exit_code=1), "port_in_use", "fail"),
    ("future", evidence(age_seconds=-3600.0), "producer_clock_ahead", "fail"),
    ("clock behind", evidence(age_seconds=3600.0, event_moved=True), "producer_clock_behind", "fail"),
    ("ledger lost", evidence(NULLS, state_empty=True, ledger_empty=True, replay_lines=0), "ledger_lost", "fail"),
    ("group unknown", evidence(group_state=None, lag=None, members=None), None, "unverified"),
    ("nothing known", Evidence(), None, "unverified"),
]


@pytest.mark.parametrize(("observed", "cause", "status"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_the_table(observed: Evidence, cause: str | None, status: str) -> None:
    found = cause_of(observed)
    assert (found.name if found else None) == cause
    assert freshness(observed, found).status == status


def test_every_rule_wins_in_some_row() -> None:
    winners = {next(rule for rule in RULES if rule(row[1])) for row in TABLE if cause_of(row[1])}
    assert winners == set(RULES)


def test_every_finding_names_evidence_and_an_effect() -> None:
    for row in TABLE:
        found = cause_of(row[1])
        if found:
            finding = found.finding().as_dict()
            assert finding["evidence"]
            assert finding["next"] is None or finding["next"]["effect"] == EFFECTS[finding["next"]["playbook"]]


def test_facts_stand_beside_the_cause() -> None:
    assert [cause.name for cause in facts_of(evidence(NO_MEMBER, lag=5, books_nothing=True))] == ["store_books_nothing"]
    assert facts_of(evidence()) == []

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth table: what is put into the lab, which playbook is asked, and the verdict and cause that it must give.

``kind`` is the table of the system's facts that the row comes from: *cause* (telling causes apart), *false green* (the
runbook's own script says PASS) or *false red* (it says FAIL on a healthy system).
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Row:
    """One row. ``faults`` are put in in this order; ``checks`` are ids, or patterns of them, and the
    status that one of them must have.

    ``part`` is the part of the lab that is needed; empty for the whole one of the playbook's system.
    """

    kind: str
    situation: str
    faults: tuple[str, ...]
    playbook: str
    verdict: str
    cause: str | None = None
    checks: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    part: str = ""

    @property
    def system(self) -> str:
        return self.playbook.partition(".")[0]


RESTART, VERIFY, STALE = "backoffice.restart", "backoffice.verify", "backoffice.stale_data"
REPAIR, RECOVERY = "backoffice.ledger_repair", "backoffice.recovery_check"
E2E, REPLAY, STORE = "backoffice.e2e", "backoffice.replay_verification", "backoffice.rdb_compliance"

ROWS = (
    Row("cause", "healthy", (), VERIFY, "pass"),
    Row("cause", "healthy, looked at twice", (), STALE, "pass"),
    Row("cause", "stopped", ("backoffice-stopped",), STALE, "fail", "service_stopped"),
    Row("cause", "still replaying, port closed", ("replay-long",), STALE, "fail", "replay_in_progress"),
    Row("cause", "died at boot: bad side in the ledger", ("ledger-bad-side",), STALE, "fail", "ledger_fatal_line"),
    Row(
        "cause", "died at boot: ledger line is not UTF-8", ("ledger-invalid-utf8",), STALE, "fail", "ledger_fatal_line"
    ),
    Row("cause", "died at boot: port taken", ("backoffice-port-taken",), STALE, "fail", "port_in_use"),
    Row(
        "cause",
        "died at boot: variable not numeric",
        ("backoffice-bad-variable",),
        STALE,
        "fail",
        "variable_not_numeric",
    ),
    Row(
        "cause",
        "died at boot: Kafka host unknown",
        ("kafka-host-unknown",),
        STALE,
        "fail",
        "broker_address_unresolvable",
    ),
    Row("cause", "died at boot: database down", ("database-down-at-boot",), STALE, "fail", "database_down"),
    Row("cause", "server without JWT secret", ("jwt-secret-missing",), STALE, "fail", "jwt_secret_missing"),
    Row("cause", "server with another JWT secret", ("jwt-secret-changed",), STALE, "unverified", "jwt_secret_differs"),
    Row("cause", "consumer switched off", ("consumer-disabled",), STALE, "fail", "consumer_disabled"),
    Row("cause", "broker address wrong", ("kafka-address-wrong",), STALE, "fail", "broker_address_wrong"),
    Row("cause", "Kafka stopped", ("kafka-stopped",), STALE, "fail", "kafka_down"),
    Row("cause", "topic misspelt (the broker creates it)", ("topic-misspelt",), STALE, "fail", "topic_wrong"),
    Row("cause", "reads a topic that nobody writes", ("topic-empty",), STALE, "fail", "topic_wrong"),
    Row(
        "cause",
        "publisher never on, topic empty",
        ("gateway-never-published",),
        STALE,
        "fail",
        "publisher_off",
        {},
        ("-e", "backoffice_kafka_topic=events.empty"),
    ),
    Row("cause", "publisher of the gateway off", ("gateway-publisher-off",), STALE, "fail", "publisher_off"),
    Row("cause", "gateway stopped", ("gateway-stopped",), STALE, "fail", "gateway_down"),
    Row(
        "cause",
        "restart on a quiet market: healthy",
        ("backoffice-restarted",),
        STALE,
        "pass",
        "restarted_on_quiet_market",
    ),
    Row("cause", "dead consumer, health ok", ("consumer-dead",), STALE, "fail", "consumer_dead"),
    Row("cause", "re-read after an offset reset, nothing new", ("offsets-reset",), STALE, "fail", "everything_skipped"),
    Row("cause", "orphan events only", ("orphan-events-only",), STALE, "fail", "everything_skipped"),
    Row("cause", "foreign format only", ("foreign-format",), STALE, "fail", "everything_skipped"),
    Row("cause", "slow consumer, lag grows", ("consumer-slow",), STALE, "fail", "consumer_slow"),
    Row("cause", "events from the future", ("events-from-future",), STALE, "fail", "producer_clock_ahead"),
    Row("cause", "producer's clock an hour behind", ("producer-clock-behind",), STALE, "fail", "producer_clock_behind"),
    Row("cause", "quiet market", ("quiet-market",), STALE, "pass", "quiet_market"),
    Row("cause", "database down", ("database-down",), STALE, "fail", "database_down"),
    Row("false green", "dead consumer, asked by the checklist", ("consumer-dead",), VERIFY, "fail", "consumer_dead"),
    Row("false green", "order accepted, publisher off", ("gateway-publisher-off",), E2E, "fail", "publisher_off"),
    Row(
        "false green",
        "empty system: ledger lost, offsets kept",
        ("ledger-lost-offsets-kept",),
        VERIFY,
        "fail",
        "ledger_lost",
    ),
    Row(
        "false green",
        "account that nobody has",
        (),
        VERIFY,
        "unverified",
        None,
        {"positions": "unverified", "ledger": "unverified", "reconcile.balances": "unverified"},
        ("-e", "backoffice_account_id=acct_nobody"),
    ),
    Row(
        "false green",
        "replay with broken JSON in the ledger",
        ("ledger-broken-json",),
        REPLAY,
        "fail",
        "ledger_skipped_line",
    ),
    Row("false green", "replay with a torn tail", ("ledger-torn-tail",), REPLAY, "fail", "ledger_skipped_line"),
    Row("false green", "replay with an unknown type", ("ledger-unknown-type",), REPLAY, "fail", "ledger_skipped_line"),
    Row("false green", "replay with a missing field", ("ledger-missing-field",), REPLAY, "fail", "ledger_skipped_line"),
    Row(
        "false green", "replay with a number as text", ("ledger-number-as-text",), REPLAY, "fail", "ledger_silent_line"
    ),
    Row("false green", "replay beyond its objective", ("replay-slow",), VERIFY, "fail", None, {"replay_slo": "fail"}),
    Row(
        "false green",
        "bad line under a snapshot",
        ("ledger-bad-line-under-snapshot",),
        REPLAY,
        "fail",
        "ledger_skipped_line",
    ),
    Row(
        "false green", "another BackOffice on the replay's port", ("replay-port-taken",), REPLAY, "fail", "port_in_use"
    ),
    Row(
        "false green",
        "restart under a writer on a replaced file",
        ("writer-on-old-inode",),
        RESTART,
        "fail",
        "ledger_replaced_while_running",
    ),
    Row(
        "false green",
        "repair under a writer on a replaced file",
        ("writer-on-old-inode",),
        REPAIR,
        "fail",
        "ledger_replaced_while_running",
    ),
    Row(
        "false green",
        "a system without orders",
        ("account-unknown",),
        RECOVERY,
        "unverified",
        checks={"positions": "unverified", "ledger": "unverified", "reconcile.balances": "unverified"},
    ),
    Row(
        "false green",
        "bad side under a snapshot, health ok",
        ("ledger-bad-side-under-snapshot",),
        VERIFY,
        "fail",
        "ledger_unreadable",
    ),
    Row("false green", "in-memory store in production", ("store-in-memory",), STORE, "fail", "in_memory_store"),
    Row(
        "false green", "store that cannot book a fill", ("database-books-nothing",), STORE, "fail", "cannot_book_fills"
    ),
    Row("false green", "database without its schema", ("database-schema-missing",), STORE, "fail", "schema_missing"),
    Row("false red", "open position, in-memory store", ("store-in-memory",), VERIFY, "pass"),
    Row("false red", "quiet market beyond the limit", ("quiet-market",), VERIFY, "pass", "quiet_market"),
    Row("false red", "more entries than the limit of reconcile", ("reconcile-limit-exceeded",), VERIFY, "pass"),
    Row("false red", "replay verification beside the live instance", (), REPLAY, "pass"),
    Row("false red", "an order, followed to its booking", (), E2E, "pass"),
)

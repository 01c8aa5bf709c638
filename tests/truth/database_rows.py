# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth table of the databases: what the runbooks' commands show as fine, or not at all."""

from __future__ import annotations

from typing import Any

from tests.truth.rows import Row

INFO, CONNECTIVITY, CONNECTIONS = "hafnium.flyway_info", "hafnium.db_connectivity", "hafnium.db_connections"
IDLE = "hafnium.db_idle_kill"
SCHEMA, DEGRADATION, VERIFY = "ecommerce.schema_change_check", "ecommerce.database_degradation", "ecommerce.verify"
OUTBOX, ANSWERS, PRUNE = "ecommerce.outbox", "ecommerce.idempotency", "ecommerce.idempotency_prune"
SHORT = ("-e", "{'hafnium_idle_seconds': 0.2, 'hafnium_idle_floor_seconds': 0}")
EMPTY = ("-e", "{'hafnium_flyway_defaults': {'locations': 'filesystem:/nonexistent/{name}'}}")


def row(kind: str, situation: str, playbook: str, verdict: str, *faults: str, **more: Any) -> Row:
    return Row(kind, situation, faults, playbook, verdict, part="databases", **more)


ROWS = (
    row("cause", "healthy, seven histories", INFO, "pass"),
    row("cause", "healthy, the database answers", CONNECTIVITY, "pass"),
    row("cause", "healthy, connections", CONNECTIONS, "pass"),
    row("cause", "healthy, nothing idle for an hour", IDLE, "pass"),
    row("cause", "healthy, migrations unchanged", SCHEMA, "pass"),
    row("cause", "healthy, both databases", DEGRADATION, "pass", checks={"failover": "pass", "query_review": "pass"}),
    row("cause", "healthy, every event has its order", OUTBOX, "pass"),
    row("cause", "healthy, no answer expired", ANSWERS, "pass"),
    row("cause", "healthy, nothing to prune", PRUNE, "pass"),
    row(
        "cause",
        "events wait in the outbox, fewer than the alert asks for",
        OUTBOX,
        "fail",
        "ecommerce-outbox-stuck",
        cause="publisher_stopped",
        checks={"outbox.pending": "pass", "outbox.age": "fail"},
    ),
    row(
        "false green",
        "events were given up: the alert on those that wait is green",
        OUTBOX,
        "fail",
        "ecommerce-outbox-failed",
        cause="outbox_failed",
        checks={"outbox.pending": "pass", "outbox.age": "pass", "outbox.failed": "fail"},
    ),
    row(
        "false green",
        "an event was published, and its order was lost",
        OUTBOX,
        "fail",
        "ecommerce-order-lost",
        cause="orders_lost",
        checks={"outbox.failed": "pass", "outbox.booked": "fail"},
    ),
    row(
        "false green",
        "published events, and nobody to ask for their orders",
        OUTBOX,
        "fail",
        checks={"outbox.failed": "pass", "outbox.booked": "unverified"},
        arguments=("-e", "ecommerce_order_database_url=jdbc:postgresql://127.0.0.1:9/order_db"),
    ),
    row(
        "false green",
        "answers expired and were never pruned: the runbook's query fails on a column that does not exist",
        ANSWERS,
        "fail",
        "ecommerce-idempotency-expired",
        cause="idempotency_not_pruned",
        checks={"idempotency.entries": "pass", "idempotency.expired": "fail"},
    ),
    row(
        "false green",
        "pruning without a folder for the copy",
        PRUNE,
        "unverified",
        "ecommerce-idempotency-expired",
        arguments=("-e", "ecommerce_idempotency_audit_directory="),
    ),
    row(
        "cause",
        "one of two databases does not answer",
        DEGRADATION,
        "fail",
        cause="database_unreachable",
        checks={"connections.customer_db": "pass", "failover": "fail"},
        arguments=("-e", "ecommerce_order_database_url=jdbc:postgresql://127.0.0.1:9/order_db"),
    ),
    row(
        "false green",
        "the variable with the host is not set",
        CONNECTIVITY,
        "unverified",
        arguments=("-e", "hafnium_database_host="),
    ),
    row(
        "false green",
        "locations without a migration: Flyway says Future and Success",
        INFO,
        "fail",
        cause="locations_wrong",
        arguments=EMPTY,
    ),
    row(
        "false green",
        "no backup was ever made",
        VERIFY,
        "unverified",
        arguments=("-e", "ecommerce_backup_directory="),
    ),
    row(
        "false green",
        "nobody said where the migrations lie",
        SCHEMA,
        "unverified",
        arguments=("-e", "{'ecommerce_customer_migrations': {}, 'ecommerce_order_migrations': {}}"),
    ),
    row(
        "false green",
        "asked to scale down what has no replicas",
        DEGRADATION,
        "unverified",
        checks={"scale_down": "unverified"},
        arguments=("-e", "ecommerce_scale_down_to=1"),
    ),
    row(
        "cause",
        "a migration failed half-way",
        INFO,
        "fail",
        "hafnium-flyway-failed-row",
        cause="migration_failed",
        checks={"flyway.screening.failed": "fail", "flyway.identity.failed": "pass"},
    ),
    row("cause", "a migration waits", INFO, "pass", "hafnium-flyway-pending", checks={"flyway.case.pending": "pass"}),
    row(
        "cause",
        "a migration came after a later one",
        INFO,
        "fail",
        "hafnium-flyway-out-of-order",
        cause="migration_out_of_order",
        checks={"flyway.monitoring.order": "fail"},
    ),
    row(
        "cause",
        "the file of a migration is gone",
        INFO,
        "fail",
        "hafnium-flyway-missing",
        cause="migration_files_missing",
    ),
    row(
        "cause",
        "two files with version 1",
        INFO,
        "fail",
        "hafnium-flyway-duplicate",
        checks={"flyway.identity.validate": "fail", "flyway.screening.validate": "pass"},
    ),
    row(
        "false green",
        "a check of public alone: vault's file was edited after it was applied",
        INFO,
        "fail",
        "hafnium-flyway-changed-file",
        cause="migration_changed_after_applied",
        checks={"flyway.vault.changed": "fail", "flyway.identity.changed": "pass"},
    ),
    row(
        "false green",
        "a migration was mutated, and the database runs on",
        SCHEMA,
        "fail",
        "ecommerce-migration-mutated",
        cause="migration_changed_after_applied",
        checks={"flyway.customer_db.changed": "fail", "flyway.order_db.changed": "pass"},
    ),
    row(
        "false green",
        "idle sessions, one of which never ran a query",
        IDLE,
        "pass",
        "hafnium-idle-connections",
        checks={"idle.hafnium": "pass"},
        arguments=SHORT,
    ),
    row(
        "false green",
        "more idle sessions than a run may end",
        IDLE,
        "fail",
        "hafnium-idle-connections",
        checks={"idle.hafnium": "fail"},
        arguments=(*SHORT, "-e", "hafnium_limit_idle_kill_count=3"),
    ),
    row(
        "false green",
        "few connections, transactions left open",
        CONNECTIONS,
        "fail",
        "hafnium-idle-in-transaction",
        checks={"idle_in_transaction.hafnium": "fail", "saturation.hafnium": "pass"},
        arguments=("-e", "hafnium_database_idle_in_transaction_seconds=0.1"),
    ),
    row(
        "false green",
        "few connections, two wait for a lock",
        CONNECTIONS,
        "fail",
        "hafnium-database-lock",
        cause="blocked_by_open_transaction",
        checks={"blocked.hafnium": "fail"},
        arguments=("-e", "hafnium_database_blocked_seconds=0.1"),
    ),
    row(
        "cause",
        "every place of the server is taken",
        CONNECTIONS,
        "fail",
        "hafnium-connections-exhausted",
        cause="connections_exhausted",
        checks={"saturation.hafnium": "fail"},
    ),
    row(
        "cause",
        "a query does not end",
        DEGRADATION,
        "fail",
        "ecommerce-runaway-query",
        checks={"long_queries.order_db": "fail", "query_review": "fail", "failover": "pass"},
        arguments=("-e", "ecommerce_long_query_seconds=0.1"),
    ),
    row(
        "cause",
        "a migration holds its lock for too long",
        INFO,
        "fail",
        "hafnium-flyway-locked",
        checks={"flyway.signals.lock": "fail", "flyway.case.lock": "pass"},
        arguments=("-e", "hafnium_flyway_lock_seconds=0.1"),
    ),
)

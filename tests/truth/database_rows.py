# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth table of the databases: what the runbooks' commands show as fine, or not at all."""

from __future__ import annotations

from typing import Any

from tests.truth.rows import Row

INFO, CONNECTIVITY, CONNECTIONS = "hafnium.flyway_info", "hafnium.db_connectivity", "hafnium.db_connections"
IDLE = "hafnium.db_idle_kill"
SCHEMA, DEGRADATION, VERIFY = "ecommerce.schema_change_check", "ecommerce.database_degradation", "ecommerce.verify"
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
)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the shop's tables: events that are stuck, given up or lost, and answers that expired and were never pruned.

Each marks its rows, so that it takes out those and no others.
"""

from __future__ import annotations

import json
import uuid

from lab.faults.database_sessions import PART, rows
from lab.faults.model import Fault

STUCK, GIVEN_UP, ANSWERS = 3, 2, 4
MARK = "lab-fault"
TWO_MINUTES = 120


def mark(fault: str) -> str:
    """The aggregate of the events of a fault, and the beginning of its order numbers."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{MARK}.{fault}"))


def number(fault: str, sequence: int) -> str:
    return f"LAB-{mark(fault)[:8]}-{sequence}"


def _events(fault: str, status: str, count: int, tries: int = 0) -> None:
    """Events that were written two minutes ago; those of an earlier call are replaced."""
    _no_events(fault)
    for sequence in range(1, count + 1):
        payload = {"eventId": str(uuid.uuid4()), "orderId": mark(fault), "orderNumber": number(fault, sequence)}
        rows(
            "INSERT INTO order_created_outbox SELECT %s, %s, 'ORDER', 'OrderCreatedEvent', %s, t, "
            "CASE WHEN %s = 'PUBLISHED' THEN t END, %s, %s, %s "
            "FROM (SELECT now() AT TIME ZONE 'UTC' - make_interval(secs => %s)) AS written (t)",
            [
                payload["eventId"],
                mark(fault),
                json.dumps(payload),
                *(status, status, tries, "Failed to send" if tries else None, TWO_MINUTES),
            ],
            database="customer_db",
        )


def _no_events(fault: str) -> None:
    rows("DELETE FROM order_created_outbox WHERE aggregate_id = %s", [mark(fault)], database="customer_db")


def _answers() -> None:
    _no_answers()
    rows(
        "INSERT INTO checkout_idempotency SELECT %s || n, repeat('0', 64), 201, '{}', t - interval '1 day', t "
        "FROM generate_series(1, %s) n, LATERAL (SELECT now() AT TIME ZONE 'UTC' - make_interval(days => n)) AS ended (t)",
        [MARK, ANSWERS],
        database="customer_db",
    )


def _no_answers() -> None:
    rows(
        "DELETE FROM checkout_idempotency WHERE starts_with(idempotency_key, %s)",
        [MARK],
        database="customer_db",
    )


def _of(name: str, summary: str, status: str, count: int, tries: int = 0) -> Fault:
    return Fault(name, summary, lambda: _events(name, status, count, tries), lambda: _no_events(name), PART)


FAULTS = (
    _of(
        "ecommerce-outbox-stuck",
        f"{STUCK} events of orders have waited in the outbox for two minutes: the publisher stands still",
        "PENDING",
        STUCK,
    ),
    _of(
        "ecommerce-outbox-failed",
        f"{GIVEN_UP} events of orders were given up after five tries: none waits any more, and nothing sends them again",
        "FAILED",
        GIVEN_UP,
        5,
    ),
    _of(
        "ecommerce-order-lost",
        "the event of an order was published two minutes ago, and the order service has no such order",
        "PUBLISHED",
        1,
    ),
    Fault(
        "ecommerce-idempotency-expired",
        f"{ANSWERS} answers for repeated checkouts expired days ago, and were never pruned",
        _answers,
        _no_answers,
        PART,
    ),
)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""First rows of the shop's two databases: orders that went their whole way, from checkout to payment."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import Any

from lab import postgres
from lab.layout import Paths

ORDERS = 40
GAP = 17  # a number that a checkout took and lost: normal
_NAMES = uuid.UUID("7f0bdc1c-65a4-4a57-9f2c-3f4e6bb4a7a1")


def number(day: date, sequence: int) -> str:
    """An order number, as customers know it."""
    return f"ORD-{day:%Y%m%d}-{sequence}"


def seed(paths: Paths) -> None:
    """Put the orders of today into both databases when they have none. psycopg2.Error as it comes."""
    with closing(postgres.connect(paths, "customer_db", "customer_user")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM order_number_sequence LIMIT 1")
        if cursor.fetchone():
            return
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    sequences = [each for each in range(1, ORDERS + 2) if each != GAP]
    orders = [_Order(now, sequence) for sequence in sequences]
    _fill(paths, "order_db", "order_user", [each for order in orders for each in order.managed()])
    category, day = _id("category"), now.date()
    shop: list[tuple[str, Sequence[Any]]] = [
        ("INSERT INTO categories VALUES (%s, 'Books', 'Printed matter', %s)", [category, now]),
        (
            "INSERT INTO products VALUES (%s, 'BOOK-1', 'Runbook', 'Bound', 19.90, 500, %s, true, %s)",
            [_id("product"), category, now],
        ),
        *(order.sold() for order in orders),
        ("INSERT INTO order_number_sequence VALUES (%s, %s)", [day, max(sequences)]),
    ]
    _fill(paths, "customer_db", "customer_user", shop)


HIGHEST = "SELECT max(split_part(payload ->> 'orderNumber', '-', 3)::bigint) FROM order_created_outbox"


def trouble(paths: Paths) -> list[str]:
    """A line when the next order would get a number that an order has already. Nothing when the server does not answer."""
    import psycopg2

    try:
        with closing(postgres.connect(paths, "customer_db")) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT (SELECT max(last_sequence) FROM order_number_sequence), ({HIGHEST})")
            last, highest = cursor.fetchone() or (None, None)
    except psycopg2.Error as error:
        return [f"database customer_db: {str(error).strip().splitlines()[0]}"]
    if last is None or highest is None or last >= highest:
        return []
    return [f"database customer_db: last_sequence is {last}, and order number {highest} was given already"]


class _Order:
    """One order: its event in the shop's outbox, its rows in the order service's database."""

    def __init__(self, now: datetime, sequence: int) -> None:
        self.number = number(now.date(), sequence)
        self.at = now - timedelta(minutes=ORDERS + 2 - sequence)
        self.event, self.order = _id(f"event {self.number}"), _id(f"order {self.number}")
        self.aggregate, self.payment = _id(f"aggregate {self.number}"), _id(f"payment {self.number}")

    def sold(self) -> tuple[str, Sequence[Any]]:
        payload = {
            "eventId": self.event,
            "orderId": self.aggregate,
            "orderNumber": self.number,
            "timestamp": self.at.isoformat() + "Z",
        }
        return (
            "INSERT INTO order_created_outbox VALUES (%s, %s, 'ORDER', 'OrderCreatedEvent', %s, %s, %s, 'PUBLISHED')",
            [self.event, self.aggregate, json.dumps(payload), self.at, self.at + timedelta(seconds=3)],
        )

    def managed(self) -> list[tuple[str, Sequence[Any]]]:
        paid = self.at + timedelta(seconds=4)
        event = "INSERT INTO processed_events VALUES (%s, %s, %s, NULL)"
        return [
            (
                "INSERT INTO orders VALUES (%s, %s, 'Ada', 'ada@example.org', 'PAID', 19.90, %s, %s)",
                [self.order, self.number, self.at, paid],
            ),
            (
                "INSERT INTO order_items VALUES (%s, %s, 'BOOK-1', 1, 19.90)",
                [_id(f"item {self.number}"), self.order],
            ),
            (
                "INSERT INTO payment_transactions VALUES (%s, %s, 19.90, 'SUCCESS', %s, %s)",
                [self.payment, self.order, f"mock-{self.payment}", paid],
            ),
            (event, [self.event, "ORDER_CREATED", self.at + timedelta(seconds=3)]),
            (event, [_id(f"paid {self.number}"), "PAYMENT_COMPLETED", paid]),
        ]


def _id(name: str) -> str:
    return str(uuid.uuid5(_NAMES, name))


def _fill(paths: Paths, database: str, owner: str, statements: list[tuple[str, Sequence[Any]]]) -> None:
    with closing(postgres.connect(paths, database, owner)) as connection:
        connection.autocommit = False
        with connection, connection.cursor() as cursor:
            cursor.execute(b";".join(cursor.mogrify(statement, values) for statement, values in statements))

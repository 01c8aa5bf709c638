# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shop's two databases on a server of the test's own, made by the lab's migrations, and a decoy with the same tables."""

from __future__ import annotations

import json
import secrets
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab import databases, histories
from lab.layout import LabError
from tests.integration.throwaway_postgres import Throwaway
from tests.support import postgres_majors

CUSTOMER, ORDER, DECOY = "customer_db", "order_db", "customer_db_decoy"
READER = databases.READER
TABLES = {CUSTOMER: ("order_created_outbox", "checkout_idempotency"), ORDER: ("orders",)}


@dataclass
class Shop:
    """The databases; times are in UTC, whatever zone the server is in."""

    server: Throwaway
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(12))

    def prepare(self) -> None:
        for name, service in ((CUSTOMER, "customer"), (ORDER, "order"), (DECOY, "customer")):
            self.server.run(f"CREATE DATABASE {name}")
            folder = next(
                history.source
                for database in databases.DATABASES.values()
                for history in database.histories
                if history.service == service
            )
            with closing(self.server.connect(name)) as connection:
                histories.migrate(connection, folder, "public")
            self.server.run(databases.GRANTS.read_text(encoding="utf-8"), database=name)
        self.server.run(f"ALTER ROLE {READER} PASSWORD '{self.secret}'")

    def clear(self) -> None:
        for database, tables in (*TABLES.items(), (DECOY, TABLES[CUSTOMER])):
            self.server.run(f"TRUNCATE {', '.join(tables)} CASCADE", database=database)

    def options(self, *names: str, user: str = READER, password: str = "", **more: Any) -> dict[str, Any]:
        """The module's options for these databases, both if none is named."""
        return {
            "databases": [{"name": name, "login_db": name} for name in names or (CUSTOMER, ORDER)],
            "login_host": "127.0.0.1",
            "login_port": self.server.port,
            "login_user": user,
            "login_password": password or self.secret,
            **more,
        }

    def owner(self, *names: str, **more: Any) -> dict[str, Any]:
        """The same as one that may write."""
        return self.options(*(names or (CUSTOMER,)), user="postgres", password=self.server.password, **more)

    def run(self, statement: str, *values: Any, database: str = CUSTOMER) -> list[tuple[Any, ...]]:
        with closing(self.server.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []

    def event(
        self,
        number: str | None,
        status: str = "PUBLISHED",
        age: float = 120.0,
        tries: int = 0,
        database: str = CUSTOMER,
        zone: str = "UTC",
    ) -> None:
        """A row of the outbox, written so many seconds ago."""
        self.run(
            "INSERT INTO order_created_outbox SELECT %s, %s, 'ORDER', 'OrderCreatedEvent', %s, t, "
            "CASE WHEN %s = 'PUBLISHED' THEN t END, %s, %s, %s FROM (SELECT now() AT TIME ZONE %s - make_interval(secs => %s)) w(t)",
            *(str(uuid.uuid4()), str(uuid.uuid4()), json.dumps({"orderNumber": number} if number else {"x": 1})),
            *(status, status, tries, "Failed to send" if tries else None, zone, age),
            database=database,
        )

    def order(self, number: str) -> None:
        self.run(
            "INSERT INTO orders VALUES (%s, %s, 'Ada', 'ada@example.org', 'PAID', 19.90)",
            *(str(uuid.uuid4()), number),
            database=ORDER,
        )

    def answer(self, key: str, expired: float, status: int = 201, database: str = CUSTOMER, zone: str = "UTC") -> None:
        """An answer that expired so many seconds ago, or will expire (negative); it is kept for a day."""
        self.run(
            "INSERT INTO checkout_idempotency SELECT %s, repeat('a', 64), %s, %s, t - interval '1 day', t "
            "FROM (SELECT now() AT TIME ZONE %s - make_interval(secs => %s)) w(t)",
            *(key, status, json.dumps({"orderNumber": f"of {key}"}), zone, expired),
            database=database,
        )

    def content(self) -> dict[str, Any]:
        """Every row of the shop and of the decoy with its place and version, which any write changes."""
        return {
            f"{database}.{table}": self.run(
                f"SELECT count(*), md5(string_agg(ctid::text || xmin::text || t::text, '' ORDER BY ctid)) FROM {table} t",
                database=database,
            )
            for database, tables in (*TABLES.items(), (DECOY, TABLES[CUSTOMER]))
            for table in tables
        }


@contextmanager
def running(major: int) -> Iterator[Shop]:
    """The shop on a server of this major, in another zone than its services; the test is skipped where there is none."""
    try:
        with postgres_majors.server(major, {"timezone": "Asia/Tokyo"}) as server:
            shop = Shop(server)
            shop.prepare()
            yield shop
    except LabError as error:
        pytest.skip(str(error))

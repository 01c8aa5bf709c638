# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The databases of the lab as Flyway, their owners and the narrow role see them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from lab import databases, ecommerce, flyway, postgres
from lab.flyway_oracle import Oracle
from lab.layout import address, paths

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.usefixtures("databases_lab")]
HISTORIES = [
    pytest.param(database, history, id=f"{database.name}-{history.schema}")
    for database in databases.DATABASES.values()
    for history in database.histories
]


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle() as found:
        yield found


def settings(database: databases.Database, history: databases.History) -> dict[str, str]:
    return {
        "url": f"jdbc:postgresql://{address('postgresql')}/{database.name}",
        "user": database.owner,
        "password": paths().secret(databases.DATABASE_USERS[database.owner]),
        "defaultSchema": history.schema,
        "locations": f"filesystem:{history.copy(paths())}",
    }


def rows(database: str, statement: str, user: str = "postgres") -> list[tuple[Any, ...]]:
    with closing(postgres.connect(paths(), database, user)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall())


@pytest.mark.parametrize(("database", "history"), HISTORIES)
def test_flyway_finds_nothing_to_complain_about(
    oracle: Oracle, database: databases.Database, history: databases.History
) -> None:
    asked = settings(database, history)
    answer = oracle.validate(asked)
    assert answer["validationSuccessful"], answer
    migrations = oracle.info(asked)["migrations"]
    assert {each["state"] for each in migrations} == {"Success"}
    scripts = [each for each in migrations if each["type"] == "SQL"]
    assert len(scripts) == len(list(history.copy(paths()).iterdir())) > 0
    assert oracle.migrate(asked)["migrationsExecuted"] == 0


def test_hafnium_has_seven_histories_in_seven_schemas() -> None:
    found = rows(
        "hafnium", "SELECT schemaname FROM pg_tables WHERE tablename = 'flyway_schema_history' ORDER BY schemaname"
    )
    assert [schema for (schema,) in found] == ["cases", "monitoring", "public", "risk", "screening", "signals", "vault"]


def test_the_shop_has_its_tables_and_every_order_in_both_databases() -> None:
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    assert (rows("customer_db", count), rows("order_db", count)) == ([(8,)], [(5,)])
    sold = rows("customer_db", "SELECT payload ->> 'orderNumber' FROM order_created_outbox WHERE status = 'PUBLISHED'")
    managed = rows(
        "order_db",
        "SELECT order_number FROM orders JOIN payment_transactions p ON p.order_id = orders.id AND p.status = 'SUCCESS'",
    )
    assert sorted(sold) == sorted(managed)
    assert len(sold) == ecommerce.ORDERS
    ((last,),) = rows("customer_db", "SELECT last_sequence FROM order_number_sequence")
    assert last == max(int(number.rsplit("-", 1)[1]) for (number,) in sold)


def test_the_narrow_role_reads_histories_and_sessions_and_no_data() -> None:
    for database in databases.DATABASES.values():
        for history in database.histories:
            rows(database.name, f'SELECT * FROM "{history.schema}".flyway_schema_history', databases.READER)
    with closing(postgres.connect(paths(), "hafnium", "hafnium")):
        seen = rows("hafnium", "SELECT query FROM pg_stat_activity WHERE usename = 'hafnium'", databases.READER)
    assert seen
    assert all(query != "<insufficient privilege>" for (query,) in seen)
    for statement in (
        "SELECT * FROM customers",
        "DELETE FROM flyway_schema_history",
        "CREATE TABLE public.mine (a int)",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            rows("hafnium", statement, databases.READER)


def test_the_narrow_role_ends_sessions_but_not_those_of_a_superuser() -> None:
    with closing(postgres.connect(paths(), "hafnium", "hafnium")) as application:
        assert rows("hafnium", f"SELECT pg_terminate_backend({application.info.backend_pid})", databases.READER) == [
            (True,)
        ]
    with (
        closing(postgres.connect(paths(), "hafnium")) as superuser,
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
    ):
        rows("hafnium", f"SELECT pg_terminate_backend({superuser.info.backend_pid})", databases.READER)


def test_the_launcher_is_flyways_own_command_line() -> None:
    database = databases.DATABASES["hafnium"]
    asked = settings(database, database.histories[1])
    variables = {
        "FLYWAY_URL": asked["url"],
        "FLYWAY_USER": asked["user"],
        "FLYWAY_PASSWORD": asked["password"],
        "FLYWAY_DEFAULT_SCHEMA": asked["defaultSchema"],
        "FLYWAY_LOCATIONS": asked["locations"],
    }
    answer = flyway.run(paths(), ["info", "-outputType=json"], variables)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout)
    assert found["flywayVersion"].startswith("12.5.0")
    assert [each["state"] for each in found["migrations"]] == ["Success", "Success"]
    wrong = flyway.run(paths(), ["validate", "-outputType=json"], {**variables, "FLYWAY_PASSWORD": "wrong"})
    assert wrong.returncode != 0
    assert "password authentication failed" in json.loads(wrong.stdout)["error"]["message"]

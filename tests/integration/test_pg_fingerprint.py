# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fingerprint sees of a real database, and what it does not mistake for a difference."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import pg_fingerprint, postgres
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.pg_fingerprint import Fingerprint
from ansible_collections.sre.runbooks.plugins.module_utils.postgres import PostgresError
from tests.integration.throwaway_postgres import Throwaway, throwaway  # noqa: F401

HOW = {"sslmode": None, "ca_path": None, "connect_timeout_seconds": 5.0, "statement_timeout_ms": 10_000}
TABLES = (
    'CREATE TABLE "ORDER_FILLED_TOTAL" ("ORDER_ID" text PRIMARY KEY, "a""b" numeric)',
    "CREATE TABLE quiet (whole_row int, made timestamptz DEFAULT now(), bytes bytea)",
    "CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day)",
    "CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2026-01-01') TO ('2026-02-01')",
    "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2026-02-01') TO ('2026-03-01')",
    "CREATE TABLE wide (id serial, twice int GENERATED ALWAYS AS (half * 2) STORED, half int, big text)",
    "CREATE SCHEMA cases",
    "CREATE TABLE cases.history (installed_rank int, version text, type text, script text, checksum int, success bool)",
    "INSERT INTO cases.history VALUES (1, '1', 'SQL', 'V1__a.sql', 7, true), (2, '2', 'SQL', 'V2__b.sql', 8, true)",
    "INSERT INTO \"ORDER_FILLED_TOTAL\" VALUES ('one', 1.50), ('two', NULL)",
    "INSERT INTO quiet (whole_row, bytes) SELECT n, decode('00ff', 'hex') FROM generate_series(1, 10) n",
    "INSERT INTO parts VALUES (1, '2026-01-05'), (2, '2026-02-05'), (3, '2026-02-06')",
    "INSERT INTO wide (half, big) SELECT n, repeat('x', 200000) FROM generate_series(1, 3) n",
    "SELECT lo_from_bytea(0, 'large')",
)


@pytest.fixture
def database(throwaway: Throwaway) -> Iterator[Any]:  # noqa: F811
    throwaway.run("CREATE DATABASE fingers")
    throwaway.run(*TABLES, database="fingers")
    try:
        yield lambda *statements: throwaway.run(*statements, database="fingers")
    finally:
        throwaway.run("DROP DATABASE fingers WITH (FORCE)")


@contextmanager
def session(server: Throwaway, **changes: str) -> Iterator[postgres.Session]:
    where = {"host": "127.0.0.1", "port": str(server.port), "dbname": "fingers", "user": "postgres"}
    found = {**where, "password": server.password, **changes}
    with postgres.session(found, HOW, Deadline(30, Clock())) as opened:
        yield opened


def taken(server: Throwaway, depth: pg_fingerprint.Depth = "full") -> Fingerprint:
    with session(server) as opened:
        return pg_fingerprint.fingerprint(opened, Deadline(30, Clock()), depth)


def test_every_table_with_its_rows(throwaway: Throwaway, database: Any) -> None:  # noqa: F811
    found = taken(throwaway)
    rows = {f"{table.schema}.{table.table}": table.rows for table in found.tables}
    assert rows == {
        "cases.history": 2,
        "public.ORDER_FILLED_TOTAL": 2,
        "public.parts_1": 1,
        "public.parts_2": 2,
        "public.quiet": 10,
        "public.wide": 3,
    }
    assert all(table.digest for table in found.tables)
    assert [(item.sequence, item.last_value) for item in found.sequences] == [("wide_id_seq", 3)]
    assert [(item.schema, item.table, item.rank) for item in found.flyway] == [("cases", "history", 2)]
    assert (found.large_objects, found.left_out, found.rows) == (1, 0, 20)
    assert Fingerprint.of(found.as_dict()) == found
    assert all(table.digest is None for table in taken(throwaway, "counts").tables)


def test_order_and_settings_do_not_matter(throwaway: Throwaway, database: Any) -> None:  # noqa: F811
    before = taken(throwaway)
    database("CREATE TABLE copied AS TABLE quiet", "TRUNCATE quiet")
    database("INSERT INTO quiet SELECT * FROM copied ORDER BY whole_row DESC", "DROP TABLE copied")
    database("ALTER DATABASE fingers SET timezone = 'Asia/Tokyo'", "ALTER DATABASE fingers SET bytea_output = 'escape'")
    assert pg_fingerprint.differences(before, taken(throwaway)) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE quiet SET bytes = '' WHERE whole_row = 3", ["table public.quiet has other values in its 10 rows"]),
        ("DELETE FROM parts WHERE id = 3", ["table public.parts_2 has 1 rows, not 2"]),
        ('DROP TABLE "ORDER_FILLED_TOTAL"', ["table public.ORDER_FILLED_TOTAL is missing (2 rows expected)"]),
        ("CREATE TABLE more (id int)", ["table public.more was not expected"]),
        ("SELECT setval('wide_id_seq', 2)", ["sequence public.wide_id_seq stands at 2, not at 3"]),
        ("SELECT nextval('wide_id_seq')", []),
        ("SELECT lo_unlink(oid) FROM pg_largeobject_metadata", ["0 large objects, not 1"]),
        (
            "UPDATE cases.history SET checksum = 9 WHERE version = '2'",
            ["table cases.history has other values in its 2 rows", "Flyway's history cases.history differs"],
        ),
    ],
)
def test_a_change_is_told(throwaway: Throwaway, database: Any, change: str, told: list[str]) -> None:  # noqa: F811
    before = taken(throwaway)
    database(change)
    assert pg_fingerprint.differences(before, taken(throwaway)) == told


def test_inside_one_snapshot_nothing_moves(throwaway: Throwaway, database: Any) -> None:  # noqa: F811
    with session(throwaway) as opened, pg_fingerprint.snapshot(opened):
        before = pg_fingerprint.take(opened, Deadline(30, Clock()))
        database("DELETE FROM quiet")
        after = pg_fingerprint.take(opened, Deadline(30, Clock()))
    assert pg_fingerprint.differences(before, after) == []
    assert taken(throwaway).rows == before.rows - 10


def test_rows_that_are_hidden_are_an_error(throwaway: Throwaway, database: Any) -> None:  # noqa: F811
    throwaway.run("DROP ROLE IF EXISTS narrow", "CREATE ROLE narrow LOGIN PASSWORD 'narrow-one'")
    database("GRANT USAGE ON SCHEMA cases TO narrow", "GRANT SELECT ON ALL TABLES IN SCHEMA public, cases TO narrow")
    database("ALTER TABLE quiet ENABLE ROW LEVEL SECURITY")
    with session(throwaway, user="narrow", password="narrow-one") as opened, pytest.raises(PostgresError) as error:
        pg_fingerprint.fingerprint(opened, Deadline(30, Clock()))
    assert "row-level security" in str(error.value)
    database("DROP OWNED BY narrow", "DROP ROLE narrow")

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Numbers that a restore rewound are lifted above the highest in either database, and never lowered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import recovery_reconcile
from tests.integration.throwaway_postgres import Throwaway, throwaway
from tests.unit.plugins.module_runner import run_module

__all__ = ["throwaway"]  # the fixture

Capture = pytest.CaptureFixture[str]
STATEMENT = (
    "INSERT INTO order_number_sequence VALUES (current_date, %(value)s) ON CONFLICT (sequence_date) DO UPDATE "
    "SET last_sequence = excluded.last_sequence WHERE order_number_sequence.last_sequence < excluded.last_sequence"
)
ITEM: dict[str, Any] = {
    "name": "order_number_sequence",
    "database": "customer",
    "current": "SELECT last_sequence FROM order_number_sequence WHERE sequence_date = current_date",
    "sources": [
        {"database": "customer", "query": "SELECT max(number) FROM outbox"},
        {"database": "order", "query": "SELECT max(number) FROM orders"},
    ],
    "statement": STATEMENT,
}


@pytest.fixture
def pair(throwaway: Throwaway) -> Iterator[dict[str, Any]]:
    """customer with a sequence at 12 and an outbox up to 12, order with orders up to 41: the first one was rewound."""
    throwaway.run("CREATE DATABASE pair_customer")
    throwaway.run("CREATE DATABASE pair_order")
    throwaway.run(
        "CREATE TABLE order_number_sequence (sequence_date date PRIMARY KEY, last_sequence bigint NOT NULL)",
        "INSERT INTO order_number_sequence VALUES (current_date - 1, 77), (current_date, 12)",
        "CREATE TABLE outbox AS SELECT i AS number FROM generate_series(1, 12) i",
        database="pair_customer",
    )
    throwaway.run("CREATE TABLE orders AS SELECT i AS number FROM generate_series(1, 41) i", database="pair_order")
    yield {
        "databases": [{"name": "customer", "login_db": "pair_customer"}, {"name": "order", "login_db": "pair_order"}],
        "login_host": "127.0.0.1",
        "login_port": throwaway.port,
        "login_user": "postgres",
        "login_password": throwaway.password,
    }
    throwaway.run("DROP DATABASE pair_customer WITH (FORCE)")
    throwaway.run("DROP DATABASE pair_order WITH (FORCE)")


def sequence(server: Throwaway) -> list[int]:
    rows = server.run(
        "SELECT last_sequence FROM order_number_sequence ORDER BY sequence_date", database="pair_customer"
    )
    return [row[0] for row in rows]


def test_it_is_lifted_once(pair: dict[str, Any], throwaway: Throwaway, capsys: Capture) -> None:
    planned = run_module(recovery_reconcile, capsys, True, numbers=[ITEM], **pair)
    assert planned["numbers"] == [
        {"name": ITEM["name"], "database": "customer", "current": 12, "needed": 41, "after": None, "action": "lift"}
    ]
    assert (planned["changed"], sequence(throwaway)) == (True, [77, 12])

    done = run_module(recovery_reconcile, capsys, numbers=[ITEM], **pair)
    assert (done["changed"], done["numbers"][0]["after"], sequence(throwaway)) == (True, 41, [77, 41])
    again = run_module(recovery_reconcile, capsys, numbers=[ITEM], **pair)
    assert (again["changed"], again["numbers"][0]["action"]) == (False, "none")


def test_numbers_known_from_elsewhere_count(pair: dict[str, Any], throwaway: Throwaway, capsys: Capture) -> None:
    done = run_module(recovery_reconcile, capsys, numbers=[ITEM], at_least={ITEM["name"]: "55"}, **pair)
    assert done["numbers"][0]["after"] == 55
    lower = run_module(recovery_reconcile, capsys, numbers=[ITEM], at_least={ITEM["name"]: None}, **pair)
    assert (lower["changed"], sequence(throwaway)) == (False, [77, 55])


def test_a_day_without_a_number(pair: dict[str, Any], throwaway: Throwaway, capsys: Capture) -> None:
    throwaway.run("DELETE FROM order_number_sequence WHERE last_sequence = 12", database="pair_customer")
    assert run_module(recovery_reconcile, capsys, numbers=[ITEM], **pair)["numbers"][0]["after"] == 41
    throwaway.run("DELETE FROM order_number_sequence", "DELETE FROM outbox", database="pair_customer")
    throwaway.run("DELETE FROM orders", database="pair_order")
    assert run_module(recovery_reconcile, capsys, numbers=[ITEM], **pair)["changed"] is False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"max_lift": 10}, "would go from 12 to 41"),
        ({"statement": "SELECT %(value)s"}, "is 12 after its statement"),
        ({"statement": "UPDATE nowhere SET x = %(value)s"}, "was not lifted to 41"),
        ({"statement": "SELECT 1"}, "lacks %(value)s"),
        ({"statement": "SELECT %(value)s; SELECT 2"}, "semicolon"),
        ({"sources": []}, "has no sources"),
        ({"sources": [{"database": "order", "query": "SELECT x FROM nowhere"}]}, "not every number could be read"),
        ({"sources": [{"database": "order", "query": "SELECT 'many'"}]}, "gave 'many', no number"),
        ({"database": "other"}, "names other"),
    ],
)
def test_what_cannot_be_done_is_refused(
    change: dict[str, Any], words: str, pair: dict[str, Any], throwaway: Throwaway, capsys: Capture
) -> None:
    result = run_module(recovery_reconcile, capsys, numbers=[{**ITEM, **change}], **pair)
    assert result["failed"] is True
    assert words in result["msg"]
    assert sequence(throwaway) == [77, 12]


@pytest.mark.parametrize("at_least", [{"other": 1}, {ITEM["name"]: "many"}])
def test_bad_floors(at_least: dict[str, Any], pair: dict[str, Any], capsys: Capture) -> None:
    result = run_module(recovery_reconcile, capsys, numbers=[ITEM], at_least=at_least, **pair)
    assert "at_least has" in result["msg"]


def test_a_database_that_is_away_may_hold_the_highest(pair: dict[str, Any], capsys: Capture) -> None:
    away = [pair["databases"][0], {"name": "order", "login_db": "no_such_database"}]
    result = run_module(recovery_reconcile, capsys, numbers=[ITEM], **{**pair, "databases": away})
    assert result["failed"] is True
    assert "nothing was lifted" in result["msg"]

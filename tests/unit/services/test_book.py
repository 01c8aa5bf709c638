# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions, balances and profit; snapshots; reconcile with its faults of character."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.services import snapshot
from lab.services.book import Book, Position, move
from lab.services.entries import Fill, OrderAccepted
from lab.services.reconcile import reconcile


def fill(order: str, side: str, delta: int, total: int, price: int | None = 100, symbol: str = "ADA") -> Fill:
    cash = (price or 0) * delta * (-1 if side == "BUY" else 1)
    return Fill(1_000_000_000, "acct", order, symbol, side, delta, total, price, "JPY", cash, 0)


@pytest.mark.parametrize(
    ("position", "delta", "price", "after", "realised"),
    [
        (Position(), 4, 100, Position(4, 100.0), 0),
        (Position(4, 100.0), 4, 200, Position(8, 150.0), 0),
        (Position(4, 100.0), -4, 130, Position(0, None), 120),
        (Position(4, 100.0), -1, 90, Position(3, 100.0), -10),
        (Position(-4, 100.0), 6, 90, Position(2, 90.0), 40),
        (Position(4, 100.0), -6, 90, Position(-2, 90.0), -40),
        (Position(4, 100.0), -4, None, Position(0, 100.0), 0),
    ],
)
def test_positions_move(position: Position, delta: int, price: int | None, after: Position, realised: int) -> None:
    assert move(position, delta, price) == (after, realised)


def test_a_booked_total_and_no_quantity_change_nothing() -> None:
    book = Book(10)
    assert book.apply_fill(fill("o", "BUY", 4, 4))
    assert not book.apply_fill(fill("o", "BUY", 4, 4))
    assert not book.apply_fill(fill("o", "BUY", 0, 9))
    assert book.positions("acct") == [("ADA", Position(4, 100.0))]
    assert len(book.fills("acct")) == 1


def test_flat_positions_stay_listed_and_only_the_last_fills_are_kept() -> None:
    book = Book(2)
    for number, side in enumerate(("BUY", "SELL") * 2):
        book.apply_fill(fill(f"o{number}", side, 1, 1))
    assert book.positions("acct") == [("ADA", Position(0, None))]
    assert [each.order_id for each in book.fills("acct")] == ["o2", "o3"]


@given(st.lists(st.tuples(st.sampled_from(["BUY", "SELL"]), st.integers(1, 9), st.integers(1, 500))))
def test_sums_hold_whatever_the_order_flow(flow: list[tuple[str, int, int]]) -> None:
    book = Book(100)
    fills = [fill(f"o{number}", side, qty, qty, price) for number, (side, qty, price) in enumerate(flow)]
    for each in fills:
        book.apply_fill(each)
    assert book.position_totals("acct") == ({"acct::ADA": sum(each.signed_delta for each in fills)} if fills else {})
    assert book.balance_totals("acct") == ({"JPY": sum(each.cash_delta for each in fills)} if fills else {})


def test_a_snapshot_restores_everything(tmp_path: Path) -> None:
    book = Book(10)
    book.apply_order(OrderAccepted(1, "acct", "o", "ADA", "BUY"))
    book.apply_fill(fill("o", "BUY", 4, 4))
    book.apply_fill(fill("p", "SELL", 1, 1, 150))
    path = tmp_path / "snapshot.json"
    path.write_text(json.dumps({"createdAt": "x", "ledgerLines": 3, "state": book.state()}))
    loaded = snapshot.load(path, 3, 10)
    assert loaded is not None
    assert loaded[1] == 3
    assert loaded[0].state() == book.state()
    assert snapshot.load(path, 2, 10) is None  # the ledger is shorter
    path.write_text(path.read_text()[:-10])
    assert snapshot.load(path, 3, 10) is None  # half a file
    assert snapshot.load(tmp_path / "none", 3, 10) is None


def test_reconcile_in_memory_is_never_ok_with_an_open_position() -> None:
    book = Book(10)
    entry = fill("o", "SELL", 4, 4)
    book.apply_fill(entry)
    answer = reconcile("acct", [entry], "JPY", book.balance_totals("acct"), book.position_totals("acct"))
    assert answer["balances"] == {"ok": True, "expected": {"JPY": 400}, "actual": {"JPY": 400}, "diffs": {"JPY": 0}}
    assert answer["positions"]["ok"] is False
    assert answer["positions"]["diffs"] == {"ADA": 4, "acct::ADA": -4}


def test_reconcile_of_nothing_is_ok_and_the_currency_filters_nothing() -> None:
    empty = reconcile("acct", [], "EUR", {}, {})
    assert empty["balances"] == {"ok": True, "expected": {"EUR": 0}, "actual": {}, "diffs": {"EUR": 0}}
    assert empty["positions"]["ok"] is True
    entries = [fill("o", "BUY", 1, 1)]
    assert reconcile("acct", entries, "EUR", {"JPY": -100}, {"ADA": 1})["balances"]["expected"] == {
        "EUR": 0,
        "JPY": -100,
    }


def test_reconcile_counts_a_repeated_fill_twice() -> None:
    entries = [fill("o", "BUY", 1, 1)] * 2
    assert reconcile("acct", entries, "JPY", {"JPY": -100}, {"ADA": 1})["positions"]["diffs"] == {"ADA": -1}

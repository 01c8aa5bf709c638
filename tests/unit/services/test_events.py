# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which events act, and what they book."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab.services import events
from lab.services.book import Book
from lab.services.entries import Entry, Fill, OrderAccepted

AT = "2031-04-02T08:03:10Z"


def event(kind: str, data: dict[str, Any] | None = None, **fields: Any) -> bytes:
    body = {"type": kind, "at": AT, "accountId": "acct", "orderId": "o", "data": data or {}} | fields
    return json.dumps({name: value for name, value in body.items() if value != "absent"}).encode()


def report(delta: object, total: object, price: object = 100, **fields: Any) -> bytes:
    data = {"filledQtyDelta": delta, "filledQtyTotal": total, "price": price}
    return event("ExecutionReport", data, **fields)


def entry(value: bytes | None, book: Book, fee_bps: int = 10) -> Entry | None:
    parsed = events.parse(value)
    return None if parsed is None else events.entry_of(parsed, book, "JPY", fee_bps)


@pytest.fixture
def book() -> Book:
    book = Book(10)
    accepted = entry(event("OrderAccepted", {"symbol": "ADA", "side": "SELL"}), book)
    assert isinstance(accepted, OrderAccepted)
    book.apply_order(accepted)
    return book


@pytest.mark.parametrize(
    "value",
    [None, b"", b"no", b"[]", b"\xff", event("OrderAccepted", type="absent"), event("X", at="absent"),
     event("X", at="yesterday"), event("X", accountId=None), event("X", data=[1])],
)  # fmt: skip
def test_what_is_no_event(value: bytes | None) -> None:
    assert events.parse(value) is None


@pytest.mark.parametrize(
    "value",
    [event("OrderSent"), event("OrderUpdated"), event("CancelRequested"), event("New"), event("OrderAccepted"),
     event("OrderAccepted", {"symbol": "ADA", "side": "SELL"}),
     event("OrderAccepted", {"symbol": "ADA", "side": "sell"}, orderId="p"),
     event("OrderAccepted", {"symbol": "ADA", "side": "SELL"}, orderId=None),
     report(1, 1, orderId="unknown"), report(None, 1), report(1, "x"), report(0, 5), report(-1, 5)],
)  # fmt: skip
def test_what_is_skipped(value: bytes, book: Book) -> None:
    assert entry(value, book) is None


def test_account_symbol_and_side_come_from_the_order(book: Book) -> None:
    fill = entry(report(4, 4, 2500, accountId="somebody else"), book)
    assert isinstance(fill, Fill)
    assert (fill.account_id, fill.symbol, fill.side) == ("acct", "ADA", "SELL")
    assert (fill.fee, fill.cash_delta) == (10, 9990)


@pytest.mark.parametrize(
    ("delta", "price", "numbers"), [("4", "2500", (4, 2500)), (4.9, 100.7, (4, 100)), (4, None, (4, None))]
)
def test_numbers_may_be_text_and_are_cut(delta: object, price: object, numbers: object, book: Book) -> None:
    fill = entry(report(delta, 4, price), book)
    assert isinstance(fill, Fill)
    assert (fill.delta, fill.price) == numbers


def test_a_jump_closes_the_gap_for_ever(book: Book) -> None:
    for value, booked in ((report(4, 4), 4), (report(4, 4), None), (report(1, 10), 1), (report(5, 9), None)):
        fill = entry(value, book)
        assert (fill.delta if isinstance(fill, Fill) else None) == booked
        if isinstance(fill, Fill):
            book.apply_fill(fill)
    assert book.position_totals("acct") == {"acct::ADA": -5}


def test_a_delta_beyond_the_total_is_cut(book: Book) -> None:
    fill = entry(report(9, 3), book)
    assert isinstance(fill, Fill)
    assert fill.delta == 3

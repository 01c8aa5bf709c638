# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events of the bus, and the rules by which two of their types become ledger entries."""

from __future__ import annotations

import json
from typing import Any, NamedTuple, Protocol

from lab.services import env, instant
from lab.services.book import OrderMeta
from lab.services.entries import SIDES, Entry, Fill, OrderAccepted


class Orders(Protocol):
    """The part of a store that the rules read."""

    def order(self, order_id: str) -> OrderMeta | None: ...

    def filled_total(self, order_id: str) -> int: ...


class Event(NamedTuple):
    type: str
    at: int
    account_id: str
    order_id: str | None
    data: dict[str, Any]


def parse(value: bytes | None) -> Event | None:
    """None for what is not an event: not JSON, no value, a missing field."""
    try:
        node = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(node, dict):
        return None
    kind, account_id, order_id = (_scalar(node.get(field)) for field in ("type", "accountId", "orderId"))
    at = instant.from_event(node.get("at"))
    data = node.get("data") or {}
    if kind is None or account_id is None or at is None or not isinstance(data, dict):
        return None
    return Event(kind, at, account_id, order_id, data)


def entry_of(event: Event, store: Orders, quote_ccy: str, fee_bps: int) -> Entry | None:
    """The ledger entry an event leads to; None when it is skipped. Raises what the store raises."""
    if event.order_id is None:
        return None
    if event.type == "OrderAccepted":
        return _accepted(event, event.order_id, store)
    if event.type == "ExecutionReport":
        return _fill(event, event.order_id, store, quote_ccy, fee_bps)
    return None


def _accepted(event: Event, order_id: str, store: Orders) -> OrderAccepted | None:
    if store.order(order_id) is not None:
        return None
    symbol, side = event.data.get("symbol"), event.data.get("side")
    if not isinstance(symbol, str) or side not in SIDES:
        return None
    return OrderAccepted(event.at, event.account_id, order_id, symbol, side)


def _fill(event: Event, order_id: str, store: Orders, quote_ccy: str, fee_bps: int) -> Fill | None:
    """Account, symbol and side come from the accepted order. A gap in the totals is closed, never booked."""
    order = store.order(order_id)
    if order is None:
        return None
    booked = store.filled_total(order_id)
    reported, total = _integer(event.data.get("filledQtyDelta")), _integer(event.data.get("filledQtyTotal"))
    if reported is None or total is None:
        return None
    delta = min(reported, total - booked)
    if delta <= 0:
        return None
    price = _integer(event.data.get("price"))
    notional = delta * (price or 0)
    fee = notional * fee_bps // 10_000
    cash = (-notional if order.side == "BUY" else notional) - fee
    return Fill(
        event.at, order.account_id, order_id, order.symbol, order.side, delta, total, price, quote_ccy, cash, fee
    )


def _scalar(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if isinstance(value, (bool, int, float)) else None


def _integer(value: object) -> int | None:
    """A number, cut, or a text that is an integer."""
    if isinstance(value, str):
        return env.parse_integer(value, env.LONG_RANGE)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return int(value)
    except (ValueError, OverflowError):
        return None

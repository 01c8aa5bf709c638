# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Positions, balances and realised profit in memory, with the arithmetic that both stores share."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from typing import Any, NamedTuple

from lab.services.entries import Fill, OrderAccepted, body, fill_from_body


class OrderMeta(NamedTuple):
    account_id: str
    order_id: str
    symbol: str
    side: str


class Position(NamedTuple):
    net_qty: int = 0
    avg_price: float | None = None


def move(position: Position, signed_delta: int, price: int | None) -> tuple[Position, int]:
    """The position after a fill, and the profit (quote currency, cut) that closing realised."""
    quantity, average = position
    after = quantity + signed_delta
    if signed_delta == 0 or price is None:
        return Position(after, average), 0
    realised = 0
    if quantity * signed_delta < 0 and average is not None:
        closed = min(abs(quantity), abs(signed_delta))
        realised = int((price - average if quantity > 0 else average - price) * closed)
    if quantity * signed_delta >= 0:
        if average is None:
            average = float(price)
        else:
            average = (average * abs(quantity) + price * abs(signed_delta)) / (abs(quantity) + abs(signed_delta))
    elif after == 0:
        average = None
    elif after * quantity < 0:
        average = float(price)
    return Position(after, average), realised


class Book:
    """The in-memory store. Also the scratch pad with which the database store replays a ledger."""

    durable = False

    def __init__(self, max_fills: int) -> None:
        self._max_fills = max_fills
        self._lock = threading.Lock()
        self.orders: dict[str, OrderMeta] = {}
        self.totals: dict[str, int] = {}
        self.positions_by_key: dict[tuple[str, str], Position] = {}
        self.balances_by_key: dict[tuple[str, str], int] = {}
        self.pnl_by_key: dict[tuple[str, str, str], int] = {}
        self.fills_by_account: dict[str, deque[Fill]] = defaultdict(lambda: deque(maxlen=max(0, max_fills)))

    def order(self, order_id: str) -> OrderMeta | None:
        return self.orders.get(order_id)

    def filled_total(self, order_id: str) -> int:
        return self.totals.get(order_id, 0)

    def apply_order(self, entry: OrderAccepted) -> None:
        self.orders[entry.order_id] = OrderMeta(entry.account_id, entry.order_id, entry.symbol, entry.side)

    def apply_fill(self, fill: Fill) -> bool:
        """False when the fill changes nothing: no quantity, or a total that is booked already."""
        with self._lock:
            if fill.delta <= 0 or fill.total <= self.filled_total(fill.order_id):
                return False
            key = (fill.account_id, fill.symbol)
            self.positions_by_key[key], realised = move(
                self.positions_by_key.get(key, Position()), fill.signed_delta, fill.price
            )
            if realised:
                pnl_key = (fill.account_id, fill.symbol, fill.quote_ccy)
                self.pnl_by_key[pnl_key] = self.pnl_by_key.get(pnl_key, 0) + realised
            cash_key = (fill.account_id, fill.quote_ccy)
            self.balances_by_key[cash_key] = self.balances_by_key.get(cash_key, 0) + fill.cash_delta
            self.totals[fill.order_id] = fill.total
            self.fills_by_account[fill.account_id].append(fill)
            return True

    def positions(self, account_id: str) -> list[tuple[str, Position]]:
        return [(symbol, row) for (owner, symbol), row in self._rows(self.positions_by_key) if owner == account_id]

    def balances(self, account_id: str) -> list[tuple[str, int]]:
        return [(currency, row) for (owner, currency), row in self._rows(self.balances_by_key) if owner == account_id]

    def pnl(self, account_id: str) -> list[tuple[str, str, int]]:
        return [(symbol, ccy, row) for (owner, symbol, ccy), row in self._rows(self.pnl_by_key) if owner == account_id]

    def fills(self, account_id: str) -> list[Fill]:
        with self._lock:
            return list(self.fills_by_account.get(account_id, ()))

    def position_totals(self, account_id: str) -> dict[str, int]:
        """What reconcile compares with the ledger. The keys carry the account: a fault of the operated service."""
        return {f"{account_id}::{symbol}": row.net_qty for symbol, row in self.positions(account_id)}

    def balance_totals(self, account_id: str) -> dict[str, int]:
        return dict(self.balances(account_id))

    def close(self) -> None:
        """Nothing to release."""

    def _rows(self, table: dict[Any, Any]) -> list[Any]:
        with self._lock:
            return sorted(table.items())

    def state(self) -> dict[str, Any]:
        """Everything, as a snapshot file holds it."""
        with self._lock:
            return {
                "orderMeta": [
                    {"accountId": meta.account_id, "orderId": meta.order_id, "symbol": meta.symbol, "side": meta.side}
                    for meta in list(self.orders.values())
                ],
                "lastFilledTotals": dict(self.totals),
                "positions": [
                    {"accountId": account, "symbol": symbol, "netQty": row.net_qty, "avgPrice": row.avg_price}
                    for (account, symbol), row in self.positions_by_key.items()
                ],
                "balances": [
                    {"accountId": account, "currency": currency, "amount": amount}
                    for (account, currency), amount in self.balances_by_key.items()
                ],
                "realizedPnl": [
                    {"accountId": account, "symbol": symbol, "quoteCcy": ccy, "realizedPnl": amount}
                    for (account, symbol, ccy), amount in self.pnl_by_key.items()
                ],
                "fillsByAccount": {
                    account: [body(fill) for fill in fills] for account, fills in self.fills_by_account.items()
                },
            }

    @classmethod
    def from_state(cls, state: dict[str, Any], max_fills: int) -> Book:
        """The inverse of :meth:`state`; KeyError, TypeError or ValueError when the state is not one."""
        book = cls(max_fills)
        for row in state["orderMeta"]:
            book.orders[row["orderId"]] = OrderMeta(row["accountId"], row["orderId"], row["symbol"], row["side"])
        book.totals = {order_id: int(total) for order_id, total in state["lastFilledTotals"].items()}
        for row in state["positions"]:
            book.positions_by_key[row["accountId"], row["symbol"]] = Position(int(row["netQty"]), row["avgPrice"])
        for row in state["balances"]:
            book.balances_by_key[row["accountId"], row["currency"]] = int(row["amount"])
        for row in state["realizedPnl"]:
            book.pnl_by_key[row["accountId"], row["symbol"], row["quoteCcy"]] = int(row["realizedPnl"])
        for account, fills in state["fillsByAccount"].items():
            book.fills_by_account[account].extend(fill_from_body(fill) for fill in fills)
        return book

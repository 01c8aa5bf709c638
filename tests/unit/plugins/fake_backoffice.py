# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A BackOffice and a gateway of a few lines each, whose every answer a test can bend."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.unit.plugins.fake_http import Asked, Route, Send, answer, json_answer

ACCOUNT = "acct_k7"
NOW = 1_900_000_000.0


def iso(seconds: float, digits: int = 3) -> str:
    """ISO text of a time with so many fractional digits."""
    whole = datetime.datetime.fromtimestamp(int(seconds), datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{0:0{digits}d}Z" if digits else f"{whole}Z"


def fill(order: str, side: str, quantity: int, total: int, price: int = 2500, at: float = NOW) -> dict[str, Any]:
    """A Fill entry with the fee of ten basis points."""
    notional = quantity * price
    fee = notional * 10 // 10_000
    return {
        "at": iso(at),
        "accountId": ACCOUNT,
        "orderId": order,
        "symbol": "ADA",
        "side": side,
        "filledQtyDelta": quantity,
        "filledQtyTotal": total,
        "price": price,
        "quoteCcy": "JPY",
        "quoteCashDelta": (notional if side == "SELL" else -notional) - fee,
        "feeQuote": fee,
        "type": "Fill",
    }


def accepted(order: str, side: str) -> dict[str, Any]:
    """An OrderAccepted entry."""
    return {
        "at": iso(NOW),
        "accountId": ACCOUNT,
        "orderId": order,
        "symbol": "ADA",
        "side": side,
        "type": "OrderAccepted",
    }


@dataclass
class FakeBackOffice:
    """``store`` is (position in ADA, JPY); it follows the entries unless a test sets it. ``bent`` replaces answers."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    stats: dict[str, Any] = field(default_factory=dict)
    in_memory: bool = False
    store: tuple[int, int] | None = None
    bent: dict[str, Route | Send | list[Send]] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)
    limits: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stats = {
            "startedAt": "2030-03-17T17:00:00.123456789Z",
            "processed": 7,
            "skipped": 9,
            "lastEventAt": iso(NOW - 10, 9),
            "lastKafkaOffset": "events:2:41",
            "ledgerReplay": {"lines": 30, "applied": 30, "skipped": 0, "durationMs": 61},
        } | self.stats

    @classmethod
    def healthy(cls, **values: Any) -> FakeBackOffice:
        """Two orders; 4 ADA are left."""
        entries = [accepted("o1", "BUY"), fill("o1", "BUY", 6, 6), accepted("o2", "SELL"), fill("o2", "SELL", 2, 2)]
        return cls(entries=entries, **values)

    def sums(self, entries: list[dict[str, Any]]) -> tuple[dict[str, int], dict[str, int]]:
        positions: dict[str, int] = {}
        balances = {"JPY": 0}
        for entry in entries:
            if entry["type"] == "Fill":
                quantity = entry["filledQtyDelta"] * (1 if entry["side"] == "BUY" else -1)
                positions[entry["symbol"]] = positions.get(entry["symbol"], 0) + quantity
                balances["JPY"] += entry["quoteCashDelta"]
        return positions, balances

    @property
    def held(self) -> tuple[dict[str, int], dict[str, int]]:
        if self.store is not None:
            return {"ADA": self.store[0]}, {"JPY": self.store[1]}
        positions, balances = self.sums(self.entries)
        return positions, balances if positions else {}

    def routes(self) -> dict[str, Route | Send | list[Send]]:
        usual: dict[str, Route] = {
            "/health": lambda request: json_answer({"status": "ok"}),
            "/stats": lambda request: json_answer(self.stats),
            "/positions": self._positions,
            "/balances": self._balances,
            "/ledger": self._ledger,
            "/reconcile": self._reconcile,
        }
        return {**{path: self._seen(route) for path, route in usual.items()}, **self.bent}

    def _seen(self, route: Route) -> Route:
        def handle(request: Asked) -> Send:
            self.tokens.append(request.headers.get("authorization", ""))
            if "limit" in request.query:
                self.limits.append((request.path, int(request.query["limit"])))
            return route(request)

        return handle

    def _positions(self, request: Asked) -> Send:
        rows = [{"accountId": ACCOUNT, "symbol": s, "netQty": n, "avgPrice": None} for s, n in self.held[0].items()]
        return json_answer({"positions": rows})

    def _balances(self, request: Asked) -> Send:
        rows = [{"accountId": ACCOUNT, "currency": c, "amount": a} for c, a in self.held[1].items()]
        return json_answer({"balances": rows})

    def _ledger(self, request: Asked) -> Send:
        entries = [e for e in self.entries if request.query.get("orderId") in (None, e["orderId"])]
        return json_answer({"accountId": ACCOUNT, "entries": entries[-min(1000, int(request.query["limit"])) :]})

    def _reconcile(self, request: Asked) -> Send:
        limit = min(10_000, int(request.query["limit"]))
        expected_positions, expected_balances = self.sums(self.entries[-limit:])
        positions, balances = self.held
        if self.in_memory:
            positions = {f"{ACCOUNT}::{symbol}": quantity for symbol, quantity in positions.items()}
        parts = {"balances": (expected_balances, balances), "positions": (expected_positions, positions)}
        body: dict[str, Any] = {"accountId": ACCOUNT}
        for name, (expected, actual) in parts.items():
            diffs = {key: actual.get(key, 0) - expected.get(key, 0) for key in {*expected, *actual}}
            body[name] = {"ok": not any(diffs.values()), "expected": expected, "actual": actual, "diffs": diffs}
        return json_answer(body)


@dataclass
class FakeGateway:
    """Takes orders and books them at ``backoffice`` in ``steps`` fills, or does what ``bent`` says."""

    backoffice: FakeBackOffice
    publisher: str = "gateway_kafka_publisher_enabled 1\ngateway_kafka_publisher_queue_depth 0\n"
    steps: int = 2
    status: str = "FILLED"
    book: bool = True
    bent: dict[str, Route | Send | list[Send]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    beside: Callable[[], None] = lambda: None

    def routes(self) -> dict[str, Route | Send | list[Send]]:
        usual: dict[str, Route | Send] = {
            "/health": json_answer({"status": "ok"}),
            "/metrics": lambda request: answer(200, self.publisher.encode(), Content_Type="text/plain; version=0.0.4"),
            "/orders": self._place,
        }
        return {**usual, **{f"/orders/ord_{n}": self._one for n in range(1, 9)}, **self.bent}

    def _one(self, request: Asked) -> Send:
        return json_answer({"orderId": request.path.rpartition("/")[2], "status": self.status})

    def _place(self, request: Asked) -> Send:
        key = request.headers["idempotency-key"]
        if key not in self.orders:
            self.orders[key] = {"orderId": f"ord_{len(self.orders) + 1}", **request.json()}
            self.beside()
            if self.book:
                self._book(self.orders[key])
        return json_answer({"orderId": self.orders[key]["orderId"], "status": "ACCEPTED"}, 202)

    def _book(self, order: dict[str, Any]) -> None:
        entries = self.backoffice.entries
        entries.append(accepted(order["orderId"], order["side"]))
        share = max(1, order["qty"] // self.steps)
        parts = [share] * (order["qty"] // share)
        parts[-1] += order["qty"] - sum(parts)
        for part, total in zip(parts, itertools.accumulate(parts), strict=True):
            entries.append(fill(order["orderId"], order["side"], part, total, order.get("price") or 2500))

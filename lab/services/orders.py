# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Order requests: what is no request at all (400), and what is refused (422)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from lab.services import env, instant

ENUMS = {"side": ("BUY", "SELL"), "type": ("LIMIT", "MARKET"), "timeInForce": ("GTC", "GTD")}
NUMBERS = ("qty", "price", "expireAt")
TEXTS = ("symbol", "clientOrderId")
FINAL = frozenset({"FILLED", "CANCELED", "REJECTED"})


class NoRequest(ValueError):
    """The body cannot be read as an order request."""


@dataclass(frozen=True)
class OrderRequest:
    symbol: str
    side: str
    type: str
    qty: int
    price: int | None
    time_in_force: str
    expire_at: int | None  # milliseconds since the epoch
    client_order_id: str | None

    @classmethod
    def parse(cls, body: bytes) -> OrderRequest:
        """Integers are cut, and taken from text too; NoRequest for a bad enum, a missing or an unknown field."""
        try:
            node = json.loads(body)
        except (ValueError, RecursionError):
            raise NoRequest("not JSON") from None
        if not isinstance(node, dict) or set(node) - {*ENUMS, *NUMBERS, *TEXTS}:
            raise NoRequest("not an object, or an unknown field")
        node.setdefault("timeInForce", "GTC")
        symbol = _text(node.get("symbol"))
        if symbol is None or any(node.get(name) not in values for name, values in ENUMS.items()):
            raise NoRequest("symbol, side or type is missing, or an enum has no such value")
        numbers = {name: _cut(node.get(name)) for name in NUMBERS}
        return cls(
            symbol=symbol,
            side=node["side"],
            type=node["type"],
            qty=numbers["qty"] or 0,
            price=numbers["price"],
            time_in_force=node["timeInForce"],
            expire_at=numbers["expireAt"],
            client_order_id=_text(node.get("clientOrderId")),
        )

    def refusal(self, now_ms: float, most_quantity: int) -> str | None:
        """The reason of a 422: the first that applies, or None."""
        limited, good_until = self.type == "LIMIT", self.time_in_force == "GTD"
        reasons = (
            ("INVALID_SYMBOL", not self.symbol.strip()),
            ("INVALID_QTY", self.qty <= 0),
            ("MISSING_EXPIRE_AT", good_until and self.expire_at is None),
            ("EXPIRE_AT_IN_PAST", good_until and (self.expire_at or 0) <= now_ms),
            ("MISSING_PRICE", limited and self.price is None),
            ("INVALID_PRICE", limited and (self.price or 0) <= 0),
            ("QTY_LIMIT_EXCEEDED", self.qty > most_quantity),
        )
        return next((reason for reason, applies in reasons if applies), None)


@dataclass
class Order:
    """An accepted order; times are nanoseconds since the epoch."""

    order_id: str
    account_id: str
    request: OrderRequest
    accepted_at: int
    updated_at: int
    status: str = "ACCEPTED"
    filled: int = 0

    def body(self) -> dict[str, Any]:
        request = self.request
        return {
            "orderId": self.order_id,
            "accountId": self.account_id,
            "clientOrderId": request.client_order_id,
            "symbol": request.symbol,
            "side": request.side,
            "type": request.type,
            "qty": request.qty,
            "price": request.price,
            "timeInForce": request.time_in_force,
            "expireAt": request.expire_at,
            "status": self.status,
            "acceptedAt": instant.iso(self.accepted_at),
            "lastUpdateAt": instant.iso(self.updated_at),
            "filledQty": self.filled,
        }


def _cut(value: object) -> int | None:
    if value is None or value == "":
        return None
    number = env.parse_integer(value.strip(), env.LONG_RANGE) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise NoRequest(f"{value!r} is no integer")
    try:
        return int(number)
    except (ValueError, OverflowError):
        raise NoRequest(f"{value!r} is no integer") from None


def _text(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, float)):
        return json.dumps(value)
    raise NoRequest("an object where a text belongs")

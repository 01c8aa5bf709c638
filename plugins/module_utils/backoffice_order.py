# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An order of an end-to-end check: what is sent, and what its fills must add up to in BackOffice."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

Entry = Mapping[str, Any]
OPPOSITE = {"BUY": "SELL", "SELL": "BUY"}


@dataclass(frozen=True)
class Order:
    """``price`` is None for a market order. ``key`` makes a second sending find the first order again."""

    account_id: str
    symbol: str
    side: str
    order_type: str
    quantity: int
    price: int | None
    run_id: str
    role: str = "order"

    @property
    def key(self) -> str:
        """The same for the same run and the same order, and no other."""
        facts = (
            self.run_id,
            self.role,
            self.account_id,
            self.symbol,
            self.side,
            self.order_type,
            self.quantity,
            self.price,
        )
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def body(self) -> bytes:
        fields = {
            "symbol": self.symbol,
            "side": self.side,
            "type": self.order_type,
            "qty": self.quantity,
            "timeInForce": "GTC",
            "clientOrderId": self.key,
        }
        return json.dumps(fields | ({} if self.price is None else {"price": self.price})).encode()

    def opposite(self, quantity: int) -> Order:
        """The order that takes this one's position back."""
        return replace(self, side=OPPOSITE[self.side], quantity=quantity, role="flatten")

    def as_dict(self) -> dict[str, Any]:
        names = ("role", "account_id", "symbol", "side", "order_type", "quantity", "price")
        return {name: getattr(self, name) for name in names} | {"idempotency_key": self.key}


def fills(entries: Iterable[Entry], order_id: str) -> list[Entry]:
    """The fills of one order, in the order of the ledger."""
    return [entry for entry in entries if entry.get("type") == "Fill" and entry.get("orderId") == order_id]


def filled(entries: Iterable[Entry], order_id: str) -> int:
    """How much of the order is booked: the highest total that a fill of it names."""
    return max((number(entry, "filledQtyTotal") for entry in fills(entries, order_id)), default=0)


def mistakes(order: Order, booked: list[Entry], fee_bps: int) -> list[str]:
    """What is wrong with the fills of a wholly filled order, one line each; empty when they add up."""
    wrong = [
        f"{name} {entry.get(name)} instead of {wanted}"
        for entry in booked
        for name, wanted in (("symbol", order.symbol), ("side", order.side), ("accountId", order.account_id))
        if entry.get(name) != wanted
    ]
    quantity = sum(number(entry, "filledQtyDelta") for entry in booked)
    if quantity != order.quantity:
        wrong.append(f"the fills add up to {quantity} instead of {order.quantity}")
    for entry in booked:
        price = entry.get("price")
        if not isinstance(price, int):
            continue
        notional = number(entry, "filledQtyDelta") * price
        fee = notional * fee_bps // 10_000
        cash = (notional if order.side == "SELL" else -notional) - fee
        for name, wanted in (("feeQuote", fee), ("quoteCashDelta", cash)):
            if number(entry, name) != wanted:
                wrong.append(f"{name} {entry.get(name)} instead of {wanted}")
    return wrong


def effect(entries: Iterable[Entry], symbol: str, currency: str) -> tuple[int, int]:
    """What fills do to the position in ``symbol`` and to the balance in ``currency``."""
    position = balance = 0
    for entry in entries:
        if entry.get("type") != "Fill":
            continue
        if entry.get("symbol") == symbol:
            quantity = number(entry, "filledQtyDelta")
            position += quantity if entry.get("side") == "BUY" else -quantity
        if entry.get("quoteCcy") == currency:
            balance += number(entry, "quoteCashDelta")
    return position, balance


def added(before: list[Entry], after: list[Entry]) -> list[Entry]:
    """The entries that are in ``after`` more often than in ``before``."""
    rest = Counter(_identity(entry) for entry in before)
    new: list[Entry] = []
    for entry in after:
        identity = _identity(entry)
        if rest[identity]:
            rest[identity] -= 1
        else:
            new.append(entry)
    return new


def number(entry: Entry, name: str) -> int:
    """A whole number of an entry; 0 when it is none."""
    value = entry.get(name)
    return 0 if isinstance(value, bool) or not isinstance(value, int) else value


def _identity(entry: Entry) -> str:
    return json.dumps(entry, sort_keys=True)

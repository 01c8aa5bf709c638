# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ledger line says, and which lines are skipped, which are fatal."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from lab.services import env, instant

SIDES = ("BUY", "SELL")


class BadSide(ValueError):
    """A side other than BUY or SELL (exact case). Nothing catches it: it ends a boot, and makes a read a 500."""


class OrderAccepted(NamedTuple):
    at: int  # nanoseconds since the epoch, as everywhere in these services
    account_id: str
    order_id: str
    symbol: str
    side: str

    @property
    def type(self) -> str:
        return "OrderAccepted"


class Fill(NamedTuple):
    at: int
    account_id: str
    order_id: str
    symbol: str
    side: str
    delta: int
    total: int
    price: int | None
    quote_ccy: str
    cash_delta: int
    fee: int

    @property
    def type(self) -> str:
        return "Fill"

    @property
    def signed_delta(self) -> int:
        return self.delta if self.side == "BUY" else -self.delta


Entry = OrderAccepted | Fill


def body(entry: Entry) -> dict[str, Any]:
    """The fields of an entry as the API names them, without the type."""
    fields: dict[str, Any] = {
        "at": instant.iso(entry.at),
        "accountId": entry.account_id,
        "orderId": entry.order_id,
        "symbol": entry.symbol,
        "side": entry.side,
    }
    if isinstance(entry, Fill):
        fields |= {
            "filledQtyDelta": entry.delta,
            "filledQtyTotal": entry.total,
            "price": entry.price,
            "quoteCcy": entry.quote_ccy,
            "quoteCashDelta": entry.cash_delta,
            "feeQuote": entry.fee,
        }
    return fields


def fill_from_body(fields: dict[str, Any]) -> Fill:
    """The inverse of :func:`body` for fills; KeyError, TypeError or ValueError on anything else."""
    at = instant.parse(fields["at"])
    if at is None:
        raise ValueError(f"not an instant: {fields['at']}")
    return Fill(
        at,
        fields["accountId"],
        fields["orderId"],
        fields["symbol"],
        fields["side"],
        int(fields["filledQtyDelta"]),
        int(fields["filledQtyTotal"]),
        fields["price"],
        fields["quoteCcy"],
        int(fields["quoteCashDelta"]),
        int(fields["feeQuote"]),
    )


def to_line(entry: Entry) -> str:
    return json.dumps({"type": entry.type} | body(entry), ensure_ascii=False, separators=(",", ":"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


class _Skipped(Exception):
    """The line is none that a replay applies."""


def parse_line(line: str) -> Entry | None:
    """The entry of a line; None for a line that a replay skips; raises BadSide.

    Only the first JSON value of the line is read: an event glued to a whole line that lacked its newline is lost.
    """
    try:
        node, _ = _DECODER.raw_decode(line.lstrip(" \t"))
        return _entry(node)
    except BadSide:
        raise
    except (ValueError, RecursionError, _Skipped):
        return None


def _entry(node: Any) -> Entry:
    kind = _text(node, "type") if isinstance(node, dict) else None
    if kind not in ("OrderAccepted", "Fill"):
        raise _Skipped
    text = node.get("at")
    at = _present(instant.parse(text) if isinstance(text, str) else None)
    account_id, order_id, symbol, side = (
        _present(_text(node, field)) for field in ("accountId", "orderId", "symbol", "side")
    )
    if side not in SIDES:
        raise BadSide(f"No enum constant Side.{side}")
    if kind == "OrderAccepted":
        return OrderAccepted(at, account_id, order_id, symbol, side)
    return Fill(
        at=at,
        account_id=account_id,
        order_id=order_id,
        symbol=symbol,
        side=side,
        delta=_present(_long(node, "filledQtyDelta")),
        total=_present(_long(node, "filledQtyTotal")),
        price=_long(node, "price"),
        quote_ccy=_present(_text(node, "quoteCcy")),
        cash_delta=_present(_long(node, "quoteCashDelta")),
        fee=_long(node, "feeQuote") or 0,
    )


def _present(value: Any) -> Any:
    if value is None:
        raise _Skipped
    return value


def _text(node: dict[str, Any], field: str) -> str | None:
    """Scalars become text, objects and arrays the empty text; null and absent are missing."""
    value = node.get(field)
    if value is None or isinstance(value, str):
        return value
    return "" if isinstance(value, (dict, list)) else json.dumps(value)


def _long(node: dict[str, Any], field: str) -> int | None:
    """Numbers are cut to 64 bits; a text that is no number reads as 0, without a complaint; null is missing."""
    value = node.get(field)
    if value is None:
        return None
    if isinstance(value, str):
        return env.parse_integer(value.strip(), env.LONG_RANGE) or 0
    if isinstance(value, (dict, list)):
        return 0
    if isinstance(value, float):
        return int(max(env.LONG_RANGE[0], min(env.LONG_RANGE[1], value)))
    return (int(value) + 2**63) % 2**64 - 2**63

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders through the gateway, followed until BackOffice has booked them; the first ones make the healthy state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from lab import probes
from lab.control import restart, wait_until
from lab.layout import LabError, Paths

BOOKED_SECONDS = 60


@dataclass(frozen=True)
class Order:
    """An order as the gateway takes it; price in whole units of the quote currency."""

    symbol: str
    side: str
    qty: int
    price: int
    type: str = "LIMIT"


# Twelve orders that end flat, and one position that stays open.
FIRST = (
    *(
        Order(symbol, side, qty, price)
        for symbol, qty, price in (
            ("BTC", 1, 9_500),
            ("ETH", 5, 3_000),
            ("SOL", 8, 150),
            ("BTC", 2, 9_600),
            ("ETH", 3, 3_100),
            ("SOL", 4, 155),
        )
        for side in ("BUY", "SELL")
    ),
    Order("ADA", "BUY", 3, 2_500),
)


def put(paths: Paths, orders: Sequence[Order], account: str = probes.ACCOUNT) -> list[str]:
    """Put orders through the gateway one after the other; their order ids. LabError names the refused one."""
    bearer = probes.token(paths, account)
    ids = []
    for order in orders:
        try:
            status, body = probes.request("gateway", "/orders", bearer, asdict(order))
        except OSError as error:
            raise LabError(
                f"gateway: the order {order.side} {order.qty} {order.symbol} was not taken: {error}"
            ) from None
        if status != 202 or not isinstance(body, dict):
            reason = body.get("reason", body) if isinstance(body, dict) else body
            raise LabError(f"gateway: the order {order.side} {order.qty} {order.symbol} was refused: {status} {reason}")
        ids.append(str(body["orderId"]))
    return ids


def wait_booked(paths: Paths, ids: Sequence[str], orders: Sequence[Order], account: str = probes.ACCOUNT) -> None:
    """Wait until BackOffice has booked the orders to their full quantity."""
    bearer = probes.token(paths, account)
    wanted = dict(zip(ids, (order.qty for order in orders), strict=True))

    def booked() -> bool:
        try:
            status, body = probes.request("backoffice", "/fills", bearer)
        except OSError:
            return False
        if status != 200:
            return False
        totals: dict[str, int] = {}
        for fill in body["fills"]:
            totals[fill["orderId"]] = max(totals.get(fill["orderId"], 0), fill["filledQtyTotal"])
        return all(totals.get(order_id, 0) >= qty for order_id, qty in wanted.items())

    wait_until(booked, BOOKED_SECONDS, f"{len(ids)} orders of {account} booked by backoffice")


def seed(paths: Paths) -> None:
    """Put in the first orders, once; then BackOffice is started again, because its first boot had nothing to replay."""
    paths.seeding.touch()
    wait_booked(paths, put(paths, FIRST), FIRST)
    restart("backoffice")
    wait_until(lambda: probes.consumer_group()[0] == "STABLE", BOOKED_SECONDS, "backoffice back in its group")
    paths.seeding.rename(paths.seeded)

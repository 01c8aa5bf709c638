# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway's orders: requests, refusals, the exchange, what is published."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.services.gateway import AuditLog, Desk
from lab.services.orders import NoRequest, OrderRequest
from lab.services.publisher import Publisher

ORDER = {"symbol": "BTC", "side": "BUY", "type": "LIMIT", "qty": 4, "price": 100, "timeInForce": "GTC"}


def request(**changes: Any) -> OrderRequest:
    return OrderRequest.parse(
        json.dumps({name: value for name, value in (ORDER | changes).items() if value != "absent"}).encode()
    )


@pytest.mark.parametrize(
    "changes",
    [{"side": "buy"}, {"type": "STOP"}, {"timeInForce": "X"}, {"symbol": "absent"}, {"symbol": None}, {"side": 0},
     {"unknown": 1}, {"qty": "four"}, {"qty": []}, {"price": True}, {"qty": float("inf")}, {"symbol": {}}],
)  # fmt: skip
def test_what_is_no_request(changes: dict[str, Any]) -> None:
    with pytest.raises(NoRequest):
        request(**changes)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"7"])
def test_bodies_that_are_no_request(body: bytes) -> None:
    with pytest.raises(NoRequest):
        OrderRequest.parse(body)


def test_integers_are_cut_and_taken_from_text() -> None:
    order = request(qty="5", price=100.7, timeInForce="absent")
    assert (order.qty, order.price, order.time_in_force) == (5, 100, "GTC")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"symbol": " "}, "INVALID_SYMBOL"),
        ({"qty": 0}, "INVALID_QTY"),
        ({"qty": "absent"}, "INVALID_QTY"),
        ({"price": None}, "MISSING_PRICE"),
        ({"price": 0}, "INVALID_PRICE"),
        ({"type": "MARKET", "price": None}, None),
        ({"timeInForce": "GTD"}, "MISSING_EXPIRE_AT"),
        ({"timeInForce": "GTD", "expireAt": 999}, "EXPIRE_AT_IN_PAST"),
        ({"timeInForce": "GTD", "expireAt": 1001}, None),
        ({"qty": 101}, "QTY_LIMIT_EXCEEDED"),
    ],
)
def test_refusals(changes: dict[str, Any], reason: str | None) -> None:
    assert request(**changes).refusal(now_ms=1000, most_quantity=100) == reason


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Desk, Path]]:
    def make(**variables: str) -> tuple[Desk, Path]:
        for name, value in ({"EXCHANGE_SIM_DELAY_MS": "5", "KAFKA_ENABLE": "0"} | variables).items():
            monkeypatch.setenv(name, value)
        audit = tmp_path / "gateway" / "audit.log"
        return Desk(Publisher(), AuditLog(audit)), audit

    return make


def final(desk: Desk, order_id: str) -> str:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        order = desk.order("acct", order_id)
        assert order is not None
        if order.status in ("FILLED", "CANCELED", "REJECTED"):
            break
        time.sleep(0.01)
    return order.status


def events(audit: Path, order_id: str, count: int) -> list[dict[str, Any]]:
    deadline = time.monotonic() + 10
    found: list[dict[str, Any]] = []
    while len(found) < count and time.monotonic() < deadline:
        found = [json.loads(line) for line in audit.read_text("utf-8").splitlines()]
        found = [event for event in found if event["orderId"] == order_id]
        time.sleep(0.01)
    return found


def test_an_order_is_accepted_filled_in_steps_and_told(desk: Callable[..., tuple[Desk, Path]]) -> None:
    office, audit = desk()
    answer = json.loads(office.accept("acct", request(), None).body)
    assert answer["status"] == "ACCEPTED"
    order_id = answer["orderId"]
    assert final(office, order_id) == "FILLED"
    told = events(audit, order_id, 6)
    assert [event["type"] for event in told] == [
        "OrderAccepted", "OrderSent", "ExecutionReport", "OrderUpdated", "ExecutionReport", "OrderUpdated",
    ]  # fmt: skip
    assert [event["data"]["filledQtyTotal"] for event in told if event["type"] == "ExecutionReport"] == [2, 4]
    assert office.order("other", order_id) is None
    refused = office.cancel("acct", order_id)
    assert (refused.status, json.loads(refused.body)["reason"]) == (409, "ORDER_FINAL")
    assert office.cancel("acct", "none").status == 404


def test_an_idempotency_key_returns_the_first_order_of_the_account(desk: Callable[..., tuple[Desk, Path]]) -> None:
    office, _ = desk()
    first, again, other = (
        json.loads(office.accept(account, request(), "key").body)["orderId"] for account in ("a", "a", "b")
    )
    assert first == again != other


def test_cancel_before_the_fill(desk: Callable[..., tuple[Desk, Path]]) -> None:
    office, audit = desk(EXCHANGE_SIM_DELAY_MS="300", EXCHANGE_SIM_PARTIAL_STEPS="9")
    order_id = json.loads(office.accept("acct", request(qty=9), None).body)["orderId"]
    assert office.cancel("acct", order_id).status == 202
    assert office.cancel("acct", order_id).status == 202
    assert final(office, order_id) == "CANCELED"
    assert "CancelSent" in [event["type"] for event in events(audit, order_id, 4)]


def test_reject_all(desk: Callable[..., tuple[Desk, Path]]) -> None:
    office, audit = desk(EXCHANGE_SIM_REJECT_ALL="1")
    order_id = json.loads(office.accept("acct", request(), None).body)["orderId"]
    assert final(office, order_id) == "REJECTED"
    report = next(event for event in events(audit, order_id, 4) if event["type"] == "ExecutionReport")
    assert report["data"] == {"status": "REJECTED", "filledQtyDelta": 0, "filledQtyTotal": 0, "price": 100}

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An order through a fake gateway into a fake BackOffice, and every place where it can get lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_e2e, libraries
from ansible_collections.sre.runbooks.plugins.modules import backoffice_e2e as module
from tests.unit.plugins.fake_backoffice import ACCOUNT, FakeBackOffice, FakeGateway, accepted, fill
from tests.unit.plugins.fake_http import Send, Server, answer, free_port, json_answer, serving
from tests.unit.plugins.module_runner import FakeClock, fake_context, run_module

Capture = pytest.CaptureFixture[str]
BEFORE = ["gateway.health", "gateway.publisher", "gateway.queue", "backoffice.health", "backoffice.stats", "before"]
AFTER = ["order", "booked", "position", "balance", "reconcile.balances", "reconcile.positions"]
FLAT = ["flatten.order", "flatten.booked", "flat"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFFICE_URL", "GATEWAY_URL", "BACKOFFICE_ACCOUNT_ID", "BACKOFFICE_JWT", "JWT_HS256_SECRET"):
        monkeypatch.delenv(name, raising=False)


class World:
    """A gateway and a BackOffice that run, and the check between them."""

    def __init__(self, gateway: FakeGateway, front: Server, back: Server) -> None:
        self.gateway, self.front, self.back = gateway, front, back
        self.said: list[str] = []
        self.clock = FakeClock()

    def check(self, check_mode: bool = False, **options: Any) -> dict[str, Any]:
        params = {name: option.get("default") for name, option in backoffice_e2e.SPEC.options.items()}
        chosen = self.arguments() | {"retries": 0, "use_proxy": False, "wait_seconds": 5.0}
        context = fake_context(self.clock, progress=self.said.append, check_mode=check_mode)
        return backoffice_e2e.run(params | chosen | options, context)

    def arguments(self) -> dict[str, Any]:
        return {
            "gateway_url": self.front.url,
            "backoffice_url": self.back.url,
            "account_id": ACCOUNT,
            "jwt_secret": "s3cret",
            "symbol": "ADA",
            "quantity": 3,
            "price": 2500,
        }

    @property
    def placed(self) -> list[dict[str, Any]]:
        return [request.json() for request in self.front.asked if request.method == "POST"]


@contextmanager
def world(backoffice: FakeBackOffice | None = None, **gateway: Any) -> Iterator[World]:
    back = backoffice or FakeBackOffice.healthy()
    front = FakeGateway(back, **gateway)
    with serving(back.routes()) as back_server, serving(front.routes()) as front_server:
        yield World(front, front_server, back_server)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def row(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def test_an_order_arrives_in_the_books() -> None:
    with world() as w:
        result = w.check()
    assert result["verdict"] == "pass"
    assert list(statuses(result)) == [*BEFORE, *AFTER]
    assert result["changed"] is True
    assert (result["before"]["position"], result["after"]["position"]) == (4, 7)
    assert row(result, "position")["observed"] == "ADA +3"
    assert row(result, "balance")["observed"] == "JPY -7506"
    (order,) = result["orders"]
    assert (order["order_id"], order["filled"], order["known_before"]) == ("ord_1", 3, False)
    assert order["booked_ms"] is not None
    assert {check["runbook"] for check in result["checks"]} == {"3"}


def test_flatten_takes_the_position_back() -> None:
    with world() as w:
        result = w.check(flatten=True)
        assert [(order["side"], order["qty"]) for order in w.placed] == [("BUY", 3), ("SELL", 3)]
    assert result["verdict"] == "pass"
    assert list(statuses(result)) == [*BEFORE, *AFTER, *FLAT]
    assert result["after"]["position"] == result["before"]["position"]
    assert [order["role"] for order in result["orders"]] == ["order", "flatten"]


def test_check_mode_looks_and_places_nothing() -> None:
    with world() as w:
        result = w.check(check_mode=True, flatten=True)
        assert w.placed == []
    assert list(statuses(result)) == BEFORE
    assert (result["verdict"], result["changed"], result["orders"]) == ("pass", True, [])
    assert [(order["role"], order["side"]) for order in result["plan"]] == [("order", "BUY"), ("flatten", "SELL")]


def test_the_same_run_does_not_place_twice() -> None:
    with world() as w:
        first = w.check(flatten=True, run_id="job 7")
        second = w.check(flatten=True, run_id="job 7")
        assert len(w.gateway.orders) == 2
        other = w.check(run_id="job 8")
        assert len(w.gateway.orders) == 3
    assert (first["changed"], second["changed"], other["changed"]) == (True, False, True)
    assert second["verdict"] == "pass"
    assert [order["order_id"] for order in second["orders"]] == [order["order_id"] for order in first["orders"]]
    assert [order["known_before"] for order in second["orders"]] == [True, True]
    assert first["plan"] == second["plan"]


def test_runs_without_a_name_are_different_orders() -> None:
    with world() as w:
        assert w.check()["run_id"] != w.check()["run_id"]
        assert len(w.gateway.orders) == 2


def test_a_lost_answer_is_asked_again_with_the_same_key() -> None:
    with world() as w:
        usual: Any = w.front.routes["/orders"]
        w.front.routes["/orders"] = lambda request: (
            (usual(request), Send(b""))[1] if len(w.placed) < 2 else usual(request)
        )
        result = w.check(retries=2)
        assert (len(w.placed), len(w.gateway.orders)) == (2, 1)
    assert result["verdict"] == "pass"


def test_the_publisher_is_off_and_nothing_is_placed() -> None:
    with world(publisher="gateway_kafka_publisher_enabled 0\n") as w:
        result = w.check()
        assert w.placed == []
    assert statuses(result)["gateway.publisher"] == "fail"
    assert row(result, "order")["status"] == "unverified"
    assert "not placed, because of gateway.publisher" in row(result, "order")["observed"]
    assert (causes(result), result["changed"]) == (["publisher_off"], False)


@pytest.mark.parametrize("page", ["", "some_other_metric 1\n", "<html>"])
def test_a_publisher_that_cannot_be_seen_places_nothing(page: str) -> None:
    with world(publisher=page) as w:
        result = w.check()
        assert w.placed == []
    assert statuses(result)["gateway.publisher"] == "unverified"


@pytest.mark.parametrize("side", ["gateway_url", "backoffice_url"])
def test_a_side_that_is_down_places_nothing(side: str) -> None:
    with world() as w:
        wrong: dict[str, Any] = {side: f"http://127.0.0.1:{free_port()}"}
        result = w.check(**wrong)
        assert w.placed == []
    assert result["verdict"] == "fail"
    assert statuses(result)["order"] == "unverified"


@pytest.mark.parametrize(
    ("send", "status", "cause", "words"),
    [
        (
            json_answer({"status": "REJECTED", "reason": "QTY_LIMIT_EXCEEDED"}, 422),
            "fail",
            "order_rejected",
            "QTY_LIMIT",
        ),
        (json_answer({"status": "REJECTED", "reason": "RATE_LIMIT"}, 429), "fail", "gateway_overloaded", "RATE_LIMIT"),
        (answer(503, b"busy"), "fail", "gateway_overloaded", "HTTP 503"),
        (answer(400, b"INVALID_JSON", Content_Type="text/plain"), "fail", "order_refused", "HTTP 400"),
        (json_answer({"reason": "INVALID_JWT_SIGNATURE"}, 401), "unverified", "token_refused", "INVALID_JWT_SIGNATURE"),
        (json_answer({"status": "ACCEPTED"}, 202), "fail", "order_refused", "HTTP 202"),
        (json_answer({"orderId": "ord_1", "status": "REJECTED"}, 202), "fail", "order_refused", "HTTP 202"),
        (Send(b""), "unverified", "placement_unknown", "closed the connection"),
    ],
)
def test_an_order_that_is_not_taken(send: Send, status: str, cause: str, words: str) -> None:
    with world(bent={"/orders": send}) as w:
        result = w.check(run_id="job 7")
    check = row(result, "order")
    assert (check["status"], words in check["observed"], causes(result)) == (status, True, [cause]), check
    assert list(statuses(result))[-1] == "order"
    assert result["changed"] is False
    if cause == "placement_unknown":
        assert "With run_id job 7 another run finds it" in check["hint"]


@pytest.mark.parametrize(
    ("gateway", "cause", "words"),
    [
        ({"book": False}, "not_arrived", "nothing in the ledger after 5.0 s; the gateway says FILLED"),
        ({"book": False, "status": "SENT"}, "not_filled", "the gateway says SENT"),
        ({"book": False, "status": "REJECTED"}, "rejected_by_exchange", "the gateway says REJECTED"),
        (
            {"book": False, "publisher": "gateway_kafka_publisher_enabled 1\ngateway_kafka_publisher_queue_depth 6\n"},
            "broker_unreachable_from_gateway",
            "the gateway says FILLED",
        ),
    ],
)
def test_an_order_that_does_not_arrive(gateway: dict[str, Any], cause: str, words: str) -> None:
    with world(**gateway) as w:
        result = w.check(flatten=True)
        assert len(w.placed) == 1, "no second order into a broken path"
    check = row(result, "booked")
    assert (check["status"], words in check["observed"], causes(result)) == ("fail", True, [cause]), check
    assert result["changed"] is True
    assert "order ord_1 stands" in result["findings"][0]["affects"]
    assert w.said[0] == "ord_1: 0 of 3 booked, 5 s left"


def test_an_order_that_arrives_in_part() -> None:
    with world(book=False) as w:
        w.gateway.beside = lambda: w.gateway.backoffice.entries.extend(
            [accepted("ord_1", "BUY"), fill("ord_1", "BUY", 1, 1)]
        )
        result = w.check()
    assert causes(result) == ["partly_arrived"]
    assert row(result, "booked")["observed"].startswith("1 filled in the ledger after")
    assert result["findings"][0]["next"]["playbook"] == "sre.runbooks.backoffice.stale_data"


def test_an_order_that_arrives_late_is_waited_for() -> None:
    with world(book=False) as w:

        def later(seconds: float) -> None:
            FakeClock.sleep(w.clock, seconds)
            if w.gateway.orders and len(w.clock.slept) == 3:
                w.gateway._book(next(iter(w.gateway.orders.values())))

        w.clock.sleep = later  # type: ignore[method-assign]
        result = w.check()
    assert result["verdict"] == "pass"
    assert result["orders"][0]["booked_ms"] == pytest.approx(475, abs=2)


def test_other_orders_of_the_account_are_taken_into_account() -> None:
    with world() as w:
        w.gateway.beside = lambda: w.gateway.backoffice.entries.extend(
            [accepted("foreign", "SELL"), fill("foreign", "SELL", 5, 5)]
        )
        result = w.check()
    assert result["verdict"] == "pass"
    assert row(result, "position")["observed"] == "ADA -2; this order booked +3"


def test_a_store_that_does_not_follow_is_red() -> None:
    with world(FakeBackOffice.healthy(store=(4, -10_020))) as w:
        result = w.check()
    assert statuses(result)["position"] == statuses(result)["balance"] == "fail"
    assert statuses(result)["reconcile.positions"] == "fail"
    assert (row(result, "position")["observed"], row(result, "position")["expected"]) == (
        "ADA +0; this order booked +3",
        "ADA +3",
    )


def test_fills_that_do_not_add_up_are_red() -> None:
    with world() as w:
        result = w.check(fee_bps=20)
    assert "feeQuote 2 instead of 5" in row(result, "booked")["observed"]
    assert "Is fee_bps that of this deployment?" in row(result, "booked")["hint"]


def test_a_market_order_has_no_price() -> None:
    with world() as w:
        assert w.check(order_type="MARKET", side="SELL")["verdict"] == "pass"
        assert "price" not in w.placed[0]
        assert w.placed[0]["type"] == "MARKET"


def test_an_opposite_order_that_fails_is_said() -> None:
    with world() as w:
        usual: Any = w.front.routes["/orders"]
        refuse = json_answer({"reason": "RATE_LIMIT"}, 429)
        w.front.routes["/orders"] = lambda request: refuse if len(w.placed) > 1 else usual(request)
        result = w.check(flatten=True)
    assert statuses(result)["flatten.order"] == "fail"
    assert causes(result) == ["gateway_overloaded", "position_left_open"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"quantity": 0}, "quantity is 0; it must be 1 to 10"),
        ({"quantity": 11}, "quantity is 11; it must be 1 to 10 (max_quantity)"),
        ({"quantity": 500, "max_quantity": 5000}, "max_quantity is 5000; it must be from 1 to 1000"),
        ({"price": 0}, "price is 0"),
        ({"symbol": " "}, "symbol is empty"),
        ({"wait_seconds": 0}, "wait_seconds is 0"),
        ({"side": "buy"}, "side"),
        ({"gateway_url": "gateway:8081"}, "gateway_url is 'gateway:8081', which has no scheme"),
        ({"backoffice_url": ""}, "backoffice_url is empty"),
        ({"jwt_secret": ""}, "an order needs an account and its token"),
        ({"account_id": ""}, "account_id is not set"),
    ],
)
def test_bad_input_is_one_clear_line(capsys: Capture, arguments: dict[str, Any], text: str) -> None:
    with world() as w:
        result = run_module(module, capsys, **{**w.arguments(), **arguments})
        assert w.placed == []
    assert result["failed"] is True
    assert text in result["msg"]
    assert "\n" not in result["msg"]


def test_the_module(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    with world() as w:
        arguments = w.arguments()
        monkeypatch.setenv("GATEWAY_URL", arguments.pop("gateway_url"))
        monkeypatch.setenv("BACKOFFICE_URL", arguments.pop("backoffice_url"))
        planned = run_module(module, capsys, True, **arguments, run_id="job 7")
        assert w.placed == []
        done = run_module(module, capsys, False, **arguments, run_id="job 7")
        again = run_module(module, capsys, False, **arguments, run_id="job 7")
    assert (planned["changed"], done["changed"], again["changed"]) == (True, True, False)
    assert planned["plan"] == done["plan"] == again["plan"]
    assert {planned["verdict"], done["verdict"], again["verdict"]} == {"pass"}
    assert "s3cret" not in json.dumps([planned, done, again])


def test_a_missing_library_is_named(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "PyJWT", ImportError("No module named 'jwt'"))
    result = run_module(module, capsys, gateway_url="http://g", backoffice_url="http://b")
    assert "pip install PyJWT" in result["msg"]


def test_what_the_documentation_promises_is_returned() -> None:
    import yaml

    with world() as w:
        assert set(w.check()) - {"changed"} == set(yaml.safe_load(module.RETURN))

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gateway over HTTP, in this process: routes, tokens, orders, cancels, idempotency, metrics."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests

from lab.services.gateway import Api, AuditLog, Desk
from lab.services.jwt_auth import JwtAuth
from lab.services.publisher import Publisher
from lab.services.web import HttpService

SECRET = "a-secret-of-the-right-length-for-tests"
ORDER = {"symbol": "BTC", "side": "BUY", "type": "LIMIT", "qty": 4, "price": 100, "timeInForce": "GTC"}


class Client:
    def __init__(self, url: str) -> None:
        self.url = url
        self.session = requests.Session()
        self.session.trust_env = False

    def call(
        self, method: str, path: str, body: object = None, account: str | None = "acct", **headers: str
    ) -> requests.Response:
        """A request as ``account``, without a token when that is None; a body that is no text is sent as JSON."""
        if account is not None:
            token = jwt.encode({"accountId": account, "exp": time.time() + 60}, SECRET)
            headers = {"Authorization": f"Bearer {token}", **headers}
        data = body if body is None or isinstance(body, str) else json.dumps(body)
        return self.session.request(method, self.url + path, data=data, headers=headers, timeout=10)

    def order(self, account: str = "acct", **headers: str) -> str:
        answer = self.call("POST", "/orders", ORDER, account, **headers)
        assert (answer.status_code, answer.json()["status"]) == (202, "ACCEPTED")
        order_id: str = answer.json()["orderId"]
        return order_id

    def until(self, order_id: str, status: str) -> dict[str, Any]:
        """The order once it has this status; fails after ten seconds."""
        deadline = time.monotonic() + 10
        while (body := self.call("GET", f"/orders/{order_id}").json())["status"] != status:
            assert time.monotonic() < deadline, body
            time.sleep(0.01)
        found: dict[str, Any] = body
        return found

    def metrics(self) -> dict[str, float]:
        lines = self.call("GET", "/metrics", account=None).text.splitlines()
        return {name: float(value) for name, value in (line.split() for line in lines if not line.startswith("#"))}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Starts a gateway with these variables in its environment."""
    running: list[tuple[HttpService, threading.Thread]] = []

    def serve(**variables: str) -> Client:
        for name, value in ({"EXCHANGE_SIM_DELAY_MS": "5", "KAFKA_ENABLE": "0"} | variables).items():
            monkeypatch.setenv(name, value)
        publisher = Publisher()
        api = Api(Desk(publisher, AuditLog(tmp_path / "audit.log")), publisher, JwtAuth(SECRET))
        server = HttpService(0, api.routes())
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        running.append((server, thread))
        return Client(f"http://127.0.0.1:{server.server_address[1]}")

    yield serve
    for server, thread in running:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def client(start: Callable[..., Client]) -> Client:
    return start()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *((method, "/orders") for method in ("GET", "PUT", "DELETE", "PATCH")),
        ("POST", "/health"),
        ("POST", "/metrics"),
    ],
)
def test_the_method_is_checked_before_the_token(client: Client, method: str, path: str) -> None:
    answer = client.call(method, path, account=None)
    assert (answer.status_code, answer.text) == (405, "METHOD_NOT_ALLOWED")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/orders/x"), ("POST", "/orders/x"), ("POST", "/orders/x/undo")]
)
def test_one_order_checks_the_token_first(client: Client, method: str, path: str) -> None:
    assert client.call(method, path, account=None).status_code == 401
    assert client.call(method, path).status_code == 405


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/orders"), ("GET", "/orders/x"), ("POST", "/orders/x/cancel"), ("GET", "/orders/")]
)
@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "MISSING_BEARER_TOKEN"),
        ("Basic eDp5", "MISSING_BEARER_TOKEN"),
        ("Bearer a.b", "INVALID_JWT_FORMAT"),
        ("Bearer " + jwt.encode({"sub": "acct", "exp": 4_000_000_000}, SECRET[::-1]), "INVALID_JWT_SIGNATURE"),
        ("Bearer " + jwt.encode({"sub": "acct", "exp": 1_000}, SECRET), "TOKEN_EXPIRED"),
        ("Bearer " + jwt.encode({"exp": 4_000_000_000}, SECRET), "MISSING_ACCOUNT_ID"),
    ],
)
def test_refused_tokens(client: Client, method: str, path: str, authorization: str | None, reason: str) -> None:
    headers = {"Authorization": authorization} if authorization else {}
    answer = client.call(method, path, "no JSON", account=None, **headers)
    assert (answer.status_code, answer.json()) == (401, {"status": "UNAUTHORIZED", "reason": reason})
    assert client.metrics()["gateway_orders_accepted_total"] == 0


@pytest.mark.parametrize("body", ["", "{", "[]", "no JSON", {**ORDER, "side": "buy"}, {**ORDER, "more": 1}, {"qty": 1}])
def test_what_is_no_order_is_400(client: Client, body: object) -> None:
    answer = client.call("POST", "/orders", body)
    assert (answer.status_code, answer.text) == (400, "INVALID_JSON")
    assert client.metrics()["gateway_orders_rejected_total"] == 0


def test_a_refused_order_is_422_and_counted(client: Client) -> None:
    answer = client.call("POST", "/orders", {**ORDER, "qty": 0})
    assert (answer.status_code, answer.json()) == (422, {"status": "REJECTED", "reason": "INVALID_QTY"})
    assert client.metrics()["gateway_orders_rejected_total"] == 1


def test_an_order_can_be_read_by_its_account_only(client: Client) -> None:
    order_id = client.order()
    body = client.until(order_id, "FILLED")
    assert list(body) == [
        "orderId", "accountId", "clientOrderId", "symbol", "side", "type", "qty", "price", "timeInForce", "expireAt",
        "status", "acceptedAt", "lastUpdateAt", "filledQty",
    ]  # fmt: skip
    assert body | ORDER | {"orderId": order_id, "accountId": "acct", "filledQty": 4} == body
    assert client.call("GET", f"/orders/{order_id}/").status_code == 200
    for path, account in ((f"/orders/{order_id}", "other"), ("/orders/ord_unknown", "acct")):
        answer = client.call("GET", path, account=account)
        assert (answer.status_code, answer.text) == (404, "NOT_FOUND")
    missing = client.call("GET", "/orders/")
    assert (missing.status_code, missing.text) == (400, "MISSING_ORDER_ID")


def test_cancel(start: Callable[..., Client]) -> None:
    client = start(EXCHANGE_SIM_DELAY_MS="300", EXCHANGE_SIM_PARTIAL_STEPS="4")
    order_id = client.order()
    foreign = client.call("POST", f"/orders/{order_id}/cancel", account="other")
    assert (foreign.status_code, foreign.json()) == (404, {"status": "REJECTED", "reason": "NOT_FOUND"})
    for _ in range(2):
        answer = client.call("POST", f"/orders/{order_id}/cancel")
        assert (answer.status_code, answer.json()) == (202, {"orderId": order_id, "status": "CANCEL_REQUESTED"})
    client.until(order_id, "CANCELED")
    final = client.call("POST", f"/orders/{order_id}/cancel")
    assert (final.status_code, final.json()) == (409, {"status": "REJECTED", "reason": "ORDER_FINAL"})


def test_an_idempotency_key_is_one_order_for_an_account(client: Client) -> None:
    first = client.order(**{"Idempotency-Key": "key"})
    assert client.order(**{"Idempotency-Key": "key "}) == first
    others = [
        client.order(**{"Idempotency-Key": "another"}),
        client.order("other", **{"Idempotency-Key": "key"}),
        client.order(**{"Idempotency-Key": ""}),
        client.order(**{"Idempotency-Key": ""}),
        client.order(),
    ]
    assert len({first, *others}) == 6
    assert client.metrics()["gateway_orders_accepted_total"] == 6


def test_health_and_metrics_need_no_token(client: Client) -> None:
    health = client.call("GET", "/health", account=None)
    assert (health.status_code, health.json()) == (200, {"status": "ok"})
    answer = client.call("GET", "/metrics", account=None)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert "# TYPE gateway_orders_accepted_total counter\ngateway_orders_accepted_total 0\n" in answer.text
    assert client.metrics() == {
        "gateway_orders_accepted_total": 0,
        "gateway_orders_rejected_total": 0,
        "gateway_kafka_publisher_enabled": 0,
        "gateway_kafka_publisher_queue_depth": 0,
        "gateway_kafka_publisher_dropped_total": 0,
        "gateway_kafka_publisher_errors_total": 0,
    }


def test_a_full_queue_is_429(start: Callable[..., Client], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Desk, "_run", lambda self: None)  # nothing takes from the queue
    client = start(GATEWAY_QUEUE_CAPACITY="1")
    client.order()
    answer = client.call("POST", "/orders", ORDER)
    assert (answer.status_code, answer.json()) == (429, {"status": "REJECTED", "reason": "QUEUE_REJECT"})
    assert client.metrics()["gateway_orders_accepted_total"] == 1

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference gateway: takes orders over HTTP, has a simulated exchange fill them, tells Kafka.

Run with ``python -m lab.services.gateway``; configured by the environment only.
"""

from __future__ import annotations

import json
import queue
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import Any

from lab.services import env, process
from lab.services.exchange import Exchange, Report
from lab.services.jwt_auth import JwtAuth
from lab.services.orders import FINAL, NoRequest, Order, OrderRequest
from lab.services.publisher import Publisher, event
from lab.services.web import (
    Handler,
    HttpProblem,
    HttpService,
    Reply,
    Request,
    authenticated,
    json_reply,
    text_reply,
)

FULL_QUEUE_STATUS = 429


class AuditLog:
    """One JSON object a line, appended per event."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = open(path, "a", encoding="utf-8")  # noqa: SIM115 - open for the life of the process
        self._lock = threading.Lock()

    def append(self, body: dict[str, Any]) -> None:
        with self._lock:
            self._stream.write(json.dumps(body, ensure_ascii=False, separators=(",", ":")) + "\n")
            self._stream.flush()


class Desk:
    """The orders of this process, and what happens to them."""

    def __init__(self, publisher: Publisher, audit: AuditLog) -> None:
        self._publisher, self._audit = publisher, audit
        self._most_quantity = env.integer("RISK_MAX_QTY", 100_000, env.LONG_RANGE)
        self._lock = threading.RLock()
        self._orders: dict[str, Order] = {}
        self._by_key: dict[tuple[str, str], str] = {}
        capacity = max(1, env.integer("GATEWAY_QUEUE_CAPACITY", 65_536))
        self._commands: queue.Queue[tuple[str, str]] = queue.Queue(capacity)
        self._exchange = Exchange(self._on_report)
        self.accepted = 0
        self.rejected = 0
        threading.Thread(target=self._run, name="order-queue", daemon=True).start()

    def accept(self, account: str, request: OrderRequest, idempotency_key: str | None) -> Reply:
        now = time.time_ns()
        with self._lock:
            known = self._by_key.get((account, idempotency_key)) if idempotency_key else None
            if known is not None:
                return json_reply(202, {"orderId": known, "status": "ACCEPTED"})
            reason = request.refusal(now / 1_000_000, self._most_quantity)
            if reason is not None:
                return self._refuse(422, reason)
            order = Order(f"ord_{uuid.uuid4()}", account, request, now, now)
            self._orders[order.order_id] = order
            details = {name: order.body()[name] for name in ("symbol", "side", "type", "qty", "price", "timeInForce")}
            details |= {"expireAt": request.expire_at, "clientOrderId": request.client_order_id}
            if self._commands.full():
                del self._orders[order.order_id]
                return self._refuse(FULL_QUEUE_STATUS, "QUEUE_REJECT")
            if idempotency_key:
                self._by_key[account, idempotency_key] = order.order_id
            self._tell("OrderAccepted", order, now, details)
            self._commands.put(("new", order.order_id))
            self.accepted += 1
        return json_reply(202, {"orderId": order.order_id, "status": "ACCEPTED"})

    def order(self, account: str, order_id: str) -> Order | None:
        """An order of the account; a foreign order is as unknown as one that never was."""
        order = self._orders.get(order_id)
        return order if order is not None and order.account_id == account else None

    def cancel(self, account: str, order_id: str) -> Reply:
        with self._lock:
            order = self.order(account, order_id)
            if order is None:
                return json_reply(404, {"status": "REJECTED", "reason": "NOT_FOUND"})
            if order.status in FINAL:
                return json_reply(409, {"status": "REJECTED", "reason": "ORDER_FINAL"})
            if order.status != "CANCEL_REQUESTED":
                order.status, order.updated_at = "CANCEL_REQUESTED", time.time_ns()
                self._tell("CancelRequested", order, order.updated_at, {})
                self._commands.put(("cancel", order_id))
        return json_reply(202, {"orderId": order_id, "status": "CANCEL_REQUESTED"})

    def _refuse(self, status: int, reason: str) -> Reply:
        self.rejected += 1
        return json_reply(status, {"status": "REJECTED", "reason": reason})

    def _run(self) -> None:
        while True:
            command, order_id = self._commands.get()
            order = self._orders[order_id]
            if command == "new":
                order.status = "SENT" if order.status == "ACCEPTED" else order.status
                self._tell("OrderSent", order, time.time_ns(), {})
                self._exchange.send(order_id, order.request.qty, order.request.price)
            else:
                self._tell("CancelSent", order, time.time_ns(), {})
                self._exchange.cancel(order_id)

    def _on_report(self, report: Report) -> None:
        with self._lock:
            order = self._orders[report.order_id]
            order.filled, order.updated_at = report.total, report.at
            if order.status not in FINAL:
                order.status = report.status
            execution = {
                "status": report.status,
                "filledQtyDelta": report.delta,
                "filledQtyTotal": report.total,
                "price": report.price,
            }
            self._tell("ExecutionReport", order, report.at, execution)
            self._tell("OrderUpdated", order, report.at, {"status": order.status, "filledQty": order.filled})

    def _tell(self, kind: str, order: Order, at: int, data: dict[str, Any]) -> None:
        body = event(kind, at, order.account_id, order.order_id, data)
        self._audit.append(body)
        self._publisher.publish(body)


class Api:
    def __init__(self, desk: Desk, publisher: Publisher, auth: JwtAuth) -> None:
        self._desk, self._publisher, self._auth = desk, publisher, auth

    def routes(self) -> dict[str, Handler]:
        return {"/health": self.health, "/metrics": self.metrics, "/orders": self.create, "/orders/": self.one}

    def health(self, request: Request) -> Reply:
        _require(request, "GET")
        return json_reply(200, {"status": "ok"})

    def metrics(self, request: Request) -> Reply:
        _require(request, "GET")
        publisher = self._publisher
        series = (
            ("gateway_orders_accepted_total", "counter", "Orders accepted", self._desk.accepted),
            ("gateway_orders_rejected_total", "counter", "Orders rejected", self._desk.rejected),
            ("gateway_kafka_publisher_enabled", "gauge", "Kafka publisher enabled (1/0)", int(publisher.enabled)),
            ("gateway_kafka_publisher_queue_depth", "gauge", "Events that wait for a broker", publisher.depth),
            ("gateway_kafka_publisher_dropped_total", "counter", "Events dropped by a full queue", publisher.dropped),
            ("gateway_kafka_publisher_errors_total", "counter", "Events that could not be sent", publisher.errors),
        )
        text = "".join(
            f"# HELP {name} {about}\n# TYPE {name} {kind}\n{name} {value}\n" for name, kind, about, value in series
        )
        return Reply(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    def create(self, request: Request) -> Reply:
        _require(request, "POST")
        account = authenticated(self._auth, request)
        try:
            order = OrderRequest.parse(request.body)
        except NoRequest:
            return text_reply(400, "INVALID_JSON")
        key = (request.headers.get("Idempotency-Key") or "").strip()
        return self._desk.accept(account, order, key or None)

    def one(self, request: Request) -> Reply:
        account = authenticated(self._auth, request)
        order_id, *rest = request.path.removeprefix("/orders/").strip("/").split("/")
        if not order_id:
            return text_reply(400, "MISSING_ORDER_ID")
        if request.method == "POST" and rest == ["cancel"]:
            return self._desk.cancel(account, order_id)
        _require(request, "GET")
        order = self._desk.order(account, order_id)
        return text_reply(404, "NOT_FOUND") if order is None else json_reply(200, order.body())


def _require(request: Request, method: str) -> None:
    if request.method != method:
        raise HttpProblem(405, "METHOD_NOT_ALLOWED")


def main() -> None:
    port = env.integer("GATEWAY_PORT", 8081)
    auth = JwtAuth.from_env()
    publisher = Publisher()
    desk = Desk(publisher, AuditLog(Path(env.text("GATEWAY_AUDIT_PATH", "var/gateway/audit.log"))))
    stopping = process.stop_requested()
    try:
        server = HttpService(port, Api(desk, publisher, auth).routes())
    except OSError:
        if not publisher.enabled:
            raise
        traceback.print_exc()  # the publisher keeps the process alive, without a listener
    else:
        threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
        print(f"Gateway listening on :{port}", flush=True)
    stopping.wait()
    publisher.close()
    process.end()


if __name__ == "__main__":
    main()

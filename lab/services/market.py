# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small, flat order flow: one BUY and one SELL every two seconds, so that a healthy system is never quiet.

Run with ``python -m lab.services.market``. Variables: GATEWAY_URL, JWT_HS256_SECRET, MARKET_ACCOUNT_ID,
MARKET_SYMBOL, MARKET_INTERVAL_SEC, and MARKET_MODE, which says what flows:

orders   orders through the gateway (the default)
events   the events of such orders straight to Kafka, their clock off by MARKET_CLOCK_OFFSET_SEC
orphans  execution reports of orders that nobody accepted, straight to Kafka
foreign  records in another format, straight to Kafka

The last three need KAFKA_BOOTSTRAP_SERVERS and KAFKA_TOPIC. What fails is tried again at the next tick.
"""

from __future__ import annotations

import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jwt

from lab.services import env, instant, process
from lab.services.publisher import event

REQUEST_TIMEOUT_SECONDS = 5.0
SIDES = ("BUY", "SELL")
PRICE = 100
FOREIGN = b"<Order xmlns='urn:example'><Side>BUY</Side></Order>"

Record = tuple[str, bytes]  # key and value


def place(url: str, secret: str, account: str, symbol: str, side: str) -> None:
    """Places one order; raises OSError (urllib's errors are OSErrors) when it is not accepted."""
    token = jwt.encode({"accountId": account, "exp": int(time.time()) + 300}, secret, algorithm="HS256")
    order = {"symbol": symbol, "side": side, "type": "LIMIT", "qty": 1, "price": PRICE, "timeInForce": "GTC"}
    request = urllib.request.Request(
        f"{url.rstrip('/')}/orders",
        json.dumps(order).encode(),
        {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_SECONDS) as answer:
        answer.read()


def order_events(account: str, symbol: str, side: str, at: int) -> Iterator[Record]:
    """What the gateway publishes of an order of one, filled at once; ``at`` in nanoseconds since the epoch."""
    order_id = f"ord_{uuid.uuid4()}"
    yield _record(event("OrderAccepted", at, account, order_id, {"symbol": symbol, "side": side, "qty": 1}))
    yield execution_report(account, order_id, at)


def execution_report(account: str, order_id: str, at: int) -> Record:
    fill = {"status": "FILLED", "filledQtyDelta": 1, "filledQtyTotal": 1, "price": PRICE}
    return _record(event("ExecutionReport", at, account, order_id, fill))


def _record(body: dict[str, Any]) -> Record:
    return body["orderId"], json.dumps(body).encode()


def _to_gateway(account: str, symbol: str) -> Callable[[], None]:
    url, secret = env.text("GATEWAY_URL", "http://127.0.0.1:8081"), env.text("JWT_HS256_SECRET", "")

    def tick() -> None:
        for side in SIDES:
            place(url, secret, account, symbol, side)

    return tick


def _to_kafka(records: Callable[[], Iterator[Record]]) -> Callable[[], None]:
    from confluent_kafka import Producer

    from lab.services import kafka

    producer = Producer(kafka.client_settings("market", "Producer clientId=market"))
    topic = env.text("KAFKA_TOPIC", "events")

    def tick() -> None:
        for key, value in records():
            producer.produce(topic, value, key)
        producer.flush(REQUEST_TIMEOUT_SECONDS)

    return tick


def flow(mode: str, account: str, symbol: str) -> Callable[[], None]:
    """What happens at each tick; ValueError for an unknown mode."""
    offset = env.integer("MARKET_CLOCK_OFFSET_SEC", 0) * instant.SECOND
    records: dict[str, Callable[[], Iterator[Record]]] = {
        "events": lambda: (
            record for side in SIDES for record in order_events(account, symbol, side, time.time_ns() + offset)
        ),
        "orphans": lambda: iter([execution_report(account, f"ord_{uuid.uuid4()}", time.time_ns())]),
        "foreign": lambda: iter([(account, FOREIGN)]),
    }
    if mode == "orders":
        return _to_gateway(account, symbol)
    if mode not in records:
        raise ValueError(f"MARKET_MODE={mode!r} is unknown; there are orders, {', '.join(records)}")
    return _to_kafka(records[mode])


def main() -> None:
    account, symbol = env.text("MARKET_ACCOUNT_ID", "acct_market"), env.text("MARKET_SYMBOL", "XRP")
    mode, interval = env.text("MARKET_MODE", "orders"), max(1, env.integer("MARKET_INTERVAL_SEC", 2))
    tick = flow(mode, account, symbol)
    stopping = process.stop_requested()
    print(f"market: {account} trades {symbol}, {mode} every {interval} s", flush=True)
    failed = False
    while not stopping.is_set():
        try:
            tick()
            failed = False
        except (OSError, BufferError) as error:
            if not failed:
                print(f"market: nothing placed: {error}", flush=True)
            failed = True
        stopping.wait(interval)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flows into Hafnium on a usual day: a few requests to each service, and transactions to its topic.

Run with ``python -m lab.services.traffic``. Variables: TRAFFIC_URL (the ingress), TRAFFIC_SERVICES (names, with commas),
TRAFFIC_INTERVAL_MS (between two requests to a service), KAFKA_BOOTSTRAP_SERVERS, KAFKA_TOPIC, KAFKA_PARTITIONS.
A service gets its next request when it has answered the last one: one that is slow is not buried.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
import uuid
from contextlib import suppress

import aiohttp
from confluent_kafka import Producer

from lab.services import env, instant, kafka, process

PATH = "/api/items"
REQUEST_SECONDS = 5.0
RECORD_EVERY_SECONDS = 1.0


async def visit(session: aiohttp.ClientSession, url: str, every: float) -> None:
    """Ask the service for ever, whatever it answers."""
    while True:
        with suppress(aiohttp.ClientError, TimeoutError, OSError):
            async with session.get(url) as answer:
                await answer.read()
        await asyncio.sleep(every)


async def ingest(producer: Producer, topic: str, partitions: int) -> None:
    """A transaction a second, the partitions in turn."""
    count = 0
    while True:
        with suppress(BufferError):  # the broker has been away for long
            producer.produce(topic, transaction(), partition=count % partitions)
        producer.poll(0)
        count += 1
        await asyncio.sleep(RECORD_EVERY_SECONDS)


def transaction() -> bytes:
    return json.dumps(
        {"transactionId": f"txn_{uuid.uuid4()}", "at": instant.iso(time.time_ns()), "amount": 100}
    ).encode()


async def flow() -> None:
    """Until SIGTERM or SIGINT."""
    services = [name for name in env.text("TRAFFIC_SERVICES", "").split(",") if name]
    every = max(50, env.integer("TRAFFIC_INTERVAL_MS", 500)) / 1000
    topic = env.text("KAFKA_TOPIC", "hf.txn.ingested.v1")
    producer = Producer({**kafka.client_settings("traffic", "Producer clientId=traffic"), "message.timeout.ms": 60_000})
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    print(f"traffic: {len(services)} services every {every:g} s, a record for {topic} a second", flush=True)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as session:
        root = env.text("TRAFFIC_URL", "http://127.0.0.1:18100")
        flows = [visit(session, f"{root}/{name}{PATH}", every) for name in services]
        flows.append(ingest(producer, topic, max(1, env.integer("KAFKA_PARTITIONS", 3))))
        tasks = [asyncio.create_task(each) for each in flows]
        await asyncio.wait([*tasks, asyncio.create_task(stopping.wait())], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()  # what ended it
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def main() -> None:
    asyncio.run(flow())
    process.end()


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of what flows: the wrong time, the wrong format, the wrong orders, nothing at all."""

from __future__ import annotations

import time
from itertools import chain

from lab import control, kafka, probes
from lab.faults import bus
from lab.faults.model import Fault, restart, start
from lab.layout import address, paths
from lab.services import instant
from lab.services.market import order_events

HOUR = 3_600
YEAR = 365 * 24 * HOUR
MARKET_VARIABLES = ("MARKET_MODE", "MARKET_CLOCK_OFFSET_SEC", "KAFKA_BOOTSTRAP_SERVERS", "KAFKA_TOPIC")


def _last_offset() -> str | None:
    status, stats = probes.request("backoffice", "/stats", probes.token(paths()))
    return stats["lastKafkaOffset"] if status == 200 else None


def _flow(name: str, summary: str, mode: str, clock_offset_seconds: int = 0) -> Fault:
    """The market does something else than placing orders; returns when its records arrive."""

    def apply() -> None:
        control.stop("market")
        bus.wait_caught_up()
        before = _last_offset()
        control.set_env(
            "market",
            MARKET_MODE=mode,
            MARKET_CLOCK_OFFSET_SEC=str(clock_offset_seconds),
            KAFKA_BOOTSTRAP_SERVERS=address("kafka"),
            KAFKA_TOPIC=kafka.TOPIC,
        )
        control.start("market")
        control.wait_until(lambda: _last_offset() not in (before, None), 30, f"records of mode {mode} at backoffice")

    return Fault(name, summary, apply, _orders_again)


def _orders_again() -> None:
    control.clear_env("market", *MARKET_VARIABLES)
    restart("market")


def _quiet() -> None:
    """The market stops. Two last orders, dated an hour back, stand for the hour that nobody wants to wait for."""
    control.stop("market")
    bus.wait_caught_up()
    at = time.time_ns() - HOUR * instant.SECOND
    bus.publish(chain.from_iterable(order_events("acct_market", "XRP", side, at) for side in ("BUY", "SELL")))
    bus.wait_caught_up()


FAULTS = (
    _flow("events-from-future", "events are dated a year ahead: their age is negative", "events", YEAR),
    _flow("producer-clock-behind", "the producer's clock is an hour behind: fresh events look stale", "events", -HOUR),
    _flow("orphan-events-only", "only reports of unknown orders arrive: all of them are skipped", "orphans"),
    _flow("foreign-format", "only records in another format arrive: all of them are skipped", "foreign"),
    Fault("quiet-market", "nobody trades: the last event is an hour old", _quiet, lambda: start("market")),
)

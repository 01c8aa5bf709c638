# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulated exchange: fills every order in a few steps after a delay, or rejects all of them."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lab.services import env


@dataclass(frozen=True)
class Report:
    order_id: str
    status: str
    delta: int
    total: int
    price: int | None
    at: int


@dataclass
class _Ticket:
    qty: int
    price: int | None
    filled: int = 0
    done: bool = False


class Exchange:
    """Reports arrive on the exchange's own thread, in order."""

    def __init__(self, on_report: Callable[[Report], None]) -> None:
        self._on_report = on_report
        self._delay = env.integer("EXCHANGE_SIM_DELAY_MS", 50, env.LONG_RANGE) / 1000
        self._steps = env.integer("EXCHANGE_SIM_PARTIAL_STEPS", 2)
        self._reject_all = env.flag("EXCHANGE_SIM_REJECT_ALL", "0")
        self._tickets: dict[str, _Ticket] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._counter = itertools.count()
        self._wake = threading.Condition()
        threading.Thread(target=self._run, name="exchange-sim", daemon=True).start()

    def send(self, order_id: str, qty: int, price: int | None) -> None:
        ticket = self._tickets[order_id] = _Ticket(qty, price)
        if self._reject_all:
            self._after(1, partial(self._finish, order_id, ticket, "REJECTED"))
            return
        steps = self._steps if self._steps > 1 and qty > 1 else 1
        for step in range(1, steps + 1):
            share = qty if step == steps else max(1, qty // steps)
            self._after(step, partial(self._fill, order_id, ticket, share))

    def cancel(self, order_id: str) -> None:
        ticket = self._tickets.get(order_id, _Ticket(0, None, done=True))
        self._after(1, partial(self._end, order_id, ticket))

    def _end(self, order_id: str, ticket: _Ticket) -> None:
        """A cancellation that comes too late is rejected."""
        self._finish(order_id, ticket, "REJECTED" if ticket.done else "CANCELED")

    def _fill(self, order_id: str, ticket: _Ticket, share: int) -> None:
        if ticket.done:
            return
        delta = min(share, ticket.qty - ticket.filled)
        ticket.filled += delta
        ticket.done = ticket.filled >= ticket.qty
        status = "FILLED" if ticket.done else "PARTIALLY_FILLED"
        self._report(order_id, ticket, status, delta)

    def _finish(self, order_id: str, ticket: _Ticket, status: str) -> None:
        ticket.done = True
        self._report(order_id, ticket, status, 0)

    def _report(self, order_id: str, ticket: _Ticket, status: str, delta: int) -> None:
        self._on_report(Report(order_id, status, delta, ticket.filled, ticket.price, time.time_ns()))
        if ticket.done:
            self._tickets.pop(order_id, None)

    def _after(self, steps: int, action: Callable[[], None]) -> None:
        with self._wake:
            heapq.heappush(self._due, (time.monotonic() + steps * self._delay, next(self._counter), action))
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._due or self._due[0][0] > time.monotonic():
                    self._wake.wait(self._due[0][0] - time.monotonic() if self._due else None)
                action = heapq.heappop(self._due)[2]
            action()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m lab.services.spring_like``: start, serve until SIGTERM, end as a JVM ends."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import ExitStack, suppress
from typing import NoReturn

from lab.services import process
from lab.services.spring_like import actuator, boot, business, console, settings
from lab.services.spring_like.faults import NAMES, Faults
from lab.services.spring_like.health import Health
from lab.services.spring_like.memory import Heap
from lab.services.spring_like.meters import Meters
from lab.services.spring_like.pool import Pool, Unavailable
from lab.services.spring_like.settings import Settings
from lab.services.web import HttpService, Reply, Request, json_reply

FAULTS = "/faults"
TOMCAT = "o.s.b.w.embedded.tomcat.TomcatWebServer"
SHUTDOWN = "o.s.b.w.e.tomcat.GracefulShutdown"
_DRAIN_SECONDS = 5.0


class Service:
    """The routes of the service, each request counted and timed."""

    def __init__(self, options: Settings, pool: Pool | None) -> None:
        self.faults = Faults(options.faults)
        heap = Heap(options.heap_bytes, self.faults)
        self.meters = Meters(options, pool, heap, self.faults)
        health = Health(options, pool, self.faults)
        self._actuator = actuator.Actuator(options, health, self.meters, self.faults)
        self._business = business.Business(options, pool, self.meters, self.faults)
        self._pool = pool
        if pool:
            threading.Thread(target=self._borrow, name="borrower", daemon=True).start()
        heap.settle()

    def answer(self, request: Request) -> Reply:
        if request.path.startswith(FAULTS):
            return self._set_faults(request)
        begun = time.monotonic()
        self.meters.active += 1
        try:
            reply, uri, exception = self._route(request)
        finally:
            self.meters.active -= 1
        self.meters.request(request.method, uri, reply.status, exception, time.monotonic() - begun)
        return reply

    def _route(self, request: Request) -> tuple[Reply, str, str]:
        if request.path == actuator.PREFIX or request.path.startswith(f"{actuator.PREFIX}/"):
            return *self._actuator.answer(request), "none"
        if request.path.startswith(f"{business.PREFIX}/"):
            return self._business.answer(request)
        return actuator.not_found(request), "/**", "NoResourceFoundException"

    def _set_faults(self, request: Request) -> Reply:
        name = request.path.removeprefix(FAULTS).strip("/")
        if name and name not in NAMES:
            return json_reply(404, {"error": f"no fault {name}; there are {', '.join(NAMES)}"})
        if request.method == "PUT" and name:
            self.faults.put(name, request.parameter("value") or "on")
        elif request.method == "DELETE":
            self.faults.clear(name or None)
        if self.faults.get("crash"):
            threading.Timer(0.1, os._exit, [int(self.faults.number("crash")) or 1]).start()
        return json_reply(200, self.faults.all())

    def _borrow(self) -> None:
        """Hold connections while the fault `pool` (all of them) or `leak` (a number) is set."""
        assert self._pool is not None
        held: list[ExitStack] = []
        while True:
            with self.faults.changed:
                if len(held) == self._borrowed():
                    self.faults.changed.wait()
            while len(held) > self._borrowed():
                held.pop().close()
            if len(held) < self._borrowed():
                with suppress(Unavailable), ExitStack() as stack:
                    stack.enter_context(self._pool.connection())
                    held.append(stack.pop_all())

    def _borrowed(self) -> int:
        assert self._pool is not None
        wanted = self._pool.size if self.faults.get("pool") else int(self.faults.number("leak"))
        return min(wanted, self._pool.size)


def main() -> int:
    begun = time.monotonic()
    options = settings.read()
    console.application(options.name)
    try:
        pool = boot.start(options)
        service = Service(options, pool)
        try:
            server = HttpService(options.port, {"/": service.answer}, options.address)
        except OSError:
            raise boot.port_in_use(options.port) from None
    except boot.Dead as dead:
        boot.report(dead)
        return 1
    return _serve(server, service, options, begun)


def _serve(server: HttpService, service: Service, options: Settings, begun: float) -> NoReturn:
    """Until SIGTERM; requests that are being answered then are answered."""
    stopping = process.stop_requested()
    threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
    service.meters.started_seconds = time.monotonic() - begun
    console.info(TOMCAT, f"Tomcat started on port {options.port} (http) with context path '/'")
    title = boot.title(options)
    console.info(
        f"dev.hafnium.{title}", f"Started {title} in {time.monotonic() - begun:.3f} seconds (process running for 0.2)"
    )
    stopping.wait()
    console.info(SHUTDOWN, "Commencing graceful shutdown. Waiting for active requests to complete")
    server.shutdown()
    server.server_close()
    server.drain(_DRAIN_SECONDS)
    console.info(SHUTDOWN, "Graceful shutdown complete")
    process.end()


if __name__ == "__main__":
    sys.exit(main())

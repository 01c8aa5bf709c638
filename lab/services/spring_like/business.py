# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The business path: a query behind a circuit breaker, which takes as long as it is told to."""

from __future__ import annotations

import json
import random
import time

import psycopg2

from lab.services.spring_like import console
from lab.services.spring_like.actuator import refused
from lab.services.spring_like.faults import Faults
from lab.services.spring_like.meters import Meters
from lab.services.spring_like.pool import Pool, Unavailable
from lab.services.spring_like.settings import Settings
from lab.services.web import Reply, Request

PREFIX = "/api"
_USUAL_SECONDS = 0.004
_LONGEST_SECONDS = 20.0
_BLOCKING = ("open", "forced_open")


class Business:
    """Answers below /api."""

    def __init__(self, settings: Settings, pool: Pool | None, meters: Meters, faults: Faults) -> None:
        self._settings, self._pool, self._meters, self._faults = settings, pool, meters, faults

    def answer(self, request: Request) -> tuple[Reply, str, str]:
        """The reply, the path as the metrics name it, and the exception that it is about."""
        uri = f"{PREFIX}/work" if request.path == f"{PREFIX}/work" else f"{PREFIX}/{{resource}}"
        if self._faults.get("breaker") in _BLOCKING:
            self._meters.call_refused()
            return refused(request, 503), uri, "CallNotPermittedException"
        begun = time.monotonic()
        try:
            self._work(_seconds(request) + self._faults.number("latency") / 1000)
        except (Unavailable, psycopg2.Error, RuntimeError) as error:
            self._meters.call(False, time.monotonic() - begun)
            name = "IllegalStateException" if isinstance(error, RuntimeError) else "CannotGetJdbcConnectionException"
            console.error(
                "o.a.c.c.C.[.[.[/].[dispatcherServlet]",
                f"Servlet.service() for servlet [dispatcherServlet] threw exception: {str(error).strip().splitlines()[0]}",
            )
            return refused(request, 500), uri, name
        self._meters.call(True, time.monotonic() - begun)
        body = {"service": self._settings.name, "version": self._settings.version, "path": request.path}
        return Reply(200, json.dumps(body).encode(), "application/json"), uri, "none"

    def _work(self, seconds: float) -> None:
        if random.random() * 100 < self._faults.number("errors"):
            raise RuntimeError("Rule set is not sorted by priority")
        if self._pool is None:
            time.sleep(seconds)
            return
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("select pg_sleep(%s)", [seconds])


def _seconds(request: Request) -> float:
    try:
        return min(max(float(request.parameter("seconds") or _USUAL_SECONDS), 0.0), _LONGEST_SECONDS)
    except ValueError:
        return _USUAL_SECONDS

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health endpoint: components, their aggregate, groups, and how much of it a caller may see."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg2

from lab.services.spring_like.faults import Faults
from lab.services.spring_like.pool import Pool, Unavailable
from lab.services.spring_like.settings import Settings

GROUPS = ("liveness", "readiness")
BREAKER = "downstream"
_UNAVAILABLE = ("DOWN", "OUT_OF_SERVICE")
_UP = {"status": "UP"}


class Health:
    """Asks its components anew for every request, as Spring does."""

    def __init__(self, settings: Settings, pool: Pool | None, faults: Faults) -> None:
        self._settings, self._pool, self._faults = settings, pool, faults

    def of(self, path: str, authorized: bool) -> tuple[int, dict[str, Any]] | None:
        """HTTP status and body for a path below /actuator/health; None when there is no such component or group."""
        shown = self._settings.details == "always" or (self._settings.details == "when_authorized" and authorized)
        if not path:
            return self._answer(self._names(), shown, {"groups": list(GROUPS)})
        if path in GROUPS:
            names = self._settings.readiness if path == "readiness" else ("livenessState",)
            return self._answer([name for name in names if name in self._names()], shown, {})
        if path in self._names() and shown:
            body = self._component(path)
            return (503 if body["status"] in _UNAVAILABLE else 200), body
        return None

    def _answer(self, names: Iterable[str], shown: bool, extra: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        components = {name: self._component(name) for name in names}
        status = self._worst(component["status"] for component in components.values())
        body: dict[str, Any] = {"status": status}
        if shown:
            body["components"] = components
        return (503 if status in _UNAVAILABLE else 200), body | extra

    def _names(self) -> list[str]:
        database = ["db"] if self._pool else []
        return ["circuitBreakers", *database, "livenessState", "ping", "readinessState", "service"]

    def _component(self, name: str) -> dict[str, Any]:
        if name == "db":
            return self._database()
        if name == "service":
            status = self._faults.get("health")
            return {"status": status, "details": {"fault": status}} if status else _UP
        if name == "readinessState":
            return {"status": "OUT_OF_SERVICE"} if self._faults.get("readiness") else _UP
        if name == "circuitBreakers":
            return self._breakers()
        return _UP

    def _breakers(self) -> dict[str, Any]:
        """As Resilience4j reports: an open breaker makes the component UNKNOWN."""
        state = (self._faults.get("breaker") or "closed").upper()
        own = {"OPEN": "CIRCUIT_OPEN", "HALF_OPEN": "CIRCUIT_HALF_OPEN", "FORCED_OPEN": "UNKNOWN"}.get(state, "UP")
        details = {"failureRate": "-1.0%", "failureRateThreshold": "50.0%", "state": state}
        breakers = {BREAKER: {"status": own, "details": details}}
        return {"status": "UP" if own == "UP" else "UNKNOWN", "details": breakers}

    def _database(self) -> dict[str, Any]:
        assert self._pool is not None
        try:
            with self._pool.connection() as connection, connection.cursor() as cursor:
                cursor.execute("select 1")
        except (Unavailable, psycopg2.Error):
            error = "org.springframework.jdbc.CannotGetJdbcConnectionException: Failed to obtain JDBC Connection"
            return {"status": "DOWN", "details": {"error": error}}
        return {"status": "UP", "details": {"database": "PostgreSQL", "validationQuery": "isValid()"}}

    def _worst(self, found: Iterable[str]) -> str:
        """The first by the configured order; a status that is not in it comes last."""
        order = {status: rank for rank, status in enumerate(self._settings.order)}
        return min(found, key=lambda status: order.get(status, len(order)), default="UNKNOWN")

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The actuator endpoints."""

from __future__ import annotations

import hmac
import json
import math
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from lab.services.spring_like.faults import Faults
from lab.services.spring_like.health import GROUPS, Health
from lab.services.spring_like.meters import Meters
from lab.services.spring_like.settings import Settings
from lab.services.web import Reply, Request, html_reply

JSON = "application/vnd.spring-boot.actuator.v3+json"
PREFIX = "/actuator"
PROBES = tuple(f"{PREFIX}/health/{group}" for group in GROUPS)
_HANG_SECONDS = 3600.0


class Actuator:
    """Answers below /actuator. The faults `actuator` and `slow` leave the two probe groups alone."""

    def __init__(self, settings: Settings, health: Health, meters: Meters, faults: Faults) -> None:
        self._settings, self._health, self._meters, self._faults = settings, health, meters, faults

    def answer(self, request: Request) -> tuple[Reply, str]:
        """The reply, and the path as the metrics name it."""
        path = request.path.rstrip("/")
        if path not in PROBES:
            time.sleep(self._faults.number("slow") / 1000)
            spoilt = self._spoilt(request)
            if spoilt:
                return spoilt, "UNKNOWN"
        endpoint, _, rest = path.removeprefix(PREFIX).strip("/").partition("/")
        if not endpoint:
            return self._links(), PREFIX
        if endpoint not in self._settings.exposed:
            return not_found(request), "/**"
        if endpoint == "health":
            found = self._health.of(rest, self._authorized(request))
            return (_json(*found) if found else not_found(request)), f"{PREFIX}/health" + ("/**" if rest else "")
        if endpoint == "info" and not rest:
            return self._info(), f"{PREFIX}/info"
        if endpoint == "prometheus" and not rest:
            text = self._meters.prometheus()
            return Reply(200, text.encode(), "text/plain;version=0.0.4;charset=utf-8"), f"{PREFIX}/prometheus"
        if endpoint == "metrics":
            return self._metrics(request, rest)
        return not_found(request), "/**"

    def _metrics(self, request: Request, name: str) -> tuple[Reply, str]:
        if not self._authorized(request):
            return unauthorized(request), "UNKNOWN"
        if not name:
            return _json(200, {"names": self._meters.names()}), f"{PREFIX}/metrics"
        meter = self._meters.meter(name)
        uri = f"{PREFIX}/metrics/{{requiredMetricName}}"
        return (_json(200, meter) if meter else Reply(404, b"", JSON)), uri

    def _info(self) -> Reply:
        settings = self._settings
        version = {"version": settings.version}
        return _json(200, {"app": {"name": settings.name, **version}, "build": {"artifact": settings.name, **version}})

    def _links(self) -> Reply:
        base = f"http://{self._settings.address}:{self._settings.port}{PREFIX}"
        links = {name: {"href": f"{base}/{name}", "templated": False} for name in sorted(self._settings.exposed)}
        return _json(200, {"_links": {"self": {"href": base, "templated": False}, **links}})

    def _authorized(self, request: Request) -> bool:
        given = (request.headers.get("Authorization") or "").removeprefix("Bearer ").encode()
        return bool(self._settings.token) and hmac.compare_digest(given, self._settings.token.encode())

    def _spoilt(self, request: Request) -> Reply | None:
        fault = self._faults.get("actuator")
        if fault == "hang":
            with self._faults.changed:
                self._faults.changed.wait(_HANG_SECONDS)
            return Reply(503, b"", JSON)
        if fault == "401":
            return unauthorized(request)
        if fault == "html":
            return html_reply(200, "Sign in")
        if fault and fault.isdigit():
            return refused(request, int(fault))
        return None


def unauthorized(request: Request) -> Reply:
    return refused(request, 401, {"WWW-Authenticate": "Bearer"})


def not_found(request: Request) -> Reply:
    return refused(request, 404)


def refused(request: Request, status: int, headers: Mapping[str, str] | None = None) -> Reply:
    """Spring's error body."""
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    body = {"timestamp": stamp, "status": status, "error": HTTPStatus(status).phrase, "path": request.path}
    return Reply(status, json.dumps(body, separators=(",", ":")).encode(), "application/json", headers or {})


def _json(status: int, body: dict[str, Any]) -> Reply:
    return Reply(status, json.dumps(_finite(body), separators=(",", ":")).encode(), JSON)


def _finite(value: Any) -> Any:
    """JSON has no NaN: Spring writes it as a text."""
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return "NaN" if isinstance(value, float) and math.isnan(value) else value

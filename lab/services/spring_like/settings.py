# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the service: Spring's own by their environment names, and those of lab/spring."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

DEFAULT_URL = "jdbc:postgresql://localhost:5432/hafnium"


@dataclass(frozen=True)
class Settings:
    """Durations in seconds. `datasource` is None for a service without a database."""

    name: str = "service"
    version: str = "1.0.0"
    address: str = "127.0.0.1"
    port: int = 8080
    datasource: str | None = None
    user: str = "hafnium"
    password: str = field(default="", repr=False)
    pool_size: int = 10
    idle: int = 1
    connection_timeout: float = 3.0
    jwk_set_uri: str = ""
    issuer: str = ""
    required: tuple[str, ...] = ()
    start_delay: float = 0.0
    exposed: frozenset[str] = frozenset()
    details: str = "never"
    readiness: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    token: str = field(default="", repr=False)
    histogram: bool = False
    heap_bytes: int = 192 * 2**20
    faults: Mapping[str, str] = field(default_factory=dict)


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """ValueError when a number is none."""
    get = environment.get

    def parts(name: str, default: str) -> tuple[str, ...]:
        return tuple(part.strip() for part in get(name, default).split(",") if part.strip())

    limit = int(get("LAB_MEMORY_LIMIT_BYTES") or 256 * 2**20)
    return Settings(
        name=get("SERVICE_NAME", "service"),
        version=get("SERVICE_VERSION", "1.0.0"),
        address=get("SERVER_ADDRESS", "127.0.0.1"),
        port=int(get("SERVER_PORT", "8080")),
        datasource=_datasource(environment),
        user=get("SPRING_DATASOURCE_USERNAME") or get("DB_USER", "hafnium"),
        password=get("SPRING_DATASOURCE_PASSWORD") or get("DB_PASSWORD", ""),
        pool_size=int(get("SPRING_DATASOURCE_HIKARI_MAXIMUM_POOL_SIZE") or get("DB_POOL_SIZE", "10")),
        idle=int(get("SPRING_DATASOURCE_HIKARI_MINIMUM_IDLE", "1")),
        connection_timeout=int(get("SPRING_DATASOURCE_HIKARI_CONNECTION_TIMEOUT", "3000")) / 1000,
        jwk_set_uri=get("SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI", ""),
        issuer=get("KEYCLOAK_ISSUER_URI", ""),
        required=tuple(name for name in parts("SERVICE_REQUIRED", "") if name not in environment),
        start_delay=float(get("SERVICE_START_DELAY", "0s").removesuffix("s")),
        exposed=frozenset(parts("MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE", "health,info,prometheus,metrics")),
        details=get("MANAGEMENT_ENDPOINT_HEALTH_SHOW_DETAILS", "when_authorized").lower().replace("-", "_"),
        readiness=parts("MANAGEMENT_ENDPOINT_HEALTH_GROUP_READINESS_INCLUDE", "readinessState"),
        order=parts("MANAGEMENT_ENDPOINT_HEALTH_STATUS_ORDER", "DOWN,OUT_OF_SERVICE,DEGRADED,UNKNOWN,UP"),
        token=get("SERVICE_TOKEN", ""),
        histogram=get("SERVICE_HISTOGRAM", "false").lower() == "true",
        heap_bytes=limit * 3 // 4,
        faults={
            name: value or "on" for name, _, value in (part.partition("=") for part in parts("SERVICE_FAULTS", ""))
        },
    )


def _datasource(environment: Mapping[str, str]) -> str | None:
    if environment.get("IMAGE_DATASOURCE_URL"):  # an address that is built into the image wins over everything
        return environment["IMAGE_DATASOURCE_URL"]
    if "no-database" in environment.get("SPRING_PROFILES_ACTIVE", ""):
        return None
    if environment.get("SPRING_DATASOURCE_URL"):
        return environment["SPRING_DATASOURCE_URL"]
    if environment.get("DB_HOST"):
        port, name = environment.get("DB_PORT", "5432"), environment.get("DB_NAME", "hafnium")
        return f"jdbc:postgresql://{environment['DB_HOST']}:{port}/{name}"
    return DEFAULT_URL

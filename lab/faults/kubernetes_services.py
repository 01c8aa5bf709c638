# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of Hafnium's running services: nothing is rolled out, the processes themselves misbehave."""

from __future__ import annotations

from lab import control, databases, postgres
from lab.faults.kubernetes_hands import PART, SHOWN_SECONDS, ask, health, pods, ready, running
from lab.faults.model import Fault
from lab.layout import LabError, paths
from lab.services.spring_like.pool import NAME

SLOW_MS = 900  # beyond the 500 ms of the runbook
LEAK_MB_PER_SECOND = 25
_WARM_UP = 6


def _slow() -> bool:
    """Several requests have been slow, so that the metrics tell of it too."""
    for pod in pods("risk-engine-service"):
        for _ in range(_WARM_UP // 2):
            if ask(pod, "/api/work?seconds=0")[0] != 200:
                return False
    return True


def _failing() -> bool:
    return any(ask(pod, "/api/work?seconds=0")[0] == 500 for pod in pods("case-service") for _ in range(10))


def _exhausted() -> bool:
    for pod in pods("vault-service"):
        _, body = ask(pod, "/actuator/prometheus")
        gauges = {
            line.partition("{")[0]: float(line.rpartition(" ")[2])
            for line in body.decode().splitlines()
            if NAME in line
        }
        if gauges["hikaricp_connections_active"] < gauges["hikaricp_connections_max"]:
            return False
    return health("vault-service")[0] == 503


def _hanging() -> bool:
    try:
        ask(pods("api-facade")[0], "/actuator/health", seconds=1)
    except OSError:
        return ready("api-facade") > 0
    return False


def _leaked() -> bool:
    for pod in pods("monitoring-service"):
        _, body = ask(pod, "/actuator/prometheus")
        old = {
            line.partition("{")[0]: float(line.rpartition(" ")[2])
            for line in body.decode().splitlines()
            if 'id="G1 Old Gen"' in line
        }
        if old["jvm_memory_used_bytes"] < 0.85 * old["jvm_memory_max_bytes"]:
            return False
    return True


def _database_gone() -> None:
    """The role may not log in any more and its sessions end: other databases of the server are not touched."""
    _execute(
        "ALTER ROLE hafnium NOLOGIN",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'hafnium'",
    )
    control.wait_until(
        lambda: ready("screening-service") == 0 and health("vault-service") == (503, "DOWN"),
        SHOWN_SECONDS,
        "hafnium without its database",
    )


def _execute(*statements: str) -> None:
    import psycopg2

    try:
        connection = postgres.connect(paths())
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise LabError(f"postgresql: {'; '.join(statements)}: {str(error).strip().splitlines()[0]}") from None


FAULTS = (
    running(
        "hafnium-service-down",
        "screening-service is DOWN and not ready: nothing is behind its Service",
        "screening-service",
        {"health": "DOWN"},
        lambda: ready("screening-service") == 0,
    ),
    running(
        "hafnium-out-of-service",
        "monitoring-service refuses traffic: OUT_OF_SERVICE with 503, not ready",
        "monitoring-service",
        {"readiness": "REFUSING_TRAFFIC"},
        lambda: ready("monitoring-service") == 0 and health("monitoring-service") == (503, "OUT_OF_SERVICE"),
    ),
    running(
        "hafnium-unknown",
        "case-service says UNKNOWN with 200, and is ready",
        "case-service",
        {"health": "UNKNOWN"},
        lambda: health("case-service") == (200, "UNKNOWN"),
    ),
    running(
        "hafnium-slow",
        f"risk-engine-service answers {SLOW_MS} ms late; its health stays quick",
        "risk-engine-service",
        {"latency": str(SLOW_MS)},
        _slow,
    ),
    running(
        "hafnium-errors",
        "case-service answers every other request with 500; its health stays good",
        "case-service",
        {"errors": "50"},
        _failing,
    ),
    running(
        "hafnium-401",
        "vault-service's actuator wants a login: 401",
        "vault-service",
        {"actuator": "401"},
        lambda: health("vault-service")[0] == 401,
    ),
    running(
        "hafnium-not-exposed",
        "signals-service's actuator is not exposed: 404",
        "signals-service",
        {"actuator": "404"},
        lambda: health("signals-service")[0] == 404,
    ),
    running(
        "hafnium-hanging",
        "api-facade takes requests for its health and never answers; its probes are good",
        "api-facade",
        {"actuator": "hang"},
        _hanging,
    ),
    running(
        "hafnium-pool-exhausted",
        "vault-service's connections are all borrowed: requests wait, then fail; health DOWN, but ready",
        "vault-service",
        {"pool": "exhausted"},
        _exhausted,
    ),
    running(
        "hafnium-memory-leak",
        "monitoring-service's heap has grown to 90 %",
        "monitoring-service",
        {"growth": str(LEAK_MB_PER_SECOND)},
        _leaked,
    ),
    Fault(
        "hafnium-database-gone",
        "nobody can log in to database hafnium: services that ask it are not ready, the others only DOWN",
        _database_gone,
        lambda: databases.let_in(paths(), "hafnium"),
        PART,
    ),
)

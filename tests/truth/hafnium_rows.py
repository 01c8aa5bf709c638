# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The truth table of Hafnium: what its runbook's commands show as fine, or not at all, and its common causes."""

from __future__ import annotations

from lab.hafnium import DEAD_LETTERS
from tests.truth.rows import Row

HEALTH, STARTUP, LATENCY = "hafnium.health", "hafnium.diagnose_startup", "hafnium.latency"
MEMORY, CERTIFICATES, STATUS = "hafnium.memory", "hafnium.certificates", "hafnium.rollout_status"
VERIFY, HPA, LAG = "hafnium.verify", "hafnium.hpa", "hafnium.kafka_lag"


def one(name: str) -> tuple[str, str]:
    return ("-e", f"hafnium_service={name}")


ROWS = (
    Row("cause", "healthy", (), HEALTH, "pass"),
    Row("cause", "healthy, looked for causes", (), STARTUP, "pass"),
    Row("cause", "healthy, everything looked at", (), VERIFY, "pass"),
    Row("cause", "healthy, autoscalers", (), HPA, "pass"),
    Row("cause", "healthy, response times", (), LATENCY, "pass"),
    Row("cause", "healthy, memory", (), MEMORY, "pass"),
    Row("cause", "healthy, consumer group and dead letters", (), LAG, "pass"),
    Row("cause", "stream processor stopped", ("hafnium-stream-processor-stopped",), LAG, "fail", "consumer_stopped"),
    Row(
        "cause",
        "records that nobody can read",
        ("hafnium-dead-letters",),
        LAG,
        "fail",
        checks={f"records.{DEAD_LETTERS}": "fail"},
    ),
    Row(
        "cause",
        "release with the address of an absent database",
        ("hafnium-crash-database",),
        STARTUP,
        "fail",
        "database_refused",
    ),
    Row(
        "cause",
        "release with an issuer that does not answer",
        ("hafnium-crash-keycloak",),
        STARTUP,
        "fail",
        "keycloak_unreachable",
    ),
    Row(
        "cause", "release that needs more memory than its limit", ("hafnium-crash-oom",), STARTUP, "fail", "oom_killed"
    ),
    Row("cause", "release with a tag that no registry has", ("hafnium-bad-image",), STARTUP, "fail", "image_not_found"),
    Row(
        "cause",
        "release that wants a key its ConfigMap lacks",
        ("hafnium-config-missing",),
        STARTUP,
        "fail",
        "config_missing",
    ),
    Row("cause", "no pod can be made: quota", ("hafnium-quota-exceeded",), STARTUP, "fail", "quota_exceeded"),
    Row(
        "cause", "memory is short", ("hafnium-memory-leak",), MEMORY, "fail", checks={"monitoring-service.heap": "fail"}
    ),
    Row(
        "cause",
        "certificate runs out in 5 days",
        ("hafnium-certificate-expiring",),
        CERTIFICATES,
        "fail",
        checks={"hafnium/hafnium-api-tls.expiry": "fail"},
    ),
    Row(
        "false green",
        "pods Running, one service not ready",
        ("hafnium-service-down",),
        HEALTH,
        "fail",
        checks={"screening-service.*.readiness": "fail", "replicas.screening-service": "fail"},
    ),
    Row(
        "false green",
        "pods Running, OUT_OF_SERVICE",
        ("hafnium-out-of-service",),
        HEALTH,
        "fail",
        checks={"monitoring-service.*.readiness": "fail", "replicas.monitoring-service": "fail"},
    ),
    Row(
        "false green",
        "status UNKNOWN with HTTP 200",
        ("hafnium-unknown",),
        HEALTH,
        "unverified",
        checks={"case-service.case-service-*": "unverified"},
    ),
    Row(
        "false green",
        "readiness 200, connections all borrowed",
        ("hafnium-pool-exhausted",),
        HEALTH,
        "fail",
        checks={"vault-service.vault-service-*": "fail"},
    ),
    Row(
        "false green",
        "readiness 200, database gone",
        ("hafnium-database-gone",),
        HEALTH,
        "fail",
        checks={"identity-service.identity-service-*": "fail"},
    ),
    Row(
        "false green",
        "rolled out and ready, but DOWN",
        ("hafnium-bad-release",),
        HEALTH,
        "fail",
        checks={"monitoring-service.monitoring-service-*": "fail"},
    ),
    Row(
        "false green",
        "READY 2/2 behind a rollout that never ends",
        ("hafnium-never-ready",),
        STATUS,
        "unverified",
        checks={"updated.risk-engine-service": "unverified"},
    ),
    Row(
        "false green",
        "READY 2/2 behind pods that cannot be made",
        ("hafnium-quota-exceeded",),
        STATUS,
        "fail",
        "quota_exceeded",
    ),
    Row(
        "false green",
        "health asked of a login page",
        ("hafnium-401",),
        HEALTH,
        "unverified",
        checks={"vault-service.vault-service-*": "unverified"},
    ),
    Row(
        "false green",
        "health is not exposed",
        ("hafnium-not-exposed",),
        HEALTH,
        "unverified",
        checks={"signals-service.signals-service-*": "unverified"},
    ),
    Row(
        "false green",
        "health hangs for ever",
        ("hafnium-hanging",),
        HEALTH,
        "fail",
        checks={"api-facade.api-facade-*": "fail"},
    ),
    Row(
        "false green",
        "a label that nothing has",
        (),
        HEALTH,
        "fail",
        "selection_empty",
        arguments=("-e", "hafnium_pod_selector=tier=nothing"),
    ),
    Row(
        "false green",
        "a namespace that does not exist",
        (),
        HEALTH,
        "fail",
        "namespace_absent",
        arguments=("-e", "hafnium_namespace=hafnium-prod"),
    ),
)

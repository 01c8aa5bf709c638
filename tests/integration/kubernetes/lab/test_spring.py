# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference Spring Boot service is what it stands for: a real actuator on a real database and a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.integration.kubernetes.spring_service import Database, Spring, database, eventually, spring

pytestmark = [pytest.mark.lab, pytest.mark.slow]
RECORDED = Path(__file__).parents[3] / "fixtures" / "actuator"


@pytest.fixture(scope="module")
def owner(lab: None) -> Iterator[Database]:
    with database() as made:
        yield made


@pytest.fixture(scope="module")
def service(owner: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spring]:
    with spring(
        tmp_path_factory.mktemp("spring"),
        owner,
        DB_SCHEMA="identity",
        DB_POOL_NAME="IdentityPool",
        DB_POOL_SIZE="3",
        SERVICE_BREAKER="keycloak",
        SERVICE_TOKEN="a-token-of-the-test",
        MANAGEMENT_ENDPOINT_HEALTH_GROUP_READINESS_INCLUDE="readinessState,db",
        MANAGEMENT_ENDPOINT_HEALTH_PROBES_ADD_ADDITIONAL_PATHS="true",
    ) as started:
        yield started


def shape(value: Any) -> Any:
    """A structure without its values, statuses excepted."""
    if isinstance(value, dict):
        return {key: item if key == "status" else shape(item) for key, item in value.items()}
    return type(value).__name__


def test_it_answers_as_recorded(service: Spring) -> None:
    now = service.health()
    recorded = json.loads((RECORDED / "health_up.200.json").read_text().replace("downstream", "keycloak"))
    assert shape(now) == shape(recorded)
    assert service.health("/actuator/info")["app"] == {"name": "identity-service", "version": "1.0.0"}
    assert service.health("/livez") == {"status": "UP"}
    assert set(service.health("/readyz")["components"]) == {"db", "readinessState"}


@pytest.mark.parametrize(
    ("status", "code"), [("DOWN", 503), ("OUT_OF_SERVICE", 503), ("UNKNOWN", 200), ("DEGRADED", 200)]
)
def test_every_status_and_its_code(service: Spring, status: str, code: int) -> None:
    with service.fault("health", status):
        answer = service.get("/actuator/health")
        assert (answer.json()["status"], answer.status_code) == (status, code)
        assert answer.json()["components"]["service"]["status"] == status
    assert service.health()["status"] == "UP"


@pytest.mark.parametrize("code", [401, 403, 404, 500])
def test_refusals(service: Spring, code: int) -> None:
    with service.fault("actuator", str(code)):
        assert service.get("/actuator/health").status_code == code
        assert service.get("/api/work").status_code == 200
        assert service.health("/actuator/health/liveness") == {"status": "UP"}


def test_it_can_refuse_traffic_and_fail_requests(service: Spring) -> None:
    with service.fault("readiness", "REFUSING_TRAFFIC"):
        answer = service.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (503, "OUT_OF_SERVICE")
        assert service.health("/livez") == {"status": "UP"}
    with service.fault("errors", "100"):
        assert service.get("/api/work").status_code == 500
    assert (service.get("/readyz").status_code, service.get("/api/work").status_code) == (200, 200)


def test_another_product_and_none(service: Spring) -> None:
    with service.fault("actuator", "html"):
        assert service.get("/actuator/health").headers["Content-Type"].startswith("text/html")
    with service.fault("actuator", "hang"), pytest.raises(requests.ReadTimeout):
        requests.get(f"{service.url}/actuator/health", timeout=0.5)


def test_a_token_opens_what_is_protected(service: Spring) -> None:
    assert service.get("/actuator/metrics").status_code == 401
    assert service.get("/actuator/metrics", Authorization="Bearer a-token-of-the-test").status_code == 200


def test_migrations_and_pool_are_named_as_asked(service: Spring, owner: Database) -> None:
    assert owner.run("select version, success from identity.flyway_schema_history where version is not null") == [
        ("1", True)
    ]
    assert 'hikaricp_connections_max{application="identity-service",pool="IdentityPool"} 3.0' in metrics(service)


def test_an_exhausted_pool(service: Spring) -> None:
    with service.fault("pool", "exhausted"):
        health = service.health()
        assert health["components"]["db"]["status"] == "DOWN"
        text = metrics(service)
        assert 'hikaricp_connections_active{application="identity-service",pool="IdentityPool"} 3.0' in text
        assert service.health("/readyz")["status"] == "DOWN"
    eventually(lambda: service.health()["status"] == "UP")


def test_a_database_that_is_gone_and_comes_back(service: Spring, owner: Database) -> None:
    with owner.gone():
        health = service.health()
        assert (health["status"], health["components"]["db"]["status"]) == ("DOWN", "DOWN")
        assert service.health("/actuator/health/liveness") == {"status": "UP"}
    eventually(lambda: service.health()["status"] == "UP")


def test_the_breaker_and_its_metrics(service: Spring) -> None:
    with service.fault("breaker", "forced_open"):
        assert service.get("/api/work").status_code == 503
        assert (
            'resilience4j_circuitbreaker_state{application="identity-service",name="keycloak",state="forced_open"} 1.0'
            in metrics(service)
        )
    assert service.get("/api/work").json()["service"] == "identity-service"


def test_the_listener_consumes_and_can_be_stopped(service: Spring) -> None:
    def processed() -> float:
        return float(
            next(
                line.split()[-1]
                for line in metrics(service).splitlines()
                if line.startswith("service_events_processed_total")
            )
        )

    def publish() -> None:
        requests.post(f"{service.url}/api/events?count=5", timeout=30).raise_for_status()

    publish()
    eventually(lambda: processed() == 5)
    assert "kafka_consumer_fetch_manager_records_lag_max" in metrics(service)
    with service.fault("consumer", "stopped"):
        eventually(lambda: "kafka_consumer_fetch_manager_records_lag_max" not in metrics(service))
        publish()
        assert processed() == 5
    eventually(lambda: processed() == 10)


def test_slow_answers_leave_the_others_quick(service: Spring) -> None:
    with service.fault("slow", "400"):
        assert service.get("/actuator/health").elapsed.total_seconds() >= 0.4
    with service.fault("latency", "400"):
        assert service.get("/api/work").elapsed.total_seconds() >= 0.4


@pytest.mark.parametrize(
    ("name", "value"), [("health", "down"), ("nonsense", "1"), ("slow", "-1"), ("actuator", "418")]
)
def test_a_fault_that_is_none_is_refused(service: Spring, name: str, value: str) -> None:
    answer = requests.put(f"{service.url}/faults/{name}", params={"value": value}, timeout=30)
    assert answer.status_code == 400
    assert "expected" in answer.text or "there are" in answer.text
    assert service.get("/faults").json()["active"] == {}


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"DB_PORT": "1"}, "Connection to 127.0.0.1:1 refused"),
        (
            {"KEYCLOAK_ISSUER_URI": "http://127.0.0.1:1/realms/hafnium"},
            "Unable to resolve the Configuration with the provided Issuer",
        ),
        ({"SERVICE_REQUIRED": "JWT_JWK_SET_URI"}, "Could not resolve placeholder 'JWT_JWK_SET_URI'"),
        ({"SERVICE_FAULTS": "memory=400"}, "java.lang.OutOfMemoryError: Java heap space"),
    ],
)
def test_starts_that_fail_say_why(owner: Database, tmp_path: Path, variables: dict[str, Any], says: str) -> None:
    with spring(tmp_path, owner, wait=False, **variables) as failing:
        assert failing.process.wait(120) == 1
        assert says in failing.log.read_text()


def test_a_crash_ends_it_with_its_code(owner: Database, tmp_path: Path) -> None:
    with spring(tmp_path, owner, wait=False, SERVICE_FAULTS="crash=42", SERVICE_CONSUMES="false") as crashing:
        assert crashing.process.wait(120) == 42
        assert "Started Application" in crashing.log.read_text()


def test_faults_from_the_start_on(owner: Database, tmp_path: Path) -> None:
    with spring(
        tmp_path, owner, SERVICE_FAULTS="readiness=REFUSING_TRAFFIC,health=DOWN", SERVICE_CONSUMES="false"
    ) as ill:
        eventually(lambda: ill.health("/actuator/health/readiness")["status"] == "OUT_OF_SERVICE")
        assert ill.health()["status"] == "DOWN"
        assert ill.get("/faults").json()["active"] == {"health": "DOWN", "readiness": "REFUSING_TRAFFIC"}


def test_a_service_without_database_and_listener(owner: Database, tmp_path: Path) -> None:
    variables: dict[str, Any] = {"SPRING_PROFILES_ACTIVE": "no-database", "SERVICE_CONSUMES": "false", "DB_PORT": "1"}
    with spring(tmp_path, owner, **variables) as facade:
        assert "db" not in facade.health()["components"]
        assert facade.get("/api/work").status_code == 200


def metrics(service: Spring) -> str:
    answer = service.get("/actuator/prometheus", Accept="text/plain;version=0.0.4")
    assert answer.headers["Content-Type"].startswith("text/plain;version=0.0.4")
    return answer.text

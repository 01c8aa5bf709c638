# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The light stand-in of a Spring Boot service, compared with what the real one was recorded to answer."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lab.layout import REPOSITORY
from lab.services.spring_like import boot, settings
from lab.services.spring_like.__main__ import Service
from lab.services.spring_like.settings import Settings
from lab.services.spring_like.timer import BUCKETS, Timer
from lab.services.web import HttpService

RECORDED = Path(__file__).parents[2] / "fixtures" / "actuator"
TOKEN = "a-token-of-the-test"
BASE = {
    "SERVICE_NAME": "case-service",
    "SERVICE_VERSION": "1.5.0",
    "SPRING_PROFILES_ACTIVE": "no-database",
    "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI": "http://keycloak.invalid/certs",
    "SERVICE_TOKEN": TOKEN,
    "MANAGEMENT_ENDPOINT_HEALTH_SHOW_DETAILS": "always",
}


class Client:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, method: str = "GET", token: str = "", seconds: float = 10) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=seconds)
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, path: str, token: str = "") -> tuple[int, Any]:
        code, text = self.ask(path, token=token)
        return code, json.loads(text)

    @contextmanager
    def fault(self, name: str, value: str) -> Iterator[None]:
        assert self.ask(f"/faults/{name}?value={value}", "PUT")[0] == 200
        try:
            yield
        finally:
            assert self.ask(f"/faults/{name}", "DELETE")[0] == 200

    def samples(self, name: str, **labels: str) -> list[float]:
        families = text_string_to_metric_families(self.ask("/actuator/prometheus")[1])
        return [
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]


@contextmanager
def serving(**variables: str) -> Iterator[Client]:
    service = Service(settings.read({**BASE, **variables}), None)
    server = HttpService(0, {"/": service.answer})
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield Client(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def service() -> Iterator[Client]:
    with serving() as client:
        yield client


def recorded(name: str) -> Any:
    return json.loads((RECORDED / name).read_text(encoding="utf-8"))


# -- the same as the real service


def test_health_has_the_shape_of_the_real_one(service: Client) -> None:
    code, body = service.json("/actuator/health")
    real = recorded("health_up.200.json")
    assert code == 200
    assert body["groups"] == real["groups"]
    assert set(body["components"]) == set(real["components"]) - {"db"}
    assert body["status"] == real["status"]
    assert service.json("/actuator/info")[1].keys() == recorded("info.200.json").keys()
    assert service.json("/actuator/health/liveness") == (
        200,
        {"status": "UP", "components": {"livenessState": {"status": "UP"}}},
    )


@pytest.mark.parametrize(
    ("status", "recording"),
    [
        ("DOWN", "health_down.503.json"),
        ("OUT_OF_SERVICE", "health_out_of_service.503.json"),
        ("UNKNOWN", "health_unknown.200.json"),
        ("DEGRADED", "health_degraded.200.json"),
    ],
)
def test_a_status_has_the_code_of_the_real_one(service: Client, status: str, recording: str) -> None:
    with service.fault("health", status):
        code, body = service.json("/actuator/health")
    assert (str(code), body["status"]) == (recording.split(".")[1], recorded(recording)["status"])


@pytest.mark.parametrize("state", ["open", "forced_open"])
def test_an_open_breaker_is_reported_as_by_the_real_one(service: Client, state: str) -> None:
    with service.fault("breaker", state):
        code, body = service.json("/actuator/health")
        assert service.samples("resilience4j_circuitbreaker_state", state=state) == [1]
        assert service.samples("resilience4j_circuitbreaker_state", state="closed") == [0]
        assert service.ask("/api/work")[0] == 503
    real = recorded(f"health_breaker_{state}.200.json")
    assert (code, body["status"]) == (200, real["status"])
    mine = body["components"]["circuitBreakers"]
    theirs = real["components"]["circuitBreakers"]
    assert mine["status"] == theirs["status"]
    assert mine["details"]["downstream"]["status"] == theirs["details"]["downstream"]["status"]


@pytest.mark.parametrize(
    ("value", "recording"),
    [
        ("401", "refused.401.json"),
        ("403", "refused.403.json"),
        ("404", "refused.404.json"),
        ("500", "refused.500.json"),
    ],
)
def test_it_refuses_as_the_real_one(service: Client, value: str, recording: str) -> None:
    with service.fault("actuator", value):
        code, body = service.json("/actuator/health")
        assert service.ask("/actuator/health/readiness")[0] == 200  # the probes go on
    real = recorded(recording)
    assert code == int(value)
    assert {**body, "timestamp": ""} == {**real, "timestamp": ""}


def test_its_metrics_are_among_those_of_the_real_one(service: Client) -> None:
    def kinds(text: str) -> set[str]:
        return {line for line in text.splitlines() if line.startswith("# TYPE")}

    service.ask("/api/work")
    text = service.ask("/actuator/prometheus")[1]
    assert kinds(text) <= kinds((RECORDED / "prometheus.200.txt").read_text(encoding="utf-8"))
    assert len(kinds(text)) > 20
    list(text_string_to_metric_families(text))


# -- its metrics move


def test_requests_are_counted_and_timed(service: Client) -> None:
    labels = {
        "uri": "/api/work",
        "status": "200",
        "outcome": "SUCCESS",
        "method": "GET",
        "exception": "none",
        "error": "none",
    }
    for _ in range(3):
        assert service.ask("/api/work?seconds=0.02")[0] == 200
    service.ask("/nowhere")
    name = "http_server_requests_seconds"
    assert service.samples(f"{name}_count", **labels) == [3]
    assert service.samples(f"{name}_sum", **labels)[0] >= 0.06
    assert service.samples(f"{name}_max", **labels)[0] >= 0.02
    assert service.samples(f"{name}_count", uri="/**", status="404", outcome="CLIENT_ERROR") == [1]
    assert service.samples(f"{name}_bucket") == []


def test_buckets_only_when_they_are_switched_on() -> None:
    with serving(SERVICE_HISTOGRAM="true") as client:
        client.ask("/api/work?seconds=0.02")
        buckets = client.samples("http_server_requests_seconds_bucket", uri="/api/work")
    assert len(buckets) == len(BUCKETS) + 1
    assert buckets == sorted(buckets)
    assert buckets[0] == 0
    assert buckets[-1] == 1


def test_a_value_may_be_no_number(service: Client) -> None:
    value = service.samples("jvm_memory_usage_after_gc")[0]
    assert value != value  # noqa: PLR0124
    with service.fault("memory", "3"):
        deadline = time.monotonic() + 10
        while service.samples("jvm_memory_usage_after_gc")[0] != pytest.approx((14 + 3) / 192):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_failures_are_counted(service: Client) -> None:
    with service.fault("errors", "100"):
        assert service.ask("/api/work")[0] == 500
    assert service.samples(
        "http_server_requests_seconds_count", outcome="SERVER_ERROR", exception="IllegalStateException"
    ) == [1]
    assert service.samples("resilience4j_circuitbreaker_calls_seconds_count", kind="failed") == [1]


def test_a_timer_forgets_its_maximum(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    timer = Timer()
    for seconds in (0.5, 2.0, 0.1):
        timer.record(seconds)
    assert (timer.count, timer.total, timer.max()) == (3, 2.6, 2.0)
    now[0] += 90
    timer.record(0.3)
    assert timer.max() == 2.0
    now[0] += 120
    assert timer.max() == 0.3
    now[0] += 600
    assert timer.max() == 0.0
    assert sum(timer.buckets) == 4


# -- who may see what


def test_metrics_want_the_token(service: Client) -> None:
    assert service.ask("/actuator/metrics")[0] == 401
    assert service.ask("/actuator/metrics", token="wrong")[0] == 401
    names = service.json("/actuator/metrics", TOKEN)[1]["names"]
    assert "http.server.requests" in names
    meter = service.json("/actuator/metrics/jvm.memory.used", TOKEN)[1]
    assert [each["statistic"] for each in meter["measurements"]] == ["VALUE"]
    assert service.ask("/actuator/metrics/hikaricp.connections.active", token=TOKEN)[0] == 404  # it has no pool


def test_details_only_for_those_who_may_see_them() -> None:
    with serving(MANAGEMENT_ENDPOINT_HEALTH_SHOW_DETAILS="when_authorized") as client:
        assert set(client.json("/actuator/health")[1]) == {"status", "groups"}
        assert client.ask("/actuator/health/ping")[0] == 404
        assert "components" in client.json("/actuator/health", TOKEN)[1]
        assert client.json("/actuator/health/ping", TOKEN) == (200, {"status": "UP"})


def test_only_what_is_exposed_is_there() -> None:
    with serving(MANAGEMENT_ENDPOINTS_WEB_EXPOSURE_INCLUDE="health") as client:
        code, body = client.json("/actuator/info")
        assert (code, body["error"]) == (404, "Not Found")
        assert set(client.json("/actuator")[1]["_links"]) == {"self", "health"}


def test_readiness_asks_what_it_is_told_to() -> None:
    with (
        serving(MANAGEMENT_ENDPOINT_HEALTH_GROUP_READINESS_INCLUDE="readinessState,service") as strict,
        strict.fault("health", "DOWN"),
    ):
        assert strict.ask("/actuator/health/readiness")[0] == 503
        assert strict.ask("/actuator/health/liveness")[0] == 200
    with serving() as usual:
        with usual.fault("health", "DOWN"):
            assert usual.ask("/actuator/health/readiness")[0] == 200
        with usual.fault("readiness", "REFUSING_TRAFFIC"):
            assert usual.ask("/actuator/health/readiness")[0] == 503
            assert usual.json("/actuator/health")[1]["status"] == "OUT_OF_SERVICE"


def test_a_hanging_actuator_leaves_the_rest_alone(service: Client) -> None:
    with service.fault("actuator", "hang"):
        with pytest.raises(TimeoutError):
            service.ask("/actuator/health", seconds=0.3)
        assert service.ask("/actuator/health/liveness")[0] == 200
        assert service.ask("/api/work")[0] == 200


def test_faults_by_name(service: Client) -> None:
    assert service.ask("/faults/nothing?value=1", "PUT")[0] == 404
    service.ask("/faults/slow?value=1", "PUT")
    assert service.json("/faults") == (200, {"slow": "1"})
    assert json.loads(service.ask("/faults", "DELETE")[1]) == {}


# -- settings, and its start


def test_settings_by_the_names_of_the_environment() -> None:
    found = settings.read({"DB_HOST": "db", "DB_NAME": "shop", "DB_POOL_SIZE": "3", "LAB_MEMORY_LIMIT_BYTES": "1000"})
    assert (found.datasource, found.pool_size, found.heap_bytes) == ("jdbc:postgresql://db:5432/shop", 3, 750)
    assert settings.read({}).datasource == settings.DEFAULT_URL
    assert (
        settings.read({"SPRING_DATASOURCE_URL": "jdbc:postgresql://a/b", "DB_HOST": "db"}).datasource
        == "jdbc:postgresql://a/b"
    )
    built_in = {"IMAGE_DATASOURCE_URL": "jdbc:postgresql://c/d", "SPRING_DATASOURCE_URL": "jdbc:postgresql://a/b"}
    assert settings.read(built_in).datasource == "jdbc:postgresql://c/d"
    assert settings.read({"SERVICE_FAULTS": "health=DOWN, crash"}).faults == {"health": "DOWN", "crash": "on"}
    with pytest.raises(ValueError, match="nine"):
        settings.read({"SERVER_PORT": "nine"})


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def started(**variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "lab.services.spring_like"],
        env={"PATH": os.defpath, "PYTHONPATH": str(REPOSITORY), **BASE, **variables},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"SERVICE_FAULTS": "crash"}, "java.lang.IllegalStateException"),
        (
            {"SERVICE_REQUIRED": "HAFNIUM_KEY"},
            "Could not resolve placeholder 'HAFNIUM_KEY' in value \"${HAFNIUM_KEY}\"",
        ),
        (
            {"KEYCLOAK_ISSUER_URI": "http://127.0.0.1:1/realms/x"},
            'Unable to resolve the Configuration with the provided Issuer of "http://127.0.0.1:1/realms/x"',
        ),
        ({"SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI": ""}, "jwkSetUri cannot be empty"),
        ({"IMAGE_DATASOURCE_URL": "jdbc:postgresql://127.0.0.1:1/x"}, "Connection to 127.0.0.1:1 refused."),
        (
            {"IMAGE_DATASOURCE_URL": "jdbc:postgresql://nowhere.invalid/x"},
            "java.net.UnknownHostException: nowhere.invalid",
        ),
        ({"IMAGE_DATASOURCE_URL": "jdbc:mysql://127.0.0.1/x"}, "Failed to configure a DataSource"),
    ],
)
def test_it_dies_at_boot_with_the_words_of_spring(variables: dict[str, str], words: str) -> None:
    process = started(SERVER_PORT=str(free_port()), **variables)
    log, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert words in log
    assert ("APPLICATION FAILED TO START" in log) is ("DataSource" in words)
    assert "Traceback" not in log


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = started(SERVER_PORT=str(port))
        log, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert f"Web server failed to start. Port {port} was already in use." in log


def test_it_ends_as_a_jvm_after_the_requests_it_has_taken() -> None:
    port = free_port()
    process = started(SERVER_PORT=str(port))
    assert process.stdout is not None
    for line in process.stdout:
        if "Started CaseServiceApplication in" in line:
            break
    answers: list[int] = []
    client = Client(port)
    asking = threading.Thread(target=lambda: answers.append(client.ask("/api/work?seconds=3")[0]))
    asking.start()
    while client.samples("http_server_requests_active_seconds_count") != [2]:  # this one and that one
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    log, _ = process.communicate(timeout=30)
    asking.join()
    assert answers == [200]
    assert process.returncode == 143
    assert "Commencing graceful shutdown" in log
    assert "Graceful shutdown complete" in log


def test_secrets_are_in_no_text_of_the_settings() -> None:
    found = settings.read({**BASE, "SPRING_DATASOURCE_PASSWORD": "open sesame"})
    assert TOKEN not in repr(found)
    assert "open sesame" not in repr(found)
    assert isinstance(found, Settings)
    assert boot.title(found) == "CaseServiceApplication"

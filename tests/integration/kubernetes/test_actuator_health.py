# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""actuator_health on a real Spring Boot service, and on pods that answer through a real API server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.modules import actuator_health
from tests.integration.kubernetes.spring_service import Database, Spring, database, eventually, spring
from tests.integration.test_backoffice_ledger import Tasks
from tests.unit.plugins.fake_http import answer, free_port, serving
from tests.unit.plugins.module_runner import run_module

pytestmark = [pytest.mark.lab, pytest.mark.slow]
RECORDED = Path(__file__).parents[2] / "fixtures" / "actuator"
TOKEN = "a-token-nobody-may-see"
Health = Callable[..., dict[str, Any]]


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def comparable(result: dict[str, Any]) -> Any:
    """A result without what differs from run to run."""
    kept = {key: result[key] for key in ("verdict", "findings", "changed")}
    rows = [{key: value for key, value in row.items() if key != "latency_ms"} for row in result["services"]]
    return kept | {"statuses": statuses(result), "services": rows}


# --- a real service -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def owner(lab: None) -> Iterator[Database]:
    with database() as made:
        yield made


@pytest.fixture(scope="module")
def service(owner: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spring]:
    with spring(
        tmp_path_factory.mktemp("spring"),
        owner,
        SERVICE_TOKEN=TOKEN,
        SERVICE_CONSUMES="false",
        MANAGEMENT_ENDPOINT_HEALTH_SHOW_DETAILS="when_authorized",
    ) as started:
        yield started


def wanted(service: Spring, **options: Any) -> dict[str, Any]:
    target = {"name": "identity", "url": service.url, "identity": "identity-service", **options.pop("target", {})}
    return {"targets": [target], "token": TOKEN, "groups": ["liveness", "readiness"], **options}


@pytest.fixture
def ask(service: Spring, capsys: pytest.CaptureFixture[str]) -> Health:
    return lambda **options: run_module(actuator_health, capsys, **wanted(service, **options))


def test_a_healthy_service_by_both_paths(service: Spring, tmp_path: Path) -> None:
    options = wanted(service, expect_components=["db"])
    results = [Tasks(tmp_path, path)(options, module="actuator_health") for path in (True, False)]
    assert comparable(results[0]) == comparable(results[1])
    assert results[0]["verdict"] == "pass", results[0]["checks"]
    assert set(statuses(results[0])) == {
        "identity",
        "identity.components",
        "identity.liveness",
        "identity.readiness",
        "identity.identity",
    }
    assert results[0]["services"][0]["components"]["db"] == "UP"
    assert TOKEN not in json.dumps(results)


@pytest.mark.parametrize(
    ("fault", "value", "verdict", "says"),
    [
        ("health", "DOWN", "fail", "DOWN: service"),
        ("health", "OUT_OF_SERVICE", "fail", "OUT_OF_SERVICE: service"),
        ("health", "UNKNOWN", "unverified", "UNKNOWN: service"),
        ("health", "DEGRADED", "fail", "DEGRADED: service"),
        ("breaker", "open", "unverified", "circuitBreakers (downstream OPEN)"),
        ("pool", "exhausted", "fail", "db (org.springframework.jdbc.CannotGetJdbcConnectionException"),
        ("actuator", "401", "unverified", "not exposed: HTTP 401"),
        ("actuator", "404", "unverified", "not exposed: HTTP 404"),
        ("actuator", "html", "fail", "Another product"),
        ("actuator", "hang", "fail", "no complete answer within"),
    ],
)
def test_every_fault_is_seen(service: Spring, ask: Health, fault: str, value: str, verdict: str, says: str) -> None:
    hanging: dict[str, Any] = {"request_timeout_seconds": 1.0} if value == "hang" else {}
    with service.fault(fault, value):
        result = ask(groups=[], **hanging)
    assert statuses(result)["identity"] == verdict
    assert says in result["checks"][0]["observed"]
    eventually(lambda: service.health()["status"] == "UP")


def test_a_slow_service(service: Spring, ask: Health) -> None:
    with service.fault("slow", "700"):
        result = ask(max_latency_ms=600)
    assert (statuses(result)["identity"], statuses(result)["identity.latency"]) == ("pass", "fail")


def test_a_database_that_is_gone_while_readiness_stays_up(service: Spring, owner: Database, ask: Health) -> None:
    with owner.gone():
        result = ask()
    assert statuses(result)["identity"] == "fail"
    assert statuses(result)["identity.readiness"] == "pass"
    causes = " / ".join(finding["cause"] for finding in result["findings"])
    assert "db is DOWN in identity" in causes
    assert "readiness stays UP" in causes
    eventually(lambda: service.health()["status"] == "UP")


@pytest.mark.parametrize("token", [None, "another-token"])
def test_details_need_the_token(ask: Health, token: str | None) -> None:
    result = ask(expect_components=["db"], token=token, groups=[])
    assert statuses(result) == {
        "identity": "pass",
        "identity.components": "unverified",
        "identity.identity": "pass",
    }


def test_another_service_answers(ask: Health) -> None:
    result = ask(target={"identity": "case-service"})
    assert statuses(result)["identity.identity"] == "fail"


def test_a_thousand_services_in_one_task(tmp_path: Path) -> None:
    body = (RECORDED / "health_up.200.json").read_bytes()
    down = (RECORDED / "health_database_gone.503.json").read_bytes()
    kind = "application/vnd.spring-boot.actuator.v3+json"
    good = answer(200, body, Content_Type=kind)
    with serving({f"/s{n}/actuator/health": good for n in range(1000)}) as server:
        server.routes["/s500/actuator/health"] = answer(503, down, Content_Type=kind)
        targets = [{"name": f"s{n}", "url": f"{server.url}/s{n}"} for n in range(1000)]
        targets[999]["url"] = f"http://127.0.0.1:{free_port()}"
        result = Tasks(tmp_path, True)({"targets": targets}, module="actuator_health")
    assert [check["id"] for check in result["checks"]] == [f"s{n}" for n in range(1000)]
    assert [name for name, status in statuses(result).items() if status != "pass"] == ["s500", "s999"]


# --- pods -----------------------------------------------------------------------------------------------------------

IMAGE = "registry.lab/hafnium/identity-service:1.4.2"
ENVIRONMENT = {
    "SPRING_PROFILES_ACTIVE": "no-database",
    "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI": "http://127.0.0.1:1/certs",
    "SERVICE_NAME": "identity-service",
}


def manifests(name: str, image: str = IMAGE) -> str:
    """A Deployment of two pods that are real processes, and its Service on another port than theirs."""
    labels = {"app": name}
    probe = {"httpGet": {"path": "/actuator/health/readiness", "port": 8080}, "periodSeconds": 1}
    container = {
        "name": "main",
        "image": image,
        "env": [{"name": key, "value": value} for key, value in ENVIRONMENT.items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": probe,
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "nodeSelector": {"kubernetes.io/hostname": "runner-0"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": labels, "ports": [{"name": "web", "port": 80, "targetPort": "http"}]},
    }
    return str(yaml.safe_dump_all([deployment, service]))


@pytest.fixture(scope="module")
def shop(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A namespace with a service whose two pods answer, and a neighbour of the same label key that is broken."""
    name: str = cluster.namespace()
    file = tmp_path_factory.mktemp("manifests") / "all.yml"
    file.write_text(f"{manifests('web')}\n---\n{manifests('decoy', IMAGE + '-bad-crash')}")
    cluster.kubectl("apply", "--namespace", name, "-f", str(file))
    cluster.kubectl("rollout", "status", "--namespace", name, "deployment/web", "--timeout=120s")
    return name


@pytest.fixture
def health(cluster: Any, shop: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Health:
    """One target in the namespace; ``in_process`` says by which path of Ansible, None by none."""

    def go(in_process: bool | None = None, context: str = "lab-admin", **options: Any) -> dict[str, Any]:
        target = {"name": "web", "namespace": shop, **options.pop("target", {"service": "web"})}
        kubernetes = {"kubeconfig": cluster.kubeconfig, "context": context}
        settings = {"targets": [target], "kubernetes": kubernetes, **options}
        if in_process is None:
            return run_module(actuator_health, capsys, **settings)
        return Tasks(tmp_path, in_process)(settings, module="actuator_health")

    return go


def pods(cluster: Any, namespace: str, app: str = "web") -> list[str]:
    words = ("get", "pods", "--namespace", namespace, "-l", f"app={app}", "-o", "name")
    return sorted(name.removeprefix("pod/") for name in cluster.kubectl(*words).split())


@pytest.mark.parametrize("target", [{"service": "web"}, {"service": "web", "port": "80"}, {"selector": "app=web"}])
def test_each_pod_is_asked_by_both_paths(cluster: Any, shop: str, health: Health, target: dict[str, str]) -> None:
    target = {**target, "identity": "identity-service"}
    results = [health(path, target=target, groups=["readiness"]) for path in (True, False)]
    assert comparable(results[0]) == comparable(results[1])
    one, two = pods(cluster, shop)
    assert results[0]["verdict"] == "pass", results[0]["checks"]
    expected = [f"web.{pod}{part}" for pod in (one, two) for part in ("", ".readiness", ".identity")]
    assert list(statuses(results[0])) == ["web.instances", *expected]
    assert [row["ready"] for row in results[0]["services"]] == [True, True]


@pytest.mark.parametrize(
    ("fault", "verdict", "says"),
    [
        ("health=DOWN", "fail", "DOWN"),
        ("health=UNKNOWN", "unverified", "UNKNOWN"),
        ("actuator=401", "unverified", "not exposed: HTTP 401"),
        ("actuator=hang", "fail", "no complete answer within"),
    ],
)
def test_one_ill_pod_is_not_hidden_by_the_other(
    cluster: Any, shop: str, health: Health, tmp_path: Path, fault: str, verdict: str, says: str
) -> None:
    ill, well = pods(cluster, shop)
    faults = f"/api/v1/namespaces/{shop}/pods/{ill}:8080/proxy/faults"
    nothing = tmp_path / "nothing"
    nothing.touch()
    cluster.kubectl("replace", "--raw", f"{faults}/{fault.replace('=', '?value=')}", "-f", str(nothing))
    try:
        found = health(request_timeout_seconds=3.0)
    finally:
        cluster.kubectl("delete", "--raw", faults)
    assert statuses(found) == {"web.instances": "pass", f"web.{ill}": verdict, f"web.{well}": "pass"}
    assert says in next(check["observed"] for check in found["checks"] if check["id"] == f"web.{ill}")
    told = [cause["cause"] for cause in found["findings"]]
    assert any(cause.startswith("1 of 2 instances of web are ill") for cause in told) is (verdict == "fail")


def test_pods_that_crash_are_no_instances_to_be_asked(cluster: Any, shop: str, health: Health) -> None:
    found: dict[str, Any] = {}

    def crashing() -> bool:
        found.update(health(target={"service": "decoy"}))
        return "CrashLoopBackOff" in json.dumps(found["checks"])

    eventually(crashing)
    assert statuses(found)["web.instances"] == "fail"
    assert set(statuses(found).values()) == {"fail"}


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ({"service": "absent"}, "fail", "there is no Service absent in namespace"),
        ({"selector": "tier=backend"}, "fail", "matches tier=backend"),
        ({"service": "web", "port": "8080"}, "fail", "has no port 8080; there are web (80)"),
        ({"service": "web", "namespace": "no-such-namespace"}, "fail", "no-such-namespace does not exist"),
        ({"selector": "app=web", "namespace": "no-such-namespace"}, "fail", "no-such-namespace does not exist"),
    ],
)
def test_nothing_is_never_green(health: Health, target: dict[str, str], status: str, says: str) -> None:
    result = health(target=target)
    assert statuses(result) == {"web.instances": status}
    assert says in result["checks"][0]["observed"]


def test_too_few_rights_name_the_missing_one(health: Health) -> None:
    result = health(context="lab-narrow")
    assert statuses(result) == {"web.instances": "unverified"}
    assert "lacks the verb" in result["checks"][0]["observed"]


@pytest.mark.parametrize(("context", "says"), [("none", "none"), ("lab-admin", "")])
def test_a_wrong_context_is_bad_input(health: Health, context: str, says: str) -> None:
    result = health(context=context)
    assert bool(result.get("failed")) is bool(says)
    assert says in result.get("msg", "")

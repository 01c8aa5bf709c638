# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of Hafnium: put in, seen as an operator would see it, taken out, and all eight services well again."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from lab import cluster, control, faultbook, hafnium, lifecycle, probes
from lab.faults import FAULTS, bus
from lab.layout import LabError, address, paths, ports
from lab.oracle import run_kubectl

pytestmark = [pytest.mark.lab, pytest.mark.slow]
HAFNIUM = {name: fault for name, fault in FAULTS.items() if fault.part == "kubernetes"}
SEEN: dict[str, Callable[[], None]] = {}
Observation = Callable[[], None]
SECONDS = 45


@pytest.fixture(scope="module", autouse=True)
def alone(kubernetes_lab: None) -> Iterator[None]:
    """The running lab, for this module alone, as its manifests have it."""
    with lifecycle.alone(paths()):
        hafnium.install(paths(), cluster.admin_kubeconfig(paths()))
        faultbook.prove_healthy(paths())
        yield


def sees(*names: str) -> Callable[[Observation], Observation]:
    """The decorated function asserts what the named faults look like."""

    def register(observation: Observation) -> Observation:
        SEEN.update(dict.fromkeys(names, observation))
        return observation

    return register


def kubectl(*words: str) -> str:
    return run_kubectl(["-n", hafnium.NAMESPACE, *words])


def ingress(service: str, path: str = "/actuator/health", seconds: float = 10, token: str = "") -> tuple[int, bytes]:
    """Code and body of a GET that the ingress passes on. OSError."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"http://{address('ingress')}/{service}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def health(service: str) -> tuple[int, Any]:
    code, body = ingress(service)
    return code, json.loads(body)["status"]


def metric(service: str, name: str, **labels: str) -> float:
    """Sum of a metric's samples that have these labels, from one pod."""
    wanted = [f'{label}="{text}"' for label, text in labels.items()]
    lines = ingress(service, "/actuator/prometheus")[1].decode().splitlines()
    found = [line for line in lines if line.startswith(f"{name}{{") and all(each in line for each in wanted)]
    assert found, f"{service} has no {name}"
    return sum(float(line.rpartition(" ")[2]) for line in found)


def pods(service: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl("get", "pods", "-l", f"app={service}", "-o", "json"))["items"]
    return found


def reasons(service: str) -> set[str]:
    """Why containers of the service wait, or have ended."""
    return {
        state[kind]["reason"]
        for pod in pods(service)
        for status in pod["status"].get("containerStatuses", ())
        for state in (status["state"], status["lastState"])
        for kind in ("waiting", "terminated")
        if kind in state
    }


def ready(service: str) -> str:
    return kubectl("get", "deployment", service, "-o", "jsonpath={.status.readyReplicas}/{.spec.replicas}")


def last_words(service: str) -> str:
    """The log of the run that ended last, of the pod that was made last."""
    newest = max(pods(service), key=lambda pod: pod["metadata"]["creationTimestamp"])
    return kubectl("logs", newest["metadata"]["name"], "--previous")


def eventually(predicate: Callable[[], object], what: str) -> None:
    control.wait_until(predicate, SECONDS, what)


@sees("hafnium-service-down")
def _() -> None:
    eventually(lambda: ingress("screening-service")[0] == 503, "nothing behind the service")
    assert ready("screening-service") == "/2"
    assert {
        status["restartCount"] for pod in pods("screening-service") for status in pod["status"]["containerStatuses"]
    }


@sees("hafnium-out-of-service")
def _() -> None:
    eventually(lambda: ingress("monitoring-service")[0] == 503, "nothing behind the service")
    pod = pods("monitoring-service")[0]["metadata"]["name"]
    with pytest.raises(LabError, match="unable to handle the request"):
        kubectl("get", "--raw", f"/api/v1/namespaces/hafnium/pods/{pod}:8080/proxy/actuator/health/readiness")


@sees("hafnium-unknown")
def _() -> None:
    assert health("case-service") == (200, "UNKNOWN")
    assert ready("case-service") == "2/2"


@sees("hafnium-slow")
def _() -> None:
    labels = {"uri": "/api/work"}
    total = metric("risk-engine-service", "http_server_requests_seconds_sum", **labels)
    assert total / metric("risk-engine-service", "http_server_requests_seconds_count", **labels) > 0.5
    assert metric("risk-engine-service", "http_server_requests_seconds_max", **labels) > 0.5
    assert health("risk-engine-service") == (200, "UP")


@sees("hafnium-errors")
def _() -> None:
    codes = {ingress("case-service", "/api/work")[0] for _ in range(40)}
    assert codes == {200, 500}
    assert metric("case-service", "http_server_requests_seconds_count", outcome="SERVER_ERROR") > 0
    assert health("case-service") == (200, "UP")


@sees("hafnium-401")
def _() -> None:
    assert ingress("vault-service")[0] == 401
    assert ingress("vault-service", "/api/work")[0] == 200
    assert ready("vault-service") == "2/2"


@sees("hafnium-not-exposed")
def _() -> None:
    assert ingress("signals-service")[0] == 404
    assert ready("signals-service") == "2/2"


@sees("hafnium-hanging")
def _() -> None:
    with pytest.raises(OSError, match="timed out"):
        ingress("api-facade", seconds=2)
    assert ingress("api-facade", "/actuator/health/readiness")[0] == 200
    assert ready("api-facade") == "2/2"


@sees("hafnium-pool-exhausted")
def _() -> None:
    for _ in range(2):
        assert metric("vault-service", "hikaricp_connections_active") == metric(
            "vault-service", "hikaricp_connections_max"
        )
    assert ingress("vault-service", "/api/work")[0] == 500
    assert ready("vault-service") == "2/2"
    code, body = ingress("vault-service", token=hafnium.token(paths()))
    assert code == 503
    assert json.loads(body)["components"]["db"]["status"] == "DOWN"
    logs = "".join(kubectl("logs", pod["metadata"]["name"], "--tail=50") for pod in pods("vault-service"))
    assert "Connection is not available, request timed out after" in logs


@sees("hafnium-memory-leak")
def _() -> None:
    old = {"id": "G1 Old Gen"}
    used, most = (metric("monitoring-service", f"jvm_memory_{what}_bytes", **old) for what in ("used", "max"))
    assert 0.85 < used / most < 1
    assert ready("monitoring-service") == "2/2"


@sees("hafnium-database-gone")
def _() -> None:
    for name, service in hafnium.SERVICES.items():
        if service.strict:
            eventually(lambda name=name: ready(name) == "/2", f"{name} not ready")
        elif service.schema:
            assert health(name) == (503, "DOWN")
            assert ready(name) == "2/2"
    assert health("api-facade") == (200, "UP")


@sees("hafnium-bad-image")
def _() -> None:
    assert reasons("identity-service") & {"ImagePullBackOff", "ErrImagePull"}
    assert ready("identity-service") == "2/2"
    assert health("identity-service") == (200, "UP")


@sees("hafnium-crash-database")
def _() -> None:
    assert "CrashLoopBackOff" in reasons("case-service")
    assert "Connection to 127.0.0.1:1 refused" in last_words("case-service")
    assert health("case-service") == (200, "UP")


@sees("hafnium-crash-keycloak")
def _() -> None:
    assert "CrashLoopBackOff" in reasons("api-facade")
    assert "Unable to resolve the Configuration with the provided Issuer" in last_words("api-facade")


@sees("hafnium-crash-oom")
def _() -> None:
    assert "OOMKilled" in reasons("signals-service")
    assert health("signals-service") == (200, "UP")


@sees("hafnium-config-missing")
def _() -> None:
    assert "CreateContainerConfigError" in reasons("vault-service")
    assert "couldn't find key SIGNING_KEY_ID in ConfigMap hafnium/hafnium-common-config" in kubectl("get", "events")


@sees("hafnium-never-ready")
def _() -> None:
    status = json.loads(kubectl("get", "deployment", "risk-engine-service", "-o", "json"))["status"]
    assert (status["updatedReplicas"], status["readyReplicas"], status["unavailableReplicas"]) == (1, 2, 1)
    assert not reasons("risk-engine-service") & {"CrashLoopBackOff", "ImagePullBackOff", "Error", "OOMKilled"}


@sees("hafnium-bad-release")
def _() -> None:
    kubectl("rollout", "status", "deployment/monitoring-service", "--timeout=30s")
    assert health("monitoring-service") == (503, "DOWN")
    assert ready("monitoring-service") == "2/2"


@sees("hafnium-certificate-expiring")
def _() -> None:
    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", ports()["ingress_tls"])).encode())
    assert shown.not_valid_after_utc < datetime.now(UTC) + timedelta(days=6)


@sees("hafnium-node-pressure")
def _() -> None:
    eventually(lambda: "node.kubernetes.io/memory-pressure" in kubectl("get", "nodes", "-o", "json"), "a taint")


@sees("hafnium-quota-exceeded")
def _() -> None:
    assert ready("signals-service") == "2/4"
    assert "exceeded quota: hafnium-quota" in kubectl("get", "events")


@sees("hafnium-stream-processor-stopped")
def _() -> None:
    before = bus.lag(hafnium.INGESTED, hafnium.GROUP)
    eventually(lambda: bus.lag(hafnium.INGESTED, hafnium.GROUP) > before > 0, "a lag that grows")
    assert control.state("stream-processor") == "STOPPED"
    assert probes.consumer_group(hafnium.GROUP) == ("EMPTY", 0)


@sees("hafnium-dead-letters")
def _() -> None:
    assert bus.count(hafnium.DEAD_LETTERS) == 5
    eventually(lambda: bus.lag(hafnium.INGESTED, hafnium.GROUP) <= 2, "a group that went on")


def certificate_days() -> float:
    shown = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", ports()["ingress_tls"])).encode())
    return (shown.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)


def state() -> dict[str, Any]:
    """Everything that a fault may have changed, without what controllers count."""
    found = json.loads(kubectl("get", "deployments,hpa,pdb,services,resourcequotas,configmaps", "-o", "json"))["items"]
    return {
        f"{each['kind']}/{each['metadata']['name']}": (each.get("spec"), each.get("data"))
        for each in found
        if each["metadata"]["name"] != "kube-root-ca.crt"
    }


def test_every_fault_is_looked_at() -> None:
    assert set(SEEN) == set(HAFNIUM)
    assert all(name == fault.name and fault.summary for name, fault in HAFNIUM.items())


@pytest.mark.parametrize("name", HAFNIUM)
def test_fault_is_seen_and_undone(name: str) -> None:
    before = state()
    fault = HAFNIUM[name]
    try:
        fault.apply()
        SEEN[name]()
    finally:
        fault.undo()
    fault.undo()
    faultbook.prove_healthy(paths())
    assert state() == before
    eventually(lambda: bus.lag(hafnium.INGESTED, hafnium.GROUP) <= 2, "no lag")
    assert bus.count(hafnium.DEAD_LETTERS) == 0
    eventually(lambda: certificate_days() > 30, "a certificate that lasts")
    eventually(lambda: "node.kubernetes.io/memory-pressure" not in kubectl("get", "nodes", "-o", "json"), "no taint")


def test_heal_restores_what_others_did_to_a_service() -> None:
    """Scaled, patched, its autoscaler narrowed, by hand: the manifests win."""
    before = state()
    kubectl("scale", "deployment/vault-service", "--replicas=3")
    kubectl("set", "env", "deployment/vault-service", "COLOUR=green")
    kubectl("patch", "hpa", "vault-service-hpa", "-p", '{"spec": {"maxReplicas": 20}}')
    kubectl("delete", "pdb", "vault-service-pdb")
    assert state() != before
    admin = cluster.admin_kubeconfig(paths())
    hafnium.install(paths(), admin)
    hafnium.wait_ready(paths(), admin)
    assert state() == before


def test_a_healed_lab_has_no_pod_that_was_restarted() -> None:
    def restarts() -> list[int]:
        return [each["restartCount"] for pod in pods("api-facade") for each in pod["status"]["containerStatuses"]]

    crash = urllib.request.Request(f"http://{address('ingress')}/api-facade/faults/crash?value=3", method="PUT")
    urllib.request.urlopen(crash, timeout=10).close()
    eventually(lambda: sorted(restarts()) == [0, 1], "one of two pods restarted")
    faultbook.prove_healthy(paths())
    assert restarts() == [0, 0]


def test_install_changes_nothing_when_nothing_has_changed() -> None:
    def generations() -> list[Any]:
        items = json.loads(kubectl("get", "deployments,hpa,secrets,services", "-o", "json"))["items"]
        return [(each["kind"], each["metadata"]["name"], each["metadata"].get("generation")) for each in items]

    before, names = generations(), {pod["metadata"]["name"] for pod in pods("case-service")}
    hafnium.install(paths(), cluster.admin_kubeconfig(paths()))
    assert generations() == before
    assert {pod["metadata"]["name"] for pod in pods("case-service")} == names

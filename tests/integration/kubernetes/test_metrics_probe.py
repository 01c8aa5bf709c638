# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""metrics_probe on running services, on pods through a real API server, behind an ingress, and on a thousand targets."""

from __future__ import annotations

import itertools
import os
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.sre.runbooks.plugins.module_utils import metrics_probe
from lab.layout import REPOSITORY, address
from tests.integration.kubernetes.probe_scene import operate, statuses
from tests.integration.kubernetes.rollout_scene import eventually
from tests.integration.test_backoffice_ledger import Tasks
from tests.unit.plugins.fake_http import answer, free_port, serving

pytestmark = [pytest.mark.lab]
RECORDED = Path(__file__).parents[2] / "fixtures" / "actuator"
METRICS = "/actuator/prometheus"
IMAGE = "registry.lab/hafnium/identity-service:1.4.2"
NO_DATABASE = {
    "SPRING_PROFILES_ACTIVE": "no-database",
    "SPRING_SECURITY_OAUTH2_RESOURCESERVER_JWT_JWK_SET_URI": "http://127.0.0.1:1/certs",
    "SERVICE_NAME": "identity-service",
}
WORK = {"labels": {"uri": "/api/work"}}
MEAN = {"id": "mean", "kind": "mean", "metric": "http_request_duration_seconds", **WORK, "at_most": 0.5}
COUNT = {"id": "count", "kind": "increase", "metric": "http_requests_total", **WORK}
ERRORS: dict[str, Any] = {
    "id": "errors",
    "kind": "ratio",
    "metric": "http_requests_total",
    "labels": {"uri": "/api/work"},
    "labels_match": {"status": "5.."},
    "divisor": {"metric": "http_requests_total", "labels": {"uri": "/api/work"}},
    "no_series": "zero",
    "at_most": 0.01,
}


def values(result: dict[str, Any], rule: str) -> list[dict[str, Any]]:
    (found,) = [row for row in result["results"] if row["rule"] == rule]
    return list(found["measurements"])


# --- one running service --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The stand-in of a Spring service, with buckets; its URL."""
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(REPOSITORY),
        "SERVER_PORT": str(port),
        "SERVICE_HISTOGRAM": "true",
        **NO_DATABASE,
    }
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.services.spring_like"],
            env=environment,
            stdout=stream,
            stderr=stream,
            cwd=REPOSITORY,
        )
    root = f"http://127.0.0.1:{port}"

    def ready() -> bool:
        try:
            return requests.get(root + METRICS, timeout=5).ok
        except requests.RequestException:
            return False

    try:
        eventually("the service answers", ready)
        yield root
    finally:
        process.terminate()
        process.wait(20)


def work(service: str, times: int = 1) -> None:
    for _time in range(times):
        requests.get(f"{service}/api/work", timeout=30)


def fault(service: str, name: str, value: str) -> None:
    requests.put(f"{service}/faults/{name}", params={"value": value}, timeout=30).raise_for_status()


def heal(service: str) -> None:
    requests.delete(f"{service}/faults", timeout=30).raise_for_status()


def probe(target: dict[str, Any], *rules: dict[str, Any], **options: Any) -> dict[str, Any]:
    settings = {"targets": [{"name": "svc", **target}], "rules": list(rules), "sample_seconds": 1.0, **options}
    return operate(metrics_probe, **settings)


class Busy:
    """Requests to a service for as long as the block lasts: one after the other, in a process of their own."""

    def __init__(self, service: str) -> None:
        code = f"import requests\nwhile True:\n    requests.get({service + '/api/work'!r}, timeout=30)"
        self._command = [sys.executable, "-c", code]

    def __enter__(self) -> None:
        self._process = subprocess.Popen(self._command)

    def __exit__(self, *exc: object) -> None:
        self._process.kill()
        self._process.wait(20)


def counted(service: str, name: str) -> float:
    """What prometheus_client itself reads: the sum over all series of the business path."""
    page = requests.get(service + METRICS, headers={"Accept": "text/plain;version=0.0.4"}, timeout=30).text
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples)
    return sum(one.value for one in samples if one.name == name and one.labels.get("uri") == "/api/work")


def test_lifetime_counts_are_those_of_the_page_by_both_paths(service: str, tmp_path: Path) -> None:
    work(service, 3)
    rules = [{**MEAN, "over": "lifetime"}, {**COUNT, "kind": "sum"}, {**ERRORS, "over": "lifetime"}]
    settings = {"targets": [{"name": "svc", "url": service}], "rules": rules}
    results = [Tasks(tmp_path, path)(settings, module="metrics_probe") for path in (True, False)]
    name = "http_server_requests_seconds"
    for result in results:
        assert result["verdict"] == "pass", result["checks"]
        assert values(result, "count")[0]["value"] == counted(service, f"{name}_count")
        expected = counted(service, f"{name}_sum") / counted(service, f"{name}_count")
        assert values(result, "mean")[0]["value"] == pytest.approx(expected)
        assert values(result, "errors")[0]["value"] == 0
    assert statuses(results[0]) == statuses(results[1])


def test_what_happens_between_the_samples(service: str) -> None:
    name = "http_server_requests_seconds_count"
    work(service)
    before = counted(service, name)
    with Busy(service):
        eventually("requests arrive", lambda: counted(service, name) > before)
        result = probe({"url": service}, MEAN, COUNT, ERRORS)
    between = values(result, "count")[0]["value"]
    assert 0 < between <= counted(service, name) - before
    assert result["verdict"] == "pass", result["checks"]
    assert result["targets"][0]["instances"][0]["process"] == "same"


def test_without_requests_there_is_no_mean(service: str) -> None:
    work(service)
    result = probe({"url": service}, MEAN, COUNT, ERRORS)
    assert statuses(result) == {
        "svc.metrics": "pass",
        "svc.mean": "unverified",
        "svc.count": "pass",
        "svc.errors": "unverified",
    }


@pytest.mark.parametrize(("name", "value", "broken"), [("latency", "700", "svc.mean"), ("errors", "50", "svc.errors")])
def test_faults_are_seen(service: str, tmp_path: Path, name: str, value: str, broken: str) -> None:
    work(service)
    fault(service, name, value)
    try:
        with Busy(service):
            result = probe({"url": service}, MEAN, ERRORS, sample_seconds=3.0)
    finally:
        heal(service)
    found = statuses(result)
    assert found.pop(broken) == "fail", result["checks"]
    assert set(found.values()) == {"pass"}


def test_a_quantile_of_slow_requests(service: str) -> None:
    p50 = {
        "id": "p50",
        "kind": "quantile",
        "quantile": 0.5,
        "metric": "http_request_duration_seconds",
        **WORK,
        "at_most": 0.5,
    }
    fault(service, "latency", "700")
    try:
        with Busy(service):
            result = probe({"url": service}, p50, sample_seconds=3.0)
    finally:
        heal(service)
    assert statuses(result)["svc.p50"] == "fail"
    assert 0.5 < values(result, "p50")[0]["value"] <= 1.0


def test_a_page_that_is_not_exposed(service: str) -> None:
    fault(service, "actuator", "404")
    try:
        result = probe({"url": service}, MEAN)
    finally:
        heal(service)
    assert set(statuses(result).values()) == {"unverified"}
    assert "there is no such page" in result["checks"][0]["observed"]


def test_a_thousand_targets_in_one_task() -> None:
    page = answer(200, (RECORDED / "prometheus.200.txt").read_bytes(), Content_Type="text/plain;version=0.0.4")
    pool = {
        "id": "pool",
        "kind": "ratio",
        "metric": "hikaricp_connections_active",
        "divisor": {"metric": "hikaricp_connections_max"},
        "at_most": 1,
    }
    timeouts = {"id": "timeouts", "kind": "increase", "metric": "hikaricp_connections_timeout_total", "at_most": 0}
    with serving({METRICS: page}) as server:
        targets = [{"name": f"s{number}", "url": server.url} for number in range(1000)]
        targets[999]["url"] = f"http://127.0.0.1:{free_port()}"
        result = operate(metrics_probe, targets=targets, rules=[pool, timeouts], sample_seconds=1.0, timeout=600.0)
    assert len(result["checks"]) == 3000
    assert {name for name, status in statuses(result).items() if status != "pass"} == {
        "s999.metrics",
        "s999.pool",
        "s999.timeouts",
    }


# --- pods -----------------------------------------------------------------------------------------------------------


def manifests() -> str:
    """Two pods that are real processes, and their Service."""
    labels = {"app": "web"}
    container = {
        "name": "main",
        "image": IMAGE,
        "env": [{"name": key, "value": value} for key, value in NO_DATABASE.items()],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"path": "/actuator/health/readiness", "port": 8080}, "periodSeconds": 1},
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "nodeSelector": {"kubernetes.io/hostname": "runner-0"}},
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web"},
        "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": "http"}]},
    }
    return str(yaml.safe_dump_all([deployment, service]))


@pytest.fixture(scope="module")
def shop(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A namespace with a service of two pods."""
    name = f"metrics-{secrets.token_hex(3)}"
    file = tmp_path_factory.mktemp("manifests") / "all.yml"
    file.write_text(manifests())
    cluster.kubectl("create", "namespace", name)
    try:
        cluster.kubectl("apply", "--namespace", name, "-f", str(file))
        cluster.kubectl("rollout", "status", "--namespace", name, "deployment/web", "--timeout=120s")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def pods(cluster: Any, shop: str) -> Callable[..., dict[str, Any]]:
    """The probe on the pods of the namespace."""

    def go(*rules: dict[str, Any], context: str = "lab-admin", **target: Any) -> dict[str, Any]:
        kubernetes = {"kubeconfig": str(cluster.kubeconfig), "context": context}
        where = {"namespace": shop, **(target or {"service": "web"})}
        return probe(where, *rules, kubernetes=kubernetes)

    return go


STARTED = {"id": "started", "metric": "process_start_time_seconds", "above": 0}
UP = {"id": "up", "kind": "increase", "metric": "http_requests_total", "labels": {"uri": METRICS}, "above": 0}


def test_each_pod_is_read_by_itself(pods: Callable[..., dict[str, Any]]) -> None:
    result = pods(STARTED, UP)
    assert statuses(result) == {
        "svc.instances": "pass",
        "svc.metrics": "pass",
        "svc.started": "pass",
        "svc.up": "pass",
    }
    rows = result["targets"][0]["instances"]
    assert {row["process"] for row in rows} == {"same"}
    assert len({row["instance"] for row in rows}) == 2
    assert [value["instance"] for value in sorted(values(result, "up"), key=lambda row: row["instance"])] == [
        row["instance"] for row in rows
    ]


def test_one_sum_of_all_pods(pods: Callable[..., dict[str, Any]]) -> None:
    result = pods({**UP, "id": "each"}, {**UP, "instances": "sum"})
    (together,) = values(result, "up")
    assert together["value"] == sum(row["value"] for row in values(result, "each"))


@pytest.mark.parametrize("target", [{"service": "absent"}, {"selector": "app=absent"}])
def test_no_pods_is_never_green(pods: Callable[..., dict[str, Any]], target: dict[str, str]) -> None:
    result = pods(STARTED, **target)
    assert statuses(result) == {"svc.instances": "fail", "svc.started": "unverified"}


def test_too_few_rights_name_the_missing_one(pods: Callable[..., dict[str, Any]]) -> None:
    result = pods(STARTED, context="lab-narrow")
    assert statuses(result) == {"svc.instances": "unverified", "svc.started": "unverified"}
    assert "lacks the verb" in result["checks"][0]["observed"]


def test_an_ingress_mixes_the_counters_of_its_pods(cluster: Any) -> None:
    """Requests go to the pods in turn, so two samples in a row are of two processes, unless others ask in between.

    The lab's traffic asks every so often: over one fixed time, it could always be an even number of requests.
    """
    ready = cluster.kubectl("get", "pods", "-n", "hafnium", "-l", "app=identity-service", "-o", "name").split()
    assert len(ready) > 1
    ingress = f"http://{address('ingress')}/identity-service{METRICS}"
    found: dict[str, Any] = {}
    seconds = itertools.cycle((0.3, 1.0, 0.6, 1.7))

    def mixed() -> bool:
        found.update(probe({"url": ingress}, {**UP, "at_least": 0}, sample_seconds=next(seconds)))
        return bool(found["targets"][0]["instances"][0]["process"] == "mixed")

    eventually("the samples are of two pods", mixed)
    assert statuses(found)["svc.up"] == "unverified"
    assert "load balancer" in found["findings"][0]["cause"]

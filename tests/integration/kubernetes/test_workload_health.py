# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_health on a real API server with its controllers, and kubectl beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import workload_health
from tests.integration.kubernetes.rollout_scene import Scene, eventually
from tests.integration.kubernetes.sick_scene import deployment, fake, process, restarted, service, simulated

pytestmark = [pytest.mark.lab]
PORT = {"ports": [{"name": "http", "containerPort": 8080}]}


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def look(scene: Scene, *names: str, **options: Any) -> dict[str, Any]:
    return scene.run(workload_health, **({"names": list(names)} if names else {}), **options)


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def observed(result: dict[str, Any], name: str) -> str:
    (row,) = [row for row in result["checks"] if row["id"] == name]
    return str(row["observed"])


def whole(scene: Scene, name: str = "web", replicas: int = 2) -> None:
    """A Deployment on simulated nodes with its Service and budget, all well."""
    deployment(scene, name, fake(**PORT), replicas=replicas)
    service(scene, name, {"app": name}, targetPort="http")
    scene.kubectl("create", "poddisruptionbudget", f"{name}-pdb", f"--selector=app={name}", "--min-available=1")
    scene.settle(name=name)
    eventually("addresses and budget are up to date", lambda: look(scene, name)["verdict"] == "pass")


def test_two_healthy_workloads_cost_seven_requests(scene: Scene) -> None:
    whole(scene)
    whole(scene, "api")
    result = look(scene, selector="tier=backend", minimum_pods=4)
    assert (result["verdict"], result["findings"], result["requests"]) == ("pass", [], 7)
    assert [row["name"] for row in result["workloads"]] == ["api", "web"]
    slices = json.loads(scene.kubectl("get", "endpointslices", "-l", "kubernetes.io/service-name=web", "-o", "json"))
    addresses = sorted(address for row in slices["items"][0]["endpoints"] for address in row["addresses"])
    assert result["workloads"][1]["services"][0]["ready_addresses"] == addresses
    pods = scene.kubectl("get", "pods", "-l", "app=web", "--no-headers").splitlines()
    assert sorted((row["name"], row["status"]) for row in result["workloads"][1]["pods"]) == sorted(
        (line.split()[0], line.split()[2]) for line in pods
    )


def test_kubectl_ends_with_0_where_nothing_is_there(scene: Scene) -> None:
    """The label is on the Deployment only, and on no pod; the runbook's command prints nothing and succeeds."""
    scene.deploy("registry.example/x:1", labels={"app": "web"}, settle=True)
    scene.kubectl("label", "deployment/web", "tier=backend")
    assert scene.kubectl("get", "pods", "-l", "tier=backend", "-o", "name") == ""
    result = look(scene, selector="tier=backend", require_service=False)
    assert (result["verdict"], status(result)["selection"]) == ("fail", "fail")
    assert "the Deployment itself bears it, its pods do not (web)" in observed(result, "selection")
    assert "pods of web have app=web" in observed(result, "selection")


def test_an_absent_namespace(scene: Scene) -> None:
    own = f"web-{scene.namespace}"  # other namespaces may have a web
    scene.deploy("registry.example/x:1", name=own)
    gone = f"{scene.namespace}-gone"
    assert scene.beside(gone).kubectl("get", "pods", "-o", "name") == ""
    result = scene.run(workload_health, names=[own], namespace=gone)
    assert status(result)[f"namespace.{gone}"] == "fail"
    assert f"{own} is in namespace {scene.namespace}" in str(result["checks"][0]["hint"])


def test_ready_is_green_and_no_new_pod_can_be_made(scene: Scene) -> None:
    whole(scene)
    change = [{"op": "add", "path": "/spec/template/spec/serviceAccountName", "value": "hafnium-backend"}]
    scene.kubectl("patch", "deployment/web", "--type=json", "-p", json.dumps(change))
    eventually("pods are refused", lambda: status(look(scene, "web"))["rollout.web"] == "fail")
    result = look(scene, "web")
    assert status(result)["replicas.web"] == "pass"
    assert 'serviceaccount "hafnium-backend" not found' in observed(result, "rollout.web")
    assert "2/2" in scene.kubectl("get", "deployment", "web", "--no-headers")


def test_a_service_that_leads_nowhere(scene: Scene) -> None:
    whole(scene)
    deployment(scene, "never", fake(**PORT), simulated("never-ready"))
    service(scene, "never", {"app": "never"})
    service(scene, "lost", {"app": "nobody"})
    deployment(scene, "lost", fake(**PORT))
    eventually("the slices are made", lambda: "not ready" in observed(look(scene, "never"), "service.never"))
    result = look(scene, "never", "lost")
    assert observed(result, "service.never").startswith("0 ready addresses, 1 not ready")
    assert observed(result, "service.lost").startswith("Service lost does not select its pods: it selects app=nobody")
    assert {"no_endpoints", "service_selects_nothing"} <= {row["cause"] for row in result["findings"]}


def test_scaled_to_zero_where_kubectl_says_rolled_out(scene: Scene) -> None:
    whole(scene)
    scene.kubectl("scale", "deployment/web", "--replicas=0")
    assert "successfully rolled out" in scene.kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    result = look(scene, "web")
    assert status(result)["replicas.web"] == "fail"
    assert "scaled_to_zero" in {row["cause"] for row in result["findings"]}


def test_a_real_process_that_ends_again_and_again(scene: Scene) -> None:
    deployment(scene, "web", process("exit 1"))
    restarted(scene, "web")
    result = look(scene, "web", require_service=False)
    assert {status(result)[f"{row}.web"] for row in ("replicas", "pods", "restarts")} == {"fail"}
    assert "Error (exit code 1)" in observed(result, "restarts.web")


def test_stateful_and_daemon_sets(scene: Scene) -> None:
    scene.deploy("registry.example/x:1", "StatefulSet", "store", settle=True)
    scene.deploy("registry.example/x:1", "DaemonSet", "agent", settle=True)
    for kind, name in (("StatefulSet", "store"), ("DaemonSet", "agent")):
        result = look(scene, name, kind=kind, require_service=False)
        assert result["verdict"] == "pass", result["checks"]
        assert all(row["current"] for row in result["workloads"][0]["pods"])


def test_too_few_rights_name_the_verb(scene: Scene) -> None:
    whole(scene)
    token = scene.user("narrow", [("list", "deployments.apps,replicasets.apps,pods")])
    result = look(scene, "web", api_key=token)
    assert result["verdict"] == "unverified"
    assert status(result)["pods.web"] == "pass"
    assert "lacks the verb 'list' on resource 'services'" in observed(result, "rights.services")
    assert "service.web" not in status(result)

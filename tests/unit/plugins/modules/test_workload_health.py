# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_health as a module: on recorded namespaces, and on one Deployment with its Service and budget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, workload_health
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError, UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import UnauthorizedError
from ansible_collections.sre.runbooks.plugins.modules import workload_health as module
from tests.unit.plugins.module_runner import run_module
from tests.unit.plugins.recorded_cluster import NOW, RecordedCluster, Scene, ago, container, ended, recorded, status_of

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the module against a RecordedCluster, or a Scene, at a time."""

    def run(on: RecordedCluster | Scene, now: float = NOW, check: bool = False, **options: Any) -> dict[str, Any]:
        cluster = on.cluster() if isinstance(on, Scene) else on
        monkeypatch.setattr(workload_health, "Cluster", lambda *_arguments: cluster)
        monkeypatch.setattr(Clock, "now", lambda _self: now)
        chosen = {"names": ["identity-service"]} if not options.keys() & {"names", "selector"} else {}
        return run_module(module, capsys, check=check, **{"namespace": "hafnium", **chosen, **options})

    return run


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"].removesuffix(".identity-service"): check["status"] for check in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] in (name, f"{name}.identity-service")]
    return dict(found)


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def whole(desired: int = 2, **service: Any) -> Scene:
    """A healthy Deployment with Service, EndpointSlice and budget."""
    scene = Scene(desired)
    scene.deployment["status"]["conditions"] = [
        {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}
    ]
    for number in range(desired):
        scene.healthy(f"p{number}")
    spec = {"selector": {"app": "identity-service"}, "ports": [{"port": 8080, "targetPort": 8080}], **service}
    scene.add("Service", "identity-service", spec=spec)
    addresses(scene, *(f"10.0.0.{number}" for number in range(desired)))
    scene.add(
        "PodDisruptionBudget",
        "identity-service-pdb",
        spec={"minAvailable": 1, "selector": {"matchLabels": {"app": "identity-service"}}},
        status={
            "currentHealthy": desired,
            "desiredHealthy": 1,
            "disruptionsAllowed": desired - 1,
            "observedGeneration": 1,
        },
    )
    return scene


def addresses(scene: Scene, *ready: str, waiting: tuple[str, ...] = ()) -> None:
    rows = [{"addresses": [address], "conditions": {"ready": True}} for address in ready]
    rows += [{"addresses": [address], "conditions": {"ready": False}} for address in waiting]
    scene.stored["EndpointSlice"].clear()
    found = scene.add("EndpointSlice", "identity-service-x", endpoints=rows, ports=[{"port": 8080}])
    found["metadata"]["labels"] = {"kubernetes.io/service-name": "identity-service"}


@pytest.mark.parametrize("check_mode", [False, True])
def test_healthy(look: Look, check_mode: bool) -> None:
    result = look(whole(), check=check_mode, runbook="1.2")
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert list(status(result)) == [
        "namespace.hafnium",
        "replicas",
        "rollout",
        "pods",
        "restarts",
        "images",
        "service",
        "pdb",
    ]
    assert all(row["runbook"] == "1.2" and row["hint"] for row in result["checks"])
    assert result["requests"] == 7
    assert result["workloads"][0]["services"][0]["ready_addresses"] == ["10.0.0.0", "10.0.0.1"]


def test_recorded_eight_services(look: Look) -> None:
    cluster, now = recorded("sick")
    result = look(cluster, now, selector="tier=backend", minimum_pods=16)
    assert len(result["workloads"]) == 8
    assert result["requests"] == 7
    failed = {row["id"] for row in result["checks"] if row["status"] == "fail"}
    assert {"replicas.risk-engine-service", "service.risk-engine-service", "pdb.risk-engine-service"} <= failed
    # READY is green on the old pods of the others, and their rollouts are not
    assert not {row for row in failed if row.startswith("replicas.")} - {"replicas.risk-engine-service"}
    assert {row for row in failed if row.startswith("pods.")} >= {"pods.api-facade", "pods.signals-service"}
    pods = check(result, "pods.api-facade")
    assert "ImagePullBackOff" in pods["observed"][0]


# -- selections that take in nothing


def test_a_label_that_nothing_has_says_which_labels_there_are(look: Look) -> None:
    scene = whole()
    for one in (*scene.stored["Pod"], *scene.stored["ReplicaSet"]):
        one["metadata"]["labels"].pop("tier")
    scene.deployment["spec"]["template"]["metadata"]["labels"] = {"app": "identity-service"}
    result = look(scene, selector="tier=backend")
    assert result["verdict"] == "fail"
    assert causes(result) == ["selection_empty"]
    observed = check(result, "selection")["observed"]
    assert observed.startswith("0 pods; the Deployment itself bears it, its pods do not (identity-service)")
    assert "pods of identity-service have app=identity-service" in observed
    assert result["workloads"] == []
    assert result["selected_pods"] == 0


def test_workloads_whose_pods_cannot_be_made_are_selected_by_their_template(look: Look) -> None:
    cluster, now = recorded("no_service_account", "hafnium-backend")
    selector = "app.kubernetes.io/component=backend"
    result = look(cluster, now, namespace="hafnium-backend", selector=selector)
    assert [row["name"] for row in result["workloads"]] == ["identity-service", "risk-engine-service"]
    assert check(result, "selection")["observed"].startswith("0 pods; the templates of identity-service, risk-engine")
    rollout = check(result, "rollout.identity-service")
    assert rollout["status"] == "fail"
    assert 'serviceaccount "hafnium-backend" not found' in rollout["observed"]
    assert "pods_refused" in causes(result)


def test_too_few_pods_meet_the_selector(look: Look) -> None:
    result = look(whole(), selector="tier=backend", minimum_pods=3)
    assert (check(result, "selection")["status"], check(result, "selection")["expected"]) == ("fail", "at least 3")


def test_an_absent_namespace_fails_and_says_where_the_names_are(look: Look) -> None:
    cluster = whole().cluster()
    result = look(cluster, namespace="hafnium-prod")
    row = check(result, "namespace.hafnium-prod")
    assert (row["status"], row["observed"]) == ("fail", "there is no namespace hafnium-prod on https://recorded")
    assert (
        row["hint"] == "identity-service is in namespace hafnium. Is the namespace the right one for this deployment?"
    )
    assert causes(result) == ["namespace_absent", "workload_absent"]


def test_an_absent_namespace_with_a_selector(look: Look) -> None:
    result = look(whole().cluster(), namespace="hafnium-prod", selector="tier=backend")
    assert "tier=backend is in namespace hafnium" in check(result, "namespace.hafnium-prod")["hint"]


def test_an_empty_namespace_that_may_not_be_read_is_unverified(look: Look) -> None:
    cluster = whole().cluster()
    cluster.forbidden = {"get namespaces", "list all pods"}
    result = look(cluster, namespace="hafnium-prod", selector="tier=backend")
    assert status(result) == {"namespace.hafnium-prod": "unverified", "selection": "fail"}


def test_a_namespace_that_is_going_away(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = RecordedCluster({})
    going = {"metadata": {"name": "hafnium"}, "status": {"phase": "Terminating"}}
    monkeypatch.setattr(cluster, "get", lambda *_arguments: going)
    assert causes(look(cluster))[0] == "namespace_terminating"


# -- one workload


def test_scaled_to_zero_is_not_green(look: Look) -> None:
    result = look(Scene(0), require_service=False)
    assert status(result)["replicas"] == "fail"
    assert "scaled_to_zero" in causes(result)
    assert result["findings"][0]["next"]["playbook"] == "sre.runbooks.hafnium.scale"


def test_a_green_ready_behind_which_no_new_pod_can_be_made(look: Look) -> None:
    scene = whole()
    row = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    scene.deployment["status"]["conditions"].append(row)
    result = look(scene)
    assert (status(result)["replicas"], status(result)["rollout"]) == ("pass", "fail")
    assert causes(result) == ["pods_refused"]


def test_a_rollout_that_goes_on_is_unverified(look: Look) -> None:
    scene = whole()
    scene.deployment["status"]["updatedReplicas"] = 1
    result = look(scene)
    assert (result["verdict"], status(result)["rollout"], causes(result)) == (
        "unverified",
        "unverified",
        ["rollout_unfinished"],
    )


def test_pods_that_are_not_ready_are_told_with_the_reason(look: Look) -> None:
    scene = whole(1)
    scene.pod("p9", status_of(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"}))
    result = look(scene)
    assert check(result, "pods")["observed"] == ["p9: ImagePullBackOff: Back-off pulling image"]
    assert "pods_not_ready" in causes(result)


def test_no_pod_at_all(look: Look) -> None:
    scene = Scene(2)
    result = look(scene, require_service=False)
    assert status(result)["pods"] == "fail"
    assert "restarts" not in status(result)
    assert "see its rollout" in check(result, "pods")["hint"]


def test_recent_restarts_fail_and_old_ones_do_not(look: Look) -> None:
    scene = whole(1)
    end = ended(137, "OOMKilled", before=120)
    scene.stored["Pod"][0]["status"]["containerStatuses"] = [
        status_of(ready=True, restarts=7, running={"startedAt": ago(100)}, last=end)
    ]
    result = look(scene)
    assert check(result, "restarts")["observed"] == [
        f"p0/app: 7 restarts, last: OOMKilled (exit code 137) at {ago(120)}"
    ]
    assert causes(result) == ["restarting"]
    assert look(scene, recent_restart_seconds=60)["verdict"] == "pass"
    assert look(scene, max_recent_restarts=1)["verdict"] == "pass"


def test_a_moving_tag_and_pods_that_run_different_images_under_it(look: Look) -> None:
    scene = whole()
    scene.deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry.example/identity:latest"
    same = look(scene)
    assert (same["verdict"], causes(same)) == ("pass", ["floating_image_tag"])
    assert "going back to an older revision that names it changes nothing" in check(same, "images")["hint"]
    scene.stored["Pod"][1]["status"]["containerStatuses"][0]["imageID"] = "sha256:2"
    mixed = look(scene)
    assert (status(mixed)["images"], causes(mixed)) == ("fail", ["mixed_images"])
    assert check(mixed, "images")["observed"] == ["app: 1 pods run sha256:1, 1 pods run sha256:2"]


def test_other_images_of_an_older_revision_are_no_mix(look: Look) -> None:
    scene = whole(1)
    scene.replica_set("old", 1)
    old = scene.healthy("old-1", "old")
    old["status"]["containerStatuses"][0]["imageID"] = "sha256:0"
    assert status(look(scene))["images"] == "pass"


# -- Services


def test_a_service_object_without_addresses_fails(look: Look) -> None:
    scene = whole()
    addresses(scene, waiting=("10.0.0.1",))
    result = look(scene)
    assert check(result, "service")["observed"] == "0 ready addresses, 1 not ready; port 8080->8080"
    assert causes(result) == ["no_endpoints"]
    scene.stored["EndpointSlice"].clear()
    assert check(look(scene), "service")["observed"] == "no EndpointSlice; port 8080->8080"


def test_fewer_addresses_than_wanted(look: Look) -> None:
    assert status(look(whole(), minimum_addresses=3))["service"] == "fail"


def test_no_service(look: Look) -> None:
    scene = whole()
    scene.stored["Service"].clear()
    result = look(scene)
    assert causes(result) == ["service_absent"]
    assert look(scene, require_service=False)["verdict"] == "pass"


def test_a_service_that_selects_other_labels(look: Look) -> None:
    result = look(whole(selector={"app.kubernetes.io/name": "identity-service"}))
    assert causes(result) == ["service_selects_nothing"]
    assert check(result, "service")["observed"] == (
        "Service identity-service does not select its pods: it selects app.kubernetes.io/name=identity-service, the pods have "
        "app=identity-service,tier=backend"
    )


def test_a_port_name_that_no_container_has(look: Look) -> None:
    result = look(whole(ports=[{"port": 80, "targetPort": "web"}]))
    assert causes(result) == ["service_port_wrong"]
    assert check(result, "service")["observed"] == "port 80 leads to the port named 'web', which no container has"


def test_a_port_that_nobody_declares_is_unverified(look: Look) -> None:
    result = look(whole(ports=[{"port": 80, "targetPort": 9090, "name": "admin"}]))
    assert (result["verdict"], status(result)["service"]) == ("unverified", "unverified")
    assert "port 80 (admin) leads to 9090, the containers declare 8080" in check(result, "service")["observed"]


def test_a_port_that_a_probe_uses_is_known(look: Look) -> None:
    scene = whole(ports=[{"port": 80, "targetPort": 9090}])
    probe = {"httpGet": {"path": "/", "port": 9090}}
    scene.deployment["spec"]["template"]["spec"]["containers"] = [container(readinessProbe=probe)]
    assert look(scene)["verdict"] == "pass"


def test_two_services_are_two_checks(look: Look) -> None:
    scene = whole()
    scene.add("Service", "identity-internal", spec={"selector": {"app": "identity-service"}, "ports": [{"port": 8080}]})
    result = look(scene)
    assert check(result, "service.identity-service.identity-internal")["status"] == "fail"


# -- budgets and autoscalers


def test_a_budget_that_is_not_met(look: Look) -> None:
    scene = whole(1)
    scene.stored["PodDisruptionBudget"][0]["status"] |= {"currentHealthy": 0, "disruptionsAllowed": 0}
    result = look(scene)
    assert causes(result) == ["quorum_lost"]
    assert check(result, "pdb")["observed"] == "0 healthy, 1 wanted, 0 may be evicted"


def test_budgets_and_autoscalers_that_are_required(look: Look) -> None:
    scene = whole()
    scene.stored["PodDisruptionBudget"].clear()
    assert "pdb" not in status(look(scene))
    result = look(scene, require_pdb=True, require_hpa=True)
    assert causes(result) == ["budget_absent", "autoscaler_absent"]
    scene.add(
        "HorizontalPodAutoscaler",
        "identity-service-hpa",
        spec={
            "minReplicas": 2,
            "maxReplicas": 10,
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "identity-service"},
        },
        status={"currentReplicas": 2, "desiredReplicas": 3},
    )
    assert check(look(scene, require_hpa=True), "hpa")["observed"] == "identity-service-hpa: 2..10, now 2, wants 3"
    assert look(scene)["workloads"][0]["hpa"]["max"] == 10


# -- rights


@pytest.mark.parametrize(
    ("resource", "gone"),
    [
        ("pods", {"pods", "restarts", "images"}),
        ("services", {"service"}),
        ("endpointslices", {"service"}),
        ("poddisruptionbudgets", {"pdb"}),
        ("replicasets", set()),
    ],
)
def test_a_list_that_is_refused_is_one_check_and_names_the_verb(look: Look, resource: str, gone: set[str]) -> None:
    cluster = whole().cluster()
    for pod in cluster.stored["Pod"]:
        pod["metadata"]["name"] = f"identity-service-new-{pod['metadata']['name']}"
    cluster.forbidden = {f"list {resource}"}
    result = look(cluster)
    assert result["verdict"] == "unverified"
    row = check(result, f"rights.{resource}")
    assert (row["status"], f"verb 'list' on '{resource}'" in row["observed"]) == ("unverified", True)
    assert not gone & status(result).keys()


def test_a_refused_list_of_autoscalers_matters_only_where_one_is_required(look: Look) -> None:
    cluster = whole().cluster()
    cluster.forbidden = {"list horizontalpodautoscalers"}
    assert look(cluster)["verdict"] == "pass"
    assert look(cluster, require_hpa=True)["verdict"] == "unverified"


def test_the_workloads_may_not_be_listed(look: Look) -> None:
    cluster = whole().cluster()
    cluster.forbidden = {"list deployments"}
    result = look(cluster)
    assert status(result) == {"rights.deployments": "unverified", "namespace.hafnium": "pass"}


@pytest.mark.parametrize("error", [UnreachableError("refused"), UnauthorizedError("a token has expired", 401)])
def test_an_api_server_that_gives_no_answer_is_one_check(look: Look, error: RunbookError) -> None:
    cluster = whole().cluster()
    cluster.failing = error
    result = look(cluster)
    (row,) = result["checks"]
    assert (row["id"], row["status"], row["observed"]) == ("cluster.reachable", "unverified", error.message)
    assert result["workloads"] == []


def test_bad_arguments(look: Look) -> None:
    assert "minimum_addresses is -1" in look(whole(), minimum_addresses=-1)["msg"]
    assert "minimum_pods is below 0" in look(whole(), minimum_pods=-1)["msg"]
    assert "empty" in look(whole(), selector=" ")["msg"]


def test_without_the_library(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))
    result = look(whole())
    assert result["failed"]
    assert "pip install kubernetes" in result["msg"]

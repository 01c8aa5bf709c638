# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_scale as a module, on an API server in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_change, libraries, workload_scale
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.modules import workload_scale as module
from tests.unit.plugins.fake_scalable import HPA, NAMESPACE, FakeScalable, deployment, hpa, lacking, refusal
from tests.unit.plugins.module_runner import run_module

Scale = Callable[..., dict[str, Any]]
QUOTA = {
    "kind": "ResourceQuota",
    "metadata": {"name": "q", "namespace": NAMESPACE},
    "status": {"hard": {"pods": "4"}, "used": {"pods": "2"}},
}


@pytest.fixture
def scale(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Scale:
    def run(cluster: FakeScalable, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(workload_scale, "Cluster", lambda params, context: cluster)
        monkeypatch.setattr(kubernetes_change, "FIRST_PAUSE_SECONDS", 0.0)
        return run_module(module, capsys, check=check, **{"namespace": NAMESPACE, "name": "web", **options})

    return run


def replicas(cluster: FakeScalable) -> int:
    return int(cluster.store["Deployment", "web"]["spec"]["replicas"])


def limits(cluster: FakeScalable) -> tuple[int, int]:
    spec = cluster.store[HPA, "web-hpa"]["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def ids(result: dict[str, Any]) -> list[str]:
    return [row["id"] for row in result["warnings_about"]]


def test_cycle(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), deployment("other"))
    plan = scale(cluster, check=True, at_least=3)
    assert (plan["changed"], plan["after"], plan["planned"]["replicas"]) == (True, None, 3)
    assert (replicas(cluster), cluster.stored, len(cluster.dry)) == (2, [], 1)
    done = scale(cluster, at_least=3)
    assert (done["changed"], done["before"]["replicas"], done["after"]["replicas"]) == (True, 2, 3)
    assert {key: done[key] for key in ("action", "planned", "undo")} == {
        key: plan[key] for key in ("action", "planned", "undo")
    }
    assert done["rollout"]["state"] == "complete"
    again = scale(cluster, at_least=3)
    assert (again["changed"], again["action"], len(cluster.stored)) == (False, "none", 1)
    back = scale(cluster, replicas=done["undo"]["replicas"])
    assert (back["changed"], replicas(cluster)) == (True, 2)
    assert cluster.store["Deployment", "other"]["metadata"]["resourceVersion"] == "1"


def test_the_autoscaler_is_adapted_first_and_both_are_told(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), hpa(), hpa("decoy", target="other"))
    result = scale(cluster, at_least=12, hpa="adapt", _ansible_diff=True)
    assert [kind for kind, _name, _body in cluster.stored] == [HPA, "Deployment"]
    assert (replicas(cluster), limits(cluster)) == (12, (12, 12))
    assert result["undo"] == {
        "replicas": 2,
        "autoscaler": {"name": "web-hpa", "min_replicas": 2, "max_replicas": 10},
    }
    assert "maxReplicas: 12 (web-hpa)" in result["diff"]["after"]
    assert cluster.store[HPA, "decoy"]["metadata"]["resourceVersion"] == "1"


def test_the_autoscaler_is_not_touched_when_the_scaling_would_be_refused(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), hpa())
    cluster.errors["patch", "Deployment"] = lacking("patch", "deployments/scale")
    result = scale(cluster, at_least=3, hpa="adapt")
    assert "lacks the verb 'patch' on resource 'deployments/scale'" in result["msg"]
    assert (cluster.stored, limits(cluster)) == ([], (2, 10))


def test_refused_for_the_autoscaler(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), hpa())
    result = scale(cluster, replicas=14)
    assert result["failed"]
    assert "cut 14 to its maximum of 10" in result["msg"]
    assert cluster.stored == cluster.dry == []


def test_autoscalers_that_may_not_be_read(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.errors["list", HPA] = lacking("list", "horizontalpodautoscalers")
    result = scale(cluster, at_least=3)
    assert "lacks the verb 'list' on resource 'horizontalpodautoscalers'" in result["msg"]
    assert replicas(cluster) == 2


def test_a_quota_without_room(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), QUOTA)
    result = scale(cluster, at_least=5)
    assert (
        "cannot have 5 replicas instead of 2: ResourceQuota q has 2 of 4 pods left, 3 more are needed" in result["msg"]
    )
    assert result["capacity"]["status"] == "fail"
    assert cluster.stored == []
    assert scale(cluster, at_least=4)["changed"]


@pytest.mark.parametrize("check_mode", [True, False])
def test_admission_that_refuses_the_pods(scale: Scale, check_mode: bool) -> None:
    cluster = FakeScalable(deployment())
    cluster.errors["create", "Pod"] = refusal(403, 'pods "web-trial-x" is forbidden: violates PodSecurity "restricted"')
    result = scale(cluster, check=check_mode, at_least=3)
    assert (
        'the API server would refuse its pods: violates PodSecurity "restricted". Nothing was changed' in result["msg"]
    )
    assert cluster.stored == []
    assert scale(cluster, replicas=1)["changed"], "fewer pods need no room"


def test_what_may_not_be_looked_at_is_a_warning(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.errors["create", "Pod"] = lacking("create", "pods")
    cluster.errors["list", "ResourceQuota"] = lacking("list", "resourcequotas")
    cluster.errors["list", "Node"] = lacking("list", "nodes")
    result = scale(cluster, at_least=3)
    assert result["changed"]
    assert ids(result) == ["capacity_unverified"] * 3
    assert result["capacity"]["status"] == "unverified"
    assert len(result["warnings"]) == 3


def test_nodes_without_room_are_a_warning_and_pods_larger_than_any_node_a_refusal(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.store["Node", "n1"]["status"]["allocatable"]["cpu"] = "750m"
    result = scale(cluster, at_least=4)
    assert (result["changed"], ids(result)) == (True, ["node_room"])
    assert "about 3 such pods fit on the 1 nodes" in result["warnings_about"][0]["text"]
    cluster.store["Node", "n1"]["status"]["allocatable"]["cpu"] = "100m"
    assert "a pod requests 250m cpu, the largest node that may take it has 100m" in scale(cluster, at_least=6)["msg"]
    unlooked = scale(cluster, at_least=6, check_capacity=False)
    assert (unlooked["changed"], unlooked["capacity"]) == (True, None)


def test_no_node_takes_it(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.store["Node", "n1"]["spec"]["unschedulable"] = True
    assert "none of 1 nodes takes such a pod" in scale(cluster, at_least=3)["warnings_about"][0]["text"]


def test_a_change_in_between_is_planned_again(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.before_patch = [lambda: cluster.touch("Deployment", "web")] * 2
    result = scale(cluster, at_least=3)
    assert (result["changed"], replicas(cluster), len(cluster.stored)) == (True, 3, 1)


def test_somebody_was_quicker(scale: Scale) -> None:
    cluster = FakeScalable(deployment())

    def by_hand() -> None:
        cluster.store["Deployment", "web"]["spec"]["replicas"] = 6
        cluster.touch("Deployment", "web")

    cluster.before_patch = [by_hand]
    result = scale(cluster, at_least=3)
    assert (result["changed"], replicas(cluster), cluster.stored) == (False, 6, [])


def test_a_change_that_never_ends_is_given_up(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.before_patch = [lambda: cluster.touch("Deployment", "web")] * 50
    result = scale(cluster, at_least=3)
    assert "8 tries" in result["msg"]
    assert cluster.stored == []


def test_a_lost_write_is_not_known(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    cluster.errors["patch", "Deployment"] = UnreachableError("no answer")
    result = scale(cluster, at_least=3)
    assert "whether it is stored is not known" in result["msg"]
    assert result["changed"] is None


def test_a_lost_write_after_the_autoscaler_was_adapted(scale: Scale) -> None:
    cluster = FakeScalable(deployment(), hpa())

    def lose() -> None:
        cluster.errors["patch", "Deployment"] = UnreachableError("no answer")

    cluster.before_patch = [lose]
    result = scale(cluster, at_least=3, hpa="adapt")
    assert (result["failed"], result["changed"], limits(cluster)) == (True, True, (3, 10))
    assert result["undo"]["autoscaler"]["min_replicas"] == 2


def test_it_was_changed_again(scale: Scale) -> None:
    cluster = FakeScalable(deployment())
    touch = cluster.touch

    def put_back(kind: str, name: str) -> None:
        cluster.store[kind, name]["spec"]["replicas"] = 2
        touch(kind, name)

    cluster.touch = put_back  # type: ignore[method-assign]
    result = scale(cluster, at_least=3)
    assert "was scaled to 3 replicas, and has 2 now: somebody has changed it again" in result["msg"]
    assert (result["changed"], result["after"]["replicas"]) == (True, 2)


def test_pods_that_do_not_come_up_fail_the_task(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = FakeScalable(deployment())
    touch = cluster.touch

    def broken(kind: str, name: str) -> None:
        touch(kind, name)
        failure = {"type": "ReplicaFailure", "status": "True", "message": "pods are forbidden: exceeded quota: q"}
        progress = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        progress["lastUpdateTime"] = "2031-01-01T00:00:00Z"
        cluster.store[kind, name]["status"] |= {"availableReplicas": 2, "conditions": [failure, progress]}

    cluster.touch = broken  # type: ignore[method-assign]
    result = scale(cluster, at_least=3)
    assert "is scaled to 3 replicas, and they are not up: ProgressDeadlineExceeded" in result["msg"]
    assert (result["changed"], result["undo"]["replicas"]) == (True, 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": " ", "replicas": 1}, "name is empty"),
        ({"name": "wbe", "replicas": 1}, "There are: web, other"),
        ({"namespace": "elsewhere", "replicas": 1}, "namespace elsewhere does not exist"),
        ({"replicas": -1}, "replicas is -1"),
        ({"at_least": 0}, "at_least is 0"),
        ({"replicas": 99999}, "from 0 to 10000"),
        ({"replicas": 1, "at_least": 1}, "mutually exclusive"),
        ({}, "one of the following is required"),
        ({"replicas": 3, "wait_seconds": -1}, "wait_seconds is -1"),
    ],
)
def test_bad_input(scale: Scale, options: dict[str, Any], said: str) -> None:
    cluster = FakeScalable(deployment(), deployment("other"))
    result = scale(cluster, **options)
    assert result["failed"]
    assert said in result["msg"]
    assert cluster.stored == []


def test_without_the_library(scale: Scale, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named kubernetes"))
    assert "pip install kubernetes" in scale(FakeScalable(deployment()), replicas=1)["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""hpa_limits as a module, on an API server in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_limits, kubernetes_change
from ansible_collections.sre.runbooks.plugins.modules import hpa_limits as module
from tests.unit.plugins.fake_scalable import HPA, NAMESPACE, FakeScalable, deployment, hpa, lacking
from tests.unit.plugins.module_runner import run_module

Limit = Callable[..., dict[str, Any]]


@pytest.fixture
def limit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Limit:
    def run(cluster: FakeScalable, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(hpa_limits, "Cluster", lambda params, context: cluster)
        monkeypatch.setattr(kubernetes_change, "FIRST_PAUSE_SECONDS", 0.0)
        return run_module(module, capsys, check=check, **{"namespace": NAMESPACE, **options})

    return run


class Controlled(FakeScalable):
    """With a controller that keeps the number of replicas within the limits, as the real one does without metrics."""

    def touch(self, kind: str, name: str) -> None:
        super().touch(kind, name)
        if kind == HPA:
            spec = self.store[kind, name]["spec"]
            workload = self.store["Deployment", spec["scaleTargetRef"]["name"]]
            now = workload["spec"]["replicas"]
            workload["spec"]["replicas"] = min(max(now, spec["minReplicas"]), spec["maxReplicas"]) if now else 0
            super().touch("Deployment", spec["scaleTargetRef"]["name"])


def scene(replicas: int = 3, *more: dict[str, Any]) -> Controlled:
    return Controlled(deployment(replicas=replicas), hpa(), deployment("other"), hpa("web", target="other"), *more)


def limits(cluster: FakeScalable, name: str = "web-hpa") -> tuple[int, int]:
    spec = cluster.store[HPA, name]["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def test_cycle(limit: Limit) -> None:
    cluster = scene()
    options = {"target": "web", "max_replicas": 20}
    plan = limit(cluster, check=True, _ansible_diff=True, **options)
    assert (plan["changed"], plan["after"], limits(cluster), len(cluster.dry)) == (True, None, (2, 10), 1)
    assert plan["diff"]["after"] == "minReplicas: 2\nmaxReplicas: 20\n"
    done = limit(cluster, **options)
    assert (done["changed"], done["name"], done["after"]) == (True, "web-hpa", {"min_replicas": 2, "max_replicas": 20})
    assert done["replicas"] == {"before": 3, "expected": 3}
    assert (done["planned"], done["undo"], done["reasons"]) == (plan["planned"], plan["undo"], plan["reasons"])
    assert not limit(cluster, **options)["changed"]
    back = limit(cluster, **done["undo"])
    assert (back["changed"], limits(cluster)) == (True, (2, 10))
    assert limits(cluster, "web") == (2, 10), "the one with the name of the workload scales another"


def test_a_wrong_name_tells_the_right_ones(limit: Limit) -> None:
    result = limit(scene(), name="identity-service-hpa", max_replicas=20)
    assert "no HorizontalPodAutoscaler identity-service-hpa in namespace shop" in result["msg"]
    assert "web-hpa (Deployment web, 2..10)" in result["msg"]
    assert result["autoscalers"] == ["web-hpa", "web"]


def test_a_workload_without_an_autoscaler(limit: Limit) -> None:
    assert "scales Deployment lonely: there are" in limit(scene(), target="lonely", max_replicas=20)["msg"]
    nothing = FakeScalable(deployment())
    assert "there is none at all" in limit(nothing, target="web", max_replicas=20)["msg"]


def test_two_autoscalers_of_one_workload(limit: Limit) -> None:
    cluster = scene(3, hpa("rival"))
    assert "work against each other" in limit(cluster, target="web", max_replicas=20)["msg"]
    assert limit(cluster, name="rival", max_replicas=20)["changed"], "the name says which"


def test_crossed_limits(limit: Limit) -> None:
    result = limit(scene(), target="web", max_replicas=1)
    assert "the maximum of 1 would be below the minimum of 2 (now 2..10)" in result["msg"]
    assert limit(scene(1), target="web", min_replicas=1, max_replicas=1)["changed"]


def test_a_lower_maximum_removes_pods_at_once(limit: Limit) -> None:
    cluster = scene(5)
    result = limit(cluster, target="web", max_replicas=3)
    assert "5 replicas run, a maximum of 3 removes 2 of them at once" in result["msg"]
    assert limits(cluster) == (2, 10)
    done = limit(cluster, target="web", max_replicas=3, allow_shrink=True)
    assert (done["changed"], done["replicas"]) == (True, {"before": 5, "expected": 3})
    assert cluster.store["Deployment", "web"]["spec"]["replicas"] == 3
    assert done["rollout"]["desired"] == 3


def test_a_higher_minimum_adds_pods_at_once(limit: Limit) -> None:
    cluster = scene(3)
    done = limit(cluster, target="web", min_replicas=6)
    assert (done["replicas"]["expected"], done["rollout"]["available"]) == (6, 6)


def test_an_autoscaler_that_does_not_follow_fails_the_task(limit: Limit) -> None:
    cluster = FakeScalable(deployment(), hpa())
    result = limit(cluster, target="web", min_replicas=6, wait_seconds=0.1)
    assert "still has 2 replicas after 0.1 s: does the controller manager run?" in result["msg"]
    assert (result["changed"], result["undo"]["min_replicas"]) == (True, 2)
    assert limit(cluster, target="web", min_replicas=7, wait_seconds=0)["changed"]


def test_a_workload_at_zero_stays_there(limit: Limit) -> None:
    done = limit(scene(0), target="web", min_replicas=6)
    assert done["replicas"] == {"before": 0, "expected": 0}
    assert "does nothing until" in done["reasons"][1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_replicas": 20, "limit_replicas": 15}, "limits of 2..20 are wanted, limit_replicas allows 15"),
        ({"max_replicas": 20, "expected_max_replicas": 12}, "its maximum is 10, expected_max_replicas says 12"),
        ({"max_replicas": 20, "expected_min_replicas": 1}, "its minimum is 2, expected_min_replicas says 1"),
    ],
)
def test_guards(limit: Limit, options: dict[str, int], said: str) -> None:
    cluster = scene()
    assert said in limit(cluster, target="web", **options)["msg"]
    assert cluster.stored == []
    assert not limit(cluster, target="web", **{**options, "max_replicas": 10})["changed"], "nothing would change"


def test_room_for_the_new_maximum(limit: Limit) -> None:
    quota = {
        "kind": "ResourceQuota",
        "metadata": {"name": "q", "namespace": NAMESPACE},
        "status": {"hard": {"requests.memory": "8Gi"}, "used": {"requests.memory": "1536Mi"}},
    }
    cluster = scene(3, quota)
    result = limit(cluster, target="web", max_replicas=20)
    assert "20 replicas cannot run, 3 do: ResourceQuota q has 6.5Gi" in result["msg"].replace("6656Mi", "6.5Gi")
    assert limit(cluster, target="web", max_replicas=16)["changed"]
    assert limit(cluster, target="web", max_replicas=20, check_capacity=False)["changed"]


def test_what_it_scales_is_not_there_or_not_known(limit: Limit) -> None:
    gone = FakeScalable(hpa())
    result = limit(gone, name="web-hpa", max_replicas=20)
    assert (result["changed"], result["warnings_about"][0]["id"]) == (True, "target_missing")
    custom = hpa()
    custom["spec"]["scaleTargetRef"] = {"apiVersion": "example.org/v1", "kind": "Rollout", "name": "web"}
    result = limit(FakeScalable(custom), name="web-hpa", max_replicas=5)
    assert (result["changed"], result["warnings_about"][0]["id"]) == (True, "target_unverified")
    assert result["replicas"] == {"before": None, "expected": None}


def test_who_else_sets_the_limits(limit: Limit) -> None:
    cluster = scene()
    cluster.store[HPA, "web-hpa"]["metadata"]["labels"] = {"argocd.argoproj.io/instance": "shop"}
    assert limit(cluster, target="web", max_replicas=20)["warnings_about"][0]["id"] == "argocd"


def test_missing_rights_are_named(limit: Limit) -> None:
    cluster = scene()
    cluster.errors["patch", HPA] = lacking("patch", "horizontalpodautoscalers")
    assert "lacks the verb 'patch'" in limit(cluster, target="web", max_replicas=20)["msg"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"target": "web"}, "one of the following is required: min_replicas, max_replicas"),
        ({"max_replicas": 3}, "one of the following is required: name, target"),
        ({"target": " ", "max_replicas": 3}, "target is empty"),
        ({"target": "web", "min_replicas": 0}, "min_replicas is 0"),
        ({"namespace": "elsewhere", "target": "web", "max_replicas": 3}, "namespace elsewhere does not exist"),
    ],
)
def test_bad_input(limit: Limit, options: dict[str, Any], said: str) -> None:
    cluster = scene()
    assert said in limit(cluster, **options)["msg"]
    assert cluster.stored == []

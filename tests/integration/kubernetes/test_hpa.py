# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""hpa_limits and hpa_status on a real API server with the real controller of autoscalers, beside kubectl."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_limits, hpa_status
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from tests.integration.kubernetes.rollout_scene import Scene, eventually
from tests.integration.kubernetes.scaling_scene import autoscale, containers, limits, quota, replicas, watched, whole

pytestmark = [pytest.mark.lab]


@pytest.fixture
def scene(cluster: Any) -> Scene:
    """``web`` with an autoscaler ``web-hpa``, and an autoscaler ``web`` that scales ``other``."""
    made = Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())
    for name in ("web", "other"):
        made.deploy("web:1", name=name, pod=containers())
    autoscale(made)
    autoscale(made, name="web", target="other")
    return made


def limit(scene: Scene, **options: Any) -> dict[str, Any]:
    return scene.run(hpa_limits, **{"wait_seconds": 60, **options})


def status(scene: Scene, **options: Any) -> dict[str, str]:
    return {check["id"]: check["status"] for check in scene.run(hpa_status, **options)["checks"]}


def test_cycle_beside_a_neighbour(scene: Scene) -> None:
    before = whole(scene)
    plan = limit(scene, target="web", max_replicas=20, check=True)
    assert (plan["changed"], plan["after"], whole(scene)) == (True, None, before)
    done = limit(scene, target="web", max_replicas=20)
    assert (done["changed"], done["planned"], done["undo"]) == (True, plan["planned"], plan["undo"])
    path = "jsonpath={.spec.minReplicas} {.spec.maxReplicas}"
    assert scene.kubectl("get", "hpa", "web-hpa", "-o", path) == "2 20"
    assert not limit(scene, target="web", max_replicas=20)["changed"]
    assert limit(scene, **done["undo"], expected_max_replicas=20)["changed"]
    assert whole(scene) == before


def test_a_lower_maximum_removes_pods_at_once_as_the_refusal_says(scene: Scene) -> None:
    scene.kubectl("scale", "deployment/web", "--replicas=5")
    scene.settle()
    watched(scene, 5)
    with pytest.raises(RefusedError, match="5 replicas run, a maximum of 3 removes 2 of them at once"):
        limit(scene, target="web", max_replicas=3)
    assert (limits(scene), replicas(scene)) == ((2, 10), 5)
    done = limit(scene, target="web", max_replicas=3, allow_shrink=True)
    assert done["replicas"] == {"before": 5, "expected": 3}
    assert (replicas(scene), done["rollout"]["available"]) == (3, 3)


def test_a_higher_minimum_is_awaited_until_the_pods_are_up(scene: Scene) -> None:
    done = limit(scene, target="web", min_replicas=4)
    assert done["rollout"]["state"] == "complete"
    assert scene.kubectl("get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}") == "4"


def test_refusals_change_nothing(scene: Scene) -> None:
    before = whole(scene)
    with pytest.raises(RefusedError, match="the maximum of 1 would be below the minimum of 2"):
        limit(scene, target="web", max_replicas=1)
    with pytest.raises(
        InputError, match=r"no HorizontalPodAutoscaler identity-service-hpa .* web-hpa \(Deployment web"
    ):
        limit(scene, name="identity-service-hpa", max_replicas=20)
    with pytest.raises(InputError, match="does not exist"):
        limit(scene.beside("no-such-namespace"), name="web-hpa", max_replicas=20)
    quota(scene, pods="10")
    with pytest.raises(RefusedError, match="room has 6 of 10 pods left, 18 more are needed"):
        limit(scene, target="web", max_replicas=20)
    narrow = scene.user("narrow", [("get,list", "deployments.apps,horizontalpodautoscalers.autoscaling")])
    with pytest.raises(
        ForbiddenError, match=r"lacks the verb 'patch' on resource 'horizontalpodautoscalers.autoscaling'"
    ):
        limit(scene, target="web", max_replicas=5, api_key=narrow)
    assert whole(scene) == before


def test_status_as_the_real_controller_says(scene: Scene) -> None:
    autoscale(scene, name="lost", target="no-such-workload")
    watched(scene, 2)
    watched(scene, 2, "web")

    def lost() -> bool:
        return status(scene)["hpa.lost.able"] == "fail"

    eventually("the autoscaler says that its workload is not there", lost)
    result = scene.run(hpa_status, targets=["web"], names=["identity-service-hpa"])
    found = {check["id"]: check for check in result["checks"]}
    assert found["hpa.web-hpa.able"]["status"] == found["hpa.web-hpa.room"]["status"] == "pass"
    assert found["hpa.web-hpa.metrics"]["status"] == "unverified", "these pods have no metrics"
    assert found["hpa.identity-service-hpa.exists"]["status"] == "fail"
    assert "lost (for Deployment no-such-workload)" in found["hpa.identity-service-hpa.exists"]["hint"]
    (row,) = result["autoscalers"]
    own = json.loads(scene.kubectl("get", "hpa", "web-hpa", "-o", "json"))
    assert row["current_replicas"] == own["status"]["currentReplicas"] == 2
    assert (row["desired_replicas"], row["metrics"][0]["current"]) == (None, None)


def test_at_its_maximum(scene: Scene) -> None:
    scene.kubectl("scale", "deployment/web", "--replicas=10")
    scene.settle()
    watched(scene, 10)
    result = scene.run(hpa_status, targets=["web"])
    assert result["verdict"] == "fail"
    assert ("autoscaler_at_maximum", ["web"]) in [(one["cause"], one["affects"]) for one in result["findings"]]


def test_an_empty_or_absent_namespace_is_no_success(scene: Scene, cluster: Any) -> None:
    assert status(scene.beside(cluster.namespace())) == {"hpas": "fail"}
    with pytest.raises(InputError, match="does not exist"):
        status(scene.beside("no-such-namespace"))
    assert status(scene, api_key=scene.user("nobody", [])) == {"hpas": "unverified"}

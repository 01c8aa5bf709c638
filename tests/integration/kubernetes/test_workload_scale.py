# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_scale on a real API server with the real controllers of Deployments and autoscalers, beside kubectl."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_status, workload_scale
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from tests.integration.kubernetes.rollout_scene import NOWHERE, Scene, eventually
from tests.integration.kubernetes.scaling_scene import (
    HPA,
    RESTRICTED,
    autoscale,
    containers,
    create,
    ids,
    limits,
    most_of,
    quota,
    replicas,
    watched,
    whole,
)

pytestmark = [pytest.mark.lab]


@pytest.fixture
def scene(cluster: Any) -> Scene:
    made = Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())
    made.deploy("web:1", pod=containers())
    return made


def scale(scene: Scene, name: str = "web", **options: Any) -> dict[str, Any]:
    return scene.run(workload_scale, name=name, **{"wait_seconds": 60, **options})


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_cycle_beside_neighbours(scene: Scene, cluster: Any, kind: str) -> None:
    neighbour = scene.beside(cluster.namespace())
    for one in (scene, neighbour):
        one.deploy("web:1", kind, name="store", labels={"app": "web", "tier": "store"})
    others = neighbour.snapshot(), scene.snapshot()["Deployment/web"]
    before = whole(scene)
    options = {"kind": kind, "name": "store", "at_least": 3}

    plan = scale(scene, check=True, **options)
    assert (plan["changed"], plan["after"]) == (True, None)
    assert whole(scene) == before

    done = scale(scene, **options)
    assert done["changed"]
    assert {key: done[key] for key in ("action", "planned", "undo")} == {
        key: plan[key] for key in ("action", "planned", "undo")
    }
    path = "jsonpath={.spec.replicas} {.status.readyReplicas}"
    assert scene.kubectl("get", kind.lower(), "store", "-o", path) == "3 3"
    assert done["after"] == {"replicas": 3, "ready_replicas": 3, "available_replicas": 3}

    generation = scene.one(kind, "store")["metadata"]["generation"]
    assert not scale(scene, **options)["changed"]
    assert scene.one(kind, "store")["metadata"]["generation"] == generation

    back = scale(scene, kind=kind, name="store", replicas=done["undo"]["replicas"], expected_replicas=3)
    assert (back["changed"], replicas(scene, "store", kind)) == (True, 2)
    assert (neighbour.snapshot(), scene.snapshot()["Deployment/web"]) == others


def test_at_least_does_not_shrink_where_kubectl_does(scene: Scene) -> None:
    scale(scene, replicas=5)
    assert not scale(scene, at_least=3)["changed"]
    assert replicas(scene) == 5
    scene.kubectl("scale", "deployment/web", "--replicas=3")
    assert replicas(scene) == 3, "what the module spares its users"


def test_the_autoscaler_undoes_what_kubectl_does_and_keeps_what_is_adapted(scene: Scene) -> None:
    autoscale(scene)
    autoscale(scene, name="web", target="other")
    watched(scene, 2)
    before = whole(scene)
    with pytest.raises(RefusedError, match="would cut 14 to its maximum of 10"):
        scale(scene, replicas=14)
    assert whole(scene) == before

    scene.kubectl("scale", "deployment/web", "--replicas=14")
    eventually("the autoscaler has cut it to 10", lambda: replicas(scene) == 10)

    plan = scale(scene, replicas=14, hpa="adapt", check=True)
    assert plan["planned"] == {
        "replicas": 14,
        "autoscaler": {"name": "web-hpa", "min_replicas": 14, "max_replicas": 14},
    }
    assert (replicas(scene), limits(scene)) == (10, (2, 10))
    done = scale(scene, replicas=14, hpa="adapt")
    assert (done["changed"], done["after"]["ready_replicas"], limits(scene)) == (True, 14, (14, 14))
    watched(scene, 14)
    assert replicas(scene) == 14, "the autoscaler has looked since, and keeps it"
    assert not scale(scene, replicas=14, hpa="adapt")["changed"]
    assert limits(scene, "web") == (2, 10), "the autoscaler with the name of the workload scales another"


def test_zero_switches_the_autoscaler_off(scene: Scene) -> None:
    autoscale(scene)
    watched(scene, 2)
    with pytest.raises(RefusedError, match="allow_zero"):
        scale(scene, replicas=0)
    done = scale(scene, replicas=0, allow_zero=True)
    assert (done["changed"], ids(done), done["rollout"]["reason"]) == (True, {"hpa_switched_off"}, "ScaledToZero")

    def off() -> bool:
        found = scene.run(hpa_status, targets=["web"])["findings"]
        return [one["cause"] for one in found] == ["autoscaler_switched_off"]

    eventually("the autoscaler says that it is off", off)
    back = scale(scene, at_least=1)
    assert (back["after"]["replicas"], ids(back)) == (2, {"hpa_switched_on"})


def test_who_applies_the_manifest_resets_it_as_the_warning_says(scene: Scene) -> None:
    wanted = scene.one("Deployment")
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "applied", "namespace": scene.namespace},
        "spec": {key: wanted["spec"][key] for key in ("replicas", "selector", "template")},
    }
    create(scene, manifest, "apply")
    scene.settle(name="applied")
    done = scale(scene, "applied", at_least=6)
    assert "manifest that says replicas 2" in done["warnings_about"][0]["text"]
    create(scene, manifest, "apply")
    assert replicas(scene, "applied") == 2
    assert ids(scale(scene, "applied", at_least=3)) == {"kubectl_apply"}


def test_a_quota_refuses_what_kubectl_would_begin(scene: Scene) -> None:
    quota(scene, requests_cpu="350m")
    before = whole(scene)
    with pytest.raises(RefusedError, match=r"room has 150m of 350m requests.cpu left, 300m more are needed"):
        scale(scene, at_least=5)
    assert whole(scene) == before
    assert scale(scene, at_least=3)["after"]["ready_replicas"] == 3
    with pytest.raises(RunbookError, match="is scaled to 5 replicas, and they are not up: QuotaExceeded") as caught:
        scale(scene, at_least=5, check_capacity=False, fail_after_seconds=1)
    assert caught.value.details["undo"]["replicas"] == 3


def test_pods_that_admission_forbids_are_not_begun(scene: Scene) -> None:
    scene.kubectl("label", "namespace", scene.namespace, RESTRICTED)
    with pytest.raises(RefusedError, match='violates PodSecurity "restricted'):
        scale(scene, at_least=3)
    assert replicas(scene) == 2
    assert scale(scene, replicas=1)["changed"]


def test_pods_that_no_node_takes(scene: Scene) -> None:
    scene.deploy("web:1", name="homeless", pod=NOWHERE, settle=False, replicas=0)
    with pytest.raises(RunbookError, match="Unschedulable") as caught:
        scale(scene, "homeless", replicas=1, unschedulable_seconds=1)
    assert ids(caught.value.details) == {"node_room"}
    assert caught.value.details["changed"]


def test_more_than_the_nodes_have_is_a_warning(scene: Scene) -> None:
    """Pods of which a node takes one, since it has not room for two."""
    more_than_half = most_of(scene, "memory") * 3 // 5
    scene.deploy("web:1", name="large", pod=containers(resources={"requests": {"memory": f"{more_than_half}Gi"}}))
    plan = scale(scene, "large", at_least=50, check=True)
    assert ids(plan) == {"node_room"}
    nodes = len(scene.kubectl("get", "nodes", "-l", "type=kwok", "-o", "name").split())
    fits = plan["capacity"]["node_room"]
    assert (fits["nodes"], fits["pods"]) == (nodes, nodes)


def test_missing_rights_are_named_and_nothing_is_changed(scene: Scene) -> None:
    token = scene.user("narrow", [("get,list", "deployments.apps,horizontalpodautoscalers.autoscaling")])
    before = whole(scene)
    with pytest.raises(ForbiddenError, match=r"lacks the verb 'patch' on resource 'deployments/scale.apps'"):
        scale(scene, at_least=3, api_key=token)
    assert whole(scene) == before


def test_few_rights_are_enough(scene: Scene) -> None:
    rules = [
        ("get,list", "deployments.apps,horizontalpodautoscalers.autoscaling"),
        ("patch", "deployments.apps/scale"),
        ("list", "pods,replicasets.apps"),
    ]
    done = scale(scene, at_least=3, api_key=scene.user("scaler", rules))
    assert done["changed"]
    assert ids(done) == {"capacity_unverified"}
    assert len(done["warnings_about"]) == 3


def test_others_write_all_the_time(scene: Scene) -> None:
    stop = threading.Event()

    def annotate() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            scene.kubectl("annotate", "deployment/web", f"note={number}", "--overwrite")

    writer = threading.Thread(target=annotate)
    writer.start()
    try:
        for number in (3, 4, 5, 2):
            assert scale(scene, replicas=number)["after"]["ready_replicas"] == number
    finally:
        stop.set()
        writer.join()


def test_wrong_names(scene: Scene) -> None:
    with pytest.raises(InputError, match="There are: web"):
        scale(scene, "wbe", at_least=3)
    with pytest.raises(InputError, match="does not exist"):
        scale(scene.beside("no-such-namespace"), at_least=3)
    assert scene.get(HPA, "web") is None

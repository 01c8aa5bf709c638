# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_set on a real API server with real controllers, beside kubectl set image, env and resources."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import rollout_undo, workload_set
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from tests.integration.kubernetes.rollout_scene import NOWHERE, RESOURCES, Scene, eventually
from tests.integration.kubernetes.scaling_scene import (
    RESTRICTED,
    autoscale,
    containers,
    create,
    ids,
    most_of,
    quota,
    revision,
    whole,
)

pytestmark = [pytest.mark.lab]
SECRET = {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "db", "key": "password"}}}
POD = containers(env=[{"name": "LOG_LEVEL", "value": "info"}, SECRET])


@pytest.fixture
def scene(cluster: Any) -> Scene:
    made = Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())
    made.deploy("web:1", pod=POD)
    return made


def put(scene: Scene, name: str = "web", kind: str = "Deployment", **options: Any) -> dict[str, Any]:
    """Options of the container ``main``, or of the module."""
    shared = {key: options.pop(key) for key in list(options) if key in workload_set.SPEC.options or key in SWITCHES}
    rows = [{"name": "main", **options}] if options else []
    return scene.run(workload_set, **{"name": name, "kind": kind, "containers": rows, "wait_seconds": 60, **shared})


SWITCHES = ("check", "diff")
ASKED: dict[str, Any] = {
    "image": "web:2",
    "env": [{"name": "THREADS", "value": "4"}],
    "env_absent": ["LOG_LEVEL"],
    "requests": {"memory": "128Mi"},
    "limits": {"memory": "256Mi", "cpu": "1"},
}


@pytest.mark.parametrize("kind", list(RESOURCES))
def test_the_same_template_as_kubectl_in_one_rollout(scene: Scene, cluster: Any, kind: str) -> None:
    oracle = scene.beside(cluster.namespace())
    for one in (scene, oracle):
        one.deploy("web:1", kind, "store", pod=POD, labels={"app": "web", "tier": "store"})
    neighbour = scene.snapshot()["Deployment/web"]
    before = whole(scene)
    options = {"kind": kind, "name": "store", **ASKED}

    plan = put(scene, check=True, diff=True, **options)
    assert (plan["changed"], whole(scene)) == (True, before)
    done = put(scene, diff=True, **options)
    assert (done["changed"], done["rollout"]["state"]) == (True, "complete")
    same = ("action", "summary", "before", "planned", "undo", "diff")
    assert {key: done[key] for key in same} == {key: plan[key] for key in same}

    target = f"{RESOURCES[kind]}/store"
    oracle.kubectl("set", "image", target, "main=web:2")
    oracle.kubectl("set", "env", target, "THREADS=4", "LOG_LEVEL-")
    oracle.kubectl("set", "resources", target, "--requests=memory=128Mi", "--limits=memory=256Mi,cpu=1")
    ours, theirs = (one.one(kind, "store")["spec"]["template"]["spec"]["containers"][0] for one in (scene, oracle))
    for container in (ours, theirs):
        container["env"].sort(key=lambda row: row["name"])
    assert ours == theirs
    generations = [one.one(kind, "store")["metadata"]["generation"] for one in (scene, oracle)]
    assert generations[0] == 2 < generations[1], "one rollout instead of three"

    assert done["revisions"]["after"]["name"] != done["revisions"]["before"]["name"]
    again = {**options, "limits": {"memory": 268435456, "cpu": "1000m"}}
    assert not put(scene, **again)["changed"]
    assert scene.one(kind, "store")["metadata"]["generation"] == 2
    assert scene.snapshot()["Deployment/web"] == neighbour


def test_back_by_the_options_and_back_by_the_revision(scene: Scene) -> None:
    def template() -> Any:
        return scene.one("Deployment")["spec"]["template"]["spec"]["containers"]

    first = template()
    options = {"image": "web:2", "env": [{"name": "THREADS", "value": "4"}], "limits": {"memory": "256Mi"}}
    done = put(scene, **options, change_cause="load test")
    assert "load test" in scene.kubectl("rollout", "history", "deployment/web")
    planned = put(scene, check=True, containers=done["undo"]["containers"])
    assert planned["revisions"]["after"]["name"] == done["undo"]["revision"], "the same ReplicaSet comes back"
    assert put(scene, containers=done["undo"]["containers"])["changed"]
    assert template() == first
    again = put(scene, **options)
    scene.run(rollout_undo, kind="Deployment", name="web", to_name=again["undo"]["revision"])
    assert template() == first


def test_a_no_op_makes_no_revision(scene: Scene) -> None:
    result = put(scene, image="web:1", requests={"cpu": "0.1"})
    assert (result["changed"], ids(result), revision(scene)) == (False, {"same_image"}, 1)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"image": "web:2", "expected_current_image": "web:0"}, RefusedError, "container main runs web:1"),
        ({"image": "web:2", "expected_current_revision": "9"}, RefusedError, "is at revision 1"),
        ({"env_absent": ["DB_PASSWORD"]}, RefusedError, "key password of Secret db"),
        ({"env": [{"name": "API_TOKEN", "value": "hunter22"}]}, InputError, "looks like a secret"),
        ({"containers": [{"name": "app", "image": "web:2"}]}, InputError, "has no container app; it has main"),
        ({"name": "wbe", "image": "web:2"}, InputError, "There are: web"),
    ],
)
@pytest.mark.parametrize("check", [True, False])
def test_refusals_change_nothing(
    scene: Scene, options: dict[str, Any], error: type[Exception], said: str, check: bool
) -> None:
    before = whole(scene)
    with pytest.raises(error, match=said):
        put(scene, check=check, **options)
    assert whole(scene) == before


@pytest.mark.parametrize("check", [True, False])
def test_what_no_node_has_is_refused(scene: Scene, check: bool) -> None:
    before = whole(scene)
    cpu, memory = most_of(scene, "cpu"), most_of(scene, "memory")
    with pytest.raises(RefusedError, match=f"requests {cpu + 1} cpu, the largest node that may take it has {cpu}\\b"):
        put(scene, check=check, requests={"cpu": str(cpu + 1)})
    with pytest.raises(RefusedError, match=f"limit of {memory + 1}Gi memory is above what the largest node has"):
        put(scene, check=check, limits={"memory": f"{memory + 1}Gi"})
    assert whole(scene) == before


def test_paused_is_refused(scene: Scene) -> None:
    scene.kubectl("rollout", "pause", "deployment/web")
    with pytest.raises(RefusedError, match="is paused"):
        put(scene, image="web:2")


def test_a_limit_range_is_asked_before(scene: Scene) -> None:
    limit = {"type": "Container", "min": {"memory": "32Mi"}, "max": {"memory": "1Gi"}}
    create(
        scene, {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "range"}, "spec": {"limits": [limit]}}
    )
    with pytest.raises(RefusedError, match="maximum memory usage per Container is 1Gi, but limit is 2Gi"):
        put(scene, limits={"memory": "2Gi"})
    with pytest.raises(RefusedError, match="minimum memory usage per Container is 32Mi, but request is 16Mi"):
        put(scene, requests={"memory": "16Mi"})
    assert put(scene, limits={"memory": "1Gi"})["changed"]


def test_pods_that_are_forbidden_are_not_begun_and_otherwise_noticed(scene: Scene) -> None:
    scene.kubectl("label", "namespace", scene.namespace, RESTRICTED)
    with pytest.raises(RefusedError, match="violates PodSecurity"):
        put(scene, image="web:2")
    assert scene.image() == "web:1"
    with pytest.raises(RunbookError, match="its rollout did not end well: PodSecurity") as caught:
        put(scene, image="web:2", check_capacity=False, fail_after_seconds=1)
    told = caught.value.details
    assert (told["changed"], scene.image()) == (True, "web:2")
    assert told["undo"]["revision"] == told["revisions"]["before"]["name"]


def test_the_quota_is_counted_to_the_last_pod_of_the_update(scene: Scene) -> None:
    """Two pods of 100m with one more first: 150m peaks at 2 x 150m + 100m = 400m."""
    quota(scene, requests_cpu="400m")
    with pytest.raises(RefusedError, match=r"200m of 400m requests.cpu left, 220m more are needed"):
        put(scene, requests={"cpu": "160m"})
    assert put(scene, requests={"cpu": "150m"})["rollout"]["state"] == "complete"
    scene.kubectl("rollout", "undo", "deployment/web")
    scene.settle()
    with pytest.raises(RunbookError, match="QuotaExceeded"):
        put(scene, requests={"cpu": "160m"}, check_capacity=False, fail_after_seconds=2)


def test_pods_that_no_node_takes_end_the_wait(scene: Scene) -> None:
    scene.deploy("web:1", name="homeless", pod={**NOWHERE, **POD}, settle=False)
    with pytest.raises(RunbookError, match="Unschedulable") as caught:
        put(scene, "homeless", image="web:2", unschedulable_seconds=1)
    assert ids(caught.value.details) == {"node_room"}


def test_missing_and_few_rights(scene: Scene) -> None:
    before = whole(scene)
    narrow = scene.user("narrow", [("get,list", "deployments.apps,replicasets.apps")])
    with pytest.raises(ForbiddenError, match=r"lacks the verb 'patch' on resource 'deployments.apps'"):
        put(scene, image="web:2", api_key=narrow)
    assert whole(scene) == before
    enough = scene.user("setter", [("get,patch", "deployments.apps"), ("list", "replicasets.apps,pods")])
    done = put(scene, image="web:2", api_key=enough)
    assert (done["changed"], ids(done)) == (True, {"capacity_unverified"})


def test_an_autoscaler_that_goes_by_the_request(scene: Scene) -> None:
    autoscale(scene)
    assert ids(put(scene, check=True, requests={"cpu": "200m"})) == {"autoscaler_utilization"}


def test_others_write_all_the_time_and_theirs_is_kept(scene: Scene) -> None:
    stop = threading.Event()

    def annotate() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            scene.kubectl("annotate", "deployment/web", f"note={number}", "--overwrite")

    writer = threading.Thread(target=annotate)
    writer.start()
    try:
        for number in (2, 3):
            assert put(scene, image=f"web:{number}")["changed"]
    finally:
        stop.set()
        writer.join()
    assert scene.image() == "web:3"
    assert int(scene.one("Deployment")["metadata"]["annotations"]["note"]) > 1


def test_without_a_wait_the_revision_may_not_be_there_yet(scene: Scene) -> None:
    done = put(scene, image="web:2", wait_seconds=0)
    assert (done["changed"], done["rollout"]) == (True, None)
    eventually("the rollout goes on by itself", lambda: revision(scene) == 2)

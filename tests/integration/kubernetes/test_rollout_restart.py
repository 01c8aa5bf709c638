# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_restart on a real API server with real controllers, beside kubectl, with neighbours that stay as they are."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import rollout_restart
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from lab.layout import LabError
from tests.integration.kubernetes.rollout_scene import KWOK, NOWHERE, RESOURCES, Scene, eventually, relay

pytestmark = [pytest.mark.lab]
ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)
AT, TOKEN = "kubectl.kubernetes.io/restartedAt", "sre.runbooks/restart-token"


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def restart(scene: Scene, *names: str, **options: Any) -> dict[str, Any]:
    token = {} if "not_before" in options or "restart_token" in options else {"restart_token": "INC-1"}
    waits = {"wait_seconds": 60, "fail_after_seconds": 1, "unschedulable_seconds": 1, "crash_loop_restarts": 1}
    return scene.run(rollout_restart, names=list(names or ["web"]), **token, **{**waits, **options})


def marks(scene: Scene, kind: str = "Deployment", name: str = "web") -> dict[str, str]:
    found: dict[str, str] = scene.one(kind, name)["spec"]["template"]["metadata"].get("annotations") or {}
    return found


def pods(scene: Scene, app: str = "web") -> set[str]:
    """The uids of the pods of an app that are there to stay."""
    return {
        one["metadata"]["uid"]
        for one in scene.all("Pod")
        if one["metadata"]["labels"]["app"] == app and not one["metadata"].get("deletionTimestamp")
    }


def refused(scene: Scene, *names: str, **options: Any) -> str:
    """The message; the same in check mode, and nothing is changed by either."""
    before = scene.snapshot()
    with pytest.raises(RefusedError) as checked:
        restart(scene, *names, check=True, **options)
    with pytest.raises(RefusedError) as told:
        restart(scene, *names, **options)
    assert (scene.snapshot(), told.value.message) == (before, checked.value.message)
    return told.value.message


def protect(scene: Scene, name: str, app: str, minimum: int) -> None:
    scene.kubectl("create", "pdb", name, f"--selector=app={app}", f"--min-available={minimum}")
    eventually(
        "the budget is counted",
        lambda: scene.one("PodDisruptionBudget", name).get("status", {}).get("observedGeneration") == 1,
    )


# -- as kubectl does


@ALL_KINDS
def test_the_same_template_as_kubectl(scene: Scene, cluster: Any, kind: str) -> None:
    other = scene.beside(cluster.namespace())
    for place in (scene, other):
        place.deploy("web:1", kind, settle=True)
    before = pods(scene)
    result = restart(scene, kind=kind)
    other.kubectl("rollout", "restart", f"{RESOURCES[kind]}/web")
    other.settle(kind)

    ours, theirs = scene.one(kind)["spec"], other.one(kind)["spec"]
    own = ours["template"]["metadata"].pop("annotations")
    assert own == {AT: result["restarted_at"], TOKEN: "INC-1"}
    assert set(theirs["template"]["metadata"].pop("annotations")) == {AT}
    assert ours == theirs
    assert (result["changed"], result["rollouts"][0]["state"]) == (True, "complete")
    assert not before & pods(scene)
    assert "restart, token INC-1" in scene.kubectl("rollout", "history", f"{RESOURCES[kind]}/web")


@ALL_KINDS
def test_a_relaunch_restarts_nothing(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind, settle=True)
    restart(scene, kind=kind)
    before, there = scene.snapshot(), pods(scene)
    again = restart(scene, kind=kind)
    assert (again["changed"], again["unchanged"]) == (False, ["web"])
    assert (scene.snapshot(), pods(scene)) == (before, there)
    # kubectl has no such thing: it restarts once more, or fails within the same second.
    assert restart(scene, kind=kind, restart_token="INC-2")["changed"]
    assert not pods(scene) & there


def test_two_restarts_within_a_second(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    for token in ("a", "b", "c"):
        assert restart(scene, restart_token=token, wait_seconds=0, during_rollout=True)["changed"]
    assert marks(scene)[TOKEN] == "c"
    scene.settle()


def test_not_before(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    time.sleep(1.1)  # the API server writes whole seconds
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    result = restart(scene, not_before=since)
    assert (result["changed"], TOKEN in marks(scene)) == (True, False)
    before = scene.snapshot()
    again = restart(scene, not_before=since)
    assert (again["changed"], again["plan"][0]["reason"]) == (False, f"restarted at {result['restarted_at']}")
    scene.deploy("web:2", settle=True)
    scene.kubectl(
        "patch",
        "deployment",
        "web",
        "--type=json",
        "-p",
        json.dumps([{"op": "remove", "path": "/spec/template/metadata/annotations"}]),
    )
    scene.settle()
    deployed = restart(scene, not_before=since)
    assert (deployed["changed"], deployed["plan"][0]["reason"]) == (False, "all its pods were made since")
    assert scene.snapshot() != before


def test_undo_after_a_restart_rolls_nothing_back(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", settle=True)
    restart(scene)
    scene.kubectl("rollout", "undo", "deployment/web")
    assert scene.image() == "web:2"


# -- refused beforehand


def test_paused_is_refused_as_by_kubectl(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.kubectl("rollout", "pause", "deployment/web")
    assert "web: it is paused" in refused(scene)
    with pytest.raises(LabError, match="can't restart paused deployment"):
        scene.kubectl("rollout", "restart", "deployment/web")


def test_what_kubectl_would_not_refuse(scene: Scene) -> None:
    scene.deploy("web:1", "DaemonSet", updateStrategy={"type": "OnDelete"})
    assert "OnDelete" in refused(scene, kind="DaemonSet")
    scene.kubectl("rollout", "restart", "daemonset/web")
    scene.deploy("web:1", replicas=0, settle=True)
    assert "0 replicas" in refused(scene)
    scene.deploy("web:1", "StatefulSet", updateStrategy={"rollingUpdate": {"partition": 1}}, settle=True)
    assert "partition 1" in refused(scene, kind="StatefulSet")
    assert restart(scene, kind="StatefulSet", allow_partition=True)["rollouts"][0]["reason"] == "Partitioned"


def test_one_refused_workload_leaves_all_alone(scene: Scene) -> None:
    scene.deploy("a:1", name="a", settle=True)
    scene.deploy("b:1", name="b", settle=True)
    scene.kubectl("rollout", "pause", "deployment/b")
    said = refused(scene, "a", "b", "nope")
    assert "b: it is paused" in said
    assert "nope: it does not exist" in said
    with pytest.raises(InputError, match="namespace no-such does not exist"):
        restart(scene, namespace="no-such")


def test_a_rollout_under_way(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    eventually("it is under way", lambda: scene.one("Deployment")["status"].get("updatedReplicas") == 1)
    assert "a rollout is under way" in refused(scene)


def test_expected_image(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    assert "it has web:1, not web:2" in refused(scene, expected_images={"web": "web:2"})
    assert restart(scene, expected_images={"web": {"main": "web:1"}})["changed"]


def test_a_disruption_budget(scene: Scene) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    scene.deploy("web:1", strategy=rolling, settle=True)
    protect(scene, "web-pdb", "web", 2)
    said = refused(scene)
    assert "PodDisruptionBudget web-pdb allows 0 disruptions now (2 pods healthy, 2 needed)" in said
    scene.kubectl("rollout", "restart", "deployment/web")  # rc 0: controllers do not ask the budget
    scene.settle()
    scene.kubectl("patch", "pdb", "web-pdb", "-p", '{"spec":{"minAvailable":1}}')
    eventually(
        "a disruption is allowed",
        lambda: scene.one("PodDisruptionBudget", "web-pdb")["status"]["disruptionsAllowed"] == 1,
    )
    assert restart(scene)["changed"]


def test_a_budget_that_the_strategy_keeps_is_no_obstacle(scene: Scene) -> None:
    """The runbook's services: two replicas, surge one, unavailable none."""
    scene.deploy("web:1", settle=True)
    protect(scene, "web-pdb", "web", 2)
    protect(scene, "others", "other", 2)
    result = restart(scene)
    assert (result["changed"], result["plan"][0]["may_take_down"]) == (True, 0)
    assert [one["name"] for one in result["plan"][0]["budgets"]] == ["web-pdb"]


def test_pods_that_admission_would_refuse(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.kubectl("label", "namespace", scene.namespace, "pod-security.kubernetes.io/enforce=restricted")
    assert "would refuse its new pods: violates PodSecurity" in refused(scene)
    scene.kubectl("rollout", "restart", "deployment/web")  # rc 0, and stuck
    with pytest.raises(LabError, match="timed out"):
        scene.kubectl("rollout", "status", "deployment/web", "--timeout=2s")


# -- done


def test_check_mode_changes_nothing(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    before = scene.snapshot()
    result = restart(scene, check=True, diff=True)
    assert (result["changed"], result["restarted"], scene.snapshot()) == (True, ["web"], before)
    assert TOKEN in result["diff"][0]["after"]
    assert restart(scene)["plan"] == result["plan"]


@pytest.fixture
def special_node(scene: Scene) -> Iterator[dict[str, Any]]:
    """A pod spec for one node that can lose the label it is chosen by: then new pods find no place."""
    label = f"special-{scene.namespace}"
    scene.kubectl("label", "node", "kwok-0", f"{label}=yes")
    yield {**KWOK, "nodeSelector": {label: "yes"}}
    scene.kubectl("label", "node", "kwok-0", f"{label}-")


def test_stops_at_the_first_that_does_not_come_back(scene: Scene, special_node: dict[str, Any]) -> None:
    for name in ("a", "c", "d"):
        scene.deploy(f"{name}:1", name=name, settle=True)
    scene.deploy("b:1", name="b", pod=special_node, settle=True)
    label = next(iter(special_node["nodeSelector"]))
    scene.kubectl("label", "node", "kwok-0", f"{label}-")
    before = scene.snapshot()
    with pytest.raises(RunbookError) as failed:
        restart(scene, "a", "b", "c", "d")
    error = failed.value
    assert (error.details["restarted"], error.details["not_touched"]) == (["a", "b"], ["c", "d"])
    assert f"Deployment {scene.namespace}/b: Unschedulable" in error.message
    assert "would bring back the same one (b:1)" in error.message
    after = scene.snapshot()
    assert [key for key in before if before[key] != after[key]] == ["Deployment/a", "Deployment/b"]

    with pytest.raises(RunbookError) as again:
        restart(scene, "a", "b", "c", "d")
    assert again.value.details["changed"] is False
    assert scene.snapshot() == after

    scene.kubectl("label", "node", "kwok-0", f"{label}=yes", "--overwrite")
    done = restart(scene, "a", "b", "c", "d")
    assert (done["unchanged"], done["restarted"]) == (["a", "b"], ["c", "d"])


def test_serial(scene: Scene) -> None:
    for name in ("a", "b", "c"):
        scene.deploy(f"{name}:1", name=name, settle=True)
    told: list[str] = []
    result = restart(scene, "a", "b", "c", serial=3, progress=told.append)
    assert result["restarted"] == ["a", "b", "c"]
    assert all(one["state"] == "complete" for one in result["rollouts"])
    assert any("of 3 complete" in line for line in told)


def test_neighbours_stay(scene: Scene, cluster: Any) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("billing:1", name="billing", labels={"app": "web", "part": "billing"}, settle=True)
    scene.deploy("web:1", "StatefulSet", labels={"app": "set"}, settle=True)
    other = scene.beside(cluster.namespace())
    other.deploy("web:1", settle=True)
    before, elsewhere = scene.snapshot(), other.snapshot()
    restart(scene)
    after = scene.snapshot()
    assert [key for key in before if before[key] != after[key]] == ["Deployment/web"]
    assert other.snapshot() == elsewhere


def test_a_concurrent_writer(scene: Scene) -> None:
    """Annotations are written all the while: the lock fails, and is met by reading again."""
    scene.deploy("web:1", settle=True)
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            scene.kubectl("annotate", "deployment", "web", f"note={number}", "--overwrite")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        result = restart(scene)
    finally:
        stop.set()
        writer.join()
    assert result["changed"]
    assert marks(scene)[TOKEN] == "INC-1"
    assert len(scene.all("ReplicaSet")) == 2


def test_api_server_away_meanwhile(scene: Scene) -> None:
    labels, notes = {"lab.sre.runbooks/stage": "slow-ready"}, {"lab.sre.runbooks/ready-after": "4s"}
    slow = {"metadata": {"labels": labels, "annotations": notes}}
    scene.deploy("web:1", settle=True)
    scene.kubectl("patch", "deployment", "web", "-p", json.dumps({"spec": {"template": slow}}))
    scene.settle()
    with relay(scene) as between:
        timers = [threading.Timer(2.0, between.cut), threading.Timer(5.0, between.mend)]
        for timer in timers:
            timer.start()
        result = restart(scene, host=between.url, validate_certs=False)
        for timer in timers:
            timer.join()
    assert (result["changed"], result["rollouts"][0]["state"]) == (True, "complete")


# -- rights


def test_rights(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    before = scene.snapshot()
    reader = scene.user("reader", [("get,list", "deployments"), ("list", "poddisruptionbudgets.policy")])
    for check in (True, False):
        expected = ForbiddenError if check else RunbookError
        with pytest.raises(expected, match=r"lacks the verb 'patch' on resource 'deployments.apps'"):
            restart(scene, api_key=reader, check=check)
    blind = scene.user("blind", [("get,list,patch", "deployments")])
    said = refused(scene, api_key=blind)
    assert "lacks the verb 'list' on resource 'poddisruptionbudgets.policy'" in said
    assert scene.snapshot() == before
    result = restart(scene, api_key=blind, disruption_budgets="ignore")
    assert (result["changed"], [one["id"] for one in result["warnings_about"]]) == (True, ["admission_unverified"])

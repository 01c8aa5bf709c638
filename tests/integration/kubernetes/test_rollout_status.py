# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_status on a real API server with real controllers, beside kubectl, also where kubectl calls it success."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import rollout_status
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from lab.layout import LabError
from tests.integration.kubernetes.rollout_scene import KWOK, NOWHERE, RESOURCES, Object, Scene, eventually, relay

pytestmark = [pytest.mark.lab]
ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)
STAGE = "lab.sre.runbooks/stage"
QUICK = {"wait_seconds": 60, "fail_after_seconds": 1, "unschedulable_seconds": 1, "crash_loop_restarts": 1}


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def look(scene: Scene, *names: str, **options: Any) -> dict[str, Any]:
    selected = {} if "selector" in options else {"names": list(names or ["web"])}
    return scene.run(rollout_status, **selected, **options)


def kubectl_waits(scene: Scene, kind: str = "Deployment", seconds: int = 2, *more: str) -> tuple[bool, str]:
    """Whether ``kubectl rollout status`` calls it a success within ``seconds``, and what it says."""
    try:
        said = scene.kubectl("rollout", "status", f"{RESOURCES[kind]}/web", f"--timeout={seconds}s", *more)
    except LabError as error:
        return False, str(error)
    return True, said


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def row(result: dict[str, Any], name: str = "web") -> dict[str, Any]:
    (found,) = [one for one in result["rollouts"] if one["name"] == name]
    return dict(found)


def troubled(scene: Scene, stage: str, kind: str = "Deployment", **spec: Any) -> None:
    """A second revision whose pods get into trouble."""
    scene.deploy("web:1", kind, **spec, settle=True)
    metadata = {"labels": {STAGE: stage}, "annotations": {"lab.sre.runbooks/ready-after": "3s"}}
    template = {"metadata": metadata, "spec": {"containers": [{"name": "main", "image": "web:2"}]}}
    scene.kubectl("patch", RESOURCES[kind], "web", "-p", json.dumps({"spec": {"template": template}}))


# -- where kubectl is right


@ALL_KINDS
def test_complete_as_kubectl_says(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind, settle=True)
    scene.deploy("web:2", kind, settle=True)
    result = look(scene, kind=kind)
    assert kubectl_waits(scene, kind)[0]
    assert (result["verdict"], row(result)["state"], result["requests"]) == ("pass", "complete", 1)
    shown = scene.one(kind)
    assert row(result)["uid"] == shown["metadata"]["uid"]
    assert row(result)["observed_generation"] == shown["status"]["observedGeneration"]


@ALL_KINDS
def test_waits_as_kubectl_does(scene: Scene, kind: str) -> None:
    """The wait begins before the controller has seen the change, and ends when all pods are new."""
    scene.deploy("web:1", kind, settle=True)
    old = {one["metadata"]["uid"] for one in scene.all("Pod")}
    scene.kubectl("set", "image", f"{RESOURCES[kind]}/web", "main=web:2")
    result = look(scene, kind=kind, wait_seconds=60, expected_images={"web": "web:2"})
    assert result["verdict"] == "pass"
    assert kubectl_waits(scene, kind)[0]
    pods = [one for one in scene.all("Pod") if not one["metadata"].get("deletionTimestamp")]
    assert {one["spec"]["containers"][0]["image"] for one in pods} == {"web:2"}
    assert not old & {one["metadata"]["uid"] for one in pods}


def test_slow_pods_are_awaited_with_progress(scene: Scene) -> None:
    troubled(scene, "slow-ready")
    told: list[str] = []
    result = look(scene, wait_seconds=60, progress=told.append)
    assert result["verdict"] == "pass"
    assert any(line.startswith("web: ") and "of 2" in line for line in told)


@ALL_KINDS
def test_unfinished_as_kubectl_says(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind, settle=True)
    pod = NOWHERE if kind != "DaemonSet" else {**KWOK, "schedulerName": "nobody"}
    scene.deploy("web:2", kind, pod=pod)
    assert not kubectl_waits(scene, kind)[0]
    assert look(scene, kind=kind)["verdict"] == "unverified"
    assert look(scene, kind=kind, wait_seconds=1)["verdict"] == "fail"


def test_progress_deadline(scene: Scene) -> None:
    scene.deploy("web:1", progressDeadlineSeconds=2, minReadySeconds=0, settle=True)
    labels = {"spec": {"template": {"metadata": {"labels": {STAGE: "never-ready"}}}}}
    scene.kubectl("patch", "deployment", "web", "-p", json.dumps(labels))
    result = look(scene, **QUICK)
    assert (result["verdict"], row(result)["reason"]) == ("fail", "ProgressDeadlineExceeded")
    assert causes(result) == ["never_ready"]
    done, said = kubectl_waits(scene)
    assert (done, "exceeded its progress deadline" in said) == (False, True)


def test_expected_revision(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", settle=True)
    assert look(scene, expected_revision=2)["verdict"] == "pass"
    assert kubectl_waits(scene, "Deployment", 2, "--revision=2")[0]
    assert causes(look(scene, expected_revision=1)) == ["unexpected_revision"]
    assert not kubectl_waits(scene, "Deployment", 2, "--revision=1")[0]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_expected_revision_where_kubectl_has_none(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind, settle=True)
    scene.deploy("web:2", kind, settle=True)
    assert look(scene, kind=kind, expected_revision=2)["verdict"] == "pass"
    assert causes(look(scene, kind=kind, expected_revision=1)) == ["unexpected_revision"]


# -- where kubectl is not


def restrict(scene: Scene) -> None:
    scene.kubectl("label", "namespace", scene.namespace, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")


def limit_pods(scene: Scene, pods: int) -> None:
    scene.kubectl("create", "quota", "small", f"--hard=pods={pods}")
    eventually(
        "the quota is counted",
        lambda: scene.one("ResourceQuota", "small").get("status", {}).get("used", {}).get("pods") == str(pods),
    )


def no_account(scene: Scene) -> None:
    patch = {"spec": {"template": {"spec": {"serviceAccountName": "absent"}}}}
    scene.kubectl("patch", "deployment", "web", "-p", json.dumps(patch))


@pytest.mark.parametrize(
    ("hinder", "cause"),
    [
        (restrict, "pod_security_forbids_the_template"),
        (lambda scene: limit_pods(scene, 2), "quota_exceeded"),
        (no_account, "service_account_missing"),
    ],
)
def test_green_ready_hides_pods_that_cannot_be_made(scene: Scene, hinder: Callable[[Scene], None], cause: str) -> None:
    """READY stays 2/2 and Progressing says NewReplicaSetAvailable or nothing wrong; kubectl waits."""
    scene.deploy("web:1", settle=True)
    hinder(scene)
    scene.kubectl("set", "image", "deployment/web", "main=web:2")
    result = look(scene, **QUICK)
    assert (result["verdict"], causes(result)) == ("fail", [cause])
    found = status(result)
    assert (found["updated.web"], found["available.web"], found["creation.web"]) == ("fail", "pass", "fail")
    assert scene.one("Deployment")["status"]["readyReplicas"] == 2
    assert not kubectl_waits(scene)[0]
    assert causes(look(scene)) == [cause]


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_events_tell_what_sets_do_not(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind, settle=True)
    restrict(scene)
    scene.kubectl("set", "image", f"{RESOURCES[kind]}/web", "main=web:2")
    result = look(scene, kind=kind, **QUICK)
    assert (result["verdict"], causes(result)) == ("fail", ["pod_security_forbids_the_template"])


def test_paused_is_not_waited_for(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.kubectl("rollout", "pause", "deployment/web")
    assert look(scene, wait_seconds=30)["verdict"] == "pass"
    scene.kubectl("set", "image", "deployment/web", "main=web:2")
    result = look(scene, wait_seconds=60)
    assert (row(result)["reason"], causes(result)) == ("Paused", ["rollout_paused"])
    assert not row(result)["timed_out"]
    assert not kubectl_waits(scene)[0]


def test_partition_is_said(scene: Scene) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    scene.deploy("web:1", "StatefulSet", updateStrategy=strategy, settle=True)
    scene.deploy("web:2", "StatefulSet", updateStrategy=strategy, settle=True)
    done, said = kubectl_waits(scene, "StatefulSet")
    assert (done, "partitioned roll out complete" in said) == (True, True)
    result = look(scene, kind="StatefulSet", wait_seconds=60)
    assert (result["verdict"], causes(result)) == ("fail", ["partition_keeps_old_pods"])
    assert row(result)["updated"] == 1
    assert look(scene, kind="StatefulSet", allow_partition=True)["verdict"] == "pass"


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_on_delete(scene: Scene, kind: str) -> None:
    """kubectl refuses to say anything; here the pods are counted."""
    scene.deploy("web:1", kind, updateStrategy={"type": "OnDelete"})
    assert look(scene, kind=kind, wait_seconds=60)["verdict"] in ("pass", "fail")
    eventually("its pods are there", lambda: look(scene, kind=kind)["verdict"] == "pass")
    assert not kubectl_waits(scene, kind)[0]
    scene.deploy("web:2", kind)
    eventually("the change is seen", lambda: row(look(scene, kind=kind))["reason"] == "OnDelete")
    assert causes(look(scene, kind=kind, wait_seconds=60)) == ["pods_must_be_deleted"]
    scene.kubectl("delete", "pod", "--all", "--wait=false")
    eventually("new pods are there", lambda: look(scene, kind=kind)["verdict"] == "pass")


def test_zero_replicas_are_no_success(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.kubectl("scale", "deployment/web", "--replicas=0")
    assert kubectl_waits(scene, "Deployment", 30)[0]
    result = look(scene, wait_seconds=30)
    assert (result["verdict"], causes(result)) == ("fail", ["scaled_to_zero"])
    assert look(scene, allow_zero_replicas=True)["verdict"] == "pass"


# -- why


@pytest.mark.parametrize(
    ("stage", "cause", "words"),
    [
        ("crash-loop", "crash_loop", "exit code 1 (Error)"),
        ("oom-killed", "crash_loop", "exit code 137 (OOMKilled)"),
        ("image-pull-error", "image_cannot_be_pulled", "web:2"),
    ],
)
@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_reasons(scene: Scene, kind: str, stage: str, cause: str, words: str) -> None:
    troubled(scene, stage, kind)
    result = look(scene, kind=kind, **QUICK)
    assert (result["verdict"], causes(result)) == ("fail", [cause])
    assert words in row(result)["message"]
    assert not row(result)["timed_out"]
    pod = row(result)["problems"][0]["pod"]
    assert scene.one("Pod", pod)["metadata"]["labels"][STAGE] == stage


def test_daemon_set_reasons(scene: Scene) -> None:
    troubled(scene, "crash-loop", "DaemonSet")
    assert causes(look(scene, kind="DaemonSet", **QUICK)) == ["crash_loop"]


def test_unschedulable(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    result = look(scene, **QUICK)
    assert (result["verdict"], causes(result)) == ("fail", ["unschedulable"])
    assert "nodes are available" in row(result)["message"]


def test_crash_loop_only_after_so_many_restarts(scene: Scene) -> None:
    troubled(scene, "crash-loop")
    result = look(scene, **{**QUICK, "wait_seconds": 3, "crash_loop_restarts": 5})
    assert row(result)["timed_out"]
    assert causes(result) == ["crash_loop"]


def test_neighbours_in_trouble_are_not_this_workloads(scene: Scene, cluster: Any) -> None:
    """A second app with the same label, an orphaned ReplicaSet that matches the selector, the same name elsewhere."""
    scene.deploy("web:1", settle=True)
    crash = {STAGE: "crash-loop"}
    scene.deploy("billing:1", name="billing", labels={"app": "web", "part": "billing", **crash})
    scene.deploy("web:1", name="gone", labels={"app": "web", **crash, "part": "gone"})
    eventually("its pods are there", lambda: len(scene.all("Pod")) == 6)
    scene.kubectl("delete", "deployment", "gone", "--cascade=orphan")
    other = scene.beside(cluster.namespace())
    other.deploy("web:1", labels={"app": "web", **crash})

    scene.kubectl("set", "image", "deployment/web", "main=web:2")
    result = look(scene, **QUICK)
    assert (result["verdict"], row(result)["problems"]) == ("pass", [])
    scene.deploy("web:3", pod=NOWHERE)
    held = look(scene, **QUICK)
    assert causes(held) == ["unschedulable"]
    assert {one["category"] for one in row(held)["problems"]} == {"unschedulable"}


# -- what happens meanwhile


def later(act: Callable[[], Any], seconds: float = 2.0) -> threading.Timer:
    timer = threading.Timer(seconds, act)
    timer.start()
    return timer


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (("delete", "deployment", "web"), "Deleted"),
        (("set", "image", "deployment/web", "main=web:9"), "Superseded"),
        (("rollout", "pause", "deployment/web"), "Paused"),
    ],
)
def test_somebody_interferes(scene: Scene, what: tuple[str, ...], reason: str) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    timer = later(lambda: scene.kubectl(*what))
    result = look(scene, wait_seconds=60)
    timer.join()
    assert (result["verdict"], row(result)["reason"], row(result)["timed_out"]) == ("fail", reason, False)


def test_replaced_meanwhile(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)

    def again() -> None:
        made = scene.one("Deployment")
        made["metadata"] = {"name": "web", "namespace": scene.namespace}
        scene.kubectl("delete", "deployment", "web")
        scene.create("Deployment", made)

    timer = later(again)
    result = look(scene, wait_seconds=60)
    timer.join()
    assert row(result)["reason"] in ("Replaced", "Deleted")


def test_a_scale_meanwhile_is_no_other_rollout(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    troubled(scene, "slow-ready")
    timer = later(lambda: scene.kubectl("scale", "deployment/web", "--replicas=3"), 1.0)
    result = look(scene, wait_seconds=60)
    timer.join()
    assert (result["verdict"], row(result)["state"]) == ("pass", "complete")


def test_api_server_away_meanwhile(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    told: list[str] = []
    with relay(scene) as between:
        timers = [
            later(between.cut, 1.0),
            later(lambda: scene.deploy("web:3", settle=True), 2.0),
            later(between.mend, 6.0),
        ]
        result = look(scene, wait_seconds=60, host=between.url, validate_certs=False, progress=told.append)
        for timer in timers:
            timer.join()
    assert row(result)["reason"] == "Superseded"
    assert any("cannot be asked, trying again" in line for line in told)


def test_api_server_that_stays_away(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    with relay(scene) as between:
        timer = later(between.cut, 1.0)
        result = look(scene, wait_seconds=6, host=between.url, validate_certs=False)
        timer.join()
    assert (result["verdict"], row(result)["state"], row(result)["desired"]) == ("unverified", "unknown", 2)
    assert "Last seen" in row(result)["message"]


# -- rights and selections


def test_rights(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.deploy("web:2", pod=NOWHERE)
    few = scene.user("few", [("get", "deployments")])
    result = look(scene, api_key=few)
    assert result["verdict"] == "unverified"
    assert any("pods" in text or "replicasets" in text for text in row(result)["unseen"])
    chosen = look(scene, api_key=few, selector="app=web")
    assert status(chosen) == {"selection": "unverified"}
    assert "lacks the verb 'list' on resource 'deployments.apps'" in chosen["checks"][0]["hint"]
    none = look(scene, api_key=scene.user("none", []))
    assert status(none) == {"exists.web": "unverified"}
    assert "lacks the verb 'get' on resource 'deployments.apps'" in none["checks"][0]["observed"]
    expired = look(scene, api_key="expired", wait_seconds=30)
    assert (expired["verdict"], row(expired)["reason"]) == ("unverified", "Unauthorized")


def test_selections(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    scene.kubectl("label", "deployment", "web", "tier=backend")
    assert look(scene, selector="tier=backend")["verdict"] == "pass"
    assert causes(look(scene, selector="tier=backend", minimum=2)) == ["selection_too_small"]
    assert causes(look(scene, selector="tier=front")) == ["selection_too_small"]
    assert causes(look(scene, "web", "wbe")) == ["workload_absent"]
    with pytest.raises(InputError, match="namespace no-such does not exist"):
        look(scene, selector="tier=backend", namespace="no-such")
    with pytest.raises(InputError, match="is refused"):
        look(scene, selector="tier in")


def test_a_hundred_deployments_in_one_request(scene: Scene) -> None:
    spec: Object = {
        "replicas": 1,
        "template": {"spec": {**KWOK, "containers": [{"name": "main", "image": "web:1"}]}},
    }
    items = []
    for number in range(100):
        marks = {"app": f"s{number:02d}"}
        own = {
            **spec,
            "selector": {"matchLabels": marks},
            "template": {**spec["template"], "metadata": {"labels": marks}},
        }
        metadata = {"name": f"s{number:02d}", "namespace": scene.namespace, "labels": {"tier": "backend"}}
        items.append({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": own})
    scene.apply({"apiVersion": "v1", "kind": "List", "items": items})
    names = [item["metadata"]["name"] for item in items]
    assert look(scene, *names, wait_seconds=120)["complete_count"] == 100
    assert look(scene, *names)["requests"] == 1
    result = look(scene, selector="tier=backend", minimum=100)
    assert (result["verdict"], result["count"], result["requests"]) == ("pass", 100, 1)

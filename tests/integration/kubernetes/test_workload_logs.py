# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_logs on a real API server, with real processes that write, and kubectl logs beside it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import workload_logs
from tests.integration.kubernetes.rollout_scene import NOWHERE, Scene, eventually
from tests.integration.kubernetes.sick_scene import (
    IDLE,
    deployment,
    fake,
    pods_of,
    process,
    restarted,
    says,
    waiting_for,
)

pytestmark = [pytest.mark.lab]
LISTS = ("list", "deployments.apps,replicasets.apps,pods")
COUNTS = "i=0; while [ $i -lt 300 ]; do i=$((i+1)); echo line $i; done; sleep 600"


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def look(scene: Scene, *names: str, **options: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {"names": list(names)} if names else {}
    return scene.run(workload_logs, **chosen, **options)


def kubectl_logs(scene: Scene, name: str, *options: str) -> list[str]:
    """What kubectl prints of a Deployment's pods; it does not promise an order of pods."""
    shown = scene.kubectl("logs", "-l", f"app={name}", "--prefix", "--all-containers", *options)
    return sorted(shown.splitlines())


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def pod_name(scene: Scene, name: str) -> str:
    (pod,) = pods_of(scene, name)
    return str(pod["metadata"]["name"])


def test_the_lines_are_those_of_kubectl(scene: Scene) -> None:
    deployment(scene, "web", process(COUNTS), replicas=2)
    scene.settle()
    result = look(scene, "web")
    assert result["verdict"] == "pass"
    assert sorted(result["text"].splitlines()) == kubectl_logs(scene, "web", "--tail=100")
    assert [row["pod"] for row in result["logs"]] == sorted(pod["metadata"]["name"] for pod in pods_of(scene, "web"))
    assert all(row["truncated"] and row["lines"][-1] == "line 300" for row in result["logs"])
    assert {row["node"] for row in result["logs"]} == {"runner-0"}
    assert result["requests"] == 5
    every = look(scene, "web", tail_lines=5000)
    assert not any(row["truncated"] for row in every["logs"])
    assert sorted(every["text"].splitlines()) == kubectl_logs(scene, "web", "--tail=-1")
    newest = look(scene, "web", limit_bytes=1024, tail_lines=300)["logs"][0]
    assert (newest["lines"][-1], newest["truncated"]) == ("line 300", True)
    found = look(scene, "web", tail_lines=5000, regex="^line 29.$")
    assert (found["matched"], found["logs"][0]["matched"], found["logs"][0]["lines"][0]) == (20, 10, "line 290")


def test_the_run_before_is_that_of_kubectl(scene: Scene) -> None:
    deployment(scene, "web", process(says("spring_database_auth_failed", "exit 1")))
    restarted(scene, "web")
    waiting_for(scene, "web", "CrashLoopBackOff")
    name = pod_name(scene, "web")
    before = scene.kubectl("logs", name, "--previous", "--tail=100").splitlines()
    waiting = eventually("it waits again", lambda: (found := look(scene, "web"))["logs"][0]["previous"] and found)
    for result in (waiting, look(scene, "web", previous=True)):
        (log,) = result["logs"]
        assert (result["verdict"], log["previous"], log["lines_read"]) == ("pass", True, len(before))
        assert [line[:60] for line in log["lines"]] == [line[:60] for line in before]


def test_a_container_that_never_restarted_has_no_run_before(scene: Scene) -> None:
    deployment(scene, "web", process("echo up; sleep 600"))
    scene.settle()
    result = look(scene, "web", previous=True)
    assert result["verdict"] == "pass"
    assert result["text"] == f"[pod/{pod_name(scene, 'web')}/app] (never restarted: there is no run before this one)"


def test_an_init_container_that_failed(scene: Scene) -> None:
    failing = {"name": "migrate", "image": IDLE, "command": ["sh", "-c", "echo password=hunter22 refused; exit 3"]}
    deployment(scene, "web", {**process("echo up; sleep 600"), "initContainers": [failing]})

    def ended() -> bool:
        shown = look(scene, "web")["logs"]
        return any(row["init"] and row["lines"] for row in shown)

    eventually("the init container has ended", ended)
    result = look(scene, "web")
    first, second = result["logs"]
    assert (first["container"], first["lines"]) == ("migrate", ["password=[redacted] refused"])
    assert second["note"].startswith("has not started: PodInitializing")
    assert "hunter22" not in str(result)


def test_no_pod_where_kubectl_ends_with_0(scene: Scene) -> None:
    deployment(scene, "web", fake(), replicas=0)
    scene.seen()
    assert kubectl_logs(scene, "web") == []
    result = look(scene, "web")
    assert (result["verdict"], check(result, "logs.web")["status"]) == ("fail", "fail")
    assert "kubectl logs prints nothing and ends with 0" in check(result, "logs.web")["hint"]
    absent = look(scene, "nobody")
    assert (absent["verdict"], check(absent, "workload.nobody")["status"]) == ("fail", "fail")
    nowhere = look(scene.beside("test-none"), "web")
    assert check(nowhere, "namespace.test-none")["status"] == "fail"
    nothing = look(scene, selector="app=other")
    assert (nothing["verdict"], check(nothing, "selection")["status"]) == ("fail", "fail")


def test_a_pod_without_a_node_is_said(scene: Scene) -> None:
    deployment(scene, "web", {**fake(), **NOWHERE})
    scene.seen()

    def refused() -> bool:
        return "Unschedulable" in look(scene, "web")["text"]

    eventually("the pod has no node", refused)
    result = look(scene, "web")
    assert (check(result, "logs.web")["status"], result["logs"][0]["node"]) == ("unverified", None)


def test_only_the_workloads_own_pods_unless_a_selector_meets_others(scene: Scene) -> None:
    deployment(scene, "web", process("echo mine; sleep 600"))
    scene.settle()
    own = pod_name(scene, "web")
    body = {**process("echo not mine; sleep 600"), "restartPolicy": "Never"}
    spec = {key: value for key, value in body.items() if value is not None}
    scene.create(
        "Pod", {"apiVersion": "v1", "metadata": {"name": "stray", "labels": {"tier": "backend"}}, "spec": spec}
    )
    scene.kubectl("wait", "--for=condition=Ready", "pod/stray", "--timeout=60s")
    assert look(scene, "web")["text"] == f"[pod/{own}/app] mine"
    result = look(scene, selector="tier=backend", minimum_pods=2)
    assert result["text"].splitlines() == [f"[pod/{own}/app] mine", "[pod/stray/app] not mine"]
    assert (result["verdict"], result["selected_pods"]) == ("pass", 2)
    assert check(result, "logs.other_pods")["status"] == "pass"


def test_the_right_that_is_lacking_is_named(scene: Scene) -> None:
    deployment(scene, "web", process("echo up; sleep 600"))
    scene.settle()
    result = look(scene, "web", api_key=scene.user("narrow", [LISTS]))
    row = check(result, "logs.web")
    assert row["status"] == "unverified"
    assert "lacks the verb 'get' on resource 'pods/log'" in row["observed"]
    granted = look(scene, "web", api_key=scene.user("enough", [LISTS, ("get", "pods/log")]))
    assert granted["verdict"] == "pass"

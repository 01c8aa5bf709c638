# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_diagnosis on a real API server, with real processes that die, and kubectl describe and logs beside it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import workload_diagnosis
from tests.integration.kubernetes.rollout_scene import NOWHERE, Scene, eventually
from tests.integration.kubernetes.sick_scene import (
    deployment,
    fake,
    pods_of,
    process,
    restarted,
    says,
    set_status,
    simulated,
    waiting_for,
)

pytestmark = [pytest.mark.lab]
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
LIVENESS = {
    "livenessProbe": {"tcpSocket": {"port": 8080}, "initialDelaySeconds": 1, "periodSeconds": 1, "failureThreshold": 2}
}
READINESS = {"readinessProbe": {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}}
LISTENS = {"ports": [{"name": "http", "containerPort": 8080}]}


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def look(scene: Scene, *names: str, **options: Any) -> dict[str, Any]:
    chosen = {"names": list(names)} if names else {}
    return scene.run(workload_diagnosis, **chosen, **options)


def cause(result: dict[str, Any], name: str = "") -> str | None:
    rows = [row for row in result["workloads"] if not name or row["name"] == name]
    (row,) = rows
    return row["cause"]


def killed_once(scene: Scene, name: str) -> None:
    """Wait until a probe has ended the first pod's process, and until it is told so: events come later than a status."""
    restarted(scene, name, 1)
    told = ("get", "events", "--field-selector", "reason=Killing", "-o", "name")
    eventually(f"the end of {name} is told", lambda: bool(scene.kubectl(*told).strip()))


def described(scene: Scene, pod: str) -> list[tuple[str, str]]:
    """Reason and message of the events that kubectl describe shows of a pod."""
    lines = scene.kubectl("describe", "pod", pod).split("\nEvents:\n", 1)[1].splitlines()[2:]
    rows = []
    for line in lines:
        words = line.split()
        rows.append((words[1], words[-1]))
    return rows


def test_eight_troubles_in_one_task(scene: Scene) -> None:
    """Real processes that print recorded boots of a Spring service; one list of each kind for all of them."""
    deployment(scene, "database", process(says("spring_database_refused", "exit 1")))
    deployment(scene, "keycloak", process(says("spring_keycloak", "exit 1")))
    deployment(scene, "flyway", process(says("spring_flyway_duplicate", "exit 1")))
    deployment(scene, "heap", process(says("spring_heap", "exit 3")))
    deployment(scene, "done", process("echo nothing to do"))
    deployment(scene, "command", process("no-such-program"))
    deployment(scene, "image", process("", image="registry.lab/tools/idle:none"))
    deployment(scene, "config", process("sleep 60", envFrom=[{"configMapRef": {"name": "absent"}}]))
    for name in ("database", "keycloak", "flyway", "heap", "done", "command"):
        restarted(scene, name)
    waiting_for(scene, "image", "ErrImagePull", "ImagePullBackOff")
    waiting_for(scene, "config", "CreateContainerConfigError")
    result = look(scene, selector="tier=backend", runbook="2.1")
    assert {row["name"]: row["cause"] for row in result["workloads"]} == {
        "database": "database_refused",
        "keycloak": "keycloak_unreachable",
        "flyway": "flyway_failed",
        "heap": "heap_exhausted",
        "done": "completed",
        "command": "command_not_found",
        "image": "image_not_found",
        "config": "config_missing",
    }
    assert result["verdict"] == "fail"
    # the runbook's commands ask for a pod, its log, the pod again and its events: 4 requests for each of eight pods
    assert result["requests"] < 4 * 8


def test_what_is_told_of_a_crash_is_what_kubectl_shows(scene: Scene) -> None:
    deployment(scene, "web", process(says("spring_database_auth_failed", "exit 1")))
    restarted(scene, "web")
    waiting_for(scene, "web", "CrashLoopBackOff")
    result = look(scene, "web", log_lines_returned=500)
    (workload,) = result["workloads"]
    (pod,) = pods_of(scene, "web")
    name = pod["metadata"]["name"]
    first = workload["causes"][0]
    assert (first["cause"], first["confidence"]) == ("database_auth_failed", "seen")
    assert first["evidence"][0]["object"] == f"Pod/{name}/app"
    end = workload["pods"][0]["containers"][0]["last_termination"]
    assert (end["exit_code"], end["reason"]) == (1, "Error")
    assert first["evidence"][0]["at"] is not None
    previous = scene.kubectl("logs", name, "--previous").rstrip().splitlines()
    log = next(log for log in workload["logs"] if log["previous"])
    assert log["lines_read"] == len(previous)
    assert log["lines"][0][:60] == previous[0][:60]
    shown = {
        (row["reason"], row["message"].split()[-1]) for row in workload["events"] if row["object"] == f"Pod/{name}"
    }
    assert shown >= set(described(scene, name)) - {("Pulled", "machine")}
    assert workload["pods"][0]["owners"] == [f"ReplicaSet/{name.rpartition('-')[0]}", "Deployment/web"]


def test_a_healthy_workload_costs_four_requests(scene: Scene) -> None:
    scene.deploy("registry.example/x:1", settle=True)
    result = look(scene, "web")
    assert (result["verdict"], result["findings"], result["requests"]) == ("pass", [], 4)
    assert look(scene, "web", check=True)["verdict"] == "pass"


def test_a_slow_start_that_is_killed(scene: Scene) -> None:
    script = "echo '2026-01-31T03:00:01.000Z  INFO 1 --- [x] [main] d.h.App : Starting App v1 using Java 21'; sleep 600"
    deployment(scene, "web", process(script, **LIVENESS, **LISTENS))
    killed_once(scene, "web")
    result = look(scene, "web")
    assert cause(result) == "slow_start_killed"
    assert "no startupProbe guards it" in result["workloads"][0]["text"]


def test_a_process_that_listens_on_another_port(scene: Scene) -> None:
    started = "2026-01-31T03:00:09.000Z  INFO 1 --- [x] [main] o.s.b.w.embedded.tomcat.TomcatWebServer : Tomcat started on port 8085 (http)"
    deployment(scene, "web", process(f"echo '{started}'; sleep 600", **LIVENESS, **READINESS, **LISTENS))
    killed_once(scene, "web")
    result = look(scene, "web")
    assert cause(result) == "wrong_port"
    assert "listens on port 8085, and the liveness probe asks tcp :8080" in result["workloads"][0]["text"]


def test_a_pod_that_is_never_ready(scene: Scene) -> None:
    deployment(scene, "web", process("echo up; sleep 600", **READINESS, **LISTENS))

    def told() -> bool:
        events = scene.kubectl("get", "events", "--field-selector", "reason=Unhealthy", "-o", "name")
        return bool(events.strip())

    eventually("its readiness probe fails", told)
    result = look(scene, "web")
    assert cause(result) == "probe_failing"
    assert "nothing listens on that port" in result["workloads"][0]["text"]


def test_pods_that_cannot_be_made(scene: Scene) -> None:
    scene.kubectl("create", "quota", "few", "--hard=pods=1")
    eventually(
        "the quota is counted",
        lambda: "pods" in str(scene.kubectl("get", "quota", "few", "-o=jsonpath={.status.used}")),
    )
    deployment(scene, "many", fake(resources={"limits": {"cpu": "1", "memory": "1Mi"}}), replicas=3)
    deployment(scene, "account", {**fake(), "serviceAccountName": "hafnium-backend"})
    eventually("the quota is used up", lambda: "FailedCreate" in scene.kubectl("get", "events"))

    def told() -> bool:
        rows = look(scene, "many", "account")["workloads"]
        return {row["cause"] for row in rows} <= {"quota_exceeded", "service_account_missing"}

    eventually("both are refused", told)
    result = look(scene, "many", "account")
    rows = {row["name"]: row for row in result["workloads"]}
    assert rows["account"]["cause"] == "service_account_missing"
    assert "ServiceAccount hafnium-backend does not exist" in rows["account"]["text"]
    assert rows["many"]["cause"] == "quota_exceeded"
    assert any(
        line["source"] == "quota" and "pods 1 of 1" in line["text"] for line in rows["many"]["causes"][0]["evidence"]
    )


def test_pod_security_forbids_the_template_behind_a_green_ready(scene: Scene) -> None:
    scene.deploy("registry.example/x:1", settle=True)
    scene.kubectl("label", "namespace", scene.namespace, RESTRICTED)
    scene.deploy("registry.example/x:2")
    eventually("the new pods are refused", lambda: look(scene, "web")["verdict"] == "fail")
    result = look(scene, "web")
    assert cause(result) == "admission_forbidden"
    assert scene.one("Deployment")["status"]["readyReplicas"] == 2
    assert "Meanwhile 2 pods of an older revision serve" in str(result["checks"])
    assert result["findings"][0]["next"]["playbook"] == "sre.runbooks.hafnium.rollback"


def test_no_node_takes_it(scene: Scene) -> None:
    scene.deploy("registry.example/x:1", pod={**NOWHERE})

    def judged() -> bool:
        return any("PodScheduled" in json.dumps(pod["status"]) for pod in pods_of(scene, "web"))

    eventually("the scheduler has looked", judged)
    result = look(scene, "web")
    assert cause(result) == "unschedulable"
    assert "didn't match Pod's node affinity/selector" in result["workloads"][0]["text"]


@pytest.mark.parametrize(
    ("stage", "log", "expected"),
    [
        ("crash-loop", "database-refused", "database_refused"),
        ("oom-killed", "out-of-memory", "oom_killed"),
        ("image-pull-error", "", "image_not_found"),
    ],
)
def test_stages_of_simulated_nodes(scene: Scene, stage: str, log: str, expected: str) -> None:
    marks = simulated(stage, **({"log": log, "previous_log": log} if log else {}))
    deployment(scene, "web", fake(), marks)
    eventually(f"stage {stage} is seen", lambda: cause(look(scene, "web")) == expected)


def test_an_evicted_pod(scene: Scene) -> None:
    deployment(scene, "web", fake())
    scene.settle()
    (pod,) = pods_of(scene, "web")
    scene.kubectl("scale", "deployment/web", "--replicas=2")
    scene.settle()
    scene.kubectl("rollout", "pause", "deployment/web")
    set_status(
        scene,
        pod["metadata"]["name"],
        phase="Failed",
        reason="Evicted",
        message="The node was low on resource: memory.",
    )
    result = look(scene, "web")
    assert [row["name"] for row in result["workloads"][0]["pods"] if row["status"] == "Evicted"] == [
        pod["metadata"]["name"]
    ]


def test_too_few_rights_name_the_verb(scene: Scene) -> None:
    deployment(scene, "web", process(says("spring_database_refused", "exit 1")))
    restarted(scene, "web")
    lists = [("list", "pods,events"), ("list", "deployments.apps,replicasets.apps")]
    narrow = scene.user("narrow", lists)
    result = look(scene, "web", api_key=narrow)
    rows = {row["id"]: row for row in result["checks"]}
    assert rows["logs.web"]["status"] == "unverified"
    assert "lacks the verb 'get' on resource 'pods/log'" in rows["logs.web"]["observed"]
    assert rows["nodes"]["status"] == "unverified"
    assert cause(result) == "unknown_cause"
    wide = scene.user("wide", [*lists, ("get", "pods/log")])
    eventually("the log may be read", lambda: cause(look(scene, "web", api_key=wide)) == "database_refused")


def test_an_absent_namespace_and_an_absent_name(scene: Scene) -> None:
    own = f"web-{scene.namespace}"  # other namespaces may have a web
    scene.deploy("registry.example/x:1", name=own, settle=True)
    result = look(scene, own, "nope")
    assert {row["id"]: row["status"] for row in result["checks"]}["workload.nope"] == "fail"
    gone = scene.run(workload_diagnosis, names=[own], namespace=f"{scene.namespace}-gone")
    assert gone["verdict"] == "fail"
    assert f"{own} is in namespace {scene.namespace}" in str(gone["checks"])

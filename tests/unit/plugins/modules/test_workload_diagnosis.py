# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_diagnosis as a module: on recorded namespaces, and on one Deployment in each kind of trouble."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import workload_diagnosis
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError, UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import UnauthorizedError
from ansible_collections.sre.runbooks.plugins.module_utils.workload_causes import ABOUT
from ansible_collections.sre.runbooks.plugins.modules import workload_diagnosis as module
from tests.unit.plugins.module_runner import run_module
from tests.unit.plugins.recorded_cluster import NOW, RecordedCluster, Scene, ago, container, ended, recorded, status_of

Look = Callable[..., dict[str, Any]]
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the module against a RecordedCluster, or a Scene, at a time."""

    def run(on: RecordedCluster | Scene, now: float = NOW, check: bool = False, **options: Any) -> dict[str, Any]:
        cluster = on.cluster() if isinstance(on, Scene) else on
        monkeypatch.setattr(workload_diagnosis, "Cluster", lambda *_arguments: cluster)
        monkeypatch.setattr(Clock, "now", lambda _self: now)
        chosen = {"names": ["identity-service"]} if not options.keys() & {"names", "selector"} else {}
        return run_module(module, capsys, check=check, **{"namespace": "hafnium", **chosen, **options})

    return run


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def cause(result: dict[str, Any]) -> str:
    """The name of the one workload's cause; its check must fail with it and a finding name it."""
    (workload,) = result["workloads"]
    row = check(result, f"startup.{workload['name']}")
    assert result["verdict"] == "fail"
    assert row["status"] == "fail"
    assert row["observed"][0].startswith(f"{workload['cause']}: ")
    assert row["hint"].startswith(ABOUT[workload["cause"]].advice)
    assert result["findings"][0]["cause"] == workload["cause"]
    assert workload["causes"][0]["evidence"], "a cause without evidence"
    return str(workload["cause"])


def text(result: dict[str, Any]) -> str:
    return str(result["workloads"][0]["text"])


def playbook(result: dict[str, Any]) -> str | None:
    step = result["findings"][0]["next"]
    return step["playbook"].removeprefix("sre.runbooks.hafnium.") if step else None


# -- recorded namespaces


def test_eight_services_with_eight_faults_in_one_task(look: Look) -> None:
    cluster, now = recorded("sick")
    result = look(cluster, now, selector="tier=backend", runbook="2.1")
    causes = {row["name"]: row["cause"] for row in result["workloads"]}
    assert causes == {
        "api-facade": "image_not_found",
        "case-service": "bean_failed",
        "identity-service": "database_refused",
        "monitoring-service": "config_missing",
        "risk-engine-service": "oom_killed",
        "screening-service": "keycloak_unreachable",
        "signals-service": "probe_failing",
        "vault-service": "slow_start_killed",
    }
    assert all(row["runbook"] == "2.1" for row in result["checks"])
    # 4 lists, a node, a log or two of each pod that stands for others, a ConfigMap
    assert result["requests"] <= 4 + 1 + 2 * 8 + 1


def test_what_the_recorded_services_are_told(look: Look) -> None:
    cluster, now = recorded("sick")
    result = look(cluster, now, selector="tier=backend")
    told = {row["name"]: row["causes"][0] for row in result["workloads"]}
    database = told["identity-service"]
    assert database["text"].startswith("the database at 127.0.0.1:1 refuses connections; the pod sets ")
    assert "SPRING_DATASOURCE_URL (Secret hafnium-db-credentials key jdbc-url)" in database["text"]
    assert database["evidence"][0]["source"] == "previous log"
    assert "Connection to 127.0.0.1:1 refused" in database["evidence"][0]["text"]
    assert database["evidence"][0]["at"]
    assert told["risk-engine-service"]["text"].endswith("more than its memory limit of 128Mi")
    assert "there is no" not in told["api-facade"]["text"]
    assert "9.9.9 does not exist" in told["api-facade"]["text"]
    assert "HAFNIUM_SIGNING_KEY_ID is not set" in told["monitoring-service"]["text"]
    assert "25 s that the liveness probe allows (10 s delay + 3 x 5 s)" in told["vault-service"]["text"]
    steps = {row["name"]: row["causes"][0]["next"]["playbook"].rpartition(".")[2] for row in result["workloads"]}
    assert steps.pop("risk-engine-service") == "resources"  # no older revision is left there
    assert set(steps.values()) == {"rollback"}


@pytest.mark.parametrize(
    ("recording", "namespace", "expected", "words"),
    [
        (
            "no_service_account",
            "hafnium-backend",
            "service_account_missing",
            "ServiceAccount hafnium-backend does not exist",
        ),
        ("pod_security", "hafnium-restricted", "admission_forbidden", "Pod Security forbids the pod template"),
    ],
)
def test_no_pod_at_all(look: Look, recording: str, namespace: str, expected: str, words: str) -> None:
    cluster, now = recorded(recording, namespace)
    result = look(cluster, now, namespace=namespace)
    assert cause(result) == expected
    assert words in text(result)
    assert result["requests"] == 4


# -- one Deployment in each kind of trouble


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_healthy_workload_passes_and_costs_four_requests(look: Look, check_mode: bool) -> None:
    scene = Scene(2)
    scene.healthy("p1")
    scene.healthy("p2")
    result = look(scene, check=check_mode)
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert result["requests"] == 4
    assert result["workloads"][0]["cause"] is None
    assert result["workloads"][0]["logs"] == []


def crash(scene: Scene, log: str = "", code: int = 1, **last: Any) -> Scene:
    pod = scene.pod("p1", status_of(restarts=5, waiting=BACK_OFF, last=ended(code, **last)))
    scene.event(pod, "BackOff", "Back-off restarting failed container app", count=40)
    if log:
        scene.logs["p1/app/previous"] = log
    return scene


REFUSED = (
    "2026-01-31T03:00:01.000Z  INFO 1 --- [identity] [main] d.h.App : Starting App using Java 21\n"
    "2026-01-31T03:00:05.100Z ERROR 1 --- [identity] [main] o.s.boot.SpringApplication : Application run failed\n\n"
    "org.postgresql.util.PSQLException: Connection to localhost:5432 refused. Check that\n\tat a.B.c(B.java:1)\n"
)


def test_database_refused_while_the_pod_names_another_host(look: Look) -> None:
    """The base manifests set DB_*, identity-service reads SPRING_DATASOURCE_* and falls back to localhost."""
    env = [
        {"name": "DB_HOST", "value": "postgres.hafnium-data"},
        {"name": "DB_PASSWORD", "valueFrom": {"secretKeyRef": {"name": "postgres-credentials", "key": "password"}}},
    ]
    result = look(crash(Scene(spec={"containers": [container(env=env)]}), REFUSED))
    assert cause(result) == "database_refused"
    assert text(result) == (
        "the database at localhost:5432 refuses connections; the pod sets DB_HOST=postgres.hafnium-data, DB_PASSWORD (Secret "
        "postgres-credentials key password), but the process asked localhost: it does not read these (a Spring service reads "
        "SPRING_DATASOURCE_URL)"
    )
    assert result["findings"][0]["confidence"] == "seen"
    assert playbook(result) == "health"


def test_variables_of_a_config_map_are_named_without_credentials(look: Look) -> None:
    scene = crash(Scene(spec={"containers": [container(envFrom=[{"configMapRef": {"name": "common"}}])]}), REFUSED)
    url = "jdbc:postgresql://localhost:5432/hafnium?user=a&password=hunter22"
    scene.stored["ConfigMap"] = [
        {
            "metadata": {"name": "common", "namespace": "hafnium"},
            "data": {"SPRING_DATASOURCE_URL": url, "SPRING_DATASOURCE_PASSWORD": "hunter22", "LOG_LEVEL": "info"},
        }
    ]
    result = look(scene)
    assert "SPRING_DATASOURCE_URL=jdbc:postgresql://localhost:5432/hafnium" in text(result)
    assert "SPRING_DATASOURCE_PASSWORD (ConfigMap common)" in text(result)
    assert "hunter22" not in str(result)
    assert "LOG_LEVEL" not in text(result)


def test_a_config_map_that_may_not_be_read_is_said(look: Look) -> None:
    scene = crash(Scene(spec={"containers": [container(envFrom=[{"configMapRef": {"name": "common"}}])]}), REFUSED)
    cluster = scene.cluster()
    cluster.forbidden = {"get configmaps"}
    assert "its variables come from ConfigMap common, whose names were not read" in text(look(cluster))


def test_no_variable_at_all(look: Look) -> None:
    assert "the pod sets no variable for it; a Spring service reads SPRING_DATASOURCE_URL" in text(
        look(crash(Scene(), REFUSED))
    )


def test_memory_limit_and_heap_are_two_causes(look: Look) -> None:
    limit = look(crash(Scene(), code=137, reason="OOMKilled"))
    heap = look(
        crash(Scene(), 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space\n\tat a.B.c(B.java:1)\n')
    )
    assert (cause(limit), text(limit)) == ("oom_killed", "the container app took more than its memory limit of 512Mi")
    assert cause(heap) == "heap_exhausted"
    assert playbook(limit) == playbook(heap) == "resources"


def test_killed_for_memory_without_a_limit(look: Look) -> None:
    scene = Scene(spec={"containers": [container(resources={})]})
    scene.node(Ready="True", MemoryPressure="True")
    result = look(crash(scene, code=137, reason="OOMKilled"))
    assert cause(result) == "oom_killed"
    assert "no memory limit" in text(result)
    assert [row["cause"] for row in result["workloads"][0]["causes"]] == ["oom_killed", "node_pressure"]


@pytest.mark.parametrize(
    ("code", "log", "expected", "confidence"),
    [
        (0, "2026-01-31 INFO done\n", "completed", "seen"),
        (127, "", "command_not_found", "seen"),
        (126, "", "permission_denied", "seen"),
        (139, "", "process_crashed", "seen"),
        (137, "2026-01-31 INFO working\n", "killed", "inferred"),
        (1, "2026-01-31 INFO working\n", "unknown_cause", "inferred"),
        (
            1,
            "java.lang.IllegalStateException: the moon is full\n\tat a.B.c(B.java:1)\n",
            "unhandled_exception",
            "inferred",
        ),
        (1, "exec /app/server: exec format error\n", "wrong_architecture", "seen"),
    ],
)
def test_exit_codes(look: Look, code: int, log: str, expected: str, confidence: str) -> None:
    result = look(crash(Scene(), log, code))
    assert cause(result) == expected
    assert result["findings"][0]["confidence"] == confidence


def test_an_unknown_cause_shows_the_last_lines(look: Look) -> None:
    result = look(crash(Scene(), "".join(f"line {number} token=abcdef123456\n" for number in range(30))))
    assert cause(result) == "unknown_cause"
    lines = [row["text"] for row in result["workloads"][0]["causes"][0]["evidence"] if row["source"] == "previous log"]
    assert lines[-1].startswith("line 2")
    assert "abcdef123456" not in str(result)
    assert result["workloads"][0]["logs"][0]["lines"][-1] == "line 29 token=[redacted]"


PULLS = [
    ("rpc error: code = NotFound desc = failed to pull: registry.example/x:1: not found", "image_not_found"),
    ("rpc error: code = Unknown desc = unauthorized: authentication required", "image_auth"),
    (
        "pull access denied, repository does not exist or may require authorization: server message: insufficient_scope",
        "image_auth",
    ),
    ("dial tcp: lookup registry.example: no such host", "registry_unreachable"),
    ("toomanyrequests: You have reached your pull rate limit", "image_rate_limited"),
    ("no match for platform in manifest: not found", "wrong_architecture"),
    ("something else", "image_pull"),
]


@pytest.mark.parametrize(("message", "expected"), PULLS)
def test_images_that_cannot_be_pulled(look: Look, message: str, expected: str) -> None:
    """The reason stands in the event; the back-off only names the image."""
    scene = Scene()
    image = "registry.example/hafnium/identity-service:1.5.0"
    pod = scene.pod(
        "p1", status_of(waiting={"reason": "ImagePullBackOff", "message": f'Back-off pulling image "{image}"'})
    )
    scene.event(pod, "Failed", f'Failed to pull image "{image}": {message}')
    result = look(scene)
    assert cause(result) == expected
    assert "registry.example" in str(result["workloads"][0]["causes"][0])
    assert result["requests"] == 5  # no log is asked for, there is none


@pytest.mark.parametrize(
    ("reason", "message", "expected", "words"),
    [
        ("CreateContainerConfigError", 'configmap "common" not found', "config_missing", "ConfigMap common"),
        ("CreateContainerConfigError", 'secret "db" not found', "config_missing", "Secret db"),
        (
            "CreateContainerConfigError",
            "couldn't find key jdbc-url in Secret hafnium/db",
            "config_missing",
            "key jdbc-url of Secret db",
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
            "run_as_root_forbidden",
            "root",
        ),
        (
            "RunContainerError",
            'failed to create task: exec: "java2": executable file not found in $PATH: unknown',
            "command_not_found",
            "java2",
        ),
        ("CreateContainerError", "failed to reserve container name", "container_not_made", "reserve"),
        ("InvalidImageName", "couldn't parse image name", "image_name_invalid", "no name of an image"),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never", "image_not_found", "Never"),
    ],
)
def test_containers_that_cannot_be_made(look: Look, reason: str, message: str, expected: str, words: str) -> None:
    scene = Scene()
    scene.pod("p1", status_of(waiting={"reason": reason, "message": message}))
    result = look(scene)
    assert cause(result) == expected
    assert words in text(result)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (
            'pods "x" is forbidden: exceeded quota: hafnium-quota, requested: pods=1, used: pods=4, limited: pods=4',
            "quota_exceeded",
        ),
        ('pods "x" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', "admission_forbidden"),
        ('admission webhook "policy.kyverno.io" denied the request: no', "admission_forbidden"),
        ('Internal error occurred: failed calling webhook "w.example": connection refused', "webhook_unreachable"),
        ("maximum memory usage per Container is 1Gi, but limit is 2Gi", "limit_range"),
        ('pods "x" is forbidden: no PriorityClass with name high was found', "priority_class_missing"),
        ("the sky is falling", "create_failed"),
    ],
)
def test_pods_that_cannot_be_made_behind_a_green_ready(look: Look, message: str, expected: str) -> None:
    """READY stays 2/2 on the old pods; only conditions and events tell."""
    scene = Scene(2)
    scene.replica_set("old", 1)
    scene.healthy("p1", "old")
    scene.healthy("p2", "old")
    row = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": message,
        "lastTransitionTime": ago(60),
    }
    scene.deployment["status"]["conditions"] = [row]
    scene.add("ResourceQuota", "hafnium-quota", status={"hard": {"pods": "4"}, "used": {"pods": "4"}})
    result = look(scene)
    assert cause(result) == expected
    assert text(result).startswith("no further pod can be made: ")
    assert "Meanwhile 2 pods of an older revision serve." in check(result, "startup.identity-service")["hint"]
    quota = [row for row in result["workloads"][0]["causes"][0]["evidence"] if row["source"] == "quota"]
    assert [row["text"] for row in quota] == (["used: pods 4 of 4"] if expected == "quota_exceeded" else [])


def test_a_refusal_that_is_over_is_not_told(look: Look) -> None:
    scene = Scene(2)
    owner = scene.stored["ReplicaSet"][0]
    scene.event(owner, "FailedCreate", "exceeded quota: q, requested", lastTimestamp=ago(100))
    scene.event(owner, "SuccessfulCreate", "Created pod", "Normal", lastTimestamp=ago(50))
    scene.healthy("p1")
    result = look(scene)
    assert result["workloads"][0]["cause"] == "starting"
    assert check(result, "startup.identity-service")["status"] == "unverified"


def test_nobody_asked_it_to_start(look: Look) -> None:
    result = look(Scene(0))
    assert (cause(result), playbook(result)) == ("scaled_to_zero", "scale")


def test_a_paused_rollout(look: Look) -> None:
    scene = Scene(2)
    scene.replica_set("old", 1)
    scene.healthy("p1", "old")
    scene.healthy("p2", "old")
    scene.deployment["spec"]["paused"] = True
    assert cause(look(scene)) == "rollout_paused"


def test_no_node_takes_it(look: Look) -> None:
    scene = Scene()
    message = "0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available."
    row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    pod = scene.pod("p1", phase="Pending", conditions=[row], node=None)
    scene.event(pod, "FailedScheduling", message)
    result = look(scene)
    assert (cause(result), playbook(result)) == ("unschedulable", "resources")
    assert text(result) == "no node takes the pod: 0/3 nodes are available: 3 Insufficient memory."


def test_an_unbound_volume(look: Look) -> None:
    scene = Scene()
    message = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    row = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    scene.pod("p1", phase="Pending", conditions=[row], node=None)
    assert cause(look(scene)) == "volume_unbound"


def test_a_scheduler_that_does_not_look(look: Look) -> None:
    scene = Scene()
    scene.pod("p1", phase="Pending", node=None)
    assert cause(look(scene)) == "scheduler_silent"


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("FailedMount", 'MountVolume.SetUp failed for volume "c" : configmap "rules" not found', "config_missing"),
        (
            "FailedMount",
            'MountVolume.SetUp failed for volume "c" : references non-existent secret key: tls.key',
            "config_missing",
        ),
        ("FailedAttachVolume", "AttachVolume.Attach failed: timed out", "volume_failed"),
        ("FailedCreatePodSandBox", "failed to setup network for sandbox: plugin type calico failed", "sandbox_failed"),
    ],
)
def test_containers_that_are_not_even_begun(look: Look, reason: str, message: str, expected: str) -> None:
    scene = Scene()
    pod = scene.pod("p1", status_of(waiting={"reason": "ContainerCreating"}), phase="Pending")
    scene.event(pod, reason, message, count=7)
    assert cause(look(scene)) == expected


def test_a_node_that_is_gone(look: Look) -> None:
    scene = Scene()
    scene.pod("p1", status_of(running={"startedAt": ago(900)}))
    scene.node(Ready="Unknown")
    assert cause(look(scene)) == "node_not_ready"


def test_an_evicted_pod(look: Look) -> None:
    scene = Scene()
    scene.pod("p1", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    scene.node(Ready="True", MemoryPressure="True")
    result = look(scene)
    assert cause(result) == "evicted"
    assert "low on resource: memory" in text(result)


def test_evicted_pods_whose_place_was_taken_are_no_trouble(look: Look) -> None:
    scene = Scene()
    scene.healthy("p2")
    scene.deployment["status"] |= {"replicas": 1, "updatedReplicas": 1}
    old = scene.pod("p1", phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    scene.deployment["status"] |= {"replicas": 1, "updatedReplicas": 1}
    assert old
    assert look(scene)["verdict"] == "pass"


def test_a_pod_that_does_not_go(look: Look) -> None:
    scene = Scene()
    scene.healthy("p1")
    gone = scene.healthy("p2")
    gone["metadata"] |= {"deletionTimestamp": ago(300), "finalizers": ["example.com/hold"]}
    scene.deployment["status"] |= {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
    result = look(scene)
    assert cause(result) == "stuck_terminating"
    assert "example.com/hold" in text(result)


# -- probes

STARTING = "2026-01-31T03:00:01.000Z  INFO 1 --- [risk] [main] d.h.App : Starting App v1 using Java 21\n"
TOMCAT = "o.s.b.w.embedded.tomcat.TomcatWebServer  : Tomcat started on port {port} (http) with context path '/'"
STARTED = (
    f"{STARTING}2026-01-31T03:00:09.000Z  INFO 1 --- [risk] [main] {TOMCAT}\n"
    "2026-01-31T03:00:09.100Z  INFO 1 --- [risk] [main] d.h.App : Started App in 8.1 seconds (process running for 9)\n"
)


def killed(scene: Scene, log: str | None, lasted: float = 95, word: str = "liveness", code: int = 143) -> Scene:
    pod = scene.pod("p1", status_of(restarts=3, waiting=BACK_OFF, last=ended(code, lasted=lasted)))
    where = {"reference": {"fieldPath": "spec.containers{app}"}}
    scene.event(
        pod,
        "Unhealthy",
        f"{word.title()} probe failed: dial tcp 10.0.0.1:8080: connect: connection refused",
        count=9,
        **where,
    )
    scene.event(
        pod,
        "Killing",
        f"Container app failed {word} probe, will be restarted",
        "Normal",
        lastTimestamp=ago(22),
        **where,
    )
    if log is not None:
        scene.logs["p1/app/previous"] = log
    return scene


def test_a_slow_start_that_the_liveness_probe_ends(look: Look) -> None:
    result = look(killed(Scene(), STARTING))
    assert cause(result) == "slow_start_killed"
    assert text(result) == (
        "the start takes longer than the 90 s that the liveness probe allows (60 s delay + 3 x 10 s), and no startupProbe guards "
        "it; its last run was ended after 95 s"
    )


def test_a_startup_probe_that_is_too_short(look: Look) -> None:
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 2, "failureThreshold": 5}
    scene = Scene(spec={"containers": [container(startupProbe=probe)]})
    result = look(killed(scene, STARTING, lasted=12, word="startup"))
    assert cause(result) == "slow_start_killed"
    assert "the 10 s that the startup probe allows" in text(result)
    assert "no startupProbe" not in text(result)


def test_the_database_is_named_before_the_slow_start_that_it_makes(look: Look) -> None:
    assert cause(look(killed(Scene(), REFUSED))) == "database_refused"


def test_a_process_that_listens_elsewhere(look: Look) -> None:
    """SERVER_PORT is set by no manifest: the service listens on its own default, the probes ask 8080."""
    result = look(killed(Scene(), STARTED.format(port=8085)))
    assert cause(result) == "wrong_port"
    assert text(result).startswith("the process listens on port 8085, and the liveness probe asks http :8080/")
    assert playbook(result) == "set_env"


def test_a_service_that_is_up_and_then_fails_its_liveness_probe(look: Look) -> None:
    result = look(killed(Scene(), STARTED.format(port=8080)))
    assert cause(result) == "probe_failing"
    assert "the liveness probe (http :8080/actuator/health/liveness) fails" in text(result)
    assert "the container is ended for it" in text(result)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("HTTP probe failed with statuscode: 503", "says itself that it is not ready"),
        ("HTTP probe failed with statuscode: 404", "there is no such path"),
        ("HTTP probe failed with statuscode: 401", "asks for a login"),
        (
            'Get "http://10.0.0.1:8080/": context deadline exceeded (Client.Timeout exceeded)',
            "does not answer within 1 s",
        ),
        (
            'Get "http://10.0.0.1:8080/": dial tcp 10.0.0.1:8080: connect: connection refused',
            "nothing listens on that port",
        ),
    ],
)
def test_a_readiness_probe_that_fails(look: Look, answer: str, words: str) -> None:
    scene = Scene()
    pod = scene.pod("p1", status_of(running={"startedAt": ago(500)}))
    scene.event(pod, "Unhealthy", f"Readiness probe failed: {answer}", count=80)
    scene.logs["p1/app/current"] = STARTED.format(port=8080)
    result = look(scene)
    assert cause(result) == "probe_failing"
    assert words in text(result)


def test_a_warning_in_the_log_hints_at_what_makes_the_probe_fail(look: Look) -> None:
    scene = Scene()
    pod = scene.pod("p1", status_of(running={"startedAt": ago(500)}))
    scene.event(pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", count=80)
    pool = "HikariPool-1 - Connection is not available, request timed out after 2000ms (total=4, active=4, idle=0, waiting=7)"
    scene.logs["p1/app/current"] = STARTED.format(port=8080) + f"2026-01-31T03:01:00.000Z  WARN 1 --- db : {pool}\n"
    result = look(scene)
    assert [row["cause"] for row in result["workloads"][0]["causes"]] == ["connection_pool_exhausted", "probe_failing"]
    assert result["findings"][0]["confidence"] == "inferred"


def test_an_error_before_the_service_was_up_is_not_the_cause(look: Look) -> None:
    scene = Scene()
    pod = scene.pod("p1", status_of(running={"startedAt": ago(500)}))
    scene.event(pod, "Unhealthy", "Readiness probe failed: HTTP probe failed with statuscode: 503", count=80)
    scene.logs["p1/app/current"] = REFUSED + STARTED.format(port=8080)
    assert cause(look(scene)) == "probe_failing"


def test_a_start_that_has_not_had_its_time_is_unverified(look: Look) -> None:
    scene = Scene()
    scene.pod("p1", status_of(running={"startedAt": ago(20)}))
    result = look(scene)
    assert result["verdict"] == "unverified"
    assert result["workloads"][0]["cause"] == "starting"


def test_a_readiness_gate(look: Look) -> None:
    scene = Scene(spec={"containers": [container()], "readinessGates": [{"conditionType": "example.com/lb"}]})
    row = {"type": "ContainersReady", "status": "True"}
    scene.pod("p1", status_of(ready=True, running={"startedAt": ago(500)}), conditions=[row])
    assert cause(look(scene)) == "readiness_gate"


# -- init containers, restarts, several pods


def test_an_init_container_that_fails(look: Look) -> None:
    scene = Scene(spec={"initContainers": [{"name": "migrate", "image": "x:1"}], "containers": [container()]})
    init = status_of("migrate", restarts=4, waiting=BACK_OFF, last=ended(1))
    scene.pod("p1", status_of(waiting={"reason": "PodInitializing"}), inits=[init], phase="Pending")
    scene.logs["p1/migrate/previous"] = "Error: Found more than one migration with version 1\n"
    result = look(scene)
    assert cause(result) == "flyway_failed"
    assert result["workloads"][0]["causes"][0]["evidence"][0]["object"] == "Pod/p1/migrate"


def test_a_pod_that_is_ready_again_after_a_crash(look: Look) -> None:
    scene = Scene()
    scene.pod(
        "p1", status_of(ready=True, restarts=1, running={"startedAt": ago(100)}, last=ended(1, before=110)), ready=True
    )
    scene.logs["p1/app/previous"] = REFUSED
    scene.logs["p1/app/current"] = STARTED.format(port=8080)
    assert cause(look(scene)) == "database_refused"
    assert look(scene, recent_restart_seconds=60)["verdict"] == "pass"


def test_pods_with_one_trouble_are_looked_into_once(look: Look) -> None:
    scene = Scene(4)
    for number in range(4):
        scene.pod(f"p{number}", status_of(restarts=number, waiting=BACK_OFF, last=ended(1)))
        scene.logs[f"p{number}/app/previous"] = REFUSED
    cluster = scene.cluster()
    result = look(cluster)
    assert cause(result) == "database_refused"
    assert sorted(result["workloads"][0]["causes"][0]["pods"]) == ["p0", "p1", "p2", "p3"]
    assert [request for request in cluster.asked if "pods/log" in request] == ["get pods/log p3 previous 500"]


def test_only_the_newest_revision_is_bad(look: Look) -> None:
    scene = Scene(2)
    scene.replica_set("old", 1)
    scene.healthy("p2", "old")
    scene.healthy("p3", "old")
    result = look(crash(scene, REFUSED))
    assert (cause(result), playbook(result)) == ("database_refused", "rollback")
    assert result["findings"][0]["affects"] == [
        "identity-service: 0 of 2 ready in the newest revision, 2 in an older one"
    ]


def test_when_older_pods_suffer_too_going_back_does_not_help(look: Look) -> None:
    scene = Scene(3)
    scene.replica_set("old", 1)
    scene.healthy("p3", "old")
    scene.pod("p2", status_of(restarts=5, waiting=BACK_OFF, last=ended(1)), hash_value="old")
    scene.logs["p2/app/previous"] = REFUSED
    result = look(crash(scene, REFUSED))
    assert (cause(result), playbook(result)) == ("database_refused", "health")


# -- logs and rights


def test_a_log_that_may_not_be_read_names_the_verb(look: Look) -> None:
    cluster = crash(Scene()).cluster()
    cluster.forbidden = {"get pods/log"}
    result = look(cluster)
    assert cause(result) == "unknown_cause"
    assert "its log could not be read" in text(result)
    row = check(result, "logs.identity-service")
    assert (row["status"], "verb 'get' on 'pods/log'" in row["observed"]) == ("unverified", True)


def test_a_log_that_is_gone_is_no_missing_right(look: Look) -> None:
    result = look(crash(Scene()))
    assert cause(result) == "unknown_cause"
    assert [row["id"] for row in result["checks"]] == ["namespace.hafnium", "startup.identity-service"]


def test_the_node_that_has_no_log_any_more_answers_with_200(look: Look) -> None:
    scene = crash(Scene(), "unable to retrieve container logs for containerd://abc")
    result = look(scene)
    assert result["workloads"][0]["logs"][0]["problem"].startswith("the node has no log of that run")


def test_a_log_that_does_not_fit_is_asked_for_again_with_fewer_lines(look: Look) -> None:
    """limitBytes cuts the end, which is what matters."""
    scene = crash(
        Scene(),
        "".join(f"noise {number:040d}\n" for number in range(400)) + "Error: connect ECONNREFUSED 127.0.0.1:5432\n",
    )
    cluster = scene.cluster()
    result = look(cluster, log_bytes=10240, log_lines=400)
    assert cause(result) == "database_refused"
    asked = [request for request in cluster.asked if "pods/log" in request]
    assert [request.rpartition(" ")[2] for request in asked] == ["400", "100"]
    assert result["workloads"][0]["logs"][0]["cut"] is True


def test_nodes_that_may_not_be_read_are_unverified(look: Look) -> None:
    cluster = crash(Scene(), REFUSED).cluster()
    cluster.forbidden = {"get nodes"}
    result = look(cluster)
    assert cause(result) == "database_refused"
    assert check(result, "nodes")["status"] == "unverified"


def test_without_a_list_of_pods_nothing_is_known(look: Look) -> None:
    cluster = crash(Scene(), REFUSED).cluster()
    cluster.forbidden = {"list pods"}
    result = look(cluster)
    assert result["verdict"] == "unverified"
    assert {row["id"]: row["status"] for row in result["checks"]} == {
        "rights.pods": "unverified",
        "namespace.hafnium": "pass",
        "startup.identity-service": "unverified",
    }


def test_without_events_the_rest_is_judged(look: Look) -> None:
    cluster = crash(Scene(), REFUSED).cluster()
    cluster.forbidden = {"list events"}
    result = look(cluster)
    assert cause(result) == "database_refused"
    assert check(result, "rights.events")["status"] == "unverified"


def test_without_replica_sets_pods_are_found_by_their_names(look: Look) -> None:
    cluster = crash(Scene(), REFUSED).cluster()
    cluster.stored["Pod"][0]["metadata"]["name"] = "identity-service-new-abcde"
    cluster.logs = {"identity-service-new-abcde/app/previous": REFUSED}
    cluster.forbidden = {"list replicasets"}
    assert cause(look(cluster)) == "database_refused"


# -- results


def test_events_are_told_once_the_newest_first(look: Look) -> None:
    scene = crash(Scene(), REFUSED)
    pod = scene.stored["Pod"][0]
    for seconds in (300, 200, 100):
        scene.event(pod, "Pulled", "Container image already present", "Normal", lastTimestamp=ago(seconds))
    events = look(scene)["workloads"][0]["events"]
    assert [(row["reason"], row["count"]) for row in events] == [("BackOff", 40), ("Pulled", 3)]
    assert events[1]["last"] == ago(100)


def test_the_owner_chain_is_told(look: Look) -> None:
    scene = crash(Scene(), REFUSED)
    scene.deployment["metadata"]["ownerReferences"] = [{"kind": "Rollout", "name": "r", "uid": "u", "controller": True}]
    (pod,) = look(scene)["workloads"][0]["pods"]
    assert pod["owners"] == ["ReplicaSet/identity-service-new", "Deployment/identity-service", "Rollout/r"]
    assert pod["containers"][0]["last_termination"]["exit_code"] == 1


def test_another_systems_playbooks(look: Look) -> None:
    result = look(crash(Scene(), REFUSED), system="durion")
    step = result["findings"][0]["next"]
    assert step == {
        "playbook": "sre.runbooks.durion.health",
        "args": {"durion_service": "identity-service"},
        "effect": "read",
    }


# -- what is asked for


def test_an_absent_name_says_where_it_is(look: Look) -> None:
    scene = Scene()
    scene.healthy("p1")
    other = Scene(name="identity-service").deployment
    other["metadata"]["namespace"] = "hafnium-backend"
    scene.deployment["metadata"]["name"] = "case-service"
    scene.stored["Deployment"].append(other)
    result = look(scene)
    row = check(result, "workload.identity-service")
    assert (row["status"], row["observed"]) == (
        "fail",
        "there is no Deployment identity-service in namespace hafnium; others there: case-service",
    )
    assert "identity-service is in namespace hafnium-backend" in row["hint"]
    assert result["findings"][0]["cause"] == "workload_absent"


@pytest.mark.parametrize("error", [UnreachableError("refused"), UnauthorizedError("a token has expired", 401)])
def test_an_api_server_that_gives_no_answer_is_one_check(look: Look, error: RunbookError) -> None:
    cluster = crash(Scene()).cluster()
    cluster.failing = error
    result = look(cluster)
    (row,) = result["checks"]
    assert (row["id"], row["status"], row["observed"]) == ("cluster.reachable", "unverified", error.message)
    assert result["workloads"] == []


def test_bad_arguments_are_refused(look: Look) -> None:
    for options, words in (
        ({"names": []}, "names and selector are both empty"),
        ({"names": ["a", "a"]}, "names holds a more than once"),
        ({"names": [""]}, "empty name"),
        ({"selector": "tier in a"}, "is no label selector"),
        ({"selector": "tier=backend,"}, "ends in a comma"),
        ({"max_pods": 0}, "max_pods is 0; it must be from 1 to 10"),
        ({"log_bytes": 1}, "log_bytes"),
        ({"log_lines": 9}, "log_lines"),
    ):
        result = look(Scene(), **options)
        assert result.get("failed"), options
        assert words in result["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner as its cluster sees it: pods that are processes, with their logs, probes, restarts and ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from lab import control, hafnium, supervisor
from lab.layout import SUPERVISED, address, paths, ports
from lab.oracle import kubectl, run_kubectl
from lab.runner import NODE
from lab.runner.addresses import loopback
from tests.integration.kubernetes.lab.real_pods import (
    ENVIRONMENT,
    IDLE,
    READINESS,
    REGISTRY,
    Namespace,
    namespace,
    probe,
    wait,
)

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("kubernetes_lab")]


@pytest.fixture
def here() -> Iterator[Namespace]:
    with namespace() as made:
        yield made


def processes(pod: str) -> list[psutil.Process]:
    """Processes whose host name is the pod's, in this lab."""
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
        except (psutil.Error, OSError):
            continue
        if environment.get("HOSTNAME") == pod and environment.get(SUPERVISED) == str(paths().root):
            found.append(process)
    return found


def shell(script: str) -> dict[str, Any]:
    return {"command": ["sh", "-c", script], "env": []}


# -- a pod that is well


def test_a_pod_is_a_process_that_answers_on_its_own_address(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("one"), "pod ready")
    pod = here.get("pod/one")
    assert pod["spec"]["nodeName"] == NODE
    assert pod["status"]["phase"] == "Running"
    assert {each["type"]: each["status"] for each in pod["status"]["conditions"]}["Ready"] == "True"
    direct = http.client.HTTPConnection(loopback(pod["status"]["podIP"]), 8080, timeout=5)
    direct.request("GET", "/actuator/info")
    assert json.load(direct.getresponse())["app"] == {"name": "case-service", "version": "1.5.0"}
    direct.close()
    assert json.loads(here.proxy("one", "/actuator/health"))["status"] == "UP"
    assert here.events("one").keys() >= {"Scheduled", "Pulled", "Created", "Started"}


def test_it_listens_on_loopback_only(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("one"), "pod ready")
    runner = psutil.Process(supervisor.programs_info(paths())["runner"]["pid"])
    listening = [
        connection.laddr.ip
        for process in (runner, *processes("one"))
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert len(listening) >= 4  # kubelet interface, ingress twice, the service
    assert all(ip.startswith("127.") for ip in listening)


def test_its_environment_comes_from_where_the_pod_says(here: Namespace) -> None:
    here.kubectl("create", "configmap", "settings", "--from-literal=COLOUR=green", "--from-literal=shape=round")
    here.kubectl("create", "secret", "generic", "keys", "--from-literal=key=open sesame")
    here.make(
        "one",
        IDLE,
        command=["sh", "-c", 'echo "$COLOUR|$SHAPE|$KEY|$WHO|$LIMIT|$BOTH|$NONE|$0"; sleep 60', "$(SHAPE)"],
        envFrom=[{"configMapRef": {"name": "settings"}}, {"secretRef": {"name": "absent", "optional": True}}],
        env=[
            {"name": "SHAPE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "shape"}}},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "key"}}},
            {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}},
            {"name": "BOTH", "value": "$(SHAPE) and $(COLOUR), $$(WHO)"},
            {"name": "NONE", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "no", "optional": True}}},
        ],
        resources={"limits": {"memory": "64Mi"}},
    )
    wait(lambda: here.ready("one"), "pod ready")
    wait(lambda: here.kubectl("logs", "one"), "its first line")
    assert here.kubectl("logs", "one") == "green|round|open sesame|one|64|round and green, $(WHO)||round\n"


def test_a_deleted_pod_is_asked_to_end_before_it_is_gone(here: Namespace) -> None:
    here.make("polite", IDLE, **shell('trap "echo bye; exit 0" TERM; echo here; while :; do sleep 0.05; done'))
    wait(lambda: here.kubectl("logs", "polite") == "here\n", "its first line")
    follow = subprocess.Popen(
        [kubectl(), "-n", here.name, "logs", "-f", "polite"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KUBECONFIG": str(paths().kubernetes / "admin.kubeconfig")},
    )
    assert follow.stdout is not None
    assert follow.stdout.readline() == "here\n"
    here.kubectl("delete", "pod", "polite", "--timeout=30s")
    assert follow.stdout.read() == "bye\n"
    follow.wait(30)
    assert here.events("polite")["Killing"] == "Stopping container app"
    assert processes("polite") == []


def test_a_pod_that_does_not_end_is_killed_with_all_that_it_started(here: Namespace) -> None:
    here.make("stubborn", IDLE, {"terminationGracePeriodSeconds": 1}, **shell('trap "" TERM; sleep 300 & sleep 300'))
    wait(lambda: len(processes("stubborn")) >= 3, "its processes")
    here.kubectl("delete", "pod", "stubborn", "--timeout=30s")
    assert processes("stubborn") == []
    assert here.get("pod/stubborn") is None


def test_a_pod_that_is_deleted_by_force_leaves_no_process(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("one"), "pod ready")
    here.kubectl("delete", "pod", "one", "--grace-period=0", "--force")
    wait(lambda: not processes("one"), "process gone")


# -- logs


def test_logs_as_kubectl_asks_for_them(here: Namespace) -> None:
    here.make(
        "one", IDLE, **shell("for n in 1 2 3; do echo line $n; done; echo problem >&2; printf unfinished; sleep 60")
    )
    wait(lambda: "problem" in here.kubectl("logs", "one"), "its lines")
    assert here.kubectl("logs", "one").splitlines() == ["line 1", "line 2", "line 3", "problem"]
    assert here.kubectl("logs", "one", "--tail=2").splitlines() == ["line 3", "problem"]
    assert here.kubectl("logs", "one", "--limit-bytes=6") == "line 1"
    assert here.kubectl("logs", "one", "--since=1h").startswith("line 1")
    stamp, text = here.kubectl("logs", "one", "--timestamps", "--tail=1").split(" ", 1)
    assert text == "problem\n"
    assert here.kubectl("logs", "one", f"--since-time={stamp[:10]}T00:00:00Z").startswith("line 1")
    assert 'previous terminated container "app" in pod "one" not found' in here.refused("logs", "one", "--previous")


def test_logs_of_the_run_before(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0-bad-crash")
    wait(lambda: here.reason("one") == "CrashLoopBackOff", "crash loop")
    assert "Rule set is not sorted by priority" in here.kubectl("logs", "one", "--previous")
    assert here.kubectl("logs", "one") == here.kubectl(
        "logs", "one", "--previous"
    )  # between two runs they are the same
    folder = paths().root / "runner" / "pods"
    wait(lambda: here.container("one")["restartCount"] >= 3, "some restarts")
    assert sum(1 for _ in folder.glob(f"{here.name}_one_*/app/*.log")) <= 3  # older ones are not kept


# -- what goes wrong


@pytest.mark.parametrize(
    ("tag", "words"),
    [
        ("1.5.0-bad-crash", "java.lang.IllegalStateException"),
        ("1.5.0-bad-config", "Could not resolve placeholder 'HAFNIUM_SIGNING_KEY_ID'"),
        ("1.5.0-bad-keycloak", "Unable to resolve the Configuration with the provided Issuer"),
        ("1.5.0-bad-db", "Connection to 127.0.0.1:1 refused. Check that the hostname and port are correct"),
    ],
)
def test_a_service_that_does_not_start_says_why_and_is_restarted(here: Namespace, tag: str, words: str) -> None:
    here.make("one", f"{REGISTRY}:{tag}", terminationMessagePolicy="FallbackToLogsOnError")
    wait(lambda: here.reason("one") == "CrashLoopBackOff", "crash loop")
    container = here.container("one")
    ended = container["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (1, "Error")
    assert container["restartCount"] >= 1
    assert here.get("pod/one")["status"]["phase"] == "Running"
    log = here.kubectl("logs", "one", "--previous")
    assert words in log
    assert "Application run failed" in log
    assert ended["message"].strip().endswith(log.strip()[-100:])
    assert here.events("one")["BackOff"].startswith("Back-off restarting failed container app in pod one_")


def test_no_keys_to_check_tokens_with(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", env=[{"name": "SPRING_PROFILES_ACTIVE", "value": "no-database"}])
    wait(lambda: here.reason("one") == "CrashLoopBackOff", "crash loop")
    assert "jwkSetUri cannot be empty" in here.kubectl("logs", "one")


def test_beyond_its_memory_limit_it_is_killed(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0-bad-oom", resources={"limits": {"memory": "64Mi"}})
    wait(lambda: here.container("one").get("lastState"), "killed once")
    ended = here.container("one")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (137, "OOMKilled")


def test_no_such_image(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:9.9.9")
    wait(lambda: here.reason("one") == "ImagePullBackOff", "waiting for its image")
    events = here.events("one")
    assert events["BackOff"] == f'Back-off pulling image "{REGISTRY}:9.9.9"'
    assert "not found" in here.container("one")["state"]["waiting"]["message"]
    assert here.get("pod/one")["status"]["phase"] == "Pending"
    assert "is waiting to start: trying and failing to pull image" in here.refused("logs", "one")
    here.make("never", f"{REGISTRY}:9.9.9", imagePullPolicy="Never")
    wait(lambda: here.reason("never") == "ErrImageNeverPull", "never pulled")


def test_missing_settings_are_waited_for(here: Namespace) -> None:
    reference = {"configMapKeyRef": {"name": "settings", "key": "colour"}}
    here.make("one", IDLE, env=[{"name": "COLOUR", "valueFrom": reference}])
    wait(lambda: here.reason("one") == "CreateContainerConfigError", "without its ConfigMap")
    assert here.container("one")["state"]["waiting"]["message"] == 'configmap "settings" not found'
    here.kubectl("create", "configmap", "settings", "--from-literal=shape=round")
    wait(lambda: "couldn't find key colour" in str(here.container("one")["state"]), "without its key")
    here.kubectl("patch", "configmap", "settings", "-p", '{"data": {"colour": "green"}}')
    wait(lambda: here.ready("one"), "ready")


def test_missing_volumes_are_waited_for(here: Namespace) -> None:
    here.make("one", IDLE, {"volumes": [{"name": "keys", "secret": {"secretName": "keys"}}]}, env=[])
    wait(lambda: "FailedMount" in here.events("one"), "told")
    assert here.events("one")["FailedMount"].endswith('volume "keys" : secret "keys" not found')
    here.kubectl("create", "secret", "generic", "keys", "--from-literal=key=x")
    wait(lambda: here.ready("one"), "ready")


def test_a_command_that_is_not_there(here: Namespace) -> None:
    here.make("one", IDLE, command=["/no/such/program"], env=[])
    wait(lambda: here.container("one").get("lastState"), "ended")
    ended = here.container("one")["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert ended["message"] == 'exec: "/no/such/program": no such file or directory'


def test_pods_that_run_once(here: Namespace) -> None:
    here.make("good", IDLE, {"restartPolicy": "Never"}, **shell("exit 0"))
    here.make("bad", IDLE, {"restartPolicy": "Never"}, **shell("exit 3"))
    here.make("again", IDLE, {"restartPolicy": "OnFailure"}, **shell("test -e done || { touch done; exit 4; }"))
    wait(lambda: here.get("pod/good")["status"]["phase"] == "Succeeded", "succeeded")
    wait(lambda: here.get("pod/bad")["status"]["phase"] == "Failed", "failed")
    wait(lambda: here.get("pod/again")["status"]["phase"] == "Succeeded", "succeeded at last")
    assert here.container("bad")["state"]["terminated"]["exitCode"] == 3
    assert here.container("again")["restartCount"] == 1


def test_init_containers_come_first(here: Namespace) -> None:
    init = {"name": "first", "image": IDLE, **shell("test -e ok || { touch ok; exit 1; }; echo prepared")}
    here.make("one", IDLE, {"initContainers": [init]}, **shell("echo main; sleep 60"))
    wait(lambda: here.ready("one"), "ready")
    status = here.get("pod/one")["status"]["initContainerStatuses"][0]
    assert status["restartCount"] == 1
    assert here.kubectl("logs", "one", "-c", "first") == "prepared\n"


# -- probes


def test_it_is_ready_only_while_its_probe_is_good(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("one"), "ready")
    ask = f"http://{loopback(here.get('pod/one')['status']['podIP'])}:8080/faults"
    urllib.request.urlopen(urllib.request.Request(f"{ask}/readiness?value=REFUSING_TRAFFIC", method="PUT"), timeout=5)
    wait(lambda: not here.ready("one"), "not ready")
    assert here.events("one")["Unhealthy"] == "Readiness probe failed: HTTP probe failed with statuscode: 503"
    urllib.request.urlopen(urllib.request.Request(ask, method="DELETE"), timeout=5)
    wait(lambda: here.ready("one"), "ready again")
    assert here.container("one")["restartCount"] == 0


def test_a_failed_liveness_probe_restarts_it(here: Namespace) -> None:
    liveness = {"httpGet": {"path": "/nowhere", "port": "http"}, "periodSeconds": 1, "failureThreshold": 1}
    here.make("one", f"{REGISTRY}:1.5.0", livenessProbe=liveness, ports=[{"name": "http", "containerPort": 8080}])
    wait(lambda: here.container("one").get("restartCount"), "restarted")
    assert here.container("one")["lastState"]["terminated"]["exitCode"] == 143
    events = here.events("one")
    assert events["Killing"] == "Container app failed liveness probe, will be restarted"
    assert events["Unhealthy"] == "Liveness probe failed: HTTP probe failed with statuscode: 404"


def test_a_startup_probe_holds_the_others_back(here: Namespace) -> None:
    slow = {
        "env": [{"name": name, "value": value} for name, value in {**ENVIRONMENT, "SERVICE_START_DELAY": "4s"}.items()]
    }
    liveness = probe("/actuator/health/liveness", failureThreshold=1)
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 60}
    here.make("one", f"{REGISTRY}:1.5.0", startupProbe=startup, livenessProbe=liveness, **slow)
    wait(lambda: here.container("one").get("started"), "started")
    assert here.container("one")["restartCount"] == 0


# -- rollouts, and requests meanwhile


def test_a_rollout_under_load_loses_no_request() -> None:
    """Pods of namespace hafnium are sent requests by the ingress, and have a pre-stop pause."""
    url = f"http://{address('ingress')}/case-service/api/work?seconds=0.01"
    codes: list[int] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            try:
                with urllib.request.urlopen(url, timeout=20) as answer:
                    codes.append(answer.status)
            except urllib.error.HTTPError as error:
                codes.append(error.code)

    before = counts("case-service")
    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        run_kubectl(["-n", "hafnium", "rollout", "restart", "deployment/case-service"])
        run_kubectl(["-n", "hafnium", "rollout", "status", "deployment/case-service", "--timeout=50s"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(codes) == {200}
    after = counts("case-service")
    assert after["requests"] - before.get("requests", 0) >= len(codes)  # the lab's own traffic is counted too
    assert after["errors"] == before.get("errors", 0)
    assert len(after["by_pod"]) >= 2


def counts(service: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://{address('ingress')}/-/counts", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer).get(service, {})
    return found


def test_a_bad_image_never_takes_over(here: Namespace) -> None:
    here.deploy("case", "1.4.2")
    here.kubectl("rollout", "status", "deployment/case", "--timeout=50s")
    before = set(here.pod_names("case"))
    here.kubectl("set", "image", "deployment/case", f"app={REGISTRY}:1.5.0-bad-db")
    wait(lambda: any(here.reason(pod) == "CrashLoopBackOff" for pod in here.pod_names("case")), "the new pod crashing")
    assert all(here.ready(pod) for pod in before)
    assert len(ready_addresses(here, "case")) == 2
    here.kubectl("rollout", "undo", "deployment/case")
    here.kubectl("rollout", "status", "deployment/case", "--timeout=50s")
    assert set(here.pod_names("case")) >= before


def ready_addresses(where: Namespace, service: str) -> list[str]:
    slices = json.loads(
        where.kubectl("get", "endpointslices", "-l", f"kubernetes.io/service-name={service}", "-o", "json")
    )
    return [
        address
        for each in slices["items"]
        for endpoint in each.get("endpoints") or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    ]


# -- the ingress


def test_the_ingress_says_what_it_cannot_reach() -> None:
    with pytest.raises(urllib.error.HTTPError) as unknown:
        urllib.request.urlopen(f"http://{address('ingress')}/no-such-service/", timeout=5)
    assert unknown.value.code == 404
    run_kubectl(
        ["-n", "hafnium", "patch", "service", "vault-service", "-p", '{"spec": {"selector": {"app": "nobody"}}}']
    )
    try:
        wait(lambda: code("vault-service") == 503, "no ready address")
    finally:
        run_kubectl(
            [
                "-n",
                "hafnium",
                "patch",
                "service",
                "vault-service",
                "-p",
                '{"spec": {"selector": {"app": "vault-service"}}}',
            ]
        )
    wait(lambda: code("vault-service") == 200, "ready again")


def code(service: str) -> int:
    try:
        with urllib.request.urlopen(f"http://{address('ingress')}/{service}/actuator/health", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_the_ingress_speaks_tls_with_the_certificate_of_the_secret() -> None:
    import ssl

    trust = ssl.create_default_context(cafile=str(paths().ca_file))
    with urllib.request.urlopen(
        f"https://localhost:{ports()['ingress_tls']}/api-facade/actuator/health", context=trust, timeout=5
    ) as answer:
        assert json.load(answer)["status"] == "UP"


# -- the way from the API server


@pytest.mark.parametrize("target", ["192.0.2.1:80", "10.245.0.1:80", "localhost:22", "example.org:443", "127.0.0.2:80"])
def test_the_egress_proxy_leads_nowhere_else(target: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(paths().egress_socket))
        connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403")


# -- the node, and the runner's own life


def test_the_node_has_room_for_110_pods_and_renews_its_lease() -> None:
    node = json.loads(run_kubectl(["get", "node", NODE, "-o", "json"]))
    assert node["status"]["allocatable"]["pods"] == "110"
    assert "taints" not in node["spec"]
    lease = json.loads(run_kubectl(["-n", "kube-node-lease", "get", "lease", NODE, "-o", "json"]))
    assert lease["spec"]["holderIdentity"] == NODE
    first = lease["spec"]["renewTime"]

    def renewed() -> bool:
        now = json.loads(run_kubectl(["-n", "kube-node-lease", "get", "lease", NODE, "-o", "json"]))
        return bool(now["spec"]["renewTime"] != first)

    wait(renewed, "lease renewed")


@pytest.mark.slow
def test_it_outlives_the_api_server(here: Namespace) -> None:
    here.make("one", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    here.make("two", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("one") and here.ready("two"), "ready")
    process, victim = processes("one")[0], processes("two")[0]
    control.stop("kube-apiserver")
    try:
        victim.kill()  # what happens meanwhile is told afterwards
        assert process.is_running()
    finally:
        control.start("kube-apiserver")
    wait(lambda: here.container("two")["restartCount"] == 1 and here.ready("two"), "restart told")
    assert here.container("one")["restartCount"] == 0
    assert processes("one") == [process]
    here.make("three", f"{REGISTRY}:1.5.0", readinessProbe=READINESS)
    wait(lambda: here.ready("three"), "a new pod ready")


@pytest.mark.slow
def test_a_stopped_runner_leaves_no_process_and_takes_its_pods_up_again(here: Namespace) -> None:
    for name in ("one", "stays"):
        here.make(name, IDLE, **shell("echo started; sleep 300"))
    here.make("once", IDLE, {"restartPolicy": "Never"}, **shell("echo only once"))
    wait(lambda: here.ready("one") and here.ready("stays"), "ready")
    wait(lambda: here.get("pod/once")["status"]["phase"] == "Succeeded", "ended")
    control.stop("runner")
    assert processes("one") == processes("stays") == []
    here.kubectl("delete", "pod", "one", "--wait=false")
    here.make("two", IDLE, env=[])
    control.start("runner")
    wait(lambda: here.get("pod/one") is None, "the deleted pod gone")
    wait(lambda: here.ready("two"), "the new pod ready")
    wait(lambda: processes("stays"), "its process again")
    assert here.container("stays")["restartCount"] == 0
    assert here.kubectl("logs", "once") == "only once\n"
    assert here.container("once")["restartCount"] == 0
    hafnium.wait_ready(paths(), paths().kubernetes / "admin.kubeconfig")


@pytest.mark.slow
def test_a_killed_runner_is_followed_by_one_that_cleans_up(here: Namespace) -> None:
    here.make("one", IDLE, **shell("echo started; sleep 300"))
    here.make("once", IDLE, {"restartPolicy": "Never"}, **shell("sleep 300"))
    wait(lambda: here.ready("one") and here.ready("once"), "ready")
    before = processes("one")
    os.kill(supervisor.programs_info(paths())["runner"]["pid"], signal.SIGKILL)
    wait(lambda: control.state("runner") in ("EXITED", "FATAL"), "runner dead")
    control.start("runner")
    wait(lambda: here.container("one")["restartCount"] == 1 and here.ready("one"), "restarted")
    now = processes("one")
    assert now
    assert not set(before) & set(now)
    assert here.container("one")["lastState"]["terminated"]["reason"] == "Unknown"
    assert here.kubectl("logs", "one", "--previous") == "started\n"
    wait(lambda: here.get("pod/once")["status"]["phase"] == "Failed", "a pod that runs once is lost")
    hafnium.wait_ready(paths(), paths().kubernetes / "admin.kubeconfig")


def test_only_one_runner_works_in_a_folder() -> None:
    environment = {**os.environ, "SRE_LAB_DIR": str(paths().root), "RUNNER_KUBECONFIG": str(paths().kubeconfig)}
    root = Path(__file__).parents[4]
    done = subprocess.run(
        [sys.executable, "-m", "lab.runner"], env=environment, cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "another runner works in" in done.stderr
    assert len(done.stderr.splitlines()) == 1

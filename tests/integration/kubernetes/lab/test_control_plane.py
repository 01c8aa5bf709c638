# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane of the lab as its clients meet it: version, fake pods and their troubles, logs, rights, ends."""

from __future__ import annotations

import json
import os
import secrets
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab import cluster, control, supervisor
from lab.fake_pods import LABEL, STAGES
from lab.gobuild import KUBERNETES
from lab.layout import LabError, paths
from lab.oracle import run_kubectl as kubectl
from tests.support.playbooks import lab_command

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("kubernetes_lab")]

SECONDS = 60
PROGRAMS = (*cluster.PROGRAMS, "runner")


@pytest.fixture
def namespace() -> Iterator[str]:
    """A namespace of the test's own, gone at its end."""
    name = f"lab-{secrets.token_hex(4)}"
    kubectl(["create", "namespace", name])
    yield name
    kubectl(["delete", "namespace", name, "--wait=false"])


def pods(namespace: str, *stages: str, **annotations: str) -> None:
    """A fake pod for each stage, named like it."""
    documents = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": stage, "labels": {LABEL: stage}, "annotations": annotations},
            "spec": {
                "nodeSelector": {"type": "kwok"},
                "tolerations": [{"key": "kwok.x-k8s.io/node", "operator": "Exists"}],
                "containers": [{"name": "app", "image": "registry.lab/app:1"}],
            },
        }
        for stage in stages
    ]
    control.wait_until(lambda: get(namespace, "serviceaccount/default"), SECONDS, "the account that pods run as")
    kubectl(["apply", "-n", namespace, "-f", "-"], stdin=yaml.safe_dump_all(documents))


def get(namespace: str, what: str) -> Any:
    """An object as JSON; None when it is not there."""
    text = kubectl(["get", what, "-n", namespace, "-o", "json", "--ignore-not-found"])
    return json.loads(text) if text else None


def seen(namespace: str, pod: str) -> dict[str, Any]:
    """What a person looks at in a pod."""
    status = get(namespace, f"pod/{pod}")["status"]
    container = (status.get("containerStatuses") or [{}])[0]
    return {
        "phase": status["phase"],
        "ready": container.get("ready"),
        "reason": container.get("state", {}).get("waiting", {}).get("reason"),
        "ended": container.get("lastState", {}).get("terminated", {}).get("reason"),
        "restarts": container.get("restartCount"),
    }


def wait_pod(namespace: str, pod: str, **wanted: Any) -> None:
    control.wait_until(lambda: wanted.items() <= seen(namespace, pod).items(), SECONDS, f"{pod} {wanted}")


def pids() -> dict[str, int]:
    info = supervisor.programs_info(paths())
    return {name: info[name]["pid"] for name in PROGRAMS}


def test_it_is_the_version_that_the_module_pins() -> None:
    answer = json.loads(kubectl(["version", "-o", "json"]))
    assert answer["serverVersion"]["gitVersion"] == f"v{KUBERNETES.version}"
    assert (answer["serverVersion"]["major"], answer["serverVersion"]["minor"]) == ("1", "36")


def test_up_again_changes_nothing() -> None:
    before = pids()
    assert "the lab was up already" in lab_command("up", "kubernetes")
    assert pids() == before


def test_each_trouble_shows_as_in_a_real_cluster(namespace: str) -> None:
    pods(namespace, *STAGES, "healthy", **{"lab.sre.runbooks/exit-code": "78", "lab.sre.runbooks/ready-after": "1s"})
    wait_pod(namespace, "healthy", phase="Running", ready=True, restarts=0)
    wait_pod(namespace, "never-ready", phase="Running", ready=False, reason=None)
    wait_pod(namespace, "crash-loop", reason="CrashLoopBackOff", ended="Error", ready=False)
    wait_pod(namespace, "oom-killed", reason="CrashLoopBackOff", ended="OOMKilled", ready=False)
    wait_pod(namespace, "image-pull-error", phase="Pending", reason="ImagePullBackOff", restarts=0)
    wait_pod(namespace, "slow-ready", phase="Running", ready=True)
    wait_pod(namespace, "crash-loop", restarts=2)
    assert not seen(namespace, "never-ready")["ready"]
    crashed = get(namespace, "pod/crash-loop")["status"]["containerStatuses"][0]
    assert crashed["lastState"]["terminated"]["exitCode"] == 78
    events = kubectl(["get", "events", "-n", namespace, "--field-selector", "involvedObject.name=crash-loop"])
    assert "BackOff" in events


def test_logs_before_and_after_a_restart(namespace: str, tmp_path: Path) -> None:
    own = tmp_path / "own.log"
    own.write_text("2031-04-02T08:00:00.000000000Z stdout F these are my own words\n")
    pods(namespace, "crash-loop", "healthy", "image-pull-error")
    pods(namespace, "oom-killed", **{"lab.sre.runbooks/previous-log": str(own)})

    def log(pod: str, *options: str) -> str:
        return kubectl(["logs", pod, "-n", namespace, *options], context="lab")

    wait_pod(namespace, "crash-loop", reason="CrashLoopBackOff")
    wait_pod(namespace, "oom-killed", reason="CrashLoopBackOff")
    wait_pod(namespace, "healthy", ready=True)
    wait_pod(namespace, "image-pull-error", reason="ImagePullBackOff")
    assert "Connection refused" in log("crash-loop", "--previous")
    assert "Connection refused" not in log("crash-loop")
    assert log("crash-loop", "--previous", "--tail=1").count("\n") == 1
    assert log("oom-killed", "--previous") == "these are my own words\n"
    assert "Started Application" in log("healthy")
    for pod, options in (("healthy", ["--previous"]), ("image-pull-error", [])):
        with pytest.raises(LabError, match=r"kubectl logs .* failed"):
            log(pod, *options)


def test_the_api_server_reaches_the_processes_of_pods() -> None:
    (name, *_) = kubectl(["get", "pods", "-n", "hafnium", "-l", "app=identity-service", "-o", "name"]).split()
    path = f"/api/v1/namespaces/hafnium/pods/{name.removeprefix('pod/')}:8080/proxy/actuator/health"
    assert json.loads(kubectl(["get", "--raw", path], context="lab"))["status"] == "UP"
    assert "INFO" in kubectl(["logs", name, "-n", "hafnium"], context="lab")


@pytest.mark.parametrize(
    ("context", "verb", "resource", "allowed"),
    [
        ("lab", "patch", "deployments.apps", True),
        ("lab", "list", "replicasets.apps", True),
        ("lab", "get", "pods --subresource=log", True),
        ("lab", "patch", "deployments.apps --subresource=scale", True),
        ("lab", "delete", "pods", True),
        ("lab", "get", "secrets/hafnium-api-tls", True),
        ("lab", "get", "secrets/hafnium-db-credentials", False),
        ("lab", "list", "secrets", False),
        ("lab", "delete", "deployments.apps", False),
        ("lab", "create", "pods --subresource=exec", False),
        ("lab-narrow", "get", "deployments.apps", True),
        ("lab-narrow", "patch", "deployments.apps", False),
        ("lab-narrow", "list", "replicasets.apps", False),
        ("lab-narrow", "get", "pods --subresource=log", False),
    ],
)
def test_a_user_may_what_the_manifest_says(context: str, verb: str, resource: str, allowed: bool) -> None:
    try:
        answer = kubectl(["auth", "can-i", verb, *resource.split(), "-n", "hafnium"], context=context)
    except LabError:
        answer = "no"
    assert answer.strip() == ("yes" if allowed else "no")


def test_who_may_less_is_refused() -> None:
    patch = ["patch", "deployment", "api-facade", "-n", "hafnium", "-p", '{"metadata": {"labels": {"x": "y"}}}']
    with pytest.raises(LabError, match=r'(?i)forbidden: user "sre-narrow" cannot patch'):
        kubectl(patch, context="lab-narrow")
    with pytest.raises(LabError, match=r"(?i)unauthorized|logged in"):
        kubectl(["get", "pods", "-n", "hafnium"], context="lab-expired")


def test_the_kubeconfig_is_private_and_names_no_namespace() -> None:
    assert stat.S_IMODE(paths().kubeconfig.stat().st_mode) == 0o600
    config = yaml.safe_load(paths().kubeconfig.read_text())
    assert config["current-context"] == "lab"
    assert {each["name"] for each in config["contexts"]} == {"lab", "lab-admin", "lab-narrow", "lab-expired"}
    assert not any("namespace" in each["context"] for each in config["contexts"])


def test_without_the_runner_everything_else_goes_on(namespace: str) -> None:
    control.stop("runner")
    try:
        pods(namespace, "healthy")
        wait_pod(namespace, "healthy", ready=True)
    finally:
        control.start("runner")


def test_a_killed_api_server_comes_back(namespace: str) -> None:
    os.kill(pids()["kube-apiserver"], signal.SIGKILL)
    control.wait_until(lambda: control.state("kube-apiserver") == "EXITED", SECONDS, "the end of kube-apiserver")
    assert not control.is_up("kubernetes")
    with pytest.raises(LabError, match="kubectl get"):
        get(namespace, "pods")
    lab_command("up", "kubernetes")
    assert control.is_up("kubernetes")
    pods(namespace, "healthy")
    wait_pod(namespace, "healthy", ready=True)

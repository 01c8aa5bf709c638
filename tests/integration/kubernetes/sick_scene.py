# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workloads in trouble: real processes that end as a script says, and pods of simulated nodes with any status."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from tests.integration.kubernetes.rollout_scene import KWOK, Object, Scene, eventually

LOGS = Path(__file__).parents[2] / "fixtures" / "logs"
IDLE = "registry.lab/tools/idle:1"
REAL = {"nodeSelector": None, "tolerations": None, "terminationGracePeriodSeconds": 0}


def process(script: str, **container: Any) -> Object:
    """The part ``pod`` of ``Scene.deploy``: a real process that runs this shell script."""
    return {**REAL, "containers": [{"name": "app", "image": IDLE, "command": ["sh", "-c", script], **container}]}


def says(log: str, then: str) -> str:
    """A script that prints a recorded log, and then goes on."""
    return f"cat {shlex.quote(str(LOGS / f'{log}.log'))}; {then}"


def simulated(stage: str = "", **annotations: str) -> Object:
    """Labels and annotations of a pod of a simulated node that goes through a stage, such as crash-loop."""
    marks = {f"lab.sre.runbooks/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {"labels": {"lab.sre.runbooks/stage": stage} if stage else {}, "annotations": marks}


def deployment(
    scene: Scene, name: str, pod: Object, marks: Object | None = None, replicas: int = 1, **spec: Any
) -> None:
    """A Deployment whose pods have other labels than only its name, where ``marks`` says so."""
    labels = {"app": name, "tier": "backend"}
    found = marks or {}
    template = {"labels": {**labels, **found.get("labels", {})}, "annotations": found.get("annotations", {})}
    scene.create(
        "Deployment",
        {
            "apiVersion": "apps/v1",
            "metadata": {"name": name, "labels": labels},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": template,
                    "spec": {key: value for key, value in pod.items() if value is not None},
                },
                **spec,
            },
        },
    )


def fake(name: str = "main", image: str = "registry.example/x:1", **container: Any) -> Object:
    """A pod of a simulated node."""
    return {**KWOK, "containers": [{"name": name, "image": image, **container}]}


def service(scene: Scene, name: str, selector: dict[str, str], **port: Any) -> None:
    body = {"selector": selector, "ports": [{"port": 8080, **port}]}
    scene.create("Service", {"apiVersion": "v1", "metadata": {"name": name}, "spec": body})


def pods_of(scene: Scene, name: str) -> list[Object]:
    return scene.all("Pod", f"app={name}")


def restarted(scene: Scene, name: str, times: int = 2) -> None:
    """Wait until the first pod's container waits to be started again, after so many restarts."""

    def waits() -> bool:
        for pod in pods_of(scene, name):
            for status in pod["status"].get("containerStatuses") or []:
                if status["restartCount"] >= times and (status.get("lastState") or {}).get("terminated"):
                    return True
        return False

    eventually(f"{name} restarts", waits)


def waiting_for(scene: Scene, name: str, *reasons: str) -> None:
    """Wait until a container of the workload waits for one of these reasons."""

    def waits() -> bool:
        rows = [row for pod in pods_of(scene, name) for row in pod["status"].get("containerStatuses") or []]
        return any(((row.get("state") or {}).get("waiting") or {}).get("reason") in reasons for row in rows)

    eventually(f"{name} waits for {' or '.join(reasons)}", waits)


def set_status(scene: Scene, pod: str, **status: Any) -> None:
    """Write into a pod's status, as its kubelet would."""
    scene.kubectl("patch", "pod", pod, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))

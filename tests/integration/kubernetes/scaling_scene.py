# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of scaling and setting share: autoscalers, quotas and manifests beside the workloads of a Scene."""

from __future__ import annotations

import json
import tempfile
from typing import Any

from tests.integration.kubernetes.rollout_scene import KWOK, Object, Scene, eventually

HPA = "HorizontalPodAutoscaler"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"
CPU = {"requests": {"cpu": "100m", "memory": "64Mi"}}


def containers(image: str = "web:1", resources: Object | None = None, **more: Any) -> Object:
    """The part ``pod`` of ``Scene.deploy`` with one container."""
    return {"containers": [{"name": "main", "image": image, "resources": resources or CPU, **more}]}


def autoscale(scene: Scene, low: int = 2, high: int = 10, name: str = "web-hpa", target: str = "web") -> None:
    """An autoscaler by cpu. These pods have no metrics: it only keeps the number within its limits."""
    metric = {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}
    create(
        scene,
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": name, "namespace": scene.namespace},
            "spec": {
                "minReplicas": low,
                "maxReplicas": high,
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target},
                "metrics": [{"type": "Resource", "resource": metric}],
            },
        },
    )


def watched(scene: Scene, replicas: int, name: str = "web-hpa") -> None:
    """Wait until the controller of autoscalers has looked, and has seen so many replicas."""

    def seen() -> bool:
        status = scene.one(HPA, name).get("status") or {}
        return bool(status.get("conditions")) and int(status.get("currentReplicas") or 0) == replicas

    eventually(f"autoscaler {name} sees {replicas} replicas", seen)


def create(scene: Scene, wanted: Object, verb: str = "create") -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(wanted, file)
        file.flush()
        scene.kubectl(verb, "-f", file.name)


def quota(scene: Scene, **hard: str) -> None:
    """A quota that has counted what is there. ``requests_cpu`` is ``requests.cpu``."""
    rules = ",".join(f"{name.replace('_', '.')}={value}" for name, value in hard.items())
    scene.kubectl("create", "quota", "room", f"--hard={rules}")
    eventually("the quota has counted", lambda: (scene.one("ResourceQuota", "room").get("status") or {}).get("used"))


def most_of(scene: Scene, resource: str) -> int:
    """The most that one of the nodes for these pods has of cpu (whole ones) or memory (whole Gi)."""
    units = {"": 1, "k": 1000} if resource == "cpu" else {"Gi": 1, "Ti": 1024}
    nodes = [
        node for node in scene.all("Node") if node["metadata"]["labels"].get("type") == KWOK["nodeSelector"]["type"]
    ]
    return max(_number(node["status"]["allocatable"][resource], units) for node in nodes)


def _number(text: str, units: dict[str, int]) -> int:
    digits = text.rstrip("GTik")
    return int(digits) * units[text.removeprefix(digits)]


def replicas(scene: Scene, name: str = "web", kind: str = "Deployment") -> int:
    return int(scene.one(kind, name)["spec"]["replicas"])


def limits(scene: Scene, name: str = "web-hpa") -> tuple[int, int]:
    spec = scene.one(HPA, name)["spec"]
    return spec["minReplicas"], spec["maxReplicas"]


def ids(result: dict[str, Any]) -> set[str]:
    return {row["id"] for row in result["warnings_about"]}


def revision(scene: Scene, name: str = "web") -> int:
    return int(scene.one("Deployment", name)["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


def whole(scene: Scene) -> dict[str, Any]:
    """All that a run without effect leaves alone: workloads and autoscalers."""
    return {
        **scene.snapshot(),
        **{f"hpa/{one['metadata']['name']}": one["spec"] for one in scene.all(HPA)},
    }

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""metrics.k8s.io in the lab: `kubectl top` shows what pods use, and the real autoscalers compute with it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lab import control, hafnium
from lab.layout import LabError
from lab.oracle import run_kubectl as kubectl

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("kubernetes_lab")]
SECONDS = 60


def top(*words: str) -> list[list[str]]:
    """The lines of `kubectl top`, each split into its columns."""
    return [line.split() for line in kubectl(["top", *words, "--no-headers"]).splitlines()]


def items(kind: str, *words: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(kubectl(["-n", hafnium.NAMESPACE, "get", kind, *words, "-o", "json"]))[
        "items"
    ]
    return found


def test_every_pod_of_hafnium_uses_something() -> None:
    control.wait_until(
        lambda: (
            {line[0] for line in top("pods", "-n", hafnium.NAMESPACE)}
            == {pod["metadata"]["name"] for pod in items("pods")}
        ),
        SECONDS,
        "kubectl top shows every pod",
    )
    for name, cpu, memory in top("pods", "-n", hafnium.NAMESPACE):
        assert cpu.endswith("m"), name
        assert 5 < int(memory.removesuffix("Mi")) < 400, name


def test_a_selector_and_a_name_choose_pods() -> None:
    wanted = {pod["metadata"]["name"] for pod in items("pods", "-l", "app=case-service")}
    chosen = top("pods", "-n", hafnium.NAMESPACE, "-l", "app in (case-service)")
    assert {line[0] for line in chosen} == wanted
    one = min(wanted)
    assert [line[0] for line in top("pod", one, "-n", hafnium.NAMESPACE)] == [one]


def test_the_node_uses_what_its_pods_use() -> None:
    nodes = {line[0]: line[1:] for line in top("nodes")}
    pods = sum(int(line[2].removesuffix("Mi")) for line in top("pods", "-n", hafnium.NAMESPACE))
    assert int(nodes["runner-0"][2].removesuffix("Mi")) > pods / 2
    assert nodes["kwok-0"][0] == "<unknown>", "a fake node was measured"


def test_what_is_not_there_and_what_is_no_selector_is_refused() -> None:
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{hafnium.NAMESPACE}/pods"
    with pytest.raises(LabError, match="not found"):
        kubectl(["get", "--raw", f"{path}/nothing"])
    with pytest.raises(LabError, match="unable to parse requirement"):
        kubectl(["get", "--raw", f"{path}?labelSelector=a%3D%3D%3Db"])


def test_autoscalers_know_their_metric_and_leave_idle_services_alone() -> None:
    def measured() -> bool:
        return all(
            (metric.get("resource") or {}).get("current", {}).get("averageUtilization") is not None
            for each in items("hpa")
            for metric in each["status"].get("currentMetrics") or [{}]
        )

    control.wait_until(measured, SECONDS, "current metrics of every autoscaler of hafnium")
    for each in items("hpa"):
        conditions = {condition["type"]: condition["status"] for condition in each["status"]["conditions"]}
        assert conditions["ScalingActive"] == conditions["AbleToScale"] == "True"
        assert each["status"]["currentReplicas"] == each["spec"]["minReplicas"], each["metadata"]["name"]

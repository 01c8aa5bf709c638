# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Database degradation takes pressure away: workloads are scaled down, never up, once, and the way back is recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.kubernetes.rollout_scene import Scene
from tests.integration.kubernetes.scaling_scene import containers, replicas
from tests.support.playbooks import Playbooks, Run

pytestmark = pytest.mark.lab

NAME, HOST = "ecommerce.database_degradation", "ecommerce-lab"


@pytest.fixture
def scene(cluster: Any) -> Scene:
    """Two workloads of two replicas and one of one."""
    made = Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())
    for name, count in (("customer", 3), ("order", 2), ("small", 1)):
        made.deploy("web:1", name=name, replicas=count, pod=containers())
    return made


def hints(run: Run) -> dict[str, str]:
    return {check["id"]: check["hint"] for check in run.judgement(NAME, HOST)["checks"]}


def test_workloads_are_scaled_down_once(scene: Scene, playbooks: Playbooks) -> None:
    variables = {
        "ecommerce_workloads": ["customer", "order", "small"],
        "ecommerce_kubeconfig": scene.kubeconfig,
        "ecommerce_namespace": scene.namespace,
        "ecommerce_scale_down_to": 2,
    }
    asked = ("--limit", HOST, "-e", json.dumps(variables))
    before = scene.snapshot()
    planned = playbooks.run(NAME, *asked, "--check")
    assert (planned.code, scene.snapshot()) == (0, before), planned.output

    done = playbooks.run(NAME, *asked)
    assert done.code == 0, done.output
    assert [replicas(scene, name) for name in ("customer", "order", "small")] == [2, 2, 1]
    assert "scale deployment customer --replicas=3" in hints(done)["scale_down.customer"]

    again = playbooks.run(NAME, *asked)
    assert (again.code, again.changed()) == (0, 0), again.output
    assert [replicas(scene, name) for name in ("customer", "order", "small")] == [2, 2, 1]


@pytest.mark.parametrize("wanted", ["0", "11", "two"])
def test_a_number_that_cannot_be_meant_is_refused(scene: Scene, playbooks: Playbooks, wanted: str) -> None:
    variables = {
        "ecommerce_workloads": ["customer"],
        "ecommerce_kubeconfig": scene.kubeconfig,
        "ecommerce_namespace": scene.namespace,
        "ecommerce_scale_down_to": wanted,
    }
    before = scene.snapshot()
    run = playbooks.run(NAME, "--limit", HOST, "-e", json.dumps(variables))
    assert run.code == 2
    assert "ecommerce_limit_replicas_count" in run.output
    assert scene.snapshot() == before

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pods in kubectl's words."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_pods as pods
from tests.unit.plugins.recorded_cluster import NOW, Scene, ago, ended, status_of

RUNNING = {"startedAt": ago(100)}
TWO = {"initContainers": [{"name": "migrate", "image": "m"}], "containers": [{"name": "app", "image": "a"}]}


def made(*statuses: Any, **pod: Any) -> Any:
    spec = pod.pop("spec", None)
    return Scene(spec=spec).pod("p1", *statuses, **pod)


@pytest.mark.parametrize(
    ("pod", "words"),
    [
        (made(status_of(ready=True, running=RUNNING), ready=True), "Running"),
        (made(status_of(running=RUNNING)), "Running, not ready: app"),
        (made(status_of(waiting={"reason": "CrashLoopBackOff"})), "CrashLoopBackOff"),
        (made(status_of(waiting={"reason": "ContainerCreating"}), phase="Pending"), "ContainerCreating"),
        (made(status_of(terminated=ended(1))), "Error"),
        (made(status_of(terminated=ended(3, ""))), "ExitCode:3"),
        (made(phase="Failed", reason="Evicted"), "Evicted"),
        (
            made(phase="Pending", conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]),
            "Unschedulable",
        ),
        (
            made(
                status_of(waiting={"reason": "PodInitializing"}),
                inits=[status_of("migrate", waiting={"reason": "CrashLoopBackOff"})],
                spec=TWO,
            ),
            "Init:migrate:CrashLoopBackOff",
        ),
        (
            made(
                status_of(waiting={"reason": "PodInitializing"}),
                inits=[status_of("migrate", running=RUNNING)],
                spec=TWO,
            ),
            "Init:migrate",
        ),
    ],
)
def test_words(pod: Any, words: str) -> None:
    assert pods.words(pod) == words


def test_a_pod_that_goes_is_not_ready() -> None:
    pod = made(status_of(ready=True, running=RUNNING), ready=True)
    pod["metadata"]["deletionTimestamp"] = ago(1)
    assert (pods.words(pod), pods.is_ready(pod)) == ("Terminating", False)


def test_recent_ends_need_a_restart_and_a_time() -> None:
    pod = made(status_of(restarts=2, running=RUNNING, last=ended(137, "OOMKilled", before=50)))
    ((container, end),) = pods.recent_ends(pod, NOW - 60)
    assert (container.name, end.reason, end.seconds) == ("app", "OOMKilled", 30)
    assert pods.recent_ends(pod, NOW - 40) == []
    assert pods.recent_ends(made(status_of(restarts=0, terminated=ended(0, before=1))), NOW - 60) == []


def test_secrets_in_messages_are_struck_out() -> None:
    pod = made(status_of(waiting={"reason": "X", "message": "password=hunter22"}))
    assert "hunter22" not in str(pods.row(pod))


@pytest.mark.parametrize(
    ("image", "floats"),
    [
        ("web", True),
        ("web:latest", True),
        ("registry:5000/web", True),
        ("registry:5000/web:1.2", False),
        ("web:latest@sha256:abc", False),
    ],
)
def test_floating_tags(image: str, floats: bool) -> None:
    assert pods.floating_tag(image) is floats

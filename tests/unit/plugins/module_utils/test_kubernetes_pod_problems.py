# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why pods do not become ready, from their status."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_pod_problems import problem_of, problems_of
from tests.unit.plugins.fake_workloads import condition, deployment, pod, replica_set, waiting

OWNER = replica_set(deployment())
KILLED = {"exitCode": 137, "reason": "OOMKilled"}


def one(name: str = "p", ready: bool = False, **status: Any) -> dict[str, Any]:
    return pod(OWNER, name, ready=ready, **status)


@pytest.mark.parametrize(
    ("container", "category", "reason"),
    [
        (waiting("ErrImagePull"), "image_pull", "ImagePullBackOff"),
        (waiting("ImagePullBackOff"), "image_pull", "ImagePullBackOff"),
        (waiting("InvalidImageName"), "image_pull", "InvalidImageName"),
        (waiting("CreateContainerConfigError", 'secret "db" not found'), "config_error", "CreateContainerConfigError"),
        (waiting("CrashLoopBackOff", restarts=4, last=KILLED), "crash_loop", "CrashLoopBackOff"),
        (waiting("ContainerCreating"), "not_ready", "ContainerCreating"),
        ({"name": "main", "ready": False, "state": {"terminated": {"exitCode": 1}}}, "crash_loop", "CrashLoopBackOff"),
        (
            {
                "name": "main",
                "ready": False,
                "restartCount": 2,
                "state": {"running": {}},
                "lastState": {"terminated": KILLED},
            },
            "crash_loop",
            "CrashLoopBackOff",
        ),
        ({"name": "main", "ready": False, "restartCount": 0, "state": {"running": {}}}, "not_ready", "NotReady"),
    ],
)
def test_containers(container: dict[str, Any], category: str, reason: str) -> None:
    found = problem_of(one(containerStatuses=[container]))
    assert found
    assert (found.category, found.reason, found.container, found.pod) == (category, reason, "main", "p")


def test_a_crash_tells_how_it_ended() -> None:
    last = {"exitCode": 137, "reason": "OOMKilled", "message": "heap of token=abc12345"}
    found = problem_of(one(containerStatuses=[waiting("CrashLoopBackOff", "back-off 5m0s", 4, last)]))
    assert found
    assert (found.restarts, found.exit_code) == (4, 137)
    assert found.message.startswith("last ended with exit code 137 (OOMKilled): heap of token=")
    assert "abc12345" not in found.message


def test_a_failing_init_container_is_seen_before_the_one_that_waits_for_it() -> None:
    init = {**waiting("CrashLoopBackOff", restarts=3, last={"exitCode": 1}), "name": "migrate"}
    found = problem_of(one(initContainerStatuses=[init], containerStatuses=[waiting("PodInitializing")]))
    assert found
    assert (found.category, found.container) == ("crash_loop", "migrate")


def test_an_init_container_that_is_done_is_no_crash() -> None:
    done = {"name": "migrate", "ready": True, "restartCount": 1, "state": {"terminated": {"exitCode": 0}}}
    running = {"name": "main", "ready": False, "restartCount": 0, "state": {"running": {}}}
    found = problem_of(one(initContainerStatuses=[done], containerStatuses=[running]))
    assert found
    assert found.category == "not_ready"


def test_unschedulable_since_the_scheduler_said_so() -> None:
    said = condition("PodScheduled", "False", "Unschedulable", "0/3 nodes: 3 Insufficient cpu.", "2030-01-01T01:00:00Z")
    found = problem_of(one(conditions=[said], phase="Pending"))
    assert found
    assert (found.category, found.reason, found.message) == ("unschedulable", "Unschedulable", said["message"])
    assert found.since == 1893459600.0


def test_an_evicted_pod_and_one_without_containers() -> None:
    found = problem_of(one(phase="Failed", reason="Evicted", message="The node was low on resource: memory."))
    assert found
    assert (found.category, found.reason) == ("not_ready", "Evicted")
    pending = problem_of(one(phase="Pending"))
    assert pending
    assert pending.reason == "Pending"


def test_ready_and_departing_pods_have_no_problem() -> None:
    assert problem_of(one(ready=True)) is None
    going = one(containerStatuses=[waiting("CrashLoopBackOff")])
    going["metadata"]["deletionTimestamp"] = "2030-01-01T00:00:00Z"
    assert problem_of(going) is None


def test_pods_are_counted_by_reason_worst_first() -> None:
    crash = {"exitCode": 1}
    found = problems_of(
        [
            one("a", containerStatuses=[waiting("CrashLoopBackOff", restarts=1, last=crash)]),
            one("b", containerStatuses=[waiting("CrashLoopBackOff", restarts=7, last=crash)]),
            one("c", containerStatuses=[waiting("ErrImagePull")]),
            one("d", containerStatuses=[waiting("ImagePullBackOff")]),
            one("e", ready=True),
        ]
    )
    assert [(row.reason, row.count, row.pod) for row in found] == [
        ("ImagePullBackOff", 2, "c"),
        ("CrashLoopBackOff", 2, "b"),
    ]

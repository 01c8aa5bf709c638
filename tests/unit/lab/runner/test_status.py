# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status of a pod."""

from __future__ import annotations

from typing import Any

import pytest

from lab.runner import status

RUNNING: dict[str, Any] = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
WAITING: dict[str, Any] = {"waiting": {"reason": "CrashLoopBackOff"}}


def ended(code: int) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error"}}


def container(
    state: dict[str, Any], last: dict[str, Any] | None = None, ready: bool = False, name: str = "app"
) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": last or {}, "ready": ready}


def pod(policy: str = "Always") -> dict[str, Any]:
    return {"metadata": {"generation": 4}, "spec": {"restartPolicy": policy}}


@pytest.mark.parametrize(
    ("policy", "inits", "containers", "phase"),
    [
        ("Always", [], [container(RUNNING)], "Running"),
        ("Always", [], [container({"waiting": {"reason": "ErrImagePull"}})], "Pending"),
        ("Always", [], [container(WAITING, ended(1))], "Running"),
        ("Always", [], [container(RUNNING), container({"waiting": {"reason": "x"}})], "Pending"),
        ("Always", [], [container(ended(1))], "Running"),
        ("Never", [], [container(ended(0))], "Succeeded"),
        ("Never", [], [container(ended(0)), container(ended(1))], "Failed"),
        ("Never", [], [container(ended(1)), container(RUNNING)], "Running"),
        ("OnFailure", [], [container(ended(1))], "Running"),
        ("OnFailure", [], [container(WAITING, ended(1))], "Running"),
        ("OnFailure", [], [container(ended(0))], "Succeeded"),
        ("Always", [container(RUNNING)], [container({"waiting": {}})], "Pending"),
        ("Always", [container(ended(0))], [container(RUNNING)], "Running"),
        ("Always", [container(ended(1))], [container({"waiting": {}})], "Pending"),
        ("Never", [container(ended(1))], [container({"waiting": {}})], "Failed"),
    ],
)
def test_phase(policy: str, inits: list[Any], containers: list[Any], phase: str) -> None:
    assert status.phase_of(pod(policy), inits, containers) == phase


def build(
    containers: list[Any], inits: list[Any] | None = None, known: list[Any] | None = None, policy: str = "Always"
) -> Any:
    return status.build(pod(policy), "10.244.0.7", "2026-01-01T00:00:00Z", inits or [], containers, known or [])


def conditions(found: Any) -> dict[str, Any]:
    return {each["type"]: each for each in found["conditions"]}


def test_a_ready_pod() -> None:
    found = build([container(RUNNING, ready=True)])
    assert {kind: each["status"] for kind, each in conditions(found).items()} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
    }
    assert (found["podIP"], found["observedGeneration"]) == ("10.244.0.7", 4)


def test_it_names_the_containers_that_are_not_ready() -> None:
    found = build(
        [container(RUNNING, ready=True, name="a"), container(RUNNING, name="b"), container(WAITING, ended(1), name="c")]
    )
    ready = conditions(found)["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "ContainersNotReady")
    assert ready["message"] == "containers with unready status: [b c]"


def test_it_names_the_init_containers_that_have_not_ended_well() -> None:
    found = build([container({"waiting": {}})], [container(ended(0), name="a"), container(RUNNING, name="b")])
    initialized = conditions(found)["Initialized"]
    assert (initialized["status"], initialized["message"]) == ("False", "containers with incomplete status: [b]")
    assert len(found["initContainerStatuses"]) == 2


def test_a_pod_that_has_succeeded_is_complete() -> None:
    assert conditions(build([container(ended(0))], policy="Never"))["Ready"]["reason"] == "PodCompleted"


def test_the_time_of_a_condition_is_that_of_its_last_change() -> None:
    old = "2026-01-01T00:00:00Z"
    known = [
        {"type": "Ready", "status": "True", "lastTransitionTime": old},
        {"type": "Initialized", "status": "True", "lastTransitionTime": old},
    ]
    found = conditions(build([container(RUNNING)], known=known))
    assert found["Initialized"]["lastTransitionTime"] == old
    assert found["Ready"]["lastTransitionTime"] > old

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_status as a module, on a cluster in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, rollout_status
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ApiError
from ansible_collections.sre.runbooks.plugins.modules import rollout_status as module
from tests.unit.plugins.fake_workloads import (
    FakeCluster,
    child,
    condition,
    daemon_set,
    deployment,
    pod,
    replica_set,
    stateful_set,
    waiting,
)
from tests.unit.plugins.module_runner import run_module

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the module against a FakeCluster, or against one that holds the given workloads."""

    def run(*stored: Any, check: bool = False, **options: Any) -> dict[str, Any]:
        cluster = stored[0] if isinstance(stored[0], FakeCluster) else FakeCluster(*stored)
        monkeypatch.setattr(rollout_status, "Cluster", lambda params, context: cluster)
        return run_module(module, capsys, check=check, **{"namespace": "hafnium", **options})

    return run


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


@pytest.mark.parametrize("check_mode", [False, True])
def test_complete(look: Look, check_mode: bool) -> None:
    result = look(deployment("web"), check=check_mode, names=["web"], runbook="5.1")
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert status(result) == {
        "generation.web": "pass",
        "updated.web": "pass",
        "available.web": "pass",
        "creation.web": "pass",
    }
    assert all(check["hint"] and check["runbook"] == "5.1" for check in result["checks"])
    assert (result["count"], result["complete_count"], result["requests"]) == (1, 1, 1)


def test_a_hundred_are_one_request(look: Look) -> None:
    rows = [deployment(f"s{number}") for number in range(100)]
    result = look(*rows, names=[f"s{number}" for number in range(100)])
    assert (result["verdict"], result["complete_count"], result["requests"]) == ("pass", 100, 1)
    assert look(*rows, selector="tier=backend", minimum=100)["requests"] == 1


def test_in_progress_is_unverified(look: Look) -> None:
    result = look(deployment("web", 3, updatedReplicas=1, replicas=4), names=["web"])
    assert (result["verdict"], causes(result)) == ("unverified", [])
    assert status(result)["updated.web"] == "unverified"
    assert check(result, "updated.web")["observed"] == "1 of 3 updated, 3 old"
    assert "wait_seconds" in check(result, "updated.web")["hint"]
    assert status(result)["available.web"] == "pass"
    assert "Old pods count here" in check(result, "available.web")["hint"]


def test_in_progress_after_the_wait_fails(look: Look) -> None:
    result = look(deployment("web", 3, availableReplicas=2), names=["web"], wait_seconds=0.3)
    assert (result["verdict"], status(result)["available.web"]) == ("fail", "fail")
    assert "not complete within 0.3 s" in check(result, "available.web")["hint"]


def test_green_ready_with_pods_that_cannot_be_made(look: Look) -> None:
    refused = condition("ReplicaFailure", message='pods "x" is forbidden: violates PodSecurity "restricted:latest"')
    green = condition("Progressing", reason="NewReplicaSetAvailable")
    result = look(deployment("web", updatedReplicas=0, conditions=[green, refused]), names=["web"])
    assert status(result) == {
        "generation.web": "pass",
        "updated.web": "fail",
        "available.web": "pass",
        "creation.web": "fail",
    }
    assert causes(result) == ["pod_security_forbids_the_template"]
    assert result["findings"][0]["evidence"] == ["updated.web", "creation.web"]
    assert "securityContext" in check(result, "creation.web")["hint"]


def test_crash_loop_is_named(look: Look) -> None:
    workload = deployment("web", 3, updatedReplicas=1, replicas=4)
    own = replica_set(workload)
    last = {"exitCode": 137, "reason": "OOMKilled"}
    crashing = pod(own, "web-1", containerStatuses=[waiting("CrashLoopBackOff", restarts=9, last=last)])
    result = look(workload, own, crashing, names=["web"])
    assert (result["verdict"], causes(result)) == ("fail", ["crash_loop"])
    assert (
        "1 pod (web-1) CrashLoopBackOff after 9 restarts: last ended with exit code 137 (OOMKilled)"
        in check(result, "updated.web")["hint"]
    )


def test_neither_paused_nor_on_delete_is_waited_for(look: Look) -> None:
    paused = deployment("web", updatedReplicas=0)
    paused["spec"]["paused"] = True
    result = look(paused, names=["web"], wait_seconds=600)
    assert (status(result)["updated.web"], causes(result)) == ("fail", ["rollout_paused"])
    manual = stateful_set("store", updatedReplicas=1)
    manual["spec"]["updateStrategy"] = {"type": "OnDelete"}
    result = look(manual, kind="StatefulSet", names=["store"], wait_seconds=600)
    assert (status(result)["updated.store"], causes(result)) == ("fail", ["pods_must_be_deleted"])


def test_partition_is_red_unless_it_is_meant(look: Look) -> None:
    workload = stateful_set("store", updatedReplicas=1, updateRevision="store-b")
    workload["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2
    result = look(workload, kind="StatefulSet", names=["store"])
    assert (result["verdict"], causes(result)) == ("fail", ["partition_keeps_old_pods"])
    assert "partition 2 keeps 2" in check(result, "updated.store")["hint"]
    assert look(workload, kind="StatefulSet", names=["store"], allow_partition=True)["verdict"] == "pass"


def test_zero_replicas_are_red_unless_they_are_meant(look: Look) -> None:
    result = look(deployment("web", 0), names=["web"])
    assert (result["verdict"], causes(result)) == ("fail", ["scaled_to_zero"])
    assert look(deployment("web", 0), names=["web"], allow_zero_replicas=True)["verdict"] == "pass"
    nowhere = look(daemon_set("agent", 0), kind="DaemonSet", names=["agent"])
    assert causes(nowhere) == ["no_node_matches"]
    assert "node selector" in check(nowhere, "available.agent")["hint"]


def test_controller_that_does_not_look(look: Look) -> None:
    workload = deployment("web")
    workload["metadata"]["generation"] = 2
    result = look(workload, names=["web"])
    assert status(result) == {
        "generation.web": "unverified",
        "updated.web": "unverified",
        "available.web": "unverified",
        "creation.web": "pass",
    }


def test_absent_workload_and_namespace(look: Look) -> None:
    result = look(deployment("web"), names=["web", "webb"])
    assert status(result)["exists.webb"] == "fail"
    assert causes(result) == ["workload_absent"]
    absent = look(FakeCluster(namespaces=()), names=["web"])
    assert absent["failed"]
    assert "namespace hafnium does not exist" in absent["msg"]


def test_empty_selection_is_never_green(look: Look) -> None:
    result = look(deployment("web"), selector="tier=front")
    assert (result["verdict"], causes(result)) == ("fail", ["selection_too_small"])
    assert check(result, "selection")["observed"] == 0
    few = look(deployment("web"), selector="tier=backend", minimum=8)
    assert status(few)["selection"] == "fail"
    assert status(few)["available.web"] == "pass"
    assert look(FakeCluster(namespaces=()), selector="tier=backend")["failed"]


def test_what_cannot_be_seen_is_unverified(look: Look) -> None:
    cluster = FakeCluster(deployment("web"))
    cluster.denied = {"get Deployment", "list Deployment"}
    result = look(cluster, names=["web"])
    assert (status(result), causes(result)) == ({"exists.web": "unverified"}, [])
    assert "lacks the verb 'get'" in check(result, "exists.web")["observed"]
    chosen = look(cluster, selector="tier=backend")
    assert status(chosen) == {"selection": "unverified"}
    assert "lacks the verb 'list'" in check(chosen, "selection")["hint"]

    def away(_cluster: FakeCluster, _request: str) -> None:
        raise UnreachableError("connection refused")

    cluster.refuse = away
    assert status(look(cluster, names=["web"])) == {"exists.web": "unverified"}


def test_events_that_may_not_be_read_leave_the_making_of_pods_open(look: Look) -> None:
    cluster = FakeCluster(stateful_set("store", updatedReplicas=1, updateRevision="store-b"))
    cluster.denied = {"list Event"}
    result = look(cluster, kind="StatefulSet", names=["store"])
    assert status(result)["creation.store"] == "unverified"
    assert "list Event" in check(result, "creation.store")["hint"]


@pytest.mark.parametrize(
    ("expected", "outcome"),
    [
        ("registry/web:1", "pass"),
        ({"main": "registry/web:1"}, "pass"),
        ("registry/web:2", "fail"),
        ({"sidecar": "registry/web:1"}, "fail"),
    ],
)
def test_expected_image(look: Look, expected: Any, outcome: str) -> None:
    result = look(deployment("web"), names=["web"], expected_images={"web": expected})
    assert status(result)["images.web"] == outcome
    assert causes(result) == ([] if outcome == "pass" else ["unexpected_image"])


def test_an_expected_image_of_a_workload_that_the_selector_misses(look: Look) -> None:
    result = look(deployment("web"), selector="tier=backend", expected_images={"api": "registry/api:1"})
    assert (status(result)["images.api"], check(result, "images.api")["observed"]) == ("fail", "not selected")


def test_expected_revision(look: Look) -> None:
    result = look(deployment("web"), names=["web"], expected_revision=3)
    assert status(result)["revision.web"] == "pass"
    moved = look(deployment("web"), names=["web"], expected_revision=2)
    assert (check(moved, "revision.web")["observed"], causes(moved)) == (3, ["unexpected_revision"])
    unseen = deployment("web")
    unseen["metadata"]["generation"] = 2
    assert status(look(unseen, names=["web"], expected_revision=3))["revision.web"] == "unverified"


def test_expected_revision_of_a_set(look: Look) -> None:
    store = stateful_set("store", updateRevision="store-b", currentRevision="store-b")
    template = {"spec": {"template": {**store["spec"]["template"], "$patch": "replace"}}}
    labels = {"app": "store", "controller-revision-hash": "store-b"}
    own = child(store, "store-b", labels=labels)
    revision = {"kind": "ControllerRevision", "revision": 7, "data": template, **own}
    result = look(store, revision, kind="StatefulSet", names=["store"], expected_revision=7)
    assert (result["verdict"], check(result, "revision.store")["observed"]) == ("pass", 7)
    result = look(store, revision, kind="StatefulSet", names=["store"], expected_revision=6)
    assert status(result)["revision.store"] == "fail"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"names": []}, "names is empty"),
        ({"names": ["web", " "]}, "names is empty, or holds an empty name"),
        ({"names": ["web", "web"]}, "web more than once"),
        ({"names": [f"s{number}" for number in range(1001)]}, "at most 1000"),
        ({"selector": " "}, "selector is empty"),
        ({"selector": "a=b", "minimum": 0}, "minimum is 0"),
        ({"selector": "a=b", "expected_revision": 1}, "exactly one name"),
        ({"names": ["web"], "expected_revision": 0}, "revisions begin with 1"),
        ({"names": ["web"], "expected_images": {"api": "x"}}, "api is not among names"),
        ({"names": ["web"], "expected_images": {"web": ["x"]}}, "give an image, or a dictionary"),
        ({"names": ["web"], "wait_seconds": -1}, "wait_seconds is -1"),
        ({"names": ["web"], "selector": "a=b"}, "mutually exclusive"),
        ({}, "one of the following is required"),
    ],
)
def test_bad_input(look: Look, options: dict[str, Any], words: str) -> None:
    result = look(deployment("web"), **options)
    assert result["failed"]
    assert words in result["msg"]


def test_a_selector_that_the_server_does_not_understand(look: Look) -> None:
    cluster = FakeCluster()

    def refuse(_cluster: FakeCluster, _request: str) -> None:
        raise ApiError("unable to parse requirement", 400, "BadRequest")

    cluster.refuse = refuse
    result = look(cluster, selector="tier==(")
    assert result["failed"]
    assert "selector 'tier==(' is refused: unable to parse" in result["msg"]


def test_missing_library(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))
    result = look(deployment("web"), names=["web"])
    assert result["failed"]
    assert "kubernetes" in result["msg"]

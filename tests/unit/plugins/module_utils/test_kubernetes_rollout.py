# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a rollout, from the object alone: the steps of kubectl, and what it misses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_rollout as rollouts
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_rollout import Problem, rollout_of
from tests.unit.plugins.fake_workloads import condition, daemon_set, deployment, stateful_set

GREEN = condition("Progressing", reason="NewReplicaSetAvailable")
LATE = condition("Progressing", "False", "ProgressDeadlineExceeded")
REFUSED = condition("ReplicaFailure", reason="FailedCreate", message='pods "x" is forbidden: exceeded quota: small')


def state(workload: dict[str, Any]) -> tuple[str, str]:
    found = rollout_of(workload)
    return found.state, found.reason


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("complete", "")),
        ({"observedGeneration": 0}, ("progressing", "NotObserved")),
        ({"observedGeneration": 0, "conditions": [LATE]}, ("progressing", "NotObserved")),
        ({"updatedReplicas": 1}, ("progressing", "Updating")),
        ({"replicas": 3}, ("progressing", "OldPodsTerminating")),
        # Scaled down, seen by the controller, and nothing is gone yet: kubectl calls that complete.
        ({"replicas": 5, "updatedReplicas": 5, "availableReplicas": 5}, ("progressing", "OldPodsTerminating")),
        ({"availableReplicas": 1}, ("progressing", "NotReady")),
        ({"availableReplicas": 1, "conditions": [LATE]}, ("failed", "ProgressDeadlineExceeded")),
        # READY is green and Progressing says NewReplicaSetAvailable, while no new pod may be made.
        ({"updatedReplicas": 0, "conditions": [GREEN, REFUSED]}, ("failed", "QuotaExceeded")),
        ({"conditions": [GREEN, condition("ReplicaFailure", "False")]}, ("complete", "")),
    ],
)
def test_deployment(status: dict[str, Any], expected: tuple[str, str]) -> None:
    assert state(deployment(**status)) == expected


def test_newer_generation_is_not_observed() -> None:
    workload = deployment()
    workload["metadata"]["generation"] = 2
    found = rollout_of(workload)
    assert (found.state, found.reason, found.generation, found.observed_generation) == (
        "progressing",
        "NotObserved",
        2,
        1,
    )


def test_paused_is_blocked_only_while_unfinished() -> None:
    workload = deployment(updatedReplicas=0)
    workload["spec"]["paused"] = True
    assert state(workload) == ("blocked", "Paused")
    done = deployment()
    done["spec"]["paused"] = True
    assert state(done) == ("complete", "")
    assert rollout_of(done).paused


def test_zero_replicas_are_said() -> None:
    assert state(deployment(wanted=0)) == ("complete", "ScaledToZero")
    assert state(stateful_set(wanted=0)) == ("complete", "ScaledToZero")
    assert state(daemon_set(nodes=0)) == ("complete", "NoNodes")


def test_replicas_are_one_where_the_object_does_not_say() -> None:
    workload = deployment(wanted=1)
    del workload["spec"]["replicas"]
    assert rollout_of(workload).desired == 1


def test_deadline_says_what_stands_behind_it() -> None:
    found = rollout_of(deployment(updatedReplicas=0, conditions=[LATE, REFUSED]))
    assert found.reason == "ProgressDeadlineExceeded"
    assert "no progress for 600 s" in found.message
    assert "exceeded quota" in found.message


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "a" is forbidden: exceeded quota: small, requested: cpu=1', "QuotaExceeded"),
        ('pods "a" is forbidden: violates PodSecurity "restricted:latest": seccompProfile', "PodSecurity"),
        (
            'pods "a" is forbidden: error looking up service account ns/x: serviceaccount "x" not found',
            "ServiceAccountMissing",
        ),
        ('admission webhook "v.kyverno.svc" denied the request: no', "AdmissionDenied"),
        ("etcdserver: request timed out", "FailedCreate"),
    ],
)
def test_why_pods_cannot_be_made(message: str, reason: str) -> None:
    refused = condition("ReplicaFailure", reason="FailedCreate", message=message)
    found = rollout_of(deployment(updatedReplicas=0, conditions=[refused]))
    assert (found.state, found.reason) == ("failed", reason)
    assert [(one.category, one.count) for one in found.problems] == [("failed_create", 0)]


def test_secrets_do_not_pass() -> None:
    refused = condition("ReplicaFailure", message="webhook said password=hunter2secret")
    found = rollout_of(deployment(conditions=[refused]))
    assert "hunter2secret" not in json.dumps(found.as_dict())


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("complete", "")),
        ({"observedGeneration": 0}, ("progressing", "NotObserved")),
        ({"updatedReplicas": 2, "updateRevision": "store-b"}, ("progressing", "Updating")),
        ({"replicas": 4}, ("progressing", "OldPodsTerminating")),
        ({"readyReplicas": 2}, ("progressing", "NotReady")),
        ({"availableReplicas": 2}, ("progressing", "NotReady")),
    ],
)
def test_stateful_set(status: dict[str, Any], expected: tuple[str, str]) -> None:
    assert state(stateful_set(**status)) == expected


@pytest.mark.parametrize(
    ("partition", "updated", "expected"),
    [
        (2, 1, ("complete", "Partitioned")),
        (2, 0, ("progressing", "Updating")),
        (5, 0, ("complete", "Partitioned")),
        (2, 3, ("complete", "")),
    ],
)
def test_partition_is_said(partition: int, updated: int, expected: tuple[str, str]) -> None:
    workload = stateful_set(updatedReplicas=updated, updateRevision="store-b")
    workload["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = partition
    assert state(workload) == expected


def test_partition_names_what_stays() -> None:
    workload = stateful_set(updatedReplicas=1, updateRevision="store-b")
    workload["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2
    assert rollout_of(workload).message == "1 of 3 updated; partition 2 keeps 2 on the old revision"


def test_on_delete_is_blocked_until_somebody_deletes() -> None:
    for workload in (stateful_set(updatedReplicas=1), daemon_set(updatedNumberScheduled=1)):
        workload["spec"]["updateStrategy"] = {"type": "OnDelete"}
        assert state(workload) == ("blocked", "OnDelete")
    done = stateful_set()
    done["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert state(done) == ("complete", "")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({}, ("complete", "")),
        ({"observedGeneration": 0}, ("progressing", "NotObserved")),
        ({"updatedNumberScheduled": 2}, ("progressing", "Updating")),
        ({"numberAvailable": 2}, ("progressing", "NotReady")),
    ],
)
def test_daemon_set(status: dict[str, Any], expected: tuple[str, str]) -> None:
    assert state(daemon_set(**status)) == expected


def test_other_kinds_have_no_rollout() -> None:
    with pytest.raises(InputError, match="ReplicaSet x has no rollout"):
        rollout_of({"kind": "ReplicaSet", "metadata": {"name": "x"}, "spec": {}})


def test_line() -> None:
    found = rollout_of(deployment("identity-service", 5, updatedReplicas=3))
    assert found.line() == "identity-service: 3 of 5 updated"
    found.problems = [Problem("image_pull", "ImagePullBackOff", count=1)]
    assert found.line() == "identity-service: 3 of 5 updated, 1 pod waiting: ImagePullBackOff"
    found.problems[0].count = 2
    assert found.line().endswith("2 pods waiting: ImagePullBackOff")
    found.problems = [Problem("failed_create", "QuotaExceeded")]
    assert found.line().endswith("no pod can be made: QuotaExceeded")
    assert rollout_of(deployment("a", 2, availableReplicas=1)).line() == "a: 1 of 2 available"
    assert rollout_of(deployment("a")).line() == "a: complete, 2 of 2 available"
    assert rollouts.absent("Deployment", "ns", "a").line() == "a: does not exist in namespace ns"
    assert (
        rollout_of(deployment("a", 2, replicas=3, availableReplicas=3)).line()
        == "a: 2 of 2 updated, old pods are still going"
    )
    assert rollout_of(deployment("a", observedGeneration=0)).line() == "a: its controller has not seen the change yet"
    late = rollout_of(deployment("a", 2, availableReplicas=1, conditions=[LATE]))
    assert late.line() == "a: 1 of 2 available, ProgressDeadlineExceeded"


def test_result_is_json() -> None:
    found = rollout_of(deployment(conditions=[REFUSED]))
    shown = json.loads(json.dumps(found.as_dict()))
    assert "since" not in shown["problems"][0]
    assert shown["problems"][0]["reason"] == shown["reason"] == "QuotaExceeded"
    assert (shown["revision"], shown["images"]) == ("3", {"main": "registry/web:1"})

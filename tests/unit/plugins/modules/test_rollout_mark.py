# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_mark as a module: what is fit to be marked, and what is not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history, libraries, rollout_mark
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from ansible_collections.sre.runbooks.plugins.modules import rollout_mark as module
from tests.unit.plugins.fake_rollouts import NAMESPACE, FakeCluster, template
from tests.unit.plugins.module_runner import run_module

Mark = Callable[..., dict[str, Any]]


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mark:
    def run(cluster: FakeCluster, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(rollout_mark, "Cluster", lambda *_arguments, **_options: cluster)
        arguments = {"namespace": NAMESPACE, "kind": cluster.kind, "names": [cluster.name], **options}
        return run_module(module, capsys, check=check, **arguments)

    return run


def scene(kind: str = "Deployment") -> FakeCluster:
    return FakeCluster(kind).deploy(template("web:1")).deploy(template("web:2"))


def marks(cluster: FakeCluster) -> tuple[str | None, str | None]:
    found = cluster.workload["metadata"].get("annotations", {})
    return found.get(kubernetes_history.KNOWN_GOOD), found.get(kubernetes_history.KNOWN_GOOD_AT)


@pytest.mark.parametrize("kind", WORKLOAD_KINDS)
def test_check_mode_run_and_run_again(mark: Mark, kind: str) -> None:
    cluster = scene(kind)
    before = copy.deepcopy(cluster.store)

    plan = mark(cluster, check=True)
    assert (plan["changed"], plan["workloads"][0]["changed"]) == (True, True)
    assert cluster.store == before

    done = mark(cluster)
    name, at = marks(cluster)
    assert (done["changed"], name) == (True, "web-h2")
    assert done["workloads"][0]["known_good"]["images"] == {"main": "web:2"}
    assert done["workloads"][0]["known_good_at"] == at

    again = mark(cluster)
    assert (again["changed"], again["workloads"][0]["changed"]) == (False, False)
    assert marks(cluster) == (name, at)


def test_a_new_revision_takes_the_mark_over(mark: Mark) -> None:
    cluster = scene()
    mark(cluster)
    cluster.deploy(template("web:3"))

    assert mark(cluster)["changed"]
    assert marks(cluster)[0] == "web-h3"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"availableReplicas": 1}, "is not complete: 1 of 2 updated pods are available"),
        ({"updatedReplicas": 1}, "is not complete: 1 of 2 updated"),
        ({"observedGeneration": 1}, "the controller has not yet seen generation"),
        ({"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}, "exceeded quota"),
    ],
)
def test_a_rollout_that_is_not_complete_is_refused(mark: Mark, status: dict[str, Any], said: str) -> None:
    cluster = scene()
    cluster.workload["status"] |= status

    for check in (True, False):
        result = mark(cluster, check=check)
        assert result["failed"]
        assert said in result["msg"]
    assert marks(cluster) == (None, None)


def test_what_runs_nowhere_is_refused(mark: Mark) -> None:
    cluster = scene()
    cluster.workload["spec"]["replicas"] = 0
    cluster.reconcile()

    result = mark(cluster)

    assert result["failed"]
    assert "scaled to 0 replicas: nothing runs" in result["msg"]


def test_a_partition_keeps_old_pods(mark: Mark) -> None:
    cluster = scene("StatefulSet")
    cluster.workload["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}
    cluster.workload["status"] |= {"updatedReplicas": 1}

    assert "partition 1 keeps 1 on the old revision" in mark(cluster)["msg"]


def test_the_revision_that_was_verified(mark: Mark) -> None:
    cluster = scene()

    refused = mark(cluster, expected_current_names={"web": "web-h1"})
    assert refused["failed"]
    assert "is at revision 2 (web-h2, web:2), not at web-h1" in refused["msg"]
    assert marks(cluster) == (None, None)

    assert mark(cluster, expected_current_names={"web": "web-h2"})["changed"]


def test_a_deployment_in_between_is_not_marked(mark: Mark) -> None:
    cluster = scene()
    cluster.before_patch = [lambda: cluster.deploy(template("web:3"))]  # type: ignore[list-item]

    result = mark(cluster)

    assert result["failed"]
    assert "got another template meanwhile" in result["msg"]
    assert marks(cluster) == (None, None)


def test_a_writer_in_between_is_met_with_another_reading(mark: Mark) -> None:
    cluster = scene()
    cluster.before_patch = [cluster.touch, cluster.touch]

    assert mark(cluster)["changed"]
    assert marks(cluster)[0] == "web-h2"


def test_a_writer_who_never_stops(mark: Mark) -> None:
    cluster = scene()
    cluster.before_patch = [cluster.touch] * 9

    result = mark(cluster)

    assert result["failed"]
    assert "it was changed by others 6 times in between" in result["msg"]


def test_a_right_that_lacks_is_named(mark: Mark) -> None:
    cluster = scene()
    cluster.denied["patch", "Deployment"] = ForbiddenError("user sre lacks the verb 'patch'", 403)

    result = mark(cluster)

    assert result["failed"]
    assert result["msg"].startswith("user sre lacks the verb 'patch'")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": []}, "names is empty"),
        ({"names": ["nope"]}, "Deployment hafnium/nope does not exist"),
        ({"names": ["web", "nope"]}, "Deployment hafnium/nope does not exist"),
        ({"expected_current_names": {"other": "x"}}, "expected_current_names has other, which names does not have"),
    ],
)
def test_options_that_mean_nothing(mark: Mark, options: dict[str, Any], message: str) -> None:
    cluster = scene()

    result = mark(cluster, **options)

    assert result["failed"]
    assert message in result["msg"]
    assert marks(cluster) == (None, None)


def test_a_missing_library_is_named(mark: Mark, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))

    assert "pip install kubernetes" in mark(scene())["msg"]

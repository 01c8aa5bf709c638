# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_history as a module: rows, checks, and what could not be read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history, libraries, rollout_history
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from ansible_collections.sre.runbooks.plugins.modules import rollout_history as module
from tests.unit.plugins.fake_rollouts import NAMESPACE, FakeCluster, template
from tests.unit.plugins.module_runner import run_module

History = Callable[..., dict[str, Any]]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> History:
    def run(cluster: FakeCluster, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(rollout_history, "Cluster", lambda *_arguments, **_options: cluster)
        arguments = {"namespace": NAMESPACE, "kind": cluster.kind, "names": [cluster.name], **options}
        return run_module(module, capsys, **arguments)

    return run


def scene(kind: str = "Deployment") -> FakeCluster:
    return FakeCluster(kind).deploy(template("web:1")).deploy(template("web:2")).deploy(template("web:1"))


def verdicts(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


@pytest.mark.parametrize("kind", WORKLOAD_KINDS)
def test_rows(read: History, kind: str) -> None:
    result = read(scene(kind), min_revisions=2, runbook="4.2")

    (row,) = result["workloads"]
    assert (row["exists"], row["observed"], row["paused"], row["error"]) == (True, True, False, "")
    assert row["current"] == {
        "revision": 3,
        "name": "web-h1",
        "hash": "h1",
        "images": {"main": "web:1"},
        "change_cause": None,
    }
    assert [(one["revision"], one["current"]) for one in row["revisions"]] == [(2, False), (3, True)]
    assert row["revisions"][1]["earlier_revisions"] == ([1] if kind == "Deployment" else [])
    (check,) = result["checks"]
    assert (check["id"], check["status"], check["runbook"]) == ("history.web", "pass", "4.2")
    assert check["observed"] == "2 revisions: 3 (web-h1, web:1), current; 2 (web-h2, web:2)"
    assert (result["changed"], result["verdict"], result["requests"]) == (False, "pass", 2)


def test_marks(read: History) -> None:
    cluster = scene()
    cluster.workload["metadata"]["annotations"] |= {
        kubernetes_history.KNOWN_GOOD: "web-h2",
        kubernetes_history.KNOWN_GOOD_AT: "2031-01-01T00:00:00Z",
    }
    (row,) = read(cluster)["workloads"]
    assert (row["known_good"]["revision"], row["known_good_marker"]) == (2, "web-h2")
    assert row["known_good_at"] == "2031-01-01T00:00:00Z"

    cluster.workload["metadata"]["annotations"][kubernetes_history.KNOWN_GOOD] = "web-gone"
    (row,) = read(cluster)["workloads"]
    assert (row["known_good"], row["known_good_marker"]) == (None, "web-gone")


def test_order_of_the_names_and_one_that_is_absent(read: History) -> None:
    result = read(scene(), names=["nope", "web", "nope"])

    assert [row["name"] for row in result["workloads"]] == ["nope", "web"]
    assert verdicts(result) == {"history.nope": "fail", "history.web": "pass"}
    assert result["workloads"][0]["exists"] is False
    assert result["workloads"][0]["revisions"] == []


def test_nothing_to_go_back_to(read: History) -> None:
    result = read(FakeCluster().deploy(template()), min_revisions=2)

    assert result["verdict"] == "fail"
    assert "nothing to go back to" in result["checks"][0]["hint"]


def test_no_revision_of_the_present_template(read: History) -> None:
    cluster = scene()
    cluster.controllers = False
    cluster.deploy(template("web:3"))

    result = read(cluster)

    assert result["verdict"] == "unverified"
    assert (result["workloads"][0]["current"], result["workloads"][0]["observed"]) == (None, False)


def test_no_history_at_all_is_not_green(read: History) -> None:
    cluster = FakeCluster().deploy(template())
    del cluster.store["ReplicaSet", "web-h1"]

    result = read(cluster)

    assert result["verdict"] == "unverified"
    assert result["checks"][0]["observed"] == "0 revisions: none"


def test_what_may_not_be_read_is_unverified(read: History) -> None:
    cluster = scene()
    cluster.denied["list", "ReplicaSet"] = ForbiddenError("user sre lacks the verb 'list'", 403)

    result = read(cluster)

    assert result["verdict"] == "unverified"
    assert result["workloads"][0]["exists"] is None
    assert result["workloads"][0]["error"] == "user sre lacks the verb 'list'"


def test_a_server_that_is_away_fails_the_task(read: History) -> None:
    cluster = scene()
    cluster.denied["get", "Deployment"] = UnreachableError("connection refused")

    assert read(cluster)["msg"] == "connection refused"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": []}, "names is empty"),
        ({"names": ["web", " "]}, "has an empty name"),
        ({"names": [f"web-{number}" for number in range(501)]}, "at most 500"),
        ({"min_revisions": 0}, "min_revisions is below 1"),
        ({"kind": "Pod"}, "value of kind must be one of"),
        ({"namespace": "nope"}, "namespace nope does not exist"),
    ],
)
def test_options_that_mean_nothing(read: History, options: dict[str, Any], message: str) -> None:
    result = read(scene(), **options)

    assert result["failed"]
    assert message in result["msg"]


def test_a_missing_library_is_named(read: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))

    assert "pip install kubernetes" in read(scene())["msg"]

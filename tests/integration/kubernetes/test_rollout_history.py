# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_history and rollout_mark on a real API server: what kubectl says, and what it leaves out."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import (
    kubernetes_history,
    rollout_history,
    rollout_mark,
    rollout_undo,
)
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from tests.integration.kubernetes.rollout_scene import NOWHERE, RESOURCES, Scene

pytestmark = [pytest.mark.lab]
ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def history(scene: Scene, *names: str, kind: str = "Deployment", **options: Any) -> dict[str, Any]:
    return scene.run(rollout_history, kind=kind, names=list(names) or ["web"], **options)


def mark(scene: Scene, *names: str, kind: str = "Deployment", **options: Any) -> dict[str, Any]:
    return scene.run(rollout_mark, kind=kind, names=list(names) or ["web"], **options)


@ALL_KINDS
def test_the_same_revisions_and_causes_as_kubectl(scene: Scene, kind: str) -> None:
    for number in (1, 2, 3):
        scene.deploy(f"web:{number}", kind, annotations={kubernetes_history.CHANGE_CAUSE: f"release {number}"})
    scene.kubectl("rollout", "undo", f"{RESOURCES[kind]}/web", "--to-revision=2")
    scene.seen(kind)

    told = scene.kubectl("rollout", "history", f"{RESOURCES[kind]}/web")
    theirs = re.findall(r"^(\d+)\s+(.+?)\s*$", told, re.MULTILINE)
    result = history(scene, kind=kind)
    (row,) = result["workloads"]

    assert [(str(one["revision"]), one["change_cause"]) for one in row["revisions"]] == theirs
    assert [number for number, _cause in theirs] == ["1", "3", "4"]
    assert (row["current"]["revision"], row["current"]["images"]) == (4, {"main": "web:2"})
    assert row["revisions"][-1]["earlier_revisions"] == ([2] if kind == "Deployment" else [])
    assert result["requests"] == 2


def test_what_is_not_there(scene: Scene) -> None:
    scene.deploy("web:1")

    result = history(scene, "nope", "web", min_revisions=2)

    assert [check["status"] for check in result["checks"]] == ["fail", "fail"]
    with pytest.raises(InputError, match=r"namespace .*-absent does not exist"):
        history(scene.beside(f"{scene.namespace}-absent"))


def test_many_at_once(scene: Scene) -> None:
    names = [f"web-{number}" for number in range(12)]
    for name in names:
        scene.deploy("web:1", name=name, replicas=0)

    result = history(scene, *names)

    assert [row["name"] for row in result["workloads"]] == names
    assert result["verdict"] == "pass"
    assert result["requests"] == 24


@ALL_KINDS
def test_a_mark_is_written_once_and_is_a_target(scene: Scene, kind: str) -> None:
    scene.deploy("web:good", kind, settle=True)
    before = scene.snapshot()

    plan = mark(scene, kind=kind, check=True)
    assert (plan["changed"], scene.snapshot()) == (True, before)
    done = mark(scene, kind=kind)
    assert done["changed"]
    again = mark(scene, kind=kind)
    assert again["changed"] is False
    assert again["workloads"] == [{**row, "changed": False} for row in done["workloads"]]

    scene.deploy("web:bad", kind)
    scene.deploy("web:worse", kind)
    undone = scene.run(rollout_undo, kind=kind, name="web", to="known_good", wait_seconds=60)
    assert undone["to"]["images"] == {"main": "web:good"}
    assert scene.image(kind) == "web:good"
    assert scene.run(rollout_undo, kind=kind, name="web", to="known_good")["reason"] == "already_there"
    (row,) = history(scene, kind=kind)["workloads"]
    assert row["known_good"]["revision"] == row["current"]["revision"] == 4
    assert row["known_good_at"] == done["workloads"][0]["known_good_at"]


def test_a_mark_is_refused_for_all_when_one_is_not_fit(scene: Scene) -> None:
    scene.deploy("web:1", name="fit", settle=True)
    scene.deploy("web:1", name="unfit", pod=NOWHERE)

    with pytest.raises(RefusedError, match=r"the rollout of .*unfit is not complete"):
        mark(scene, "fit", "unfit")

    for name in ("fit", "unfit"):
        assert kubernetes_history.KNOWN_GOOD not in scene.one("Deployment", name)["metadata"]["annotations"]


def test_a_mark_is_refused_when_another_revision_was_verified(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    verified = history(scene)["workloads"][0]["current"]["name"]
    scene.deploy("web:2", settle=True)

    with pytest.raises(RefusedError, match=f"not at {verified}"):
        mark(scene, expected_current_names={"web": verified})


def test_the_documented_rights_are_enough(scene: Scene) -> None:
    scene.deploy("web:1", settle=True)
    token = scene.user("exact", [("get,patch", "deployments.apps"), ("list", "replicasets.apps")])

    assert history(scene, api_key=token)["verdict"] == "pass"
    assert mark(scene, api_key=token)["changed"]

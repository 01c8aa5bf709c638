# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_undo as a module: what it sends, what it returns, and what others do in between."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history as history
from ansible_collections.sre.runbooks.plugins.module_utils import libraries, rollout_undo
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import (
    ApiError,
    ForbiddenError,
    InvalidError,
)
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from ansible_collections.sre.runbooks.plugins.modules import rollout_undo as module
from tests.unit.plugins.fake_rollouts import NAMESPACE, FakeCluster, template
from tests.unit.plugins.module_runner import run_module

Undo = Callable[..., dict[str, Any]]
ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@pytest.fixture
def undo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Undo:
    """Runs the module against a FakeCluster; nobody waits for anything."""
    monkeypatch.setattr(rollout_undo, "OBSERVE_SECONDS", 0.05)

    def run(cluster: FakeCluster, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(rollout_undo, "Cluster", lambda *_arguments: cluster)
        arguments = {"namespace": NAMESPACE, "kind": cluster.kind, "name": cluster.name, "wait_seconds": 0, **options}
        return run_module(module, capsys, check=check, **arguments)

    return run


def scene(*images: str, kind: str = "Deployment", **annotations: str) -> FakeCluster:
    cluster = FakeCluster(kind)
    for image in images or ("web:1", "web:2"):
        cluster.deploy(template(image), **annotations)
    return cluster


def warned(result: dict[str, Any]) -> set[str]:
    return {one["id"] for one in result["warnings_about"]} - {"schema"}


@ALL_KINDS
def test_check_mode_run_and_run_again(undo: Undo, kind: str) -> None:
    cluster = scene(kind=kind)
    before = copy.deepcopy(cluster.store)

    plan = undo(cluster, check=True, to_revision=1)
    assert (plan["changed"], plan["reason"], plan["resulting_revision"]) == (True, "rolled_back", None)
    assert cluster.store == before
    assert [row["outcome"] for row in plan["attempts"]] == ["dry_run"]

    done = undo(cluster, to_revision=1)
    assert (done["changed"], done["reason"], done["resulting_revision"]) == (True, "rolled_back", 3)
    assert {key: plan[key] for key in ("from", "to")} == {key: done[key] for key in ("from", "to")}
    assert done["from"] == {
        "revision": 2,
        "name": "web-h2",
        "hash": "h2",
        "images": {"main": "web:2"},
        "change_cause": None,
    }
    assert cluster.workload["spec"]["template"]["spec"]["containers"][0]["image"] == "web:1"
    assert done["msg"] == (
        f"{kind} hafnium/web: rolled back from revision 2 (web-h2, web:2) to revision 1 (web-h1, web:1); "
        "it is revision 3 now"
    )

    again = undo(cluster, to_revision=1)
    assert (again["changed"], again["reason"], again["resulting_revision"]) == (False, "already_there", 3)
    assert again["attempts"] == []


@ALL_KINDS
def test_previous_with_a_guard_does_not_toggle(undo: Undo, kind: str) -> None:
    cluster = scene(kind=kind)
    options = {"to": "previous", "expected_current_image": "web:2"}

    assert undo(cluster, **options)["reason"] == "rolled_back"
    again = undo(cluster, **options)

    assert (again["changed"], again["reason"], again["to"]) == (False, "already_moved", None)
    assert "left alone" in again["msg"]
    assert cluster.history().current.images == {"main": "web:1"}  # type: ignore[union-attr]


def test_a_guard_that_does_not_hold_can_be_a_failure(undo: Undo) -> None:
    result = undo(scene(), to="previous", expected_current_image="web:9", on_mismatch="fail")

    assert result["failed"]
    assert (result["changed"], result["reason"]) == (False, "already_moved")
    assert "expected_current_image is web:9, but the current revision is 2 (web-h2, web:2)" in result["msg"]


def test_requests_are_counted_and_few(undo: Undo) -> None:
    cluster = scene()

    result = undo(cluster, to_revision=1)

    assert cluster.asked == [
        "get Deployment",
        "list ReplicaSet",
        "create Pod",
        "patch Deployment",
        "list HorizontalPodAutoscaler",
        "get ReplicaSet",
    ]
    assert result["requests"] == 6


def test_the_patch_of_a_deployment_is_locked_and_has_no_hash(undo: Undo) -> None:
    cluster = scene()
    version = cluster.workload["metadata"]["resourceVersion"]

    undo(cluster, to_revision=1)

    (body, patch_type, _dry_run), *_rest = cluster.patches
    assert patch_type == "json"
    assert body[0] == {"op": "test", "path": "/metadata/resourceVersion", "value": version}
    assert body[1] == {"op": "replace", "path": "/spec/template", "value": template("web:1")}


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])
def test_the_patch_of_a_controller_revision_is_locked_and_replaces(undo: Undo, kind: str) -> None:
    cluster = scene(kind=kind)
    version = cluster.workload["metadata"]["resourceVersion"]

    undo(cluster, to_revision=1)

    (body, patch_type, _dry_run), *_rest = cluster.patches
    assert patch_type == "strategic"
    assert body["metadata"] == {"resourceVersion": version, "annotations": {history.RENUMBERED: "1=web-h1"}}
    assert body["spec"] == {"template": {**template("web:1"), "$patch": "replace"}}


def test_annotations_go_back_as_with_kubectl_and_our_marks_stay(undo: Undo) -> None:
    cluster = scene("web:1", team="a", **{history.CHANGE_CAUSE: "one", LAST_APPLIED: "{}"})
    cluster.deploy(template("web:2"), team="b", later="x", **{history.CHANGE_CAUSE: "two"})
    cluster.workload["metadata"]["annotations"] |= {
        history.KNOWN_GOOD: "web-h2",
        history.KNOWN_GOOD_AT: "2031-01-01T00:00:00Z",
        LAST_APPLIED: '{"spec":{}}',
    }

    result = undo(cluster, to_revision=1)

    assert cluster.workload["metadata"]["annotations"] == {
        "team": "a",
        history.CHANGE_CAUSE: "one",
        LAST_APPLIED: '{"spec":{}}',
        history.REVISION: "3",
        history.KNOWN_GOOD: "web-h2",
        history.KNOWN_GOOD_AT: "2031-01-01T00:00:00Z",
    }
    assert warned(result) == {"annotations_dropped", "kubectl_apply", "leaves_known_good"}
    (text,) = [one["text"] for one in result["warnings_about"] if one["id"] == "annotations_dropped"]
    assert text.endswith("dropped: later")


# -- others who write in between


def test_a_writer_in_between_is_met_with_another_reading(undo: Undo) -> None:
    cluster = scene()
    cluster.before_patch = [cluster.touch, cluster.touch]

    result = undo(cluster, to_revision=1)

    assert [row["outcome"] for row in result["attempts"]] == ["conflict", "conflict", "stored"]
    assert result["changed"]


def test_a_writer_who_deploys_in_between_moves_the_guard(undo: Undo) -> None:
    cluster = scene()
    cluster.before_patch = [lambda: cluster.deploy(template("web:fixed"))]  # type: ignore[list-item]

    result = undo(cluster, to="previous", expected_current_image="web:2")

    assert (result["changed"], result["reason"]) == (False, "already_moved")
    assert cluster.history().current.images == {"main": "web:fixed"}  # type: ignore[union-attr]


def test_a_writer_who_does_the_same_in_between(undo: Undo) -> None:
    cluster = scene()
    cluster.before_patch = [lambda: cluster.deploy(template("web:1"))]  # type: ignore[list-item]

    result = undo(cluster, to_revision=1)

    assert (result["changed"], result["reason"], result["resulting_revision"]) == (False, "already_there", 3)


def test_a_writer_who_never_stops(undo: Undo) -> None:
    cluster = scene()
    cluster.before_patch = [cluster.touch] * 9

    result = undo(cluster, to_revision=1, retries=2)

    assert result["failed"]
    assert result["changed"] is False
    assert len(result["attempts"]) == 3
    assert "changed by others each of the 3 times" in result["msg"]


def test_an_answer_that_is_lost_after_it_was_stored(undo: Undo) -> None:
    cluster = scene()
    stored = cluster.patch

    def lose(*arguments: Any, **options: Any) -> Any:
        cluster.patch = stored  # type: ignore[method-assign]
        stored(*arguments, **options)
        raise UnreachableError("the connection was reset")

    cluster.patch = lose  # type: ignore[method-assign]
    result = undo(cluster, to="previous", expected_current_image="web:2")

    assert (result["changed"], result["reason"], result["resulting_revision"]) == (True, "rolled_back", 3)
    assert [row["outcome"] for row in result["attempts"]] == ["no_answer"]
    assert result["from"]["revision"] == 2


def test_a_request_that_is_lost_before_it_was_stored(undo: Undo) -> None:
    cluster = scene()

    def away() -> None:
        raise UnreachableError("connection refused")

    cluster.before_patch = [away]
    result = undo(cluster, to_revision=1)

    assert [row["outcome"] for row in result["attempts"]] == ["no_answer", "stored"]
    assert (result["changed"], result["resulting_revision"]) == (True, 3)


def test_a_server_that_is_lost_for_good_leaves_it_open(undo: Undo) -> None:
    cluster = scene()

    def away() -> None:
        cluster.denied["get", "Deployment"] = UnreachableError("connection refused")
        raise UnreachableError("connection reset")

    cluster.before_patch = [away]
    result = undo(cluster, to_revision=1)

    assert result["failed"]
    assert result["changed"] is None
    assert "whether it is stored is not known. It is safe to run this task again" in result["msg"]


def test_a_server_that_is_away_from_the_start(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["get", "Deployment"] = UnreachableError("connection refused")

    result = undo(cluster, to_revision=1)

    assert result["failed"]
    assert result["msg"] == "connection refused"


def test_a_server_that_is_lost_after_the_change_does_not_hide_it(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["get", "ReplicaSet"] = UnreachableError("connection refused")

    result = undo(cluster, to_revision=1)

    assert (result["changed"], result["reason"], result["resulting_revision"]) == (True, "rolled_back", None)
    assert "not_observed" in warned(result)


def test_a_controller_that_does_not_move(undo: Undo) -> None:
    cluster = scene()
    cluster.controllers = False

    result = undo(cluster, to_revision=1)

    assert (result["changed"], result["resulting_revision"]) == (True, None)
    assert "not_observed" in warned(result)


# -- what the API server refuses


def test_a_right_that_lacks_is_named(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["patch", "Deployment"] = ForbiddenError("user sre lacks the verb 'patch'", 403)

    result = undo(cluster, to_revision=1)

    assert result["failed"]
    assert result["msg"] == "user sre lacks the verb 'patch'"
    assert not result.get("changed")


def test_pods_that_would_be_refused_are_a_refusal(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["create", "Pod"] = ForbiddenError(
        "refused", 403, server_message='pods "x" is forbidden: violates PodSecurity "restricted:latest"'
    )

    for check in (True, False):
        result = undo(cluster, check=check, to_revision=1)
        assert result["failed"]
        assert "would refuse the pods of revision 1 (web-h1, web:1)" in result["msg"]
        assert 'violates PodSecurity "restricted:latest"' in result["msg"]
    assert cluster.patches == []
    assert undo(cluster, to_revision=1, try_pod=False)["changed"]


def test_a_quota_that_is_full_is_only_a_warning(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["create", "Pod"] = ForbiddenError(
        "refused", 403, server_message="exceeded quota: small, used: pods=2"
    )

    result = undo(cluster, to_revision=1)

    assert result["changed"]
    assert warned(result) == {"quota"}


@pytest.mark.parametrize(
    "error",
    [
        ForbiddenError("no", 403, server_message='pods is forbidden: User "x" cannot create resource "pods"'),
        ApiError("webhook does not support dry run", 400),
    ],
)
def test_a_pod_that_may_not_be_tried_is_only_a_note(undo: Undo, error: Exception) -> None:
    cluster = scene()
    cluster.denied["create", "Pod"] = error

    result = undo(cluster, to_revision=1)

    assert result["changed"]
    assert warned(result) == {"admission_unverified"}
    assert "could not be tried" not in str(result.get("warnings"))


def test_a_template_that_is_invalid_by_now(undo: Undo) -> None:
    cluster = scene()
    cluster.denied["patch", "Deployment"] = InvalidError("the API server finds it invalid: selector", 422)

    assert "finds it invalid" in undo(cluster, to_revision=1)["msg"]


def test_autoscalers_are_mentioned_and_their_absence_of_rights_too(undo: Undo) -> None:
    cluster = scene()
    reference = {"kind": "Deployment", "name": "web", "apiVersion": "apps/v1"}
    cluster.add("HorizontalPodAutoscaler", "web-hpa", spec={"scaleTargetRef": reference, "maxReplicas": 9})
    assert warned(undo(cluster, to_revision=1)) == {"hpa"}

    cluster.denied["list", "HorizontalPodAutoscaler"] = ForbiddenError("no", 403)
    assert warned(undo(cluster, to_revision=2)) == {"hpa_unverified"}


# -- warnings


def test_the_same_image_in_both(undo: Undo) -> None:
    cluster = scene("web:latest").deploy(template("web:latest", env={"A": "1"}))

    result = undo(cluster, to_revision=1)

    assert warned(result) == {"nothing_changes_image"}
    assert "names the same images as the current one" in str(result["warnings"])


def test_an_undo_right_after_a_restart(undo: Undo) -> None:
    cluster = scene("web:1")
    cluster.deploy(template("web:1", annotations={"kubectl.kubernetes.io/restartedAt": "2031-01-01T00:00:00Z"}))

    result = undo(cluster, to="previous", expected_current_revision=2)

    (text,) = [one["text"] for one in result["warnings_about"] if one["id"] == "nothing_changes_image"]
    assert "differs from the current one only by a restart" in text


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        ({"type": "OnDelete"}, {"on_delete"}),
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, {"partition"}),
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}, set()),
    ],
)
def test_strategies_that_leave_old_pods(undo: Undo, strategy: dict[str, Any], expected: set[str]) -> None:
    cluster = scene(kind="StatefulSet")
    cluster.workload["spec"]["updateStrategy"] = strategy

    assert warned(undo(cluster, check=True, to_revision=1)) == expected


# -- waiting


def test_it_waits_for_the_rollout(undo: Undo) -> None:
    result = undo(scene(), to_revision=1, wait_seconds=5)

    assert result["rollout"]["state"] == "complete"
    assert result["rollout"]["revision"] == "3"


def test_a_rollout_that_does_not_end_fails_and_says_what_was_changed(undo: Undo) -> None:
    cluster = scene()
    cluster.reconcile_once = cluster.reconcile  # type: ignore[attr-defined]

    def unready() -> None:
        cluster.reconcile_once()  # type: ignore[attr-defined]
        cluster.workload["status"] |= {"readyReplicas": 0, "availableReplicas": 0}

    cluster.reconcile = unready  # type: ignore[method-assign]
    result = undo(cluster, to_revision=1, wait_seconds=0.3)

    assert result["failed"]
    assert (result["changed"], result["reason"], result["resulting_revision"]) == (True, "rolled_back", 3)
    assert result["rollout"]["timed_out"]
    assert "it is revision 3 now; but it did not roll out, timed out" in result["msg"]
    assert "0 of 2 available" in result["msg"]


def test_a_workload_that_is_deleted_while_it_is_waited_for(undo: Undo) -> None:
    cluster = scene()
    number_of = cluster.find

    def find(kind: str, namespace: str, name: str) -> Any:
        found = number_of(kind, namespace, name)
        cluster.store.pop(("Deployment", "web"), None)
        return found

    cluster.find = find  # type: ignore[method-assign]
    result = undo(cluster, to_revision=1, wait_seconds=5)

    assert result["failed"]
    assert result["changed"]
    assert (result["rollout"]["state"], result["rollout"]["reason"]) == ("failed", "Deleted")
    assert "was deleted meanwhile" in result["msg"]


# -- stuck pods


def pods_of(cluster: FakeCluster) -> None:
    own = cluster.workload
    for name, revision, ready in (
        ("web-0", "web-h1", "True"),
        ("web-1", "web-h2", "False"),
        ("web-2", "web-h2", "True"),
        ("web-3", "web-h1", "False"),
    ):
        cluster.add(
            "Pod",
            name,
            own,
            metadata={"labels": {"app": "web", "controller-revision-hash": revision}},
            status={"conditions": [{"type": "Ready", "status": ready}]},
        )
    cluster.add("Pod", "stranger-9", metadata={"labels": {"app": "web", "controller-revision-hash": "x"}}, status={})


def test_stuck_pods_are_deleted_and_no_others(undo: Undo) -> None:
    cluster = scene(kind="StatefulSet")
    pods_of(cluster)
    pods = {name for kind, name in cluster.store if kind == "Pod"}

    plan = undo(cluster, check=True, to_revision=1, recover_stuck_pods=True)
    assert [row["name"] for row in plan["deleted_pods"]] == ["web-1"]
    assert {name for kind, name in cluster.store if kind == "Pod"} == pods

    done = undo(cluster, to_revision=1, recover_stuck_pods=True)
    assert done["deleted_pods"] == plan["deleted_pods"]
    assert {name for kind, name in cluster.store if kind == "Pod"} == pods - {"web-1"}


def test_stuck_pods_are_deleted_where_the_template_is_back_already(undo: Undo) -> None:
    cluster = scene(kind="StatefulSet")
    undo(cluster, to_revision=1)
    pods_of(cluster)

    result = undo(cluster, to_revision=1, recover_stuck_pods=True)

    assert (result["changed"], result["reason"]) == (True, "already_there")
    assert [row["name"] for row in result["deleted_pods"]] == ["web-1"]
    assert undo(cluster, to_revision=1, recover_stuck_pods=True)["changed"] is False


def test_pods_below_the_partition_are_left(undo: Undo) -> None:
    cluster = scene(kind="StatefulSet")
    cluster.workload["spec"]["updateStrategy"] = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
    pods_of(cluster)

    assert undo(cluster, to_revision=1, recover_stuck_pods=True)["deleted_pods"] == []


def test_pods_that_may_not_be_deleted_are_a_warning(undo: Undo) -> None:
    cluster = scene(kind="StatefulSet")
    pods_of(cluster)
    cluster.denied["delete", "Pod"] = ForbiddenError("user sre lacks the verb 'delete'", 403)

    result = undo(cluster, to_revision=1, recover_stuck_pods=True)

    assert result["changed"]
    assert warned(result) == {"not_recovered"}


# -- options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "one of the following is required: to, to_revision, to_name, to_hash, to_image, to_change_cause"),
        ({"to": "known_good", "to_revision": 1}, "mutually exclusive"),
        ({"to": "somewhere"}, "value of to must be one of"),
        ({"to_revision": 1, "retries": 99}, "retries is 99"),
        ({"to_revision": 1, "recover_stuck_pods": True}, "recover_stuck_pods is for a StatefulSet"),
        ({"to_revision": 1, "wait_seconds": -1}, "wait_seconds is -1"),
        ({"to_revision": 1, "name": "nope"}, "Deployment hafnium/nope does not exist"),
        ({"to_revision": 1, "namespace": "nope"}, "namespace nope does not exist"),
        ({"to": "previous"}, "needs a guard"),
    ],
)
def test_options_that_mean_nothing(undo: Undo, options: dict[str, Any], message: str) -> None:
    cluster = scene()

    result = undo(cluster, **options)

    assert result["failed"]
    assert message in result["msg"]
    assert cluster.patches == []


def test_paused_is_refused_in_check_mode_too(undo: Undo) -> None:
    cluster = scene()
    cluster.workload["spec"]["paused"] = True

    for check in (True, False):
        result = undo(cluster, check=check, to_revision=1)
        assert result["failed"]
        assert "is paused" in result["msg"]


def test_a_missing_library_is_named(undo: Undo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))

    assert "pip install kubernetes" in undo(scene(), to_revision=1)["msg"]

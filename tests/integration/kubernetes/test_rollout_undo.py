# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_undo on a real API server with real controllers, beside kubectl where kubectl is right."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_history, rollout_undo
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_client import Cluster
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ForbiddenError, UnauthorizedError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_kinds import WORKLOAD_KINDS
from lab import oracle
from tests.integration.kubernetes.rollout_scene import NOWHERE, RESOURCES, Object, Scene, eventually, relay

pytestmark = [pytest.mark.lab]
ALL_KINDS = pytest.mark.parametrize("kind", WORKLOAD_KINDS)
REVISIONS = pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet"])


@pytest.fixture
def scene(cluster: Any) -> Scene:
    return Scene(cluster.kubectl, cluster.kubeconfig, cluster.namespace())


def undo(scene: Scene, kind: str = "Deployment", name: str = "web", **options: Any) -> dict[str, Any]:
    return scene.run(rollout_undo, kind=kind, name=name, **{"wait_seconds": 60, **options})


def three(scene: Scene, kind: str = "Deployment", **options: Any) -> Scene:
    """web:1, web:2, web:3."""
    for number in (1, 2, 3):
        cause = {kubernetes_history.CHANGE_CAUSE: f"release {number}"}
        scene.deploy(f"web:{number}", kind, annotations=cause, settle=number == 3, **options)
    return scene


def ids(result: dict[str, Any]) -> set[str]:
    return {one["id"] for one in result["warnings_about"]} - {"schema"}


def pods_of(scene: Scene) -> dict[str, str]:
    """Image by pod."""
    return {
        one["metadata"]["name"]: one["spec"]["containers"][0]["image"]
        for one in scene.all("Pod")
        if not one["metadata"].get("deletionTimestamp")
    }


# -- the same as kubectl


@ALL_KINDS
def test_the_same_template_and_annotations_as_kubectl(scene: Scene, cluster: Any, kind: str) -> None:
    other = scene.beside(cluster.namespace())
    for place in (scene, other):
        three(place, kind)
        place.kubectl("annotate", RESOURCES[kind], "web", "team=b")

    result = undo(scene, kind, to_revision=1)
    other.kubectl("rollout", "undo", f"{RESOURCES[kind]}/web", "--to-revision=1")
    other.seen(kind)

    ours, theirs = scene.one(kind), other.one(kind)
    ours["metadata"]["annotations"].pop(kubernetes_history.RENUMBERED, None)
    assert ours["spec"] == theirs["spec"]
    assert ours["metadata"]["annotations"] == theirs["metadata"]["annotations"]
    assert (result["changed"], result["resulting_revision"]) == (True, 4)
    assert result["rollout"]["state"] == "complete"
    assert set(pods_of(scene).values()) == {"web:1"}
    assert ids(result) == ({"annotations_dropped"} if kind == "Deployment" else set())


@ALL_KINDS
def test_check_mode_run_run_again_and_back(scene: Scene, kind: str) -> None:
    three(scene, kind)
    before = scene.snapshot()

    plan = undo(scene, kind, to_revision=1, check=True, diff=True)
    assert scene.snapshot() == before
    assert (plan["changed"], plan["reason"]) == (True, "rolled_back")
    assert "web:3" in plan["diff"]["before"]
    assert "web:1" in plan["diff"]["after"]

    done = undo(scene, kind, to_revision=1, diff=True)
    assert (done["from"], done["to"]) == (plan["from"], plan["to"])
    assert done["diff"]["after"] == plan["diff"]["after"]
    assert scene.image(kind) == "web:1"

    moved = scene.snapshot()
    for _again in range(2):
        again = undo(scene, kind, to_revision=1)
        assert (again["changed"], again["reason"], again["resulting_revision"]) == (False, "already_there", 4)
    assert scene.snapshot() == moved

    assert undo(scene, kind, to_revision=3)["reason"] == "rolled_back"
    assert scene.image(kind) == "web:3"


@ALL_KINDS
def test_kubectl_toggles_and_this_does_not(scene: Scene, cluster: Any, kind: str) -> None:
    other = scene.beside(cluster.namespace())
    for place in (scene, other):
        for image in ("web:good", "web:bad"):
            place.deploy(image, kind)

    seen = []
    for _again in range(3):
        other.kubectl("rollout", "undo", f"{RESOURCES[kind]}/web")
        other.seen(kind)
        seen.append(other.image(kind))
    assert seen == ["web:good", "web:bad", "web:good"]

    reasons = []
    for _again in range(3):
        result = undo(scene, kind, to="previous", expected_current_image="web:bad", wait_seconds=0)
        reasons.append(result["reason"])
        assert scene.image(kind) == "web:good"
    assert reasons == ["rolled_back", "already_moved", "already_moved"]


@ALL_KINDS
def test_previous_without_a_guard_names_the_guard(scene: Scene, kind: str) -> None:
    three(scene, kind)
    before = scene.snapshot()

    for check in (True, False):
        with pytest.raises(RefusedError) as refused:
            undo(scene, kind, to="previous", check=check)
        name = refused.value.details["revisions"][-1]["name"]
        assert f"expected_current_name: {name}" in refused.value.message

    assert scene.snapshot() == before
    assert undo(scene, kind, to="previous", expected_current_name=name)["to"]["images"] == {"main": "web:2"}


@ALL_KINDS
def test_every_way_to_name_a_revision(scene: Scene, kind: str) -> None:
    three(scene, kind)
    first = undo(scene, kind, to_revision=1, check=True)["to"]

    for target in (
        {"to_name": first["name"]},
        {"to_hash": first["hash"]},
        {"to_image": "web:1"},
        {"to_change_cause": "release 1$"},
    ):
        assert undo(scene, kind, check=True, **target)["to"] == first

    undo(scene, kind, to_name=first["name"])
    for target in ({"to_name": first["name"]}, {"to_hash": first["hash"]}, {"to_image": "web:1"}, {"to_revision": 1}):
        assert undo(scene, kind, **target)["reason"] == "already_there"


@REVISIONS
def test_numbers_that_kubectl_took_are_not_guessed(scene: Scene, kind: str) -> None:
    three(scene, kind)
    scene.kubectl("rollout", "undo", f"{RESOURCES[kind]}/web", "--to-revision=1")
    scene.seen(kind)

    with pytest.raises(RefusedError, match=r"unable to find specified revision 1 .* Names|names and hashes do not"):
        undo(scene, kind, to_revision=1)
    assert undo(scene, kind, to_image="web:1")["reason"] == "already_there"


def test_numbers_that_kubectl_took_from_a_deployment_are_followed(scene: Scene) -> None:
    three(scene)
    scene.kubectl("rollout", "undo", "deployment/web", "--to-revision=1")
    scene.seen()

    assert undo(scene, to_revision=1)["reason"] == "already_there"
    scene.deploy("web:bad")
    result = undo(scene, to_revision=1)
    assert (result["to"]["revision"], result["resulting_revision"]) == (4, 6)
    assert scene.image() == "web:1"


# -- neighbours


def test_neighbours_with_the_same_labels_are_left_out(scene: Scene, cluster: Any) -> None:
    three(scene)
    scene.deploy("billing:1", name="billing")
    scene.deploy("billing:2", name="billing")
    canary = {"app": "web", "track": "canary"}
    for image in ("canary:1", "canary:2", "canary:3", "canary:4"):
        scene.deploy(image, name="web-canary", labels=canary)
    other = three(scene.beside(cluster.namespace()))
    other.deploy("other:4")
    before = {**scene.snapshot(), "other": other.snapshot()}
    assert len(scene.all("ReplicaSet", labels="app=web")) == 7

    result = undo(scene, to="previous", expected_current_image="web:3")

    assert [row["images"]["main"] for row in result["revisions"]] == ["web:1", "web:2", "web:3"]
    assert scene.image() == "web:2"
    after = {**scene.snapshot(), "other": other.snapshot()}
    assert {key for key in after if after[key] != before[key]} == {"Deployment/web"}


def test_a_selector_of_expressions_only(scene: Scene) -> None:
    expression = {"key": "app", "operator": "In", "values": ["web", "www"]}
    for image in ("web:1", "web:2"):
        scene.deploy(image, selector={"matchExpressions": [expression]})

    assert undo(scene, to_revision=1)["reason"] == "rolled_back"
    assert scene.image() == "web:1"


def test_a_replica_set_that_was_adopted_has_no_number(scene: Scene) -> None:
    """An orphan with fitting labels becomes a revision that nobody deployed; kubectl counts it as number 0."""
    scene.deploy("web:1")
    scene.deploy("web:2")
    template = scene.one("Deployment")["spec"]["template"]
    template["metadata"]["labels"]["orphan"] = "yes"
    template["spec"]["containers"][0]["image"] = "web:orphan"
    labels = {"app": "web", "orphan": "yes"}
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": "orphan", "namespace": scene.namespace, "labels": labels}
    scene.create("ReplicaSet", {"apiVersion": "apps/v1", "metadata": metadata, "spec": spec})
    eventually("it is adopted", lambda: scene.one("ReplicaSet", "orphan")["metadata"].get("ownerReferences"))

    plan = undo(scene, to="previous", expected_current_image="web:2", check=True)

    assert [(row["revision"], row["images"]["main"]) for row in plan["revisions"]] == [
        (None, "web:orphan"),
        (1, "web:1"),
        (2, "web:2"),
    ]
    assert plan["to"]["revision"] == 1
    result = undo(scene, to_name="orphan")
    assert (result["to"]["revision"], result["resulting_revision"]) == (None, 3)


def test_a_history_with_gaps(scene: Scene) -> None:
    for number in range(1, 6):
        scene.deploy(f"web:{number}", revisionHistoryLimit=2)
    eventually("old revisions are pruned", lambda: len(scene.all("ReplicaSet")) == 3)

    with pytest.raises(RefusedError) as refused:
        undo(scene, to_revision=2)

    assert "unable to find specified revision 2 in history" in refused.value.message
    assert [row["revision"] for row in refused.value.details["revisions"]] == [3, 4, 5]
    assert undo(scene, to_revision=3)["resulting_revision"] == 6


@ALL_KINDS
def test_a_single_revision(scene: Scene, kind: str) -> None:
    scene.deploy("web:1", kind)

    with pytest.raises(RefusedError, match="there is no other revision to go back to"):
        undo(scene, kind, to="previous", expected_current_image="web:1")


# -- what is in the way


def test_paused_is_refused_in_check_mode_too(scene: Scene) -> None:
    three(scene)
    scene.kubectl("rollout", "pause", "deployment/web")
    before = scene.snapshot()
    # kubectl's own client-side dry run says that it would work.
    assert "web:1" in scene.kubectl("rollout", "undo", "deployment/web", "--to-revision=1", "--dry-run=client")

    for check in (True, False):
        with pytest.raises(RefusedError, match="kubectl rollout resume"):
            undo(scene, to_revision=1, check=check)

    assert scene.snapshot() == before


def test_only_an_init_container_differs(scene: Scene) -> None:
    for image in ("init:1", "init:2"):
        scene.deploy("web:1", pod={"initContainers": [{"name": "migrate", "image": image}]})

    result = undo(scene, to_image="init:1")

    assert result["reason"] == "rolled_back"
    assert "nothing_changes_image" not in ids(result)
    assert scene.one("Deployment")["spec"]["template"]["spec"]["initContainers"][0]["image"] == "init:1"


def test_right_after_a_restart_nothing_is_rolled_back_and_it_says_so(scene: Scene) -> None:
    scene.deploy("web:good")
    scene.deploy("web:bad")
    scene.kubectl("rollout", "restart", "deployment/web")
    scene.seen()

    plan = undo(scene, to="previous", expected_current_revision=3, check=True)
    assert ids(plan) == {"nothing_changes_image"}
    assert plan["to"]["images"] == plan["from"]["images"]

    done = undo(scene, to="previous_image", expected_current_revision=3)
    assert done["to"]["images"] == {"main": "web:good"}
    assert scene.image() == "web:good"


def test_the_same_tag_everywhere(scene: Scene) -> None:
    for level in ("info", "debug"):
        container = {"name": "main", "image": "web:latest", "env": [{"name": "LEVEL", "value": level}]}
        scene.deploy("web:latest", pod={"containers": [container]})

    with pytest.raises(RefusedError, match="holds for the current revision and for 1"):
        undo(scene, to="previous", expected_current_image="web:latest")
    assert undo(scene, to_image="web:latest")["reason"] == "already_there"
    assert ids(undo(scene, to_revision=1, check=True)) == {"nothing_changes_image"}


def test_what_kubectl_apply_remembers_is_warned_of(scene: Scene) -> None:
    for number in (1, 2):
        scene.apply(
            {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "metadata": {"name": "web"},
                "spec": {
                    "selector": {"matchLabels": {"app": "web"}},
                    "template": {
                        "metadata": {"labels": {"app": "web"}},
                        "spec": {"containers": [{"name": "main", "image": f"web:{number}"}]},
                    },
                },
            }
        )
        scene.seen()

    assert "kubectl_apply" in ids(undo(scene, to_revision=1, check=True))


def test_an_autoscaler_is_mentioned_and_replicas_are_left(scene: Scene) -> None:
    three(scene)
    scene.kubectl("autoscale", "deployment", "web", "--min=2", "--max=5", "--cpu=70%")
    scene.kubectl("scale", "deployment", "web", "--replicas=4")
    scene.seen()

    assert "hpa" in ids(undo(scene, to_revision=1))
    assert scene.one("Deployment")["spec"]["replicas"] == 4


def test_secrets_are_not_in_the_diff(scene: Scene) -> None:
    for value in ("hunter2x", "hunter3x"):
        env = [{"name": "DB_PASSWORD", "value": value}]
        scene.deploy("web:1", pod={"containers": [{"name": "main", "image": "web:1", "env": env}]})

    text = json.dumps(undo(scene, to_revision=1, check=True, diff=True))

    assert "hunter" not in text
    assert "[redacted, differs]" in text


def test_the_diff_is_the_template(scene: Scene) -> None:
    three(scene)

    after = yaml.safe_load(undo(scene, to_revision=1, diff=True)["diff"]["after"])

    assert after["spec"]["template"] == scene.one("Deployment")["spec"]["template"]


def test_pods_that_would_be_refused(scene: Scene) -> None:
    scene.deploy("web:1")
    safe = {
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    scene.deploy("web:2", pod={"containers": [{"name": "main", "image": "web:2", "securityContext": safe}]})
    scene.kubectl("label", "namespace", scene.namespace, "pod-security.kubernetes.io/enforce=restricted")
    before = scene.snapshot()

    for check in (True, False):
        with pytest.raises(RefusedError, match=r"would refuse the pods of revision 1 .*violates PodSecurity"):
            undo(scene, to_revision=1, check=check)
    assert scene.snapshot() == before

    # kubectl rolls back, says nothing, and two old pods keep READY green.
    with pytest.raises(RunbookError) as failed:
        undo(scene, to_revision=1, try_pod=False, fail_after_seconds=1)
    assert failed.value.details["changed"] is True
    assert failed.value.details["rollout"]["reason"] == "PodSecurity"


def test_a_service_account_that_is_gone(scene: Scene) -> None:
    scene.kubectl("create", "serviceaccount", "old")
    scene.deploy("web:1", pod={"serviceAccountName": "old"})
    scene.deploy("web:2")
    scene.kubectl("delete", "serviceaccount", "old")

    with pytest.raises(RefusedError, match=r'serviceaccount "old" not found'):
        undo(scene, to_revision=1)


def test_a_full_quota_is_only_a_warning(scene: Scene) -> None:
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    for image in ("web:1", "web:2"):
        scene.deploy(image, strategy=strategy, settle=True)
    scene.kubectl("create", "quota", "small", "--hard=pods=2")
    eventually("the quota is counted", lambda: scene.one("ResourceQuota", "small")["status"].get("used"))

    result = undo(scene, to_revision=1)

    assert "quota" in ids(result)
    assert result["rollout"]["state"] == "complete"


# -- others in between


class _Interrupted(Cluster):
    """Lets somebody in before each patch."""

    before_patch: list[Any] = []

    def patch(self, *arguments: Any, **options: Any) -> Object:
        if self.before_patch:
            self.before_patch.pop(0)()
        return super().patch(*arguments, **options)


@ALL_KINDS
def test_a_writer_between_reading_and_writing(scene: Scene, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    three(scene, kind)
    monkeypatch.setattr(rollout_undo, "Cluster", _Interrupted)

    def annotate(value: str) -> Any:
        return lambda: scene.kubectl("annotate", RESOURCES[kind], "web", f"sre.runbooks/note={value}", "--overwrite")

    _Interrupted.before_patch[:] = [annotate("a"), annotate("b")]
    result = undo(scene, kind, to_revision=1)

    assert [row["outcome"] for row in result["attempts"]] == ["conflict", "conflict", "stored"]
    assert scene.image(kind) == "web:1"
    assert scene.one(kind)["metadata"]["annotations"]["sre.runbooks/note"] == "b"


@ALL_KINDS
def test_a_deployment_between_reading_and_writing(scene: Scene, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    three(scene, kind)
    monkeypatch.setattr(rollout_undo, "Cluster", _Interrupted)
    _Interrupted.before_patch[:] = [
        lambda: scene.kubectl("set", "image", f"{RESOURCES[kind]}/web", "main=web:fixed"),
    ]

    result = undo(scene, kind, to="previous", expected_current_image="web:3")

    assert (result["changed"], result["reason"]) == (False, "already_moved")
    assert scene.image(kind) == "web:fixed"


def rolls_out(progress: str) -> bool:
    """Whether this line of progress tells of the rollout: the change is made, and is waited for."""
    return progress.startswith("web: ") and " of 2 " in progress


def test_an_object_that_is_deleted_while_it_is_waited_for(scene: Scene) -> None:
    scene.deploy("web:1", pod=NOWHERE)
    scene.deploy("web:2", settle=True)
    deleted = threading.Event()

    def delete(text: str) -> None:
        if rolls_out(text) and not deleted.is_set():
            deleted.set()
            scene.kubectl("delete", "deployment", "web")

    with pytest.raises(RunbookError, match="was deleted meanwhile") as failed:
        undo(scene, to_revision=1, progress=delete)

    assert failed.value.details["changed"] is True
    assert failed.value.details["rollout"]["reason"] == "Deleted"


def test_a_rollout_that_gets_stuck_ends_early_with_its_reason(scene: Scene) -> None:
    scene.deploy("web:1", pod=NOWHERE)
    scene.deploy("web:2", settle=True)
    lines: list[str] = []

    with pytest.raises(RunbookError) as failed:
        undo(scene, to_revision=1, unschedulable_seconds=1, progress=lines.append)

    details = failed.value.details
    assert (details["changed"], details["resulting_revision"]) == (True, 3)
    assert details["rollout"]["timed_out"] is False
    assert details["rollout"]["problems"][0]["category"] == "unschedulable"
    assert "it is revision 3 now; but it did not roll out, gave up after" in failed.value.message
    assert any(line.startswith("web: ") for line in lines)


def test_a_server_that_is_away_while_it_is_waited_for(scene: Scene) -> None:
    scene.deploy("web:1", pod=NOWHERE)
    scene.deploy("web:2", settle=True)
    with relay(scene) as before:

        def cut(text: str) -> None:
            if rolls_out(text):
                before.cut()

        with pytest.raises(RunbookError) as failed:
            undo(scene, to_revision=1, host=before.url, wait_seconds=4, progress=cut)

    assert failed.value.details["changed"] is True
    assert failed.value.details["rollout"]["state"] == "unknown"
    assert failed.value.details["rollout"]["timed_out"] is True


def test_a_server_that_comes_back_while_it_is_waited_for(scene: Scene) -> None:
    scene.deploy("web:1", minReadySeconds=3)
    scene.deploy("web:2")
    with relay(scene) as before:
        lines: list[str] = []
        is_cut = threading.Event()

        def cut(text: str) -> None:
            lines.append(text)
            if rolls_out(text) and not is_cut.is_set():
                is_cut.set()
                before.cut()
                threading.Timer(1.5, before.mend).start()

        result = undo(scene, to_revision=1, host=before.url, progress=cut)

    assert result["rollout"]["state"] == "complete"
    assert any("cannot be asked, trying again" in line for line in lines)


def test_a_server_that_is_lost_while_it_is_written(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    three(scene)
    monkeypatch.setattr(rollout_undo, "Cluster", _Interrupted)
    with relay(scene) as before:
        _Interrupted.before_patch[:] = [before.cut]
        with pytest.raises(RunbookError) as failed:
            undo(scene, to_revision=1, host=before.url, timeout=8, wait_seconds=0)
        assert failed.value.details["changed"] is None
        assert "It is safe to run this task again" in failed.value.message
        before.mend()
        assert undo(scene, to_revision=1, host=before.url)["reason"] == "rolled_back"


# -- rights


def test_a_token_that_is_not_accepted(scene: Scene) -> None:
    three(scene)

    with pytest.raises(UnauthorizedError, match="A token may have expired"):
        undo(scene, to_revision=1, api_key="a-token-that-has-expired")


RIGHTS = [
    ("get,patch", "deployments.apps"),
    ("get,list", "replicasets.apps"),
    ("list", "horizontalpodautoscalers.autoscaling"),
    ("create,list", "pods"),
]


def test_the_documented_rights_are_enough(scene: Scene) -> None:
    three(scene)
    token = scene.user("exact", RIGHTS)

    result = undo(scene, to_revision=1, api_key=token)

    assert result["reason"] == "rolled_back"
    assert ids(result) == set()


@pytest.mark.parametrize(
    ("rights", "verb", "resource"),
    [
        ([("patch", "deployments.apps"), *RIGHTS[1:]], "get", "deployments.apps"),
        ([("get", "deployments.apps"), *RIGHTS[1:]], "patch", "deployments.apps"),
        ([RIGHTS[0], ("get", "replicasets.apps"), *RIGHTS[2:]], "list", "replicasets.apps"),
    ],
)
def test_a_right_that_lacks_is_named(scene: Scene, rights: list[tuple[str, str]], verb: str, resource: str) -> None:
    three(scene)
    token = scene.user("narrow", rights)
    before = scene.snapshot()

    for check in (True, False):
        with pytest.raises(ForbiddenError, match=f"lacks the verb '{verb}' on resource '{resource}' in namespace"):
            undo(scene, to_revision=1, api_key=token, check=check)
    assert scene.snapshot() == before


def test_rights_that_are_not_needed_are_only_noted(scene: Scene) -> None:
    three(scene)
    token = scene.user("few", [RIGHTS[0], ("get,list", "replicasets.apps")])

    result = undo(scene, to_revision=1, api_key=token, wait_seconds=0)

    assert result["reason"] == "rolled_back"
    assert result["resulting_revision"] == 4
    assert ids(result) == {"admission_unverified", "hpa_unverified"}


# -- StatefulSets


def test_a_stateful_set_that_is_stuck(scene: Scene) -> None:
    scene.deploy("web:1", "StatefulSet", settle=True)
    scene.deploy("web:2", "StatefulSet", pod=NOWHERE)
    eventually("the last pod is broken", lambda: pods_of(scene).get("web-1") == "web:2")

    # The template is good again, and nothing happens.
    with pytest.raises(RunbookError) as failed:
        undo(scene, "StatefulSet", to_revision=1, wait_seconds=4)
    assert failed.value.details["changed"] is True
    assert pods_of(scene)["web-1"] == "web:2"

    plan = undo(scene, "StatefulSet", to_revision=1, recover_stuck_pods=True, check=True)
    assert (plan["changed"], plan["reason"]) == (True, "already_there")
    assert [row["name"] for row in plan["deleted_pods"]] == ["web-1"]
    assert pods_of(scene)["web-1"] == "web:2"

    result = undo(scene, "StatefulSet", to_revision=1, recover_stuck_pods=True)
    assert result["deleted_pods"] == plan["deleted_pods"]
    assert result["rollout"]["state"] == "complete"
    assert pods_of(scene) == {"web-0": "web:1", "web-1": "web:1"}
    assert undo(scene, "StatefulSet", to_revision=1, recover_stuck_pods=True)["changed"] is False


def test_a_stateful_set_is_freed_in_one_go(scene: Scene) -> None:
    scene.deploy("web:1", "StatefulSet", podManagementPolicy="Parallel", settle=True)
    scene.deploy("web:2", "StatefulSet", pod=NOWHERE)
    eventually("a pod is broken", lambda: "web:2" in pods_of(scene).values())

    result = undo(scene, "StatefulSet", to="previous", expected_current_image="web:2", recover_stuck_pods=True)

    assert result["rollout"]["state"] == "complete"
    assert set(pods_of(scene).values()) == {"web:1"}


@pytest.mark.parametrize(
    ("strategy", "warning", "state"),
    [
        ({"type": "OnDelete"}, "on_delete", "blocked"),
        ({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}, "partition", "complete"),
    ],
)
def test_strategies_that_leave_old_pods(scene: Scene, strategy: Object, warning: str, state: str) -> None:
    scene.deploy("web:1", "StatefulSet")
    scene.deploy("web:2", "StatefulSet", settle=True)
    patch = json.dumps({"spec": {"updateStrategy": {"rollingUpdate": None, **strategy}}})
    scene.kubectl("patch", "statefulset", "web", "--type=merge", "-p", patch)

    if state == "complete":
        result = undo(scene, "StatefulSet", to_revision=1)
    else:
        with pytest.raises(RunbookError, match="OnDelete") as failed:
            undo(scene, "StatefulSet", to_revision=1)
        result = failed.value.details

    assert result["changed"] is True
    assert warning in ids(result)
    assert result["rollout"]["state"] == state
    assert pods_of(scene)["web-0"] == "web:2"


# -- requests


def kubectl_requests(scene: Scene, *arguments: str) -> list[str]:
    """The requests that kubectl logs; those for what kinds there are, which it keeps for a while, are left out."""
    command = [oracle.kubectl(), "--kubeconfig", scene.kubeconfig, "-n", scene.namespace, *arguments, "-v=6"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    return [line for line in told.splitlines() if f"/namespaces/{scene.namespace}/" in line and "verb=" in line]


class _Counted(Cluster):
    """Remembers what was asked, but for looks that are repeated until a controller has moved."""

    asked: list[str] = []

    def _attempt(self, verb: str, kind: Any, *arguments: Any, **options: Any) -> Any:
        asked = f"{verb} {kind.name}"
        if self.asked[-1:] != [asked]:
            self.asked.append(asked)
        return super()._attempt(verb, kind, *arguments, **options)


@ALL_KINDS
def test_requests_are_within_one_and_a_half_times_those_of_kubectl(
    scene: Scene, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    three(scene, kind)
    theirs = len(kubectl_requests(scene, "rollout", "undo", f"{RESOURCES[kind]}/web", "--to-revision=1"))
    scene.seen(kind)
    monkeypatch.setattr(rollout_undo, "Cluster", _Counted)

    _Counted.asked.clear()
    undo(scene, kind, to_revision=2, wait_seconds=0)
    written = [asked.split()[0] for asked in _Counted.asked].index("patch") + 1
    # a slow controller is looked at again, until it has given the new number: those further looks are not counted
    looks = min(2, len(_Counted.asked) - written)
    assert 0 < written + looks <= 1.5 * theirs

    _Counted.asked.clear()
    undo(scene, kind, to_revision=2, wait_seconds=0)
    assert len(_Counted.asked) == 2

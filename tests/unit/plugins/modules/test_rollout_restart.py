# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollout_restart on a cluster in memory: the plan, what is refused, what is done, and what is not done twice."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_objects as objects
from ansible_collections.sre.runbooks.plugins.module_utils import libraries, rollout_restart
from ansible_collections.sre.runbooks.plugins.module_utils.errors import (
    InputError,
    RefusedError,
    RunbookError,
    UnreachableError,
)
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ConflictError, ForbiddenError
from ansible_collections.sre.runbooks.plugins.modules import rollout_restart as module
from tests.unit.plugins.fake_workloads import (
    FakeCluster,
    deployment,
    finish,
    pod,
    replica_set,
    stateful_set,
    waiting,
)
from tests.unit.plugins.module_runner import FakeClock, fake_context, run_module

AT, TOKEN = "kubectl.kubernetes.io/restartedAt", "sre.runbooks/restart-token"
NOW = "2030-03-17T17:46:40Z"


def working(cluster: FakeCluster, request: str) -> None:
    """Controllers that finish a rollout before anybody looks."""
    if request.startswith(("get", "list")):
        finish(cluster)


def cluster_of(*stored: dict[str, Any]) -> FakeCluster:
    cluster = FakeCluster(*stored)
    cluster.then = working
    return cluster


def budget(name: str, app: str, allowed: int) -> dict[str, Any]:
    status = {
        "observedGeneration": 1,
        "disruptionsAllowed": allowed,
        "currentHealthy": 2,
        "desiredHealthy": 2 - allowed,
    }
    return {
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, "namespace": "hafnium", "uid": name, "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": status,
    }


class Runner:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.warned: list[str] = []
        self.clock = FakeClock()

    def __call__(
        self, cluster: FakeCluster, *names: str, check: bool = False, diff: bool = False, **options: Any
    ) -> dict[str, Any]:
        self._monkeypatch.setattr(rollout_restart, "Cluster", lambda params, context: cluster)
        asked = {"namespace": "hafnium", "names": list(names or ["web"]), "wait_seconds": 30, **options}
        if "not_before" not in asked:
            asked.setdefault("restart_token", "INC-1")
        validated = ArgumentSpecValidator(**rollout_restart.SPEC.module_arguments()).validate(asked)
        assert not validated.error_messages, validated.error_messages
        context = fake_context(self.clock, check_mode=check, diff=diff, warn=self.warned.append)
        return rollout_restart.run(validated.validated_parameters, context)


@pytest.fixture
def restart(monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(monkeypatch)


def marks(cluster: FakeCluster, name: str = "web", kind: str = "Deployment") -> dict[str, str]:
    return objects.annotations_of(objects.template(cluster.at(kind, name)))


def patches(cluster: FakeCluster) -> list[str]:
    return [request for request in cluster.asked if request.startswith("patch")]


def test_restart_and_again(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))
    result = restart(cluster)
    assert (result["changed"], result["restarted"], result["unchanged"]) == (True, ["web"], [])
    assert marks(cluster) == {AT: NOW, TOKEN: "INC-1"}
    assert (
        objects.annotations_of(cluster.at("Deployment", "web"))["kubernetes.io/change-cause"] == "restart, token INC-1"
    )
    assert (result["restarted_at"], result["rollouts"][0]["state"]) == (NOW, "complete")
    assert result["plan"][0]["action"] == "restart"

    before = marks(cluster)
    again = restart(cluster)
    assert (again["changed"], again["restarted"], again["unchanged"]) == (False, [], ["web"])
    assert again["plan"][0]["reason"] == f"restarted with this token at {NOW}"
    assert (marks(cluster), len(patches(cluster))) == (before, 1)

    restart.clock.sleep(5)
    assert restart(cluster, restart_token="INC-2")["changed"]


def test_change_cause(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))
    restart(cluster, change_cause="leak")
    assert objects.annotations_of(cluster.at("Deployment", "web"))["kubernetes.io/change-cause"] == "leak"
    silent = cluster_of(deployment("web"))
    restart(silent, change_cause="")
    assert "kubernetes.io/change-cause" not in objects.annotations_of(silent.at("Deployment", "web"))


def test_check_mode_asks_the_server_and_stores_nothing(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))
    result = restart(cluster, check=True, diff=True)
    assert (result["changed"], result["restarted"], result["restarted_at"]) == (True, ["web"], None)
    assert (marks(cluster), patches(cluster)) == ({}, [])
    assert "dry-run Deployment web" in cluster.asked
    assert result["diff"][0]["before"] == ""
    assert result["diff"][0]["after"] == f"{AT}: {NOW}\n{TOKEN}: INC-1\n"
    assert result["plan"] == restart(cluster)["plan"]


def test_not_before(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))
    early, late = "2030-03-17T17:00:00Z", "2030-03-17T17:46:40Z"
    assert restart(cluster, not_before=early)["changed"]
    assert marks(cluster) == {AT: NOW}
    assert not restart(cluster, not_before=early)["changed"]
    restart.clock.sleep(60)
    assert not restart(cluster, not_before=late)["changed"]
    assert restart(cluster, not_before="2030-03-17T18:47:00+01:00")["changed"]


def test_not_before_leaves_pods_that_are_new_for_another_reason(restart: Runner) -> None:
    workload = deployment("web")
    own = replica_set(workload)
    pods = [pod(own, f"web-{number}", ready=True) for number in range(2)]
    for one in pods:
        one["metadata"]["creationTimestamp"] = "2030-03-01T00:00:00Z"
    cluster = cluster_of(workload, own, *pods)
    result = restart(cluster, not_before="2030-02-01T00:00:00Z")
    assert (result["changed"], result["plan"][0]["reason"]) == (False, "all its pods were made since")
    pods[0]["metadata"]["creationTimestamp"] = "2030-01-01T00:00:00Z"
    assert restart(cluster_of(workload, own, *pods), not_before="2030-02-01T00:00:00Z")["changed"]
    assert restart(cluster_of(workload, own, pods[1]), not_before="2030-02-01T00:00:00Z")["changed"]


def refusal(restart: Runner, cluster: FakeCluster, *names: str, **options: Any) -> RefusedError:
    """The same refusal with and without check mode; nothing is written."""
    with pytest.raises(RefusedError) as checked:
        restart(cluster, *names, check=True, **options)
    with pytest.raises(RefusedError) as refused:
        restart(cluster, *names, **options)
    assert checked.value.message == refused.value.message
    assert checked.value.details == refused.value.details
    assert not [request for request in cluster.asked if "patch" in request or "dry-run" in request]
    return refused.value


def test_one_refused_workload_leaves_all_alone(restart: Runner) -> None:
    paused = deployment("api")
    paused["spec"]["paused"] = True
    error = refusal(restart, FakeCluster(deployment("web"), paused), "web", "api", "nope")
    assert "Deployment api: it is paused" in error.message
    assert "nope: it does not exist" in error.message
    assert [row["action"] for row in error.details["plan"]] == ["restart", "refuse", "refuse"]


def test_refused_shapes(restart: Runner) -> None:
    manual = stateful_set("store")
    manual["spec"]["updateStrategy"] = {"type": "OnDelete"}
    assert "OnDelete" in refusal(restart, FakeCluster(manual), "store", kind="StatefulSet").message
    assert "0 replicas" in refusal(restart, FakeCluster(deployment("web", 0))).message
    held = stateful_set("store")
    held["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 2
    assert "partition 2" in refusal(restart, FakeCluster(held), "store", kind="StatefulSet").message
    moving = deployment("web", updatedReplicas=1)
    assert "a rollout is under way (1 of 2 updated)" in refusal(restart, FakeCluster(moving)).message
    images = {"web": "registry/web:2"}
    error = refusal(restart, FakeCluster(deployment("web")), expected_images=images)
    assert "expected_images: it has registry/web:1, not registry/web:2" in error.message


def test_absent_namespace(restart: Runner) -> None:
    with pytest.raises(InputError, match="namespace hafnium does not exist"):
        restart(FakeCluster(namespaces=()))


def test_what_a_restart_may_mend_is_no_reason_to_refuse(restart: Runner) -> None:
    cluster = FakeCluster(deployment("web", availableReplicas=1))
    result = restart(cluster, check=True)
    assert result["changed"]
    assert result["warnings_about"][0]["id"] == "not_complete"
    assert restart.warned == ["web: its rollout is not complete now: 1 of 2 updated pods are available."]


def test_disruption_budgets(restart: Runner) -> None:
    big = deployment("web", 8)  # 25% of 8: two may go
    error = refusal(restart, FakeCluster(big, budget("web-pdb", "web", 0)))
    assert "PodDisruptionBudget web-pdb allows 0 disruptions now" in error.message
    assert "may take 2 down at once" in error.message
    assert "disruption_budgets=ignore" in error.message
    assert restart(cluster_of(big, budget("web-pdb", "web", 0)), disruption_budgets="ignore")["changed"]

    narrow = restart(cluster_of(big, budget("web-pdb", "web", 1)))
    assert [row["id"] for row in narrow["warnings_about"]] == ["below_budget"]
    assert narrow["plan"][0]["budgets"][0]["disruptions_allowed"] == 1
    assert restart(cluster_of(big, budget("other", "api", 0)))["warnings_about"] == []
    surging = restart(cluster_of(deployment("web", 2), budget("web-pdb", "web", 0)))
    assert (surging["changed"], surging["plan"][0]["may_take_down"]) == (True, 0)


def test_budgets_that_may_not_be_read(restart: Runner) -> None:
    cluster = FakeCluster(deployment("web"))
    cluster.denied = {"list PodDisruptionBudget"}
    assert "lacks the verb 'list'" in refusal(restart, cluster).message


def test_pods_that_would_be_refused(restart: Runner) -> None:
    said = 'pods "web-trial" is forbidden: violates PodSecurity "restricted:latest"'

    def refuse(cluster: FakeCluster, request: str) -> None:
        if request.startswith("try"):
            raise ForbiddenError("create pods", 403, server_message=said)

    cluster = FakeCluster(deployment("web"))
    cluster.refuse = refuse
    assert 'would refuse its new pods: violates PodSecurity "restricted:latest"' in refusal(restart, cluster).message

    unasked = cluster_of(deployment("web"))
    unasked.denied = {"try Pod"}
    assert [row["id"] for row in restart(unasked)["warnings_about"]] == ["admission_unverified"]


def test_a_full_quota_is_no_reason_where_old_pods_go_first(restart: Runner) -> None:
    def refuse(cluster: FakeCluster, request: str) -> None:
        if request.startswith("try"):
            raise ForbiddenError("create pods", 403, server_message="exceeded quota: small")

    cluster = cluster_of(deployment("web", 4))
    cluster.refuse = refuse
    assert [row["id"] for row in restart(cluster)["warnings_about"]] == ["quota"]
    stuck = FakeCluster(deployment("web", 2))
    stuck.refuse = refuse
    assert "exceeded quota" in refusal(restart, stuck).message


def test_serial_stops_at_the_first_failure(restart: Runner) -> None:
    cluster = FakeCluster(*(deployment(name) for name in ("a", "b", "c", "d")))
    last = {"exitCode": 1, "reason": "Error"}

    def controllers(cluster: FakeCluster, request: str) -> None:
        finish(cluster)
        bad = cluster.at("Deployment", "b")
        if objects.annotations_of(objects.template(bad)):
            bad["status"]["updatedReplicas"] = 1
            own = replica_set(bad)
            cluster.add(own, pod(own, "b-1", "b", containerStatuses=[waiting("CrashLoopBackOff", "", 5, last)]))

    cluster.then = controllers
    with pytest.raises(RunbookError) as failed:
        restart(cluster, "a", "b", "c", "d")
    error = failed.value
    assert (error.details["restarted"], error.details["not_touched"]) == (["a", "b"], ["c", "d"])
    assert error.details["changed"] is True
    assert [(row["name"], row["state"]) for row in error.details["rollouts"]] == [("a", "complete"), ("b", "failed")]
    assert "Deployment hafnium/b: CrashLoopBackOff: 1 pod of the new revision" in error.message
    assert "'rollout undo' would bring back the same one (registry/b:1)" in error.message
    assert error.message.endswith("Restarted: a, b. Not touched: c, d.")
    assert (marks(cluster, "c"), marks(cluster, "d")) == ({}, {})

    with pytest.raises(RunbookError) as again:
        restart(cluster, "a", "b", "c", "d")
    assert again.value.details["changed"] is False
    assert again.value.details["unchanged"] == ["a", "b"]
    assert len(patches(cluster)) == 2


def test_serial_two_waits_for_each_batch(restart: Runner) -> None:
    cluster = cluster_of(*(deployment(name) for name in ("a", "b", "c")))
    result = restart(cluster, "a", "b", "c", serial=2)
    assert result["restarted"] == ["a", "b", "c"]
    assert [row["batch"] for row in result["plan"]] == [1, 1, 2]
    order = [request for request in cluster.asked if request.startswith(("patch", "list Deployment"))]
    assert order == [
        "list Deployment",
        "patch Deployment a",
        "patch Deployment b",
        "list Deployment",
        "patch Deployment c",
    ]


def test_a_budget_that_the_last_batch_used_up(restart: Runner) -> None:
    """The second batch waits for a while, then is not begun."""
    cluster = cluster_of(deployment("a", 8), deployment("b", 8), budget("b-pdb", "b", 2))

    def controllers(cluster: FakeCluster, request: str) -> None:
        working(cluster, request)
        if marks(cluster, "a"):
            cluster.at("PodDisruptionBudget", "b-pdb")["status"]["disruptionsAllowed"] = 0

    cluster.then = controllers
    with pytest.raises(RunbookError, match="b was not restarted: PodDisruptionBudget b-pdb allows 0") as failed:
        restart(cluster, "a", "b")
    assert failed.value.details["not_touched"] == ["b"]
    assert marks(cluster, "b") == {}


def test_a_concurrent_writer(restart: Runner) -> None:
    """Another write moves the resourceVersion: read again, and the restart still comes once."""
    cluster = cluster_of(deployment("web"))
    left = [3]

    def writer(cluster: FakeCluster, request: str) -> None:
        working(cluster, request)
        if request.startswith("patch") and left[0]:
            left[0] -= 1
            cluster.at("Deployment", "web")["metadata"]["resourceVersion"] += "0"

    cluster.then = writer
    assert restart(cluster)["changed"]
    assert len(patches(cluster)) == 4


def test_a_writer_that_never_stops(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))

    def writer(cluster: FakeCluster, request: str) -> None:
        if request.startswith("patch"):
            raise ConflictError("patch deployments/web: it was changed by someone else meanwhile", 409)

    cluster.refuse = writer
    with pytest.raises(RunbookError, match=r"was not restarted: tried 8 times: .*changed by someone else") as failed:
        restart(cluster)
    assert (failed.value.details["changed"], failed.value.details["not_touched"]) == (False, ["web"])


def test_somebody_deploys_after_the_plan(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))

    def deploy(cluster: FakeCluster, request: str) -> None:
        if request.startswith("patch"):
            found = cluster.at("Deployment", "web")
            found["metadata"]["resourceVersion"] += "0"
            found["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/web:2"

    cluster.then = deploy
    with pytest.raises(RunbookError, match="somebody changed its template since the plan was made"):
        restart(cluster)
    assert marks(cluster) == {}


def test_somebody_else_sets_the_same_token(restart: Runner) -> None:
    cluster = cluster_of(deployment("web"))

    def other(cluster: FakeCluster, request: str) -> None:
        working(cluster, request)
        if request.startswith("patch") and not marks(cluster):
            found = cluster.at("Deployment", "web")
            found["metadata"]["resourceVersion"] += "0"
            found["spec"]["template"]["metadata"]["annotations"] = {AT: "2030-03-17T17:46:39Z", TOKEN: "INC-1"}

    cluster.then = other
    result = restart(cluster)
    assert (result["changed"], result["unchanged"], len(patches(cluster))) == (False, ["web"], 1)


@pytest.mark.parametrize("arrived", [True, False])
def test_an_answer_that_did_not_come(restart: Runner, arrived: bool) -> None:
    """The connection breaks during the patch. Whether it arrived or not: one restart, and changed is true."""
    cluster = cluster_of(deployment("web"))
    broken = [True]
    real = cluster.patch

    def patch(*args: Any, **kwargs: Any) -> Any:
        answer = real(*args, **kwargs) if arrived or not broken[0] else None
        if broken[0]:
            broken[0] = False
            raise UnreachableError("connection reset")
        return answer

    cluster.patch = patch  # type: ignore[method-assign]
    result = restart(cluster)
    assert (result["changed"], result["restarted"]) == (True, ["web"])
    assert cluster.at("Deployment", "web")["metadata"]["generation"] == 2


def test_deleted_after_the_plan(restart: Runner) -> None:
    cluster = cluster_of(deployment("a"), deployment("b"))

    def delete(cluster: FakeCluster, request: str) -> None:
        working(cluster, request)
        if request == "get Deployment b":
            del cluster.stored["Deployment", "hafnium", "b"]

    cluster.then = delete
    with pytest.raises(RunbookError, match="b was not restarted: it was deleted, or made again") as failed:
        restart(cluster, "a", "b")
    assert failed.value.details["restarted"] == ["a"]


def test_without_waiting(restart: Runner) -> None:
    cluster = FakeCluster(deployment("web"), deployment("api"))
    result = restart(cluster, "web", "api", serial=2, wait_seconds=0)
    assert (result["changed"], result["rollouts"]) == (True, [])
    with pytest.raises(InputError, match="nobody would see the first failure"):
        restart(cluster, "web", "api", wait_seconds=0)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"restart_token": " "}, "restart_token is empty"),
        ({"restart_token": "x" * 201}, "longer than 200"),
        ({"not_before": "yesterday"}, "RFC 3339"),
        ({"not_before": "2031-01-01T00:00:00Z"}, "in the future"),
        ({"serial": 0}, "serial is 0"),
        ({"max_workloads": 101}, "may be 1 to 100"),
        ({"names": [""]}, "empty name"),
        ({"crash_loop_restarts": 0}, "crash_loop_restarts is 0"),
        ({"expected_images": {"api": "x"}}, "api is not among names"),
    ],
)
def test_bad_input(restart: Runner, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as refused:
        restart(FakeCluster(deployment("web")), **options)
    assert words in refused.value.message


def test_limit(restart: Runner) -> None:
    cluster = FakeCluster(*(deployment(f"s{number}") for number in range(11)))
    with pytest.raises(RefusedError, match="names holds 11 workloads, max_workloads allows 10"):
        restart(cluster, *(f"s{number}" for number in range(11)))
    assert cluster.requests == 0


def test_as_a_module(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = cluster_of(deployment("web"))
    monkeypatch.setattr(rollout_restart, "Cluster", lambda params, context: cluster)
    result = run_module(module, capsys, namespace="hafnium", names=["web"], restart_token="INC-1")
    assert (result["changed"], result["restarted"]) == (True, ["web"])
    neither = run_module(module, capsys, namespace="hafnium", names=["web"])
    assert "one of the following is required: restart_token, not_before" in neither["msg"]
    refused = run_module(module, capsys, namespace="hafnium", names=["nope"], restart_token="INC-1")
    assert (refused["failed"], refused["plan"][0]["action"]) == (True, "refuse")
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))
    missing = run_module(module, capsys, namespace="hafnium", names=["web"], restart_token="INC-1")
    assert "kubernetes" in missing["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for rollouts on a fake clock: what ends a wait, what does not, and how few requests it takes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_waiting as waits
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import UnauthorizedError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_rollout import Rollout
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_waiting import Patience, Target, watch_rollouts
from tests.unit.plugins.fake_workloads import (
    NAMESPACE,
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
from tests.unit.plugins.module_runner import FakeClock, fake_context

LATE = condition("Progressing", "False", "ProgressDeadlineExceeded")
REFUSED = condition("ReplicaFailure", message="exceeded quota: small", at="2030-01-01T00:00:00Z")
QUICK = Patience(seconds=60, fail_after_seconds=5, unschedulable_seconds=20)


class Scene:
    """A cluster, a clock and what was told; ``at`` holds what happens to the cluster when time has come."""

    def __init__(self, *stored: dict[str, Any], patience: Patience = QUICK, timeout: float = 600) -> None:
        self.cluster = FakeCluster(*stored)
        self.clock = FakeClock()
        self.told: list[str] = []
        self.patience = patience
        self.timeout = timeout
        self._events: list[tuple[float, Any]] = []
        self._start = self.clock.time
        self.cluster.then = self._then

    def after(self, seconds: float, act: Any) -> Scene:
        self._events.append((self._start + seconds, act))
        return self

    def _then(self, cluster: FakeCluster, request: str) -> None:
        due = [act for time, act in self._events if time <= self.clock.time]
        self._events = [(time, act) for time, act in self._events if time > self.clock.time]
        for act in due:
            act(cluster)

    def watch(self, *targets: Target | str, kind: str = "Deployment", **options: Any) -> list[Rollout]:
        rows = [Target(kind, NAMESPACE, one) if isinstance(one, str) else one for one in targets]
        context = fake_context(self.clock, timeout=self.timeout, progress=self.told.append)
        return watch_rollouts(self.cluster, rows, context, self.patience, **options)  # type: ignore[arg-type]

    def one(self, target: Target | str = "web", kind: str = "Deployment") -> Rollout:
        (found,) = self.watch(target, kind=kind)
        return found

    @property
    def waited(self) -> float:
        return self.clock.time - self._start


def unfinished(**status: Any) -> dict[str, Any]:
    return deployment("web", 3, **{"updatedReplicas": 1, "replicas": 4, **status})


def with_pod(**status: Any) -> tuple[dict[str, Any], ...]:
    """An unfinished Deployment, its newest ReplicaSet and one pod of that."""
    workload = unfinished()
    own = replica_set(workload)
    return workload, own, pod(own, "web-new-1", **status)


def complete(cluster: FakeCluster) -> None:
    cluster.add(deployment("web", 3))


def test_complete_at_the_first_look_is_one_request() -> None:
    scene = Scene(deployment("web"))
    found = scene.one()
    assert (found.state, found.timed_out, scene.waited) == ("complete", False, 0)
    assert scene.cluster.asked == ["get Deployment web"]
    assert scene.told == []


def test_many_are_one_list_and_keep_their_order() -> None:
    scene = Scene(*(deployment(f"s{number}") for number in range(100)))
    found = scene.watch(*(f"s{number}" for number in reversed(range(100))))
    assert [one.name for one in found] == [f"s{number}" for number in reversed(range(100))]
    assert all(one.complete for one in found)
    assert scene.cluster.requests == 1


def test_what_was_seen_already_is_not_asked_for() -> None:
    scene = Scene()
    (found,) = scene.watch("web", seen=[deployment("web")])
    assert (found.state, scene.cluster.requests) == ("complete", 0)


def test_a_role_without_list_gets_each() -> None:
    scene = Scene(deployment("a"), deployment("b"))
    scene.cluster.denied = {"list Deployment"}
    assert all(one.complete for one in scene.watch("a", "b"))
    assert scene.cluster.asked == ["list Deployment", "get Deployment a", "get Deployment b"]


def test_the_pause_grows_and_progress_is_told() -> None:
    scene = Scene(*with_pod(containerStatuses=[waiting("ContainerCreating")])).after(12, complete)
    assert scene.one().complete
    pauses = scene.clock.slept
    assert pauses[0] == pytest.approx(0.2)
    assert max(pauses) == pytest.approx(2.0)
    assert all(later >= sooner for sooner, later in itertools.pairwise(pauses))
    assert scene.told[0] == "web: 1 of 3 updated"
    assert scene.told[-1] == "web: 1 of 3 updated, 1 pod waiting: ContainerCreating"


def test_progress_of_many() -> None:
    rows = [deployment("done"), *(deployment(f"s{number}", 2, availableReplicas=1) for number in range(5))]
    scene = Scene(*rows, patience=Patience(seconds=3))
    scene.watch("done", *(f"s{number}" for number in range(5)))
    assert scene.told[0].startswith("1 of 6 complete; s0: 1 of 2 available; s1:")
    assert scene.told[0].endswith("and 2 more")


def test_time_up() -> None:
    scene = Scene(unfinished())
    found = scene.one()
    assert (found.state, found.reason, found.timed_out) == ("progressing", "Updating", True)
    assert scene.waited == pytest.approx(60)


def test_the_deadline_of_the_task_is_shorter() -> None:
    scene = Scene(unfinished(), timeout=10)
    assert scene.one().timed_out
    assert scene.waited < 10


def test_zero_seconds_looks_once_and_at_pods_too() -> None:
    scene = Scene(*with_pod(containerStatuses=[waiting("CrashLoopBackOff", restarts=1)]), patience=Patience(seconds=0))
    found = scene.one()
    assert (found.state, found.timed_out, scene.waited) == ("progressing", False, 0)
    assert [one.category for one in found.problems] == ["crash_loop"]
    assert scene.cluster.asked == [
        "get Deployment web",
        "list ReplicaSet app=web",
        "list Pod app=web,pod-template-hash=new",
    ]


def test_one_look_takes_the_age_of_a_pod_for_the_age_of_its_problem() -> None:
    stored = with_pod(containerStatuses=[waiting("ImagePullBackOff")])
    old = Scene(*stored, patience=Patience(seconds=0))
    old.clock.time = 1893456000.0 + 60  # a minute after the pod was made
    assert (old.one().state, old.one().reason) == ("failed", "ImagePullBackOff")
    young = Scene(*stored, patience=Patience(seconds=0))
    young.clock.time = 1893456000.0 + 2
    assert young.one().state == "progressing"


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (waiting("ErrImagePull", "not found"), "ImagePullBackOff"),
        (waiting("CreateContainerConfigError", 'secret "db" not found'), "CreateContainerConfigError"),
    ],
)
def test_fails_fast_when_it_has_stood_long_enough(container: dict[str, Any], reason: str) -> None:
    scene = Scene(*with_pod(containerStatuses=[container]))
    found = scene.one()
    assert (found.state, found.reason, found.timed_out) == ("failed", reason, False)
    assert 5 <= scene.waited < 10
    assert "pod web-new-1, container main" in found.message


def test_counts_that_move_on_give_it_new_time() -> None:
    scene = Scene(*with_pod(containerStatuses=[waiting("ErrImagePull")]))
    for second in range(3, 30, 3):
        scene.after(second, lambda cluster, n=second: cluster.at("Deployment", "web")["status"].update(readyReplicas=n))
    assert scene.one().state == "failed"
    assert scene.waited > 27


def test_a_reason_that_is_not_chosen_does_not_end_it() -> None:
    patience = Patience(seconds=30, fail_fast=frozenset({"crash_loop"}))
    found = Scene(*with_pod(containerStatuses=[waiting("ErrImagePull")]), patience=patience).one()
    assert (found.state, found.timed_out) == ("progressing", True)
    assert found.problems[0].reason == "ImagePullBackOff"


def test_crash_loop_after_so_many_restarts() -> None:
    last = {"exitCode": 1, "reason": "Error", "message": "database refused"}
    workload, own, crashing = with_pod(containerStatuses=[waiting("CrashLoopBackOff", restarts=2, last=last)])
    third = pod(own, "web-new-1", containerStatuses=[waiting("CrashLoopBackOff", restarts=3, last=last)])
    scene = Scene(workload, own, crashing).after(20, lambda cluster: cluster.add(third))
    found = scene.one()
    assert (found.state, found.reason) == ("failed", "CrashLoopBackOff")
    assert 20 <= scene.waited < 25
    assert "3 restarts): last ended with exit code 1 (Error): database refused" in found.message


def test_unschedulable_has_its_own_time() -> None:
    scene = Scene(*with_pod(phase="Pending", conditions=[condition("PodScheduled", "False", "Unschedulable")]))
    assert scene.one().reason == "Unschedulable"
    assert 20 <= scene.waited < 25


def test_never_ready_waits_for_the_progress_deadline() -> None:
    running = {"name": "main", "ready": False, "restartCount": 0, "state": {"running": {}}}
    scene = Scene(*with_pod(containerStatuses=[running])).after(
        30, lambda cluster: cluster.at("Deployment", "web")["status"].update(conditions=[LATE])
    )
    found = scene.one()
    assert (found.state, found.reason) == ("failed", "ProgressDeadlineExceeded")
    assert 30 <= scene.waited < 35
    assert "1 pod of the new revision: NotReady (pod web-new-1, container main)" in found.message


def test_pods_of_an_older_revision_and_of_neighbours_do_not_count() -> None:
    workload, own, mine = with_pod(ready=True)
    older = replica_set(workload, "old", 2)
    older["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/web:0"
    foreign = child({"metadata": {"uid": "somebody"}}, "orphan", labels={"app": "web", "pod-template-hash": "new"})
    foreign |= {"kind": "Pod", "status": {"containerStatuses": [waiting("ErrImagePull")]}}
    broken = pod(older, "web-old-1", containerStatuses=[waiting("ErrImagePull")])
    found = Scene(workload, own, mine, older, broken, foreign).one()
    assert (found.state, found.timed_out, found.problems) == ("progressing", True, [])


def test_many_unfinished_take_one_list_of_pods() -> None:
    rows: list[dict[str, Any]] = []
    for number in range(10):
        workload = deployment(f"s{number}", 2, updatedReplicas=1)
        own = replica_set(workload)
        own["metadata"] |= {"name": f"s{number}-new", "uid": f"rs-{number}"}
        rows += [workload, own, pod(own, f"s{number}-pod", f"s{number}", containerStatuses=[waiting("ErrImagePull")])]
    scene = Scene(*rows, patience=Patience(seconds=0))
    found = scene.watch(*(f"s{number}" for number in range(10)))
    assert {one.problems[0].pod for one in found} == {f"s{number}-pod" for number in range(10)}
    assert scene.cluster.requests == 3


def test_replica_failure_is_given_time_to_pass() -> None:
    scene = Scene(unfinished(conditions=[REFUSED])).after(3, complete)
    assert scene.one().complete
    scene = Scene(unfinished(conditions=[REFUSED]))
    found = scene.one()
    assert (found.state, found.reason, found.timed_out) == ("failed", "QuotaExceeded", False)
    assert scene.waited < 10


def test_events_say_why_a_set_has_no_pods() -> None:
    workload = stateful_set("store", 3, updatedReplicas=0, replicas=2, updateRevision="store-b")

    def event(name: str, reason: str, at: str, uid: str = "uid-StatefulSet-store") -> dict[str, Any]:
        found = child(workload, name)
        message = "create Pod store-2 failed: exceeded quota: small"
        return {"kind": "Event", **found, "reason": reason, "lastTimestamp": at, "message": message} | {
            "involvedObject": {"uid": uid}
        }

    refused = event("e2", "FailedCreate", "2030-01-01T00:02:00Z")
    scene = Scene(workload, refused, event("e1", "SuccessfulCreate", "2030-01-01T00:01:00Z"))
    assert scene.one("store", "StatefulSet").reason == "QuotaExceeded"
    passed = Scene(workload, refused, event("e3", "SuccessfulCreate", "2030-01-01T00:03:00Z"))
    assert passed.one("store", "StatefulSet").timed_out
    foreign = Scene(workload, event("e4", "FailedCreate", "2030-01-01T00:02:00Z", uid="another"))
    assert foreign.one("store", "StatefulSet").timed_out


def test_pods_of_sets_by_their_revision() -> None:
    store = stateful_set("store", 3, updatedReplicas=1, updateRevision="store-b")
    broken = pod(store, "store-2", "store", containerStatuses=[waiting("ErrImagePull")])
    assert Scene(store, broken).one("store", "StatefulSet").reason == "ImagePullBackOff"
    agent = daemon_set("agent", updatedNumberScheduled=1)
    revisions = [
        {"kind": "ControllerRevision", "revision": number, **child(agent, f"agent-{number}", labels=labels)}
        for number, labels in (
            (1, {"app": "agent", "controller-revision-hash": "h1"}),
            (2, {"app": "agent", "controller-revision-hash": "h2"}),
        )
    ]
    agent["status"]["updateRevision"] = "h2"  # only so that the fake pod bears it
    new = pod(agent, "agent-x", "agent", containerStatuses=[waiting("ErrImagePull")])
    del agent["status"]["updateRevision"]
    assert Scene(agent, *revisions, new).one("agent", "DaemonSet").reason == "ImagePullBackOff"


def test_what_may_not_be_read_is_told_and_the_wait_goes_on() -> None:
    scene = Scene(*with_pod(containerStatuses=[waiting("ErrImagePull")])).after(20, complete)
    scene.cluster.denied = {"list Pod"}
    found = scene.one()
    assert found.complete
    assert found.unseen == ["list Pod: user fake lacks the verb 'list'"]


def test_absent_deleted_replaced() -> None:
    assert (Scene().one().state, Scene().one().reason) == ("failed", "Absent")
    gone = Scene(unfinished()).after(3, lambda cluster: cluster.stored.clear())
    assert (gone.one().state, gone.one().reason) == ("failed", "Absent")

    gone = Scene(unfinished()).after(3, lambda cluster: cluster.stored.clear())
    assert gone.one().reason == "Deleted"
    assert gone.waited < 6

    def again(cluster: FakeCluster) -> None:
        cluster.at("Deployment", "web")["metadata"]["uid"] = "another"

    assert Scene(unfinished()).after(3, again).one().reason == "Replaced"
    assert Scene(deployment("web")).one(Target("Deployment", NAMESPACE, "web", uid="before")).reason == "Replaced"
    assert Scene().one(Target("Deployment", NAMESPACE, "web", uid="before")).reason == "Deleted"


def test_another_template_is_superseded_and_a_scale_is_not() -> None:
    def deploy(cluster: FakeCluster) -> None:
        found = cluster.at("Deployment", "web")
        found["metadata"]["generation"] += 1
        found["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/web:2"

    def scale(cluster: FakeCluster) -> None:
        found = deployment("web", 5)
        found["metadata"]["generation"] = found["status"]["observedGeneration"] = 2
        cluster.add(found)

    found = Scene(unfinished()).after(3, deploy).one()
    assert (found.state, found.reason) == ("failed", "Superseded")
    assert "generation 2" in found.message
    assert Scene(unfinished()).after(3, scale).one().complete
    other = deployment("web")
    other["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/web:2"
    assert Scene(deployment("web")).one(Target.of(other)).reason == "Superseded"


def test_pausing_ends_the_wait() -> None:
    scene = Scene(unfinished()).after(3, lambda cluster: cluster.at("Deployment", "web")["spec"].update(paused=True))
    found = scene.one()
    assert (found.state, found.reason) == ("blocked", "Paused")
    assert scene.waited < 6


def test_a_deadline_that_was_exceeded_before_the_change_is_not_this_rollouts() -> None:
    workload = unfinished(conditions=[LATE])
    scene = Scene(workload).after(3, complete)
    assert scene.one(Target.of(workload)).complete
    never = Scene(workload)
    assert never.one(Target.of(workload)).reason == "ProgressDeadlineExceeded"
    assert 5 <= never.waited < 10
    own = Scene(workload)
    assert own.one().reason == "ProgressDeadlineExceeded"
    assert own.waited == 0


def outage(cluster: FakeCluster, error: Exception | None) -> None:
    def refuse(_cluster: FakeCluster, _request: str) -> None:
        if error:
            raise error

    cluster.refuse = refuse


def test_an_api_server_that_is_away_for_a_while() -> None:
    scene = Scene(unfinished())
    scene.after(3, lambda cluster: outage(cluster, UnreachableError("connection refused")))
    scene.after(20, lambda cluster: outage(cluster, None)).after(25, complete)
    assert scene.one().complete
    assert any("cannot be asked, trying again: connection refused" in line for line in scene.told)


def test_an_api_server_that_stays_away() -> None:
    scene = Scene(unfinished()).after(3, lambda cluster: outage(cluster, UnreachableError("connection refused")))
    found = scene.one()
    assert (found.state, found.reason, found.timed_out) == ("unknown", "Unreachable", True)
    assert "Last seen: 1 of 3 updated" in found.message
    assert (found.updated, found.desired) == (1, 3)
    assert scene.waited == pytest.approx(60)


def test_a_token_that_expires_ends_the_wait_soon() -> None:
    scene = Scene(unfinished()).after(3, lambda cluster: outage(cluster, UnauthorizedError("expired", 401)))
    found = scene.one()
    assert (found.state, found.reason) == ("unknown", "Unauthorized")
    assert 15 <= scene.waited < 25
    never = Scene(unfinished())
    outage(never.cluster, UnauthorizedError("expired", 401))
    assert (never.one().reason, never.waited) == ("Unauthorized", 0)


def test_options() -> None:
    params = {
        "wait_seconds": 20.0,
        "timeout": 60.0,
        "fail_fast": ["crash_loop"],
        "fail_after_seconds": 1.0,
        "unschedulable_seconds": 2.0,
        "crash_loop_restarts": 1,
    }
    assert Patience.of(params) == Patience(20, frozenset({"crash_loop"}), 1, 2, 1)
    assert waits.with_time(fake_context(), params, 3).deadline.remaining() == 120
    for name in ("wait_seconds", "fail_after_seconds", "unschedulable_seconds", "crash_loop_restarts"):
        with pytest.raises(InputError, match=f"{name} is -1"):
            Patience.of({**params, name: -1})

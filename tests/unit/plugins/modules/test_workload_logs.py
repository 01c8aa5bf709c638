# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_logs as a module, on one Deployment with containers in any state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, workload_logs
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError, UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_errors import ApiError, NotFoundError
from ansible_collections.sre.runbooks.plugins.modules import workload_logs as module
from tests.unit.plugins.module_runner import run_module
from tests.unit.plugins.recorded_cluster import RecordedCluster, Scene, ago, container, ended, status_of

Look = Callable[..., dict[str, Any]]
ID = "logs.identity-service"
RUNNING = {"startedAt": ago(500)}


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    """Runs the module against a RecordedCluster, or a Scene."""

    def run(on: RecordedCluster | Scene, check: bool = False, **options: Any) -> dict[str, Any]:
        cluster = on.cluster() if isinstance(on, Scene) else on
        monkeypatch.setattr(workload_logs, "Cluster", lambda *_arguments: cluster)
        chosen = {"names": ["identity-service"]} if not options.keys() & {"names", "selector"} else {}
        return run_module(module, capsys, check=check, **{"namespace": "hafnium", **chosen, **options})

    return run


def check(result: dict[str, Any], name: str = ID) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == name]
    return dict(found)


def two(log: str = "one\ntwo\n") -> Scene:
    """Two healthy pods that wrote the same."""
    scene = Scene(2)
    for name in ("p2", "p1"):
        scene.healthy(name)
        scene.logs[f"{name}/app/current"] = log
    return scene


def one(*statuses: dict[str, Any], **pod: Any) -> Scene:
    scene = Scene()
    scene.pod("p1", *statuses, **pod)
    return scene


def crashing(**extra: Any) -> dict[str, Any]:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s"}
    return status_of(restarts=3, waiting=waiting, last=ended(1), **extra)


@pytest.mark.parametrize("check_mode", [False, True])
def test_every_container_in_a_stable_order(look: Look, check_mode: bool) -> None:
    result = look(two(), check=check_mode, runbook="1.2")
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert result["text"].splitlines() == [
        "[pod/p1/app] one",
        "[pod/p1/app] two",
        "[pod/p2/app] one",
        "[pod/p2/app] two",
    ]
    assert result["logs"][0] == {
        "workload": "identity-service",
        "pod": "p1",
        "container": "app",
        "init": False,
        "node": "node-1",
        "previous": False,
        "lines": ["one", "two"],
        "lines_read": 2,
        "matched": None,
        "truncated": False,
        "note": None,
    }
    assert check(result)["observed"] == "4 lines of 2 containers in 2 pods"
    assert all(row["runbook"] == "1.2" and row["hint"] for row in result["checks"])
    assert (result["matched"], result["pods_left_out"], result["selected_pods"]) == (None, 0, None)
    assert result["requests"] == 5  # three lists, two logs


def test_lines_stay_as_they_were_written(look: Look) -> None:
    result = look(two('  indented\n\n{"level": "info", "message": "json"}\n\n'))
    assert result["logs"][0]["lines"] == ["  indented", "", '{"level": "info", "message": "json"}', ""]


def test_secrets_are_struck_out_also_over_lines(look: Look) -> None:
    key = "-----BEGIN RSA PRIVATE KEY-----\nMIIsecret\nAAAA\n-----END RSA PRIVATE KEY-----"
    result = look(two(f"password=hunter22 rest\n{key}\nlast\x1b[31m red\x07\n"))
    assert result["logs"][0]["lines"] == ["password=[redacted] rest", "[redacted]", "last red\ufffd"]
    assert "hunter22" not in str(result)
    assert "MIIsecret" not in str(result)


def test_only_the_last_lines(look: Look) -> None:
    result = look(two("".join(f"{number}\n" for number in range(500))), tail_lines=3)
    assert result["logs"][0]["lines"] == ["497", "498", "499"]
    assert result["logs"][0]["truncated"] is True


def test_fewer_lines_where_they_do_not_fit_and_the_newest_is_there(look: Look) -> None:
    log = "".join(f"{number} {'x' * 500}\n" for number in range(100))
    result = look(two(log), limit_bytes=1024)
    assert result["logs"][0]["lines"][-1].startswith("99 ")
    assert result["logs"][0]["truncated"] is True


def test_each_log_gets_its_share_of_all_bytes(look: Look) -> None:
    scene = Scene(20)
    for number in range(20):
        scene.healthy(f"p{number}")
        scene.logs[f"p{number}/app/current"] = f"{'y' * 99}\n" * 5000
    result = look(scene, tail_lines=5000, max_bytes=65536)
    assert all(row["lines"] and row["truncated"] for row in result["logs"])
    assert sum(len(line) for row in result["logs"] for line in row["lines"]) < 65536


def test_a_long_line_is_cut(look: Look) -> None:
    result = look(two("z" * 5000 + "\n"))
    assert result["logs"][0]["lines"][0].endswith("(3000 more characters)")


def test_since(look: Look) -> None:
    cluster = two("").cluster()
    result = look(cluster, since_seconds=60)
    assert "get pods/log p1 current 100 60 s" in cluster.asked
    assert result["text"].splitlines()[0] == "[pod/p1/app] (has written nothing in the last 60 s)"
    assert result["verdict"] == "pass"


# -- filters


@pytest.mark.parametrize("options", [{"contains": "tw"}, {"regex": "^t.o$"}])
def test_only_lines_that_match(look: Look, options: dict[str, str]) -> None:
    scene = two()
    scene.logs["p2/app/current"] = "three\n"
    result = look(scene, **options)
    assert result["text"].splitlines() == ["[pod/p1/app] two", "[pod/p2/app] (none of 1 lines matches)"]
    assert [(row["lines_read"], row["matched"]) for row in result["logs"]] == [(2, 1), (1, 0)]
    assert (result["matched"], result["verdict"]) == (1, "pass")


def test_contains_is_literal(look: Look) -> None:
    assert look(two("a.c\nabc\n"), contains="a.c")["logs"][0]["lines"] == ["a.c"]


def test_a_secret_cannot_be_searched_for(look: Look) -> None:
    assert look(two("password=hunter22\n"), contains="hunter")["matched"] == 0


def test_a_regex_that_does_not_end_is_interrupted(look: Look) -> None:
    assert threading.current_thread() is threading.main_thread()
    result = look(two("a" * 60 + "!\n"), regex="(a+)+$", timeout=1.0)
    assert "simplify the regex '(a+)+$'" in result["msg"]


# -- containers without a log


def test_a_container_that_has_not_started_is_said(look: Look) -> None:
    scene = two()
    scene.pod("p3", status_of(waiting={"reason": "ImagePullBackOff", "message": "no such image"}))
    result = look(scene)
    assert result["text"].splitlines()[-1] == "[pod/p3/app] (has not started: ImagePullBackOff: no such image)"
    assert result["logs"][-1]["lines_read"] is None
    assert check(result)["observed"].endswith(
        "in 3 pods; no line of p3/app (has not started: ImagePullBackOff: no such image)"
    )
    assert result["verdict"] == "pass"


def test_nothing_that_has_run_is_not_green(look: Look) -> None:
    scene = one(phase="Pending", node=None)
    scene.stored["Pod"][0]["status"]["conditions"].append(
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    )
    result = look(scene)
    assert (check(result)["status"], result["text"]) == ("unverified", "[pod/p1/app] (has not started: Unschedulable)")
    assert "diagnose_startup" in check(result)["hint"]


def test_what_waits_to_be_started_again_shows_its_last_run(look: Look) -> None:
    scene = one(crashing())
    scene.logs["p1/app/previous"] = "boom\n"
    result = look(scene)
    assert result["text"] == "[pod/p1/app previous] boom"
    assert result["logs"][0]["previous"] is True
    assert result["verdict"] == "pass"


def test_previous_is_of_containers_that_restarted(look: Look) -> None:
    scene = two()
    scene.pod("p3", status_of(restarts=1, running=RUNNING, last=ended(137)))
    scene.logs["p3/app/previous"] = "killed\n"
    cluster = scene.cluster()
    result = look(cluster, previous=True)
    assert result["text"].splitlines() == [
        "[pod/p1/app] (never restarted: there is no run before this one)",
        "[pod/p2/app] (never restarted: there is no run before this one)",
        "[pod/p3/app previous] killed",
    ]
    assert result["verdict"] == "pass"
    assert [request for request in cluster.asked if "pods/log" in request] == ["get pods/log p3 previous 100"]


def test_previous_without_any_restart_is_no_failure(look: Look) -> None:
    assert look(two(), previous=True)["verdict"] == "pass"


def test_previous_whose_end_is_not_known(look: Look) -> None:
    result = look(one(status_of(restarts=2, running=RUNNING)), previous=True)
    assert "restarted 2 times, but the end of the run before is not known" in result["text"]


def test_previous_that_the_node_has_cleared_away_is_said(look: Look) -> None:
    scene = one(status_of(restarts=1, running=RUNNING, last=ended(1)))
    scene.logs["p1/app/previous"] = "unable to retrieve container logs for containerd://abc"
    result = look(scene, previous=True)
    assert "(the node has no log of that run of p1/app any more)" in result["text"]
    assert result["verdict"] == "pass"


def inits(*statuses: dict[str, Any], app: dict[str, Any]) -> Scene:
    scene = Scene(spec={"initContainers": [{"name": "migrate", "image": "x:1"}], "containers": [container()]})
    scene.pod("p1", app, inits=list(statuses))
    for name in ("migrate", "app"):
        scene.logs |= {f"p1/{name}/current": f"{name} now\n", f"p1/{name}/previous": f"{name} before\n"}
    return scene


DONE = status_of("migrate", terminated=ended(0, "Completed"))
WAITS = status_of(waiting={"reason": "PodInitializing"})


@pytest.mark.parametrize(
    ("init", "app", "options", "shown"),
    [
        (DONE, status_of(ready=True, running=RUNNING), {}, ["[pod/p1/app] app now"]),
        (
            DONE,
            status_of(ready=True, running=RUNNING),
            {"init_containers": True},
            ["[pod/p1/migrate] migrate now", "[pod/p1/app] app now"],
        ),
        (
            status_of("migrate", restarts=2, waiting={"reason": "CrashLoopBackOff"}, last=ended(1)),
            WAITS,
            {},
            ["[pod/p1/migrate previous] migrate before", "[pod/p1/app] (has not started: PodInitializing)"],
        ),
        (
            status_of("migrate", running=RUNNING),
            WAITS,
            {},
            ["[pod/p1/migrate] migrate now", "[pod/p1/app] (has not started: PodInitializing)"],
        ),
    ],
    ids=["done", "done and asked for", "failed", "at work"],
)
def test_init_containers(
    look: Look, init: dict[str, Any], app: dict[str, Any], options: dict[str, Any], shown: list[str]
) -> None:
    result = look(inits(init, app=app), **options)
    assert result["text"].splitlines() == shown
    assert result["verdict"] == "pass"
    assert [row["init"] for row in result["logs"]] == [row["container"] == "migrate" for row in result["logs"]]


# -- what cannot be read


def test_a_right_that_is_lacking_is_named(look: Look) -> None:
    cluster = two().cluster()
    cluster.forbidden = {"get pods/log"}
    result = look(cluster)
    assert result["verdict"] == "unverified"
    assert check(result)["observed"].endswith("lacks the verb 'get' on 'pods/log' (and 1 more logs)")
    assert "lacks the verb" in result["text"]


def test_pods_that_may_not_be_listed(look: Look) -> None:
    cluster = two().cluster()
    cluster.forbidden = {"list pods"}
    result = look(cluster)
    assert {row["id"]: row["status"] for row in result["checks"]} == {
        "rights.pods": "unverified",
        "namespace.hafnium": "pass",
        ID: "unverified",
    }
    assert result["text"] == ""


def test_replica_sets_that_may_not_be_listed_leave_no_pod_unverified(look: Look) -> None:
    cluster = Scene().cluster()
    cluster.forbidden = {"list replicasets"}
    assert check(look(cluster))["status"] == "unverified"


@pytest.mark.parametrize(
    ("problem", "verdict"),
    [
        (NotFoundError("get pods/p2/log: not found", 404), "pass"),
        (ApiError("get pods/p2/log: HTTP 502: no route to the node", 502), "unverified"),
        (UnreachableError("no answer"), "unverified"),
    ],
    ids=["the pod is gone", "the node gives no answer", "the API server gives no answer"],
)
def test_a_log_that_is_not_there(
    look: Look, monkeypatch: pytest.MonkeyPatch, problem: RunbookError, verdict: str
) -> None:
    cluster = two().cluster()
    read = cluster.pod_log

    def pod_log(namespace: str, pod: str, *rest: Any, **options: Any) -> bytes:
        if pod == "p2":
            raise problem
        return read(namespace, pod, *rest, **options)

    monkeypatch.setattr(cluster, "pod_log", pod_log)
    result = look(cluster)
    assert result["verdict"] == verdict
    assert result["text"].splitlines() == [
        "[pod/p1/app] one",
        "[pod/p1/app] two",
        f"[pod/p2/app] ({problem.message})",
    ]


def test_a_running_container_whose_log_the_node_has_lost_is_unverified(look: Look) -> None:
    result = look(two("unable to retrieve container logs for containerd://abc"))
    assert result["verdict"] == "unverified"


def test_a_cluster_that_gives_no_answer(look: Look) -> None:
    cluster = two().cluster()
    cluster.failing = UnreachableError("no answer")
    result = look(cluster)
    assert (result["verdict"], result["logs"], result["text"]) == ("unverified", [], "")


def test_a_library_that_is_missing(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "kubernetes", ImportError("No module named 'kubernetes'"))
    assert "kubernetes" in look(two())["msg"]


# -- which pods


def test_no_pod_fails(look: Look) -> None:
    scene = Scene(0)
    result = look(scene)
    assert (result["verdict"], check(result)["status"]) == ("fail", "fail")
    assert check(result)["observed"].startswith("there is no pod; 0 wanted")
    assert "ends with 0" in check(result)["hint"]
    assert (result["text"], result["findings"]) == ("", [])


def test_an_absent_workload_fails(look: Look) -> None:
    result = look(two(), names=["nobody"])
    assert (result["verdict"], check(result, "workload.nobody")["status"]) == ("fail", "fail")
    assert (result["logs"], result["findings"]) == ([], [])


def test_an_absent_namespace_fails(look: Look) -> None:
    result = look(two(), namespace="nowhere")
    assert check(result, "namespace.nowhere")["status"] == "fail"


def stranger(scene: Scene, name: str = "stranger") -> None:
    """A pod with the same labels that belongs to nobody."""
    pod = scene.healthy(name)
    del pod["metadata"]["ownerReferences"]
    scene.logs[f"{name}/app/current"] = "not theirs\n"


def test_pods_that_only_bear_the_labels_are_not_the_workloads(look: Look) -> None:
    scene = two()
    stranger(scene)
    assert "not theirs" not in look(scene)["text"]


def test_a_selector_takes_in_pods_of_no_workload(look: Look) -> None:
    scene = two()
    stranger(scene)
    result = look(scene, selector="tier=backend", minimum_pods=3)
    assert result["text"].splitlines()[-1] == "[pod/stranger/app] not theirs"
    assert result["logs"][-1]["workload"] is None
    row = check(result, "logs.other_pods")
    assert (row["status"], row["title"]) == (
        "pass",
        "Logs of pods with tier=backend of no Deployment can be read",
    )
    assert result["selected_pods"] == 3


def test_a_selector_that_meets_too_few_pods_fails(look: Look) -> None:
    assert check(look(two(), selector="tier=backend", minimum_pods=3), "selection")["status"] == "fail"
    assert look(two(), selector="tier=frontend")["verdict"] == "fail"


def test_too_many_pods_are_left_out_aloud_those_in_trouble_first(look: Look) -> None:
    scene = two()
    scene.pod("p9", status_of(running=RUNNING))
    scene.logs["p9/app/current"] = "sick\n"
    result = look(scene, max_pods=2)
    assert [row["pod"] for row in result["logs"]] == ["p1", "p9"]
    assert (result["pods_left_out"], check(result)["status"]) == (1, "unverified")
    assert check(result)["observed"].endswith("1 pods were left out")


def test_every_workload_gives_some_of_too_many_pods(look: Look) -> None:
    first, second = two(), Scene(1, "case-service")
    second.healthy("q1")
    second.logs["q1/app/current"] = "q\n"
    for kind, found in second.stored.items():
        first.stored[kind] += found
    first.logs |= second.logs
    result = look(first, names=["identity-service", "case-service"], max_pods=2)
    assert [row["pod"] for row in result["logs"]] == ["p1", "q1"]


# -- options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tail_lines": 0}, "tail_lines is 0; it must be from 1 to 5000"),
        ({"limit_bytes": 1}, "limit_bytes is 1"),
        ({"since_seconds": 0}, "since_seconds is 0"),
        ({"max_pods": 0}, "max_pods is 0"),
        ({"max_bytes": 1}, "max_bytes is 1"),
        ({"contains": ""}, "contains is empty"),
        ({"regex": ""}, "regex is empty"),
        ({"regex": "("}, "regex is not a valid regular expression"),
        ({"contains": "a", "regex": "b"}, "mutually exclusive"),
        ({"names": []}, "names and selector are both empty"),
    ],
)
def test_options_that_make_no_sense(look: Look, options: dict[str, Any], said: str) -> None:
    cluster = two().cluster()
    assert said in look(cluster, **options)["msg"]
    assert cluster.asked == []

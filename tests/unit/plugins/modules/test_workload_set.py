# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""workload_set as a module, on an API server in memory."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_change, workload_set
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.module_utils.workload_set_options import secret_like
from ansible_collections.sre.runbooks.plugins.modules import workload_set as module
from tests.unit.plugins.fake_scalable import HPA, NAMESPACE, FakeScalable, deployment, hpa, lacking, refusal
from tests.unit.plugins.module_runner import run_module

Put = Callable[..., dict[str, Any]]
CAUSE = "kubernetes.io/change-cause"


@pytest.fixture
def put(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Put:
    def run(cluster: FakeScalable, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(workload_set, "Cluster", lambda params, context: cluster)
        monkeypatch.setattr(kubernetes_change, "FIRST_PAUSE_SECONDS", 0.0)
        shared = {name: options.pop(name) for name in list(options) if name in OPTIONS}
        container = [{"name": "app", **options}] if options else []
        given = {"namespace": NAMESPACE, "name": "web", "containers": container, **shared}
        return run_module(module, capsys, check=check, **given)

    return run


OPTIONS = {
    "containers",
    "namespace",
    "kind",
    "change_cause",
    "expected_current_revision",
    "check_capacity",
    "wait_seconds",
    "_ansible_diff",
}


def scene(**spec: Any) -> FakeScalable:
    cluster = FakeScalable(deployment(**spec), deployment("other"))
    workload = cluster.store["Deployment", "web"]
    cluster.add(
        {
            "kind": "ReplicaSet",
            "metadata": {
                "name": "web-1",
                "namespace": NAMESPACE,
                "annotations": {"deployment.kubernetes.io/revision": "1"},
                "ownerReferences": [{"controller": True, "uid": workload["metadata"]["uid"]}],
            },
            "spec": {"template": json.loads(json.dumps(workload["spec"]["template"]))},
        }
    )
    return cluster


def app(cluster: FakeScalable) -> dict[str, Any]:
    container: dict[str, Any] = cluster.store["Deployment", "web"]["spec"]["template"]["spec"]["containers"][0]
    return container


def env(cluster: FakeScalable) -> dict[str, Any]:
    return {row["name"]: row.get("value", row.get("valueFrom")) for row in app(cluster)["env"]}


def ids(result: dict[str, Any]) -> list[str]:
    return [row["id"] for row in result["warnings_about"]]


def test_cycle(put: Put) -> None:
    cluster = scene()
    before = json.dumps(app(cluster), sort_keys=True)
    options: dict[str, Any] = {
        "image": "registry/web:2",
        "env": [{"name": "THREADS", "value": "4"}, {"name": "LOG_LEVEL", "value": "debug"}],
        "limits": {"memory": "2Gi", "cpu": "1"},
        "requests": {"memory": "1Gi"},
        "change_cause": "load test",
    }
    plan = put(cluster, check=True, **options)
    assert (plan["changed"], cluster.stored, len(cluster.dry)) == (True, [], 1)
    assert json.dumps(app(cluster), sort_keys=True) == before
    done = put(cluster, **options)
    assert (done["changed"], done["rollout"]["state"]) == (True, "complete")
    assert {key: done[key] for key in ("summary", "before", "planned", "undo")} == {
        key: plan[key] for key in ("summary", "before", "planned", "undo")
    }
    assert app(cluster)["image"] == "registry/web:2"
    assert app(cluster)["resources"] == {
        "requests": {"cpu": "250m", "memory": "1Gi"},
        "limits": {"memory": "2Gi", "cpu": "1"},
    }
    assert env(cluster) == {
        "LOG_LEVEL": "debug",
        "THREADS": "4",
        "DB_PASSWORD": {"secretKeyRef": {"name": "db", "key": "password"}},
    }
    assert cluster.store["Deployment", "web"]["metadata"]["annotations"][CAUSE] == "load test"
    assert (done["revisions"]["before"]["name"], done["undo"]["revision"]) == ("web-1", "web-1")
    again = put(cluster, **{**options, "limits": {"memory": 2147483648, "cpu": "1000m"}})
    assert (again["changed"], again["action"], again["summary"], len(cluster.stored)) == (False, "none", "", 1)
    back = put(cluster, containers=done["undo"]["containers"])
    assert back["changed"]
    assert json.dumps(app(cluster), sort_keys=True) == before
    assert cluster.store["Deployment", "other"]["metadata"]["resourceVersion"] == "1"


def test_a_cause_is_always_written(put: Put) -> None:
    cluster = scene()
    result = put(cluster, image="registry/web:2", env_absent=["LOG_LEVEL"])
    assert result["summary"] == "app: image registry/web:1 -> registry/web:2, env LOG_LEVEL removed"
    assert cluster.store["Deployment", "web"]["metadata"]["annotations"][CAUSE].startswith(result["summary"])


def test_the_diff_is_of_what_is_asked_for(put: Put) -> None:
    result = put(scene(), check=True, limits={"memory": "2Gi"}, _ansible_diff=True)
    assert result["diff"]["before"] == {"app": {"name": "app", "limits": {"memory": "1Gi"}}}
    assert result["diff"]["after"] == {"app": {"name": "app", "limits": {"memory": "2Gi"}}}


def test_init_containers_are_found_too(put: Put) -> None:
    cluster = scene()
    spec = cluster.store["Deployment", "web"]["spec"]["template"]["spec"]
    spec["initContainers"] = [{"name": "migrate", "image": "registry/migrate:1"}]
    assert put(cluster, containers=[{"name": "migrate", "image": "registry/migrate:2"}])["changed"]
    assert cluster.store["Deployment", "web"]["spec"]["template"]["spec"]["initContainers"][0]["image"].endswith(":2")


def test_several_containers_in_one_rollout(put: Put) -> None:
    cluster = scene()
    spec = cluster.store["Deployment", "web"]["spec"]["template"]["spec"]
    spec["containers"].append({"name": "proxy", "image": "proxy:1"})
    rows = [{"name": "proxy", "image": "proxy:2"}, {"name": "app", "image": "registry/web:2"}]
    result = put(cluster, containers=rows)
    assert [row["name"] for row in result["before"]] == ["proxy", "app"]
    assert len(cluster.stored) == 1


# -- guards and refusals


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image": "registry/web:2", "expected_current_image": "registry/web:0"}, "container app runs registry/web:1"),
        ({"image": "registry/web:2", "expected_current_revision": "7"}, "is at revision 1 (web-1, registry/web:1)"),
        ({"env": [{"name": "DB_PASSWORD", "value": "1"}]}, "taken from key password of Secret db"),
        ({"env_absent": ["DB_PASSWORD"]}, "taken from key password of Secret db"),
        ({"limits": {"memory": "100Mi"}}, "the request of 512Mi memory would be above the limit of 100Mi"),
        ({"limits": {"cpu": "64"}}, "the limit of 64 cpu is above what the largest node has for pods (8)"),
        ({"requests": {"memory": "1Ti"}, "limits": {"memory": None}}, "the largest node that may take it has 16Gi"),
        ({"containers": [{"name": "web", "image": "x"}]}, "has no container web; it has app"),
    ],
)
@pytest.mark.parametrize("check_mode", [True, False])
def test_refused(put: Put, options: dict[str, Any], said: str, check_mode: bool) -> None:
    cluster = scene()
    result = put(cluster, check=check_mode, **options)
    assert result["failed"]
    assert said in result["msg"]
    assert cluster.stored == []


def test_guards_hold_only_where_something_changes(put: Put) -> None:
    guarded = {"expected_current_image": "registry/web:0", "expected_current_revision": "7"}
    assert not put(scene(), image="registry/web:1", **guarded)["changed"]
    assert put(scene(), image="registry/web:2", expected_current_revision="web-1")["changed"]


def test_paused_is_refused(put: Put) -> None:
    cluster = scene(paused=True)
    assert "is paused" in put(cluster, image="registry/web:2")["msg"]
    assert cluster.stored == cluster.dry == []


def test_a_variable_that_is_set_twice(put: Put) -> None:
    cluster = scene()
    app(cluster)["env"].append({"name": "LOG_LEVEL", "value": "warn"})
    assert "LOG_LEVEL is set 2 times" in put(cluster, env=[{"name": "LOG_LEVEL", "value": "x"}])["msg"]


def test_pods_that_admission_forbids(put: Put) -> None:
    cluster = scene()
    said = 'pods "web-trial-x" is forbidden: [maximum memory usage per Container is 2Gi, but limit is 3Gi]'
    cluster.errors["create", "Pod"] = refusal(403, said)
    result = put(cluster, limits={"memory": "3Gi"})
    assert (
        "would refuse its pods: [maximum memory usage per Container is 2Gi, but limit is 3Gi]. Nothing" in result["msg"]
    )
    assert cluster.stored == []


def test_a_quota_over_the_whole_update(put: Put) -> None:
    cluster = scene()
    cluster.store["Deployment", "web"]["spec"]["strategy"] = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    cluster.add(
        {
            "kind": "ResourceQuota",
            "metadata": {"name": "q", "namespace": NAMESPACE},
            "status": {"hard": {"requests.cpu": "1"}, "used": {"requests.cpu": "500m"}},
        }
    )
    assert "q has 500m of 1 requests.cpu left, 750m more are needed" in put(cluster, requests={"cpu": "500m"})["msg"]
    assert put(cluster, requests={"cpu": "300m"})["changed"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"containers": []}, "containers has 0 entries"),
        ({"containers": [{"name": " ", "image": "x"}]}, "empty name"),
        ({"containers": [{"name": "app"}]}, "nothing is asked for"),
        ({"containers": [{"name": "app", "image": "a"}] * 2}, "more than once"),
        ({"image": ""}, "is no image"),
        ({"image": "registry/web: 2"}, "is no image"),
        ({"limits": {"memory": "1Zi"}}, "container app: limits: memory: '1Zi' is no amount"),
        ({"limits": {"Memory": "1Gi"}}, "is no resource"),
        ({"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}, "the request of 2 cpu is above the limit of 1"),
        ({"env": [{"name": "A B", "value": "1"}]}, "is no name of a variable"),
        ({"env": [{"name": "A", "value": "1"}] * 2}, "more than once"),
        ({"env": [{"name": "A", "value": "1"}], "env_absent": ["A"]}, "is set by env as well"),
        ({"env_absent": [""]}, "is no name of a variable"),
        ({"image": "x", "namespace": "elsewhere"}, "namespace elsewhere does not exist"),
    ],
)
def test_bad_input(put: Put, options: dict[str, Any], said: str) -> None:
    cluster = scene()
    assert said in put(cluster, **options)["msg"]
    assert cluster.stored == []


# -- secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter22"),
        ("API_KEY", "abc"),
        ("DATABASE_URL", "postgres://u:hunter22@db/x"),
        ("ANYTHING", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
        ("HEADER", "Bearer abcdef0123456789"),
        ("TOKEN_URL", "https://u:hunter22@idp/token"),
    ],
)
def test_what_may_be_a_secret_is_refused_and_not_shown(put: Put, name: str, value: str) -> None:
    cluster = scene()
    result = put(cluster, env=[{"name": name, "value": value}])
    assert f"the value of {name} looks like a secret" in result["msg"]
    assert value not in json.dumps(result)
    assert cluster.requests == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_TTL_SECONDS", "300"),
        ("TOKEN_TTL", "5m"),
        ("TOKEN_URL", "https://idp/token"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("SECRETS_ENABLED", "true"),
        ("LOG_LEVEL", "debug"),
        ("JDBC_URL", "jdbc:postgresql://db:5432/x"),
    ],
)
def test_what_is_no_secret(name: str, value: str) -> None:
    assert not secret_like(name, value)


def test_a_secret_in_clear_may_be_taken_out_and_is_not_shown(put: Put) -> None:
    cluster = scene()
    revision = cluster.store["ReplicaSet", "web-1"]["spec"]["template"]["spec"]["containers"][0]
    for container in (app(cluster), revision):
        container["env"].append({"name": "OLD_PASSWORD", "value": "hunter22"})
    result = put(cluster, env_absent=["OLD_PASSWORD"], _ansible_diff=True)
    assert "OLD_PASSWORD" not in env(cluster)
    assert "hunter22" not in json.dumps(result)
    assert (result["undo"]["containers"], result["undo"]["revision"]) == (None, "web-1")


# -- warnings


def test_images_that_do_not_say_what_they_are(put: Put) -> None:
    assert ids(put(scene(), image="registry/web:latest")) == ["floating_tag"]
    assert ids(put(scene(), image="registry/web")) == ["floating_tag"]
    assert ids(put(scene(), image="registry/web@sha256:" + "0" * 64)) == []
    cluster = scene()
    app(cluster)["image"] = "registry/web:latest"
    again = put(cluster, image="registry/web:latest")
    assert (again["changed"], ids(again)) == (False, ["floating_tag", "same_image"])
    assert "rollout_restart" in again["warnings_about"][1]["text"]
    assert ids(put(scene(), image="registry/web:1")) == ["same_image"]


def test_who_else_writes_it_and_what_goes_by_its_requests(put: Put) -> None:
    cluster = scene()
    cluster.store["Deployment", "web"]["metadata"]["annotations"] = {"meta.helm.sh/release-name": "shop"}
    cluster.add(hpa())
    assert ids(put(cluster, requests={"cpu": "300m"})) == ["helm", "autoscaler_utilization"]
    assert ids(put(cluster, requests={"memory": "600Mi"})) == ["helm"]


def test_what_may_not_be_read(put: Put) -> None:
    cluster = scene()
    for verb, kind, resource in (
        ("list", "ReplicaSet", "replicasets"),
        ("create", "Pod", "pods"),
        ("list", HPA, "horizontalpodautoscalers"),
    ):
        cluster.errors[verb, kind] = lacking(verb, resource)
    result = put(cluster, requests={"cpu": "300m"})
    assert result["changed"]
    assert sorted(ids(result)) == ["autoscaler_unverified", "capacity_unverified", "revision_unverified"]
    assert result["revisions"] == {"before": None, "after": None}
    guarded = put(cluster, image="registry/web:3", expected_current_revision="1")
    assert "lacks the verb 'list' on resource 'replicasets'" in guarded["msg"]


# -- others write too


def test_a_change_in_between_is_planned_again(put: Put) -> None:
    cluster = scene()

    def by_hand() -> None:
        app(cluster)["image"] = "registry/web:9"
        cluster.touch("Deployment", "web")

    cluster.before_patch = [by_hand]
    result = put(cluster, limits={"memory": "2Gi"})
    assert (result["changed"], app(cluster)["image"]) == (True, "registry/web:9"), "theirs is kept"
    cluster = scene()
    cluster.before_patch = [by_hand]
    guarded = put(cluster, image="registry/web:2", expected_current_image="registry/web:1")
    assert "runs registry/web:9" in guarded["msg"]
    assert cluster.stored == []


def test_a_webhook_that_makes_something_else_of_it(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster = scene()
    patch = cluster.patch

    def mutated(*arguments: Any, **options: Any) -> Any:
        found = patch(*arguments, **options)
        found["spec"]["template"]["spec"]["containers"][0]["image"] = "mirror/web:2"
        return found

    monkeypatch.setattr(cluster, "patch", mutated)
    assert (
        "made something else of it: still to do would be app: image mirror"
        in put(cluster, image="registry/web:2")["msg"]
    )


def test_a_lost_write_is_not_known(put: Put) -> None:
    cluster = scene()
    cluster.errors["patch", "Deployment"] = UnreachableError("no answer")
    result = put(cluster, image="registry/web:2")
    assert (result["changed"], "is not known" in result["msg"]) == (None, True)


def test_a_rollout_that_fails_fails_the_task(put: Put) -> None:
    cluster = scene()
    touch = cluster.touch

    def broken(kind: str, name: str) -> None:
        touch(kind, name)
        progress = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}
        progress["lastUpdateTime"] = "2031-01-01T00:00:00Z"
        cluster.store[kind, name]["status"] |= {"updatedReplicas": 1, "conditions": [progress]}

    cluster.touch = broken  # type: ignore[method-assign]
    result = put(cluster, image="registry/web:2")
    assert "its rollout did not end well: ProgressDeadlineExceeded" in result["msg"]
    assert (result["changed"], result["undo"]["revision"], result["rollout"]["state"]) == (True, "web-1", "failed")

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The diff of an undo: what differs is shown, secrets are not."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.module_utils.rollout_undo_diff import diff, only_restarted
from tests.unit.plugins.fake_rollouts import template

RESTARTED = {"kubectl.kubernetes.io/restartedAt": "2031-01-01T00:00:00Z"}


def workload(pods: dict[str, Any], **annotations: str) -> dict[str, Any]:
    metadata = {"name": "web", "namespace": "hafnium", "generation": 3, "annotations": annotations}
    return {"kind": "Deployment", "metadata": metadata, "spec": {"template": pods}}


def sides(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    found = diff(before, after)
    return yaml.safe_load(found["before"]), yaml.safe_load(found["after"])


def container(side: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = side["spec"]["template"]["spec"]["containers"][0]
    return found


def test_what_differs_is_shown() -> None:
    old, new = sides(workload(template("web:2", env={"LEVEL": "debug"})), workload(template("web:1"), team="a"))

    assert container(old)["image"] == "web:2"
    assert container(old)["env"] == [{"name": "LEVEL", "value": "debug"}]
    assert container(new)["image"] == "web:1"
    assert (old["metadata"]["annotations"], new["metadata"]["annotations"]) == ({}, {"team": "a"})


def test_equal_sides_are_equal_text() -> None:
    found = diff(workload(template()), workload(template()))

    assert found["before"] == found["after"]
    assert found["before_header"] == "Deployment hafnium/web generation 3"


def test_annotations_that_an_undo_leaves_are_not_shown() -> None:
    applied = {"kubectl.kubernetes.io/last-applied-configuration": "{}", "deployment.kubernetes.io/revision": "3"}

    old, _new = sides(workload(template(), **applied), workload(template()))

    assert old["metadata"]["annotations"] == {}


@pytest.mark.parametrize("name", ["DB_PASSWORD", "SPRING_DATASOURCE_PASSWORD", "API_TOKEN", "client-secret"])
def test_secret_variables_are_struck_and_said_to_differ(name: str) -> None:
    old, new = sides(
        workload(template(env={name: "hunter2x", "SAME_SECRET": "s3cr3t-value"})),
        workload(template(env={name: "hunter3x", "SAME_SECRET": "s3cr3t-value"})),
    )

    assert container(old)["env"] == [
        {"name": name, "value": "[redacted]"},
        {"name": "SAME_SECRET", "value": "[redacted]"},
    ]
    assert container(new)["env"][0] == {"name": name, "value": "[redacted, differs]"}
    assert container(new)["env"][1] == container(old)["env"][1]


def test_secrets_in_values_arguments_and_annotations_are_struck() -> None:
    pods = template(env={"URL": "postgres://app:hunter2x@db/app"}, annotations={"token": "abcdef123456"})
    pods["spec"]["containers"][0]["args"] = ["--password", "hunter2x", "--token=hunter2x", "--level", "debug"]
    pods["spec"]["containers"][0]["command"] = ["sh", "-c", "PGPASSWORD=hunter2x exec app"]

    found = diff(workload(pods), workload(pods))

    assert "hunter2x" not in found["before"] + found["after"]
    assert "abcdef123456" not in found["before"]
    shown = container(yaml.safe_load(found["before"]))
    assert shown["args"] == ["--password", "[redacted]", "--token=[redacted]", "--level", "debug"]
    assert shown["env"][0]["value"] == "postgres://app:[redacted]@db/app"


def test_references_to_secrets_are_shown() -> None:
    pods = template()
    reference = {"secretKeyRef": {"name": "db-credentials", "key": "password"}}
    pods["spec"]["containers"][0]["env"] = [{"name": "DB_PASSWORD", "valueFrom": reference}]

    old, _new = sides(workload(pods), workload(pods))

    assert container(old)["env"] == [{"name": "DB_PASSWORD", "valueFrom": reference}]


def test_init_containers_are_treated_alike() -> None:
    pods = template()
    pods["spec"]["initContainers"] = [{"name": "migrate", "env": [{"name": "DB_PASSWORD", "value": "hunter2x"}]}]

    assert "hunter2x" not in diff(workload(pods), workload(pods))["before"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (template(annotations=RESTARTED), template(), True),
        (template(annotations={**RESTARTED, "a": "1"}), template(annotations={"a": "1"}), True),
        (template(annotations={"sre.runbooks/restart-token": "x"}), template(), True),
        (template(annotations=RESTARTED), template("web:2"), False),
        (template(annotations={"a": "1"}), template(), False),
    ],
)
def test_what_is_only_a_restart(one: dict[str, Any], other: dict[str, Any], expected: bool) -> None:
    assert only_restarted(one, other) is expected

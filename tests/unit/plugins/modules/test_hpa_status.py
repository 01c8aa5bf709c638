# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""hpa_status as a module, on autoscalers as a real controller manager wrote them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_status
from ansible_collections.sre.runbooks.plugins.module_utils.errors import UnreachableError
from ansible_collections.sre.runbooks.plugins.modules import hpa_status as module
from tests.unit.plugins.fake_scalable import HPA, NAMESPACE, FakeScalable, hpa, lacking
from tests.unit.plugins.module_runner import run_module

Look = Callable[..., dict[str, Any]]


@pytest.fixture
def look(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Look:
    def run(cluster: FakeScalable, check: bool = False, **options: Any) -> dict[str, Any]:
        monkeypatch.setattr(hpa_status, "Cluster", lambda params, context: cluster)
        return run_module(module, capsys, check=check, **{"namespace": NAMESPACE, **options})

    return run


def condition(kind: str, status: str, reason: str, message: str = "") -> dict[str, str]:
    return {"type": kind, "status": status, "reason": reason, "message": message}


ABLE = condition("AbleToScale", "True", "ReadyForNewScale")
ACTIVE = condition("ScalingActive", "True", "ValidMetricFound")
WITHIN = condition("ScalingLimited", "False", "DesiredWithinRange")
CPU = {"type": "Resource", "resource": {"name": "cpu", "current": {"averageUtilization": 35, "averageValue": "87m"}}}


def working(name: str = "web-hpa", target: str = "web", replicas: int = 3, **status: Any) -> dict[str, Any]:
    found = {"currentReplicas": replicas, "desiredReplicas": replicas, "currentMetrics": [CPU]}
    return hpa(name, target, **{**found, "conditions": [ABLE, ACTIVE, WITHIN], **status})


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def hint(result: dict[str, Any], identity: str) -> str:
    return next(str(check["hint"]) for check in result["checks"] if check["id"] == identity)


def causes(result: dict[str, Any]) -> list[tuple[str, list[str]]]:
    return [(finding["cause"], finding["affects"]) for finding in result["findings"]]


@pytest.mark.parametrize("check_mode", [True, False])
def test_healthy(look: Look, check_mode: bool) -> None:
    result = look(FakeScalable(working()), check=check_mode, targets=["web"], runbook="4.1")
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert list(status(result)) == [
        "hpas",
        "autoscaled.web",
        "hpa.web-hpa.able",
        "hpa.web-hpa.metrics",
        "hpa.web-hpa.room",
    ]
    assert {check["runbook"] for check in result["checks"]} == {"4.1"}
    (row,) = result["autoscalers"]
    assert (row["current_replicas"], row["desired_replicas"], row["target"]["name"]) == (3, 3, "web")
    assert row["metrics"] == [{"name": "cpu", "source": "Resource", "target": "70%", "current": "35%"}]


def test_metrics_that_are_not_known_are_unverified(look: Look) -> None:
    failed = condition("ScalingActive", "False", "FailedGetResourceMetric", "unable to get metrics for resource cpu")
    result = look(FakeScalable(working(conditions=[ABLE, failed], desiredReplicas=0, currentMetrics=[{"type": ""}])))
    assert (result["verdict"], status(result)["hpa.web-hpa.metrics"]) == ("unverified", "unverified")
    assert result["autoscalers"][0]["desired_replicas"] is None
    assert causes(result) == [("metrics_missing", ["web"])]
    assert "unable to get metrics" in hint(result, "hpa.web-hpa.metrics")


def test_a_cause_is_told_once_for_all_autoscalers_that_show_it(look: Look) -> None:
    failed = condition("ScalingActive", "False", "FailedGetResourceMetric", "the server could not find the resource")
    wants_more = condition("ScalingLimited", "True", "TooManyReplicas")
    result = look(
        FakeScalable(
            working("blind-hpa", "blind", conditions=[ABLE, failed]),
            working("deaf-hpa", "deaf", conditions=[ABLE, failed]),
            working("fine-hpa", "fine"),
            working("full-hpa", "full", replicas=10),
            working("short-hpa", "short", replicas=10, conditions=[ABLE, ACTIVE, wants_more]),
        )
    )
    found = {(one["cause"], one["confidence"]): (one["evidence"], one["affects"]) for one in result["findings"]}
    assert len(found) == len(result["findings"])
    assert found == {
        ("metrics_missing", "seen"): (["hpa.blind-hpa.metrics", "hpa.deaf-hpa.metrics"], ["blind", "deaf"]),
        ("autoscaler_at_maximum", "inferred"): (["hpa.full-hpa.room"], ["full"]),
        ("autoscaler_at_maximum", "seen"): (["hpa.short-hpa.room"], ["short"]),
    }


@pytest.mark.parametrize(
    ("limited", "confidence"),
    [(condition("ScalingLimited", "True", "TooManyReplicas"), "seen"), (WITHIN, "inferred")],
)
def test_at_its_maximum(look: Look, limited: dict[str, str], confidence: str) -> None:
    result = look(FakeScalable(working(replicas=10, conditions=[ABLE, ACTIVE, limited])))
    assert status(result)["hpa.web-hpa.room"] == "fail"
    assert causes(result) == [("autoscaler_at_maximum", ["web"])]
    assert result["findings"][0]["confidence"] == confidence


def test_equal_limits_are_meant_unless_more_is_wanted(look: Look) -> None:
    fixed = working()
    fixed["spec"] |= {"minReplicas": 3, "maxReplicas": 3}
    assert look(FakeScalable(fixed))["verdict"] == "pass"
    fixed["status"]["conditions"][2] = condition("ScalingLimited", "True", "TooManyReplicas")
    assert look(FakeScalable(fixed))["verdict"] == "fail"


def test_switched_off_at_zero(look: Look) -> None:
    off = condition("ScalingActive", "False", "ScalingDisabled", "scaling is disabled since the replica count is zero")
    result = look(FakeScalable(working(conditions=[ABLE, off], currentReplicas=None)))
    assert status(result)["hpa.web-hpa.able"] == "fail"
    assert causes(result) == [("autoscaler_switched_off", ["web"])]
    assert "Scale Deployment web to 2 or more" in hint(result, "hpa.web-hpa.able")


def test_its_workload_is_gone(look: Look) -> None:
    gone = condition("AbleToScale", "False", "FailedGetScale", 'deployments.apps "web" not found')
    result = look(FakeScalable(working(conditions=[gone])))
    assert (status(result)["hpa.web-hpa.able"], result["verdict"]) == ("fail", "fail")
    assert "not found" in hint(result, "hpa.web-hpa.able")


def test_no_word_from_the_controller_yet(look: Look) -> None:
    result = look(FakeScalable(hpa()))
    assert result["verdict"] == "unverified"
    assert set(status(result).values()) == {"pass", "unverified"}
    assert result["autoscalers"][0]["current_replicas"] is None


def test_two_of_one_workload(look: Look) -> None:
    result = look(FakeScalable(working(), working("rival"), working("fine", "other")), targets=["web"])
    assert status(result)["hpa.web-hpa.able"] == status(result)["hpa.rival.able"] == "fail"
    assert status(result)["autoscaled.web"] == "fail"
    assert ("autoscalers_in_conflict", ["Deployment web"]) in causes(result)
    assert len(result["autoscalers"]) == 2


def test_names_and_workloads_that_should_be_there(look: Look) -> None:
    result = look(FakeScalable(working("identity", "identity")), names=["identity-hpa"], targets=["identity", "risk"])
    assert status(result)["hpa.identity-hpa.exists"] == "fail"
    assert "identity (for Deployment identity)" in hint(result, "hpa.identity-hpa.exists")
    assert (status(result)["autoscaled.identity"], status(result)["autoscaled.risk"]) == ("pass", "fail")


def test_nothing_there_is_no_success(look: Look) -> None:
    assert look(FakeScalable())["verdict"] == "fail"
    assert look(FakeScalable(working()), minimum_count=2)["verdict"] == "fail"
    assert "does not exist" in look(FakeScalable(), namespace="elsewhere")["msg"]
    assert look(FakeScalable(), minimum_count=0, targets=["web"])["verdict"] == "fail"


@pytest.mark.parametrize(
    "problem", [lacking("list", "horizontalpodautoscalers"), UnreachableError("the API server is away")]
)
def test_what_cannot_be_read_is_unverified(look: Look, problem: Exception) -> None:
    cluster = FakeScalable(working())
    cluster.errors["list", HPA] = problem
    result = look(cluster, names=["web-hpa"])
    assert (result["verdict"], status(result)) == ("unverified", {"hpas": "unverified"})
    assert hint(result, "hpas") == problem.args[0]


@pytest.mark.parametrize(
    ("metric", "row"),
    [
        (
            {"type": "Pods", "pods": {"metric": {"name": "queue"}, "target": {"averageValue": "30"}}},
            ("queue", "30 each", "12 each"),
        ),
        (
            {
                "type": "ContainerResource",
                "containerResource": {"name": "cpu", "container": "app", "target": {"averageUtilization": 60}},
            },
            ("app/cpu", "60%", "5%"),
        ),
        (
            {"type": "External", "external": {"metric": {"name": "lag"}, "target": {"value": "100"}}},
            ("lag", "100", "7"),
        ),
    ],
)
def test_kinds_of_metrics(look: Look, metric: dict[str, Any], row: tuple[str, str, str]) -> None:
    currents = {
        "Pods": {"averageValue": "12"},
        "ContainerResource": {"averageUtilization": 5},
        "External": {"value": "7"},
    }
    ((key, own),) = [(key, value) for key, value in metric.items() if key != "type"]
    now = {"type": metric["type"], key: {**own, "current": currents[metric["type"]]}}
    one = working(currentMetrics=[{"type": ""}, now])
    one["spec"]["metrics"] = [metric]
    (found,) = look(FakeScalable(one))["autoscalers"][0]["metrics"]
    assert (found["name"], found["target"], found["current"]) == row


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"names": [""]}, "names holds an empty name"),
        ({"targets": ["a", "a"]}, "more than once"),
        ({"minimum_count": 0}, "minimum_count is 0"),
    ],
)
def test_bad_input(look: Look, options: dict[str, Any], said: str) -> None:
    assert said in look(FakeScalable(), **options)["msg"]

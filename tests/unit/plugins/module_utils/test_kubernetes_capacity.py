# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts, what a pod takes up, what quotas and nodes have left, and what a rolling update needs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_quantity as quantity
from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_update as update
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_nodes import room
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_quantity import Needs, needs
from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_quota import Demand, shortages, unreadable

MI = Decimal(1024**2)


def container(name: str = "app", **resources: dict[str, str]) -> dict[str, Any]:
    return {"name": name, "resources": resources}


def pod(cpu: str = "250m", **spec: Any) -> dict[str, Any]:
    return {"containers": [container(requests={"cpu": cpu})], **spec}


# -- amounts


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1000m"), ("1Gi", "1073741824"), (2, "2"), ("0.5", "500m"), ("1e3", "1k"), (None, None)]
)
def test_the_same_amount(one: Any, other: Any) -> None:
    assert quantity.same(one, other)


@pytest.mark.parametrize(("one", "other"), [("1", "1001m"), ("1G", "1Gi"), (None, "0"), ("0", None)])
def test_not_the_same_amount(one: Any, other: Any) -> None:
    assert not quantity.same(one, other)


@pytest.mark.parametrize("text", ["", "1Zi", "one", "-1", "NaN", "Infinity", "1 Gi", "1mi", "1_0"])
def test_what_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is no amount"):
        quantity.amount(text)


@given(st.integers(min_value=0, max_value=2**50))
def test_an_amount_of_memory_is_shown_as_the_same_amount_or_rounded(count: int) -> None:
    text = quantity.shown("memory", Decimal(count))
    assert abs(quantity.amount(text) - count) <= MI


@given(st.integers(min_value=0, max_value=10**7))
def test_an_amount_of_cpu_is_shown_as_the_same_amount(thousandths: int) -> None:
    value = Decimal(thousandths) / 1000
    assert quantity.amount(quantity.shown("cpu", value)) == value


def test_a_pod_takes_its_containers_or_its_largest_init_container() -> None:
    spec = {
        "initContainers": [
            {**container("proxy", requests={"cpu": "100m"}), "restartPolicy": "Always"},
            container("migrate", requests={"cpu": "2", "memory": "1Mi"}),
        ],
        "containers": [container(requests={"cpu": "1", "memory": "2Mi"}), container(limits={"cpu": "500m"})],
        "overhead": {"memory": "1Mi"},
    }
    found = needs(spec)
    assert found.requests == {"cpu": Decimal("2.1"), "memory": 3 * MI}
    assert found.limits == {"cpu": Decimal("0.5")}
    assert found.as_dict()["requests"] == {"cpu": "2100m", "memory": "3Mi"}


def test_amounts_of_the_whole_pod_come_first() -> None:
    spec = {"containers": [container(requests={"cpu": "1"})], "resources": {"requests": {"cpu": "3"}}}
    assert needs(spec).requests["cpu"] == 3


# -- quotas


def quota(hard: dict[str, str], used: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used or {}}}


def lacking(one: dict[str, Any], count: int, spec: dict[str, Any] | None = None) -> list[str]:
    chosen = spec or pod()
    return [row.text() for row in shortages([one], chosen, Demand.of_pods(count, needs(chosen)))]


def test_a_quota_counts_pods_and_amounts() -> None:
    assert lacking(quota({"pods": "5"}, {"pods": "3"}), 2) == []
    assert lacking(quota({"pods": "5"}, {"pods": "3"}), 3) == [
        "ResourceQuota q has 2 of 5 pods left, 3 more are needed"
    ]
    assert lacking(quota({"requests.cpu": "1"}, {"requests.cpu": "500m"}), 2) == []
    assert "500m of 1 cpu left, 750m more" in lacking(quota({"cpu": "1"}, {"cpu": "500m"}), 3)[0]
    assert lacking(quota({"services": "1", "count/secrets": "1", "requests.storage": "1"}), 3) == []


def test_an_amount_that_a_quota_counts_must_be_said() -> None:
    (text,) = lacking(quota({"limits.memory": "1Gi"}), 1)
    assert "does not set it" in text


def test_a_quota_that_is_overdrawn_says_that_nothing_is_left() -> None:
    assert "has 0 of 2 pods left" in lacking(quota({"pods": "2"}, {"pods": "4"}), 1)[0]


@pytest.mark.parametrize(
    ("scope", "counts"),
    [("NotTerminating", True), ("Terminating", False), ("BestEffort", False), ("NotBestEffort", True)],
)
def test_scopes(scope: str, counts: bool) -> None:
    assert bool(lacking(quota({"pods": "0"}, scopes=[scope]), 1)) is counts


def test_scope_of_a_priority_class() -> None:
    selector = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    one = quota({"pods": "0"}, scopeSelector=selector)
    assert lacking(one, 1) == []
    assert lacking(one, 1, pod(priorityClassName="high"))


def test_an_unknown_scope_is_said() -> None:
    one = quota({"pods": "0"}, scopes=["SomethingNew"])
    assert lacking(one, 1) == []
    assert unreadable([one]) == ["q"]


# -- nodes


def node(name: str = "n1", cpu: str = "1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"type": "kwok", "rank": "3", **spec.pop("labels", {})}},
        "spec": spec,
        "status": {
            "allocatable": {"cpu": cpu, "memory": "1Gi", "pods": "10"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def fits(nodes: list[dict[str, Any]], spec: dict[str, Any], *there: dict[str, Any]) -> int:
    return room(nodes, there, spec, needs(spec)).pods


def test_room_is_what_requests_leave() -> None:
    assert fits([node()], pod()) == 4
    assert fits([node(), node("n2", "600m")], pod()) == 6
    assert fits([node()], pod(), {"spec": {**pod("600m"), "nodeName": "n1"}}) == 1
    assert fits([node()], pod(), {"spec": {**pod("2"), "nodeName": "n1"}}) == 0
    assert fits([node(cpu="100")], pod()) == 10, "by the number of pods"
    assert fits([node()], {"containers": [container(requests={"example.com/gpu": "1"})]}) == 0


TAINT = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("spec", "takes"),
    [
        ({}, False),
        ({"tolerations": [{"key": "dedicated", "value": "db", "effect": "NoSchedule"}]}, True),
        ({"tolerations": [{"key": "dedicated", "value": "web"}]}, False),
        ({"tolerations": [{"operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoExecute"}]}, False),
    ],
)
def test_taints(spec: dict[str, Any], takes: bool) -> None:
    assert bool(fits([node(taints=[TAINT])], pod(**spec))) is takes


def affinity(**expression: Any) -> dict[str, Any]:
    terms = [{"matchExpressions": [expression]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


@pytest.mark.parametrize(
    ("spec", "takes"),
    [
        ({"nodeSelector": {"type": "kwok"}}, True),
        ({"nodeSelector": {"type": "metal"}}, False),
        ({"affinity": affinity(key="type", operator="In", values=["kwok"])}, True),
        ({"affinity": affinity(key="type", operator="NotIn", values=["kwok"])}, False),
        ({"affinity": affinity(key="zone", operator="DoesNotExist")}, True),
        ({"affinity": affinity(key="rank", operator="Gt", values=["2"])}, True),
        ({"affinity": affinity(key="rank", operator="Lt", values=["2"])}, False),
        ({"affinity": affinity(key="zone", operator="Gt", values=["2"])}, False),
        ({"affinity": affinity(key="type", operator="Odd")}, False),
    ],
)
def test_nodes_are_selected(spec: dict[str, Any], takes: bool) -> None:
    assert bool(fits([node()], pod(**spec))) is takes


def test_cordoned_and_unready_nodes_take_nothing() -> None:
    unready = node("n2")
    unready["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
    found = room([node(unschedulable=True), unready], [], pod(), needs(pod()))
    assert (found.all_nodes, found.nodes, found.pods, found.largest) == (2, 0, 0, {})


# -- rolling updates


def workload(kind: str = "Deployment", replicas: int = 3, **strategy: Any) -> dict[str, Any]:
    key = "strategy" if kind == "Deployment" else "updateStrategy"
    spec: dict[str, Any] = {key: {"type": "RollingUpdate", "rollingUpdate": strategy}}
    status = {"desiredNumberScheduled": replicas}
    return {"kind": kind, "spec": {**spec, **({} if kind == "DaemonSet" else {"replicas": replicas})}, "status": status}


@pytest.mark.parametrize(
    ("one", "first"),
    [
        (workload(maxSurge="25%", maxUnavailable="25%"), True),
        (workload(replicas=4, maxSurge="25%", maxUnavailable="25%"), False),
        (workload(maxSurge=1, maxUnavailable=1), False),
        (workload("StatefulSet"), False),
        (workload("DaemonSet", maxSurge=1, maxUnavailable=0), True),
        (workload("DaemonSet", maxSurge=0, maxUnavailable=1), False),
        ({"kind": "Deployment", "spec": {"strategy": {"type": "Recreate"}}}, False),
    ],
)
def test_whether_one_more_pod_is_made_first(one: dict[str, Any], first: bool) -> None:
    assert update.one_more_first(one) is first


def test_the_most_that_an_update_needs() -> None:
    small, large = Needs({"cpu": Decimal(1)}), Needs({"cpu": Decimal(2)})
    surging, stopping = workload(maxSurge=1, maxUnavailable=0), workload(maxSurge=1, maxUnavailable=1)
    assert update.demand(surging, small, small) == Demand(1, {"cpu": Decimal(1)}, {})
    assert update.demand(surging, small, large) == Demand(1, {"cpu": Decimal(4)}, {})
    assert update.demand(surging, large, small) == Demand(1, {"cpu": Decimal(1)}, {})
    assert update.demand(stopping, small, large) == Demand(0, {"cpu": Decimal(3)}, {})
    assert update.demand(workload(replicas=0), small, large) == Demand(0, {}, {})

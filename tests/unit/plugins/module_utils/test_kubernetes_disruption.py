# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many pods an update takes away, as the controllers reckon it, and which budgets are over them."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.kubernetes_disruption import budgets_over, most_down
from tests.unit.plugins.fake_workloads import daemon_set, deployment, stateful_set


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "down"),
    [
        (2, "25%", "25%", 0),
        (4, "25%", "25%", 1),
        (10, "25%", "25%", 2),
        (3, 1, 0, 0),
        (3, 0, 2, 2),
        (3, 0, "10%", 1),
        (3, "10%", 0, 0),
    ],
)
def test_rolling_deployment(replicas: int, surge: Any, unavailable: Any, down: int) -> None:
    workload = deployment(wanted=replicas)
    workload["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": surge, "maxUnavailable": unavailable}
    assert most_down(workload) == down


def test_recreate_takes_all() -> None:
    workload = deployment(wanted=3)
    workload["spec"]["strategy"] = {"type": "Recreate"}
    assert most_down(workload) == 3


def test_stateful_and_daemon_sets() -> None:
    assert most_down(stateful_set()) == 1
    wide = stateful_set(wanted=4)
    wide["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = "50%"
    assert most_down(wide) == 2
    assert most_down(daemon_set(nodes=3)) == 1
    percent = daemon_set(nodes=5)
    percent["spec"]["updateStrategy"]["rollingUpdate"] = {"maxUnavailable": "30%"}
    assert most_down(percent) == 2
    surging = daemon_set(nodes=5)
    surging["spec"]["updateStrategy"]["rollingUpdate"] = {"maxUnavailable": 0, "maxSurge": 1}
    assert most_down(surging) == 0


def test_budgets_by_the_labels_of_the_pods() -> None:
    def budget(name: str, selector: Any, **status: Any) -> dict[str, Any]:
        known = {"observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": 2, "desiredHealthy": 1, **status}
        return {"metadata": {"name": name, "generation": 1}, "spec": {"selector": selector}, "status": known}

    found = budgets_over(
        deployment("web"),
        [
            budget("own", {"matchLabels": {"app": "web"}}),
            budget("all", {}),
            budget("none", None),
            budget("other", {"matchLabels": {"app": "web", "tier": "front"}}),
            budget("stale", {"matchLabels": {"tier": "backend"}}, observedGeneration=0),
        ],
    )
    assert [(one.name, one.allowed) for one in found] == [("own", 1), ("all", 1), ("stale", None)]
    assert str(found[0]) == "PodDisruptionBudget own allows 1 disruptions now (2 pods healthy, 1 needed)"
    assert "not been looked at" in str(found[2])
    assert found[2].as_dict()["disruptions_allowed"] is None

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done for a wanted number of replicas, with and without an autoscaler."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError
from ansible_collections.sre.runbooks.plugins.module_utils.workload_scale_plan import Plan, Wish, plan

KEY = "Deployment shop/web"


def hpa(low: int = 2, high: int = 10, name: str = "web-hpa") -> dict[str, Any]:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    return {
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"minReplicas": low, "maxReplicas": high, "scaleTargetRef": reference},
    }


def made(current: int, *hpas: dict[str, Any], **wish: Any) -> Plan:
    return plan(KEY, current, list(hpas), Wish(**wish))


def ids(found: Plan) -> list[str]:
    return [row["id"] for row in found.warnings]


def test_at_least_never_shrinks() -> None:
    assert made(2, at_least=3).after == 3
    assert not made(5, at_least=3).changes


def test_an_exact_number_shrinks() -> None:
    assert made(5, replicas=3).after == 3


def test_zero_must_be_meant() -> None:
    with pytest.raises(RefusedError, match="allow_zero"):
        made(2, replicas=0)
    assert made(2, replicas=0, allow_zero=True).after == 0
    assert not made(0, replicas=0).changes


def test_the_ceiling() -> None:
    with pytest.raises(RefusedError, match="limit_replicas allows 5"):
        made(2, replicas=6, limit_replicas=5)
    assert not made(8, replicas=8, limit_replicas=5).changes
    assert made(8, replicas=5, limit_replicas=5).after == 5


def test_somebody_else_has_scaled_it() -> None:
    with pytest.raises(RefusedError, match="has 4 replicas, expected_replicas says 2"):
        made(4, replicas=5, expected_replicas=2)
    assert not made(5, replicas=5, expected_replicas=2).changes, "done already"


def test_no_more_consumers_than_partitions() -> None:
    found = made(2, at_least=12, partitions=8)
    assert (found.after, ids(found)) == (8, ["partitions"])
    assert made(10, at_least=12, partitions=8).after == 10, "what runs is not shrunk"
    assert made(10, replicas=12, partitions=8).after == 10
    assert made(10, replicas=4, partitions=8).after == 4
    with pytest.raises(RefusedError, match="consumes nothing"):
        made(2, at_least=3, partitions=0)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [(14, "cut 14 to its maximum of 10"), (1, "raise 1 to its minimum of 2"), (5, "by its metrics")],
)
def test_an_autoscaler_that_would_undo_it(wanted: int, said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        made(3, hpa(), replicas=wanted)


def test_an_autoscaler_that_is_not_in_the_way() -> None:
    assert not made(3, hpa(), replicas=3).changes
    found = made(5, hpa(), at_least=3)
    assert (found.changes, ids(found)) == (False, ["hpa_may_shrink"])
    assert ids(made(5, hpa(4), at_least=3)) == []


@pytest.mark.parametrize(
    ("current", "wish", "after", "limits"),
    [
        (3, {"replicas": 5}, 5, (5, 10)),
        (3, {"replicas": 14}, 14, (14, 14)),
        (3, {"replicas": 1}, 1, (1, 10)),
        (3, {"replicas": 2}, 2, (2, 10)),
        (3, {"at_least": 5}, 5, (5, 10)),
        (6, {"at_least": 5}, 6, (5, 10)),
        (3, {"at_least": 12}, 12, (12, 12)),
        (3, {"at_least": 1}, 3, (2, 10)),
        (6, {"at_least": 9, "partitions": 4}, 6, (4, 10)),
    ],
)
def test_an_autoscaler_is_adapted(current: int, wish: dict[str, int], after: int, limits: tuple[int, int]) -> None:
    found = made(current, hpa(), adapt=True, **wish)
    assert found.hpa is not None
    assert (found.after, found.hpa.before, found.hpa.after) == (after, (2, 10), limits)


def test_the_ceiling_holds_for_the_autoscaler_too() -> None:
    with pytest.raises(RefusedError, match="would become 6, limit_replicas allows 5"):
        made(7, hpa(), at_least=6, limit_replicas=5, adapt=True)


def test_zero_switches_the_autoscaler_off_and_back_on() -> None:
    found = made(3, hpa(), replicas=0, allow_zero=True)
    assert (found.after, ids(found)) == (0, ["hpa_switched_off"])
    back = made(0, hpa(), replicas=3)
    assert (back.after, ids(back)) == (3, ["hpa_switched_on"])
    assert made(0, hpa(), at_least=1).after == 2, "its minimum holds at once"
    with pytest.raises(RefusedError, match="maximum of 10"):
        made(0, hpa(), replicas=11)
    assert not made(0, hpa(), replicas=0, adapt=True).changes


def test_two_autoscalers_are_refused() -> None:
    with pytest.raises(RefusedError, match="2 HorizontalPodAutoscalers scale Deployment shop/web"):
        made(3, hpa(), hpa(name="other"), replicas=5, adapt=True)
    assert not made(3, hpa(), hpa(name="other"), replicas=3).changes


NUMBERS = st.integers(min_value=1, max_value=30)


@given(NUMBERS, NUMBERS, st.tuples(NUMBERS, NUMBERS), st.none() | NUMBERS)
def test_what_is_adapted_holds(current: int, at_least: int, limits: tuple[int, int], partitions: int | None) -> None:
    low, high = sorted(limits)
    found = made(current, hpa(low, high), at_least=at_least, partitions=partitions, adapt=True)
    assert found.hpa is not None
    assert found.after >= current
    assert found.hpa.after[0] >= low
    assert found.hpa.after[1] >= high
    assert found.hpa.after[0] <= found.hpa.after[1]
    again = made(found.after, hpa(*found.hpa.after), at_least=at_least, partitions=partitions, adapt=True)
    assert not again.changes, "run again it does nothing"

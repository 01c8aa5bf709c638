# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of who waits for whom."""

from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.module_utils.pg_blockers import PREPARED, Root, Wait, roots


def pids(root: Root) -> list[tuple[int, int]]:
    return [(depth, wait.pid) for depth, wait in root.waiters]


def test_a_chain_has_one_root_and_depths() -> None:
    (root,) = roots([Wait(2, (1,), 5.0), Wait(3, (2,), 9.0), Wait(4, (1,), 7.0)])
    assert (root.pid, pids(root), root.longest_seconds) == (1, [(1, 4), (1, 2), (2, 3)], 9.0)


def test_one_that_waits_for_two_stands_below_both_and_the_larger_tree_is_first() -> None:
    found = roots([Wait(3, (1, 2), 1.0), Wait(4, (2,), 1.0)])
    assert [(root.pid, pids(root)) for root in found] == [(2, [(1, 3), (1, 4)]), (1, [(1, 3)])]


def test_a_circle_has_a_root_too() -> None:
    (root,) = roots([Wait(5, (6,), 1.0), Wait(6, (5,), 2.0), Wait(7, (6,), None)])
    assert root.pid == 5
    assert {pid for _depth, pid in pids(root)} == {6, 7}


def test_a_prepared_transaction_is_a_root_without_process() -> None:
    (root,) = roots([Wait(2, (PREPARED,), None)])
    assert (root.pid, root.longest_seconds) == (0, None)


def test_nobody_waits() -> None:
    assert roots([]) == []

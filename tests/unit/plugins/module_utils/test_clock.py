# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError
from tests.unit.plugins.module_runner import FakeClock


def test_a_deadline_runs_down_and_never_below_zero() -> None:
    clock = FakeClock()
    deadline = Deadline(10, clock)
    assert (deadline.remaining(), deadline.expired) == (10, False)
    clock.sleep(9.5)
    assert (deadline.remaining(), deadline.expired) == (0.5, False)
    clock.sleep(5)
    assert (deadline.remaining(), deadline.expired) == (0.0, True)


def test_a_step_gets_its_time_or_what_is_left() -> None:
    clock = FakeClock()
    deadline = Deadline(10, clock)
    assert deadline.within(3, "connecting") == 3
    clock.sleep(8)
    assert deadline.within(3, "connecting") == 2
    clock.sleep(2)
    with pytest.raises(DeadlineError) as caught:
        deadline.within(3, "connecting to db:5432")
    assert caught.value.message == (
        "the total time of 10 s was used up before: connecting to db:5432. Raise 'timeout'."
    )


def test_a_deadline_of_nothing_is_over_at_once() -> None:
    assert Deadline(0, FakeClock()).expired
    assert Deadline(-5, FakeClock()).remaining() == 0.0


def test_the_real_clock() -> None:
    clock = Clock()
    first = clock.monotonic()
    clock.sleep(-1)  # no error
    clock.sleep(0)
    assert clock.monotonic() >= first
    assert clock.now() > 1_700_000_000

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be deleted: whatever the ages, the problems and the limits, never what would be needed."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.backup_catalog import BackupSet
from ansible_collections.sre.runbooks.plugins.module_utils.backup_prune import DAY, plan
from ansible_collections.sre.runbooks.plugins.module_utils.backup_set import new_id

NOW = 1_800_000_000.0
AGES = st.lists(
    st.tuples(st.integers(min_value=-5, max_value=80), st.booleans()), max_size=12, unique_by=lambda item: item[0]
)


def made(ages: list[tuple[int, bool]]) -> list[BackupSet]:
    """Sets of these days, the newest first; their time is that of their name."""
    return [
        BackupSet(name, str(Path("/backup") / name), None, [] if good else ["broken"])
        for age, good in sorted(ages)
        for name in [new_id("shop", NOW - age * DAY)]
    ]


@settings(max_examples=300, deadline=None)
@given(AGES, st.integers(15, 40), st.integers(1, 5), st.integers(1, 4))
def test_never_what_is_needed(ages: list[tuple[int, bool]], days: int, keep: int, most: int) -> None:
    found = made(ages)
    planned = plan(found, NOW, days, keep, most)
    deleted = {item.id for item in planned.delete}
    kept = [item for item, _reason in planned.keep]
    assert len(planned.delete) <= most
    assert {item.id for item in found} == deleted | {item.id for item in kept}
    assert all((item.age_seconds(NOW) or 0) > days * DAY for item in planned.delete)
    good = [item for item in found if item.good and not item.future(NOW)]
    left = [item for item in kept if item.good and not item.future(NOW)]
    assert left[:keep] == good[:keep]
    assert [item.id for item in planned.delete] == sorted(deleted)
    allowed = [item for item in found if (item.age_seconds(NOW) or 0) > days * DAY and item not in good[:keep]]
    assert len(planned.delete) == min(most, len(allowed))
    again = plan([item for item in found if item.id not in deleted], NOW, days, keep, 100)
    assert [item.good for item in again.delete] == [item.good for item in allowed[::-1][most:]]


def test_the_reasons() -> None:
    found = made([(-1, True), (1, True), (2, True), (20, False), (21, True), (22, True)])
    planned = plan(found, NOW, 15, 1, 2)
    assert [reason.split(":")[0] for _item, reason in planned.keep] == [
        "it is dated in the future",
        "it is one of the newest 1 whole sets",
        "it is not older than 15 days",
        "max_delete is 2",
    ]

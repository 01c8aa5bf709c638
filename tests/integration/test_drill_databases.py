# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose scratch databases a run may drop: its own, and those that nobody can be using any more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.errors import RefusedError
from tests.integration import backup_scene
from tests.integration.backup_scene import Scene
from tests.integration.throwaway_postgres import Throwaway, throwaway  # noqa: F401

DAY = 86_400.0
INTO: list[dict[str, Any]] = [{"name": "customer", "into": "drill_customer"}, {"name": "order", "into": "drill_order"}]
MADE = {"drill_customer", "drill_order"}


@pytest.fixture
def shop(throwaway: Throwaway, tmp_path: Path) -> Iterator[Scene]:  # noqa: F811
    with backup_scene.shop(throwaway, tmp_path) as scene:
        scene.backup()
        yield scene


def test_a_drill_of_others_is_never_dropped_for_its_age(shop: Scene) -> None:
    shop.restore("scratch", drill_id="april")
    kept = shop.names()
    shop.ahead = 40 * DAY
    done = shop.restore("scratch", drill_id="nightly")
    assert done["removed"] == []
    assert {row["database"] for row in done["leftovers"]} == {"customer_db_drill_april", "order_db_drill_april"}
    assert kept < shop.names()
    shop.restore("scratch", drill_id="asked", stale_hours=24.0)  # only where the task says so, and no younger one
    assert "customer_db_drill_april" not in shop.names()
    assert "customer_db_drill_nightly" in shop.names()


def test_what_another_run_may_still_verify_is_not_dropped(shop: Scene) -> None:
    shop.restore("scratch", drill_id="first", databases=INTO)
    for check in (True, False):
        with pytest.raises(RefusedError, match=r"may still verify it: .* drop it by its drill_id, first"):
            shop.restore("absent", check=check, databases=INTO, busy_seconds=3600.0)
    assert not shop.restore("absent", databases=INTO, drill_id="second", busy_seconds=3600.0)["changed"]
    assert shop.names() > MADE
    shop.ahead = -DAY  # a clock that was moved makes nothing old
    with pytest.raises(RefusedError, match="may still verify"):
        shop.restore("absent", databases=INTO, busy_seconds=3600.0)
    shop.ahead = 3700
    assert sorted(shop.restore("absent", databases=INTO, busy_seconds=3600.0)["removed"]) == sorted(MADE)


def test_a_run_drops_its_own_whatever_their_age(shop: Scene) -> None:
    shop.restore("scratch", drill_id="mine", databases=INTO)
    gone = shop.restore("absent", databases=INTO, drill_id="mine", busy_seconds=3600.0)
    assert sorted(gone["removed"]) == sorted(MADE)
    assert not shop.names() & MADE


def test_an_unfinished_one_is_dropped_at_once(shop: Scene) -> None:
    """Nobody holds its lock, so the run that made it is dead."""
    shop.restore("scratch", drill_id="killed", databases=INTO)
    for name in MADE:
        ((comment,),) = shop.sql(
            "postgres", f"SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{name}'"
        )
        shop.sql("postgres", f"COMMENT ON DATABASE {name} IS '{comment.replace(': ready ', ': restoring ')}'")
    assert len(shop.restore("absent", databases=INTO, busy_seconds=3600.0)["removed"]) == 2


def test_what_another_run_restored_is_neither_taken_nor_dropped(shop: Scene) -> None:
    """It began at the same time, so that its databases were not there when this one looked for leftovers."""
    shop.restore("scratch", drill_id="first", databases=INTO)
    again = shop.restore("scratch", drill_id="first", databases=INTO)
    assert not again["changed"]
    with pytest.raises(RefusedError, match="is of the drill first of"):
        shop.restore(
            "scratch", drill_id="second", databases=INTO
        )  # of the same backup: nothing would have been restored
    shop.ahead = 2
    shop.backup()
    with pytest.raises(RefusedError, match="is of the drill first of"):
        shop.restore("scratch", drill_id="second", databases=INTO)
    assert not shop.restore("absent", databases=INTO, drill_id="second")["changed"]
    assert shop.names() > MADE

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the plan of a repair says is what Flyway's repair does to the table, in every history of the corpus."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_inspect, flyway_plan, postgres
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import Settings
from lab.flyway_oracle import Oracle
from tests.integration.flyway import corpus
from tests.integration.flyway.cases import CORPUS, Case
from tests.integration.flyway.conftest import DATABASE, login
from tests.integration.throwaway_postgres import Throwaway

pytestmark = pytest.mark.slow
REPAIRED = "repaired"
SESSION = {"sslmode": None, "ca_path": None, "connect_timeout_seconds": 5.0, "statement_timeout_ms": 10_000}
# What the module knows and Flyway's free edition does not: rows of programs, and of paid undo migrations.
TOLD_OTHERWISE = {case.name for case in CORPUS if case.otherwise}
TOO_LONG = {"long description"}  # Flyway's repair writes a description that its own column cannot hold, and fails
Table = dict[int, dict[str, Any]]


@pytest.fixture(scope="module")
def plans(
    throwaway: Throwaway, built: dict[str, corpus.Built]
) -> dict[str, tuple[list[str], flyway_plan.RepairPlan | None]]:
    """Why Flyway would not begin, and the plan, of each case; the corpus is copied to where it will be repaired."""
    deadline = Deadline(300, Clock())
    found: dict[str, tuple[list[str], flyway_plan.RepairPlan | None]] = {}
    with postgres.session(postgres.parameters_of_login(login(throwaway)), SESSION, deadline) as session:
        for name, each in built.items():
            history = flyway_inspect.inspect(session, Settings.of(each.item), deadline)
            try:
                found[name] = (list(history.resolution.refusals), flyway_plan.repair(history))
            except flyway_plan.CorruptHistory as error:
                found[name] = ([str(error)], None)
    throwaway.run(f"CREATE DATABASE {REPAIRED} TEMPLATE {DATABASE}")
    return found


def table(server: Throwaway, each: corpus.Built) -> Table:
    name = corpus.quoted(each.settings["schemas"], each.settings["table"])
    rows = server.run(
        f"SELECT installed_rank, version, description, type, script, checksum, success FROM {name} ORDER BY 1",
        database=REPAIRED,
    )
    names = ("version", "description", "type", "script", "checksum", "success")
    return {rank: dict(zip(names, values, strict=True)) for rank, *values in rows}


def marks(row: dict[str, Any]) -> bool:
    """Whether the row marks another one as deleted."""
    return row["type"] == "DELETE"


@pytest.mark.parametrize(
    "case",
    [case for case in CORPUS if case.rows is not None and case.name not in TOLD_OTHERWISE | TOO_LONG],
    ids=lambda case: case.name,
)
def test_repair_does_what_the_plan_says(
    case: Case,
    plans: dict[str, tuple[list[str], flyway_plan.RepairPlan | None]],
    built: dict[str, corpus.Built],
    throwaway: Throwaway,
    oracle: Oracle,
) -> None:
    each, (refusals, plan) = built[case.name], plans[case.name]
    before = table(throwaway, each)
    answer = oracle.repair({**each.settings, "url": throwaway.url(REPAIRED)})
    after = table(throwaway, each)
    if "error" in answer:
        assert refusals, answer["error"]["message"]
        assert after == before
        return
    assert plan is not None
    removed = [rank for rank in before if rank not in after or (marks(after[rank]) and not marks(before[rank]))]
    added = [row for rank, row in after.items() if rank not in before or rank in removed]  # numbers are used again
    changed = {
        rank: row for rank, row in after.items() if rank in before and rank not in removed and row != before[rank]
    }
    assert removed == [row.rank for row in plan.removed]
    assert {row["type"] for row in added} <= {"DELETE"}
    marked = [(info.row.version_text, info.row.description) for info in plan.deleted if info.row]
    assert sorted((str(row["version"]), row["description"]) for row in added) == sorted(
        (str(version), description) for version, description in marked
    )
    assert {rank: (row["description"], row["type"], row["checksum"]) for rank, row in changed.items()} == {
        each.info.row.rank: (each.description, each.type, each.checksum) for each in plan.realigned if each.info.row
    }

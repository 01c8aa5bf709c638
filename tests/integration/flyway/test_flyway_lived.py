# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A history that Flyway itself makes, breaks and repairs, seen at each step; and Flyway while it holds its lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import flyway_status
from lab.flyway_oracle import Oracle
from tests.integration.flyway import corpus
from tests.integration.flyway.cases import Case
from tests.integration.flyway.conftest import login, write
from tests.integration.throwaway_postgres import Throwaway
from tests.unit.plugins.module_runner import run_module

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("built")]  # the corpus' database
FAILED = """
INSERT INTO {table} SELECT max(installed_rank) + 1, '3', 'three', 'SQL', 'V3__three.sql', 1, 'postgres', now(), 1, false
FROM {table}
"""
Capture = pytest.CaptureFixture[str]


def life(server: Throwaway, folder: Path, schema: str, table: str = "flyway_schema_history") -> corpus.Built:
    case = Case(schema, {}, schema=schema, table=table)
    locations = f"filesystem:{folder}"
    asked = {
        "url": server.url("corpus"),
        "user": "postgres",
        "password": server.password,
        "schemas": schema,
        "table": table,
        "locations": locations,
    }
    return corpus.Built(case, asked, {"name": schema, "schema": schema, "table": table, "locations": [locations]})


def look(found: corpus.Built, server: Throwaway, capsys: Capture) -> dict[str, Any]:
    answer = run_module(flyway_status, capsys, histories=[found.item], **login(server))
    return {**answer["histories"][0], "verdict": answer["verdict"]}


def test_a_history_is_followed_through_its_life(
    throwaway: Throwaway, oracle: Oracle, tmp_path: Path, capsys: Capture
) -> None:
    folder = write(tmp_path / "sql", {"V1__one.sql": "CREATE TABLE one (a int);\n", "R__all.sql": "SELECT 'all';\n"})
    schema, two = f"lived in {tmp_path.name}", folder / "V2__two.sql"
    found = life(throwaway, folder, schema)
    steps: list[tuple[str, Callable[[], object], set[str]]] = [
        ("nothing was run", lambda: None, {"Pending"}),
        ("migrated", lambda: oracle.migrate(found.settings), {"Success"}),
        ("a file more", lambda: write(folder, {"V2__two.sql": "CREATE TABLE two (a int);\n"}), {"Success", "Pending"}),
        ("migrated again", lambda: oracle.migrate(found.settings), {"Success"}),
        ("changed", lambda: write(folder, {"V1__one.sql": "CREATE TABLE other (a int);\n"}), {"Success"}),
        ("repaired", lambda: oracle.repair(found.settings), {"Success"}),
        (
            "repeatable changed",
            lambda: write(folder, {"R__all.sql": "SELECT 'more';\n"}),
            {"Success", "Outdated", "Pending"},
        ),
        ("repeated", lambda: oracle.migrate(found.settings), {"Success", "Superseded"}),
        ("file gone", two.unlink, {"Success", "Superseded", "Future"}),
        (
            "a file that fails",
            lambda: write(
                folder,
                {
                    "V3__three.sql": "CREATE INDEX CONCURRENTLY three ON nothing (a);\n",
                    "V3__three.sql.conf": "executeInTransaction=false\n",
                },
            ),
            {"Success", "Superseded", "Missing", "Pending"},
        ),
        (
            "failed, which leaves no row",
            lambda: oracle.migrate({**found.settings, "ignoreMigrationPatterns": "*:missing"}),
            {"Success", "Superseded", "Missing", "Pending"},
        ),
        (
            "failed, with the row that other versions of Flyway left",
            lambda: throwaway.run(
                FAILED.format(table=corpus.quoted(schema, "flyway_schema_history")), database="corpus"
            ),
            {"Success", "Superseded", "Missing", "Failed"},
        ),
        ("repaired at last", lambda: oracle.repair(found.settings), {"Success", "Superseded", "Deleted", "Pending"}),
    ]
    for what, step, states in steps:
        step()
        found.ask(oracle)
        assert found.states == states, what
        assert corpus.differences(found, look(found, throwaway, capsys)) == [], what


@pytest.mark.parametrize(
    ("schema", "table"), [("locked", "flyway_schema_history"), ("Locked Äpfel", "History of 2031")]
)
def test_a_running_migration_holds_the_lock_that_is_looked_for(
    schema: str, table: str, throwaway: Throwaway, oracle: Oracle, tmp_path: Path, capsys: Capture
) -> None:
    folder = write(tmp_path / "sql", {"V1__slow.sql": "SELECT pg_sleep(60);\n"})
    found = life(throwaway, folder, schema, table)
    assert look(found, throwaway, capsys)["lock"]["held"] is False
    migration = threading.Thread(target=oracle.migrate, args=[found.settings])
    migration.start()
    sleeping: list[tuple[Any, ...]] = []
    try:
        until = time.monotonic() + 30
        while not sleeping and time.monotonic() < until:
            sleeping = throwaway.run("SELECT pid FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(60)%'")
            time.sleep(0.05)
        seen = look(found, throwaway, capsys)
        holders = throwaway.run("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted", database="corpus")
    finally:
        for (pid,) in sleeping:
            throwaway.run(f"SELECT pg_terminate_backend({pid})")
        migration.join(30)
    assert not migration.is_alive()
    assert seen["lock"]["held"] is True
    assert [(seen["lock"]["holder_pid"],)] == holders
    assert seen["lock"]["age_seconds"] >= 0
    assert any("holds the lock" in each["reason"] for each in seen["blocked_by"])
    assert look(found, throwaway, capsys)["lock"]["held"] is False

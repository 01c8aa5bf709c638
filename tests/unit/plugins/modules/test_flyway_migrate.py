# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, refusals and the comparison afterwards, on histories that no server holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_act_plan, flyway_inspect, libraries
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_lock import Lock
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_resolve import Surroundings, resolve
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import Settings
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_table import Row, Table
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_version import parse
from ansible_collections.sre.runbooks.plugins.modules import flyway_migrate
from tests.unit.plugins.module_runner import run_module

HISTORY = {"name": "one", "locations": ["filesystem:/nowhere"]}
TOOL = {"kind": "command", "executable": "true"}


def row(rank: int, version: str, checksum: int | None, success: bool = True, kind: str = "SQL") -> Row:
    script = f"V{version}__step.sql"
    return Row(rank, parse(version), "step", kind, script, checksum, "u", "2026-01-01T00:00:00Z", 1, success, version)


class Scene:
    """A folder with some versions; rows carry the right checksums unless said otherwise."""

    def __init__(self, folder: Path, *versions: str) -> None:
        for version in versions:
            (folder / f"V{version}__step.sql").write_text(f"select {version};\n")
        self.settings = Settings.of({"name": "one", "locations": [f"filesystem:{folder}"]})
        found = resolve(self.settings, Surroundings("db", ("u",))).migrations
        self.checksums = {str(each.version): each.checksum for each in found}

    def history(self, *rows: Row, lock: Lock | None = None, presence: Any = "present") -> flyway_inspect.History:
        table = Table(presence, "db", "u", list(rows))
        resolution = resolve(self.settings, Surroundings("db", ("u",)))
        return flyway_inspect.judge(self.settings, table, resolution, lock or Lock())

    def row(self, rank: int, version: str, **changes: Any) -> Row:
        return row(rank, version, self.checksums.get(version), **changes)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path, "1", "2", "10")


def test_pending_in_the_order_of_versions(scene: Scene) -> None:
    plan = flyway_act_plan.of(scene.history(scene.row(1, "1")), "migrate")
    assert plan.names == ["2", "10"]
    assert plan.lines()[0].startswith("public.flyway_schema_history in db: apply 2 step: V2__step.sql (SQL, checksum ")
    assert plan.digest == flyway_act_plan.of(scene.history(scene.row(1, "1")), "migrate").digest
    assert plan.digest != flyway_act_plan.of(scene.history(scene.row(1, "1"), scene.row(2, "2")), "migrate").digest


def test_nothing_to_do_is_an_empty_plan(scene: Scene) -> None:
    full = scene.history(scene.row(1, "1"), scene.row(2, "2"), scene.row(3, "10"))
    for command in ("migrate", "repair"):
        assert flyway_act_plan.of(full, command).empty
        assert flyway_act_plan.refusals(full, command, 0, False) == []


@pytest.mark.parametrize("command", ["migrate", "repair"])
def test_refusals(scene: Scene, command: str) -> None:
    held = scene.history(scene.row(1, "1"), lock=Lock(True, 4711, 12.0))
    assert flyway_act_plan.refusals(held, command, 0, False) == [
        ("lock", "another migration holds the lock: process 4711, for 12 s. Wait for it, or see what it waits for")
    ]
    java = scene.history(scene.row(1, "1"), row(2, "1.5", 5, kind="JDBC"))
    assert [reason for reason, _text in flyway_act_plan.refusals(java, command, 0, False)] == ["unverifiable"]
    assert flyway_act_plan.refusals(java, command, 0, True) == []


def test_a_repair_that_would_delete_is_refused_until_it_is_said(scene: Scene) -> None:
    lost = scene.history(scene.row(1, "1"), row(2, "1.5", 5), row(3, "1.6", 6))
    ((reason, text),) = flyway_act_plan.refusals(lost, "repair", 1, False)
    assert (reason, "2 applied migrations" in text, "(1.5, 1.6)" in text) == ("max_deleted", True, True)
    assert flyway_act_plan.refusals(lost, "repair", 2, False) == []


def test_a_changed_file_stops_migrate_and_is_realigned_by_repair(scene: Scene) -> None:
    changed = scene.history(row(1, "1", 12345))
    assert [reason for reason, _text in flyway_act_plan.refusals(changed, "migrate", 0, False)] == ["validation"]
    plan = flyway_act_plan.of(changed, "repair")
    (line,) = plan.lines()
    assert f"checksum 12345 to {scene.checksums['1']}" in line
    assert flyway_act_plan.not_repaired(plan, changed, changed) == "1 (V1__step.sql, rank 1) is not realigned"
    assert flyway_act_plan.not_repaired(plan, changed, scene.history(scene.row(1, "1"))) == ""


def test_what_a_repair_did_beyond_its_plan_is_told(scene: Scene) -> None:
    before = scene.history(scene.row(1, "1"), scene.row(2, "2", success=False), row(3, "1.5", 5))
    plan = flyway_act_plan.of(before, "repair")
    deleted = row(4, "1.5", 5, kind="DELETE")

    def told(*rows: Row) -> str:
        return flyway_act_plan.not_repaired(plan, before, scene.history(*rows))

    assert told(scene.row(1, "1"), row(3, "1.5", 5), deleted) == ""
    assert told(scene.row(1, "1"), row(3, "1.5", 5)) == "1.5 step is not marked as deleted"
    assert "rank 2) is still there" in told(*before.rows, deleted)
    assert "rank 1) is gone, which was not planned" in told(row(3, "1.5", 5), deleted)
    more = row(5, "1", 1, kind="DELETE")
    assert (
        told(scene.row(1, "1"), row(3, "1.5", 5), deleted, more) == "1 step is marked as deleted, which was not planned"
    )


def test_what_was_done_is_compared_with_the_plan(scene: Scene) -> None:
    before = scene.history(scene.row(1, "1"))
    plan = flyway_act_plan.of(before, "migrate")
    two, ten = scene.row(2, "2"), scene.row(3, "10")

    def told(*rows: Row) -> str:
        after = scene.history(scene.row(1, "1"), *rows)
        return flyway_act_plan.not_as_planned(plan, flyway_act_plan.applied(before, after), False)

    assert told(two, ten) == ""
    assert told(two) == "V10__step.sql (version 10) was planned and is not in the history"
    assert told() != ""
    assert told(two, scene.row(3, "10", success=False)) == told(two)
    assert told(two, ten, row(4, "11", 1)) == "V11__step.sql (version 11) was applied and not planned"
    assert told(scene.row(2, "10"), scene.row(3, "2")) == "they were applied in another order than planned"


def test_the_summary_differs_after_any_change(scene: Scene) -> None:
    digests = {
        flyway_act_plan.summary(scene.history(*rows))["digest"]
        for rows in (
            [],
            [scene.row(1, "1")],
            [scene.row(1, "1", success=False)],
            [row(1, "1", 1)],
            [scene.row(1, "1"), scene.row(2, "2")],
        )
    }
    assert len(digests) == 5


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"command": "clean"}, "value of command must be one of: migrate, repair"),
        ({"max_deleted": -1}, "max_deleted is -1"),
        ({"tool": {"kind": "ant"}}, "value of kind must be one of"),
        ({"tool": {"kind": "maven"}}, "tool.directory is needed for maven"),
        ({"tool": {**TOOL, "arguments": ["-password=x1y2"]}}, "tool.arguments holds a password"),
        ({"command": "repair"}, "cannot repair"),
        ({"history": {**HISTORY, "login_host": " "}}, "login_host is empty"),
        ({"history": {**HISTORY, "schema": ""}}, "schema is empty"),
        ({"history": {**HISTORY, "locations": ["sql/up:down"]}}, "the prefix must be one of"),
        ({"login_host": "/var/run/postgresql"}, "a Java tool cannot reach"),
    ],
)
def test_bad_options(options: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"history": HISTORY, "command": "migrate", "tool": TOOL, "login_host": "127.0.0.1", **options}
    result = run_module(flyway_migrate, capsys, **given)
    assert result["failed"]
    assert told in result["msg"]


def test_without_the_library(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "psycopg2-binary", ImportError("No module named psycopg2"))
    result = run_module(flyway_migrate, capsys, history=HISTORY, command="migrate", tool=TOOL)
    assert "psycopg2-binary" in result["msg"]
    assert "pip install" in result["msg"]

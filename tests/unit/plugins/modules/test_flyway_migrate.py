# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans, refusals and the comparison afterwards, on histories that no server holds."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import (
    flyway_act_plan,
    flyway_inspect,
    flyway_view,
    libraries,
)
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_migrate as flyway_migrate_util
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_act_plan import Allowed
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_baseline import Skipped
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
        self.found = {str(each.version): each for each in found}
        self.checksums = {str(each.version): each.checksum for each in found}

    def history(
        self, *rows: Row, lock: Lock | None = None, presence: Any = "present", **found: Any
    ) -> flyway_inspect.History:
        table = Table(presence, "db", "u", rows=list(rows), **found)
        resolution = resolve(self.settings, Surroundings("db", ("u",)))
        return flyway_inspect.judge(self.settings, table, resolution, lock or Lock())

    def path(self, version: str) -> str:
        return self.found[version].filepath

    def row(self, rank: int, version: str, **changes: Any) -> Row:
        return row(rank, version, self.checksums.get(version), **changes)


def refusals(history: flyway_inspect.History, command: str, kind: str = "cli", **allowed: Any) -> list[tuple[str, str]]:
    return flyway_act_plan.refusals(history, command, kind, Allowed(**allowed))


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
        assert refusals(full, command) == []


@pytest.mark.parametrize("command", ["migrate", "repair"])
def test_refusals(scene: Scene, command: str) -> None:
    held = scene.history(scene.row(1, "1"), lock=Lock(True, 4711, 12.0))
    assert refusals(held, command) == [
        ("lock", "another migration holds the lock: process 4711, for 12 s. Wait for it, or see what it waits for")
    ]
    java = scene.history(scene.row(1, "1"), row(2, "1.5", 5, kind="JDBC"))
    assert [reason for reason, _text in refusals(java, command)] == ["unverifiable"]
    assert refusals(java, command, unverifiable=True) == []


def test_a_repair_that_would_delete_is_refused_until_it_is_said(scene: Scene) -> None:
    lost = scene.history(scene.row(1, "1"), row(2, "1.5", 5), row(3, "1.6", 6))
    ((reason, text),) = refusals(lost, "repair", deleted=1)
    assert (reason, "2 applied migrations" in text, "(1.5, 1.6)" in text) == ("max_deleted", True, True)
    assert refusals(lost, "repair", deleted=2) == []


def test_a_changed_file_stops_migrate_and_is_realigned_by_repair(scene: Scene) -> None:
    changed = scene.history(row(1, "1", 12345))
    assert [reason for reason, _text in refusals(changed, "migrate")] == ["validation"]
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
        return flyway_act_plan.not_as_planned(plan, before, after, False)

    assert told(two, ten) == ""
    assert told(two) == "V10__step.sql (version 10) was planned and is not in the history"
    assert told() != ""
    assert told(two, scene.row(3, "10", success=False)) == told(two)
    assert told(two, ten, row(4, "11", 1)) == "V11__step.sql (version 11) was applied and not planned"
    assert told(scene.row(2, "10"), scene.row(3, "2")) == "they were applied in another order than planned"


def test_other_content_than_planned_is_no_success(scene: Scene) -> None:
    before = scene.history(scene.row(1, "1"))
    plan = flyway_act_plan.of(before, "migrate")

    def told(*rows: Row) -> str:
        return flyway_act_plan.not_as_planned(plan, before, scene.history(*rows), False)

    one, two, ten = scene.row(1, "1"), scene.row(2, "2"), scene.row(3, "10")
    assert told(one, two, ten) == ""
    other = told(one, row(2, "2", 99999), ten)
    assert f"checksum 99999, and the file that was planned, {scene.path('2')}, is SQL with {two.checksum}" in other
    assert "applied as SCRIPT" in told(one, replace(two, type="SCRIPT"), ten)
    assert "rank 1) was rewritten, which was not planned: checksum" in told(row(1, "1", 7), two, ten)
    assert "rank 1) is gone, which was not planned" in told(two, ten)


def test_a_repair_that_rewrites_more_than_its_plan_is_no_success(scene: Scene) -> None:
    before = scene.history(scene.row(1, "1"), scene.row(2, "2", success=False))
    plan = flyway_act_plan.of(before, "repair")
    assert flyway_act_plan.not_repaired(plan, before, scene.history(scene.row(1, "1"))) == ""
    more = flyway_act_plan.not_repaired(plan, before, scene.history(row(1, "1", 7)))
    assert more.endswith(f"rank 1) was rewritten, which was not planned: checksum {scene.checksums['1']} to 7")
    added = flyway_act_plan.not_repaired(plan, before, scene.history(scene.row(1, "1"), scene.row(2, "2")))
    assert added == "2 (V2__step.sql, rank 2) was added, which was not planned"


def test_a_rank_that_a_repair_uses_again_is_no_row_that_stayed(scene: Scene) -> None:
    before = scene.history(scene.row(1, "1"), row(2, "1.5", 5), scene.row(3, "2", success=False))
    plan = flyway_act_plan.of(before, "repair")
    after = scene.history(scene.row(1, "1"), row(2, "1.5", 5), row(3, "1.5", 5, kind="DELETE"))
    assert flyway_act_plan.not_repaired(plan, before, after) == ""
    assert "is still there" in flyway_act_plan.not_repaired(plan, before, scene.history(*before.rows))


def test_a_history_that_is_not_there_is_a_wrong_name_until_it_is_said(scene: Scene) -> None:
    for presence in ("no_schema", "no_table"):
        absent = scene.history(
            presence=presence, problem='schema "case" does not exist', schema_empty=True, elsewhere=["cases.h"]
        )
        ((reason, text),) = refusals(absent, "migrate")
        assert (reason, "elsewhere in it: cases.h" in text, "allow_new_history" in text) == ("new_history", True, True)
        assert refusals(absent, "migrate", new_history=True) == []
        for allowed in (False, True):
            ((reason, text),) = refusals(absent, "repair", new_history=allowed)
            assert (reason, "nothing to repair" in text) == ("new_history", True)
    occupied = scene.history(presence="no_table", occupied=True, schema_empty=True)
    assert "cannot be made" in refusals(occupied, "migrate", new_history=True)[0][1]


def test_a_standby_is_refused(scene: Scene) -> None:
    for command in ("migrate", "repair"):
        found = refusals(scene.history(scene.row(1, "1"), lock=Lock(known=False), standby=True), command)
        assert [reason for reason, _text in found] == ["standby"]
        assert "targetServerType=primary" in found[0][1]


def test_rights_that_the_plan_needs(scene: Scene) -> None:
    def lacking(command: str, *rows: Row, **found: Any) -> list[str]:
        history = scene.history(*rows, **found)
        return [text for _id, text in flyway_act_plan.lacking_rights(history, flyway_act_plan.of(history, command))]

    (text,) = lacking("migrate", scene.row(1, "1"))
    assert 'GRANT INSERT ON "public"."flyway_schema_history" TO "u"' in text
    assert lacking("migrate", scene.row(1, "1"), rights=frozenset({"INSERT"})) == []
    assert lacking("migrate", *(scene.row(rank, each) for rank, each in enumerate(("1", "2", "10")))) == []
    (text,) = lacking("migrate", presence="no_table")
    assert 'GRANT CREATE ON SCHEMA "public" TO "u"' in text
    (text,) = lacking("migrate", presence="no_schema", rights=frozenset({"INSERT", "CREATE"}))
    assert 'GRANT CREATE ON DATABASE "db" TO "u"' in text
    wrong = (row(1, "1", 7), row(2, "1.5", 5), scene.row(3, "2", success=False))
    assert [text.split()[3] for text in lacking("repair", *wrong)] == ["DELETE", "UPDATE", "INSERT"]


def test_what_a_baseline_would_pass_over_is_refused_while_its_tables_are_absent(scene: Scene) -> None:
    history = scene.history(presence="no_table", rights=frozenset({"CREATE"}))
    history.settings = replace(history.settings, baseline_on_migrate=True)
    first = next(info for info in history.infos if info.name == "1")
    history.would_skip = [Skipped(first, ("users", "x.y"), ("x.y",))]
    ((reason, text),) = refusals(history, "migrate", new_history=True)
    assert (reason, "never run 1 (V1__step.sql, and its tables are not there: x.y)" in text) == ("passed_over", True)
    assert refusals(history, "migrate", new_history=True, passed_over=True) == []
    plan = flyway_act_plan.of(history, "migrate")
    assert plan.as_dict()["passed_over"][0]["absent"] == ["x.y"]
    assert any("never run 1 (V1__step.sql" in line for line in plan.lines())
    before = plan.digest
    history.would_skip = [Skipped(first, ("users", "x.y"), ())]
    assert flyway_act_plan.of(history, "migrate").digest != before
    assert refusals(history, "migrate", new_history=True) == []


def test_files_that_the_tool_would_not_see(tmp_path: Path) -> None:
    jar = tmp_path / "service.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("BOOT-INF/classes/db/migration/V1__step.sql", "select 1;\n")
    classes = tmp_path / "classes" / "db" / "migration"
    classes.mkdir(parents=True)
    (classes / "V1__step.sql").write_text("select 1;\n")

    def told(where: Path, command: str, kind: str) -> list[str]:
        settings = Settings.of({"name": "one", "jars": [str(where)]})
        resolution = resolve(settings, Surroundings("db", ("u",)))
        history = flyway_inspect.judge(settings, Table("present", "db", "u"), resolution, Lock())
        return [text for _id, text in refusals(history, command, kind)]

    for kind in ("cli", "maven", "gradle"):
        assert "lies in the archive of an application" in told(jar, "migrate", kind)[0]
    assert told(jar, "migrate", "command") == []
    for kind in ("maven", "gradle"):
        assert "in what it built last" in told(tmp_path / "classes", "repair", kind)[0]
        assert told(tmp_path / "classes", "migrate", kind) == []
    assert told(tmp_path / "classes", "repair", "cli") == []


def test_a_history_that_was_not_read_to_its_end_is_refused(scene: Scene) -> None:
    for command in ("migrate", "repair"):
        ((reason, text),) = refusals(scene.history(scene.row(1, "1"), cut=True), command)
        assert (reason, "more than 100000 rows" in text) == ("validation", True)


def test_the_view_of_the_tool(scene: Scene) -> None:
    history = scene.history(scene.row(1, "1"), row(2, "1.5", 5, kind="JDBC"))
    rows = history.as_dict()["migrations"]
    told = {"database": "db", "schemaName": "public", "migrations": rows}
    assert flyway_view.differences([{"operation": "other"}, told], history) == []
    foreign = [{**each, "state": "Missing"} for each in rows if each["type"] == "JDBC"]
    without = [each for each in rows if each["type"] != "JDBC"]
    assert flyway_view.differences([{**told, "migrations": [*without, *foreign]}], history) == []
    assert flyway_view.differences([{**told, "schemaName": "cases"}], history) == [
        "- schemaName public",
        "+ schemaName cases",
    ]
    late = [{**each, "state": "Missing"} if each["version"] == "1" else each for each in rows]
    assert flyway_view.differences([{**told, "migrations": late}], history) == [
        "- 1 step (Success)",
        "+ 1 step (Missing)",
    ]
    assert "- 10 step (Pending)" in flyway_view.differences([{**told, "migrations": rows[:-1]}], history)
    assert flyway_view.differences([], history) == ["+ the tool's info tells of no migrations at all"]


def test_a_script_that_says_that_it_runs_outside_of_a_transaction(tmp_path: Path) -> None:
    scene = Scene(tmp_path, "1")
    (info,) = scene.history().infos
    assert flyway_migrate_util._left_behind(info) == "PostgreSQL rolled it back"
    (tmp_path / "V1__step.sql.conf").write_text("executeInTransaction=false\n")
    (info,) = scene.history().infos
    assert "outside of transactions" in flyway_migrate_util._left_behind(info)


def test_sessions_that_work_on_are_named_with_the_way_to_end_them() -> None:
    told = flyway_migrate_util._left_running([{"pid": 4711, "seconds": 3.0, "blocked_pids": [12]}])
    assert "Process 4711 of the server still runs its statement" in told
    assert "blocks 12" in told
    assert "SELECT pg_cancel_backend(4711)" in told


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
        ({"command": "clean"}, "value of command must be one of: info, migrate, repair"),
        ({"max_deleted": -1}, "max_deleted is -1"),
        ({"tool": {"kind": "ant"}}, "value of kind must be one of"),
        ({"tool": {"kind": "maven"}}, "tool.directory is needed for maven"),
        ({"tool": {**TOOL, "arguments": ["-password=x1y2"]}}, "tool.arguments holds a password"),
        ({"command": "repair"}, "cannot repair"),
        ({"command": "info"}, "cannot info"),
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

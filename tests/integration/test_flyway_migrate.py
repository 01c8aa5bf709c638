# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Migrating and repairing with Flyway itself: planned before, done once, and nothing that was not planned."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import stat
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_lock
from ansible_collections.sre.runbooks.plugins.modules import flyway_migrate
from lab import flyway, java
from lab.layout import LabError, Paths
from tests.integration.throwaway_postgres import Throwaway, throwaway
from tests.unit.plugins.module_runner import run_module

__all__ = ["throwaway"]  # the fixture

DATABASE = "migrations"
NUMBERS = itertools.count(1)
V1 = "CREATE TABLE things (id int PRIMARY KEY);\n"
V2 = "ALTER TABLE things ADD COLUMN name text;\n"


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    paths = Paths(tmp_path_factory.mktemp("flyway"))
    paths.run.mkdir()
    try:
        return flyway.ensure(paths)
    except (LabError, java.MissingJava) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def server(throwaway: Throwaway) -> Throwaway:
    throwaway.run(f"CREATE DATABASE {DATABASE}")
    return throwaway


@dataclass
class Scene:
    """One schema with its folder of migrations; the tool writes a line each time that it is started.

    A history may be made, unless the test says otherwise.
    """

    server: Throwaway
    folder: Path
    schema: str
    tool: Path
    capsys: pytest.CaptureFixture[str]

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / "sql").mkdir(exist_ok=True)
            (self.folder / "sql" / f"{name}.sql").write_text(text, encoding="utf-8")

    def run(self, command: str = "migrate", check: bool = False, **options: Any) -> dict[str, Any]:
        history = {
            "name": self.schema,
            "schema": self.schema,
            "locations": [f"filesystem:{self.folder}/sql"],
            **options.pop("history", {}),
        }
        given: dict[str, Any] = {
            "login_host": "127.0.0.1",
            "login_port": self.server.port,
            "login_db": DATABASE,
            "login_user": "postgres",
            "login_password": self.server.password,
            "tool": {"kind": "cli", "executable": str(self.tool)},
            "timeout": 120,
            "allow_new_history": True,
            **options,
        }
        result = run_module(
            flyway_migrate, self.capsys, check, command=command, history=history, _ansible_diff=True, **given
        )
        result.pop("invocation", None)
        assert self.server.password not in json.dumps(result)
        return result

    def sql(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.run(f"SET search_path TO {self.schema}", *statements, database=DATABASE)

    def rows(self) -> list[tuple[Any, ...]]:
        statement = f"SELECT version, script, success FROM {self.schema}.flyway_schema_history WHERE type <> 'SCHEMA' ORDER BY installed_rank"
        return self.server.run(statement, database=DATABASE)

    @property
    def starts(self) -> int:
        """How often it was started to change something."""
        log = self.folder / "starts"
        lines = log.read_text().splitlines() if log.exists() else []
        return sum(not line.startswith("info ") for line in lines)


@pytest.fixture
def scene(
    server: Throwaway,
    launcher: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Scene:
    schema = f"s{next(NUMBERS)}"
    server.run(f"CREATE SCHEMA {schema}", database=DATABASE)
    tool = script(tmp_path / "counted", f'echo "$@" >> {tmp_path}/starts\nexec {launcher} "$@"\n')
    made = Scene(server, tmp_path, schema, tool, capsys)
    made.write(V1__things=V1, V2__names=V2)
    return made


def script(path: Path, text: str, shell: str = "sh") -> Path:
    path.write_text(f"#!/bin/{shell}\n{text}")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def ok(result: dict[str, Any]) -> dict[str, Any]:
    assert not result.get("failed"), json.dumps(result, indent=1)
    return result


def failed(result: dict[str, Any], *told: str) -> dict[str, Any]:
    assert result.get("failed"), result
    for text in told:
        assert text in result["msg"], result["msg"]
    assert "\n" not in result["msg"]
    return result


def test_check_mode_plans_and_starts_nothing_then_it_runs_once(scene: Scene) -> None:
    planned = ok(scene.run(check=True))
    assert planned["changed"] is True
    assert [each["version"] for each in planned["plan"]["pending"]] == ["1", "2"]
    assert planned["plan"]["creates"] == ["the history"]
    assert planned["after"] is None
    assert scene.starts == 0
    assert scene.sql("SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace") == [(0,)]
    done = ok(scene.run(plan_digest=planned["plan_digest"], expected_pending=["1", "2"]))
    assert done["changed"] is True
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert done["tool"]["flyway_version"]
    assert "V2__names.sql" in done["diff"]["after"]
    assert scene.rows() == [("1", "V1__things.sql", True), ("2", "V2__names.sql", True)]
    again = ok(scene.run(plan_digest=planned["plan_digest"], expected_pending=["1", "2"]))
    assert (again["changed"], again["tool"], again["before"]) == (False, None, done["after"])
    assert scene.starts == 1


def test_nothing_secret_is_in_the_arguments(scene: Scene) -> None:
    ok(scene.run())
    assert (scene.folder / "starts").read_text() == "info -outputType=json\nmigrate -outputType=json\n"
    told = scene.run(tool={"kind": "cli", "executable": str(scene.tool), "arguments": ["-password=hunter22"]})
    failed(told, "tool.arguments holds a password")


def test_a_schema_that_is_not_there_is_made(scene: Scene) -> None:
    scene.sql(f"DROP SCHEMA {scene.schema}")
    told = failed(scene.run(allow_new_history=False), "does not exist", "allow_new_history")
    assert (told["refusal"], scene.starts) == ("new_history", 0)
    failed(scene.run("repair"), "nothing to repair")
    planned = ok(scene.run(check=True))
    assert planned["plan"]["creates"] == ["the schema", "the history"]
    done = ok(scene.run())
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert ok(scene.run())["changed"] is False


def test_a_wrong_name_makes_no_second_history(scene: Scene) -> None:
    ok(scene.run())
    for wrong in ({"schema": f"{scene.schema}_not"}, {"table": "history"}):
        for command in ("migrate", "repair"):
            told = failed(
                scene.run(command, history=wrong, allow_new_history=False), f"{scene.schema}.flyway_schema_history"
            )
            assert "new_history" in [each["id"] for each in told["refusals"]]
    scene.sql("CREATE TABLE history (a int)")
    failed(scene.run(history={"table": "history", "baseline_on_migrate": True}), "cannot be made under that name")
    assert scene.starts == 1


def test_a_baseline_is_part_of_the_plan(scene: Scene) -> None:
    scene.sql("CREATE TABLE older (id int)")
    failed(scene.run(), "holds objects but has no history")
    assert scene.starts == 0
    told = failed(scene.run(check=True, history={"baseline_on_migrate": True}), "never run 1 (V1__things.sql", "things")
    assert (told["refusal"], scene.starts) == ("passed_over", 0)
    allowed = ok(scene.run(check=True, history={"baseline_on_migrate": True}, allow_passed_over=True))
    assert allowed["plan"]["passed_over"][0]["absent"] == ["things"]
    from_zero = ok(scene.run(check=True, history={"baseline_on_migrate": True, "baseline_version": "0"}))
    assert [each["version"] for each in from_zero["plan"]["pending"]] == ["1", "2"]
    scene.sql("CREATE TABLE things (id int)")
    planned = ok(scene.run(check=True, history={"baseline_on_migrate": True}))
    assert planned["plan_digest"] != allowed["plan_digest"]
    assert planned["plan"]["creates"] == ["the history", "a baseline at 1"]
    assert planned["plan"]["passed_over"][0]["absent"] == []
    assert [each["version"] for each in planned["plan"]["pending"]] == ["2"]
    scene.write(V2__names="CREATE TABLE names (id int);\n")
    ok(scene.run(history={"baseline_on_migrate": True}))
    assert [row[0] for row in scene.rows()] == ["1", "2"]


def test_a_failed_migration_names_script_and_error_and_was_rolled_back(scene: Scene) -> None:
    scene.write(
        V3__more="CREATE TABLE more (id int);\n", V4__broken="CREATE TABLE half (id int);\nSELECT nonsense();\n"
    )
    told = failed(scene.run(), "V4__broken.sql", "rolled it back", "nonsense", "Applied before that: 1, 2, 3")
    assert told["changed"] is True
    assert [each["version"] for each in told["applied"]] == ["1", "2", "3"]
    assert "V4__broken.sql" in told["tool"]["error"]  # this Flyway ends with 0 all the same
    assert scene.sql("SELECT to_regclass('half') IS NULL") == [(True,)]
    scene.write(V4__broken="CREATE TABLE half (id int);\n")
    assert [each["version"] for each in ok(scene.run())["applied"]] == ["4"]


def test_a_migration_outside_of_transactions_may_have_left_something(scene: Scene) -> None:
    scene.write(V3__index="CREATE INDEX CONCURRENTLY broken ON things (no_such_column);\n")
    failed(scene.run(), "V3__index.sql failed and left", "outside of transactions")


def test_a_failed_row_is_told_and_repair_removes_it(scene: Scene) -> None:
    ok(scene.run())
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    insert = (
        "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, installed_by, "
        "execution_time, success) VALUES (3, '3', 'more', 'SQL', 'V3__more.sql', 'x', 1, false)"
    )
    (scene.folder / "fail.py").write_text(
        "import os, psycopg2\n"
        "url = os.environ['FLYWAY_URL'].removeprefix('jdbc:').partition('?')[0]\n"
        "login = {'user': os.environ['FLYWAY_USER'], 'password': os.environ['FLYWAY_PASSWORD']}\n"
        "with psycopg2.connect(url, **login) as connection, connection.cursor() as cursor:\n"
        "    cursor.execute('SET search_path TO ' + os.environ['FLYWAY_SCHEMAS'])\n"
        f"    cursor.execute({insert!r})\n"
        "raise SystemExit('ERROR: cannot write to disk')\n"
    )
    tool = {"kind": "command", "executable": sys.executable, "arguments": [str(scene.folder / "fail.py")]}
    told = failed(scene.run(tool=tool), "V3__more.sql failed and left a row with success=false", "cannot write to disk")
    assert told["changed"] is True
    assert told["after"]["failed"] == ["V3__more.sql"]
    failed(scene.run(), "Detected failed migration to version 3")
    planned = ok(scene.run("repair", check=True))
    assert [row["version"] for row in planned["plan"]["repair"]["removed"]] == ["3"]
    assert "V3__more.sql" not in planned["diff"]["after"]
    done = ok(scene.run("repair"))
    assert done["repaired"] == planned["plan"]["repair"]
    assert [row[0] for row in scene.rows()] == ["1", "2"]
    before = scene.starts
    assert ok(scene.run("repair"))["changed"] is False
    assert scene.starts == before
    assert [each["version"] for each in ok(scene.run())["applied"]] == ["3"]


def test_repair_realigns_checksums_and_says_so_before(scene: Scene) -> None:
    ok(scene.run())
    scene.write(V2__names=V2 + "-- a remark\n")
    failed(scene.run(), "was not started", "checksum")
    planned = ok(scene.run("repair", check=True))
    (realigned,) = planned["plan"]["repair"]["realigned"]
    assert realigned["before"]["checksum"] != realigned["after"]["checksum"]
    assert "realign 2 (V2__names.sql, rank 2)" in planned["plan_summary"][0]
    assert str(realigned["after"]["checksum"]) in planned["diff"]["after"]
    done = ok(scene.run("repair", plan_digest=planned["plan_digest"]))
    assert done["changed"] is True
    assert done["repaired"]["realigned"] == [realigned]
    assert ok(scene.run("repair"))["changed"] is False
    assert ok(scene.run())["changed"] is False


def test_repair_with_locations_that_are_not_complete_is_refused(scene: Scene) -> None:
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    ok(scene.run())
    starts = scene.starts
    (scene.folder / "sql" / "V1__things.sql").unlink()
    (scene.folder / "sql" / "V2__names.sql").unlink()
    told = failed(scene.run("repair"), "mark 2 applied migrations as deleted", "max_deleted")
    assert told["refusal"] == "max_deleted"
    failed(scene.run("repair", max_deleted=1), "at most 1")
    planned = ok(scene.run("repair", check=True, max_deleted=2))
    assert [row["version"] for row in planned["plan"]["repair"]["deleted"]] == ["1", "2"]
    assert scene.starts == starts
    ok(scene.run("repair", max_deleted=2))
    assert scene.sql("SELECT count(*) FROM flyway_schema_history WHERE type = 'DELETE'") == [(2,)]
    (scene.folder / "sql" / "V3__more.sql").unlink()
    failed(scene.run("repair", max_deleted=9), "no migration lies in the locations")


def test_another_migration_holds_the_lock(scene: Scene) -> None:
    number = flyway_lock.key(scene.schema, "flyway_schema_history")
    with closing(scene.server.connect(DATABASE)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", [number])
        for command in ("migrate", "repair"):
            told = failed(scene.run(command), "another migration holds the lock: process")
            assert told["refusal"] == "lock"
    assert scene.starts == 0
    assert ok(scene.run())["changed"] is True


def test_guards(scene: Scene) -> None:
    planned = ok(scene.run(check=True))
    told = failed(scene.run(expected_pending=["1"]), "not those of expected_pending")
    assert told["differences"] == ["+ 2"]
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    told = failed(scene.run(plan_digest=planned["plan_digest"]), "not the one of plan_digest", "V3__more.sql")
    assert (told["refusal"], scene.starts) == ("plan_digest", 0)


def test_a_file_that_changed_its_text_only_is_another_plan(scene: Scene) -> None:
    planned = ok(scene.run(check=True))
    scene.write(V2__names="ALTER TABLE things ADD COLUMN name varchar(10);\n")
    failed(scene.run(plan_digest=planned["plan_digest"]), "not the one of plan_digest")
    assert scene.starts == 0


def test_two_files_of_one_version(scene: Scene) -> None:
    scene.write(V2__other="SELECT 1;\n")
    failed(scene.run(), "more than one migration with version 2")
    failed(scene.run("repair"), "more than one migration with version 2")
    assert scene.starts == 0


def test_a_tool_that_works_on_something_else_is_not_believed(scene: Scene, launcher: Path) -> None:
    liar = script(scene.folder / "liar", 'echo \'{"success": true, "migrationsExecuted": 2, "flywayVersion": "0"}\'\n')
    told = failed(scene.run(tool={"kind": "cli", "executable": str(liar)}), "was not started", "no migrations at all")
    assert (told["refusal"], told["changed"]) == ("tool_view", False)
    told = failed(scene.run(tool={"kind": "command", "executable": str(liar)}), "ended well, and yet", "V1__things.sql")
    assert told["changed"] is False
    more = script(scene.folder / "more", f'FLYWAY_TARGET=1 exec {launcher} "${{@:-migrate}}"\n', "bash")
    told = failed(scene.run(tool={"kind": "cli", "executable": str(more)}), "- 2 names (Pending)", "Above Target")
    assert (told["refusal"], told["changed"]) == ("tool_view", False)
    assert "+ 2 names (Above Target)" in told["differences"]
    assert scene.sql("SELECT to_regclass('flyway_schema_history') IS NULL") == [(True,)]
    told = failed(scene.run(tool={"kind": "command", "executable": str(more)}), "V2__names.sql (version 2) was planned")
    assert (told["changed"], [each["version"] for each in told["applied"]]) == (True, ["1"])


def test_a_tool_that_has_other_files_is_no_success(scene: Scene, launcher: Path) -> None:
    old = scene.folder / "target"
    old.mkdir()
    (old / "V1__things.sql").write_text(V1)
    (old / "V2__names.sql").write_text(V2.replace("text", "int"))
    stale = script(
        scene.folder / "stale", f'FLYWAY_LOCATIONS=filesystem:{old} exec {launcher} "${{@:-migrate}}"\n', "bash"
    )
    told = failed(scene.run(tool={"kind": "command", "executable": str(stale)}), "V2__names.sql", "has another file")
    assert told["changed"] is True


def test_the_files_of_the_project_name_no_other_schema(scene: Scene) -> None:
    other = f"{scene.schema}_other"
    scene.sql(f"CREATE SCHEMA {other}")
    (scene.folder / "flyway.conf").write_text(f"flyway.defaultSchema={other}\nflyway.schemas={other}\n")
    done = ok(scene.run(tool={"kind": "cli", "executable": str(scene.tool), "directory": str(scene.folder)}))
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert scene.sql(f"SELECT count(*) FROM pg_class WHERE relnamespace = '{other}'::regnamespace") == [(0,)]


def test_info_of_the_tool_beside_our_view(scene: Scene, launcher: Path) -> None:
    ok(scene.run())
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    for check in (True, False):
        seen = ok(scene.run("info", check=check))
        assert (seen["changed"], seen["differences"], seen["tool"]["kind"]) == (False, [], "cli")
        assert "the tool sees the same 3 migrations" in seen["msg"]
    older = script(scene.folder / "older", f'FLYWAY_TARGET=2 exec {launcher} "$@"\n')
    other = ok(scene.run("info", tool={"kind": "cli", "executable": str(older)}))
    assert other["differences"] == ["- 3 more (Pending)", "+ 3 more (Above Target)"]
    assert other["warnings"]
    project = scene.folder / "project"
    project.mkdir()
    script(project / "gradlew", f'echo "$@"\nexec {launcher} info\n')
    told = ok(scene.run("info", tool={"kind": "gradle", "directory": str(project)}))
    assert told["differences"] is None
    assert "flywayInfo" in told["tool"]["output"][0]
    assert any("more" in line and "Pending" in line for line in told["tool"]["output"])
    broken = script(scene.folder / "broken", "echo no memory >&2\nexit 3\n")
    failed(scene.run("info", tool={"kind": "cli", "executable": str(broken)}), "info failed", "no memory")
    assert scene.starts == 1


def test_a_user_that_may_only_read_is_refused_before(scene: Scene) -> None:
    ok(scene.run())
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    scene.sql(
        f"CREATE ROLE reader_{scene.schema} LOGIN PASSWORD 'reads-only'",
        f"GRANT USAGE ON SCHEMA {scene.schema} TO reader_{scene.schema}",
        f"GRANT SELECT ON flyway_schema_history TO reader_{scene.schema}",
    )
    login: dict[str, Any] = {"login_user": f"reader_{scene.schema}", "login_password": "reads-only"}
    told = failed(scene.run(check=True, **login), "may not INSERT here", "GRANT INSERT")
    assert (told["refusal"], scene.starts) == ("rights", 1)
    scene.sql(f"GRANT INSERT ON flyway_schema_history TO reader_{scene.schema}")
    warned = ok(scene.run(check=True, **login))
    assert any("may not make anything in schema" in str(text) for text in warned["warnings"])
    (scene.folder / "sql" / "V3__more.sql").unlink()
    assert ok(scene.run(**login))["changed"] is False


def test_a_statement_that_outlives_the_tool_is_named(scene: Scene) -> None:
    scene.write(V3__slow="CREATE TABLE slow (id int);\nSELECT pg_sleep(120);\n")
    told = failed(scene.run(timeout=14), "did not end in time", "still runs its statement", "pg_cancel_backend(")
    (left,) = told["still_running"]
    assert f"Process {left['pid']}" in told["msg"]
    assert "held" in told["lock"]
    name = f"SELECT query, pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid = {left['pid']}"
    assert scene.sql(name) == [("SELECT pg_sleep(120)", True)]


def test_a_tool_that_does_not_end_is_ended_with_its_children(scene: Scene) -> None:
    pids = scene.folder / "pids"
    slow = script(scene.folder / "slow", f"sleep 300 & echo $! > {pids}\necho waiting for the lock\nwait\n")
    for kind in ("cli", "command"):
        told = failed(scene.run(tool={"kind": kind, "executable": str(slow)}, timeout=12), "did not end in time")
        assert told["tool"]["timed_out"] is True
    assert "No session of it is left" in told["msg"]
    assert told["tool"]["output"] == ["waiting for the lock"]
    assert told["changed"] is False
    child = Path(f"/proc/{pids.read_text().strip()}/stat")
    assert not child.exists() or child.read_text().split()[2] == "Z"


def test_a_program_that_migrates_when_it_starts(scene: Scene, launcher: Path) -> None:
    script(
        scene.folder / "service",
        f'env > {scene.folder}/environment\nexec env FLYWAY_PASSWORD="$DB_PASS" {launcher} migrate > /dev/null\n',
    )
    tool = {
        "kind": "command",
        "executable": "./service",
        "directory": str(scene.folder),
        "environment": {"DB_PASS": "{password}", "DB_URL": "{url}", "DB_USER": "{user}"},
    }
    os.environ["PRIVATE_TOKEN_OF_OURS"] = "not for others"
    try:
        done = ok(scene.run(tool=tool))
    finally:
        del os.environ["PRIVATE_TOKEN_OF_OURS"]
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    seen = (scene.folder / "environment").read_text()
    assert f"DB_URL=jdbc:postgresql://127.0.0.1:{scene.server.port}/{DATABASE}?ApplicationName=sre.runbooks-" in seen
    assert f"FLYWAY_SCHEMAS={scene.schema}\n" in seen
    assert "PRIVATE_TOKEN" not in seen
    failed(scene.run("repair", tool=tool), "cannot repair")
    scene.write(V3__more="CREATE TABLE more (id int);\n")
    noisy = script(scene.folder / "noisy", f"{launcher} migrate > /dev/null\necho stopping >&2\nexit 3\n")
    done = ok(scene.run(tool={"kind": "command", "executable": str(noisy)}))
    assert [each["version"] for each in done["applied"]] == ["3"]
    assert any("the tool ended with 3" in str(text) for text in done["warnings"])


def test_gradle_is_started_in_its_project(scene: Scene, launcher: Path) -> None:
    project = scene.folder / "project"
    project.mkdir()
    script(
        project / "gradlew",
        f'pwd > {scene.folder}/where\necho "$@" > {scene.folder}/arguments\nenv > {scene.folder}/environment\n'
        f"exec {launcher} migrate\n",
    )
    done = ok(scene.run(tool={"kind": "gradle", "directory": str(project), "arguments": ["-Penv=prod"]}))
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert (scene.folder / "where").read_text().strip() == str(project)
    assert (scene.folder / "arguments").read_text() == "--no-daemon --console=plain -Penv=prod flywayMigrate\n"
    seen = (scene.folder / "environment").read_text()
    assert f"FLYWAY_LOCATIONS=filesystem:{scene.folder}/sql\n" in seen
    assert f"FLYWAY_PASSWORD={scene.server.password}\n" in seen
    failed(scene.run(tool={"kind": "gradle"}), "tool.directory is needed for gradle")


@pytest.mark.skipif(
    shutil.which("mvn") is None and os.environ.get("STRICT") != "1", reason="there is no Maven on this machine"
)
def test_maven(scene: Scene) -> None:
    project = scene.folder / "project"
    project.mkdir()
    (project / "pom.xml").write_text(POM)
    tool = {"kind": "maven", "directory": str(project)}
    done = ok(scene.run(tool=tool, timeout=400))
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert scene.rows(), "the schema is that of the history, whatever the project's own file says"
    scene.write(V3__broken="SELECT nonsense();\n")
    failed(scene.run(tool=tool, timeout=400), "V3__broken.sql", "rolled it back", "nonsense")


POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>example</groupId>
  <artifactId>migrations</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <build>
    <plugins>
      <plugin>
        <groupId>org.flywaydb</groupId>
        <artifactId>flyway-maven-plugin</artifactId>
        <version>10.20.1</version>
        <configuration>
          <defaultSchema>elsewhere</defaultSchema>
          <schemas><schema>elsewhere</schema></schemas>
        </configuration>
        <dependencies>
          <dependency>
            <groupId>org.flywaydb</groupId>
            <artifactId>flyway-database-postgresql</artifactId>
            <version>10.20.1</version>
          </dependency>
          <dependency>
            <groupId>org.postgresql</groupId>
            <artifactId>postgresql</artifactId>
            <version>42.7.4</version>
          </dependency>
        </dependencies>
      </plugin>
    </plugins>
  </build>
</project>
"""


def test_a_java_migration_makes_the_plan_uncertain(scene: Scene) -> None:
    ok(scene.run())
    scene.sql(
        "INSERT INTO flyway_schema_history (installed_rank, version, description, type, script, installed_by, "
        "execution_time, success) VALUES (3, '3', 'java one', 'JDBC', 'db.V3__java_one', 'x', 1, true)"
    )
    scene.write(V4__more="CREATE TABLE more (id int);\n")
    told = failed(scene.run(), "is a Java migration", "allow_unverifiable")
    assert told["refusal"] == "unverifiable"
    planned = ok(scene.run(check=True, allow_unverifiable=True))
    assert [each["version"] for each in planned["plan"]["pending"]] == ["4"]


def test_a_wrong_password_is_one_line(scene: Scene) -> None:
    failed(scene.run(login_password="wrong-password"), "Check the user and the password")
    assert scene.starts == 0


@pytest.mark.parametrize(
    ("tool", "told"),
    [
        ({"kind": "cli", "executable": "no-such-flyway"}, "no-such-flyway is not on PATH here"),
        ({"kind": "cli", "executable": "/nonexistent/flyway"}, "is not a program that may be started"),
        ({"kind": "command"}, "tool.executable is needed"),
        ({"kind": "cli", "directory": "/nonexistent"}, "is no folder"),
    ],
)
def test_a_tool_that_cannot_be_started(scene: Scene, tool: dict[str, Any], told: str) -> None:
    failed(scene.run(tool=tool), told)


def test_a_broken_tool_is_one_line(scene: Scene) -> None:
    no_interpreter = scene.folder / "broken"
    no_interpreter.write_text("#!/no/such/interpreter\n")
    no_interpreter.chmod(0o755)
    failed(scene.run(tool={"kind": "cli", "executable": str(no_interpreter)}), "cannot be started")
    crash = script(scene.folder / "crash", "echo 'Exception in thread main: no memory' >&2\nexit 134\n")
    told = failed(scene.run(tool={"kind": "cli", "executable": str(crash)}), "ended with 134", "no memory")
    assert told["changed"] is False


def test_output_is_bounded_and_without_secrets(scene: Scene) -> None:
    loud = script(
        scene.folder / "loud",
        'i=0; while [ $i -lt 20000 ]; do echo "line $i"; i=$((i+1)); done; echo "connecting with $FLYWAY_PASSWORD"\nexit 1\n',
    )
    told = failed(scene.run(tool={"kind": "command", "executable": str(loud)}))
    assert len(told["tool"]["output"]) <= 40
    assert told["tool"]["output"][-1] == "connecting with [redacted]"


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder


def test_no_backup_no_migration(scene: Scene, backups: Path) -> None:
    wanted = {"directory": str(backups), "set": "all", "max_age_hours": 1}
    told = failed(scene.run(require_backup=wanted), "there is no good one: run the backup first")
    assert (told["refusal"], scene.starts) == ("backup", 0)
    failed(scene.run(require_backup=wanted, check=True), "there is no good one")


def test_a_fresh_backup_of_this_database_is_enough(scene: Scene, backups: Path) -> None:
    make_backup(scene, backups, DATABASE)
    wanted = {"directory": str(backups), "set": "all", "max_age_hours": 1}
    failed(scene.run(require_backup={**wanted, "database": "other_db"}), "does not hold the database", "other_db")
    failed(scene.run(require_backup=wanted, login_db="postgres"), "does not hold the database postgres")
    time.sleep(0.1)
    failed(scene.run(require_backup={**wanted, "max_age_hours": 0.00001}), "hours old, the newest good one")
    done = ok(scene.run(require_backup=wanted))
    assert done["backup"]["verified"] is True
    assert [each["version"] for each in done["applied"]] == ["1", "2"]
    assert ok(scene.run(require_backup={**wanted, "set": "none"}))["changed"] is False


def test_a_backup_of_a_database_of_the_same_name_elsewhere_is_not_enough(scene: Scene, backups: Path) -> None:
    make_backup(scene, backups, DATABASE)
    (manifest,) = backups.glob("all/*/manifest.json")
    held = json.loads(manifest.read_text())
    for each in held["databases"]:
        each["system_identifier"] = "7000000000000000001"
    manifest.write_text(json.dumps(held))
    wanted = {"directory": str(backups), "set": "all"}
    told = failed(scene.run(require_backup=wanted), "on another server", "7000000000000000001")
    assert (told["refusal"], scene.starts) == ("backup", 0)


def make_backup(scene: Scene, backups: Path, database: str) -> None:
    from tests.integration.backup_scene import Scene as BackupScene

    made = BackupScene(scene.server, backups, set="all")
    made.backup(databases=[{"name": "the-one", "login_db": database}], marker=False)


def test_flyway_itself_agrees_afterwards(scene: Scene, launcher: Path) -> None:
    ok(scene.run())
    done = subprocess.run(
        [str(launcher), "validate", "-outputType=json"],
        env={
            **os.environ,
            "FLYWAY_URL": f"jdbc:postgresql://127.0.0.1:{scene.server.port}/{DATABASE}",
            "FLYWAY_USER": "postgres",
            "FLYWAY_PASSWORD": scene.server.password,
            "FLYWAY_SCHEMAS": scene.schema,
            "FLYWAY_LOCATIONS": f"filesystem:{scene.folder}/sql",
        },
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert json.loads(done.stdout)["validationSuccessful"] is True

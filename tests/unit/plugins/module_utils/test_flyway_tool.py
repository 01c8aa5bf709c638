# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the project's tool is started, and what can be read from what it prints."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_tool, program_run
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import Settings

LOGIN = {"host": "db.example", "port": "5433", "dbname": "shop", "user": "flyway", "password": "hunter22"}


def tool(item: dict[str, Any] | None = None, command: str = "migrate", **options: Any) -> flyway_tool.Tool:
    given = {
        "kind": "command",
        "executable": sys.executable,
        "directory": None,
        "arguments": [],
        "environment": {},
        **options,
    }
    history = {"name": "one", "locations": ["filesystem:/srv/sql"], **(item or {})}
    return flyway_tool.of(given, command, Settings.of(history), history, LOGIN)


def answer(text: str, folder: Path, code: int = 0, error: str = "", kind: str = "cli") -> flyway_tool.Answer:
    (folder / "out").write_text(text)
    script = f"import sys; print(open({str(folder / 'out')!r}).read()); sys.stderr.write({error!r}); sys.exit({code})"
    program = folder / "program"
    program.write_text(f"#!{sys.executable}\n{script}\n")
    program.chmod(0o755)
    return flyway_tool.run(tool(kind=kind, executable=str(program)), 30, lambda seconds: None)


def test_settings_are_given_by_environment_and_nothing_secret_by_arguments() -> None:
    made = tool(
        {"schema": "cases", "table": "history", "out_of_order": True, "target": "7", "placeholders": {"Region": "eu"}}
    )
    seen = made.environment
    assert seen["FLYWAY_URL"] == f"jdbc:postgresql://db.example:5433/shop?ApplicationName={made.application_name}"
    assert seen["FLYWAY_DEFAULT_SCHEMA"] == "cases", "of the project's own files none may name another one"
    assert (seen["FLYWAY_USER"], seen["FLYWAY_PASSWORD"]) == ("flyway", "hunter22")
    assert (seen["FLYWAY_SCHEMAS"], seen["FLYWAY_TABLE"], seen["FLYWAY_TARGET"]) == ("cases", "history", "7")
    assert (seen["FLYWAY_OUT_OF_ORDER"], seen["FLYWAY_CLEAN_DISABLED"]) == ("true", "true")
    assert seen["FLYWAY_LOCATIONS"] == "filesystem:/srv/sql"
    assert seen["FLYWAY_IGNORE_MIGRATION_PATTERNS"] == "*:future"
    assert seen["FLYWAY_PLACEHOLDERS_REGION"] == "eu"
    assert "FLYWAY_SQL_MIGRATION_PREFIX" not in seen
    assert not any("hunter22" in word for word in made.command)
    assert "hunter22" not in repr(made)


def test_what_differs_from_flyways_defaults_is_given() -> None:
    seen = tool({"sql_migration_prefix": "M", "ignore_migration_patterns": [], "placeholder_replacement": False})
    assert seen.environment["FLYWAY_SQL_MIGRATION_PREFIX"] == "M"
    assert seen.environment["FLYWAY_IGNORE_MIGRATION_PATTERNS"] == ""
    assert seen.environment["FLYWAY_PLACEHOLDER_REPLACEMENT"] == "false"


def test_relative_locations_are_those_of_the_working_directory() -> None:
    seen = tool({"locations": ["filesystem:sql", "classpath:db"], "working_directory": "/srv/app"}).environment
    assert seen["FLYWAY_LOCATIONS"] == "filesystem:/srv/app/sql,classpath:db"


def test_our_own_environment_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLYWAY_URL", "jdbc:postgresql://elsewhere/db")
    monkeypatch.setenv("FLYWAY_TARGET", "1")
    monkeypatch.setenv("VAULT_TOKEN", "s.abcdefgh")
    monkeypatch.setenv("JAVA_HOME", "/opt/java")
    seen = tool().environment
    assert seen["FLYWAY_URL"].startswith("jdbc:postgresql://db.example")
    assert "FLYWAY_TARGET" not in seen
    assert "VAULT_TOKEN" not in seen
    assert seen["JAVA_HOME"] == "/opt/java"


@pytest.mark.parametrize(
    ("parameters", "url"),
    [
        ({"host": "h", "dbname": "d"}, "jdbc:postgresql://h:5432/d"),
        ({"dbname": "d"}, "jdbc:postgresql://localhost:5432/d"),
        ({"host": "a,b", "port": "1", "dbname": "d"}, "jdbc:postgresql://a:1,b:1/d?targetServerType=primary"),
        (
            {"host": "h", "dbname": "d", "target_session_attrs": "primary"},
            "jdbc:postgresql://h:5432/d?targetServerType=primary",
        ),
        ({"host": "::1", "dbname": "d"}, "jdbc:postgresql://[::1]:5432/d"),
        (
            {"host": "h", "dbname": "d", "sslmode": "verify-full", "sslrootcert": "/ca"},
            "jdbc:postgresql://h:5432/d?sslmode=verify-full&sslrootcert=/ca",
        ),
    ],
)
def test_the_address_for_java(parameters: dict[str, str], url: str) -> None:
    assert flyway_tool.jdbc_url(parameters) == url


def test_a_socket_is_refused() -> None:
    with pytest.raises(InputError, match="socket"):
        flyway_tool.jdbc_url({"host": "/var/run/postgresql"})


@pytest.mark.parametrize(
    "argument", ["-password=x", "-Dflyway.password=x", "--PGPASSWORD=abc", "--db-passwd =x", "{password}", "-token=x"]
)
def test_a_secret_argument_is_refused(argument: str) -> None:
    with pytest.raises(InputError, match=r"tool\.arguments holds a password") as caught:
        tool(arguments=[argument])
    assert argument not in caught.value.message


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('{"error": {"errorCode": "FAULT", "message": "it broke\\n-----\\nhere"}}', "it broke : here"),
        ('WARNING: old\n{"success": false, "error": {"message": "no"}}', "no"),
        ('[{"success": true}, {"error": {"message": "second"}}]', "second"),
        ('{"individualResults": [{"operation": "migrate", "error": {"message": "inner"}}]}', "inner"),
        ('{"error": "plain text"}', "plain text"),
    ],
)
def test_errors_stand_in_json_on_standard_output_whatever_its_shape(text: str, error: str, tmp_path: Path) -> None:
    for code in (0, 1):
        assert answer(text, tmp_path, code).error == error


def test_json_of_a_service_is_its_log_and_not_the_word_of_flyway(tmp_path: Path) -> None:
    log = '{"level":"INFO","message":"Starting"}\n{"level":"ERROR","message":"Migration V2 failed"}\n{"level":"INFO","message":"bye"}'
    found = answer(log, tmp_path, 1, kind="command")
    assert "Migration V2 failed" in found.error
    assert found.output == log.splitlines()
    assert found.told == []


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("cli", "-url=jdbc:postgresql://elsewhere/db"),
        ("cli", "-cleanDisabled=false"),
        ("cli", "clean"),
        ("cli", "-defaultSchema=identity"),
        ("cli", "-schemas=identity"),
        ("cli", "-configFiles=other.conf"),
        ("cli", "-environment=prod"),
        ("cli", "-environments.default.url=x"),
        ("cli", "-placeholders.region=eu"),
        ("cli", "-target=3"),
        ("maven", "-Dflyway.defaultSchema=identity"),
        ("maven", "-Dflyway.url=x"),
        ("maven", "flyway:clean"),
        ("maven", "org.flywaydb:flyway-maven-plugin:10.0.0:clean"),
        ("gradle", "-Pflyway.schemas=identity"),
        ("gradle", "-Dflyway.locations=x"),
        ("gradle", "flywayClean"),
        ("gradle", ":app:flywayClean"),
    ],
)
def test_arguments_may_not_name_another_history_or_deed(kind: str, argument: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tool\.arguments (sets|has)"):
        tool(kind=kind, directory=str(tmp_path), arguments=[argument])


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("cli", "-X"),
        ("cli", "-connectRetries=3"),
        ("cli", "-jarDirs=/opt/drivers"),
        ("maven", "-Pprod"),
        ("maven", "process-resources"),
        ("maven", "-Dflyway.connectRetries=3"),
        ("gradle", "-Penv=prod"),
        ("gradle", "processResources"),
        ("command", "--spring.flyway.connect-retries=3"),
    ],
)
def test_other_arguments_are_passed_on(kind: str, argument: str, tmp_path: Path) -> None:
    assert argument in tool(kind=kind, directory=str(tmp_path), arguments=[argument]).command


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FLYWAY_URL", "jdbc:postgresql://elsewhere/db"),
        ("FLYWAY_DEFAULT_SCHEMA", "identity"),
        ("FLYWAY_CLEAN_DISABLED", "false"),
        ("FLYWAY_CONFIG_FILES", "other.conf"),
        ("FLYWAY_PLACEHOLDERS_REGION", "eu"),
        ("MAVEN_OPTS", "-Xmx1g -Dflyway.table=other"),
    ],
)
def test_the_environment_may_not_name_another_history(name: str, value: str) -> None:
    with pytest.raises(InputError, match=r"tool\.environment sets Flyway's"):
        tool(environment={name: value})
    assert tool(environment={"FLYWAY_CONNECT_RETRIES": "3"}).environment["FLYWAY_CONNECT_RETRIES"] == "3"


def test_the_encoding_is_given_as_it_was_written() -> None:
    assert tool({"encoding": "UTF-16LE"}).environment["FLYWAY_ENCODING"] == "UTF-16LE"
    assert tool().environment["FLYWAY_ENCODING"].upper() == "UTF-8"


def test_the_vendor_of_spring_is_postgresql() -> None:
    seen = tool({"locations": ["classpath:db/migration/{vendor}", "filesystem:/srv/{vendor}"]}).environment
    assert seen["FLYWAY_LOCATIONS"] == "classpath:db/migration/postgresql,filesystem:/srv/postgresql"


def test_success_is_silent(tmp_path: Path) -> None:
    found = answer('{"success": true, "flywayVersion": "12.5.0", "warnings": ["old driver"]}', tmp_path)
    assert (found.error, found.version, found.warnings, found.output) == ("", "12.5.0", ["old driver"], [])


def test_output_that_is_cut_is_no_success_by_itself(tmp_path: Path) -> None:
    found = answer('{"success": true, "migrations": [', tmp_path, code=1, error="ERROR: killed")
    assert found.error == "ERROR: killed"


def test_words_of_maven_and_gradle(tmp_path: Path) -> None:
    maven = "[INFO] scanning\n[ERROR] Failed to execute goal\n[ERROR] -> [Help 1]\nBUILD FAILURE"
    assert answer(maven, tmp_path, 1).error == "Failed to execute goal"
    gradle = "\n> Task :flywayMigrate FAILED\n\n* What went wrong:\nExecution failed for task ':flywayMigrate'.\n"
    assert "Execution failed for task" in answer(gradle, tmp_path, 1).error
    assert answer("", tmp_path, 1).error == "it printed nothing"


def test_the_password_is_struck_out_of_what_is_printed(tmp_path: Path) -> None:
    found = answer(json.dumps({"error": {"message": "cannot log in with hunter22"}}), tmp_path)
    assert found.error == "cannot log in with [redacted]"


def test_a_program_is_bounded_in_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_run, "MOST_BYTES", 1000)
    ended = program_run.run([sys.executable, "-c", "print('x' * 100000); print('end')"], {}, None, 30)
    assert len(ended.stdout) == 1000
    assert ended.stdout.endswith(b"end\n")
    assert (ended.code, ended.timed_out) == (0, False)


def test_a_child_that_holds_the_output_open_does_not_hold_us() -> None:
    ended = program_run.run(["/bin/sh", "-c", "sleep 300 & echo done"], {"PATH": "/usr/bin:/bin"}, None, 60)
    assert (ended.code, ended.stdout, ended.timed_out) == (0, b"done\n", False)
    assert ended.seconds < 50


def test_a_program_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program_run, "TERM_SECONDS", 0.2)
    ticks: list[float] = []
    script = "trap '' TERM; echo started; while :; do sleep 0.1; done"
    ended = program_run.run(["/bin/sh", "-c", script], {"PATH": "/usr/bin:/bin"}, None, 1.5, ticks.append)
    assert (ended.code, ended.timed_out, ended.stdout) == (-9, True, b"started\n")
    assert ticks


def test_a_program_does_not_outlive_whoever_started_it(tmp_path: Path) -> None:
    """Killed without a chance to clean up, as by the time limit of a task."""
    script = (
        "from ansible_collections.sre.runbooks.plugins.module_utils import program_run\n"
        f"program_run.run(['/bin/sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 300'], {{}}, None, 300)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as us:
        pid = wait_for(lambda: (tmp_path / "pid").read_text().strip() if (tmp_path / "pid").exists() else "")
        us.send_signal(signal.SIGKILL)
    assert wait_for(lambda: ended(int(pid)))


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def wait_for(look: Any) -> Any:
    end = time.monotonic() + 30
    while not (found := look()):
        assert time.monotonic() < end, "it did not come about within 30 s"
        time.sleep(0.05)
    return found

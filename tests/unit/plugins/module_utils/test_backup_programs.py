# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs that are missing, old, slow, noisy or failing: each one clear line, and none left behind."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import backup_programs
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError, InputError

HOW: dict[str, Any] = {"sslmode": "require", "ca_path": "/etc/ca.pem", "connect_timeout_seconds": 5.0}


def program(folder: Path, script: str) -> backup_programs.Program:
    path = folder / "pg_dump"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return backup_programs.Program("pg_dump", str(path), "18.6", 18)


def deadline(seconds: float = 30) -> Deadline:
    return Deadline(seconds, Clock())


@pytest.mark.parametrize(
    ("words", "version", "major"),
    [
        ("pg_dump (PostgreSQL) 18.6", "18.6", 18),
        ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18", 15),
        ("pg_dump (PostgreSQL) 19beta1", "19beta1", 19),
    ],
)
def test_versions(tmp_path: Path, words: str, version: str, major: int) -> None:
    program(tmp_path, f"echo '{words}'")
    found = backup_programs.find("pg_dump", str(tmp_path), deadline())
    assert (found.version, found.major) == (version, major)
    backup_programs.refuse_older(found, f"{major}.1", "shop")
    with pytest.raises(InputError, match=f"is older than the server of shop, {major + 1}.0"):
        backup_programs.refuse_older(found, f"{major + 1}.0", "shop")


def test_what_is_no_pg_dump(tmp_path: Path) -> None:
    program(tmp_path, "echo something else")
    with pytest.raises(InputError, match="does not name a version"):
        backup_programs.find("pg_dump", str(tmp_path), deadline())
    with pytest.raises(InputError, match=r"pg_restore is not in .* bin_dir"):
        backup_programs.find("pg_restore", str(tmp_path), deadline())
    program(tmp_path, "sleep 60")
    with pytest.raises(InputError, match="gave no answer"):
        backup_programs.find("pg_dump", str(tmp_path), deadline(0.3))


def test_the_password_is_in_no_argument() -> None:
    parameters = {"host": "db one", "dbname": "postgres", "user": "o'brien", "password": "correct-horse"}
    told = backup_programs.conninfo(parameters, HOW, "a 'b'")
    assert "correct-horse" not in told
    assert "sslmode=require" in told
    assert r"dbname='a \'b\''" in told
    assert backup_programs.environment(parameters)["PGPASSWORD"] == "correct-horse"
    with pytest.raises(InputError, match="sslpassword"):
        backup_programs.conninfo({"sslpassword": "x"}, HOW, "a")


def run(made: backup_programs.Program, seconds: float = 30) -> bytes:
    with backup_programs.running(made, [], os.environ, deadline(seconds), "pg_dump of shop") as running:
        content = running.stdout.read()
        running.end()
    assert running.process.poll() is not None
    return content


def test_its_end(tmp_path: Path) -> None:
    assert run(program(tmp_path, "echo content")) == b"content\n"
    with pytest.raises(backup_programs.ProgramError, match=r"ended with code 3: first second$"):
        run(program(tmp_path, "echo first >&2; echo second >&2; exit 3"))
    with pytest.raises(backup_programs.ProgramError, match=r"ended with code 1: .*password=.redacted"):
        run(program(tmp_path, "echo password=correct-horse >&2; exit 1"))
    with pytest.raises(backup_programs.ProgramError, match="signal 9"):
        run(program(tmp_path, "kill -9 $$"))
    with pytest.raises(backup_programs.ProgramError) as error:
        run(program(tmp_path, "yes noise | head -c 1000000 >&2; exit 1"))
    assert len(error.value.message) < 1000
    with pytest.raises(DeadlineError, match=r"was ended after 0 s\. Raise 'timeout'"):
        run(program(tmp_path, "exec sleep 60"), 0.3)


def test_it_does_not_outlive_an_error(tmp_path: Path) -> None:
    made = program(tmp_path, "exec sleep 60")
    with (
        pytest.raises(ZeroDivisionError),
        backup_programs.running(made, [], os.environ, deadline(), "pg_dump") as running,
    ):
        raise ZeroDivisionError
    assert running.process.poll() is not None
    with pytest.raises(InputError, match="cannot be run"):
        (tmp_path / "pg_dump").chmod(0o644)
        run(made)

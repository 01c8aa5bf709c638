# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""flyway_status as Ansible runs it: arguments, check mode, a database that is not there, a library that is missing."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import flyway_status
from tests.unit.plugins.module_runner import run_module

ONE = {"name": "one", "locations": ["filesystem:/nowhere"]}


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def ask(capsys: pytest.CaptureFixture[str], check: bool = False, **arguments: Any) -> dict[str, Any]:
    target = {"login_host": "127.0.0.1", "login_port": closed_port(), "login_user": "x", "login_db": "shop"}
    return run_module(flyway_status, capsys, check, **{**target, "histories": [ONE], **arguments})


@pytest.mark.parametrize("check", [False, True])
def test_a_server_that_is_not_there_is_a_check(capsys: pytest.CaptureFixture[str], check: bool) -> None:
    result = ask(capsys, check, runbook="3.1")
    assert (result["verdict"], result["changed"]) == ("fail", False)
    (row,) = result["checks"]
    assert (row["id"], row["status"], row["runbook"]) == ("flyway.one", "fail", "3.1")
    assert "refused" in row["observed"].lower()
    assert result["histories"][0]["exists"] == "unknown"
    assert result["histories"][0]["migrations"] == []


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"histories": []}, "histories is empty"),
        ({"histories": [ONE, ONE]}, "twice"),
        ({"histories": [ONE, {**ONE, "name": "one.lock"}]}, "with a dot behind it"),
        ({"histories": [{**ONE, "target": "one"}]}, "one: target: 'one' is no version"),
        ({"histories": [{**ONE, "ignore_migration_patterns": ["x"]}]}, "'x' is no pattern"),
        ({"histories": [{**ONE, "schema": ""}]}, "schema is empty"),
        ({"histories": [{**ONE, "encoding": "klingon"}]}, "klingon"),
        ({"histories": [{**ONE, "locations": ["filesystem:sql"]}]}, "working_directory"),
        ({"histories": [{**ONE, "locations": ["file:/sql"]}]}, "the prefix must be one of"),
        ({"max_lock_seconds": -1}, "max_lock_seconds is -1"),
        ({"login_host": " "}, "login_host is empty"),
        ({"timeout": 0}, "timeout is 0"),
    ],
)
def test_arguments_that_are_wrong(capsys: pytest.CaptureFixture[str], arguments: dict[str, Any], word: str) -> None:
    result = ask(capsys, **arguments)
    assert result["failed"]
    assert word in result["msg"]


def test_a_missing_library_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "psycopg2-binary", ImportError("no such module"))
    assert "psycopg2-binary" in ask(capsys)["msg"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.modules import backoffice_store
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
CLOSED = "jdbc:postgresql://127.0.0.1:1/backoffice"


@pytest.fixture(autouse=True)
def without_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BACKOFFICE_DB_URL", "BACKOFFICE_DB_USER", "BACKOFFICE_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)


def test_a_closed_port_is_a_failed_check_with_the_documented_keys(capsys: Capture) -> None:
    result = run_module(backoffice_store, capsys, database_url=CLOSED, login_password="correct-horse")
    assert result["verdict"] == "fail"
    assert result["changed"] is False
    reachable = next(row for row in result["checks"] if row["id"] == "store.reachable")
    assert reachable["status"] == "fail"
    assert "Connection refused. Is the server running" in reachable["observed"]
    assert "correct-horse" not in str(result)
    documented = {line.rstrip(":") for line in backoffice_store.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(result) - {"changed", "invocation"}
    assert run_module(backoffice_store, capsys, True, database_url=CLOSED, login_password="correct-horse") == result


def test_the_runbooks_variables_are_defaults(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKOFFICE_DB_URL", CLOSED)
    monkeypatch.setenv("BACKOFFICE_DB_USER", "monitor")
    monkeypatch.setenv("BACKOFFICE_DB_PASSWORD", "correct-horse")
    result = run_module(backoffice_store, capsys)
    assert result["mode"] == "postgresql"
    assert result["database"]["user"] == "monitor"
    assert "correct-horse" not in str(result)


def test_a_password_in_the_url_is_shown_nowhere(capsys: Capture) -> None:
    url = CLOSED + "?user=svc&password=correct-horse"
    for given in (url, url.replace("127.0.0.1:1/", "127.0.0.1:1")):
        assert "correct-horse" not in str(run_module(backoffice_store, capsys, database_url=given))


def test_strings_as_surveys_send_them(capsys: Capture) -> None:
    result = run_module(backoffice_store, capsys, required="false", service_environment={"BACKOFFICE_DB_ENABLE": "0"})
    assert result["verdict"] == "pass"
    assert result["mode"] == "memory"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"database_url": "jdbc:postgresql://localhost"}, "no slash behind the host"),
        ({"service_environment": {"JWT_HS256_SECRET": "correct-horse"}}, "leave secrets out of it"),
        ({"service_pid": ""}, "service_pid"),
        ({"login_password": "x", "database_url": CLOSED}, "fewer than 3 characters"),
        ({"statement_timeout_ms": 0, "database_url": CLOSED}, "statement_timeout_ms is 0"),
    ],
)
def test_bad_arguments_are_one_line(capsys: Capture, arguments: dict[str, Any], words: str) -> None:
    result = run_module(backoffice_store, capsys, **arguments)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "\n" not in result["msg"]
    assert "Traceback" not in str(result)


def test_without_its_library(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(libraries._missing, "psycopg2-binary", ImportError("No module named 'psycopg2'"))
    result = run_module(backoffice_store, capsys, database_url=CLOSED)
    assert result["failed"] is True
    assert "cannot import psycopg2-binary" in result["msg"]
    assert result["missing_libraries"] == ["psycopg2-binary"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it, over a systemctl on a PATH of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import service_control
from tests.unit.plugins.fake_systemctl import STARTED, Home, unit
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
RUNS = unit("active", "running", MainPID="42", **STARTED)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Home(tmp_path)


def control(capsys: Capture, check: bool = False, **arguments: Any) -> dict[str, Any]:
    return run_module(service_control, capsys, check, **{"manager": "systemd", "settle_seconds": 0, **arguments})


def test_query(home: Home, capsys: Capture) -> None:
    home.write({"backoffice": RUNS})
    result = control(capsys, services=["backoffice", "gateway"])
    assert result["changed"] is False
    assert result["verdict"] == "unverified"
    assert [row["state"] for row in result["services"]] == ["running", "unknown"]
    assert result["services"][0]["started_at"] == "2031-04-02T08:00:01Z"
    assert home.calls() == []


def test_the_cycle(home: Home, capsys: Capture) -> None:
    home.write({"kafka": unit(), "backoffice": unit(on_start="job")})
    wanted: dict[str, Any] = {"services": ["kafka", "backoffice"], "state": "started"}
    planned = control(capsys, check=True, **wanted)
    assert planned["changed"] is True
    assert home.calls() == []
    done = control(capsys, **wanted)
    assert done["changed"] is True
    assert [row["after"]["state"] for row in done["services"]] == ["running", "running"]
    assert [row["action"] for row in done["services"]] == [row["action"] for row in planned["services"]]
    assert control(capsys, **wanted)["changed"] is False
    undone = control(capsys, services=wanted["services"], state="stopped")
    assert [row["after"]["state"] for row in undone["services"]] == ["stopped", "stopped"]
    assert [call.split()[2] + " " + call.split()[-1] for call in home.calls()] == [
        *("start kafka", "start backoffice"),
        *("stop backoffice", "stop kafka"),
    ]


@pytest.mark.parametrize("how", ["die", "retry"])
def test_a_unit_that_ends_at_once(home: Home, capsys: Capture, how: str) -> None:
    home.write(
        {"backoffice": unit(on_start=how)},
        journal="Exception in thread main: java.net.BindException: Address already in use\n\tat Net.bind0\n",
    )
    result = control(capsys, services=["backoffice"], state="started")
    assert result["failed"] is True
    assert result["msg"].startswith("backoffice was started and ended: it is failed (exit status 1,")
    assert "Address already in use" in result["msg"]
    assert "\n" not in result["msg"]
    assert result["changed"] is True
    assert len(result["log_tail"]) == 2
    assert result["services"][0]["after"]["exit_code"] == 1


def test_permission_denied(home: Home, capsys: Capture) -> None:
    home.write({"backoffice": unit(on_start="deny")})
    result = control(capsys, services=["backoffice"], state="started")
    assert result["failed"] is True
    assert "Interactive authentication required. (run the task as root" in result["msg"]
    assert result["changed"] is False


def test_no_manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert control(capsys, services=["backoffice"])["verdict"] == "unverified"
    result = control(capsys, services=["backoffice"], state="stopped")
    assert result["failed"] is True
    assert result["msg"].startswith("systemctl is not on PATH")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"services": []}, "services is empty"),
        ({"services": ["a"], "manager": "supervisor"}, "supervisor_socket, supervisor_url"),
        (
            {"services": ["a"], "manager": "supervisor", "supervisor_url": "localhost"},
            "not of the form http://host:port",
        ),
        (
            {"services": ["a"], "manager": "supervisor", "supervisor_url": "http://h:1", "supervisor_socket": "/s"},
            "mutually exclusive",
        ),
        ({"services": ["a"], "state": "restarted", "not_before": "soon"}, "not_before: 'soon' is not an ISO 8601"),
        ({"services": ["a"], "timeout": ""}, "timeout"),
        ({"services": ["a"], "timeout": 0}, "timeout"),
        ({"services": ["a"], "state": "reloaded"}, "value of state must be one of"),
    ],
)
def test_bad_arguments_are_one_line(home: Home, capsys: Capture, arguments: dict[str, Any], words: str) -> None:
    home.write({"a": RUNS})
    result = control(capsys, **arguments)
    assert result["failed"] is True
    assert words in result["msg"]
    assert "Traceback" not in result["msg"]
    assert home.calls() == []


def test_the_password_is_shown_nowhere(capsys: Capture) -> None:
    result = control(
        capsys,
        manager="supervisor",
        supervisor_url="http://127.0.0.1:1",
        supervisor_username="ops",
        supervisor_password="correct-horse",
        services=["correct-horse-service"],
    )
    assert result["verdict"] == "unverified"
    assert "correct-horse" not in str(result)

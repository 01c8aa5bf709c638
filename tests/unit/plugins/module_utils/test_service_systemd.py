# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""systemd through a systemctl made of a JSON file, found on PATH like the real one."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError
from ansible_collections.sre.runbooks.plugins.module_utils.service_model import ManagerError
from ansible_collections.sre.runbooks.plugins.module_utils.service_systemd import Systemd
from tests.unit.plugins.fake_systemctl import ENDED, STARTED, Home, unit
from tests.unit.plugins.module_runner import FakeClock

RUNS = unit("active", "running", MainPID="42", **STARTED)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("PATH", str(tmp_path))
    return Home(tmp_path)


@pytest.fixture
def systemd() -> Systemd:
    return Systemd(Deadline(60, FakeClock()), "system")


def test_every_state(home: Home, systemd: Systemd) -> None:
    units = {
        "runs": RUNS,
        "oneshot": unit("active", "exited"),
        "reloads": unit("reloading", "reload", MainPID="43"),
        "comes": unit("activating", "start", MainPID="44"),
        "goes": unit("deactivating", "stop-sigterm", MainPID="45"),
        "down": unit(),
        "queued": unit(Job="12"),
        "dead": unit("failed", "failed", **{**STARTED, **ENDED, "Result": "exit-code"}),
        "killed": unit("failed", "failed", **{**STARTED, **ENDED, "ExecMainCode": "2", "ExecMainStatus": "9"}),
        "loops": unit("activating", "auto-restart", **{**STARTED, **ENDED, "NRestarts": "7"}),
    }
    home.write(units)
    seen = systemd.read(list(units))
    assert {name: (status.state, status.active, status.pid, status.exit_code) for name, status in seen.items()} == {
        "runs": ("running", True, 42, None),
        "oneshot": ("running", True, None, None),
        "reloads": ("running", True, 43, None),
        "comes": ("starting", True, 44, None),
        "goes": ("stopping", True, 45, None),
        "down": ("stopped", False, None, None),
        "queued": ("starting", True, None, None),
        "dead": ("failed", False, None, 1),
        "killed": ("failed", False, None, -9),
        "loops": ("failed", True, None, 1),
    }
    assert seen["runs"].since == seen["runs"].started == 1932883201.0
    assert (seen["dead"].started, seen["dead"].since) == (1932883201.0, 1932883202.0)
    assert seen["loops"].detail["restarts"] == 7
    assert seen["down"].as_dict()["since"] is None


def test_a_unit_that_cannot_be_used_is_unknown_with_the_reason(home: Home, systemd: Systemd) -> None:
    home.write({"masked": unit(LoadState="masked")})
    seen = systemd.read(["masked", "backoffce"])
    assert seen["masked"].problem == "systemd (system) has no usable unit 'masked': masked"
    assert seen["backoffce"].state == "unknown"
    assert "no usable unit 'backoffce': not-found" in seen["backoffce"].problem


def test_start_and_stop_do_not_wait_and_name_the_unit_after_a_double_dash(home: Home, systemd: Systemd) -> None:
    home.write({"x": unit()})
    systemd.start("x")
    assert systemd.read(["x"])["x"].pid == 4711
    systemd.stop("x")
    assert systemd.read(["x"])["x"].exit_code == -15
    assert home.calls() == [
        "systemctl --no-ask-password start --no-block -- x",
        "systemctl --no-ask-password stop --no-block -- x",
    ]


def test_a_unit_at_its_start_limit_is_reset_before_the_start(home: Home, systemd: Systemd) -> None:
    home.write({"x": unit("failed", "failed", Result="start-limit-hit")})
    systemd.start("x")
    assert systemd.read(["x"])["x"].state == "running"
    assert "reset-failed" in home.calls()[0]


def test_user_scope(home: Home) -> None:
    home.write({"x": RUNS}, journal="line\n")
    user = Systemd(Deadline(60, FakeClock()), "user")
    user.stop("x")
    assert user.last_lines("x") == "line\n"
    calls = (home.folder / "calls.log").read_text()
    assert "systemctl --user --no-ask-password stop" in calls
    assert "journalctl --user" in calls
    assert "--user-unit=x" in calls


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("Failed to start x.service: Interactive authentication required.\n", "run the task as root"),
        ("Failed to connect to bus: No medium found\n", "XDG_RUNTIME_DIR"),
        (
            "System has not been booted with systemd as init system (PID 1).\nFailed to connect to bus\n",
            "does not run systemd",
        ),
        ("", "ended with 1: no reason given"),
    ],
)
def test_a_refusal_names_command_reason_and_remedy(home: Home, systemd: Systemd, said: str, words: str) -> None:
    home.write({"x": RUNS}, broken=said or " ")
    with pytest.raises(ManagerError) as caught:
        systemd.read(["x"])
    assert words in caught.value.message
    assert caught.value.message.startswith("systemctl show x ended with 1")
    assert "\n" not in caught.value.message
    assert systemd.last_lines("x") == ""


def test_no_systemd_at_all(systemd: Systemd, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ManagerError, match="systemctl is not on PATH: this machine does not run systemd"):
        systemd.read(["x"])


def test_a_systemctl_that_hangs_is_given_up(systemd: Systemd, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.sre.runbooks.plugins.module_utils.service_systemd.CALL_SECONDS", 0.2)
    program = home.folder / "systemctl"
    program.write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    with pytest.raises(ManagerError, match="systemctl show x gave no answer within"):
        systemd.read(["x"])


def test_a_systemctl_that_cannot_be_run(systemd: Systemd, home: Home) -> None:
    program = home.folder / "systemctl"
    program.write_bytes(b"\x00\x01 no program")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(ManagerError, match="cannot be run"):
        systemd.read(["x"])


def test_nothing_is_asked_when_the_time_is_used_up(home: Home) -> None:
    clock = FakeClock()
    systemd = Systemd(Deadline(5, clock), "system")
    clock.sleep(6)
    with pytest.raises(DeadlineError, match="systemctl show"):
        systemd.read(["x"])
    assert not (home.folder / "calls.log").exists()

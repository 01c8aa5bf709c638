# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""service_control against a supervisord of the test's own, and through Ansible on both paths."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import service_control
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from ansible_collections.sre.runbooks.plugins.module_utils.service_model import ManagerError

pytest.importorskip("supervisor")
ROOT = Path(__file__).resolve().parents[2]
DYING = "echo Starting >&2; echo Exception: password=hunter2hunter2 port taken >&2; exit 3"
CONFIG = """
[unix_http_server]
file={home}/s.sock
[supervisord]
logfile={home}/supervisord.log
pidfile={home}/supervisord.pid
childlogdir={home}
{user}
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
{programs}
"""
PROGRAMS = {
    "steady": "sleep 1000",
    "second": "sleep 1000",
    "dying": f"sh -c '{DYING}'",
    "brief": "sh -c 'sleep 0.3; echo gone >&2; exit 4'",
    "coloured": "sh -c 'printf \"\\033[31mred error\\033[0m\\n\" >&2; exit 5'",
    "stubborn": "python3 -c 'import signal,time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)'",
    "nowhere": "/no/such/program",
    "retried": "sh -c 'echo again >&2; exit 6'",
}


def section(name: str, command: str) -> str:
    retries = "startsecs=1\nstartretries=1" if name == "retried" else "startsecs=0\nstartretries=0"
    wait = 20 if name == "stubborn" else 5
    command = command.replace("%", "%%").replace("python3", sys.executable)
    return (
        f"[program:{name}]\ncommand={command}\nautostart=false\nautorestart=false\n{retries}\nstopwaitsecs={wait}\n"
        f"killasgroup=true\nstopasgroup={'false' if name == 'stubborn' else 'true'}\n"
    )


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """The folder of a running supervisord; everything it started is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="sre-svc-"))
    user = "user=root" if os.geteuid() == 0 else ""
    programs = "\n".join(section(name, command) for name, command in PROGRAMS.items())
    (folder / "s.conf").write_text(CONFIG.format(home=folder, user=user, programs=programs))
    daemon = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(folder / "s.conf")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until = time.monotonic() + 20
        while call(folder, "queried", ["steady"], expected="stopped")["verdict"] != "pass":
            assert daemon.poll() is None, "supervisord ended"
            assert time.monotonic() < until, "supervisord did not answer within 20 s"
            time.sleep(0.05)
        yield folder
    finally:
        for name in ("stubborn",):
            for row in call(folder, "queried", [name])["services"]:
                if row["pid"]:
                    os.kill(row["pid"], 9)
        daemon.terminate()
        daemon.wait(30)
        shutil.rmtree(folder)


def call(home: Path, state: str, services: list[str], check: bool = False, **params: Any) -> dict[str, Any]:
    options = {name: spec.get("default") for name, spec in service_control.SPEC.options.items()}
    options |= {"manager": "supervisor", "supervisor_socket": f"{home}/s.sock", "settle_seconds": 0.6}
    options |= {"state": state, "services": services, **params}
    clock = Clock()
    return service_control.run(options, Context(check, clock=clock, deadline=Deadline(options["timeout"], clock)))


def pids(home: Path, *services: str) -> list[int | None]:
    return [row["pid"] for row in call(home, "queried", list(services))["services"]]


def test_the_cycle(home: Path) -> None:
    names = ["steady", "second"]
    planned = call(home, "started", names, check=True)
    assert planned["changed"] is True
    assert pids(home, *names) == [None, None]

    done = call(home, "started", names)
    assert done["changed"] is True
    first = pids(home, *names)
    assert [row["after"]["pid"] for row in done["services"]] == first
    assert all(isinstance(pid, int) and Path(f"/proc/{pid}").exists() for pid in first)
    assert call(home, "started", names)["changed"] is False

    observed_at = call(home, "queried", names)["observed_at"]
    planned = call(home, "restarted", names, check=True)
    assert [row["action"] for row in planned["services"]] == ["restart", "restart"]
    assert pids(home, *names) == first
    assert call(home, "restarted", names, not_before=observed_at)["changed"] is True
    second = pids(home, *names)
    assert set(first).isdisjoint(second)
    assert call(home, "restarted", names, not_before=observed_at)["changed"] is False
    assert pids(home, *names) == second

    assert call(home, "stopped", names)["changed"] is True
    assert pids(home, *names) == [None, None]
    assert not any(Path(f"/proc/{pid}").exists() for pid in second)
    assert call(home, "stopped", names)["changed"] is False
    assert call(home, "queried", names, expected="stopped")["verdict"] == "pass"


def test_a_neighbour_is_not_touched(home: Path) -> None:
    call(home, "started", ["steady", "second"])
    before = pids(home, "second")
    call(home, "restarted", ["steady"])
    call(home, "stopped", ["steady"])
    assert pids(home, "second") == before
    call(home, "stopped", ["second"])


@pytest.mark.parametrize(
    ("name", "status", "words"),
    [("dying", 3, "port taken"), ("brief", 4, "gone"), ("coloured", 5, "red error"), ("retried", None, "again")],
)
def test_a_service_that_dies(home: Path, name: str, status: int | None, words: str) -> None:
    with pytest.raises(RunbookError) as caught:
        call(home, "started", [name])
    assert (f"exit status {status}" if status else "FATAL Exited too quickly") in caught.value.message
    assert words in caught.value.message
    assert "hunter2" not in f"{caught.value.message} {caught.value.details}"
    assert caught.value.details["services"][0]["after"]["state"] == "failed"
    result = call(home, "queried", [name])
    assert result["verdict"] == "fail"
    assert result["services"][0]["exit_code"] == status


def test_a_program_that_is_not_there(home: Path) -> None:
    with pytest.raises(ManagerError, match="could not start nowhere: NO_FILE"):
        call(home, "started", ["nowhere"])


def test_a_service_that_does_not_stop(home: Path) -> None:
    call(home, "started", ["stubborn"])
    [pid] = pids(home, "stubborn")
    with pytest.raises(DeadlineError, match="stubborn did not stop within 1 s: it is stopping"):
        call(home, "stopped", ["stubborn"], stop_timeout_seconds=1.0)
    assert pids(home, "stubborn") == [pid]
    os.kill(pid or 0, 9)
    assert call(home, "started", ["steady", "stubborn"])["changed"] is True
    os.kill(pids(home, "stubborn")[0] or 0, 9)
    call(home, "stopped", ["steady"])


def test_unknown_name(home: Path) -> None:
    with pytest.raises(ManagerError, match=r"has no program 'stedy'; it has: brief, .*steady"):
        call(home, "stopped", ["steady", "stedy"])


@pytest.mark.needs_root
def test_permission_denied(home: Path) -> None:
    home.chmod(0o755)
    os.seteuid(65534)
    try:
        result = call(home, "queried", ["steady"])
        with pytest.raises(ManagerError, match="permission denied"):
            call(home, "stopped", ["steady"])
    finally:
        os.seteuid(0)
    assert result["verdict"] == "unverified"
    hint = f"permission denied on {home}/s.sock (owner uid 0, mode 0700): run the task as that user (become)"
    assert result["checks"][0]["hint"] == hint


@pytest.mark.parametrize("in_process", ["true", "false"])
def test_through_ansible(home: Path, tmp_path: Path, in_process: str) -> None:
    common = {"manager": "supervisor", "supervisor_socket": f"{home}/s.sock", "settle_seconds": 0.2}
    tasks = [
        {"sre.runbooks.service_control": {**common, "services": ["steady"], "state": "started"}, "register": "up"},
        {"sre.runbooks.service_control": {**common, "services": ["steady"]}, "register": "seen"},
        {"sre.runbooks.service_control": {**common, "services": ["steady"], "state": "stopped"}, "register": "down"},
        {
            "sre.runbooks.service_control": {**common, "services": ["dying"], "state": "started"},
            "register": "died",
            "ignore_errors": True,
        },
        {
            "ansible.builtin.copy": {
                "content": "{{ {'up': up, 'seen': seen, 'down': down, 'died': died} | to_json }}",
                "dest": f"{tmp_path}/out.json",
            }
        },
    ]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", str(tmp_path / "play.yml"), "-i", "localhost,"),
            *("-e", f"runbooks_in_process={in_process}", "-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["up"]["changed"] is True
    assert result["up"]["services"][0]["after"]["state"] == "running"
    assert result["seen"]["verdict"] == "pass"
    assert result["down"]["services"][0]["after"]["state"] == "stopped"
    assert result["died"]["failed"] is True
    assert "exit status 3" in result["died"]["msg"]
    assert "hunter2" not in done.stdout + done.stderr + str(result)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ordinary path over SSH, host key checked, with and without become: the same result as on the local path."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import sshd
from tests.support.debian import NoPackage
from tests.unit.plugins.action import collection_copy

PROBE = (collection_copy.ROOT / "tests/unit/plugins/action/probe.py").read_text(encoding="utf-8")
LEDGER = [
    '{"type":"ORDER","account_id":"acct","order_id":"1"}',
    '{"type":"ORDER","account_id":"acct","order_id":"2"',
    "not json at all",
]
PLAY = """\
- hosts: there
  gather_facts: false
  tasks:
    - name: Scan
      sre.runbooks.backoffice_ledger: {path: "{{ folder }}/ledger.log"}
      register: scan
    - name: Plan
      sre.runbooks.backoffice_ledger: {path: "{{ folder }}/ledger.log", state: quarantined, service_stopped: true}
      check_mode: true
      ignore_errors: true
      register: plan
    - name: Where
      sre.runbooks.probe: {do: where}
      register: where
    - ansible.builtin.copy:
        content: "{{ {'scan': scan, 'plan': plan, 'where': where} | to_json }}"
        dest: "{{ answer }}"
        mode: "0600"
      delegate_to: localhost
      become: false
      vars: {ansible_connection: local, ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""


@contextlib.contextmanager
def serving(user: str, make: Callable[[Path], sshd.Program] = sshd.program) -> Iterator[sshd.Server]:
    """A server that runs as ``user``, with a ledger and the collection in its folder."""
    if not shutil.which("ssh"):
        pytest.skip("no ssh here: install openssh-client")
    # Not under pytest's own folder: that is closed to other users, and one of them is to run modules here.
    folder = Path(tempfile.mkdtemp(prefix="runbooks-ssh-"))
    try:
        folder.chmod(0o755)
        with sshd.serve(make(folder), folder, user) as running:
            (folder / "ledger.log").write_text("\n".join(LEDGER) + "\n", encoding="utf-8")
            (folder / "ledger.log").chmod(0o644)
            (folder / "tmp").mkdir()
            (folder / "tmp").chmod(0o1777)
            collection_copy.make(folder / "tree", {"probe": PROBE})
            yield running
    except NoPackage as error:
        pytest.skip(f"no sshd here, and none to download: {error}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Server]:
    """An unprivileged server on loopback."""
    with serving(sshd.unprivileged()) as running:
        yield running


@pytest.fixture(scope="module")
def door() -> Iterator[sshd.Server]:
    """The server of a user who may become another: root, or one who may use sudo."""
    with serving(sshd.me()) as running:
        yield running


def play(server: sshd.Server, inventory: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
    folder = server.folder
    (folder / "play.yml").write_text(PLAY, encoding="utf-8")
    (folder / "inventory").write_text(inventory, encoding="utf-8")
    (folder / "answer.json").unlink(missing_ok=True)
    environment = collection_copy.environment(
        folder / "tree", folder, ANSIBLE_REMOTE_TEMP=str(folder / "tmp"), ANSIBLE_HOST_KEY_CHECKING="true", **env
    )
    variables = {"folder": str(folder), "answer": str(folder / "answer.json")}
    return collection_copy.ansible_playbook(
        "play.yml", "-i", "inventory", "-vvv", "-e", json.dumps(variables), *more, env=environment, cwd=folder
    )


def over_ssh(server: sshd.Server, known_hosts: Path | None = None) -> str:
    variables = {
        "ansible_host": "127.0.0.1",
        "ansible_port": server.port,
        "ansible_connection": "ssh",
        "ansible_user": server.user,
        "ansible_ssh_args": server.client_arguments(known_hosts or server.known_hosts),
        "ansible_python_interpreter": python_of(server.user),
    }
    return "there " + " ".join(f"{name}={json.dumps(str(value))}" for name, value in variables.items()) + "\n"


def local() -> str:
    return "there ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}\n"


def answer(server: sshd.Server, done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    found: dict[str, Any] = json.loads((server.folder / "answer.json").read_text(encoding="utf-8"))
    return found


def without_time(value: Any) -> Any:
    """The same without durations, rates and what an older ansible-core adds to results."""
    if isinstance(value, dict):
        timed = ("duration_ms", "seconds", "invocation", "bytes_per_second", "duration_seconds", "elapsed_seconds")
        return {key: without_time(item) for key, item in value.items() if key not in timed}
    return [without_time(item) for item in value] if isinstance(value, list) else value


def locally(server: sshd.Server) -> dict[str, Any]:
    """The answer of the local path: in the controller's worker."""
    found = answer(server, play(server, local()))
    assert not found["where"]["ordinary"]
    assert found["scan"]["verdict"] == "fail"
    return found


@pytest.fixture(scope="module")
def here(server: sshd.Server) -> dict[str, Any]:
    return locally(server)


def test_the_server_is_unprivileged(server: sshd.Server, here: dict[str, Any]) -> None:
    there = answer(server, play(server, over_ssh(server)))
    assert there["where"]["user"] == pwd.getpwnam(server.user).pw_uid != 0
    assert sshd.owners(server.port) == {there["where"]["user"]}


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_the_same_result_over_ssh(server: sshd.Server, here: dict[str, Any], pipelining: str) -> None:
    done = play(server, over_ssh(server), ANSIBLE_PIPELINING=pipelining)
    there = answer(server, done)
    assert there["where"]["ordinary"]
    assert "ordinary module process, because the connection is ssh" in done.stdout
    assert without_time(there["scan"]) == without_time(here["scan"])
    assert without_time(there["plan"]) == without_time(here["plan"])


def python_of(user: str) -> str:
    """A Python that the user can run: that of a virtual environment often lies in a folder closed to others."""
    if user == sshd.me():
        return sys.executable
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        command = [
            "su",
            "-s",
            "/bin/sh",
            user,
            "-c",
            f"{candidate} -c 'import sys; sys.exit(sys.version_info < (3, 11))'",
        ]
        if _succeeds(*(command if os.geteuid() == 0 else ["sudo", "-n", *command])):
            return candidate
    pytest.skip(f"no Python 3.11 or newer here that the user {user} can run")


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


@pytest.mark.needs_root(or_sudo=True)
def test_the_same_result_over_ssh_as_another_user(door: sshd.Server) -> None:
    method, flags = ("su", "-s /bin/sh") if os.geteuid() == 0 else ("sudo", "-n -H")
    variables = {
        "ansible_become_user": "nobody",
        "ansible_become_method": method,
        "ansible_become_flags": flags,
        "ansible_python_interpreter": python_of("nobody"),
    }
    done = play(door, over_ssh(door), "--become", "-e", json.dumps(variables), ANSIBLE_PIPELINING="true")
    there = answer(door, done)
    assert there["where"] == {**there["where"], "ordinary": True, "user": pwd.getpwnam("nobody").pw_uid}
    assert without_time(there["scan"]) == without_time(locally(door)["scan"])


def test_a_downloaded_server_serves_too() -> None:
    """Where the machine has no sshd, that of the package is used, and nothing is installed."""
    with serving(sshd.unprivileged(), sshd.downloaded) as running:
        there = answer(running, play(running, over_ssh(running)))
        assert there["where"]["ordinary"]


def test_a_host_key_that_is_not_known_is_refused(server: sshd.Server) -> None:
    (server.folder / "empty_known_hosts").touch()
    done = play(server, over_ssh(server, server.folder / "empty_known_hosts"))
    assert done.returncode == 4
    assert "Host key verification failed" in done.stdout
    assert not (server.folder / "answer.json").exists()

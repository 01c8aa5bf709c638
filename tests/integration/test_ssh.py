# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ordinary path over SSH, host key checked, with and without become: the same result as on the local path."""

from __future__ import annotations

import getpass
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration import sshd
from tests.unit.plugins.action import collection_copy

PROBE = (collection_copy.ROOT / "tests/unit/plugins/action/probe.py").read_text(encoding="utf-8")
STRICT = os.environ.get("STRICT") == "1"
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
      sre.runbooks.backoffice_ledger: {path: "{{ folder }}/ledger.log", state: quarantined}
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


@pytest.fixture(scope="module")
def server() -> Iterator[sshd.Server]:
    program = sshd.program()
    if program is None or not shutil.which("ssh"):
        told = "no sshd here: install openssh-server and openssh-client, or run as root on Debian"
        pytest.fail(told) if STRICT else pytest.skip(told)
    # Not under pytest's own folder: that is closed to other users, and one of them is to run modules here.
    folder = Path(tempfile.mkdtemp(prefix="runbooks-ssh-"))
    try:
        folder.chmod(0o755)
        with sshd.serve(program, folder) as running:
            (folder / "ledger.log").write_text("\n".join(LEDGER) + "\n", encoding="utf-8")
            (folder / "tmp").mkdir()
            (folder / "tmp").chmod(0o1777)
            collection_copy.make(folder / "tree", {"probe": PROBE})
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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
        "ansible_user": getpass.getuser(),
        "ansible_ssh_args": server.client_arguments(known_hosts or server.known_hosts),
        "ansible_python_interpreter": "{{ ansible_playbook_python }}",
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


@pytest.fixture(scope="module")
def here(server: sshd.Server) -> dict[str, Any]:
    """The answer of the local path: in the controller's worker."""
    found = answer(server, play(server, local()))
    assert not found["where"]["ordinary"]
    assert found["scan"]["verdict"] == "fail"
    return found


@pytest.mark.parametrize("pipelining", ["true", "false"])
def test_the_same_result_over_ssh(server: sshd.Server, here: dict[str, Any], pipelining: str) -> None:
    done = play(server, over_ssh(server), ANSIBLE_PIPELINING=pipelining)
    there = answer(server, done)
    assert there["where"]["ordinary"]
    assert "ordinary module process, because the connection is ssh" in done.stdout
    assert without_time(there["scan"]) == without_time(here["scan"])
    assert without_time(there["plan"]) == without_time(here["plan"])


def become_method() -> tuple[str, str] | None:
    """How to become another user without a password: (method, flags); None where root is not to be had."""
    if os.geteuid() == 0 and shutil.which("su"):
        return "su", "-s /bin/sh"
    return ("sudo", "-n -H") if shutil.which("sudo") and _succeeds("sudo", "-n", "true") else None


def python_for_nobody(method: str) -> str | None:
    """A Python that the user nobody can run: that of a virtual environment often lies in a closed folder."""
    for candidate in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        test = f"{candidate} -c 'import sys; sys.exit(sys.version_info < (3, 11))'"
        become = ("su", "-s", "/bin/sh", "nobody", "-c", test)
        if _succeeds(*become) if method == "su" else _succeeds("sudo", "-n", *become):
            return candidate
    return None


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False, timeout=30).returncode == 0


def test_the_same_result_over_ssh_as_another_user(server: sshd.Server, here: dict[str, Any]) -> None:
    method = become_method()
    if method is None:
        pytest.skip("root is not to be had here, so nobody else can be become")
    python = python_for_nobody(method[0])
    if python is None:
        told = "no Python 3.11 or newer here that the user nobody can run"
        pytest.fail(told) if STRICT else pytest.skip(told)
    (server.folder / "ledger.log").chmod(0o644)
    variables = {
        "ansible_become_user": "nobody",
        "ansible_become_method": method[0],
        "ansible_become_flags": method[1],
        "ansible_python_interpreter": python,
    }
    done = play(server, over_ssh(server), "--become", "-e", json.dumps(variables), ANSIBLE_PIPELINING="true")
    there = answer(server, done)
    assert there["where"] == {**there["where"], "ordinary": True, "user": pwd.getpwnam("nobody").pw_uid}
    assert without_time(there["scan"]) == without_time(here["scan"])


def test_a_host_key_that_is_not_known_is_refused(server: sshd.Server) -> None:
    (server.folder / "empty_known_hosts").touch()
    done = play(server, over_ssh(server, server.folder / "empty_known_hosts"))
    assert done.returncode == 4
    assert "Host key verification failed" in done.stdout
    assert not (server.folder / "answer.json").exists()

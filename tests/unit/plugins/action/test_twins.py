# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a twin hands over to an ordinary module process, and what it does to the run when its module dies or waits."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.plugins.action import collection_copy

HERE = Path(__file__).resolve().parent
PROBE = (HERE / "probe.py").read_text(encoding="utf-8")
# A module that no controller can import, and that runs well from the zip of an ordinary process.
BROKEN = PROBE.replace(
    "SPEC = ArgumentSpec(",
    'if ".zip/" not in operation.__file__:\n    raise RuntimeError("boom")\nSPEC = ArgumentSpec(',
    1,
)
LACKING = PROBE.replace(
    "SPEC = ArgumentSpec(",
    "from ansible_collections.sre.runbooks.plugins.module_utils import libraries\n"
    'libraries.record("no-such-library", ImportError("No module named no_such_library"))\n'
    'REQUIRES = ("no-such-library",)\nSPEC = ArgumentSpec(',
    1,
).replace("operation.main(SPEC, run)", "operation.main(SPEC, run, REQUIRES)")
PRETEND = """\
from __future__ import annotations

from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = '''
name: pretend
short_description: For tests only
description: A connection that is not called local.
extends_documentation_fragment: [connection_pipelining]
'''


class Connection(Local):
    transport = "pretend"
"""
INVENTORY = """\
[all:vars]
ansible_connection=local
ansible_python_interpreter="{{ ansible_playbook_python }}"
[lab]
bo
elsewhere ansible_connection=pretend
another ansible_python_interpreter="{{ other_python }}"
"""
WAIT_SECONDS = 60

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("twins")
    collection_copy.make(folder / "tree", {"probe": PROBE, "broken": BROKEN, "lacking": LACKING})
    (folder / "connection").mkdir()
    (folder / "connection" / "pretend.py").write_text(PRETEND, encoding="utf-8")
    (folder / "python").symlink_to(sys.executable)
    (folder / "inventory").write_text(INVENTORY, encoding="utf-8")
    return folder


def prepared(tree: Path, playbook: str, **env: str) -> tuple[list[str], dict[str, str]]:
    (tree / "play.yml").write_text(playbook, encoding="utf-8")
    arguments = ["play.yml", "-i", "inventory", "-e", f"other_python={tree}/python", "-e", f"folder={tree}"]
    environment = collection_copy.environment(
        tree / "tree", tree, ANSIBLE_CONNECTION_PLUGINS=str(tree / "connection"), **env
    )
    return arguments, environment


@pytest.fixture(scope="module")
def run(tree: Path) -> Run:
    def run_playbook(playbook: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        arguments, environment = prepared(tree, playbook, **env)
        return collection_copy.ansible_playbook(*arguments, *more, env=environment, cwd=tree)

    return run_playbook


FALLBACKS = {
    "plain": ("bo", "sre.runbooks.probe: {do: where}", ""),
    "not local": ("elsewhere", "sre.runbooks.probe: {do: where}", "the connection is pretend"),
    "delegated to what is not local": (
        "bo",
        "sre.runbooks.probe: {do: where}\n      delegate_to: elsewhere",
        "the connection is pretend",
    ),
    "delegated to what is local": ("elsewhere", "sre.runbooks.probe: {do: where}\n      delegate_to: bo", ""),
    "another interpreter": ("another", "sre.runbooks.probe: {do: where}", "the interpreter .*/python is asked for"),
    "delegated to another interpreter": (
        "bo",
        "sre.runbooks.probe: {do: where}\n      delegate_to: another",
        "the interpreter .*/python is asked for",
    ),
    "interpreter of the task": (
        "bo",
        'sre.runbooks.probe: {do: where}\n      vars: {ansible_python_interpreter: "{{ other_python }}"}',
        "the interpreter .*/python is asked for",
    ),
    "discovered interpreter": (
        "bo",
        "sre.runbooks.probe: {do: where}\n      vars: {ansible_python_interpreter: auto_silent}",
        "",
    ),
    "async": ("bo", "sre.runbooks.probe: {do: where}\n      async: 30\n      poll: 1", "async is asked for"),
    "switch": (
        "bo",
        "sre.runbooks.probe: {do: where}\n      vars: {runbooks_in_process: false}",
        "runbooks_in_process is false",
    ),
    "switch as text": (
        "bo",
        "sre.runbooks.probe: {do: where}\n      vars: {runbooks_in_process: 'no'}",
        "runbooks_in_process is false",
    ),
    "import error": (
        "bo",
        "sre.runbooks.broken: {do: where}",
        "broken cannot be imported in the controller: RuntimeError: boom",
    ),
}


@pytest.fixture(scope="module")
def fallbacks(run: Run) -> str:
    text = ""
    for name, (host, task, _) in FALLBACKS.items():
        result = f'result "{name}" {{{{ answer.ordinary | default(answer) }}}}'
        text += (
            f"- hosts: {host}\n  gather_facts: false\n  ignore_errors: true\n  tasks:\n"
            f"    - name: {name}\n      {task}\n      register: answer\n"
            f"    - ansible.builtin.debug: {{msg: '{result}'}}\n"
        )
    done = run(text, "-vvv")
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", FALLBACKS)
def test_which_path_is_taken_and_why(fallbacks: str, name: str) -> None:
    _, _, reason = FALLBACKS[name]
    part = re.split(rf"TASK \[{re.escape(name)}\]", fallbacks)[1].split("PLAY [")[0]
    told = re.findall(r"ordinary module process, because (.*)", part)
    if reason:
        assert len(told) == 1
        assert re.fullmatch(f"{reason}.*", told[0])
    else:
        assert told == []
    assert f'result \\"{name}\\" {bool(reason)}' in part


def test_become_takes_the_ordinary_path(run: Run) -> None:
    play = """\
- hosts: bo
  gather_facts: false
  tasks:
    - name: As somebody else
      sre.runbooks.probe: {do: where}
      become: true
      ignore_errors: true
"""
    done = run(play, "-vvv", ANSIBLE_BECOME_EXE="/nonexistent/sudo", ANSIBLE_BECOME_FLAGS="-n")
    assert "ordinary module process, because become is asked for" in done.stdout


def test_a_missing_library_is_named_and_left_to_another_interpreter(run: Run) -> None:
    play = """\
- hosts: bo
  gather_facts: false
  tasks:
    - sre.runbooks.lacking: {}
"""
    done = run(play, "-vvv")
    assert "ordinary module process, because the controller's Python lacks no-such-library" in done.stdout
    assert "cannot import no-such-library" in done.stdout
    assert "pip install no-such-library" in done.stdout
    assert done.returncode == 2


def test_a_switch_that_is_no_boolean_is_one_clear_line(run: Run) -> None:
    done = run(
        "- hosts: bo\n  gather_facts: false\n  tasks: [{sre.runbooks.probe: {}}]\n", "-e", "runbooks_in_process=5"
    )
    assert "runbooks_in_process is '5', not a boolean: set it to true or false." in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("strategy", ["linear", "free", "host_pinned"])
def test_a_module_that_aborts_fails_one_task_on_one_host(run: Run, strategy: str) -> None:
    play = f"""\
- hosts: bo,another
  gather_facts: false
  strategy: {strategy}
  vars: {{ansible_python_interpreter: "{{{{ ansible_playbook_python }}}}"}}
  tasks:
    - block:
        - sre.runbooks.probe: {{do: "{{{{ 'abort' if inventory_hostname == 'bo' else 'echo' }}}}"}}
      rescue:
        - ansible.builtin.debug: {{msg: "rescued {{{{ inventory_hostname }}}}"}}
    - sre.runbooks.probe: {{}}
"""
    done = run(play)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rescued bo" in done.stdout
    assert "worker" not in done.stderr.lower()
    assert re.search(r"bo +: ok=2 .*rescued=1", done.stdout)


def test_progress_is_live_on_standard_error_and_silent_under_no_log(run: Run) -> None:
    play = """\
- hosts: bo
  gather_facts: false
  tasks:
    - sre.runbooks.probe: {do: progress, text: aloud}
    - sre.runbooks.probe: {do: progress, text: quietly}
      no_log: true
"""
    done = run(play)
    assert "[bo] step 0 of 3, aloud\n" in done.stderr
    assert "step" not in done.stdout
    assert "quietly" not in done.stdout + done.stderr


def test_what_a_dead_module_left_behind_does_not_hold_up_the_task(run: Run, tree: Path) -> None:
    play = """\
- hosts: bo
  gather_facts: false
  tasks:
    - sre.runbooks.probe: {do: orphan, number: 200, where: "{{ folder }}/orphan.pid"}
"""
    try:
        done = run(play)
        assert "ended by signal 9 (Killed)" in done.stdout
        os.kill(int((tree / "orphan.pid").read_text()), 0)  # it is still there: the task did not wait for it
    finally:
        os.kill(int((tree / "orphan.pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_modules(tree: Path, number: signal.Signals) -> None:
    play = """\
- hosts: bo
  gather_facts: false
  tasks:
    - sre.runbooks.probe: {do: hang, number: 200, where: "{{ folder }}/interrupted.pid"}
"""
    pid_file = tree / "interrupted.pid"
    pid_file.unlink(missing_ok=True)
    arguments, environment = prepared(tree, play)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    with subprocess.Popen(
        [program, *arguments],
        env=environment,
        cwd=tree,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        try:
            until(lambda: pid_file.exists() and pid_file.read_text() != "")
            process.send_signal(number)
            process.communicate(timeout=WAIT_SECONDS)
        finally:
            process.kill()
    pid = int(pid_file.read_text())
    try:
        until(lambda: not alive(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails after a minute."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and is only not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_each_module_has_its_twin() -> None:
    plugins = collection_copy.ROOT / "plugins"
    modules = {path.stem for path in (plugins / "modules").glob("*.py")}
    actions = {path.stem for path in (plugins / "action").glob("*.py")}
    assert modules == actions
    assert modules


def test_every_module_can_be_imported_where_its_twin_runs(run: Run, tree: Path) -> None:
    """A twin whose module cannot be imported would quietly take the slow path in every run."""
    script = """
import importlib, json, pathlib, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
problems = {}
for path in pathlib.Path(sys.argv[2]).glob("*.py"):
    twin = importlib.import_module(f"ansible_collections.sre.runbooks.plugins.action.{path.stem}").ActionModule
    if getattr(twin, "problem", ""):
        problems[path.stem] = twin.problem
print(json.dumps(problems))
"""
    (tree / "empty").mkdir()
    clean = collection_copy.make(tree / "empty", {})
    environment = collection_copy.environment(clean, tree)
    command = [sys.executable, "-c", script, str(clean), str(collection_copy.ROOT / "plugins" / "action")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True, timeout=120)
    assert json.loads(done.stdout.splitlines()[-1]) == {}

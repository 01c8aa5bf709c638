# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same task through the twin and through an ordinary module process: the same result.

Two runs of ansible-playbook send every shape of shapes.py through one path each; then each shape is compared.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.vault import VaultLib, VaultSecret

from tests.unit.plugins.action import collection_copy
from tests.unit.plugins.plugin_utils.shapes import SECRET, SHAPES, URL_SECRET

HERE = Path(__file__).resolve().parent
ACTION = HERE.parent / "action"
PLAYBOOK = """\
- hosts: bo
  gather_facts: false
  ignore_errors: true
  vars:
    in_vault: !vault |
{vault}
  tasks:
"""
INVENTORY = """\
[all:vars]
ansible_connection=local
ansible_python_interpreter="{{ ansible_playbook_python }}"
[lab]
bo colour=red
other colour=blue
"""
# The wording of these differs, and what core adds; the kind of outcome is the same.
DEATHS = ("task timeout", "abort", "killed", "_exit", "_exit 0", "sys.exit")
# Names of jobs and of their files; `exception` stands in retry events of ansible-core 2.19 on the ordinary path only.
NOT_COMPARED = {"ansible_job_id", "results_file"}
NOT_COMPARED_IN_RETRY = {"exception"}


@dataclass
class Recorded:
    """What one path gave: the events of each shape, and all that was printed."""

    events: dict[str, list[dict[str, Any]]]
    output: str
    folder: Path


def playbook_text(folder: Path) -> str:
    secret = VaultSecret(b"only for this test")
    vault = VaultLib([("default", secret)]).encrypt(b"from the vault", secret).decode()
    text = PLAYBOOK.format(vault=textwrap.indent(vault, " " * 6))
    for name, shape in SHAPES.items():
        task = re.sub(r"(?<![.\w])probe:", "sre.runbooks.probe:", textwrap.dedent(shape).strip())
        for word, value in (("<<FOLDER>>", str(folder)), ("<<SECRET>>", SECRET), ("<<URL_SECRET>>", URL_SECRET)):
            task = task.replace(word, value)
        if task.startswith("{"):
            text += f"    - {{name: {json.dumps(name)}, {task[1:]}\n"
        else:
            text += f"    - name: {json.dumps(name)}\n{textwrap.indent(task, ' ' * 6)}\n"
    return text


def send(folder: Path, collections: Path, in_process: bool) -> Recorded:
    folder.mkdir()
    (folder / "play.yml").write_text(playbook_text(folder), encoding="utf-8")
    (folder / "inventory").write_text(INVENTORY, encoding="utf-8")
    (folder / "password").write_text("only for this test", encoding="utf-8")
    record = folder / "record.jsonl"
    env = collection_copy.environment(
        collections,
        folder,
        ANSIBLE_CALLBACK_PLUGINS=str(folder.parent / "callbacks"),
        ANSIBLE_CALLBACKS_ENABLED="shape_recorder",
        PROBE_RECORD=str(record),
        ANSIBLE_VAULT_PASSWORD_FILE=str(folder / "password"),
    )
    switch = f"runbooks_in_process={'true' if in_process else 'false'}"
    done = collection_copy.ansible_playbook(
        "play.yml", "-i", "inventory", "-e", switch, "-vvv", "--diff", env=env, cwd=folder
    )
    assert record.exists(), done.stdout[-3000:] + done.stderr[-3000:]
    events: dict[str, list[dict[str, Any]]] = {}
    for line in record.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        events.setdefault(event.pop("shape"), []).append(event)
    return Recorded(events, done.stdout + done.stderr, folder)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Recorded]:
    folder = tmp_path_factory.mktemp("parity")
    (folder / "callbacks").mkdir()
    shutil.copy(ACTION / "shape_recorder.py", folder / "callbacks")
    collections = collection_copy.make(folder / "tree", {"probe": (ACTION / "probe.py").read_text(encoding="utf-8")})
    with ThreadPoolExecutor(2) as pool:
        fast = pool.submit(send, folder / "fast", collections, True)
        slow = pool.submit(send, folder / "slow", collections, False)
        both = {"fast": fast.result(), "slow": slow.result()}
    for one in both.values():
        end_process(one.folder / "hang.pid")
    return both


def end_process(pid_file: Path) -> None:
    """End what a task may have left behind: core leaves the module process of a task that timed out running."""
    if pid_file.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


def comparable(recorded: Recorded, name: str) -> list[dict[str, Any]]:
    """The events of a shape without what names the folder or the job."""
    text = json.dumps(recorded.events[name]).replace(str(recorded.folder), "<folder>")
    events: list[dict[str, Any]] = json.loads(text)
    for event in events:
        left_out = NOT_COMPARED | (NOT_COMPARED_IN_RETRY if event["event"] == "v2_runner_retry" else set())
        for part in ("result", "types"):
            event[part] = {key: value for key, value in event[part].items() if key not in left_out}
        if event["event"] == "v2_runner_retry":
            event["error"] = ""
    return events


@pytest.mark.parametrize("name", [name for name in SHAPES if name not in DEATHS])
def test_same_result_through_both_paths(recorded: dict[str, Recorded], name: str) -> None:
    assert comparable(recorded["fast"], name) == comparable(recorded["slow"], name)


@pytest.mark.parametrize("name", DEATHS)
def test_a_death_is_a_failed_task_through_both_paths(recorded: dict[str, Recorded], name: str) -> None:
    for path in recorded.values():
        (event,) = path.events[name]
        assert event["event"] == "v2_runner_on_failed"
        assert "shown" not in event["result"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("abort", "sre.runbooks.probe ended by signal 6 (Aborted) before it gave a result"),
        ("killed", "ended by signal 9 (Killed)"),
        ("_exit", "ended with code 3"),
        ("_exit 0", "ended with code 0"),
        ("sys.exit", "ended with code 4"),
        ("task timeout", "Timed out after 1 second(s)."),
    ],
)
def test_the_twin_says_how_the_module_ended(recorded: dict[str, Recorded], name: str, words: str) -> None:
    (event,) = recorded["fast"].events[name]
    assert words in event["result"]["msg"]


def test_each_run_took_the_path_it_was_meant_to(recorded: dict[str, Recorded]) -> None:
    reasons = re.findall(r"ordinary module process, because (.*)", recorded["fast"].output)
    assert set(reasons) == {"async is asked for"}
    slow = re.findall(r"ordinary module process, because (.*)", recorded["slow"].output)
    assert set(slow) == {"async is asked for", "runbooks_in_process is false"}
    assert recorded["fast"].output.count("AnsiballZ_probe.py") < recorded["slow"].output.count("AnsiballZ_probe.py")


def test_the_shapes_show_what_they_are_for(recorded: dict[str, Recorded]) -> None:
    """A comparison of two runs proves little if both fail alike: some results are known."""

    def result(name: str) -> dict[str, Any]:
        found: dict[str, Any] = recorded["fast"].events[name][-1]["result"]
        return found

    assert result("every type")["shown"]["size"] == 1048576
    assert result("alias")["shown"]["text"] == "by alias"
    assert result("fallback to the environment")["shown"]["from_environment"] == "from the environment"
    assert result("dates")["types"]["text"] == "str"
    assert result("vault")["shown"]["text"] == "from the vault"
    assert result("vault in a secret")["shown"]["text"] == "so ********"
    assert result("secret")["seen"][1] == {"x": "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"}
    assert result("unsafe")["shown"]["text"] == "{{ 1 + 1 }}"
    assert result("templates in a result")["text"] == "{{ 1 + 1 }}"
    assert result("special values")["numbers"][:2] == [None, None]
    assert len(result("huge result")["rows"]) == 4000
    assert result("environment")["seen"] == {"A_NUMBER": "5", "A_FLAG": "True", "A_TEXT": "x y"}
    assert result("environment afterwards")["seen"] == {"PROBE_LEAK": None, "A_TEXT": None, "ONE": None}
    assert result("check mode") == {**result("check mode"), "changed": True, "acted": False}
    assert result("diff")["diff"]["after"] == "new\n"
    assert result("until")["attempts"] == 3
    assert "censored" in result("no_log task")
    assert recorded["fast"].events["warnings"][0]["warnings"] == ["beware of dogs", "a second one"]
    assert recorded["fast"].events["secret in a warning"][0]["warnings"][0] == "beware of ******** there"
    assert recorded["fast"].events["deprecated option"][0]["deprecations"]


@pytest.mark.parametrize("path", ["fast", "slow"])
def test_secrets_are_in_no_result(recorded: dict[str, Recorded], path: str) -> None:
    """The results alone: the output also quotes the lines of the playbook, in which the test writes its secrets."""
    for name, events in recorded[path].events.items():
        # that shape has the secret as a key of its arguments too, which core returns as they are
        left_out = {"invocation"} if name == "secret as a key" else set()
        text = json.dumps(
            [{key: value for key, value in event["result"].items() if key not in left_out} for event in events]
        )
        assert SECRET not in text, name
        assert URL_SECRET not in text, name


def test_a_task_that_timed_out_leaves_no_process(recorded: dict[str, Recorded]) -> None:
    pid = int((recorded["fast"].folder / "hang.pid").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_no_files_are_left_behind(recorded: dict[str, Recorded]) -> None:
    assert list((recorded["fast"].folder / "remote-tmp").glob("*")) == []

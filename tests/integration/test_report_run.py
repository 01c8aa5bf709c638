# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report callback in real runs: what it keeps, what it never keeps, and that it never breaks a run."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.unit.plugins.action import collection_copy

CALLBACK = "sre.runbooks.runbook_report"
FILES = {"events.jsonl", "junit.xml", "report.html", "report.json", "timeline.md"}
PROBE = (collection_copy.ROOT / "tests/unit/plugins/action/probe.py").read_text(encoding="utf-8")
SCHEMA = json.loads((collection_copy.ROOT / "docs" / "report.schema.json").read_text(encoding="utf-8"))
SECRET = "Zx9-secret-value"
WAIT_SECONDS = 60
PLAY = """\
- name: BackOffice, checklist
  hosts: all
  gather_facts: false
  tasks:
    - name: "2. Look at it"
      sre.runbooks.probe:
        returns:
          verdict: "{{ status | default('pass') }}"
          checks:
            - id: fresh
              title: The last event is recent
              status: "{{ status | default('pass') }}"
              observed: 902 s
              expected: at most 120 s
              hint: Look at the consumer.
          findings: []
      register: looked
    - name: Publish
      sre.runbooks.verdict: {procedure: backoffice.verify, registers: [looked], gate: false}
    - name: Gate
      sre.runbooks.verdict: {procedure: backoffice.verify, registers: [looked]}
"""


@dataclass
class Bench:
    """A place to run playbooks in, with the callback on."""

    folder: Path
    collections: Path

    def environment(self, **more: str) -> dict[str, str]:
        return collection_copy.environment(
            self.collections, self.folder, **{"ANSIBLE_CALLBACKS_ENABLED": CALLBACK, **more}
        )

    def arguments(self, play: str, *more: str, name: str = "play.yml") -> list[str]:
        (self.folder / name).write_text(play, encoding="utf-8")
        python = "ansible_connection=local ansible_python_interpreter={{ansible_playbook_python}}"
        (self.folder / "inventory").write_text(f"bo-eu {python}\nbo-us {python}\n", encoding="utf-8")
        return [name, *more, "-i", "inventory"]

    def run(self, play: str, *more: str, **env: str) -> subprocess.CompletedProcess[str]:
        arguments = self.arguments(play, *more)
        return collection_copy.ansible_playbook(*arguments, env=self.environment(**env), cwd=self.folder)

    @property
    def folders(self) -> list[Path]:
        return sorted((self.folder / "runbook-reports").glob("*"))

    @property
    def report(self) -> dict[str, Any]:
        (folder,) = self.folders
        assert {path.name for path in folder.iterdir()} == FILES
        report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator(SCHEMA).validate(report)
        return report

    @property
    def kept(self) -> str:
        """All that was written, in one text."""
        return "\n".join(path.read_text(encoding="utf-8") for folder in self.folders for path in folder.iterdir())


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection_copy.make(tmp_path_factory.mktemp("tree"), {"probe": PROBE})


@pytest.fixture
def bench(tmp_path: Path, collections: Path) -> Bench:
    return Bench(tmp_path, collections)


def test_a_green_run(bench: Bench) -> None:
    done = bench.run(PLAY)
    report, (folder,) = bench.report, bench.folders
    assert done.returncode == 0
    assert (report["verdict"], report["verified"], report["run"]["state"]) == ("pass", True, "finished")
    assert report["headline"] == "All 2 deployments passed."
    assert report["run"]["inventory"] == [str(bench.folder / "inventory")]
    assert report["run"]["versions"]["sre.runbooks"] != "unknown"
    assert done.stderr.splitlines()[-1] == f"Report: PASS. All 2 deployments passed. {folder}/report.html"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert "warning" not in done.stderr.lower()


def test_a_red_run_keeps_its_exit_code(bench: Bench) -> None:
    done = bench.run(PLAY, "-e", "status=fail", "--limit", "bo-eu")
    assert done.returncode == 2
    (deployment,) = bench.report["deployments"]
    (check,) = deployment["procedures"][0]["checks"]
    assert (deployment["verdict"], check["observed"], check["expected"]) == ("fail", "902 s", "at most 120 s")
    assert deployment["procedures"][0]["gated"]
    assert bench.report["run"]["limit"] == "bo-eu"
    assert "Report: FAIL. bo-eu failed." in done.stderr


def test_without_a_gate_nothing_was_verified(bench: Bench) -> None:
    done = bench.run("- hosts: all\n  gather_facts: false\n  tasks: [{ansible.builtin.debug: {msg: hello}}]\n")
    assert bench.report["verdict"] == "unverified"
    assert "Report: NOTHING WAS VERIFIED. No verdict was given" in done.stderr
    assert "hello" not in bench.kept


def test_tags_that_match_nothing(bench: Bench) -> None:
    assert bench.run(PLAY, "--tags", "nosuch").returncode == 0
    assert not bench.report["verified"]
    assert bench.report["run"]["tags"] == ["nosuch"]


def test_a_limit_that_misses(bench: Bench) -> None:
    bench.run("- name: Others\n  hosts: bo-us\n  tasks: []\n" + PLAY.replace("all", "bo-us"), "--limit", "bo-eu")
    assert bench.report["notes"] == [
        "No hosts matched the play 'Others'.",
        "No hosts matched the play 'BackOffice, checklist'.",
    ]


def test_a_guard_that_stops_the_run(bench: Bench) -> None:
    guard = """{{ groups['nosuch'] | default([]) | ternary('nosuch', undef(hint='no host in group nosuch')) }}"""
    done = bench.run(PLAY.replace("hosts: all", f'hosts: "{guard}"'))
    assert done.returncode == 4
    assert bench.report["run"]["state"] == "interrupted"
    assert "The run ended early" in bench.report["headline"]
    assert done.stderr.count("Report: NOTHING WAS VERIFIED.") == 1


def test_an_unreachable_host(bench: Bench) -> None:
    play = PLAY.replace(
        "hosts: all", "hosts: bo-eu\n  vars: {ansible_connection: ssh, ansible_port: 1, ansible_host: 127.0.0.1}"
    )
    assert bench.run(play).returncode == 4
    (deployment,) = bench.report["deployments"]
    assert (deployment["verdict"], deployment["problems"][0]["status"]) == ("unverified", "unreachable")


def test_check_mode_is_told(bench: Bench) -> None:
    play = PLAY.replace("  tasks:\n", "  tasks:\n    - {name: Change it, sre.runbooks.probe: {do: change}}\n", 1)
    bench.run(play, "--check")
    assert bench.report["run"]["check_mode"]
    assert {(change["task"], change["check_mode"]) for change in bench.report["changes"]} == {("Change it", True)}
    assert "What would be changed" in bench.kept


def test_foreign_tasks_leave_name_status_and_duration(bench: Bench) -> None:
    play = f"""\
- hosts: bo-eu
  gather_facts: false
  tasks:
    - name: A foreign task
      ansible.builtin.command: /bin/echo {SECRET}
      loop: [{SECRET}]
      loop_control: {{label: "{{{{ item }}}}"}}
    - name: A foreign failure
      ansible.builtin.fail: {{msg: "{SECRET}"}}
      ignore_errors: true
    - name: A hidden name {{{{ item }}}}
      ansible.builtin.debug: {{msg: "{SECRET}"}}
      no_log: true
    - name: Facts
      ansible.builtin.set_fact: {{found: "{SECRET}"}}
"""
    bench.run(play)
    steps = bench.report["timeline"]
    assert [step["status"] for step in steps] == ["changed", "ignored", "ok", "ok"]
    assert all(isinstance(step["duration_ms"], int) for step in steps)
    assert SECRET not in bench.kept


def test_what_was_written_before_a_secret_was_known_is_struck(bench: Bench) -> None:
    play = f"""\
- hosts: bo-eu
  gather_facts: false
  vars: {{key: "{SECRET}"}}
  tasks:
    - name: A name that tells {{{{ key }}}}
      ansible.builtin.debug: {{msg: x}}
    - name: Ours
      sre.runbooks.probe: {{api_secret: "{{{{ key }}}}", returns: {{msg: "not {{{{ key }}}}", verdict: pass}}}}
    - name: Ours in a loop
      sre.runbooks.probe: {{account: {{user: x, login_password: "{{{{ item }}}}"}}}}
      loop: [other-hidden-value]
    - name: Now other-hidden-value
      ansible.builtin.debug: {{msg: x}}
"""
    bench.run(play)
    assert bench.report["timeline"][0]["task"] == "A name that tells [redacted]"
    assert SECRET not in bench.kept
    assert "other-hidden-value" not in bench.kept


def test_secrets_of_extra_variables_are_struck(bench: Bench) -> None:
    play = PLAY.replace("Look at it", "Look at {{ my_token }}")
    bench.run(play, "-e", f"my_token={SECRET}")
    assert SECRET not in bench.kept
    assert "2. Look at [redacted]" in bench.kept


def test_the_name_of_a_playbook_of_the_collection(bench: Bench, tmp_path: Path) -> None:
    playbook = bench.collections / "ansible_collections" / "sre" / "runbooks" / "plugins" / ".." / "playbooks"
    assert playbook.exists()
    installed = tmp_path / "more" / "ansible_collections" / "some" / "where" / "playbooks" / "deep"
    installed.mkdir(parents=True)
    (installed / "look.yml").write_text(PLAY, encoding="utf-8")
    bench.arguments(PLAY)
    env = bench.environment(ANSIBLE_COLLECTIONS_PATH=f"{tmp_path / 'more'}:{bench.collections}")
    collection_copy.ansible_playbook("some.where.deep.look", "-i", "inventory", env=env, cwd=bench.folder)
    assert bench.report["run"]["playbooks"] == ["some.where.deep.look"]
    assert "-some.where.deep.look-" in bench.folders[0].name


def test_several_playbooks_are_one_run(bench: Bench) -> None:
    (bench.folder / "second.yml").write_text(PLAY.replace("backoffice.verify", "backoffice.again"), encoding="utf-8")
    done = bench.run(PLAY, "second.yml")
    assert bench.report["run"]["playbooks"] == ["play.yml", "second.yml"]
    assert {row["procedure"] for item in bench.report["deployments"] for row in item["procedures"]} == {
        "backoffice.verify",
        "backoffice.again",
    }
    assert bench.report["verdict"] == "pass"
    assert done.returncode == 0


def test_the_person_who_launched_the_job_is_kept(bench: Bench) -> None:
    bench.run(PLAY, "-e", "awx_user_name=asha")
    assert bench.report["run"]["user"] == "asha"


def test_where_the_folder_is_made(bench: Bench, tmp_path: Path) -> None:
    bench.run(PLAY, RUNBOOK_REPORT_DIR=str(tmp_path / "a" / "b"))
    assert bench.folders == []
    assert len(list((tmp_path / "a" / "b").glob("*/report.html"))) == 1


def test_runs_at_once_never_share_a_folder(bench: Bench) -> None:
    arguments = bench.arguments(PLAY)

    def run(_: int) -> int:
        return collection_copy.ansible_playbook(*arguments, env=bench.environment(), cwd=bench.folder).returncode

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, range(4))) == [0] * 4
    assert len(bench.folders) == 4
    assert {json.loads((folder / "report.json").read_text())["verdict"] for folder in bench.folders} == {"pass"}


def test_json_on_standard_output_stays_json(bench: Bench) -> None:
    plugins = bench.folder / "stdout"
    plugins.mkdir()
    (plugins / "only_json.py").write_text(ONLY_JSON, encoding="utf-8")
    done = bench.run(PLAY, ANSIBLE_CALLBACK_PLUGINS=str(plugins), ANSIBLE_STDOUT_CALLBACK="only_json")
    assert json.loads(done.stdout) == {"stats": 2}
    assert "Report: PASS" in done.stderr


ONLY_JSON = """\
from __future__ import annotations

import json

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = "name: only_json\\ntype: stdout\\nshort_description: For tests only\\ndescription: Prints JSON."


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "only_json"

    def v2_playbook_on_stats(self, stats):
        self._display.display(json.dumps({"stats": len(stats.processed)}))
"""


# It never breaks a run


def only_one_warning(done: subprocess.CompletedProcess[str]) -> None:
    text = " ".join((done.stdout + done.stderr).split())
    assert text.count("No evidence of this run is kept") == 1
    assert "Traceback" not in text
    assert done.returncode == 0


def test_a_folder_that_cannot_be_made_is_one_warning(bench: Bench) -> None:
    (bench.folder / "file").write_text("in the way", encoding="utf-8")
    done = bench.run(PLAY, RUNBOOK_REPORT_DIR=str(bench.folder / "file" / "reports"))
    only_one_warning(done)
    assert "Report:" not in done.stderr


def test_a_full_disk_is_one_warning(bench: Bench) -> None:
    arguments = bench.arguments(PLAY)
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    done = subprocess.run(
        [program, *arguments, "-e", "ansible_python_interpreter=auto_silent"],
        env=bench.environment(),
        cwd=bench.folder,
        capture_output=True,
        text=True,
        timeout=collection_copy.RUN_SECONDS,
        check=False,
        stdin=subprocess.DEVNULL,
        preexec_fn=_small_files,
    )
    only_one_warning(done)


def _small_files() -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))


def test_a_folder_that_vanishes_is_one_warning(bench: Bench) -> None:
    remove = "ansible.builtin.file: {path: '{{ playbook_dir }}/runbook-reports', state: absent}"
    play = PLAY.replace("  tasks:\n", f"  tasks:\n    - {remove}\n      run_once: true\n", 1)
    only_one_warning(bench.run(play))


def test_a_defect_of_the_report_is_one_warning(bench: Bench, tmp_path: Path) -> None:
    """The renderer is made to raise, in a copy of the collection."""
    tree = collection_copy.make(tmp_path / "broken", {"probe": PROBE})
    plugins = tree / "ansible_collections" / "sre" / "runbooks" / "plugins"
    real = (plugins / "plugin_utils").resolve()
    (plugins / "plugin_utils").unlink()
    (plugins / "plugin_utils").mkdir()
    for path in real.glob("*.py"):
        (plugins / "plugin_utils" / path.name).symlink_to(path)
    (plugins / "plugin_utils" / "report_timeline.py").unlink()
    (plugins / "plugin_utils" / "report_timeline.py").write_text("def render(report):\n    return report['nothing']\n")
    only_one_warning(Bench(bench.folder, tree).run(PLAY))
    (plugins / "plugin_utils" / "report_timeline.py").write_text("raise RuntimeError('at import')\n")
    only_one_warning(Bench(bench.folder, tree).run(PLAY))


# It appends as it goes


def started(bench: Bench, play: str) -> subprocess.Popen[str]:
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.Popen(
        [program, *bench.arguments(play)],
        env=bench.environment(),
        cwd=bench.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


HANGING = (
    PLAY
    + "    - sre.runbooks.probe: {do: hang, number: 200, where: '{{ playbook_dir }}/{{ inventory_hostname }}.pid'}\n"
)


def end_by(bench: Bench, number: signal.Signals) -> str:
    """Start a run, end it by a signal while its last task hangs; returns what it printed."""
    pids = [bench.folder / f"{host}.pid" for host in ("bo-eu", "bo-us")]
    with started(bench, HANGING) as process:
        try:
            until(lambda: all(path.exists() and path.read_text() for path in pids))
            process.send_signal(number)
            process.wait(WAIT_SECONDS)
        finally:
            process.kill()
            for path in pids:
                end_process(path)
        return process.stdout.read() if process.stdout else ""


def test_ctrl_c_leaves_a_whole_report(bench: Bench) -> None:
    output = end_by(bench, signal.SIGINT)
    report = bench.report
    assert (report["verdict"], report["run"]["state"]) == ("unverified", "interrupted")
    assert [item["verdict"] for item in report["deployments"]] == ["pass", "pass"]
    assert output.count("Report: UNVERIFIED. The run ended early") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_run_leaves_its_events_and_a_readable_report(bench: Bench, number: signal.Signals) -> None:
    end_by(bench, number)
    (folder,) = bench.folders
    events = [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events.count("task") == 6
    assert (bench.report["verdict"], bench.report["run"]["state"]) == ("unverified", "running")
    assert "The run has not ended, or was killed." in bench.kept


def test_a_dead_worker_leaves_the_evidence(bench: Bench) -> None:
    plugins = bench.folder / "actions"
    plugins.mkdir()
    (plugins / "die.py").write_text(DIE, encoding="utf-8")
    done = bench.run(PLAY + "    - die: {}\n", ANSIBLE_ACTION_PLUGINS=str(plugins), ANSIBLE_LIBRARY=str(plugins))
    assert done.returncode != 0
    assert bench.report["run"]["state"] == "interrupted"
    assert len(bench.report["timeline"]) == 6


DIE = """\
from __future__ import annotations

import os

from ansible.plugins.action import ActionBase


class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        os.abort()
"""


def end_process(pid_file: Path) -> None:
    """End a module that a killed run has left behind; a number that was taken by another process is left alone."""
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    try:
        command = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return
    if "ansible" in command:
        os.kill(pid, signal.SIGKILL)

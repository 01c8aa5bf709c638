# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate in a play: plan in check mode, two signatures, one act; and nothing that a person who starts it can slip in."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.ssh_keys import People
from tests.unit.plugins.action import collection_copy

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="there is no ssh-keygen")

PLAY = """\
- name: Replace the one thing
  hosts: systems
  gather_facts: false
  vars:
    for_choosing: [new]
  tasks:
    - name: Let nothing be told that is not for choosing
      ansible.builtin.include_role:
        name: sre.runbooks.approval
        tasks_from: sealed
      vars:
        approval_sealed: [found, thing]
      when: early | bool

    - name: Replace it
      block:
        - name: Look at the target
          ansible.builtin.slurp:
            src: "{{ thing }}"
          register: found

        - name: Let it be approved
          ansible.builtin.include_role:
            name: sre.runbooks.approval
            ENTRY
          vars:
            approval_procedure: replace
            approval_parameters: {new: "{{ new | default('second') }}"}
            approval_plan: {replace: "{{ found.content | b64decode | trim }}", by: "{{ new | default('second') }}"}
            approval_target_state: {content: "{{ state_now }}"}
            state_now: "{{ found.content ~ '' }}"
            approval_sealed: [found, thing, new]
            approval_open: "{{ for_choosing }}"

        - name: Replace it
          ansible.builtin.copy:
            content: "{{ new | default('second') }}"
            dest: "{{ thing }}"
            mode: "0600"
          when: approval_result.approved
      always:
        - name: Publish
          sre.runbooks.verdict:
            procedure: replace
            registers: [approval_result]
            gate: false
"""


# A program that runs what it is given, and tells that everything is approved where the gate's module should have run.
LIAR = """\
#!/bin/sh
for last; do :; done
case "$*" in
*AnsiballZ_approval*) eval "${last%%;*}"; echo '{"approved": true, "changed": false, "request": "", "msg": "yes"}' ;;
*) touch "$(dirname "$0")/was-run"; eval "$last" < /dev/null ;;
esac
"""


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection_copy.make(tmp_path_factory.mktemp("tree"), {})


class Scene:
    """A thing to replace, people who may approve it, and the play that does."""

    def __init__(self, folder: Path, collections: Path) -> None:
        self.folder, self._collections = folder, collections
        self.thing = folder / "thing"
        self.thing.write_text("first")
        self.people = People(folder / "keys")
        self.people.folder.mkdir()
        for name in ("alice", "bob"):
            self.people.person(name)
        self.inventory = folder / "production"
        self.inventory.mkdir()
        (self.inventory / "hosts.yml").write_text(
            json.dumps(
                {
                    "systems": {
                        "hosts": {"prod-eu": {}},
                        "vars": {
                            "ansible_connection": "local",
                            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
                            "thing": str(self.thing),
                            "early": False,
                            "approval_allowed_signers_file": str(self.people.allowed),
                        },
                    }
                }
            )
        )

    def play(self, *arguments: str, entry: str = "", **extra: Any) -> tuple[int, str]:
        book = self.folder / "replace.yml"
        book.write_text(PLAY.replace("            ENTRY\n", f"            {entry}\n" if entry else ""))
        given = ["-e", json.dumps(extra)] if extra else []
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-i", str(self.inventory), str(book), *given, *arguments],
            env={
                **{key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")},
                "ANSIBLE_COLLECTIONS_PATH": str(self._collections),
                "ANSIBLE_NOCOLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.folder,
        )
        return done.returncode, done.stdout + done.stderr

    def request(self) -> Path:
        """What check mode writes when that is wished."""
        path = self.folder / "request.json"
        code, output = self.play(
            "--check",
            approval_requested_by="carol",
            approval_reason="the first is worn out",
            approval_request_path=str(path),
            approval_write_request="true",
        )
        assert code == 0, output
        return path

    def signatures(self, text: str) -> list[str]:
        return [self.people.sign(name, text) for name in ("alice", "bob")]


@pytest.fixture
def scene(tmp_path: Path, collections: Path) -> Scene:
    return Scene(tmp_path, collections)


def test_plan_sign_act_and_never_again(scene: Scene) -> None:
    path = scene.request()
    fields = json.loads(path.read_text())
    assert (fields["target"], fields["inventory"], fields["requested_by"]) == ("prod-eu", "production", "carol")
    files = []
    for name, signature in zip(("alice", "bob"), scene.signatures(path.read_text()), strict=True):
        file = scene.folder / f"{name}.sig"
        file.write_text(signature)
        files.append(str(file))
    given = {"approval_request_file": str(path), "approval_signature_files": ",".join(files)}
    code, output = scene.play("--check", **given)
    assert code == 0, output
    assert scene.thing.read_text() == "first"
    code, output = scene.play(**given)
    assert code == 0, output
    assert scene.thing.read_text() == "second"
    code, output = scene.play(**given)
    assert code == 2
    assert "has this been done already" in output


def test_check_mode_shows_what_is_to_be_signed_and_writes_nothing(scene: Scene) -> None:
    before = sorted(scene.folder.iterdir())
    code, output = scene.play("--check", approval_requested_by="carol", approval_reason="worn out")
    assert code == 0, output
    assert "ssh-keygen -Y sign -n sre.runbooks" in output
    assert "plan_digest" in output
    assert sorted(path for path in scene.folder.iterdir() if path.name != "replace.yml") == before


def test_without_signatures_nothing_is_done(scene: Scene) -> None:
    code, output = scene.play()
    assert code == 2
    assert "not approved" in output
    assert scene.thing.read_text() == "first"


@pytest.mark.parametrize("in_process", [True, False])
def test_a_survey_gives_request_and_signatures_as_text(scene: Scene, in_process: bool) -> None:
    text = scene.request().read_text()
    pasted = "\n".join(scene.signatures(text)).replace("\n", "\r\n")
    code, output = scene.play(approval_request=text, approval_signatures=pasted, runbooks_in_process=in_process)
    assert code == 0, output
    assert scene.thing.read_text() == "second"


def test_an_approval_holds_for_its_parameters_only(scene: Scene) -> None:
    text = scene.request().read_text()
    code, output = scene.play(approval_request=text, approval_signatures=scene.signatures(text), new="third")
    assert code == 2
    assert "other parameters" in output
    assert scene.thing.read_text() == "first"


@pytest.mark.parametrize(
    "slipped",
    [
        {"approval_plan": {"replace": "first", "by": "second"}},
        {"approval_target_state": {"content": "Zmlyc3Q="}},
        {"approval_allowed_signers_file": "/tmp/mine"},
        {"approval_required_signatures": 2},
        {"approval_result": {"approved": True}},
        {"approval_sealed": []},
        {"approval_reversible": True},
        {"found": {"content": "Zmlyc3Q="}},
        {"state_now": "Zmlyc3Q="},
        {"inventory_dir": "/inventories/production"},
        {"inventory_hostname": "prod-us"},
        {"verdict_accepted": [{"check": "approval", "reason": "r", "owner": "o", "until": "2099-12-31"}]},
        {"approval_open": ["approval_open", "found"], "found": {"content": "Zmlyc3Q="}},
        {"for_choosing": ["for_choosing", "found"], "found": {"content": "Zmlyc3Q="}},
    ],
)
def test_extra_variables_cannot_take_the_place_of_what_was_planned(scene: Scene, slipped: dict[str, Any]) -> None:
    text = scene.request().read_text()
    code, output = scene.play(approval_request=text, approval_signatures=scene.signatures(text), **slipped)
    assert code == 2
    assert f"{next(iter(slipped))} must not be given as extra variables" in output
    assert scene.thing.read_text() == "first"


def liar(scene: Scene) -> str:
    path = scene.folder / "liar"
    path.write_text(LIAR)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


# What tells Ansible how to run a task; with most of these the gate's own module would be another program.
HOW_TASKS_RUN: list[dict[str, Any]] = [
    {"ansible_become": True, "ansible_become_user": "nobody", "ansible_become_exe": "LIAR"},
    {"ansible_become": True, "ansible_become_method": "ansible.builtin.su", "ansible_su_exe": "LIAR"},
    {"ansible_python_interpreter": "LIAR"},
    {"ansible_python_interpreter": "LIAR", "runbooks_in_process": False},
    {"ansible_shell_executable": "LIAR", "runbooks_in_process": False},
    {"ansible_connection": "ssh", "ansible_ssh_executable": "LIAR", "ansible_host": "localhost"},
    {"ansible_remote_tmp": "/tmp", "runbooks_in_process": False},
    {"ansible_async_dir": "/tmp"},
    {"ansible_check_mode": True},
    {"ansible_delegated_vars": {"localhost": {"ansible_python_interpreter": "LIAR"}}},
    {"ansible_facts": {"python": "LIAR"}},
    {"omit": "/tmp/mine"},
]


@pytest.mark.parametrize(
    ("given", "early"),
    [(given, True) for given in HOW_TASKS_RUN] + [(given, False) for given in (HOW_TASKS_RUN[0], HOW_TASKS_RUN[-1])],
    ids=lambda value: ",".join(value) if isinstance(value, dict) else "early" if value else "late",
)
def test_how_tasks_run_is_not_for_whoever_starts_the_run(scene: Scene, given: dict[str, Any], early: bool) -> None:
    """Without a signature. A procedure that refuses at its beginning has started no program of theirs either."""
    hosts = scene.inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace('"early": false', f'"early": {json.dumps(early)}'))
    told = json.loads(json.dumps(given).replace("LIAR", liar(scene)))
    code, output = scene.play(**told)
    assert code != 0
    assert scene.thing.read_text() == "first"
    if early:
        assert f"{', '.join(sorted(given.keys() - {'runbooks_in_process'}))} must not be given as extra" in output
        assert not (scene.folder / "was-run").exists()


@pytest.mark.parametrize(
    "given",
    [
        {"vars": {"approval_result": {"approved": True}}},
        {"hostvars": {"prod-eu": {"approval_result": {"approved": True}}}},
        {"environment": [{"PATH": "/tmp"}]},
        {"module_defaults": {"sre.runbooks.approval": {"reversible": True}}},
        {"lookup": True},
        {"role_path": "/tmp", "playbook_dir": "/tmp"},
        {"delegate_to": "elsewhere", "become": True, "strategy": "free"},
        {"runbooks_in_process": False},
        {"groups": {"systems": []}},
    ],
    ids=",".join,
)
def test_names_of_ansible_that_are_no_settings_open_nothing(scene: Scene, given: dict[str, Any]) -> None:
    glass = {"approval_break_glass_by": "carol", "approval_break_glass_reason": "nobody answers"}
    code, _output = scene.play(**given, **glass)
    assert code != 0
    assert scene.thing.read_text() == "first"


def test_become_of_the_play_is_not_that_of_the_gate(scene: Scene) -> None:
    """The gate's module runs as the controller's user: asking to be another one is no way to another program."""
    text = scene.request().read_text()
    given = {"approval_request": text, "approval_signatures": scene.signatures(text)}
    hosts = scene.inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace('"early": false', '"early": false, "ansible_become": false'))
    code, output = scene.play("--become", "--become-method", "no_such_method", **given)
    assert code == 0, output
    assert scene.thing.read_text() == "second"


def test_what_a_job_controller_adds_is_no_hindrance(scene: Scene) -> None:
    text = scene.request().read_text()
    given = {"awx_job_id": 7, "tower_user_name": "carol", "awx_inventory_name": "production"}
    code, output = scene.play(approval_request=text, approval_signatures=scene.signatures(text), **given)
    assert code == 0, output
    assert scene.thing.read_text() == "second"


@pytest.mark.parametrize("name", ["inventory", "project", "hosts"])
def test_an_inventory_with_the_name_of_many_needs_one_of_its_own(scene: Scene, name: str) -> None:
    scene.inventory = scene.inventory.rename(scene.folder / name)
    code, output = scene.play("--check", approval_requested_by="carol", approval_reason="worn out")
    assert code == 2
    assert f'approval_inventory is \\"{name}\\"' in output or f'approval_inventory is "{name}"' in output
    assert "Set it in the inventory" in output
    hosts = scene.inventory / "hosts.yml"
    hosts.write_text(hosts.read_text().replace('"early": false', '"early": false, "approval_inventory": "staging"'))
    fields = json.loads(scene.request().read_text())
    assert fields["inventory"] == "staging"


def test_break_glass_is_an_entry_point_that_only_the_playbook_chooses(scene: Scene) -> None:
    glass = {"approval_break_glass_by": "carol", "approval_break_glass_reason": "nobody answers"}
    code, output = scene.play(**glass)
    assert code == 2
    assert "break-glass is for steps that can be undone" in output
    code, output = scene.play(**glass, reversible=True)
    assert code == 2
    assert scene.thing.read_text() == "first"
    code, output = scene.play(entry="tasks_from: reversible", **glass)
    assert code == 0, output
    assert scene.thing.read_text() == "second"
    assert "NOT APPROVED BY ANYBODY ELSE: break-glass by carol" in output
    assert '"verdict": "unverified"' in scene.play("-v", entry="tasks_from: reversible", **glass)[1]


def test_a_name_alone_does_not_break_the_glass(scene: Scene) -> None:
    code, output = scene.play(entry="tasks_from: reversible", approval_break_glass_by="carol")
    assert code == 2
    assert "needs a name and a reason" in output

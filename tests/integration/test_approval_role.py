# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate in a play: plan in check mode, two signatures, one act; and nothing that a person who starts it can slip in."""

from __future__ import annotations

import json
import os
import shutil
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
  tasks:
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
            approval_sealed: [found, thing]

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
    ],
)
def test_extra_variables_cannot_take_the_place_of_what_was_planned(scene: Scene, slipped: dict[str, Any]) -> None:
    text = scene.request().read_text()
    code, output = scene.play(approval_request=text, approval_signatures=scene.signatures(text), **slipped)
    assert code == 2
    assert f"{next(iter(slipped))} must not be given as extra variables" in output
    assert scene.thing.read_text() == "first"


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

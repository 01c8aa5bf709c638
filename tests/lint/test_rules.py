# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each rule accepts a good example and names what is wrong in a bad one."""

from pathlib import Path

import pytest

from tests.lint import rules

GUARD = """{{ lookup('sre.runbooks.deployments', 'web') }}"""
RESTART = "playbooks/web/restart.yml"
PURPOSE = "# Restart of a web deployment.\n"
VERIFY = "# All systems.\n#   ansible-playbook sre.runbooks.verify\n- import_playbook: web/restart.yml\n"
PLAYBOOK = f"""\
---
# Restart of a web deployment.
#   ansible-playbook sre.runbooks.web.restart -i inventories/lab
- name: Restart
  hosts: "{GUARD}"
  tasks:
    - name: Restart, or undo
      block:
        - name: Restart
          ansible.builtin.debug:
      rescue:
        - name: Undo
          ansible.builtin.debug:
        - name: Say that it was undone
          ansible.builtin.fail:
"""
MODULE = """\
# SPDX-License-Identifier: GPL-3.0-or-later
DOCUMENTATION = "x"


def main():
    pass
"""
HEADER = "# SPDX-License-Identifier: GPL-3.0-or-later\n"
GOOD = {
    "plugins/modules/probe.py": MODULE,
    "plugins/modules/gate.py": HEADER + 'DOCUMENTATION = "x"\nRETURN = "y"\n',
    "plugins/action/probe.py": HEADER + '"""Twin."""\n\nfrom __future__ import annotations\n\n' + rules.TWIN,
    "plugins/action/gate.py": HEADER + "class ActionModule:\n    pass\n",
    "meta/runtime.yml": "action_groups: {runbooks: [gate, probe]}\n",
    RESTART: PLAYBOOK,
    "playbooks/verify.yml": VERIFY,
    "roles/web/meta/argument_specs.yml": "argument_specs: {restart: {}}\n",
    "roles/web/tasks/restart.yml": "- name: Secret\n  ansible.builtin.debug:\n    msg: !unsafe x\n",
    "roles/web/tasks/_part.yml": "[]\n",
    "tests/unit/plugins/modules/test_probe.py": HEADER,
    "tests/unit/plugins/action/test_gate.py": HEADER,
}
# rule -> file, its bad content (None: the file is missing), a part of the problem's text
BAD = [
    ("twins", "plugins/action/probe.py", None, "has no twin"),
    ("twins", "plugins/action/probe.py", HEADER + rules.TWIN + "X = 1\n", "differs from the other twins"),
    ("twins", "plugins/modules/gate.py", None, "has no module"),
    ("twins", "plugins/action/gate.py", HEADER + rules.TWIN, "holds documentation only"),
    ("action_group", "meta/runtime.yml", "action_groups: {runbooks: [gate]}\n", "must be, in this order: gate, probe"),
    ("action_group", "meta/runtime.yml", "action_groups: {runbooks: [gate, gone, probe]}\n", "order: gate, probe"),
    ("action_group", "meta/runtime.yml", "action_groups: {runbooks: [probe, gate]}\n", "in this order: gate, probe"),
    ("action_group", "meta/runtime.yml", "action_groups: {runbooks: [gate, gate, probe]}\n", "order: gate, probe"),
    ("action_group", "meta/runtime.yml", "action_groups: {runbooks: [gate, probe], web: [gate]}\n", "web must be"),
    ("action_group", "meta/runtime.yml", "action_groups: {web: []}\n", "must have an action group named runbooks"),
    ("playbook_guard", RESTART, PLAYBOOK.replace(GUARD, "web"), "has no guard"),
    ("playbook_guard", RESTART, PLAYBOOK + "- hosts: localhost\n", "'without a name' has no guard"),
    ("playbook_header", RESTART, PLAYBOOK.replace(PURPOSE, "#\n"), "what it is for"),
    ("playbook_header", RESTART, PLAYBOOK.replace("web.restart", "web.start"), "how to run it"),
    ("playbook_header", RESTART, PLAYBOOK.replace(PURPOSE, ""), "what it is for"),
    ("playbook_names", "playbooks/web/re-start.yml", PLAYBOOK, "underscores"),
    ("playbook_names", "playbooks/Web/start.yml", PLAYBOOK, "underscores"),
    ("playbook_names", "playbooks/web/notes.md", "x", "is no playbook"),
    ("playbook_names", "playbooks/group_vars/all.yml", "{}", "must not be under playbooks/"),
    ("import_unprefixed", "playbooks/verify.yml", VERIFY.replace("- ", "- ansible.builtin."), "without its prefix"),
    ("rescue_fails", RESTART, PLAYBOOK.replace("builtin.fail", "builtin.debug"), "'Restart, or undo'"),
    ("rescue_fails", RESTART, PLAYBOOK + "          when: maybe\n", "must end with"),
    ("rescue_fails", "roles/web/tasks/_part.yml", "- block: [{debug: }]\n  rescue: []\n", "must end with"),
    ("role_argument_specs", "roles/web/meta/argument_specs.yml", None, "has no meta/argument_specs.yml"),
    ("role_argument_specs", "roles/web/tasks/restart.yml", None, "there is no tasks/restart.yml"),
    ("role_argument_specs", "roles/web/tasks/deploy.yml", "[]", "no entry for tasks/deploy.yml"),
    ("role_defaults", "roles/web/defaults/main.yml", "web_port: 80\n", "web_port is in no entry"),
    ("unit_tests", "tests/unit/plugins/modules/test_probe.py", None, "has no unit tests"),
    ("licence_headers", "tests/unit/plugins/modules/test_probe.py", "import os\n", "must name its licence"),
]


def lay_out(root: Path, files: dict[str, str | None]) -> Path:
    """Write the files (all but those of None) below root."""
    for name, content in files.items():
        if content is not None:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(content, encoding="utf-8")
    return root


def test_good_example_passes(tmp_path: Path) -> None:
    assert rules.check(lay_out(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("name", "file", "content", "text"), BAD, ids=[f"{bad[0]}-{bad[3]}" for bad in BAD])
def test_bad_example_is_named(tmp_path: Path, name: str, file: str, content: str | None, text: str) -> None:
    lay_out(tmp_path, GOOD | {file: content})
    function = next(function for function in rules.RULES if function.__name__ == name)
    problems = list(function(tmp_path))
    assert [problem for problem in problems if text in problem.text], problems


def test_every_rule_has_a_bad_example() -> None:
    assert {function.__name__ for function in rules.RULES} == {bad[0] for bad in BAD}


def test_unreadable_yaml_is_named(tmp_path: Path) -> None:
    lay_out(tmp_path, GOOD | {"meta/runtime.yml": "a: [b"})
    with pytest.raises(SystemExit, match=r"runtime\.yml: cannot be read as YAML"):
        rules.check(tmp_path)

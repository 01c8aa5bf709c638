# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""log_search over the log of a real service that restarts and whose log rotates, and through Ansible on both paths."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import log_search
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration.own_backoffice import ROOT, backoffice

REPLAY = {
    "id": "replay",
    "regex": r"Ledger replay: ReplayStats\(lines=(?P<lines>\d+), applied=(?P<applied>\d+)",
    "expect": "present",
}
MEMORY = {"id": "snapshotter", "text": "BackOfficeSnapshotter enabled", "expect": "absent"}


def search(*paths: Path, patterns: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    options = log_search.SPEC.options["patterns"]["options"]
    full = [{name: spec.get("default") for name, spec in options.items()} | given for given in patterns]
    params = {name: spec.get("default") for name, spec in log_search.SPEC.options.items()}
    params |= {"paths": [str(path) for path in paths], "patterns": full, **values}
    return log_search.run(params, Context(deadline=Deadline(30, Clock())))


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"]: row["status"] for row in result["checks"] if not row["id"].startswith("log_file.")}


def test_only_the_boot_after_the_stop_is_looked_at(tmp_path: Path) -> None:
    log = tmp_path / "stdout.log"
    with backoffice(tmp_path):
        first = search(log, patterns=[REPLAY, MEMORY])
    assert statuses(first) == {"log.replay": "pass", "log.snapshotter": "fail"}
    assert first["found"]["replay"]["matches"][0]["groups"] == {"lines": "2", "applied": "2"}
    stopped = search(log, patterns=[])["end_offsets"]
    nothing = search(log, patterns=[REPLAY, MEMORY], from_offset=stopped)
    assert statuses(nothing) == {"log.replay": "fail", "log.snapshotter": "pass"}
    with backoffice(tmp_path, BACKOFFICE_SNAPSHOT_ENABLE="0"):
        second = search(log, patterns=[REPLAY, MEMORY], from_offset=stopped)
    assert statuses(second) == {"log.replay": "pass", "log.snapshotter": "pass"}
    assert second["found"]["replay"]["count"] == 1


def test_a_rotation_between_stop_and_start_hides_nothing(tmp_path: Path) -> None:
    log = tmp_path / "stdout.log"
    with backoffice(tmp_path):
        before = search(log, patterns=[])["end_offsets"]
    log.rename(tmp_path / "stdout.log.1")
    with backoffice(tmp_path):
        result = search(log, patterns=[REPLAY], from_offset=before)
    assert statuses(result) == {"log.replay": "pass"}
    assert [Path(entry["path"]).name for entry in result["files"]] == ["stdout.log.1", "stdout.log"]
    assert result["complete"] is True


@pytest.mark.parametrize("in_process", ["true", "false"])
def test_through_ansible(tmp_path: Path, in_process: str) -> None:
    log = tmp_path / "app.log"
    log.write_text("boot\npassword=hunter2hunter2 ERROR\n")
    bad = {"paths": [str(log)], "patterns": [{"id": "p", "regex": "("}]}
    tasks = [
        {"sre.runbooks.log_search": {"paths": [str(log)]}, "register": "before"},
        {"ansible.builtin.lineinfile": {"path": str(log), "line": "later ERROR token=hunter2hunter2"}},
        {
            "sre.runbooks.log_search": {
                "paths": [str(log)],
                "from_offset": "{{ before.end_offsets }}",
                "patterns": [{"id": "errors", "text": "ERROR", "expect": "absent"}],
            },
            "register": "found",
        },
        {"sre.runbooks.log_search": bad, "register": "bad", "ignore_errors": True},
        {
            "ansible.builtin.copy": {
                "content": "{{ {'before': before, 'found': found, 'bad': bad} | to_json }}",
                "dest": f"{tmp_path}/out.json",
            }
        },
    ]
    play = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "playbook", "-vvv", str(tmp_path / "play.yml"), "-i", "localhost,"),
            *("-e", f"runbooks_in_process={in_process}", "-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "out.json").read_text())
    assert result["before"]["verdict"] == "pass"
    # lineinfile replaces the file by a new one with all its lines, which the search notices
    assert result["found"]["files"][0]["size_bytes"] == log.stat().st_size
    assert result["found"]["verdict"] == "fail"
    assert result["found"]["found"]["errors"]["matches"][-1]["excerpt"] == "later ERROR token=[redacted]"
    assert result["bad"]["failed"] is True
    assert "pattern p is not a valid regular expression" in result["bad"]["msg"]
    ours = "\n".join(line for line in (done.stdout + done.stderr).splitlines() if "later ERROR token=" not in line)
    assert "hunter2" not in ours + json.dumps(result)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict as a play gives it: published for every host, also for one that fails, and green for nothing else."""

from __future__ import annotations

import datetime
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.unit.plugins.action import collection_copy

CALLBACK = "sre.runbooks.runbook_report"
INVENTORY = """\
[backoffice]
bo-eu status=pass
bo-us status=fail
[backoffice:vars]
ansible_connection=local
"""
PLAY = """\
- name: Checklist
  hosts: "{{ lookup('sre.runbooks.deployments', 'backoffice') }}"
  gather_facts: false
  tasks:
    - name: Checklist
      vars:
        row: {title: The last event is recent, observed: 902 s, expected: at most 120 s, hint: Look at the consumer.}
      block:
        - name: Look at it
          ansible.builtin.set_fact:
            looked:
              checks:
                - "{{ row | combine({'id': 'events.fresh', 'status': status}) }}"
                - "{{ row | combine({'id': 'events.some', 'status': 'pass'}) }}"
              findings: []
      always:
        - name: Verdict
          ansible.builtin.include_role:
            name: sre.runbooks.verdict
          vars:
            verdict_procedure: backoffice.verify
            verdict_registers: [looked]
            verdict_accepted: "{{ accepted | default([]) }}"
"""
TODAY = datetime.datetime.now(datetime.UTC).date()
ACCEPTANCE = {"check": "events.fresh", "reason": "the market is closed", "owner": "asha", "until": str(TODAY)}


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return collection_copy.make(tmp_path_factory.mktemp("tree"), {})


class Play:
    """Runs the play for two hosts, of which bo-us fails; keeps exit code, output and what was published."""

    def __init__(self, folder: Path, collections: Path) -> None:
        self._folder, self._collections = folder, collections

    def run(
        self, *arguments: str, accepted: Any = None, text: str = PLAY, **more: str
    ) -> subprocess.CompletedProcess[str]:
        (self._folder / "play.yml").write_text(text, encoding="utf-8")
        (self._folder / "inventory").write_text(INVENTORY, encoding="utf-8")
        environment = collection_copy.environment(
            self._collections,
            self._folder,
            **{"ANSIBLE_SHOW_CUSTOM_STATS": "1", "ANSIBLE_CALLBACKS_ENABLED": CALLBACK, **more},
        )
        environment = {name: value for name, value in environment.items() if value}
        given = ["-e", json.dumps({"accepted": accepted})] if accepted is not None else []
        return collection_copy.ansible_playbook(
            "play.yml", "-i", "inventory", *given, *arguments, env=environment, cwd=self._folder
        )


@pytest.fixture
def play(tmp_path: Path, collections: Path) -> Play:
    return Play(tmp_path, collections)


def published(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The statistic sre_runbooks, as ansible-playbook shows it at the end: host to procedure to what was published."""
    (found,) = re.findall(r"RUN: (\{.*\})", done.stdout)
    statistics: dict[str, dict[str, Any]] = json.loads(found)["sre_runbooks"]
    return statistics


def verdicts(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    return {host: procedures["backoffice.verify"]["verdict"] for host, procedures in published(done).items()}


def flat(done: subprocess.CompletedProcess[str]) -> str:
    """All that was printed, on one line: tables and messages are wrapped."""
    return " ".join((done.stdout + done.stderr).split())


def test_a_failed_host_is_published_beside_the_other(play: Play) -> None:
    done = play.run()
    assert done.returncode == 2, done.stdout + done.stderr
    assert published(done) == {
        "bo-eu": {"backoffice.verify": {"findings": [], "summary": "PASS: 2 of 2 checks pass", "verdict": "pass"}},
        "bo-us": {
            "backoffice.verify": {
                "findings": [],
                "summary": "FAIL: 1 of 2 checks pass, 1 failed",
                "verdict": "fail",
            }
        },
    }
    assert "FAIL events.fresh 902 s; expected at most 120 s" in flat(done)


def test_two_procedures_of_a_host_are_published_beside_each_other(play: Play) -> None:
    again = PLAY.replace("backoffice.verify", "backoffice.again").replace("'status': status", "'status': 'pass'")
    done = play.run("--limit", "bo-eu", text=PLAY + again)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(published(done)["bo-eu"]) == ["backoffice.again", "backoffice.verify"]


def test_a_green_run_ends_with_0(play: Play) -> None:
    done = play.run("--limit", "bo-eu")
    assert done.returncode == 0, done.stdout + done.stderr
    assert verdicts(done) == {"bo-eu": "pass"}


def test_what_never_ran_is_unverified(play: Play) -> None:
    """The step that looks fails before it has looked: the verdict names what it misses."""
    text = PLAY.replace(
        "- name: Look at it\n", "- name: Break\n          ansible.builtin.fail:\n        - name: Look\n", 1
    )
    done = play.run(text=text)
    assert done.returncode == 2
    assert verdicts(done) == {"bo-eu": "unverified", "bo-us": "unverified"}
    assert "???? looked did not run; expected a result" in flat(done)


@pytest.mark.parametrize("callbacks", [CALLBACK, ""])
def test_the_table_says_when_no_evidence_is_kept(callbacks: str, play: Play) -> None:
    done = play.run("--limit", "bo-eu", ANSIBLE_CALLBACKS_ENABLED=callbacks)
    assert done.returncode == 0
    assert ("note no evidence was kept: sre.runbooks.runbook_report" in flat(done)) is (callbacks == "")


@pytest.mark.parametrize("days", [0, 30])
def test_an_acceptance_that_holds_is_green_and_shown(days: int, play: Play) -> None:
    until = str(TODAY + datetime.timedelta(days=days + 1))
    done = play.run(accepted=[{**ACCEPTANCE, "until": until}])
    assert done.returncode == 0, done.stdout + done.stderr
    # the check passes on bo-eu: there is nothing to accept
    assert published(done)["bo-us"]["backoffice.verify"]["summary"] == "PASS: 1 of 1 checks pass, 1 accepted"
    assert f"acc. events.fresh accepted until {until} by asha" in flat(done)


def test_an_acceptance_that_has_run_out_is_red_again(play: Play) -> None:
    until = str(TODAY - datetime.timedelta(days=2))
    done = play.run(accepted=[{**ACCEPTANCE, "until": until}])
    assert done.returncode == 2
    assert verdicts(done) == {"bo-eu": "pass", "bo-us": "fail"}
    assert until in flat(done)


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ([{key: value for key, value in ACCEPTANCE.items() if key != "owner"}], "accepted.1 lacks owner"),
        ([{**ACCEPTANCE, "until": "soon"}], "accepted.1 has until='soon', which is not a date"),
        (["events.fresh"], "accepted.1 lacks check, reason, owner, until"),
        ("events.fresh", "accepted.0 is 'events.fresh', not a list"),
    ],
)
def test_an_incomplete_acceptance_is_unverified(accepted: Any, words: str, play: Play) -> None:
    done = play.run("--limit", "bo-eu", accepted=accepted)
    assert done.returncode == 2
    assert verdicts(done) == {"bo-eu": "unverified"}
    assert f"???? {words}" in flat(done), done.stdout


@pytest.mark.parametrize(
    "arguments", [("--tags", "quick"), ("--skip-tags", "gate"), ("--tags", "all", "--skip-tags", "always")]
)
def test_a_part_of_the_play_is_refused(arguments: tuple[str, ...], play: Play) -> None:
    done = play.run(*arguments)
    assert done.returncode not in (0, 2)
    assert "this playbook is run whole" in flat(done)
    assert "PASS" not in done.stdout


def test_a_limit_that_selects_nothing_is_refused(play: Play) -> None:
    done = play.run("--limit", "backoffice:!backoffice")
    assert done.returncode != 0
    assert "nothing to act on" in flat(done) or "Specified inventory, host pattern and/or --limit leaves" in flat(done)

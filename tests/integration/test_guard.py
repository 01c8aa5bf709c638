# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that would select nothing, or only some of its steps, fails and says why; it never ends with 0."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.playbooks import ROOT, Playbooks

FOLDER = ROOT / "playbooks"
PLAYBOOKS = sorted(".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FOLDER.rglob("*.yml"))
TWO = "[backoffice]\none\ntwo\n[other]\nthree\n"


def inventory(folder: Path, text: str) -> Path:
    path = folder / "hosts.ini"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", PLAYBOOKS)
def test_no_inventory(name: str, playbooks: Playbooks) -> None:
    run = playbooks.run(name, inventory=None)
    assert run.code != 0
    assert "nothing to act on: the inventory has no host in group" in run.output


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("[backofice]\none\n", (), "Groups with hosts: backofice"),
        (TWO, ("--limit", "three"), "--limit three leaves no host of group backoffice, which has: one, two"),
        (TWO, ("--limit", "four"), "leaves us with no hosts to target"),
        (TWO, ("--tags", "quick"), "this playbook is run whole"),
        (TWO, ("--skip-tags", "always"), "this playbook is run whole"),
    ],
)
@pytest.mark.parametrize("name", ["verify", "backoffice.verify"])
def test_a_selection_that_misses(
    name: str, text: str, arguments: tuple[str, ...], message: str, playbooks: Playbooks, tmp_path: Path
) -> None:
    run = playbooks.run(name, *arguments, inventory=inventory(tmp_path, text))
    assert run.code != 0
    assert message in run.output


def accepting(until: str) -> str:
    """An inventory with a deployment that no procedure verifies, beside one that is looked at."""
    accepted = f'[{{"check": "procedure", "reason": "not built", "owner": "team-d", "until": "{until}"}}]'
    local = "[all:vars]\nansible_connection=local\nansible_python_interpreter={{ ansible_playbook_python }}\n"
    return f"[durion]\nthree\n[durion:vars]\ndurion_accepted={accepted}\n[ecommerce]\nshop\n{local}"


@pytest.mark.parametrize(("until", "limit"), [("2020-01-01", "all"), ("", "all"), ("2099-12-31", "three")])
def test_what_no_procedure_verifies_is_never_silent(
    until: str, limit: str, playbooks: Playbooks, tmp_path: Path
) -> None:
    run = playbooks.run("verify", "--limit", limit, inventory=inventory(tmp_path, accepting(until)))
    assert run.code != 0
    judged = run.judgement("verify", "three")
    assert judged["verdict"] == "unverified"
    assert [row["observed"] for row in judged["checks"] + judged["accepted"] if row["id"] == "procedure"] == [
        "no procedure verifies it yet"
    ]


def test_what_no_procedure_verifies_is_a_line_of_its_own_where_that_is_accepted(
    playbooks: Playbooks, tmp_path: Path
) -> None:
    run = playbooks.run("verify", inventory=inventory(tmp_path, accepting("2099-12-31")))
    line = "three is NOT VERIFIED: no procedure verifies it yet. Accepted until 2099-12-31 by team-d: not built"
    assert line in " ".join(run.output.split())
    assert run.report is not None
    assert [part["name"] for part in run.report["deployments"]] == ["shop"]
    told = [row["task"] for row in run.report["timeline"] if row["host"] == "three"]
    assert any(task.startswith("Not verified") for task in told)


@pytest.mark.parametrize("name", ["backoffice.restart", "backoffice.ledger_repair", "backoffice.e2e"])
def test_what_changes_something_acts_on_exactly_one_deployment(name: str, playbooks: Playbooks, tmp_path: Path) -> None:
    run = playbooks.run(name, inventory=inventory(tmp_path, TWO))
    assert run.code != 0
    assert "2 are selected: one, two. Choose one with --limit" in run.output


def test_the_environment_does_not_describe_two_deployments(playbooks: Playbooks, tmp_path: Path) -> None:
    run = playbooks.run(
        "backoffice.recovery_check", inventory=inventory(tmp_path, TWO), BACKOFFICE_URL="http://127.0.0.1:9"
    )
    assert run.code != 0
    assert "BACKOFFICE_URL is set, but the group backoffice has 2 deployments (one, two)" in run.output

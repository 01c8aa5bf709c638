# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every step of a mapped runbook leads to a playbook and tasks that exist, and no line that asks for something is left out."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
MAP: dict[str, Any] = yaml.safe_load((ROOT / "docs" / "runbook_map.yml").read_text(encoding="utf-8"))
STEPS = [(system, step) for system, entry in MAP.items() for step in entry["steps"]]
NUMBERS = {
    "backoffice": [*range(1, 30), 202],
    "hafnium": [*range(30, 74)],
    "ecommerce": [*range(74, 130), 204],
    "nestjs_backend": [*range(130, 169), 203],
    "durion": [*range(169, 202)],
}
# How the lines of a runbook begin that ask for something.
ASKS = {
    "backoffice": r"- |export |\s+\S|\S*scripts/|BACKOFFICE_JWT=",
    "hafnium": r"\d\. |\| \w|kubectl |curl |for |\s+curl|rpk |\./gradlew|psql |SELECT |WHERE |\*\*Symptoms",
    "nestjs_backend": r"\s*- |\d\. |Last Verified",
    "durion": r"- |\./mvnw|MAX_STEPS|curl |# curl|kubectl |java |alert:|expr:|Use y|Check the|Then |When an",
    "ecommerce": r"\s*- |\d\. |\| \w|\s+(docker|SELECT|FROM|ORDER|\./)",
}
# Lines of a runbook that ask for nothing: its purpose, labels of the following block, fences.
ASKS_FOR_NOTHING = {
    "backoffice": (
        "Provide a minimal recovery and verification checklist",
        "JWT_HS256_SECRET + BACKOFFICE_ACCOUNT_ID.",
    ),
    "hafnium": ("| Role | Contact |",),
    "nestjs_backend": (),
    "durion": ("Workspace-level: ", "Workspace agent structure: ", "Backend agent structure plan: ", "- For **"),
    "ecommerce": (
        "Audience: ",
        "Objective: ",
        "Scope: ",
        "**Topology**",
        "**Critical Dependencies**",
        "**Golden Signals**",
        "**Metrics**",
        "**Logs**",
        "**Health Checks**",
        "Key calculations:",
        "| Alert | Detection Hint |",
    ),
}


def task_names(node: Any) -> set[str]:
    """All task names in a parsed tasks file, blocks included."""
    names: set[str] = set()
    for item in node if isinstance(node, list) else [node]:
        if isinstance(item, dict):
            names |= {item["name"]} if "name" in item else set()
            for key in ("block", "rescue", "always"):
                names |= task_names(item.get(key) or [])
    return names


def reachable_tasks(role: Path, entry: str, seen: frozenset[str] = frozenset()) -> set[str]:
    """Names of the tasks of an entry point and of the files that it includes."""
    text = (role / "tasks" / f"{entry}.yml").read_text(encoding="utf-8")
    names = task_names(yaml.safe_load(text))
    for included in re.findall(r"include_tasks: (\w+)\.yml", text):
        if included not in seen:
            names |= reachable_tasks(role, included, seen | {entry})
    return names


def entry_of(playbook: str) -> tuple[Path, str]:
    """The role that a playbook includes, and which of its entry points."""
    (play,) = yaml.safe_load((ROOT / "playbooks" / f"{playbook}.yml").read_text(encoding="utf-8"))
    included = play["tasks"][-1]["ansible.builtin.include_role"]
    return ROOT / "roles" / included["name"].rpartition(".")[2], included["tasks_from"]


@pytest.mark.parametrize("system", MAP)
def test_every_number_is_mapped_once(system: str) -> None:
    assert [step["number"] for step in MAP[system]["steps"]] == NUMBERS[system]


@pytest.mark.parametrize(("system", "step"), STEPS, ids=[f"{system}-{step['number']}" for system, step in STEPS])
def test_a_step_leads_somewhere(system: str, step: dict[str, Any]) -> None:
    role = ROOT / MAP[system]["role"]
    if step["how"] == "playbook":
        assert (ROOT / "playbooks" / f"{step['playbook']}.yml").is_file()
        missing = set(step["tasks"]) - reachable_tasks(*entry_of(step["playbook"]))
        assert not missing, f"no such task in {step['playbook']}"
    elif step["how"] == "default":
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8"))
        assert not set(step["variables"]) - defaults.keys()
    else:
        assert step["how"] == "planned"
        assert step["note"]


@pytest.mark.parametrize(("system", "step"), STEPS, ids=[f"{system}-{step['number']}" for system, step in STEPS])
def test_quotes_are_the_runbook_s_words(system: str, step: dict[str, Any]) -> None:
    text = (ROOT / "docs" / MAP[system]["runbook"]).read_text(encoding="utf-8")
    assert [quote for quote in step["quotes"] if quote not in text] == []
    assert step["quotes"] or step["section"] == "(implied)"


@pytest.mark.parametrize("system", MAP)
def test_no_line_of_the_runbook_is_left_out(system: str) -> None:
    text = (ROOT / "docs" / MAP[system]["runbook"]).read_text(encoding="utf-8")
    quotes = [quote for step in MAP[system]["steps"] for quote in step["quotes"]]
    asking = [line.strip() for line in text.splitlines() if re.match(ASKS[system], line)]
    assert asking
    left = [line for line in asking if not any(quote in line or line.strip("- ") in quote for quote in quotes)]
    assert [line for line in left if not any(known in line for known in ASKS_FOR_NOTHING[system])] == []


def test_the_page_is_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "runbook_map.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout

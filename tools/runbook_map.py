#!/usr/bin/env python3
# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes docs/runbook-map.md from docs/runbook_map.yml; with --check it only says whether the page is up to date."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "docs" / "runbook_map.yml"
PAGE = ROOT / "docs" / "runbook-map.md"


def load() -> dict[str, Any]:
    """System name to {runbook, role, steps}."""
    systems: dict[str, Any] = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    return systems


def carried_out_by(step: dict[str, Any]) -> str:
    """What carries a step out, as a cell of the table."""
    if step["how"] == "playbook":
        return f"`sre.runbooks.{step['playbook'].replace('/', '.')}`"
    if step["how"] == "default":
        return "variables " + ", ".join(f"`{name}`" for name in step["variables"])
    return "not covered yet"


def page(systems: dict[str, Any]) -> str:
    """The whole page as Markdown."""
    lines = [
        "# From runbook to playbook",
        "",
        "Generated from `runbook_map.yml` by `make docs`. Every step of a runbook, what carries it out, and what is done",
        "differently from the runbook's words, with the reason. Task names begin with the runbook's own section number.",
    ]
    for name, system in systems.items():
        lines += ["", f"## {name}", "", f"The runbook: [{system['runbook']}]({system['runbook']})", ""]
        lines += ["| # | section | step | carried out by | note |", "|---|---|---|---|---|"]
        lines += [
            f"| {step['number']} | {step['section']} | {step['step']} | {carried_out_by(step)} | {step.get('note', '')} |"
            for step in system["steps"]
        ]
    return "\n".join(lines) + "\n"


def main() -> int:
    text = page(load())
    if "--check" in sys.argv[1:]:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        if current != text:
            print(f"{PAGE.relative_to(ROOT)} is not up to date: run make docs")
            return 1
        return 0
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

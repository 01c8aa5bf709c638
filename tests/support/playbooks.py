# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running playbooks of the installed collection as a user does, and reading the report that they leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools import third_party

ROOT = Path(__file__).resolve().parents[2]

LAB_INVENTORY = ROOT / "inventories" / "lab"
SECONDS = 300


def lab_command(*arguments: str) -> str:
    """Run ``python -m lab``; a failure shows its one line."""
    done = subprocess.run(
        [sys.executable, "-m", "lab", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"lab {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


def installed_collection() -> Path:
    """Build the archive, install it, and give the path to put on ANSIBLE_COLLECTIONS_PATH."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / "collection.py"), "install"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / ".build" / "installed"


@dataclass
class Run:
    """One run: exit code, everything that was printed, and report.json (None when there is none)."""

    code: int
    output: str
    report: dict[str, Any] | None

    def deployment(self, host: str = "backoffice-lab") -> dict[str, Any]:
        """The report's part of one host."""
        assert self.report is not None, self.output
        (found,) = [part for part in self.report["deployments"] if part["name"] == host]
        return dict(found)

    def judgement(self, procedure: str, host: str = "backoffice-lab") -> dict[str, Any]:
        """The judgement of one procedure on one host: verdict, checks, findings, accepted."""
        (found,) = [part for part in self.deployment(host)["procedures"] if part["procedure"] == procedure]
        return dict(found)

    def changed(self) -> int:
        """Number of changed tasks over all hosts."""
        assert self.report is not None, self.output
        return sum(stats.get("changed", 0) for stats in self.report["recap"].values())


class Playbooks:
    """Runs playbooks by full name from an empty folder, with an environment of their own."""

    def __init__(self, collections: Path, folder: Path) -> None:
        self._collections, self._folder, self._number = collections, folder, 0

    def run(self, name: str, *arguments: str, inventory: Path | str | None = LAB_INVENTORY, **environment: str) -> Run:
        """``ansible-playbook sre.runbooks.<name> [-i inventory] arguments``; keywords are environment variables."""
        self._number += 1
        reports = self._folder / f"reports-{self._number}"
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        command = [program, f"sre.runbooks.{name}", *(["-i", str(inventory)] if inventory else []), *arguments]
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("ANSIBLE_", "BACKOFFICE_", "KAFKA_", "JWT_", "KUBECONFIG", "K8S_AUTH_"))
        }
        settings = {
            "ANSIBLE_COLLECTIONS_PATH": f"{self._collections}{os.pathsep}{third_party.fetch()}",
            "ANSIBLE_CALLBACKS_ENABLED": "sre.runbooks.runbook_report",
            "ANSIBLE_NOCOLOR": "1",
            "RUNBOOK_REPORT_DIR": str(reports),
            "COLUMNS": "200",
        }
        done = subprocess.run(
            command,
            cwd=self._folder,
            env={**kept, **settings, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        found = sorted(reports.glob("*/report.json"))
        report = json.loads(found[-1].read_text(encoding="utf-8")) if found else None
        return Run(done.returncode, done.stdout + done.stderr, report)

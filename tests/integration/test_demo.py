# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo: green, red with the named cause, healed and green, also when a fault was left in; it proves its own steps."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lab import faultbook
from lab.layout import paths
from tests.support.playbooks import ROOT, lab_command

pytestmark = pytest.mark.lab


def test_the_demo_passes_with_a_fault_left_in(lab: None) -> None:
    lab_command("fault", "gateway-publisher-off")
    done = subprocess.run([sys.executable, "-m", "lab.demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [
        line.split(":")[0].strip() for line in done.stdout.splitlines() if line.startswith(("  PASS:", "  FAIL:"))
    ]
    assert verdicts == ["PASS", "FAIL", "PASS"]
    assert "why   consumer_dead (seen: freshness, lag.backoffice)" in done.stdout
    assert done.stdout.count("/report.html") >= 3
    assert not faultbook.active(paths())

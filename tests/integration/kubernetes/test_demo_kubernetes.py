# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo on Kubernetes: a bad release is caught and rolled back while clients notice nothing, and again is nothing."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from lab import cluster, hafnium
from lab.layout import paths
from tests.support.playbooks import ROOT

pytestmark = pytest.mark.lab


def test_the_demo_shows_what_it_tells(kubernetes_lab: None) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lab.demo", "kubernetes"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    verdicts = [
        line.split(":")[0].strip() for line in done.stdout.splitlines() if line.startswith(("  PASS:", "  FAIL:"))
    ]
    assert verdicts == ["PASS", "FAIL", "PASS", "PASS", "PASS"]
    assert "database_refused" in done.stdout
    told = re.findall(r"(\d+) requests to case-service, (\d+) failed", done.stdout)
    assert len(told) == 2
    assert all(int(asked) > 20 and int(failed) == 0 for asked, failed in told), done.stdout
    assert not hafnium.trouble(paths(), cluster.admin_kubeconfig(paths()))

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab of its own for each test: an empty state folder, nothing started."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import credentials
from lab.layout import Paths, paths


@pytest.fixture(autouse=True)
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """Paths of a lab that was never started; secrets are made."""
    monkeypatch.setenv("SRE_LAB_DIR", str(tmp_path / "lab"))
    monkeypatch.delenv("LAB_STRICT", raising=False)  # a test that means it sets it
    monkeypatch.setattr("lab.layout._LONGEST_SOCKET_PATH", 1000)  # nothing listens here
    where = paths()
    where.make()
    credentials.ensure(where)
    return where

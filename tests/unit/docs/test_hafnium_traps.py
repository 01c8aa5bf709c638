# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every numbered trap of the Hafnium runbook has its tests, or a refusal that is written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
TRAPS: list[dict[str, Any]] = yaml.safe_load((ROOT / "docs" / "hafnium_traps.yml").read_text(encoding="utf-8"))["traps"]


def test_every_trap_is_there() -> None:
    assert [trap["number"] for trap in TRAPS] == list(range(1, 22))


@pytest.mark.parametrize("trap", TRAPS, ids=[str(trap["number"]) for trap in TRAPS])
def test_a_trap_is_shown_or_refused(trap: dict[str, Any]) -> None:
    assert trap["trap"]
    assert trap["instead"]
    assert bool(trap.get("shown")) != bool(trap.get("refused"))
    for place in trap.get("shown", []):
        file, _, name = place.partition("::")
        wanted = f"def {name}(" if name.startswith("test_") else f'"{name}"'
        assert wanted in (ROOT / file).read_text(encoding="utf-8"), place

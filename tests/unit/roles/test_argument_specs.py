# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report strikes out the value of every variable whose name is a secret's: such a name is for secrets only."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ansible_collections.sre.runbooks.plugins.plugin_utils.report_secrets import is_secret_name

SPECS = sorted((Path(__file__).resolve().parents[3] / "roles").glob("*/meta/argument_specs.yml"))


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.parts[-3])
def test_a_variable_with_the_name_of_a_secret_is_one(path: Path) -> None:
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"].values()
    options = {name: option for entry in entries for name, option in (entry.get("options") or {}).items()}
    assert options
    assert [name for name, option in options.items() if is_secret_name(name) and not option.get("no_log")] == []

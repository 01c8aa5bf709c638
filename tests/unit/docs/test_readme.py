# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README and CONTRIBUTING name what there is: playbooks, modules, make targets, files, faults."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from lab.faults import FAULTS

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
PLAYBOOKS = {
    ".".join(path.relative_to(ROOT / "playbooks").with_suffix("").parts) for path in ROOT.glob("playbooks/**/*.yml")
}


def test_every_playbook_is_in_the_table() -> None:
    table = README[README.index("## Playbooks") : README.index("## Modules")]
    named = set()
    for row in table.splitlines():
        first = re.search(r"`sre\.runbooks\.([a-z_.0-9]+)`", row)
        if first:
            folder = first[1].rpartition(".")[0]  # further names of a row are in the folder of its first
            named |= {first[1]} | {f"{folder}{name}".lstrip(".") for name in re.findall(r"`(\.[a-z_0-9]+)`", row)}
    assert named == PLAYBOOKS


def test_every_module_is_named() -> None:
    section = README[README.index("## Modules") : README.index("## The lab")]
    modules = {path.stem for path in ROOT.glob("plugins/modules/*.py")}
    assert modules <= set(re.findall(r"`([a-z_0-9]+)`", section))


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_targets_and_links_exist(text: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"`?make (?:-s )?([a-z][a-z-]+)", text)) - targets - {"and"} == set()
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_fault_of_an_example_exists() -> None:
    files = [ROOT / name for name in ("Makefile", "README.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))
    found = [
        (path.name, name)
        for path in files
        for name in re.findall(r"\bFAULT=([\w.-]*\w)", path.read_text(encoding="utf-8"))
        if name != "NAME"  # stands for any
    ]
    assert {"Makefile", "README.md"} <= {file for file, _ in found}
    assert [(file, name) for file, name in found if name not in FAULTS] == []


def test_the_inventory_of_the_readme_uses_variables_that_exist() -> None:
    example = yaml.safe_load(re.findall(r"```yaml\n(backoffice:.*?)```", README, re.DOTALL)[0])
    defaults = yaml.safe_load((ROOT / "roles" / "backoffice" / "defaults" / "main.yml").read_text(encoding="utf-8"))
    (host,) = example["backoffice"]["hosts"].values()
    assert host.keys() <= defaults.keys()


@pytest.mark.parametrize("system", ["backoffice", "ecommerce", "hafnium"])
@pytest.mark.parametrize("name", ["lab", "staging", "production"])
def test_the_inventories_use_variables_that_exist(name: str, system: str) -> None:
    folder = ROOT / "inventories" / name / "group_vars" / system
    defaults = yaml.safe_load((ROOT / "roles" / system / "defaults" / "main.yml").read_text(encoding="utf-8"))
    given = {key for file in folder.glob("*.yml") for key in yaml.safe_load(file.read_text(encoding="utf-8"))}
    assert {key for key in given if key.startswith(f"{system}_")} <= defaults.keys()


def test_the_inventories_have_the_same_variables() -> None:
    files = [
        ROOT / "inventories" / name / "group_vars" / "backoffice" / "backoffice.yml"
        for name in ("staging", "production")
    ]
    staging, production = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in files)
    assert staging.keys() == production.keys()

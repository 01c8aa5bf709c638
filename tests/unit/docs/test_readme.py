# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The README and CONTRIBUTING name what there is: playbooks, modules, make targets, files, faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import merge_hash
from ansible.vars.manager import VariableManager

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


def role_defaults(system: str) -> dict[str, Any]:
    text = (ROOT / "roles" / system / "defaults" / "main.yml").read_text(encoding="utf-8")
    defaults: dict[str, Any] = yaml.safe_load(text)
    return defaults


def readme_inventory() -> dict[str, Any]:
    """The groups of all examples, put together as a reader does who copies one after the other."""
    section = README[README.index("## An inventory of your own") : README.index("## Playbooks")]
    together: dict[str, Any] = {}
    for text in re.findall(r"```yaml\n(.*?)```", section, re.DOTALL):
        for name, value in yaml.safe_load(text).items():
            if isinstance(value, dict):  # a list is a variable of its own
                together[name] = merge_hash(together.get(name, {}), value)
    return together


def test_the_inventory_of_the_readme_uses_variables_that_exist() -> None:
    inventory = readme_inventory()
    for system in ("backoffice", "ecommerce", "hafnium"):
        (host,) = inventory[system]["hosts"].values()
        assert host.keys() <= role_defaults(system).keys()


def test_the_deployments_of_the_readme_are_not_logged_in_to(tmp_path: Path) -> None:
    file = tmp_path / "hosts.yml"
    file.write_text(yaml.safe_dump(readme_inventory()), encoding="utf-8")
    loader = DataLoader()
    inventory = InventoryManager(loader=loader, sources=[str(file)])
    variables = VariableManager(loader=loader, inventory=inventory)
    connections = {
        host.name: variables.get_vars(host=host).get("ansible_connection") for host in inventory.get_hosts("all")
    }
    assert connections == {
        "backoffice-prod-eu": "local",
        "ecommerce-prod-eu": "local",
        "hafnium-prod-eu": "local",
        "bo-1": None,
    }


def test_the_effects_are_those_that_the_playbooks_state() -> None:
    """Who reads only is told so; who acts with an option is told that."""
    effects = {}
    for row in README[README.index("## Playbooks") : README.index("## Modules")].splitlines():
        cells = [cell.strip() for cell in row.split("|")[1:-1]]
        first = re.search(r"`sre\.runbooks\.([a-z_.0-9]+)`", row)
        if first and len(cells) == 3:
            folder = first[1].rpartition(".")[0]
            further = re.findall(r"`(\.[a-z_0-9]+)`", cells[0])
            effects |= dict.fromkeys([first[1], *(f"{folder}{name}".lstrip(".") for name in further)], cells[2])
    for name, effect in effects.items():
        text = (ROOT / "playbooks" / f"{name.replace('.', '/')}.yml").read_text(encoding="utf-8")
        stated = re.search(r"^# Effect: +(.*)$", text, re.MULTILINE)
        assert stated, name
        told, with_option = effect.partition(";")[::2]
        reads, otherwise = stated[1].partition(";")[::2]
        assert (told == "reads") == (reads == "reads only"), name
        assert told != "reads" or bool(with_option) == bool(otherwise), name


@pytest.mark.parametrize("system", ["backoffice", "ecommerce", "hafnium"])
@pytest.mark.parametrize("name", ["lab", "staging", "production"])
def test_the_inventories_use_variables_that_exist(name: str, system: str) -> None:
    folder = ROOT / "inventories" / name / "group_vars" / system
    given = {key for file in folder.glob("*.yml") for key in yaml.safe_load(file.read_text(encoding="utf-8"))}
    assert {key for key in given if key.startswith(f"{system}_")} <= role_defaults(system).keys()


def test_the_inventories_have_the_same_variables() -> None:
    files = [
        ROOT / "inventories" / name / "group_vars" / "backoffice" / "backoffice.yml"
        for name in ("staging", "production")
    ]
    staging, production = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in files)
    assert staging.keys() == production.keys()

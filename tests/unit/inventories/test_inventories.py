# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped inventories hold together: each of their variables has a value for each host, and something that uses it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.inventories import SHIPPED, hosts
from tests.support.playbooks import ROOT

SECRET = re.compile(r"lab_secrets ~ '/(\w+)'")
OF_ANSIBLE = "ansible_"


def words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))


def text_of(folder: Path) -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(folder.rglob("*.yml")))


@cache
def known_to_roles() -> set[str]:
    return words(text_of(ROOT / "roles") + text_of(ROOT / "playbooks"))


@pytest.fixture
def lab_folder(tmp_path: Path) -> str:
    """What the lab's inventory reads from the lab that was started."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in SECRET.findall(text_of(SHIPPED["lab"])):
        (secrets / name).write_text("s3cret")
    (tmp_path / "ports.yml").write_text((ROOT / "lab" / "ports.yml").read_text())
    return str(tmp_path)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_variable_has_a_value_for_every_host_and_something_that_uses_it(name: str, lab_folder: str) -> None:
    found = hosts(SHIPPED[name], SRE_LAB_DIR=lab_folder)
    assert {"backoffice", "durion", "ecommerce", "hafnium"} <= {
        group for host in found.values() for group in host.groups
    }
    assert {host: about.errors for host, about in found.items() if about.errors} == {}
    own = re.findall(r"{{.*?}}|{%.*?%}", text_of(SHIPPED[name]), re.DOTALL)
    given = {variable for host in found.values() for variable in host.values if not variable.startswith(OF_ANSIBLE)}
    assert given - known_to_roles() - words(" ".join(own)) == set()


@pytest.mark.parametrize("name", ["production", "staging"])
def test_who_approves_is_said_where_something_is_to_lose(name: str) -> None:
    for host in hosts(SHIPPED[name]).values():
        assert host.values["approval_inventory"] == name
        assert host.values["approval_allowed_signers_file"].startswith("/")
        if "hafnium" in host.groups:
            assert host.values["hafnium_flyway_repair_approval"] is (name == "production")


def test_a_variable_that_nobody_sets_is_found(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all: {hosts: {here: {folder: '{{ nowhere }}/x', plain: '{{ folder | length }}'}}}\n"
    )
    errors = hosts(tmp_path)["here"].errors
    assert set(errors) == {"folder", "plain"}
    assert "nowhere" in errors["folder"]

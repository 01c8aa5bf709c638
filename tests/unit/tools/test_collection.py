# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive holds the whole product and nothing else."""

import subprocess
import tarfile
from pathlib import Path

import pytest

from tools import collection

PRODUCT = ("plugins", "roles", "playbooks", "inventories", "extensions", "awx", "docs", "meta")
OUTSIDE = ("lab", "tests", "tools", ".ci", "Makefile", "constraints.txt", "ansible.cfg", "pyproject.toml")


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of this checkout's files in a repository of its own, with an ignored file among them."""
    copy = tmp_path / "checkout"
    collection.copy(copy)
    subprocess.run(["git", "init", "--quiet", "."], cwd=copy, check=True)
    (copy / "plugins" / "modules" / "__pycache__").mkdir(parents=True, exist_ok=True)
    (copy / "plugins" / "modules" / "__pycache__" / "stale.pyc").write_bytes(b"")
    (copy / "docs" / ".env").write_text("TOKEN=secret\n", encoding="utf-8")
    monkeypatch.setattr(collection, "ROOT", copy)
    monkeypatch.setattr(collection, "BUILD", copy / ".build")
    return copy


def test_archive_holds_the_product_and_nothing_else(checkout: Path) -> None:
    wanted = {str(path) for path in collection.files() if path.parts[0] in PRODUCT}
    with tarfile.open(collection.build()) as archive:
        found = {member.name for member in archive.getmembers() if member.isfile()}
    assert wanted <= found
    assert {"README.md", "LICENSE", "MANIFEST.json", "requirements.txt"} <= found
    assert not [name for name in found if name.split("/")[0] in OUTSIDE]
    assert not [name for name in found if name.endswith((".pyc", ".env"))]


def test_copy_leaves_out_what_git_ignores_and_what_is_excluded(checkout: Path, tmp_path: Path) -> None:
    collection.copy(tmp_path / "copy", exclude=("tools",))
    assert (tmp_path / "copy" / "galaxy.yml").is_file()
    assert not (tmp_path / "copy" / "docs" / ".env").exists()
    assert not (tmp_path / "copy" / "tools").exists()


def test_link_is_put_right(checkout: Path) -> None:
    folder = collection.link()
    link = folder / collection.NAME
    link.unlink()
    link.symlink_to("elsewhere")
    collection.link()
    assert (link / "galaxy.yml").samefile(checkout / "galaxy.yml")


def test_folder_without_git_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match="git could not list the files of"):
        collection.files()


def test_failure_of_ansible_galaxy_is_shown(checkout: Path) -> None:
    (checkout / "galaxy.yml").write_text("namespace: sre\n", encoding="utf-8")
    with pytest.raises(SystemExit, match=r"(?s)ansible-galaxy collection build .* failed:.*name"):
        collection.build()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sets are there, and which of them are whole."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_catalog
from ansible_collections.sre.runbooks.plugins.module_utils.backup_set import Manifest, ManifestError
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from tests.unit.plugins import backup_folder

NOW = 1_800_000_000.0
HOUR = 3600.0


def test_newest_first_and_its_age(tmp_path: Path) -> None:
    for hours in (30, 1, 50):
        backup_folder.write(tmp_path, "shop", NOW - hours * HOUR)
    backup_folder.write(tmp_path, "shop-two", NOW)
    (tmp_path / "shop" / ".partial-shop-20200101T000000Z").mkdir()
    (tmp_path / "shop" / "notes").mkdir()
    found = backup_catalog.sets(str(tmp_path), "shop")
    assert [round((item.age_seconds(NOW) or 0) / HOUR) for item in found] == [1, 30, 50]
    assert all(item.good and item.verify() for item in found)
    assert backup_catalog.leftovers(str(tmp_path), "shop") == [".partial-shop-20200101T000000Z"]
    newest = backup_catalog.newest_good(str(tmp_path), "shop", NOW, verify=True)
    assert newest is not None
    assert newest.id == found[0].id
    assert backup_catalog.named(str(tmp_path), "shop", found[2].id).id == found[2].id  # type: ignore[union-attr]


def test_a_set_of_the_future_is_not_the_newest(tmp_path: Path) -> None:
    backup_folder.write(tmp_path, "shop", NOW + HOUR)
    assert backup_catalog.newest_good(str(tmp_path), "shop", NOW) is None
    old = backup_folder.write(tmp_path, "shop", NOW - HOUR)
    found = backup_catalog.newest_good(str(tmp_path), "shop", NOW)
    assert found is not None
    assert found.folder == str(old)
    assert backup_catalog.sets(str(tmp_path), "shop")[0].future(NOW)


def change(folder: Path, **changes: Any) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    data["databases"][0].update({key[3:]: value for key, value in changes.items() if key.startswith("db_")})
    data |= {key: value for key, value in changes.items() if not key.startswith("db_")}
    (folder / "manifest.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: (folder / "one.dump").unlink(), "No such file"),
        (lambda folder: (folder / "one.dump").write_bytes(b"PGDMP"), "5 bytes, not 28: it is cut"),
        (lambda folder: (folder / "one.dump").write_bytes(b"x" * 28), "its content was changed"),
        (lambda folder: (folder / "manifest.json").unlink(), "No such file"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no whole manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "no whole manifest"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "no whole manifest"),
        (lambda folder: change(folder, format=2), "has format 2"),
        (lambda folder: change(folder, id="shop-20200101T000000Z"), "the folder was renamed"),
        (lambda folder: change(folder, databases=[]), "names no database"),
        (lambda folder: change(folder, db_file="../../etc/passwd"), "is no file name of database"),
        (lambda folder: change(folder, db_name="../x", db_file="../x.dump"), "is no file name of database"),
        (lambda folder: change(folder, db_sha256="short"), "no whole manifest"),
        (lambda folder: change(folder, started_at="2031-04-02T08:00:00"), "has no time zone"),
        (lambda folder: (folder / "one.dump").rename(folder / "o") and (folder / "one.dump").mkdir(), "no plain file"),
    ],
)
def test_damage_is_told_and_never_good(tmp_path: Path, damage: Any, told: str) -> None:
    folder = backup_folder.write(tmp_path, "shop", NOW - HOUR)
    damage(folder)
    (found,) = backup_catalog.sets(str(tmp_path), "shop")
    assert not found.verify()
    assert told in found.problems[0]
    assert found.id == folder.name
    assert abs((found.age_seconds(NOW) or 0) - HOUR) < 5 or "time zone" in told
    assert backup_catalog.newest_good(str(tmp_path), "shop", NOW, verify=True) is None


def test_a_manifest_reads_what_it_wrote() -> None:
    manifest = Manifest(
        "s", "s-20310402T080311Z", "2031-04-02T08:03:11.000+00:00", "2031-04-02T08:03:12.000+00:00", 1, "18.6",
        [backup_folder.saved("a"), backup_folder.saved("b")],
    )  # fmt: skip
    assert Manifest.of(manifest.text().encode(), "x") == manifest
    with pytest.raises(ManifestError, match="one twice"):
        Manifest.of(manifest.text().replace('"b"', '"a"').replace('"b.dump"', '"a.dump"').encode(), "x")


def test_bad_places_and_names(tmp_path: Path) -> None:
    assert backup_catalog.sets(str(tmp_path), "never") == []
    (tmp_path / "file").write_text("")
    for directory, name, told in (
        (str(tmp_path / "none"), "shop", "is the disk of the backups mounted"),
        (str(tmp_path / "file"), "shop", "is no directory"),
        ("relative", "shop", "a relative path"),
        (str(tmp_path), "../shop", "becomes part of file names"),
        (str(tmp_path), "", "becomes part of file names"),
        (str(tmp_path), "file", "cannot be read"),
    ):
        with pytest.raises(InputError, match=told):
            backup_catalog.sets(directory, name)
    with pytest.raises(InputError, match="give 'newest' or an id"):
        backup_catalog.named(str(tmp_path), "shop", "shop-1")


def test_reading_can_be_bounded(tmp_path: Path) -> None:
    backup_folder.write(tmp_path, "shop", time.time())
    (found,) = backup_catalog.sets(str(tmp_path), "shop")
    read: list[int] = []
    found.verify(read.append)
    assert sum(read) == len(backup_folder.CONTENT)

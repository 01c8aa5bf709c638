# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backup sets without a server: folders with a manifest and files that fit it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ansible_collections.sre.runbooks.plugins.module_utils.backup_set import MANIFEST, Manifest, Saved, iso, new_id
from ansible_collections.sre.runbooks.plugins.module_utils.pg_fingerprint import Fingerprint, Table

CONTENT = b"PGDMP and the rest of a dump"


def saved(name: str, content: bytes = CONTENT) -> Saved:
    return Saved(
        name=name,
        dbname=f"{name}_db",
        server_version="18.6",
        system_identifier="7",
        file=f"{name}.dump",
        bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        encrypted=False,
        recipients=[],
        snapshot_at="2031-04-02T08:03:11.600000+00:00",
        marker=None,
        database_bytes=8_000_000,
        owner="shop",
        roles=["shop"],
        encoding="UTF8",
        locale={"collate": "C", "ctype": "C", "provider": "c", "locale": None},
        content=Fingerprint(tables=[Table("public", "orders", 3, "123")]),
    )


def write(directory: Path, name: str, at: float, databases: tuple[str, ...] = ("one",)) -> Path:
    """A whole set, begun at a time in seconds since the epoch; returns its folder."""
    backup_id = new_id(name, at)
    folder = directory / name / backup_id
    folder.mkdir(parents=True)
    rows = [saved(database) for database in databases]
    for row in rows:
        (folder / row.file).write_bytes(CONTENT)
    manifest = Manifest(name, backup_id, iso(at), iso(at + 5), 2, "18.6", rows)
    (folder / MANIFEST).write_text(manifest.text(), encoding="utf-8")
    return folder

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The newest client programs back up and restore servers of every major version: scratch, replaced and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyrage
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_stream
from ansible_collections.sre.runbooks.plugins.module_utils.errors import RunbookError
from lab import postgres as lab_postgres
from tests.integration import backup_scene
from tests.integration.test_pg_restore_exchange import RULE, given_out, sequence, state
from tests.support import postgres_majors
from tests.support.postgres_majors import MAJORS

AWKWARD = "SET transaction_timeout = 0;\nSET client_encoding\n\\.\ttab"


@pytest.fixture(params=MAJORS)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    major = request.param
    try:
        lab_postgres.wheel_bin()
    except lab_postgres.MissingPostgres as error:
        pytest.skip(str(error))
    with postgres_majors.server(major) as server, backup_scene.shop(server, tmp_path) as shop:
        shop.sql("customer_db", "SELECT setval('order_number_sequence', 300)")
        shop.sql(
            "order_db",
            "CREATE TABLE notes (id int PRIMARY KEY, words text, made bytea)",
            f"INSERT INTO notes VALUES (1, $${AWKWARD}$$, '\\x00ff'), (2, NULL, NULL)",
            "CREATE INDEX ON notes (words)",
            "SELECT lo_from_bytea(0, '\\x0102')",
        )
        yield shop


@pytest.mark.parametrize("encrypted", [False, True])
def test_restored_and_put_back(scene: backup_scene.Scene, tmp_path: Path, encrypted: bool) -> None:
    key = pyrage.x25519.Identity.generate()
    (tmp_path / "identity").write_text(str(key))
    scene.backup(recipients=[str(key.to_public())] if encrypted else [])
    options = {"identity_file": str(tmp_path / "identity"), "drill_id": "x"}
    scene.restore("scratch", **options)  # compared with the manifest, by the digests of all rows
    assert scene.sql("order_db_drill_x", "SELECT words FROM notes WHERE id = 1") == [(AWKWARD,)]
    given_out(scene, 341)
    done = scene.restore("replaced", numbers=[RULE], **options)
    assert (done["verdict"], sequence(scene)) == ("pass", 341)
    back = scene.restore("undone", numbers=[RULE], **options)
    assert (back["verdict"], sequence(scene)) == ("pass", 341)
    assert not scene.restore("undone", numbers=[RULE], **options)["changed"]


@pytest.mark.parametrize("scene", [major for major in MAJORS if major < 17], indirect=True)
def test_an_error_in_the_middle_leaves_nothing(scene: backup_scene.Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """psql stops at the first error, as pg_restore does; and a script that is cut is no whole restore."""
    scene.backup()
    before = state(scene)
    pour = backup_stream.pour

    class Wrong:
        """The script with a statement in it that the server refuses."""

        def __init__(self, source: Any) -> None:
            self.source, self.first = source, True

        def read(self, count: int) -> bytes:
            piece: bytes = self.source.read(count)
            self.first, first = False, self.first
            return (
                piece
                if not first
                else piece + b"\nSELECT 1 / 0;\n"
                if piece.endswith(b"\n")
                else b"SELECT 1 / 0;\n" + piece
            )

    monkeypatch.setattr(backup_stream, "pour", lambda source, sink: pour(Wrong(source), sink))
    with pytest.raises(RunbookError, match=r"psql with the restore of .* ended with code 3: .*division by zero"):
        scene.restore("replaced")
    assert state(scene) == before

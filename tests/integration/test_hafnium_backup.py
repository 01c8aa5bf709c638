# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The backup of Hafnium's database: made, kept, and taken by what asks for one: a migration and a recovery drill."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.layout import paths
from tests.support.lab_databases import everything, rows, without_markers
from tests.support.playbooks import Playbooks

pytestmark = pytest.mark.lab

HOST = "hafnium-lab"


@pytest.fixture
def backups(quiet_databases: None, tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    return folder


def made(backups: Path) -> list[Path]:
    """The backups of the set, which has the deployment's name."""
    return sorted(path.parent for path in backups.glob(f"{HOST}/*/manifest.json"))


def test_backup_twice_and_in_check_mode(backups: Path, playbooks: Playbooks) -> None:
    asked = ("--limit", HOST, "-e", f"hafnium_backup_directory={backups}")
    before = everything()
    planned = playbooks.run("hafnium.backup", *asked, "--check")
    assert planned.report is not None
    assert (list(backups.iterdir()), everything()) == ([], before)
    for number in (1, 2):
        done = playbooks.run("hafnium.backup", *asked)
        assert (done.code, done.judgement("hafnium.backup", HOST)["verdict"]) == (0, "pass"), done.output
        assert len(made(backups)) == number
    (saved,) = json.loads((made(backups)[-1] / "manifest.json").read_text())["databases"]
    assert {"public", "screening", "monitoring", "cases", "vault", "risk", "signals"} <= {
        table["schema"] for table in saved["tables"]
    }
    assert without_markers(everything()) == without_markers(before)


@pytest.mark.parametrize("missing", ["hafnium_backup_directory", "hafnium_database_host"])
def test_a_backup_to_nowhere_or_of_nothing_is_refused(missing: str, backups: Path, playbooks: Playbooks) -> None:
    given = {"hafnium_backup_directory": str(backups), missing: ""}
    run = playbooks.run("hafnium.backup", "--limit", HOST, "-e", json.dumps(given), PGHOST="127.0.0.1")
    assert run.code == 2
    assert f"{missing} is empty" in run.output
    assert list(backups.iterdir()) == []


@pytest.fixture
def release(tmp_path: Path) -> Iterator[dict[str, str]]:
    """The case service with one migration more; its schema is as it was afterwards."""
    folder = tmp_path / "release"
    folder.mkdir()
    for script in (paths().migrations / "hafnium" / "case").iterdir():
        (folder / script.name).write_bytes(script.read_bytes())
    (folder / "V2__note.sql").write_text("CREATE TABLE note (id integer PRIMARY KEY);\n")
    yield {"name": "case", "schema": "cases", "locations": f"filesystem:{folder}"}
    rows("hafnium", "DROP TABLE IF EXISTS cases.note")
    rows("hafnium", "DELETE FROM cases.flyway_schema_history WHERE version = '2'")


def test_a_migration_and_a_drill_take_it(
    release: dict[str, str], backups: Path, playbooks: Playbooks, tmp_path: Path
) -> None:
    wanted = {"directory": str(backups), "set": HOST, "database": "hafnium", "max_age_hours": 24}
    migrate = (
        *("--limit", HOST, "-e", "hafnium_flyway_history=case"),
        *("-e", json.dumps({"hafnium_flyway_require_backup": wanted, "hafnium_flyway_histories": [release]})),
    )
    refused = playbooks.run("hafnium.flyway_migrate", *migrate)
    assert refused.code == 2
    assert "sre.runbooks.hafnium.backup" in refused.output

    backup = playbooks.run("hafnium.backup", "--limit", HOST, "-e", f"hafnium_backup_directory={backups}")
    assert backup.code == 0, backup.output
    drills = tmp_path / "drills"
    drills.mkdir()
    own = {"recovery_directory": str(backups), "recovery_history_directory": str(drills)}
    drill = playbooks.run("dr_drill", "--limit", HOST, "-e", json.dumps(own))
    found = {check["id"]: check["status"] for check in drill.judgement("dr_drill", HOST)["checks"]}
    assert {name for name, status in found.items() if status != "pass"} <= {"rto.hafnium", "rpo.hafnium"}, drill.output

    migrated = playbooks.run("hafnium.flyway_migrate", *migrate)
    assert (migrated.code, migrated.changed()) == (0, 1), migrated.output

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook loads with the shipped inventories, and those of databases come as far as a server that does not answer.

The servers of the inventories are put on an address of this machine where nobody listens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.inventories import SHIPPED, Host, hosts
from tests.support.playbooks import ROOT, Playbooks

FOR_COPYING = ["production", "staging"]
NOBODY = "127.0.0.77"
ONE_HISTORY = ("-e", "hafnium_flyway_history=case")
OLD_BACKUP = ("-e", "recovery_backup=HOST-20260101T000000Z")
# By group: the playbooks of its databases, with what whoever starts them has to say.
OF_DATABASES: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "hafnium": [
        ("hafnium.flyway_info", ()),
        ("hafnium.flyway_migrate", ONE_HISTORY),
        ("hafnium.flyway_repair", ONE_HISTORY),
        ("hafnium.db_connectivity", ()),
        ("hafnium.db_connections", ()),
        ("hafnium.db_idle_kill", ()),
        ("dr_drill", ()),
        ("dr_restore", ()),
        ("dr_restore_undo", OLD_BACKUP),
    ],
    "ecommerce": [
        ("ecommerce.backup", ()),
        ("ecommerce.database_degradation", ()),
        ("ecommerce.schema_change_check", ()),
        ("dr_drill", ()),
        ("dr_restore", ()),
        ("dr_restore_undo", OLD_BACKUP),
    ],
    "backoffice": [("backoffice.backup", ()), ("dr_drill", ()), ("dr_restore", ()), ("dr_restore_undo", OLD_BACKUP)],
    "durion": [("dr_drill", ()), ("dr_restore", ())],
}
# What only a mistake in a playbook, a role or an inventory says.
MISTAKES = re.compile(
    r"is undefined|has no attribute|missing required argument|required arguments|Unsupported parameters|argument_errors"
    r"|Traceback|defect|unexpected|value of \w+ must be one of|cannot be converted|template error|must not be given"
)
ENDS = re.compile(rf"{re.escape(NOBODY)}|/srv/|cannot be restored|unrecoverable|is not set", re.IGNORECASE)


def books_of_the_collection() -> list[str]:
    """Their names, without that of the collection."""
    folder = ROOT / "playbooks"
    return sorted(".".join(path.relative_to(folder).with_suffix("").parts) for path in folder.rglob("*.yml"))


def moved(host: Host) -> dict[str, object]:
    """The variables that name a server, with that server where nobody listens."""
    found: dict[str, object] = {}
    for name, value in host.values.items():
        text = json.dumps(value)
        if "example.com" in text:
            found[name] = json.loads(re.sub(r"[a-z0-9.-]*\bexample\.com", NOBODY, text))
    return found


def runs(name: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    for host, about in hosts(SHIPPED[name]).items():
        for group in about.groups:
            for playbook, said in OF_DATABASES.get(group, []):
                yield host, playbook, tuple(word.replace("HOST", host) for word in said)


@pytest.mark.parametrize("name", FOR_COPYING)
def test_every_playbook_loads(name: str, playbooks: Playbooks) -> None:
    first, *others = books_of_the_collection()
    assert len(others) > 40
    more = (f"sre.runbooks.{book}" for book in others)
    run = playbooks.run(first, *more, "-i", str(SHIPPED[name]), "--syntax-check", inventory=None)
    assert run.code == 0, run.output
    assert run.output.count("playbook: ") == 1 + len(others)


@pytest.mark.parametrize("name", FOR_COPYING)
def test_playbooks_of_databases_come_as_far_as_their_server(name: str, playbooks: Playbooks, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.yml"
    elsewhere.write_text(
        json.dumps({"all": {"hosts": {host: moved(about) for host, about in hosts(SHIPPED[name]).items()}}})
    )
    wrong = {}
    for host, playbook, said in runs(name):
        arguments = ("-i", str(elsewhere), "--limit", host, "--check", *said)
        run = playbooks.run(playbook, *arguments, inventory=SHIPPED[name])
        output = " ".join(run.output.split())
        if run.code == 0 or MISTAKES.search(output) or not ENDS.search(output) or run.report is None:
            wrong[f"{playbook} on {host}"] = run.output
    assert not wrong, "\n".join([*wrong, *wrong.values()])

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every way in which this system is known to fool its runbook is put into the lab; the playbooks are not fooled."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from tests.support.playbooks import Playbooks, lab_command
from tests.truth import database_rows, hafnium_rows, rows
from tests.truth.rows import Row

pytestmark = [pytest.mark.lab, pytest.mark.slow]


ROWS = (*rows.ROWS, *hafnium_rows.ROWS, *database_rows.ROWS)
PARTS = {"backoffice": "lab", "hafnium": "kubernetes_lab", "ecommerce": "databases_lab"}


@pytest.fixture
def faults(row: Row, request: pytest.FixtureRequest) -> Iterator[None]:
    """The part of the lab that the row is about without any fault, before and after."""
    request.getfixturevalue(f"{row.part}_lab" if row.part else PARTS[row.system])
    lab_command("heal")
    yield
    lab_command("heal")


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.playbook}-{row.situation}".replace(" ", "_") for row in ROWS])
def test_the_playbook_is_not_fooled(row: Row, faults: None, playbooks: Playbooks, found: list[tuple[str, ...]]) -> None:
    for fault in row.faults:
        lab_command("fault", fault)
    run = playbooks.run(row.playbook, *row.arguments)
    judgement = run.judgement(row.playbook, f"{row.system}-lab")
    causes = [finding["cause"] for finding in judgement["findings"]]
    found.append((row.kind, row.situation, row.playbook, judgement["verdict"], ", ".join(causes) or "-"))
    assert judgement["verdict"] == row.verdict, run.output
    assert (run.code == 0) == (row.verdict == "pass"), run.output
    if row.cause:
        assert causes[:1] == [row.cause], run.output
    for pattern, status in row.checks.items():
        seen = {check["status"] for check in judgement["checks"] if fnmatchcase(check["id"], pattern)}
        assert status in seen, run.output


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.playbook}-{row.situation}".replace(" ", "_"))
def test_a_row_that_is_not_green_says_what_is_seen(row: Row) -> None:
    """Another fault than the one that was put in would make it red as well."""
    assert row.verdict == "pass" or row.cause or row.checks

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils.recovery_verify import compared, matches
from ansible_collections.sre.runbooks.plugins.modules import recovery_verify
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]
MANIFEST = str(Path(__file__).parents[3] / "fixtures" / "recovery" / "manifest.json")
CLOSED = {"login_host": "127.0.0.1", "login_port": 1, "login_db": "x", "login_password": "correct-horse"}


def test_a_server_that_is_away_is_a_failed_check(capsys: Capture) -> None:
    query = {"name": "works", "database": "x", "query": "SELECT true"}
    result = run_module(recovery_verify, capsys, manifest_path=MANIFEST, queries=[query], **CLOSED)
    assert {check["id"]: check["status"] for check in result["checks"]} == {
        "restored.x": "fail",
        "application.works": "unverified",
    }
    assert (result["verdict"], result["verified_at"], result["markers"], result["changed"]) == ("fail", None, [], False)
    assert "correct-horse" not in str(result)


@pytest.mark.parametrize(
    ("found", "expected", "right"),
    [
        (True, True, True),
        (True, "True", True),
        (False, True, False),
        (None, None, True),
        (None, "None", False),
        (3, "3", True),
        (Decimal("3.00"), 3, True),
        (3, "three", False),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_values(found: Any, expected: Any, right: bool) -> None:
    assert matches(found, expected) is right


@pytest.mark.parametrize(
    ("how", "mine", "other", "right"),
    [
        ("contained_in", ["a", "b"], ["b", "a", "c"], True),
        ("contained_in", ["a", "d"], ["a"], False),
        ("contained_in", [], ["a"], False),
        ("at_most", [3], [3], True),
        ("at_most", [4], [3], False),
        ("at_most", [None], [3], False),
        ("equal", ["x"], ["x"], True),
        ("equal", ["x"], [], False),
    ],
)
def test_columns(how: str, mine: list[Any], other: list[Any], right: bool) -> None:
    assert compared(how, mine, other)[0] is right

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module as Ansible runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.modules import log_search
from tests.unit.plugins.module_runner import run_module

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("BackOffice listening on :8082\npassword=hunter2hunter2\n")
    return path


def test_the_documented_keys_and_check_mode(log: Path, capsys: Capture) -> None:
    arguments: dict[str, Any] = {
        "paths": [str(log)],
        "patterns": [{"id": "listening", "text": "listening on", "expect": "present", "runbook": "1"}],
    }
    result = run_module(log_search, capsys, **arguments)
    assert result["verdict"] == "pass"
    assert result["checks"][0]["runbook"] == "1"
    assert result["end_offsets"] == {str(log): {"offset": log.stat().st_size, "inode": log.stat().st_ino}}
    assert run_module(log_search, capsys, check=True, **arguments) == result
    documented = {line.rstrip(":") for line in log_search.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(result) - {"changed", "invocation"}


def test_strings_for_numbers_and_redaction(log: Path, capsys: Capture) -> None:
    result = run_module(
        log_search,
        capsys,
        paths=str(log),
        tail_bytes="4096",
        max_matches="5",
        from_offset={str(log): "3"},
        patterns=[{"id": "p", "regex": "passw.*"}],
    )
    assert result["found"]["p"]["count"] == 1
    assert "hunter2" not in str(result)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patterns": [{"id": "p"}]}, "one of the following is required: text, regex"),
        ({"patterns": [{"id": "p", "text": "a", "regex": "b"}]}, "mutually exclusive"),
        ({"patterns": [{"text": "a"}]}, "missing required arguments: id"),
        ({"patterns": [{"id": "p", "regex": "[a-"}]}, "pattern p is not a valid regular expression"),
        ({"tail_bytes": ""}, "tail_bytes"),
        ({"paths": ["relative.log"]}, "is not absolute"),
    ],
)
def test_bad_arguments_are_one_line(log: Path, capsys: Capture, arguments: dict[str, Any], words: str) -> None:
    result = run_module(log_search, capsys, **{"paths": [str(log)], **arguments})
    assert result["failed"] is True
    assert words in result["msg"]
    assert "Traceback" not in str(result)

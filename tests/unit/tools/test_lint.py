# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A gate passes, fails with its output, or is left out for a missing tool, which strict mode does not allow."""

import sys
from pathlib import Path

import pytest

from tools import lint


def gate(code: str) -> lint.Gate:
    return lint.Gate("example", Path(sys.executable), ["-c", code])


def test_passing_gate_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint.run(gate("print('noise')"))
    assert capsys.readouterr().out.startswith("pass      example (")


def test_failing_gate_prints_its_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert not lint.run(gate("import sys; print('what is wrong'); sys.exit(3)"))
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("FAIL      example (")
    assert second == "what is wrong"


def test_endless_gate_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint, "LIMIT_SECONDS", 1)
    assert not lint.run(gate("import time; time.sleep(60)"))
    assert "did not end within 1 seconds" in capsys.readouterr().out


@pytest.mark.parametrize(("strict", "word"), [(False, "left out"), (True, "FAIL")])
def test_missing_tool(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, strict: bool, word: str
) -> None:
    monkeypatch.setattr(lint, "STRICT", strict)
    assert lint.run(lint.Gate("example", lint.ROOT / "no" / "such-tool", [])) is not strict
    assert capsys.readouterr().out == f"{word:<9} example: no/such-tool is missing\n"


def test_unknown_gate_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["lint.py", "mypi"])
    with pytest.raises(SystemExit, match="no gate named mypi; there are: sanity, "):
        lint.main()

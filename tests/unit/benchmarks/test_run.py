# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the benchmarks and its exit code: what missed its target or was not measured is said, and ends with 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import kafka_lag, ledger_scan, recovery_check, run


def measured(ratio: float) -> dict[str, Any]:
    return {"name": "a thing", "ours_seconds": 2.0, "theirs_seconds": 2 * ratio, "ratio": ratio, "target": 10.0}


@pytest.mark.parametrize(("ratio", "code", "end"), [(10.0, 0, ">= 10x"), (9.9, 1, ">= 10x  missed")])
def test_a_missed_target_ends_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ratio: float, code: int, end: str
) -> None:
    monkeypatch.setattr(kafka_lag, "rows", lambda: [measured(ratio)])
    assert run.main(["kafka_lag"]) == code
    assert capsys.readouterr().out.splitlines()[-1].endswith(end)


def test_without_jq_the_table_says_so_and_the_end_is_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ledger_scan.shutil, "which", lambda name: None)
    for other in (kafka_lag, recovery_check):
        monkeypatch.setattr(other, "rows", lambda: [measured(20.0)])
    assert run.main([]) == 1
    table = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split("  ")[0] for line in table] == ["measured", "a thing", "a thing", "ledger scan against jq"]
    assert table[-1].endswith("not measured: jq is not installed")


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["ledger"]) == 2
    assert "no benchmark ledger; there are: recovery_check, kafka_lag, ledger_scan" in capsys.readouterr().out

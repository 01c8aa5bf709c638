# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of the benchmarks and its exit code: what missed its target or was not measured is said, and ends with 1."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks import kafka_lag, ledger_scan, plays, recovery_check, run


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
    monkeypatch.setattr(run, "BENCHMARKS", ("recovery_check", "kafka_lag", "ledger_scan"))
    for other in (kafka_lag, recovery_check):
        monkeypatch.setattr(other, "rows", lambda: [measured(20.0)])
    assert run.main([]) == 1
    table = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split("  ")[0] for line in table] == ["measured", "a thing", "a thing", "ledger scan against jq"]
    assert table[-1].endswith("not measured: jq is not installed")


@pytest.mark.parametrize(("ours", "end"), [(6, "0.67x   >= 0.667x"), (7, "0.57x   >= 0.667x  missed")])
def test_counts_have_their_unit_and_may_be_a_little_more(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ours: int, end: str
) -> None:
    row = plays.count_row("a thing", "requests", ours, 4, 2 / 3)
    monkeypatch.setattr(kafka_lag, "rows", lambda: [row])
    assert run.main(["kafka_lag"]) == int("missed" in end)
    line = capsys.readouterr().out.splitlines()[-1]
    assert f"{ours} requests  4 requests" in line
    assert line.split("requests  ")[-1].split() == end.split()


def test_an_unknown_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["ledger"]) == 2
    assert "no benchmark ledger; there are: recovery_check, kafka_lag, ledger_scan" in capsys.readouterr().out

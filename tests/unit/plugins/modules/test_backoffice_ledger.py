# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_operation, ledger_scan
from ansible_collections.sre.runbooks.plugins.modules import backoffice_ledger
from tests.unit.plugins.module_runner import run_module

GOOD = (
    '{"type":"OrderAccepted","at":"2031-04-02T08:03:10Z","accountId":"a","orderId":"o","symbol":"ADA","side":"BUY"}\n'
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.log"
    path.write_text(GOOD * 3)
    return path


class Run:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.capsys = capsys

    def __call__(self, path: Path | str, **arguments: Any) -> dict[str, Any]:
        return run_module(backoffice_ledger, self.capsys, path=str(path), **arguments)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(capsys)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"].removeprefix("ledger."): check["status"] for check in result["checks"]}


def test_a_good_ledger(run: Run, ledger: Path) -> None:
    result = run(ledger)
    assert (result["verdict"], result["changed"], result["findings"]) == ("pass", False, [])
    assert result["counts"] == {
        "lines": 3, "good": 3, "blank": 0, "bad": 0, "fatal": 0, "skipped": 0, "silent": 0, "unjudged": 0,
    }  # fmt: skip
    assert result["ledger"]["first_at"] == result["ledger"]["last_at"] == "2031-04-02T08:03:10Z"
    assert all(check["hint"] and check["runbook"] == "6" for check in result["checks"])


@pytest.mark.parametrize(
    ("line", "check", "cause", "playbook"),
    [
        (GOOD.replace("BUY", "buy"), "fatal_lines", "ledger_fatal_line", True),
        ("{}\n", "skipped_lines", "ledger_skipped_line", True),
        (GOOD.strip() + "x\n", "silent_lines", "ledger_silent_line", False),
    ],
)
def test_each_class_of_bad_line(run: Run, ledger: Path, line: str, check: str, cause: str, playbook: bool) -> None:
    ledger.write_text(GOOD + line + GOOD)
    result = run(ledger)
    assert result["verdict"] == "fail"
    assert [name for name, status in statuses(result).items() if status == "fail"] == [check]
    (finding,) = result["findings"]
    assert (finding["cause"], bool(finding["next"])) == (cause, playbook)
    (bad,) = result["bad_lines"]
    assert (bad["line"], bad["offset_bytes"], bad["length_bytes"]) == (2, len(GOOD), len(line))


def test_a_torn_tail(run: Run, ledger: Path) -> None:
    ledger.write_text(GOOD + '{"type":"Fi')
    result = run(ledger)
    assert result["reasons"] == {"torn_tail": 1}
    assert {finding["cause"] for finding in result["findings"]} == {"ledger_skipped_line", "ledger_torn_tail"}


def test_an_empty_ledger_proves_nothing(run: Run, ledger: Path) -> None:
    for content in ("", "\n\n"):
        ledger.write_text(content)
        result = run(ledger)
        assert result["verdict"] == "unverified"
        assert statuses(result)["measured"] == "unverified"


def cover(ledger: Path, lines: int) -> None:
    ledger.with_name("snapshot.json").write_text(json.dumps({"ledgerLines": lines, "state": {}}))


@pytest.mark.parametrize(
    ("covered", "status", "cause"),
    [
        (1, "pass", None),
        (2, "fail", "snapshot_hides_bad_line"),
        (3, "fail", "snapshot_hides_bad_line"),
    ],
)
def test_a_snapshot_over_a_bad_line(run: Run, ledger: Path, covered: int, status: str, cause: str | None) -> None:
    ledger.write_text(GOOD + "{}\n" + GOOD)
    cover(ledger, covered)
    result = run(ledger)
    assert statuses(result)["snapshot"] == status
    assert result["bad_lines"][0]["covered_by_snapshot"] is (covered >= 2)
    assert ({finding["cause"] for finding in result["findings"]} == {"ledger_skipped_line"}) is (cause is None)


def test_a_ledger_shorter_than_its_snapshot_lost_its_end(run: Run, ledger: Path) -> None:
    cover(ledger, 9)
    result = run(ledger)
    assert statuses(result)["snapshot"] == "fail"
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_shorter_than_snapshot"]
    assert result["snapshot"]["used_at_boot"] is False


def test_half_a_snapshot_is_unverified(run: Run, ledger: Path) -> None:
    ledger.with_name("snapshot.json").write_text('{"ledgerLines": 3, "sta')
    assert statuses(run(ledger))["snapshot"] == "unverified"


def test_a_line_too_long_leaves_the_classes_unverified(run: Run, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_scan, "LONGEST_LINE_BYTES", 1000)
    ledger.write_text(GOOD + "x" * 2000 + "\n")
    result = run(ledger)
    assert (result["verdict"], result["counts"]["unjudged"]) == ("unverified", 1)
    assert statuses(result)["fatal_lines"] == "unverified"


def test_out_of_time_is_unverified(run: Run, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = ledger_scan.scan
    monkeypatch.setattr(
        ledger_operation.ledger_scan, "scan", lambda *args, **options: scan(*args, **{**options, "seconds": -1.0})
    )
    result = run(ledger)
    assert (result["verdict"], result["ledger"]["complete"]) == ("unverified", False)
    assert set(statuses(result).values()) <= {"unverified", "pass"}
    refused = run(ledger, state="quarantined")
    assert refused["failed"] is True
    assert "Raise 'timeout'" in refused["msg"]


def test_a_file_that_shrinks_or_is_replaced(run: Run, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = ledger_scan.scan

    def shrinking(*args: Any, **options: Any) -> ledger_scan.Scan:
        found = scan(*args, **options)
        ledger.write_text(GOOD)
        return found

    monkeypatch.setattr(ledger_operation.ledger_scan, "scan", shrinking)
    assert statuses(run(ledger))["readable"] == "fail"

    def replacing(*args: Any, **options: Any) -> ledger_scan.Scan:
        found = scan(*args, **options)
        ledger.rename(ledger.with_name("old"))
        ledger.write_text(GOOD)
        return found

    monkeypatch.setattr(ledger_operation.ledger_scan, "scan", replacing)
    assert statuses(run(ledger))["readable"] == "unverified"


def test_growth_while_it_is_read_is_no_fault(run: Run, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = ledger_scan.scan

    def growing(*args: Any, **options: Any) -> ledger_scan.Scan:
        with ledger.open("a") as stream:
            stream.write(GOOD + "torn")
        return scan(*args, **options)

    monkeypatch.setattr(ledger_operation.ledger_scan, "scan", growing)
    result = run(ledger)
    assert (result["verdict"], result["counts"]["lines"]) == ("pass", 3)


@pytest.mark.parametrize(
    ("name", "verdict", "observed"),
    [("missing.log", "fail", "does not exist"), (".", "unverified", "is a directory"), ("missing/x", "fail", "exist")],
)
def test_no_ledger(run: Run, tmp_path: Path, name: str, verdict: str, observed: str) -> None:
    result = run(tmp_path / name)
    assert (result["verdict"], result["counts"]) == (verdict, None)
    assert observed in result["checks"][0]["observed"]
    assert bool(result["findings"]) is (verdict == "fail")
    refused = run(tmp_path / name, state="quarantined")
    assert (refused["failed"], observed in refused["msg"]) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": ""}, "path is empty"),
        ({"path": "var/ledger.log"}, "is relative"),
        ({"max_quarantined": 1001}, "0 to 1000"),
        ({"max_listed": -1}, "0 to 1000"),
        ({"timeout": 0}, "at least 1 second"),
        ({"state": "fixed"}, "value of state must be one of"),
        ({"classes": ["unjudged"]}, "value of classes must be one"),
        ({"state": "restored"}, "backup"),
        ({"state": "restored", "backup": ""}, "backup is empty"),
        ({"state": "restored", "backup": "b"}, "is relative"),
        ({"max_quarantined": ""}, "max_quarantined"),
        ({"service_stopped": "perhaps"}, "service_stopped"),
    ],
)
def test_bad_arguments(run: Run, ledger: Path, arguments: dict[str, Any], message: str) -> None:
    before = ledger.read_bytes()
    result = run(**{"path": ledger, **arguments})
    assert result["failed"] is True
    assert message in result["msg"]
    assert "Traceback" not in json.dumps(result)
    assert ledger.read_bytes() == before


def test_booleans_and_empty_texts_as_a_survey_gives_them(run: Run, ledger: Path) -> None:
    ledger.write_text(GOOD + "{}\n")
    result = run(
        ledger,
        state="quarantined",
        service_stopped="true",
        max_quarantined="5",
        snapshot_path="",
        backup_dir="",
        quarantine_dir="",
        expected_plan="",
        service_url="",
    )
    assert result["changed"] is True
    assert ledger.read_text() == GOOD


def test_check_mode_changes_nothing(capsys: pytest.CaptureFixture[str], ledger: Path) -> None:
    ledger.write_text(GOOD + "{}\n")
    before = {path.name: path.read_bytes() for path in ledger.parent.iterdir()}
    result = run_module(
        backoffice_ledger, capsys, check=True, path=str(ledger), state="quarantined", service_stopped=True
    )
    assert (result["changed"], result["backup"], len(result["plan"]["remove"])) == (True, None, 1)
    assert {path.name: path.read_bytes() for path in ledger.parent.iterdir()} == before


def test_secrets_in_a_ledger_are_never_shown(run: Run, ledger: Path) -> None:
    ledger.write_text('{"type":"Nope","api_key":"k3y-k3y-k3y-k3y","dsn":"postgresql://u:p4ssw0rd@h/d"}\n')
    shown = json.dumps([run(ledger), run(ledger, state="quarantined", service_stopped=True)])
    assert "k3y-k3y" not in shown
    assert "p4ssw0rd" not in shown

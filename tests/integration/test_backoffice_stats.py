# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_stats against the reference BackOffice: one of its own in memory, and the lab's on PostgreSQL and Kafka."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab import control
from lab.services.book import Book
from lab.services.entries import Fill
from lab.services.ledger import Ledger
from tests.integration.test_backoffice_ledger import ACCOUNT, BOTH_PATHS, SECRET, Service, Tasks
from tests.unit.plugins.module_utils.test_ledger_rules import FILL, ORDER, line

BOOK = [
    line(ORDER),
    line(FILL),
    line(ORDER, orderId="o2", side="BUY", symbol="BTC"),
    line(FILL, orderId="o2", side="BUY", symbol="BTC", filledQtyDelta=2, filledQtyTotal=2, quoteCashDelta=-500),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "backoffice"
    folder.mkdir()
    instance = Service(folder)
    instance.ledger.write_bytes(b"\n".join([*BOOK, b""]))
    yield instance
    instance.stop()


@pytest.fixture
def task(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path, in_process=True)


def look(task: Tasks, service: Service, *words: str, **options: Any) -> dict[str, Any]:
    """The checks of a service that is known to be quiet."""
    given = {
        "url": f"http://127.0.0.1:{service.port}",
        "account_id": ACCOUNT,
        "jwt_secret": SECRET,
        "consumer_caught_up": True,
        "retries": 0,
    }
    return task({**given, **options}, *words, module="backoffice_stats")


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def bad(result: dict[str, Any]) -> dict[str, str]:
    return {name: status for name, status in statuses(result).items() if status != "pass"}


def hint(result: dict[str, Any], name: str) -> str:
    (found,) = [check["hint"] for check in result["checks"] if check["id"] == name]
    return str(found)


@BOTH_PATHS
def test_open_positions_in_memory_are_green(service: Service, tmp_path: Path, in_process: bool) -> None:
    assert service.start()
    assert service.get("/reconcile")["positions"]["ok"] is False
    task = Tasks(tmp_path, in_process)
    result = look(task, service)
    assert (result["verdict"], bad(result)) == ("pass", {})
    assert result["reconcile"]["positions"]["server_ok"] is False
    assert statuses(look(task, service, "--check")) == statuses(result)
    assert SECRET not in json.dumps(result)


@BOTH_PATHS
def test_a_service_that_is_down(service: Service, tmp_path: Path, in_process: bool) -> None:
    result = look(Tasks(tmp_path, in_process), service)
    assert statuses(result)["health"] == "fail"
    assert set(bad(result).values()) == {"fail", "unverified"}
    assert result["http"] == "refused"


def test_wrong_secret_and_foreign_account(service: Service, task: Tasks) -> None:
    assert service.start()
    assert look(task, service, jwt_secret="another")["auth_reason"] == "INVALID_JWT_SIGNATURE"
    nobody = look(task, service, account_id="acct_nobody")
    assert nobody["verdict"] == "unverified"
    assert statuses(nobody)["reconcile.positions"] == "unverified"


def test_a_bad_side_that_is_appended_makes_the_ledger_unreadable(service: Service, task: Tasks) -> None:
    assert service.start()
    with service.ledger.open("ab") as ledger:
        ledger.write(line(ORDER, side="sell") + b"\n")
    result = look(task, service)
    assert bad(result) == dict.fromkeys(["ledger", "reconcile.balances", "reconcile.positions"], "fail")
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_unreadable"]
    assert "bad side" in hint(result, "ledger")


def test_skipped_lines_are_red(service: Service, task: Tasks) -> None:
    service.ledger.write_bytes(b"\n".join([*BOOK, b"{broken", b""]))
    assert service.start()
    assert bad(look(task, service)) == {"replay_lines": "fail"}


def test_a_ledger_that_is_moved_away_while_it_is_written(service: Service, task: Tasks) -> None:
    assert service.start()
    service.ledger.rename(service.folder / "elsewhere.log")
    result = look(task, service)
    assert statuses(result)["ledger"] == "fail"
    assert [finding["cause"] for finding in result["findings"]] == ["ledger_replaced_while_running"]


def test_a_snapshot_that_covers_the_ledger_measures_nothing(service: Service, task: Tasks) -> None:
    service.ledger.write_bytes(b"\n".join([*BOOK, b"{broken", b""]))
    book, ledger = Book(100), Ledger(service.ledger)
    ledger.replay(lambda entry: book.apply_fill(entry) if isinstance(entry, Fill) else book.apply_order(entry))
    service.snapshot.write_text(json.dumps({"ledgerLines": ledger.line_count, "state": book.state()}))
    ledger.close()
    assert service.start()
    assert service.replay() == {"lines": 5, "applied": 0, "skipped": 0, "durationMs": 0}
    result = look(task, service)
    assert bad(result) == {"replay_slo": "unverified"}
    assert "A snapshot was restored" in hint(result, "replay_slo")


def test_an_empty_system(service: Service, task: Tasks) -> None:
    service.ledger.write_bytes(b"")
    assert service.start()
    assert service.get("/reconcile")["positions"]["ok"] is True
    result = look(task, service)
    assert result["verdict"] == "unverified"
    assert (result["state_empty"], result["ledger_empty"]) == (True, True)


def test_twelve_hundred_fills(service: Service, task: Tasks) -> None:
    many = [
        row
        for number in range(600)
        for row in (
            line(ORDER, orderId=f"m{number}", side="BUY", symbol="ETH"),
            line(FILL, orderId=f"m{number}", side="BUY", symbol="ETH", filledQtyDelta=1, filledQtyTotal=1),
        )
    ]
    service.ledger.write_bytes(b"\n".join([*BOOK, *many, b""]))
    assert service.start()
    assert service.get("/reconcile")["balances"]["ok"] is False
    result = look(task, service)
    assert (result["verdict"], result["reconcile"]["limit"]) == ("pass", 10_000)


@pytest.mark.lab
@BOTH_PATHS
def test_the_lab_is_healthy(lab: None, tmp_path: Path, in_process: bool) -> None:
    secret = (control.paths().root / "secrets" / "jwt_hs256_secret").read_text().strip()
    options = {
        "url": f"http://{control.address('backoffice')}",
        "account_id": "acct_demo",
        "jwt_secret": secret,
        "samples": 2,
        "sample_interval_seconds": 5,
    }
    result = Tasks(tmp_path, in_process)(options, module="backoffice_stats")
    assert (result["verdict"], bad(result)) == ("pass", {}), result["checks"]
    assert result["stats"]["last_offset"].startswith("events:")
    assert result["progress"]["processed"] > 0
    assert secret not in json.dumps(result)

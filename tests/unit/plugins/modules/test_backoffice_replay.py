# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import (
    backoffice_replay,
    ledger_instance,
    ledger_replay_checks,
    libraries,
)
from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_api import Reply
from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_replay import Run
from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_shape import Replay
from ansible_collections.sre.runbooks.plugins.module_utils.http_client import Answer
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_books import Books
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_file import Identity
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_scan import Scan
from ansible_collections.sre.runbooks.plugins.modules import backoffice_replay as module
from tests.unit.plugins.module_runner import run_module

GOOD = (
    '{"type":"OrderAccepted","at":"2031-04-02T08:03:10Z","accountId":"a","orderId":"o","symbol":"ADA","side":"BUY"}\n'
)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.log"
    path.write_text(GOOD)
    return path


def run(capsys: pytest.CaptureFixture[str], ledger: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    return run_module(module, capsys, check, **{"command": ["/bin/true"], "ledger_path": str(ledger), **options})


def test_check_mode_starts_nothing(
    capsys: pytest.CaptureFixture[str], ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*args: object) -> None:
        raise AssertionError("started")

    monkeypatch.setattr(ledger_instance.Instance, "__init__", started)
    before = sorted(path.name for path in ledger.parent.iterdir())
    result = run(capsys, ledger, check=True, accounts=["a"])
    assert (result["verdict"], result["started"], result["changed"]) == ("pass", False, False)
    assert result["plan"]["copy_bytes"] == len(GOOD)
    assert result["plan"]["environment"]["BACKOFFICE_ENABLE"] == "0"
    assert sorted(path.name for path in ledger.parent.iterdir()) == before


def test_a_missing_library_is_named(
    capsys: pytest.CaptureFixture[str], ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(libraries._missing, "PyJWT", ImportError("No module named 'jwt'"))
    result = run(capsys, ledger)
    assert (result["failed"], result["missing_libraries"]) == (True, ["PyJWT"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": []}, "command is empty"),
        ({"ledger_path": "var/ledger.log"}, "is relative"),
        ({"port": "many"}, "port"),
        ({"timeout": 1}, "20 to 86400"),
        ({"environment": {"kafka_topic": "x"}}, "sets itself"),
        ({"jwt_secret": "ab"}, "fewer than 3 characters"),
    ],
)
def test_bad_arguments(capsys: pytest.CaptureFixture[str], ledger: Path, options: dict[str, Any], message: str) -> None:
    result = run(capsys, ledger, **options)
    assert result["failed"] is True
    assert message in result["msg"]
    assert "Traceback" not in json.dumps(result)


def test_the_secret_is_in_no_result(capsys: pytest.CaptureFixture[str], ledger: Path) -> None:
    command = ["/bin/sh", "-c", "echo $JWT_HS256_SECRET >&2; exit 1"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = run(capsys, ledger, command=command, jwt_secret="a-very-secret-value", port=port)
    assert result["verdict"] == "fail"
    assert result["last_words"]
    assert "a-very-secret-value" not in json.dumps(result)


# --- what is made of what was seen ----------------------------------------------------------------------------------


def reply(meaning: Any = "ok", document: Any = None, **values: Any) -> Reply:
    return Reply(Answer("GET", "http://127.0.0.1/x", status=200), meaning, document, **values)


def seen(**changes: Any) -> Run:
    """A good run, with changes."""
    identity = Identity(1, 2, 100, 5)
    half = {"ok": True, "expected": {"ADA": 1}, "actual": {"a::ADA": 1}, "diffs": {}}
    given: dict[str, Any] = {
        "scan": Scan(0, 100, lines=5),
        "books": {"a": Books(entries=2, positions={"ADA": 1}, balances={"ADA": 1})},
        "started": True,
        "boot_seconds": 1.5,
        "stats": reply(document={}),
        "replay": Replay(lines=5, applied=5, skipped=0, duration_ms=10),
        "reconciles": {"a": reply(document={"accountId": "a", "balances": half, "positions": half})},
        "before": (identity, None),
        "after": (identity, None),
    }
    return Run(**{**given, **changes})


def statuses(run: Run, **params: Any) -> dict[str, str]:
    result = ledger_replay_checks.result(run, {"replay_slo_ms": 5000, **params}, ["a"], {}, planned=False)
    assert all(check["hint"] for check in result["checks"]), result["checks"]
    return {check["id"].removeprefix("replay."): check["status"] for check in result["checks"]}


def test_all_good() -> None:
    assert set(statuses(seen()).values()) == {"pass"}


@pytest.mark.parametrize(
    ("changes", "check", "status"),
    [
        ({"replay": Replay(5, 5, 0, None)}, "slo", "unverified"),
        ({"replay": Replay(5, 0, 0, 0)}, "slo", "unverified"),
        ({"replay": Replay(5, 0, 0, 0)}, "measured", "unverified"),
        ({"replay": Replay(5, 5, 0, 5001)}, "slo", "fail"),
        ({"replay": Replay(5, 4, 1, 10)}, "skipped_lines", "fail"),
        ({"replay": Replay(4, 4, 0, 10)}, "same_ledger", "fail"),
        ({"replay": None}, "measured", "unverified"),
        (
            {"stats": reply("unauthorized", text="HTTP 401 INVALID_JWT_SIGNATURE", hint="x"), "replay": None},
            "measured",
            "unverified",
        ),
        ({"reconciles": {}}, "reconcile.a", "unverified"),
        ({"reconciles": {"a": reply("server_error", text="HTTP 500 ERROR")}}, "reconcile.a", "fail"),
        ({"reconciles": {"a": reply(document=[])}}, "reconcile.a", "fail"),
        ({"books": {"a": Books()}}, "reconcile.a", "unverified"),
        ({"books": {"a": Books(entries=1, positions={"ADA": 2}, balances={"ADA": 1})}}, "reconcile.a", "fail"),
        ({"after": (None, None)}, "live", "fail"),
        ({"after": (Identity(1, 3, 100, 5), None)}, "live", "fail"),
        ({"after": (Identity(1, 2, 99, 5), None)}, "live", "fail"),
        ({"after": (Identity(1, 2, 120, 9), Identity(1, 9, 1, 1))}, "live", "pass"),
        ({"after": None}, "live", "unverified"),
        ({"port_left": "something answers"}, "live", "fail"),
        ({"boot_seconds": None, "died": "it ended with exit code 1 before its port opened"}, "boot", "fail"),
        ({"boot_seconds": None, "died": "its port did not open within 9 s"}, "boot", "unverified"),
        ({"scan": Scan(0, 50, complete=False, lines=5)}, "fatal_lines", "unverified"),
        ({"started": False, "port_problem": "something answers"}, "port", "fail"),
        ({"started": False, "port_problem": "something answers"}, "boot", "unverified"),
        ({"started": False}, "measured", "unverified"),
    ],
)
def test_what_each_observation_means(changes: dict[str, Any], check: str, status: str) -> None:
    assert statuses(seen(**changes))[check] == status


@pytest.mark.parametrize(
    ("words", "telling"),
    [
        (['Exception in thread "main" java.lang.IllegalArgumentException: No enum', "\tat a.b(C.kt:1)"], "No enum"),
        (
            ["java.lang.RuntimeException: x", "\tat a", "Caused by: java.net.BindException: in use", "\t... 3 more"],
            "BindException",
        ),
        (["Traceback (most recent call last):", "  File x", "ValueError: y"], "ValueError: y"),
        (["  only", "  traces"], "traces"),
    ],
)
def test_the_telling_line_of_last_words(words: list[str], telling: str) -> None:
    run = seen(boot_seconds=None, died="it ended with exit code 1 before its port opened", last_words=words)
    result = ledger_replay_checks.result(run, {"replay_slo_ms": 0}, [], {}, planned=False)
    boot = next(check for check in result["checks"] if check["id"] == "replay.boot")
    assert telling in boot["observed"]
    assert result["last_words"] == words


def test_exit_codes_in_words() -> None:
    assert ledger_instance.exit_text(3) == "exit code 3"
    assert ledger_instance.exit_text(-11) == "signal SIGSEGV"
    assert ledger_instance.exit_text(-200) == "signal 200"


def test_a_port_that_may_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(self: socket.socket, address: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ledger_instance.socket.socket, "bind", denied)
    assert "cannot be used: Permission denied" in ledger_instance.port_problem(1)


@pytest.mark.parametrize("kernel", [True, False])
def test_the_copy_is_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: bool) -> None:
    if not kernel:
        monkeypatch.delattr("os.copy_file_range")
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(range(256)) * 10_000)

    def read(fd: int, begin: int, end: int) -> list[bytes]:
        return [source.read_bytes()[begin:end]]

    with source.open("rb") as stream:
        ledger_instance.copy(stream.fileno(), 2_000_000, str(target), read)
    assert target.read_bytes() == source.read_bytes()[:2_000_000]
    assert target.stat().st_mode & 0o777 == 0o600


def test_the_run_is_documented() -> None:
    """The module documents each of its options."""
    import yaml

    assert set(yaml.safe_load(module.DOCUMENTATION)["options"]) == set(backoffice_replay.SPEC.options)

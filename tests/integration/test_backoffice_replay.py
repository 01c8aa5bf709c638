# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_replay with the reference BackOffice as the second instance."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_replay, ledger_instance
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RunbookError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration.test_backoffice_ledger import BOTH_PATHS, Service, Tasks, files
from tests.unit.plugins.module_utils.test_ledger_rules import ORDER, line

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "lab.services.backoffice"]
BOOK = [
    line(ORDER),
    line(),
    line(),  # the same fill again: counted as applied, changes nothing
    line(ORDER, orderId="o2", side="BUY", symbol="BTC"),
    line(orderId="o2", side="BUY", symbol="BTC", filledQtyDelta=2, filledQtyTotal=2, quoteCashDelta=-500),
    line(ORDER, accountId="acct_other"),
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "backoffice"
    folder.mkdir()
    instance = Service(folder)
    instance.ledger.write_bytes(b"\n".join([*BOOK, b""]))
    yield instance
    instance.stop()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def arguments(service: Service, tmp_path: Path, **options: Any) -> dict[str, Any]:
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    given = {
        "command": COMMAND,
        "chdir": str(ROOT),
        "ledger_path": str(service.ledger),
        "port": free_port(),
        "accounts": ["acct_k7"],
        "work_dir": str(work),
        "timeout": 60,
    }
    return {**given, **options}


def run(service: Service, tmp_path: Path, check: bool = False, **options: Any) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in backoffice_replay.SPEC.options.items()}
    given = arguments(service, tmp_path, **options)
    context = Context(check_mode=check, deadline=Deadline(float(given["timeout"]), Clock()))
    result = backoffice_replay.run({**defaults, **given}, context)
    nothing_left(tmp_path, given["port"])
    return result


def nothing_left(tmp_path: Path, port: int) -> None:
    assert list((tmp_path / "work").iterdir()) == []
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"].removeprefix("replay."): check["status"] for check in result["checks"]}


def causes(result: dict[str, Any]) -> set[str]:
    return {finding["cause"] for finding in result["findings"]}


@BOTH_PATHS
def test_beside_the_live_instance(service: Service, tmp_path: Path, in_process: bool) -> None:
    assert service.start()
    before = files(service.folder)
    given = arguments(service, tmp_path)
    task = Tasks(tmp_path, in_process)
    planned = task(given, "--check", module="backoffice_replay")
    assert (planned["verdict"], planned["started"], planned["changed"]) == ("pass", False, False)
    for _ in range(2):
        result = task(given, module="backoffice_replay")
        assert result["verdict"] == "pass", result
        assert result["plan"] == planned["plan"]
        assert (result["started"], result["changed"]) == (True, False)
        assert result["replay"] | {"duration_ms": 0} == {"lines": 6, "applied": 6, "skipped": 0, "duration_ms": 0}
    assert files(service.folder) == before
    assert service.get("/health") == {"status": "ok"}
    nothing_left(tmp_path, given["port"])


def test_a_good_replay_shows_each_check(service: Service, tmp_path: Path) -> None:
    result = run(service, tmp_path)
    assert set(statuses(result)) == {
        "ledger", "port", "fatal_lines", "silent_lines", "boot", "measured", "same_ledger", "skipped_lines", "slo",
        "reconcile.acct_k7", "live",
    }  # fmt: skip
    assert set(statuses(result).values()) == {"pass"}
    assert all(check["hint"] and check["runbook"] == "3.5" for check in result["checks"])
    assert "JWT" not in json.dumps(result)


@pytest.mark.parametrize(
    ("bad", "failed", "cause"),
    [
        (b"{}\n", "skipped_lines", "ledger_skipped_line"),
        (b'{"type":"Fi', "skipped_lines", "ledger_skipped_line"),
        (line(orderId="o3", filledQtyDelta="abc") + b"\n", "silent_lines", "ledger_silent_line"),
    ],
)
def test_malformed_lines_are_never_green(service: Service, tmp_path: Path, bad: bytes, failed: str, cause: str) -> None:
    with service.ledger.open("ab") as stream:
        stream.write(bad)
    result = run(service, tmp_path)
    assert [name for name, status in statuses(result).items() if status == "fail"] == [failed]
    assert causes(result) == {cause}
    assert run(service, tmp_path, check=True)["verdict"] == "fail"


def test_a_line_that_kills_the_boot(service: Service, tmp_path: Path) -> None:
    with service.ledger.open("ab") as stream:
        stream.write(line(side="buy") + b"\n")
    result = run(service, tmp_path)
    assert (statuses(result)["boot"], statuses(result)["fatal_lines"]) == ("fail", "fail")
    assert causes(result) == {"ledger_fatal_line"}
    boot = next(check for check in result["checks"] if check["id"] == "replay.boot")
    assert "exit code 1" in boot["observed"]
    assert "Side" in boot["observed"]
    assert 0 < len(result["last_words"]) <= ledger_instance.TAIL_LINES


def test_a_covering_snapshot_does_not_make_it_green(service: Service, tmp_path: Path) -> None:
    """The live instance would measure nothing; the second one has no snapshot and reads every line."""
    with service.ledger.open("ab") as stream:
        stream.write(b"{}\n")
    state = {
        "orderMeta": [],
        "lastFilledTotals": {},
        "positions": [],
        "balances": [],
        "realizedPnl": [],
        "fillsByAccount": {},
    }
    service.snapshot.write_text(json.dumps({"createdAt": "x", "ledgerLines": 7, "state": state}))
    assert statuses(run(service, tmp_path))["skipped_lines"] == "fail"


def test_an_empty_ledger_is_unverified(service: Service, tmp_path: Path) -> None:
    service.ledger.write_bytes(b"")
    result = run(service, tmp_path)
    assert (result["verdict"], result["started"]) == ("unverified", False)


def test_blank_lines_measure_nothing(service: Service, tmp_path: Path) -> None:
    service.ledger.write_bytes(b"\n\n")
    result = run(service, tmp_path)
    assert (statuses(result)["measured"], statuses(result)["slo"]) == ("unverified", "unverified")


def test_another_server_on_the_port_is_not_tested_instead(service: Service, tmp_path: Path) -> None:
    assert service.start()
    given = arguments(service, tmp_path, port=service.port)
    defaults = {name: option.get("default") for name, option in backoffice_replay.SPEC.options.items()}
    result = backoffice_replay.run({**defaults, **given}, Context())
    assert (result["verdict"], statuses(result)["port"], result["started"]) == ("fail", "fail", False)
    assert causes(result) == {"port_in_use"}
    with socket.create_server(("127.0.0.1", 0)) as silent:  # bound, and nobody accepts
        silent.listen(0)
        given = arguments(service, tmp_path, port=silent.getsockname()[1])
        assert statuses(backoffice_replay.run({**defaults, **given}, Context()))["port"] == "fail"


def test_beyond_the_objective(service: Service, tmp_path: Path) -> None:
    service.ledger.write_bytes(b"\n".join([line(ORDER, orderId=f"o{number}") for number in range(20_000)] + [b""]))
    result = run(service, tmp_path, replay_slo_ms=1)
    assert statuses(result)["slo"] == "fail"
    assert causes(result) == {"replay_too_slow"}
    assert "slo" not in statuses(run(service, tmp_path, replay_slo_ms=0))


def test_more_entries_than_the_server_sums_are_no_false_red(service: Service, tmp_path: Path) -> None:
    """The server's own reconciliation of an account with 12,000 entries always fails."""
    rows = []
    for number in range(6_000):
        rows += [line(ORDER, orderId=f"o{number}"), line(orderId=f"o{number}")]
    service.ledger.write_bytes(b"\n".join([*rows, b""]))
    result = run(service, tmp_path)
    assert statuses(result)["reconcile.acct_k7"] == "pass"


def test_accounts(service: Service, tmp_path: Path) -> None:
    seen = statuses(run(service, tmp_path, accounts=["acct_k7", "acct_nobody", " "]))
    assert (seen["reconcile.acct_k7"], seen["reconcile.acct_nobody"]) == ("pass", "unverified")
    assert statuses(run(service, tmp_path, accounts=[]))["reconcile"] == "unverified"


def test_books_that_differ(service: Service, tmp_path: Path) -> None:
    """A stand-in that books one piece too many."""
    program = tmp_path / "wrong.py"
    program.write_text(
        "import runpy\nfrom lab.services import book\nreal = book.Book.position_totals\n"
        "book.Book.position_totals = lambda self, account: {k: v + 1 for k, v in real(self, account).items()}\n"
        "runpy.run_module('lab.services.backoffice', run_name='__main__')\n"
    )
    options = {"command": [sys.executable, str(program)], "environment": {"PYTHONPATH": str(ROOT)}}
    result = run(service, tmp_path, **options)
    check = next(check for check in result["checks"] if check["id"] == "replay.reconcile.acct_k7")
    assert check["status"] == "fail"
    assert "positions ADA: -3 booked, -4 in the ledger" in check["observed"]
    assert causes(result) == {"books_differ"}


def test_a_command_that_reads_another_ledger(service: Service, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    other.write_bytes(line(ORDER) + b"\n")
    program = tmp_path / "wrapper.sh"
    program.write_text(
        f"#!/bin/sh\nexport BACKOFFICE_LEDGER_PATH={other}\nexec {sys.executable} -m lab.services.backoffice\n"
    )
    program.chmod(0o755)
    assert statuses(run(service, tmp_path, command=[str(program)]))["same_ledger"] == "fail"


def test_a_command_with_a_secret_of_its_own(service: Service, tmp_path: Path) -> None:
    program = tmp_path / "wrapper.sh"
    program.write_text(
        f"#!/bin/sh\nexport JWT_HS256_SECRET=its-own-secret-0123\nexec {sys.executable} -m lab.services.backoffice\n"
    )
    program.chmod(0o755)
    result = run(service, tmp_path, command=[str(program)])
    assert statuses(result)["measured"] == "unverified"
    assert "INVALID_JWT_SIGNATURE" in json.dumps(result["checks"])
    assert run(service, tmp_path, command=[str(program)], jwt_secret="its-own-secret-0123")["verdict"] == "pass"


def test_the_second_instance_is_kept_apart(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is given: nothing of the environment of the live one."""
    program = tmp_path / "tell.py"
    told = tmp_path / "told.json"
    program.write_text(
        f"import json, os\nopen({str(told)!r}, 'w').write(json.dumps(dict(os.environ)))\nraise SystemExit(3)\n"
    )
    monkeypatch.setenv("BACKOFFICE_DB_URL", "jdbc:postgresql://live/backoffice")
    monkeypatch.setenv("BACKOFFICE_DB_PASSWORD", "live-password-1")
    monkeypatch.setenv("KAFKA_GROUP_ID", "backoffice")
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Dcom.sun.management.jmxremote.port=9010")
    run(service, tmp_path, command=[sys.executable, str(program)], environment={"JAVA_OPTS": "-Xmx1g"})
    given = json.loads(told.read_text())
    assert not [name for name in given if name.startswith("BACKOFFICE_DB_") and name != "BACKOFFICE_DB_ENABLE"]
    assert (given["BACKOFFICE_DB_ENABLE"], given["BACKOFFICE_ENABLE"], given["JAVA_OPTS"]) == ("0", "0", "-Xmx1g")
    assert given["KAFKA_GROUP_ID"] != "backoffice"
    assert "JAVA_TOOL_OPTIONS" not in given
    for name in ("BACKOFFICE_LEDGER_PATH", "BACKOFFICE_SNAPSHOT_PATH", "TMPDIR"):
        assert given[name].startswith(str(tmp_path / "work"))
    assert len(given["JWT_HS256_SECRET"]) > 30


@pytest.mark.parametrize(
    ("script", "observed"),
    [
        ("exit 7", "exit code 7"),
        ("kill -9 $$", "signal SIGKILL"),
        ("echo Bind failed >&2; exit 1", "Bind failed"),
        ("echo JWT_HS256_SECRET=$JWT_HS256_SECRET >&2; exit 1", "[redacted]"),
    ],
)
def test_a_command_that_ends(service: Service, tmp_path: Path, script: str, observed: str) -> None:
    result = run(service, tmp_path, command=["/bin/sh", "-c", script])
    assert statuses(result)["boot"] == "fail"
    assert observed in json.dumps(result["checks"])
    assert causes(result) == {"died_at_boot"}


def test_a_command_that_never_listens_is_ended_with_its_children(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backoffice_replay, "CLEANUP_SECONDS", 18.5)
    monkeypatch.setattr(ledger_instance, "TERM_SECONDS", 0.3)
    child = tmp_path / "child.pid"
    script = f"trap '' TERM; sleep 300 & echo $! > {child}; wait; sleep 300"
    result = run(service, tmp_path, command=["/bin/sh", "-c", script], timeout=20)
    assert statuses(result)["boot"] == "unverified"
    assert gone(int(child.read_text()))


def gone(pid: int) -> bool:
    """Whether a process ends within some seconds (a zombie has ended)."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_nothing_is_left_when_the_module_is_killed(service: Service, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    script = f"echo $$ > {told}.new; mv {told}.new {told}; exec sleep 300"
    pid = os.fork()
    if not pid:
        try:
            run(service, tmp_path, command=["/bin/sh", "-c", script])
        finally:
            os._exit(0)
    until = time.monotonic() + 30
    while not told.exists() and time.monotonic() < until:
        time.sleep(0.05)
    second = int(told.read_text())
    time.sleep(0.5)  # the watcher is started right behind the command
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert gone(second)
    until = time.monotonic() + 10
    while list((tmp_path / "work").iterdir()) and time.monotonic() < until:
        time.sleep(0.05)
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"command": []}, "command is empty"),
        ({"command": [""]}, "command is empty"),
        ({"command": ["no-such-program-here"]}, "is no program"),
        ({"command": ["./bin/none"]}, "is no program"),
        ({"chdir": "/no/such/folder"}, "is no folder"),
        ({"chdir": "."}, "is relative"),
        ({"ledger_path": "ledger.log"}, "is relative"),
        ({"ledger_path": ""}, "is empty"),
        ({"port": 0}, "1 to 65535"),
        ({"timeout": 5}, "20 to 86400"),
        ({"replay_slo_ms": -1}, "0 to"),
        ({"max_ledger_bytes": 10}, "more than max_ledger_bytes"),
        ({"environment": {"BACKOFFICE_DB_URL": "x"}}, "sets itself"),
        ({"environment": {"DB_PASSWORD": "x"}}, "could be a secret"),
        ({"work_dir": "/no/such/folder"}, "no temporary folder"),
        ({"accounts": ["a"] * 101}, "it may have 100"),
    ],
)
def test_bad_arguments(service: Service, tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RunbookError, match=message):
        run(service, tmp_path, **options)


def test_a_program_that_cannot_be_executed(service: Service, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x00\x01 neither script nor binary")
    program.chmod(0o755)
    with pytest.raises(InputError, match="cannot be started"):
        run(service, tmp_path, command=[str(program)])


@pytest.mark.parametrize(("kind", "verdict"), [("missing", "fail"), ("directory", "unverified")])
def test_no_ledger(service: Service, tmp_path: Path, kind: str, verdict: str) -> None:
    service.ledger.unlink()
    if kind == "directory":
        service.ledger.mkdir()
    result = run(service, tmp_path)
    assert (result["verdict"], result["started"]) == (verdict, False)


def test_a_ledger_that_is_replaced_meanwhile(service: Service, tmp_path: Path) -> None:
    other = tmp_path / "other.log"
    other.write_bytes(service.ledger.read_bytes())
    script = f"mv {other} {service.ledger}; exec {sys.executable} -m lab.services.backoffice"
    result = run(service, tmp_path, command=["/bin/sh", "-c", script])
    assert statuses(result)["live"] == "fail"


def test_events_that_the_live_service_appends_meanwhile(service: Service, tmp_path: Path) -> None:
    script = f"echo '{line(ORDER).decode()}' >> {service.ledger}; exec {sys.executable} -m lab.services.backoffice"
    result = run(service, tmp_path, command=["/bin/sh", "-c", script])
    live = next(check for check in result["checks"] if check["id"] == "replay.live")
    assert live["status"] == "pass"
    assert "appended" in live["observed"]


def test_the_process_list_shows_no_secret(service: Service, tmp_path: Path) -> None:
    """The secret is in the environment of the second instance only."""
    told = tmp_path / "cmdline"
    script = f"cat /proc/[0-9]*/cmdline > {told}; echo $JWT_HS256_SECRET > {told}.secret; exit 1"
    run(service, tmp_path, command=["/bin/sh", "-c", script], jwt_secret="never-on-a-command-line")
    assert (tmp_path / "cmdline.secret").read_text().strip() == "never-on-a-command-line"
    shown = told.read_bytes()
    assert b"cmdline.secret" in shown
    assert b"never-on-a-command-line" not in shown

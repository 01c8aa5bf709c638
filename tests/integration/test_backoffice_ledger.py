# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_ledger against the reference BackOffice: what the module says of a line is what a boot makes of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_operation
from ansible_collections.sre.runbooks.plugins.module_utils.jwt_token import mint
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_rules import FATAL, SKIPPED, is_blank, judge
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from lab.services.entries import BadSide, parse_line
from tests.unit.plugins.module_utils.test_ledger_rules import FILL, LEDGERS, ORDER, PLACES, SAMPLE, line

ROOT = Path(__file__).resolve().parents[2]
SECRET = "an-integration-test-secret"
ACCOUNT = "acct_k7"
BOTH_PATHS = pytest.mark.parametrize("in_process", [True, False], ids=["in process", "module process"])


# --- the same rule on both sides ------------------------------------------------------------------------------------


def of_the_service(content: bytes) -> str:
    """What the reference service makes of a line."""
    try:
        text = content.decode()
        return "read" if parse_line(text) else "skipped"
    except (UnicodeDecodeError, BadSide):
        return "fatal"


def of_the_module(content: bytes) -> str:
    fault = judge(content)
    return {FATAL: "fatal", SKIPPED: "skipped"}.get(fault.kind if fault else "", "read")


# The reference service takes every sign and no 24:00 and 60 s; java.time, which the module follows, is stricter there.
EDGES = (b"24:00:00", b"23:59:60")


@pytest.mark.parametrize("place", PLACES)
def test_next_to_the_border(place: bytes) -> None:
    for value in PLACES[place]:
        if value not in EDGES:
            content = SAMPLE.replace(place, value)
            assert of_the_module(content) == of_the_service(content), content


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(LEDGERS)
def test_lines_nobody_thought_of(data: bytes) -> None:
    for content in data.splitlines():
        if not is_blank(content) and not any(edge in content for edge in (*EDGES, b"+", b"-0")):
            assert of_the_module(content) == of_the_service(content)


# --- a running service ----------------------------------------------------------------------------------------------


class Service:
    """A reference BackOffice in memory, without Kafka, on a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger.log"
        self.snapshot = folder / "snapshot.json"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> bool:
        """True when its port opened, False when it died before."""
        environment = {
            "PATH": os.environ["PATH"],
            "BACKOFFICE_PORT": str(self.port),
            "BACKOFFICE_LEDGER_PATH": str(self.ledger),
            "BACKOFFICE_SNAPSHOT_PATH": str(self.snapshot),
            "BACKOFFICE_ENABLE": "0",
            "JWT_HS256_SECRET": SECRET,
        }
        command = [sys.executable, "-m", "lab.services.backoffice"]
        with (self.folder / "service.log").open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + 30
        while time.monotonic() < until:
            if self.process.poll() is not None:
                return False
            try:
                self.get("/health")
            except OSError:
                time.sleep(0.05)
            else:
                return True
        raise AssertionError("it neither listens nor ends")

    def get(self, path: str) -> Any:
        token = mint(SECRET, {"accountId": ACCOUNT}, 60, time.time())
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=5) as reply:
            return json.load(reply)

    def replay(self) -> dict[str, int]:
        statistics: dict[str, int] = self.get("/stats")["ledgerReplay"]
        return statistics

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    folder = tmp_path / "backoffice"
    folder.mkdir()
    instance = Service(folder)
    yield instance
    instance.stop()


def scan(path: Path) -> dict[str, Any]:
    defaults = {name: option.get("default") for name, option in ledger_operation.SPEC.options.items()}
    return ledger_operation.run({**defaults, "path": str(path)}, Context())


GOOD = [
    line(ORDER),
    line(),
    line(filledQtyDelta=0, filledQtyTotal=4),
    line(price=None),
    line(feeQuote=...),
    line(at="2031-04-02T17:03:11+09:00"),
    line(extra=[1]),
    json.dumps(FILL).encode(),
]
SKIP = [
    b"broken",
    b'{"type":"Fi',
    b"[1]",
    b"7",
    line(type="OrderSent"),
    line(type=...),
    line(symbol=...),
    line(orderId=None),
    line(at=1933488000),
    line(at="2031-04-31T00:00:00Z"),
    line(filledQtyDelta=...),
    line(quoteCcy=None),
    b'{"type":"Fi' + line(),
]
SILENT = [
    line(filledQtyDelta="abc"),
    line(filledQtyTotal="9"),
    line(price=2500.5),
    line(quoteCashDelta=True),
    line() + b"x",
]
BLANK = [b"", b"  "]
DEADLY = [line(side="buy"), line(ORDER, side=""), line().replace(b"ADA", b"\xff"), line(side=5)]


def test_counts_are_those_of_the_replay(service: Service) -> None:
    service.ledger.write_bytes(
        b"\n".join([*GOOD, *SKIP, *SILENT, *BLANK, *GOOD]) + b"\r\n" + line(ORDER) + b"\r" + b'{"ty'
    )
    counts = scan(service.ledger)["counts"]
    assert service.start()
    replay = service.replay()
    assert replay["lines"] == counts["lines"]
    assert replay["applied"] == counts["good"] + counts["silent"]
    assert replay["skipped"] == counts["skipped"] == len(SKIP) + 1
    assert counts["silent"] == len(SILENT)
    assert counts["blank"] == len(BLANK)
    assert counts["fatal"] == 0


@pytest.mark.parametrize("deadly", DEADLY)
def test_a_fatal_line_is_fatal(service: Service, deadly: bytes) -> None:
    service.ledger.write_bytes(b"\n".join([*GOOD, deadly, *GOOD, b""]))
    result = scan(service.ledger)
    assert (result["counts"]["fatal"], result["bad_lines"][0]["line"]) == (1, len(GOOD) + 1)
    assert service.start() is False


def test_below_a_snapshot_a_bad_side_boots_and_is_reported_as_hidden(service: Service) -> None:
    service.ledger.write_bytes(b"\n".join([line(side="buy"), line(ORDER), b""]))
    state = {
        "orderMeta": [],
        "lastFilledTotals": {},
        "positions": [],
        "balances": [],
        "realizedPnl": [],
        "fillsByAccount": {},
    }
    service.snapshot.write_text(json.dumps({"createdAt": "2031-04-02T08:00:00Z", "ledgerLines": 2, "state": state}))
    result = scan(service.ledger)
    assert result["bad_lines"][0]["covered_by_snapshot"] is True
    assert result["snapshot"]["used_at_boot"] is True
    assert service.start()
    assert service.replay()["skipped"] == 0
    with pytest.raises(urllib.error.HTTPError, match="500"):
        service.get("/ledger")


def test_the_next_event_is_glued_to_a_torn_tail(service: Service) -> None:
    """What the check of the last line warns of: with the tail quarantined the next event is kept."""
    service.ledger.write_bytes(line(ORDER) + b"\n" + b'{"type":"Fi')
    torn = scan(service.ledger)
    assert (torn["ledger"]["last_line_terminated"], torn["reasons"]) == (False, {"torn_tail": 1})
    with service.ledger.open("ab") as stream:
        stream.write(line() + b"\n")
    glued = scan(service.ledger)
    assert glued["reasons"] == {"glued": 1}
    assert service.start()
    assert service.replay()["skipped"] == 1


# --- the whole cycle, by both paths ---------------------------------------------------------------------------------


class Tasks:
    """Runs the module as a task of a playbook."""

    def __init__(self, folder: Path, in_process: bool) -> None:
        self.folder, self.in_process = folder, in_process

    def __call__(self, arguments: dict[str, Any], *options: str, module: str = "backoffice_ledger") -> dict[str, Any]:
        answer = self.folder / "answer.json"
        answer.unlink(missing_ok=True)
        task = {f"sre.runbooks.{module}": arguments, "register": "result", "ignore_errors": True}
        keep = {
            "ansible.builtin.copy": {"content": "{{ result | to_json }}", "dest": str(answer), "mode": "0600"},
            "check_mode": False,
            "diff": False,
        }
        playbook = self.folder / "play.yml"
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [task, keep]}
        playbook.write_text(json.dumps([play]))
        settings_file = self.folder / "ansible.cfg"
        settings_file.write_text("")
        program = Path(sys.executable).with_name("ansible-playbook")
        done = subprocess.run(
            [program, str(playbook), "-e", json.dumps({"runbooks_in_process": self.in_process}), *options],
            env={
                **os.environ,
                "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".build" / "collections"),
                "ANSIBLE_CONFIG": str(settings_file),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert answer.exists(), done.stdout + done.stderr
        result: dict[str, Any] = json.loads(answer.read_text())
        assert "Traceback" not in done.stdout + done.stderr + str(result)
        return result


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    found = {path.name: path for path in folder.iterdir() if path.name != "service.log"}
    return {name: (path.read_bytes(), path.stat().st_mode, path.stat().st_ino) for name, path in found.items()}


@BOTH_PATHS
def test_quarantine_and_restore(service: Service, tmp_path: Path, in_process: bool) -> None:
    task = Tasks(tmp_path, in_process)
    service.ledger.write_bytes(b"\n".join([*GOOD, b"{}", b'{"type":"Nope"}', line(ORDER), b""]))
    service.ledger.chmod(0o640)
    original = service.ledger.read_bytes()
    options = {"path": str(service.ledger), "state": "quarantined", "service_url": f"http://127.0.0.1:{service.port}"}
    assert service.start()

    # while it runs: the plan can be had, the repair is refused, and nothing is touched
    before = files(service.folder)
    planned = task({**options, "service_stopped": True}, "--check", "--diff")
    assert (planned["changed"], len(planned["plan"]["remove"])) == (True, 2)
    assert any("has it open for writing" in blocker for blocker in planned["blockers"])
    assert any("still listens" in blocker for blocker in planned["blockers"])
    refused = task({**options, "service_stopped": True})
    assert refused["failed"] is True
    assert f"(pid {service.process.pid if service.process else ''}) has it open for writing" in refused["msg"]
    assert files(service.folder) == before

    # stopped: done as planned, and only once
    service.stop()
    guarded = {**options, "service_stopped": True, "expected_plan": planned["plan"]["digest"]}
    assert task(guarded, "--check")["changed"] is True
    assert files(service.folder) == before
    done = task(guarded)
    assert done["changed"] is True
    assert done["plan"] == planned["plan"]
    assert service.ledger.read_bytes() == b"\n".join([*GOOD, line(ORDER), b""])
    assert service.ledger.stat().st_mode & 0o777 == 0o640
    after = files(service.folder)
    again = task({**options, "service_stopped": True})
    assert again["changed"] is False
    assert files(service.folder) == after

    # the service reads every line of it now
    assert service.start()
    assert service.replay() | {"durationMs": 0} == {
        "lines": len(GOOD) + 1, "applied": len(GOOD) + 1, "skipped": 0, "durationMs": 0,
    }  # fmt: skip
    service.stop()

    # and back
    back = {"path": str(service.ledger), "state": "restored", "backup": done["backup"], "service_stopped": True}
    assert task(back, "--check")["changed"] is True
    assert service.ledger.read_bytes() != original
    assert task(back)["changed"] is True
    assert service.ledger.read_bytes() == original
    assert task(back)["changed"] is False


@BOTH_PATHS
def test_a_repaired_ledger_boots_again(service: Service, tmp_path: Path, in_process: bool) -> None:
    task = Tasks(tmp_path, in_process)
    service.ledger.write_bytes(b"\n".join([line(ORDER), *DEADLY, line(), b'{"type":"Fi']))
    assert service.start() is False
    service.stop()
    done = task({"path": str(service.ledger), "state": "quarantined", "service_stopped": True})
    assert done["changed"] is True
    assert service.start()
    assert service.replay()["applied"] == 2
    positions = service.get("/positions")["positions"]
    assert [(row["symbol"], row["netQty"]) for row in positions] == [("ADA", -4)]

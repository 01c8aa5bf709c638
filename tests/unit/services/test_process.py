# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The services as processes, without Kafka and database: boot, boot deaths, log lines, snapshot, stop."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest

ROOT = Path(__file__).resolve().parents[3]
SECRET = "a-secret-of-the-right-length-for-tests"
ORDER = {
    "type": "OrderAccepted", "at": "2031-04-02T08:03:10Z", "accountId": "acct", "orderId": "o", "symbol": "ADA",
    "side": "SELL",
}  # fmt: skip
FILL = ORDER | {
    "type": "Fill", "filledQtyDelta": 4, "filledQtyTotal": 4, "price": 2500, "quoteCcy": "JPY",
    "quoteCashDelta": 9990, "feeQuote": 10,
}  # fmt: skip
LIMIT_SECONDS = 20


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Service:
    """One service process in a folder of its own."""

    def __init__(self, name: str, folder: Path, variables: dict[str, str]) -> None:
        self.port = free_port()
        self.folder = folder
        port_name = "BACKOFFICE_PORT" if name == "backoffice" else "GATEWAY_PORT"
        base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), port_name: str(self.port)}
        base |= {"JWT_HS256_SECRET": SECRET, "BACKOFFICE_ENABLE": "0"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", f"lab.services.{name}"],
            cwd=folder,
            env=base | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def get(self, path: str) -> Any:
        token = jwt.encode({"accountId": "acct", "exp": time.time() + 60}, SECRET)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
            return json.loads(answer.read())

    def wait_up(self) -> None:
        deadline = time.monotonic() + LIMIT_SECONDS
        while True:
            try:
                self.get("/health")
                return
            except OSError:
                assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self) -> tuple[int, str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of a process that ends by itself."""
        out, err = self.process.communicate(timeout=LIMIT_SECONDS)
        return self.process.returncode, out, err


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Service] = []

    def begin(name: str = "backoffice", **variables: str) -> Service:
        started.append(Service(name, tmp_path, variables))
        return started[-1]

    yield begin
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.communicate(timeout=LIMIT_SECONDS)


def write_ledger(folder: Path, *lines: dict[str, Any] | str) -> Path:
    path = folder / "var" / "backoffice" / "ledger.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_boot_log_lines_and_stop(start: Start, tmp_path: Path) -> None:
    write_ledger(tmp_path, ORDER, FILL, "broken", "")
    service = start()
    service.wait_up()
    assert service.get("/stats")["ledgerReplay"] | {"durationMs": 0} == {
        "lines": 4, "applied": 2, "skipped": 1, "durationMs": 0,
    }  # fmt: skip
    status, out, err = service.stop()
    assert (status, err) == (143, "")
    replay, disabled, snapshotter, listening = out.splitlines()
    assert replay.startswith("Ledger replay: ReplayStats(lines=4, applied=2, skipped=1, durationMs=")
    assert replay.endswith(") (path=var/backoffice/ledger.log)")
    assert disabled == "BackOfficeConsumer disabled (BACKOFFICE_ENABLE=0)"
    assert snapshotter == "BackOfficeSnapshotter enabled (intervalSec=30)"
    assert listening == f"BackOffice listening on :{service.port}"


def test_a_missing_ledger_boots_clean_and_without_a_word(start: Start, tmp_path: Path) -> None:
    service = start(BACKOFFICE_SNAPSHOT_ENABLE="0", BACKOFFICE_ENABLE="yes")
    service.wait_up()
    assert service.get("/stats")["ledgerReplay"] == {"lines": 0, "applied": 0, "skipped": 0, "durationMs": 0}
    out = service.stop()[1]
    assert "Ledger replay" not in out
    assert "BackOfficeConsumer disabled" in out  # only 1 and true are on
    assert "BackOfficeSnapshotter disabled (BACKOFFICE_SNAPSHOT_ENABLE=0)" in out
    assert (tmp_path / "var/backoffice/ledger.log").read_bytes() == b""


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"BACKOFFICE_PORT": "eighty"}, "BACKOFFICE_PORT"),
        ({"BACKOFFICE_FEE_BPS": ""}, "BACKOFFICE_FEE_BPS"),
        ({"JWT_CLOCK_SKEW_SEC": "1.5"}, "JWT_CLOCK_SKEW_SEC"),
        ({"BACKOFFICE_ENABLE": "TRUE", "KAFKA_BOOTSTRAP_SERVERS": "kafka.invalid:9092"}, "No resolvable bootstrap"),
        ({"BACKOFFICE_DB_URL": "jdbc:postgresql://127.0.0.1:1/none", "BACKOFFICE_DB_ENABLE": "0"}, "OperationalError"),
    ],
)
def test_boot_deaths(start: Start, variables: dict[str, str], words: str) -> None:
    status, _, err = start(**variables).end()
    assert status == 1
    assert err.startswith("Traceback")
    assert words in err


@pytest.mark.parametrize("line", [json.dumps(ORDER | {"side": "sell"}), "\udcff\udcfe"])
def test_lines_that_end_the_boot(start: Start, tmp_path: Path, line: str) -> None:
    write_ledger(tmp_path, ORDER).open("ab").write(line.encode("utf-8", "surrogateescape") + b"\n")
    status, _, err = start().end()
    assert status == 1
    assert err.startswith("Traceback")


def test_a_used_port_ends_the_boot_of_backoffice(start: Start) -> None:
    first = start()
    first.wait_up()
    status, out, err = start(BACKOFFICE_PORT=str(first.port)).end()
    assert (status, "listening" in out) == (1, False)
    assert "Address already in use" in err
    first.get("/stats")


def test_an_unreachable_broker_does_not_stop_the_boot(start: Start) -> None:
    service = start(BACKOFFICE_ENABLE="1", KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:1")
    service.wait_up()
    stats = service.get("/stats")
    assert (stats["processed"], stats["lastKafkaOffset"]) == (0, None)
    assert service.process.stdout is not None
    line = service.process.stdout.readline()
    while "WARN" not in line:
        line = service.process.stdout.readline()
    assert "127.0.0.1:1" in line
    assert service.stop()[0] == 143


def test_a_snapshot_covers_a_line_that_broke_since(start: Start, tmp_path: Path) -> None:
    ledger = write_ledger(tmp_path, ORDER, FILL)
    first = start(BACKOFFICE_SNAPSHOT_SEC="1")  # becomes 5
    first.wait_up()
    snapshot = tmp_path / "var/backoffice/snapshot.json"
    deadline = time.monotonic() + LIMIT_SECONDS
    while not snapshot.exists() or not snapshot.read_text().endswith("}"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "intervalSec=5" in first.stop()[1]
    ledger.write_text(ledger.read_text().replace('"SELL"', '"sell"', 1))
    second = start()
    second.wait_up()
    assert second.get("/stats")["ledgerReplay"] == {"lines": 2, "applied": 0, "skipped": 0, "durationMs": 0}
    assert second.get("/positions")["positions"][0]["netQty"] == -4
    with pytest.raises(OSError, match="500"):
        second.get("/ledger")
    assert "Side.sell" in second.stop()[2]
    snapshot.unlink()
    assert start().end()[0] == 1


def test_the_port_stays_closed_while_the_replay_lasts(start: Start, tmp_path: Path) -> None:
    write_ledger(tmp_path, *[ORDER] * 50)
    service = start(LAB_REPLAY_DELAY_MS_PER_LINE="1000")
    time.sleep(0.7)
    with pytest.raises(OSError, match="refused"):
        service.get("/health")
    assert service.process.poll() is None
    assert service.stop()[0] == -signal.SIGTERM


def test_gateway_boot_and_defaults(start: Start, tmp_path: Path) -> None:
    service = start("gateway")
    deadline = time.monotonic() + LIMIT_SECONDS
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{service.port}/metrics", timeout=5) as answer:
                metrics = answer.read().decode()
            break
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    for name in ("enabled", "queue_depth", "dropped_total", "errors_total"):
        assert f"\ngateway_kafka_publisher_{name} 0\n" in metrics
    assert service.stop()[:2] == (143, f"Gateway listening on :{service.port}\n")
    assert (tmp_path / "var/gateway/audit.log").exists()


def test_a_gateway_without_publisher_dies_of_a_used_port(start: Start) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        status, _, err = start("gateway", GATEWAY_PORT=str(holder.getsockname()[1])).end()
    assert status == 1
    assert "Address already in use" in err

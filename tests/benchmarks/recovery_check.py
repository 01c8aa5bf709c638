# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_stats against the same six endpoints as uri tasks, and http_probe against a loop of uri.

Each figure is the best of some runs of ansible-playbook, less the best of as many runs of a play without a task; the
plays take turns, so that a busy moment hits them alike. The uri tasks get their token for nothing and need an assert to
judge the answers; backoffice_stats makes its own token and judges by itself. A thousand targets take a uri loop
minutes, so fifty are measured and multiplied.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import yaml

from ansible_collections.sre.runbooks.plugins.module_utils import jwt_token
from lab.services.web import HttpService, Request, json_reply

ROOT = Path(__file__).resolve().parents[2]
RUNS = 6
TARGETS = 1000
LOOPED = 50
ACCOUNT = "acct_bench"
START_SECONDS = 20
RUN_SECONDS = 600
ENDPOINTS = {
    "health": "/health",
    "stats": "/stats",
    "positions": "/positions",
    "balances": "/balances",
    "ledger": "/ledger?limit=10",
    "reconcile": "/reconcile?limit=1000",
}


def rows() -> list[dict[str, Any]]:
    """The measurements; seconds above an empty play."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {ROOT / '.build' / 'collections'}\n")
        secret = secrets.token_hex(20)
        with backoffice(folder, secret) as url:
            green = {"ansible.builtin.assert": {"that": ["r.verdict == 'pass'"]}}
            once(folder, [*recovery_ours(url, secret), green])  # what is measured below is green
            empty, ours, theirs = best(folder, RUNS, [], recovery_ours(url, secret), recovery_theirs(url, secret))
        with targets() as urls:
            empty_too, many, looped = best(folder, 2, [], probe_ours(urls), probe_theirs(urls[:LOOPED]))
    return [
        row("recovery check, 6 endpoints, against uri + assert", ours - empty, theirs - empty, 10),
        row(
            f"{TARGETS} targets, against a uri loop ({LOOPED} measured, multiplied)",
            many - empty_too,
            (looped - empty_too) * TARGETS / LOOPED,
            100,
        ),
    ]


def row(name: str, ours: float, theirs: float, target: float) -> dict[str, Any]:
    return {"name": name, "ours_seconds": ours, "theirs_seconds": theirs, "ratio": theirs / ours, "target": target}


def best(folder: Path, runs: int, *plays: list[dict[str, Any]]) -> list[float]:
    """Seconds of the fastest run of each of the plays (lists of tasks), which take turns."""
    rounds = [[once(folder, tasks) for tasks in plays] for _ in range(runs)]
    return [min(times) for times in zip(*rounds, strict=True)]


def once(folder: Path, tasks: list[dict[str, Any]]) -> float:
    """Seconds of one run of a play with these tasks; a failed run ends the benchmark."""
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    playbook = folder / "play.yml"
    playbook.write_text(yaml.safe_dump([play]))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "localhost,", str(playbook)]
    options = {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    begun = time.monotonic()
    done = subprocess.run(
        command, env=os.environ | options, capture_output=True, text=True, check=False, timeout=RUN_SECONDS
    )
    if done.returncode:
        sys.exit(f"the benchmark's own play failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - begun


def recovery_ours(url: str, secret: str) -> list[dict[str, Any]]:
    options = {"url": url, "account_id": ACCOUNT, "jwt_secret": secret, "stale_after_seconds": 0}
    return [{"sre.runbooks.backoffice_stats": options, "register": "r"}]


def recovery_theirs(url: str, secret: str) -> list[dict[str, Any]]:
    token = jwt_token.mint(secret, {"accountId": ACCOUNT}, 3600, time.time())
    headers = {"Authorization": f"Bearer {token}"}
    asked = [
        {
            "ansible.builtin.uri": {"url": url + path, "headers": headers, "return_content": True},
            "register": f"r_{name}",
        }
        for name, path in ENDPOINTS.items()
    ]
    expected = [
        "r_health.json.status == 'ok'",
        "r_stats.json.ledgerReplay.durationMs <= 5000",
        "r_positions.json.positions | length > 0",
        "r_balances.json.balances | length > 0",
        "r_ledger.json.entries | length > 0",
        "r_reconcile.json.balances.ok",
    ]
    return [*asked, {"ansible.builtin.assert": {"that": expected}}]


def probe_ours(urls: list[str]) -> list[dict[str, Any]]:
    requests = [{"id": f"t{number}", "url": url} for number, url in enumerate(urls)]
    return [{"sre.runbooks.http_probe": {"mode": "parallel", "requests": requests}}]


def probe_theirs(urls: list[str]) -> list[dict[str, Any]]:
    return [{"ansible.builtin.uri": {"url": "{{ item }}"}, "loop": urls}]


@contextmanager
def backoffice(folder: Path, secret: str) -> Iterator[str]:
    """A reference BackOffice with a small ledger, without Kafka and database."""
    (folder / "ledger.log").write_text("".join(json.dumps(entry) + "\n" for entry in ledger()))
    port = free_port()
    settings = {
        "BACKOFFICE_ENABLE": "0",
        "BACKOFFICE_SNAPSHOT_ENABLE": "0",
        "BACKOFFICE_PORT": str(port),
        "BACKOFFICE_LEDGER_PATH": str(folder / "ledger.log"),
        "JWT_HS256_SECRET": secret,
    }
    command = [sys.executable, "-m", "lab.services.backoffice"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BACKOFFICE_")} | settings
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, process)
            yield url
        finally:
            process.terminate()
            process.wait(10)


def ledger() -> Iterator[dict[str, Any]]:
    """Ten orders, filled, each side in turn."""
    for number in range(10):
        side = "BUY" if number % 2 == 0 else "SELL"
        facts = {"accountId": ACCOUNT, "orderId": f"ord_{number}", "symbol": "ADA", "side": side}
        yield {"type": "OrderAccepted", "at": f"2031-04-02T08:03:{number:02d}Z", **facts}
        yield {
            "type": "Fill",
            "at": f"2031-04-02T08:03:{number:02d}.5Z",
            **facts,
            "filledQtyDelta": 4,
            "filledQtyTotal": 4,
            "price": 2500,
            "quoteCcy": "JPY",
            "feeQuote": 10,
            "quoteCashDelta": -10_010 if side == "BUY" else 9_990,
        }


@contextmanager
def targets() -> Iterator[list[str]]:
    """A thousand URLs of a server that says ok."""
    server = HttpService(0, {"/health": ok})
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield [f"http://127.0.0.1:{server.server_address[1]}/health/{number}" for number in range(TARGETS)]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def ok(_request: Request) -> Any:
    return json_reply(200, {"status": "ok"})


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=1):
            return
        time.sleep(0.05)
    sys.exit(f"the BackOffice of the benchmark did not start on {url} within {START_SECONDS} s")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


if __name__ == "__main__":
    json.dump(rows(), sys.stdout, indent=2)

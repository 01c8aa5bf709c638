# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference BackOffice of the test's own: its consumer off, a ledger of one filled order, a free port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.throwaway_postgres import free_port

ROOT = Path(__file__).resolve().parents[2]
LEDGER = [
    {"type": "OrderAccepted", "at": "2031-04-02T08:03:10Z", "orderId": "ord_1", "side": "BUY"},
    {
        "type": "Fill",
        "at": "2031-04-02T08:03:11.500Z",
        "orderId": "ord_1",
        "side": "BUY",
        "filledQtyDelta": 4,
        "filledQtyTotal": 4,
        "price": 2500,
        "quoteCcy": "JPY",
        "quoteCashDelta": -10010,
        "feeQuote": 10,
    },
]


@contextmanager
def backoffice(folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """The reference BackOffice, its consumer off, over a ledger of one filled order."""
    ledger = folder / "ledger.log"
    common = {"accountId": "acct_k7", "symbol": "ADA"}
    ledger.write_text("".join(json.dumps(entry | common) + "\n" for entry in LEDGER))
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "BACKOFFICE_PORT": str(port),
        "BACKOFFICE_LEDGER_PATH": str(ledger),
        "BACKOFFICE_SNAPSHOT_PATH": str(folder / "snapshot.json"),
        "BACKOFFICE_ENABLE": "0",
        **variables,
    }
    with (folder / "stdout.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab.services.backoffice"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2):
                    break
            except OSError:
                assert process.poll() is None, (folder / "stdout.log").read_text()
                assert time.monotonic() < until
                time.sleep(0.1)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)

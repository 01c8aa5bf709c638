# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scan of a ledger against ``jq -c . LEDGER >/dev/null``, which finds broken JSON and no other fault.

``SIZE_MB`` (default 1024) sets the size. Run alone: ``make bench B=ledger_scan``.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TARGET = 10.0
SIZE_MB = int(os.environ.get("SIZE_MB", "1024"))
ROUNDS = 3
DIFFERENT_ORDERS = 40_000
SYMBOLS, SIDES = ("ADA", "BTC", "ETH", "SOL", "DOT"), ("BUY", "SELL")

SCAN = """
import resource, sys
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_file import LedgerFile
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_scan import scan
with LedgerFile(sys.argv[1]) as ledger:
    found = scan(ledger.fd, ledger.size, 50)
own = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
peak = max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
print(peak // 1024, found.lines, found.good, found.bad_count)
"""


def lines() -> bytes:
    """Some megabytes of a ledger as the service writes it: an accepted order and its fill, in turn."""
    chance = random.Random(20)
    rows = []
    for _ in range(DIFFERENT_ORDERS):
        clock = f"{chance.randrange(24):02d}:{chance.randrange(60):02d}:{chance.randrange(60):02d}"
        head = {
            "at": f"2031-04-{chance.randrange(1, 31):02d}T{clock}.{chance.randrange(10**9):09d}Z",
            "accountId": f"acct_{chance.randrange(500)}",
            "orderId": f"ord_{chance.getrandbits(128):032x}",
            "symbol": chance.choice(SYMBOLS),
            "side": chance.choice(SIDES),
        }
        quantity, price = chance.randrange(1, 500), chance.randrange(100, 90_000)
        fill = {
            "filledQtyDelta": quantity,
            "filledQtyTotal": quantity,
            "price": price,
            "quoteCcy": "JPY",
            "quoteCashDelta": (1 if head["side"] == "SELL" else -1) * quantity * price - quantity * price // 1000,
            "feeQuote": quantity * price // 1000,
        }
        rows += [{"type": "OrderAccepted", **head}, {"type": "Fill", **head, **fill}]
    return "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows).encode()


def write(path: Path, megabytes: int) -> int:
    """A ledger of at least this size with one bad line in its middle; returns the number of its lines."""
    block, blocks = lines(), 0
    with path.open("wb") as file:
        while file.tell() < megabytes * 1024 * 1024:
            file.write(block)
            blocks += 1
        file.seek((blocks // 2) * len(block))
        file.write(b'{"type":"Nope"'.ljust(block.index(b"\n") - 1) + b"}")
    return blocks * block.count(b"\n")


def timed(command: list[str]) -> tuple[float, str]:
    """Seconds of the whole process, and what it printed."""
    begun = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    return time.perf_counter() - begun, done.stdout


def rows() -> list[dict[str, Any]]:
    """The measurement; where jq is not installed, a row that says so."""
    jq = shutil.which("jq")
    if jq is None:
        return [{"name": "ledger scan against jq", "problem": "not measured: jq is not installed"}]
    with tempfile.TemporaryDirectory(prefix="ledger-scan-") as folder:
        path = Path(folder) / "ledger.log"
        expected = write(path, SIZE_MB)
        begun = time.perf_counter()
        subprocess.run([jq, "-c", ".", str(path)], stdout=subprocess.DEVNULL, check=True)
        theirs = time.perf_counter() - begun
        seconds, printed = min(timed([sys.executable, "-c", SCAN, str(path)]) for _ in range(ROUNDS))
        peak, *counts = (int(word) for word in printed.split())
        if counts != [expected, expected - 1, 1]:
            raise AssertionError(f"the scan counted {counts}, not {expected} lines of which one is bad")
        megabytes = path.stat().st_size / 1e6
    print(f"  scan: {megabytes / seconds:.0f} MB/s, peak {peak} MB a process; jq: {megabytes / theirs:.0f} MB/s")
    return [
        {
            "name": f"ledger scan, {megabytes:.0f} MB, against jq",
            "ours_seconds": seconds,
            "theirs_seconds": theirs,
            "ratio": theirs / seconds,
            "target": TARGET,
        }
    ]


if __name__ == "__main__":
    for row in rows():
        print(row)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a ledger says an account owns: positions and balances, booked as a replay books them.

The service's own reconciliation sums the last few thousand entries and counts a repeated fill twice; this does neither.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .ledger_rules import FATAL, SKIPPED, judge
from .ledger_scan import BLOCK_BYTES, lines_in
from .operation import Context

_DECODER = json.JSONDecoder()


@dataclass
class Books:
    """Sums of one account. ``entries`` counts its lines that a replay applies; an order belongs to one account."""

    entries: int = 0
    positions: dict[str, int] = field(default_factory=dict)
    balances: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    def book(self, entry: dict[str, Any]) -> None:
        """A fill changes something only when its total is above the last one of its order."""
        self.entries += 1
        if entry["type"] != "Fill":
            return
        order, delta, total = _text(entry["orderId"]), _whole(entry["filledQtyDelta"]), _whole(entry["filledQtyTotal"])
        if delta <= 0 or total <= self.totals.get(order, 0):
            return
        self.totals[order] = total
        signed = delta if entry["side"] == "BUY" else -delta
        _add(self.positions, _text(entry["symbol"]), signed)
        _add(self.balances, _text(entry["quoteCcy"]), _whole(entry["quoteCashDelta"]))


def of_accounts(fd: int, size: int, accounts: list[str], context: Context) -> dict[str, Books]:
    """The books of each account, from the first ``size`` bytes of a ledger. DeadlineError when the time is used up."""
    books = {account: Books() for account in accounts}
    for entry in _entries(fd, size, accounts, context):
        account = books.get(_text(entry["accountId"]))
        if account:
            account.book(entry)
    return books


def _entries(fd: int, size: int, accounts: list[str], context: Context) -> Iterator[dict[str, Any]]:
    """Entries that a replay applies, of lines in which one of the accounts is named."""
    names = {json.dumps(account, ensure_ascii=form).encode() for account in accounts for form in (True, False)}
    begin = 0
    while begin < size:
        context.deadline.within(1.0, "adding up the ledger")
        block = os.pread(fd, min(BLOCK_BYTES, size - begin), begin)
        if not block:
            return
        whole = block.rfind(b"\n") + 1
        chunk = block[:whole] if whole else block
        for line in sorted({place for name in names for place in _lines_with(chunk, name)}):
            for _place, part in lines_in(chunk[line : chunk.find(b"\n", line) + 1 or len(chunk)]):
                yield from _applied(part.rstrip(b"\r\n"))
        begin += len(chunk)


def _lines_with(chunk: bytes, name: bytes) -> Iterator[int]:
    found = chunk.find(name)
    while found >= 0:
        yield chunk.rfind(b"\n", 0, found) + 1
        end = chunk.find(b"\n", found)
        found = chunk.find(name, end) if end >= 0 else -1


def _applied(line: bytes) -> Iterator[dict[str, Any]]:
    fault = judge(line) if line.strip() else None
    if line.strip() and (fault is None or fault.kind not in (FATAL, SKIPPED)):
        yield _DECODER.raw_decode(line.decode().lstrip(" \t"))[0]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _whole(value: Any) -> int:
    """A number as the service reads it: decimals are cut, text that is no number is 0."""
    if isinstance(value, str):
        try:
            return int(float(value)) if not value.strip().lstrip("+-").isdigit() else int(value)
        except (ValueError, OverflowError):
            return 0
    try:
        return int(value) if isinstance(value, (int, float)) else 0
    except (ValueError, OverflowError):
        return 0


def _add(sums: dict[str, int], key: str, amount: int) -> None:
    sums[key] = sums.get(key, 0) + amount

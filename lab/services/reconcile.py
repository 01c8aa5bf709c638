# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledger against store, with the faults of character of the operated service.

Expected sums cover only the last ``limit`` entries (an accepted order is one); nothing on both sides is ok; and in
memory the actual positions are keyed ``account::SYMBOL``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lab.services.entries import Entry, Fill


def section(expected: Mapping[str, int], actual: Mapping[str, int]) -> dict[str, Any]:
    """``diffs`` is actual minus expected over all keys; ok when all of them are 0."""
    keys = sorted({*expected, *actual})
    diffs = {key: actual.get(key, 0) - expected.get(key, 0) for key in keys}
    return {
        "ok": not any(diffs.values()),
        "expected": dict(sorted(expected.items())),
        "actual": dict(sorted(actual.items())),
        "diffs": diffs,
    }


def reconcile(
    account_id: str,
    entries: Iterable[Entry],
    quote_ccy: str,
    actual_balances: Mapping[str, int],
    actual_positions: Mapping[str, int],
) -> dict[str, Any]:
    """The body of /reconcile. ``quote_ccy`` only adds a zero key, it filters nothing."""
    balances: dict[str, int] = {quote_ccy: 0}
    positions: dict[str, int] = {}
    for entry in entries:
        if isinstance(entry, Fill):
            positions[entry.symbol] = positions.get(entry.symbol, 0) + entry.signed_delta
            balances[entry.quote_ccy] = balances.get(entry.quote_ccy, 0) + entry.cash_delta
    return {
        "accountId": account_id,
        "balances": section(balances, actual_balances),
        "positions": section(positions, actual_positions),
    }

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ledger against store, computed here from what /reconcile gives, because its own ``ok`` is wrong in both directions.

The server keys the positions of its in-memory store ``account::SYMBOL`` and the expected ones ``SYMBOL``, sums only the
last ``limit`` entries, and finds nothing equal to nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PARTS = ("balances", "positions")
DECIMALS = 6  # amounts are whole numbers; should they not be, a rounding error is no difference


@dataclass(frozen=True)
class Part:
    """One half of a reconciliation. ``diffs`` holds actual minus expected where it is not zero.

    ``server_ok`` is what the server says of itself; ``prefixed`` whether its keys needed to be put right.
    """

    expected: dict[str, float]
    actual: dict[str, float]
    diffs: dict[str, float]
    server_ok: bool | None
    prefixed: bool

    @property
    def empty(self) -> bool:
        """Nothing on both sides: equal, and a proof of nothing."""
        return not any(self.expected.values()) and not self.actual

    def as_dict(self) -> dict[str, Any]:
        return {"ok": not self.diffs, "server_ok": self.server_ok, "diffs": self.diffs, "entries": len(self.actual)}


def parts(document: Any, account_id: str | None) -> dict[str, Part] | None:
    """Both halves by name; None when the document is no reconciliation."""
    if not isinstance(document, Mapping):
        return None
    account = account_id or document.get("accountId")
    found = {name: _part(document.get(name), account) for name in PARTS}
    known = {name: part for name, part in found.items() if part is not None}
    return known if len(known) == len(PARTS) else None


def _part(value: Any, account: Any) -> Part | None:
    if not isinstance(value, Mapping):
        return None
    expected, actual = _numbers(value.get("expected"), ""), _numbers(value.get("actual"), f"{account}::")
    if expected is None or actual is None:
        return None
    keys = sorted(expected.keys() | actual.keys())
    differences = {key: round(actual.get(key, 0) - expected.get(key, 0), DECIMALS) for key in keys}
    server_ok = value.get("ok")
    return Part(
        expected=expected,
        actual=actual,
        diffs={key: difference for key, difference in differences.items() if difference},
        server_ok=server_ok if isinstance(server_ok, bool) else None,
        prefixed=any("::" in str(key) for key in value["actual"]),
    )


def _numbers(value: Any, prefix: str) -> dict[str, float] | None:
    """Key to number without the account's prefix; two keys that become one are added. None when it is not that."""
    if not isinstance(value, Mapping):
        return None
    numbers: dict[str, float] = {}
    for key, number in value.items():
        if isinstance(number, bool) or not isinstance(number, (int, float)):
            return None
        bare = str(key).removeprefix(prefix)
        numbers[bare] = numbers.get(bare, 0) + number
    return numbers

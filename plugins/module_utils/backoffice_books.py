# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The books of one account at one moment: a position, a balance, and the ledger entries that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import backoffice_gather, backoffice_order
from .backoffice_api import Api
from .backoffice_order import Entry
from .operation import Context

TRIES = 5
PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Books:
    """``entries`` are the last ones of the account, at most backoffice_gather.LEDGER_MOST."""

    symbol: str
    currency: str
    position: int
    balance: int
    entries: list[Entry]

    def __str__(self) -> str:
        return f"{self.symbol} {self.position}, {self.currency} {self.balance}"

    def knows(self, order_id: str) -> bool:
        """Whether an entry of the order is among these."""
        return any(entry.get("orderId") == order_id for entry in self.entries)

    def overrun(self, new: list[Entry]) -> bool:
        """Whether so much was added since that the entries of this moment may have left the window."""
        return len(new) >= backoffice_gather.LEDGER_MOST

    def as_dict(self) -> dict[str, Any]:
        return {"symbol": self.symbol, "position": self.position, "currency": self.currency, "balance": self.balance}


def read_books(api: Api, context: Context, symbol: str, currency: str) -> tuple[Books | None, str]:
    """Position and balance between two equal looks at the ledger; or None and why not."""
    for _try in range(TRIES):
        first = api.get("/ledger", limit=backoffice_gather.LEDGER_MOST)
        positions, balances = api.get("/positions"), api.get("/balances")
        second = api.get("/ledger", limit=backoffice_gather.LEDGER_MOST)
        for reply in (first, positions, balances, second):
            if reply.meaning != "ok":
                return None, f"{reply.answer.url}: {reply.text}"
        entries, again = backoffice_gather.entries_of(first), backoffice_gather.entries_of(second)
        held = _amount(backoffice_gather.rows_of(positions, "positions"), "symbol", symbol, "netQty")
        cash = _amount(backoffice_gather.rows_of(balances, "balances"), "currency", currency, "amount")
        if entries is None or held is None or cash is None:
            return None, "what answers has no ledger, positions and balances of the known form"
        if entries == again:
            return Books(symbol, currency, held, cash, list(entries)), ""
        context.clock.sleep(PAUSE_SECONDS)
    return None, f"the account was booked on during all of {TRIES} looks: use an account of its own"


def _amount(rows: list[dict[str, object]] | None, key: str, wanted: str, name: str) -> int | None:
    """The number in the row of ``wanted``; 0 when there is no such row, None when there are no rows at all."""
    if rows is None:
        return None
    return sum(backoffice_order.number(row, name) for row in rows if row.get(key) == wanted)

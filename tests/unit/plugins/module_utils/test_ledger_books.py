# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import ledger_books
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError
from ansible_collections.sre.runbooks.plugins.module_utils.ledger_books import Books
from lab.services.book import Book
from lab.services.entries import Fill, parse_line
from tests.unit.plugins.module_runner import fake_context
from tests.unit.plugins.module_utils.test_ledger_rules import ORDER, line


def books(path: Path, *accounts: str) -> dict[str, Books]:
    with path.open("rb") as stream:
        return ledger_books.of_accounts(stream.fileno(), path.stat().st_size, list(accounts), fake_context())


def test_a_repeated_fill_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    fills = [line(), line(), line(filledQtyDelta=0, filledQtyTotal=9), line(filledQtyDelta=3, filledQtyTotal=7)]
    path.write_bytes(b"\n".join([line(ORDER), *fills, line(accountId="other"), b"broken acct_k7", b'"acct_k7"', b""]))
    found = books(path, "acct_k7", "acct_nobody")
    assert found["acct_k7"].positions == {"ADA": -7}
    assert found["acct_k7"].balances == {"JPY": 2 * 9990}
    assert found["acct_k7"].entries == 5
    assert found["acct_nobody"] == Books()


def test_an_account_named_elsewhere_in_the_line_is_not_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(line(accountId="a", orderId="b", symbol="a") + b"\n")
    found = books(path, "a", "b")
    assert (found["a"].entries, found["b"].entries) == (1, 0)


def test_bad_lines_are_booked_as_a_boot_books_them(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(
        b"\n".join(
            [
                line(side="buy"),
                line(at=5),
                line(orderId="o1", filledQtyDelta="2", filledQtyTotal=2.9, quoteCashDelta="-7"),
                line(orderId="o2", quoteCashDelta="abc"),
                line(orderId="o3", filledQtyDelta=[4]),
                line(orderId="o4", filledQtyDelta="1e999"),
                line(orderId="o5") + b" and more",
                line(orderId="o6") + b"\r" + line(orderId="o7") + b"\r",
            ]
        )
    )
    found = books(path, "acct_k7")["acct_k7"]
    assert found.positions == {"ADA": -2 - 4 - 4 - 4 - 4}
    assert found.balances == {"JPY": -7 + 3 * 9990}


def test_lines_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_books, "BLOCK_BYTES", 1000)
    path = tmp_path / "ledger.log"
    path.write_bytes(
        b"\n".join([line(orderId=f"o{number}") for number in range(100)] + [b"x" * 3000, line(orderId="last")])
    )
    assert books(path, "acct_k7")["acct_k7"].positions == {"ADA": -404}


def test_out_of_time(tmp_path: Path) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(line())
    with path.open("rb") as stream, pytest.raises(DeadlineError, match="adding up the ledger"):
        ledger_books.of_accounts(stream.fileno(), 10, ["a"], fake_context(timeout=-1))


ENTRIES = st.builds(
    lambda account, number, changes: line(accountId=account, orderId=f"{account}-{number}", **changes),
    st.sampled_from(["a", "Ä"]),
    st.integers(1, 2),
    st.fixed_dictionaries(
        {
            "side": st.sampled_from(["BUY", "SELL"]),
            "symbol": st.sampled_from(["ADA", "BTC"]),
            "filledQtyDelta": st.integers(-2, 5),
            "filledQtyTotal": st.integers(0, 9),
            "quoteCashDelta": st.integers(-100, 100),
        }
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(entries=st.lists(ENTRIES, max_size=30))
def test_the_sums_are_those_of_the_service(tmp_path: Path, entries: list[bytes]) -> None:
    path = tmp_path / "ledger.log"
    path.write_bytes(b"\n".join([*entries, b""]))
    store = Book(max_fills=1000)
    for entry in map(parse_line, (content.decode() for content in entries)):
        assert isinstance(entry, Fill)
        store.apply_fill(entry)
    for account, found in books(path, "a", "Ä").items():
        positions: dict[str, Any] = {symbol: row.net_qty for symbol, row in store.positions(account)}
        assert found.positions == positions
        assert found.balances == store.balance_totals(account)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledger lines, the replay, and the entries that are read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lab.services.book import Book
from lab.services.entries import BadSide, Entry, Fill, OrderAccepted, body, parse_line, to_line
from lab.services.ledger import Ledger

ORDER = {
    "type": "OrderAccepted", "at": "2031-04-02T08:03:10Z", "accountId": "acct_k7", "orderId": "ord_5a",
    "symbol": "ADA", "side": "SELL",
}  # fmt: skip
FILL = ORDER | {
    "type": "Fill", "filledQtyDelta": 4, "filledQtyTotal": 4, "price": 2500, "quoteCcy": "JPY",
    "quoteCashDelta": 9990, "feeQuote": 10,
}  # fmt: skip


def line(base: dict[str, Any], **changes: Any) -> str:
    return json.dumps({name: value for name, value in (base | changes).items() if value != "absent"})


def test_good_lines_go_round() -> None:
    for text in (line(ORDER), line(FILL), line(FILL, price=None)):
        entry = parse_line(text)
        assert entry is not None
        assert parse_line(to_line(entry)) == entry
        assert json.loads(to_line(entry)) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[1]", '"text"', "7", "{}", line(FILL)[:60], line(FILL, price=float("nan")), "\ufeff" + line(ORDER),
     line(FILL, type="OrderFilled"), line(FILL, at=1_711_958_590), line(FILL, at="yesterday"),
     *(line(FILL, **{name: "absent"}) for name in FILL if name not in ("price", "feeQuote")),
     *(line(FILL, **{name: None}) for name in FILL if name not in ("price", "feeQuote"))],
)  # fmt: skip
def test_lines_that_are_skipped(text: str) -> None:
    assert parse_line(text) is None


def test_absent_price_and_fee_and_an_offset_are_accepted() -> None:
    entry = parse_line(line(FILL, price="absent", feeQuote="absent", at="2031-04-02T17:03:10+09:00", extra={"a": 1}))
    assert isinstance(entry, Fill)
    assert (entry.price, entry.fee) == (None, 0)
    assert body(entry)["at"] == "2031-04-02T08:03:10Z"


@pytest.mark.parametrize("side", ["buy", "Buy", "", 1, "HOLD"])
def test_a_bad_side_is_fatal(side: object) -> None:
    with pytest.raises(BadSide):
        parse_line(line(ORDER, side=side))


def test_numbers_given_as_text_read_as_zero() -> None:
    entry = parse_line(line(FILL, filledQtyDelta="abc", filledQtyTotal="12", quoteCashDelta=1.9))
    assert isinstance(entry, Fill)
    assert (entry.delta, entry.total, entry.cash_delta) == (0, 12, 1)


def test_only_the_first_value_of_a_line_counts() -> None:
    glued = parse_line(line(ORDER) + line(FILL))
    assert isinstance(glued, OrderAccepted)
    assert parse_line(line(FILL)[:60] + line(ORDER)) is None


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "var" / "ledger.log"


def ledger_of(path: Path, *lines: str, end: str = "\n") -> Ledger:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + end, encoding="utf-8")
    return Ledger(path)


def replayed(ledger: Ledger, start: int = 0) -> tuple[tuple[int, int, int], Book]:
    book = Book(100)

    def apply(entry: Entry) -> None:
        if isinstance(entry, Fill):
            book.apply_fill(entry)
        else:
            book.apply_order(entry)

    stats = ledger.replay(apply, start)
    return (stats.lines, stats.applied, stats.skipped), book


def test_replay_counts(path: Path) -> None:
    duplicate = line(FILL)
    ledger = ledger_of(path, line(ORDER), line(FILL), duplicate, "", "broken", line(FILL, filledQtyDelta="abc"))
    counts, book = replayed(ledger)
    assert counts == (6, 4, 1)
    assert book.balances("acct_k7") == [("JPY", 9990)]
    assert replayed(ledger, start=5)[0] == (6, 1, 0)


def test_a_store_that_refuses_makes_lines_skipped(path: Path) -> None:
    def refuse(entry: Entry) -> None:
        raise OSError("no table")

    stats = ledger_of(path, line(ORDER), line(FILL)).replay(refuse)
    assert stats.as_dict() | {"durationMs": 0} == {"lines": 2, "applied": 0, "skipped": 2, "durationMs": 0}


def test_a_missing_file_is_made_and_empty(path: Path) -> None:
    assert replayed(Ledger(path))[0] == (0, 0, 0)
    assert path.read_bytes() == b""


def test_bytes_that_are_not_utf8_are_fatal(path: Path) -> None:
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\xff\xfe\n")
    with pytest.raises(UnicodeDecodeError):
        Ledger(path)


def test_an_event_is_glued_to_a_torn_tail_and_lost_at_the_next_boot(path: Path) -> None:
    ledger = ledger_of(path, line(ORDER), line(FILL)[:70], end="")
    entry = parse_line(line(ORDER, orderId="ord_next"))
    assert entry is not None
    ledger.append(entry)
    assert replayed(Ledger(path))[0] == (2, 1, 1)


def test_the_writer_keeps_the_file_it_opened(path: Path) -> None:
    ledger = ledger_of(path, line(ORDER))
    entry = parse_line(line(FILL))
    assert entry is not None
    path.with_name("new").write_text(line(ORDER) + "\n", encoding="utf-8")
    path.with_name("new").rename(path)
    ledger.append(entry)
    assert [each.type for each in ledger.entries("acct_k7", 10)] == ["OrderAccepted"]
    path.unlink()
    ledger.append(entry)
    assert ledger.entries("acct_k7", 10) == []
    assert not path.exists()


def test_entries_are_the_last_of_the_account_in_file_order(path: Path) -> None:
    lines = [line(ORDER, orderId=f"o{number}", accountId=("a", "b")[number % 2]) for number in range(10)]
    assert [entry.order_id for entry in ledger_of(path, *lines).entries("a", 3)] == ["o4", "o6", "o8"]


def test_one_bad_side_fails_the_reading_for_every_account(path: Path) -> None:
    ledger = ledger_of(path, line(ORDER))
    with path.open("a") as stream:
        stream.write(line(ORDER, side="sell", accountId="other") + "\n")
    with pytest.raises(BadSide):
        ledger.entries("acct_k7", 10)

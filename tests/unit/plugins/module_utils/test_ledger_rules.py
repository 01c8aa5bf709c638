# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.ledger_rules import (
    FATAL,
    REASONS,
    SILENT,
    SKIPPED,
    WHOLE_LINES,
    Fault,
    at_of,
    is_blank,
    is_instant,
    judge,
)

ORDER: dict[str, Any] = {
    "type": "OrderAccepted",
    "at": "2031-04-02T08:03:10Z",
    "accountId": "acct_k7",
    "orderId": "ord_5a",
    "symbol": "ADA",
    "side": "SELL",
}
FILL: dict[str, Any] = {
    **ORDER,
    "type": "Fill",
    "at": "2031-04-02T08:03:11.500Z",
    "filledQtyDelta": 4,
    "filledQtyTotal": 4,
    "price": 2500,
    "quoteCcy": "JPY",
    "quoteCashDelta": 9990,
    "feeQuote": 10,
}


def line(entry: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A line as the service writes it; a change to ... removes the field."""
    fields = {**(FILL if entry is None else entry), **changes}
    kept = {name: value for name, value in fields.items() if value is not ...}
    return json.dumps(kept, separators=(",", ":"), ensure_ascii=False).encode()


def fault(content: bytes) -> Fault:
    found = judge(content)
    assert found is not None, content
    return found


@pytest.mark.parametrize(
    "content",
    [
        line(),
        line(ORDER),
        line(price=None),
        line(price=...),
        line(feeQuote=...),
        line(feeQuote=None),
        line(extra={"unknown": [1]}),
        line(at="2031-04-02T17:03:10+09:00"),
        line(filledQtyDelta=0, filledQtyTotal=0),
        line(filledQtyDelta=1, filledQtyTotal=1),
        line(quoteCashDelta=-9990),
        line(price=2500.0),
        line(accountId="Konto Ä \N{EURO SIGN}"),
        line(accountId=17),
        b"  \t" + line(ORDER),
        line(ORDER) + b"   ",
        json.dumps(FILL).encode(),
    ],
)
def test_good_lines(content: bytes) -> None:
    assert judge(content) is None


@pytest.mark.parametrize(
    ("content", "reason", "detail"),
    [
        (line(side="buy"), "bad_side", "'buy'"),
        (line(side=""), "bad_side", "''"),
        (line(side={"x": 1}), "bad_side", "BUY and SELL"),
        (line(ORDER, side="SHORT"), "bad_side", "'SHORT'"),
        (line().replace(b"ADA", b"AD\xff"), "not_utf8", "0xff at byte"),
        (line().replace(b"ADA", b"\xed\xa0\x80"), "not_utf8", "0xed"),
        (b'{"type":"Fi', "broken_json", "character"),
        (b"not json", "broken_json", "character 1"),
        (b"{'type':'Fill'}", "broken_json", ""),
        (line(price=float("nan")), "broken_json", "NaN"),
        (line().replace(b"ADA", b"A\tB"), "broken_json", ""),
        (b"\xef\xbb\xbf" + line(), "broken_json", ""),
        (b"[" * 5000, "broken_json", ""),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "broken_json", "nested"),
        (b'{"type":"Fi' + line(orderId="ord_glued"), "glued", "ord_glued"),
        (b"[1,2]", "not_an_object", "list"),
        (b"42", "not_an_object", "number"),
        (b"null", "not_an_object", "null"),
        (b'"Fill"', "not_an_object", "text"),
        (line(type="OrderSent"), "unknown_type", "OrderSent"),
        (line(type="fill"), "unknown_type", "fill"),
        (line(type=3), "unknown_type", "3"),
        (line(type=["Fill"]), "unknown_type", "Fill"),
        (line(type="Nope", side="buy"), "unknown_type", "Nope"),
        (line(type=...), "missing_field", "type"),
        (line(type=None), "missing_field", "type"),
        (line(symbol=..., side=...), "missing_field", "symbol, side"),
        (line(orderId=None), "missing_field", "orderId"),
        (line(accountId=..., side="buy"), "missing_field", "accountId"),
        (line(filledQtyDelta=...), "missing_field", "filledQtyDelta"),
        (line(quoteCcy=None), "missing_field", "quoteCcy"),
        (line(quoteCashDelta=...), "missing_field", "quoteCashDelta"),
        (line(filledQtyTotal=..., side="x"), "bad_side", "'x'"),
        (line(at=1933488000), "bad_at", "number"),
        (line(at="yesterday"), "bad_at", "yesterday"),
        (line(at="2031-02-29T00:00:00Z"), "bad_at", "2031-02-29"),
        (line(filledQtyDelta="abc"), "number_as_text", "filledQtyDelta is text 'abc'"),
        (line(price="2500"), "number_as_text", "price"),
        (line(feeQuote=""), "number_as_text", "feeQuote"),
        (line(filledQtyTotal=True), "number_as_other", "boolean"),
        (line(quoteCashDelta=[1]), "number_as_other", "list"),
        (line(price=2500.5), "number_inexact", "2500.5"),
        (line(price=2**63), "number_inexact", "64-bit"),
        (line().replace(b"2500", b"1e999"), "number_inexact", "price"),
        (line() + line(), "trailing_data", "only the first object"),
        (line() + b"x", "trailing_data", "'x'"),
    ],
)
def test_bad_lines(content: bytes, reason: str, detail: str) -> None:
    found = fault(content)
    assert (found.reason, detail in found.detail) == (reason, True), found


def test_each_reason_has_one_class() -> None:
    kinds = {reason: Fault(reason, "").kind for reason in REASONS}
    assert kinds["bad_side"] == kinds["not_utf8"] == FATAL
    assert kinds["broken_json"] == kinds["missing_field"] == kinds["bad_at"] == kinds["torn_tail"] == SKIPPED
    assert kinds["number_as_text"] == kinds["trailing_data"] == SILENT


def test_a_detail_shows_only_a_little_of_the_line() -> None:
    assert len(fault(line(side="x" * 10_000)).detail) < 200
    assert len(fault(line(type=["y" * 10_000])).detail) < 200


@pytest.mark.parametrize(
    ("content", "blank"),
    [
        (b"", True),
        (b" \t ", True),
        ("\u3000".encode(), True),
        ("\x85".encode(), False),
        (b"\xff", False),
        (b"{}", False),
    ],
)
def test_blank(content: bytes, blank: bool) -> None:
    assert is_blank(content) is blank


# As java.time.Instant.parse of Java 17 answers.
@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("2031-04-02T08:03:10Z", True),
        ("2031-04-02t08:03:10z", True),
        ("2031-04-02T08:03:10.Z", True),
        ("2031-04-02T08:03:10.123456789Z", True),
        ("2031-04-02T08:03:10.1234567890Z", False),
        ("2031-04-02T08:03:10+09:00", True),
        ("2031-04-02T08:03:10+09:00:30", True),
        ("2031-04-02T08:03:10-18:00", True),
        ("2031-04-02T08:03:10+18:01", False),
        ("2031-04-02T08:03:10+09", False),
        ("2031-04-02T08:03:10+0900", False),
        ("2031-04-02T08:03:10+9:00", False),
        ("2031-04-02T08:03Z", False),
        ("2031-04-02T24:00:00Z", True),
        ("2031-04-02T24:00:00.5Z", False),
        ("2031-04-02T23:59:60Z", True),
        ("2031-04-02T12:59:60Z", False),
        ("2031-02-29T08:03:10Z", False),
        ("2032-02-29T08:03:10Z", True),
        ("2031-13-01T08:03:10Z", False),
        ("2031-00-01T08:03:10Z", False),
        ("2031-04-31T08:03:10Z", False),
        ("+2031-04-02T08:03:10Z", False),
        ("-2031-04-02T08:03:10Z", True),
        ("-0000-01-01T00:00:00Z", False),
        ("12031-04-02T08:03:10Z", False),
        ("+12031-04-02T08:03:10Z", True),
        ("+1000000001-01-01T00:00:00Z", False),
        ("2031-04-02 08:03:10Z", False),
        ("2031-04-02T08:03:10", False),
        (" 2031-04-02T08:03:10Z", False),
        ("", False),
    ],
)
def test_instants(text: str, accepted: bool) -> None:
    assert is_instant(text) is accepted


def test_at_of_a_good_line() -> None:
    assert at_of(line(ORDER)) == "2031-04-02T08:03:10Z"
    assert at_of(b"torn") is None


# --- the fast expression against the rule ---------------------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.one_of(
    TEXT,
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=True),
    st.sampled_from(["BUY", "SELL", "buy", "Fill", "OrderAccepted", "2031-02-29T00:00:00Z", "2031-04-31T10:00:00Z"]),
    st.lists(st.integers(), max_size=2),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
)
ENTRIES = st.builds(
    lambda base, changes, compact, ascii_only, ending: (
        json.dumps({**base, **changes}, separators=(",", ":") if compact else None, ensure_ascii=ascii_only).encode(
            errors="surrogatepass"
        )
        + ending
    ),
    st.sampled_from([ORDER, FILL]),
    st.dictionaries(st.sampled_from([*FILL, "other"]), VALUES, max_size=2),
    st.booleans(),
    st.booleans(),
    st.sampled_from([b"\n", b"\n", b"\n", b"\r\n", b"\r", b"", b" \n", b"\n\n"]),
)
MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=2), st.integers(0, 2)), max_size=2)


def mutated(content: bytes, mutations: list[tuple[int, bytes, int]]) -> bytes:
    for place, inserted, dropped in mutations:
        content = content[:place] + inserted + content[place + dropped :]
    return content


LEDGERS = st.builds(mutated, st.lists(ENTRIES, max_size=4).map(b"".join), MUTATIONS)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(LEDGERS)
@example(line() + b"\n" + line(ORDER) + b"\r\n")
@example(line(price=-0.0) + b"\n")
@example(line().replace(b"2500", b"-0") + b"\n")
@example(line().replace(b"2500", b"007") + b"\n")
def test_what_the_fast_expression_accepts_the_rule_finds_good(data: bytes) -> None:
    expressions = [WHOLE_LINES[True], WHOLE_LINES[False]] if _is_utf8(data) else [WHOLE_LINES[True]]
    for expression in expressions:
        match = expression.match(data)
        assert match is not None
        for accepted in match[0].splitlines(keepends=True):
            assert accepted.endswith(b"\n")
            assert judge(accepted.rstrip(b"\r\n")) is None


# Every place of a line as the service writes it, with values next to what is good there.
STRINGS = [
    b"",
    b"A",
    b"\\u0041",
    b"\\",
    b"\\x",
    b"A\tB",
    b"\x00",
    b"\x1f",
    b"\x7f",
    b'A"B',
    b"\xff",
    b"\xc3\x84",
    b"\xed\xa0\x80",
]
WHOLE = [
    b"0",
    b"-0",
    b"00",
    b"7",
    b"07",
    b"-5",
    b"--5",
    b"+5",
    b"9" * 18,
    b"9" * 19,
    b"9" * 20,
    b"1.5",
    b"1e3",
    b".5",
    b"1.",
    b"",
]
OTHERS = [b"null", b"true", b'"4"', b"{}", b"[]", b"NaN", b"-Infinity", b"1_000"]
DATES = [
    b"%04d-%02d-%02d" % (year, month, day)
    for year in (0, 2031, 2032)
    for month in (0, 2, 4, 12, 13)
    for day in (0, 1, 28, 29, 30, 31, 32)
]
TIMES = [
    b"00:00:00",
    b"23:59:59",
    b"23:59:60",
    b"24:00:00",
    b"24:00:01",
    b"12:60:00",
    b"12:00:60",
    b"1:00:00",
    b"12:00",
]
FRACTIONS = [
    b"Z",
    b".Z",
    b".1Z",
    b".123456789Z",
    b".1234567890Z",
    b"z",
    b"",
    b"+09:00",
    b"+9:00",
    b".5+09:00",
    b"Z ",
    b"ZZ",
]
PLACES: dict[bytes, list[bytes]] = {
    b'"Fill"': [b'"Fill"', b'"OrderAccepted"', b'"fill"', b'"OrderSent"', b'""', b"null"],
    b"2031-04-02": DATES,
    b"08:03:11": TIMES,
    b".500Z": FRACTIONS,
    b"acct_k7": STRINGS,
    b"ord_5a": STRINGS,
    b"ADA": STRINGS,
    b"SELL": [b"BUY", b"SELL", b"sell", b"buy", b"Buy", b"SELLS", b"", b"B\\u0055Y", *STRINGS],
    b":7,": [b":" + value + b"," for value in [*WHOLE, *OTHERS]],
    b":8,": [b":" + value + b"," for value in [*WHOLE, *OTHERS]],
    b"2500": [*WHOLE, *OTHERS],
    b'"JPY"': [b'"%b"' % value for value in STRINGS] + OTHERS,
    b"9990": [*WHOLE, *OTHERS],
    b":10}": [b":" + value + b"}" for value in [*WHOLE, *OTHERS]]
    + [b":10", b":10}}", b":10} ", b":10,}", b":10}x", b":10}{}"],
}
SAMPLE = line(filledQtyDelta=7, filledQtyTotal=8)


@pytest.mark.parametrize("place", PLACES)
def test_the_fast_expression_is_right_next_to_the_border(place: bytes) -> None:
    assert SAMPLE.count(place) == 1
    accepted = 0
    for value in PLACES[place]:
        content = SAMPLE.replace(place, value)
        good = judge(content) is None
        for ascii_only in (True, False):
            if not ascii_only and not _is_utf8(content):
                continue
            match = WHOLE_LINES[ascii_only].match(content + b"\n")
            assert match is not None
            assert good or not match[0], content
            accepted += bool(match[0])
    assert accepted


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize("content", [line(), line(ORDER), line(price=None), line(price=...), line(feeQuote=...)])
def test_the_fast_expression_accepts_what_the_service_writes(content: bytes) -> None:
    for ascii_only in (True, False):
        match = WHOLE_LINES[ascii_only].match(content + b"\n" + content + b"\r\n")
        assert match is not None
        assert match.end() == 2 * len(content) + 3


def test_the_expression_for_ascii_accepts_nothing_else() -> None:
    content = line(accountId="Ä") + b"\n"
    assert WHOLE_LINES[True].match(content)[0] == b""  # type: ignore[index]
    assert WHOLE_LINES[False].match(content)[0] == content  # type: ignore[index]

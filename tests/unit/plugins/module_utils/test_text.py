# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
import decimal
import enum
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.text import clean, json_safe, shorten


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("plain \u00e4\u65e5 \U0001f600", "plain \u00e4\u65e5 \U0001f600"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("a\r\nb", "a\nb"),
        ("a\rb", "a\ufffdb"),
        ("nul\0bell\a", "nul\ufffdbell\ufffd"),
        ("\x1b[31;1mred\x1b[0m and \x1b[2K\x1b[1Aup", "red and up"),
        ("lone \x1b escape", "lone \ufffd escape"),
        ("\x9b31m", "\ufffd31m"),
        ("right\u202eleft\u2066", "right\ufffdleft\ufffd"),
        ("line\u2028sep", "line\ufffdsep"),
        ("\ud800half", "\ufffdhalf"),
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"bad \xff\xfe", "bad \ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_clean(value: bytes | str, wanted: str) -> None:
    assert clean(value) == wanted


@given(st.text(alphabet=st.characters(codec=None), max_size=200) | st.binary(max_size=200))
def test_clean_text_can_be_shown_sent_and_cleaned_again(value: bytes | str) -> None:
    cleaned = clean(value)
    assert clean(cleaned) == cleaned
    cleaned.encode()
    assert not any(ord(sign) < 32 and sign not in "\t\n" for sign in cleaned)


def test_shorten() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "abc... (1 more characters)"
    assert shorten("", 0) == ""


class Colour(enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, None),
        (True, True),
        (2**70, 2**70),
        (1.5, 1.5),
        (math.nan, None),
        (-math.inf, None),
        ("a\0", "a\ufffd"),
        (b"\xff", "\ufffd"),
        ((1, [2.0, math.inf]), [1, [2.0, None]]),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ({1: "x", None: "y", b"k": "z"}, {"1": "x", "None": "y", "b'k'": "z"}),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), "NaN"),
        (datetime.date(2031, 4, 2), "2031-04-02"),
        (datetime.datetime(2031, 4, 2, 8, tzinfo=datetime.UTC), "2031-04-02T08:00:00+00:00"),
        (datetime.timedelta(seconds=5), "0:00:05"),
        (Colour.RED, "Colour.RED"),
    ],
)
def test_json_safe(value: Any, wanted: Any) -> None:
    assert json_safe(value) == wanted


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(alphabet=st.characters(codec=None), max_size=20)
    | st.binary(max_size=20)
    | st.decimals()
    | st.datetimes()
)
structures = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(alphabet=st.characters(codec=None), max_size=8) | st.integers(), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=5), max_size=4)
    ),
    max_leaves=20,
)


@given(structures)
def test_anything_becomes_strict_json_and_stays_what_it_is(value: Any) -> None:
    safe = json_safe(value)
    text = json.dumps(safe, allow_nan=False)
    text.encode()
    assert json.loads(text) == safe
    assert json_safe(safe) == safe

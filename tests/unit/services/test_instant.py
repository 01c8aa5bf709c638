# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants: what is read, what is written, far years included."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.services import instant


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2031-04-02T08:03:10Z", "2031-04-02T08:03:10Z"),
        ("2031-04-02T08:03:10.5Z", "2031-04-02T08:03:10.500Z"),
        ("2031-04-02T08:03:10.123456Z", "2031-04-02T08:03:10.123456Z"),
        ("2031-04-02T08:03:10.123456789Z", "2031-04-02T08:03:10.123456789Z"),
        ("2031-04-02T08:03:10+09:00", "2031-04-01T23:03:10Z"),
        ("2032-02-29T00:00:00-00:30", "2032-02-29T00:30:00Z"),
        ("+58862-09-23T09:15:12Z", "+58862-09-23T09:15:12Z"),
    ],
)
def test_iso_text_is_read_and_written_back(text: str, written: str) -> None:
    nanos = instant.parse(text)
    assert nanos is not None
    assert instant.iso(nanos) == written


@pytest.mark.parametrize(
    "text",
    ["", "2031-04-02", "2031-04-02T08:03Z", "2031-04-02T08:03:10", "2031-02-29T00:00:00Z", "2031-13-01T00:00:00Z",
     "2031-04-02T24:00:00Z", "2031-04-02T08:03:10 09:00", "1711958590"],
)  # fmt: skip
def test_other_text_is_no_instant(text: str) -> None:
    assert instant.parse(text) is None


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_agrees_with_the_standard_library(moment: dt.datetime) -> None:
    nanos = instant.parse(moment.isoformat().replace("+00:00", "Z"))
    since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    assert nanos == (since // dt.timedelta(microseconds=1)) * 1000
    assert instant.parse(instant.iso(nanos)) == nanos


def test_an_event_dated_in_milliseconds_lands_in_a_far_year() -> None:
    nanos = instant.from_event(1_795_371_078_109)
    assert nanos is not None
    assert instant.iso(nanos).startswith("+58863-")
    assert instant.from_event(1.5) == 1_500_000_000
    assert instant.from_event(None) is None
    assert instant.from_event(True) is None


def test_digits_of_a_query_are_seconds_up_to_ten_and_milliseconds_beyond() -> None:
    assert instant.from_query("1711958590") == 1_711_958_590 * instant.SECOND
    assert instant.from_query("1711958590123") == 1_711_958_590_123 * 1_000_000
    assert instant.from_query("2031-04-02T08:03:10 09:00") is None
    assert instant.from_query("9" * 30) is None

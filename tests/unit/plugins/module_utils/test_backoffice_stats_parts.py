# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instants of any year and precision, and reconciliation by our own sums."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_reconcile import parts
from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_shape import instant_ms, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.123456789Z", 123),
        ("1969-12-31T23:59:59.999Z", -1),
        ("2000-02-29T00:00:00Z", 951_782_400_000),
        ("2031-04-02T10:03:11.500+02:00", 1_932_883_391_500),
        ("2031-04-02T03:03:11.500-05:00", 1_932_883_391_500),
        ("2031-04-02T08:03Z", 1_932_883_380_000),
        ("+58862-09-23T09:15:12Z", 1_795_361_102_112_000),
        ("-0001-01-01T00:00:00Z", -62_198_755_200_000),
        (1_932_883_391_500, 1_932_883_391_500),
    ],
)
def test_instants(text: Any, expected: int | None) -> None:
    assert instant_ms(text) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        "now",
        "2031-02-30T00:00:00Z",
        "2031-04-02",
        "2031-04-02T08:03:11",
        "2031-04-02T24:00:00Z",
        None,
        True,
        1.5,
        [],
    ],
)
def test_what_is_no_instant(value: Any) -> None:
    assert instant_ms(value) is None


@given(st.datetimes(timezones=st.timezones()), st.integers(0, 9))
def test_instants_agree_with_the_standard_library(moment: datetime.datetime, digits: int) -> None:
    offset = moment.utcoffset() or datetime.timedelta()
    if offset.seconds % 60:
        return
    fraction = f"{moment.microsecond:06d}000"[:digits]
    zone = moment.strftime("%z")
    text = (
        moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
        + (f".{fraction}" if digits else "")
        + f"{zone[:3]}:{zone[3:5]}"
    )
    whole = (moment.replace(microsecond=0) - offset).replace(tzinfo=datetime.UTC)
    seconds = (whole - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)) // datetime.timedelta(seconds=1)
    assert instant_ms(text) == seconds * 1000 + int(fraction.ljust(3, "0")[:3])


NUMBERS = st.dictionaries(st.sampled_from(["ADA", "BTC", "ETH"]), st.integers(-5, 5))


def document(expected: dict[str, int], actual: dict[str, int], prefix: str = "") -> dict[str, Any]:
    half = {"ok": True, "expected": expected, "actual": {prefix + key: number for key, number in actual.items()}}
    return {"accountId": "a", "positions": half, "balances": {"ok": True, "expected": {"JPY": 0}, "actual": {}}}


@given(NUMBERS, NUMBERS)
def test_a_prefix_changes_nothing_and_differences_add_up(expected: dict[str, int], actual: dict[str, int]) -> None:
    plain, prefixed = parts(document(expected, actual), None), parts(document(expected, actual, "a::"), "a")
    assert plain is not None
    assert prefixed is not None
    assert plain["positions"].diffs == prefixed["positions"].diffs
    agree = all(expected.get(key, 0) == actual.get(key, 0) for key in {*expected, *actual})
    assert (not plain["positions"].diffs) == agree
    for key, difference in plain["positions"].diffs.items():
        assert expected.get(key, 0) + difference == actual.get(key, 0)


def test_keys_of_another_account_are_a_difference() -> None:
    found = parts(document({"ADA": 1}, {"ADA": 1}, "other::"), "a")
    assert found is not None
    assert found["positions"].diffs == {"ADA": -1, "other::ADA": 1}


def test_nothing_on_both_sides_is_empty_and_flat_is_not() -> None:
    found = parts(document({}, {}), "a")
    assert found is not None
    assert (found["balances"].empty, found["positions"].empty) == (True, True)
    flat = parts(document({"ADA": 0}, {"ADA": 0}), "a")
    assert flat is not None
    assert not flat["positions"].empty


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_none_of_it_is_refused_without_an_exception(value: Any) -> None:
    assert parts(value, "a") is None
    assert parts({"positions": value, "balances": value}, "a") is None
    assert parse(value).shape == "unknown"
    assert parse({"ledgerReplay": value, "processed": value, "lastEventAt": value}).shape == "kotlin"
    assert parse({"currentAuditSize": value, "state": value, "sequenceGaps": value}).shape == "java"

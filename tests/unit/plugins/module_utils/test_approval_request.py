# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The canonical request: one text for one meaning, and each difference named."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import approval_request
from ansible_collections.sre.runbooks.plugins.module_utils.approval_request import NotApprovedError, Subject
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError

NOW = 1_800_000_000.0
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


def typed(value: Any) -> Any:
    """A value in which 1, 1.0 and true are three things, and -0.0 and 0.0 two, as in JSON."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, typed(item)) for key, item in value.items()))
    if isinstance(value, list):
        return ("list", tuple(typed(item) for item in value))
    return (type(value).__name__, repr(value))


@given(JSON)
def test_a_text_means_its_value_and_is_its_own_canonical_form(value: Any) -> None:
    text = approval_request.canonical(value)
    assert text.isascii()
    assert text.endswith("\n")
    assert typed(json.loads(text)) == typed(value)
    assert approval_request.canonical(json.loads(text)) == text


@given(JSON, JSON)
def test_two_texts_are_one_only_when_the_values_are_one(one: Any, other: Any) -> None:
    assert (approval_request.canonical(one) == approval_request.canonical(other)) == (typed(one) == typed(other))


@given(st.dictionaries(st.text(max_size=8), JSON, min_size=2, max_size=6), st.randoms())
def test_the_order_of_keys_says_nothing(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)
    assert approval_request.canonical({key: value[key] for key in keys}) == approval_request.canonical(value)


@given(JSON, st.lists(st.text(max_size=10), max_size=4), st.lists(st.text(max_size=10), max_size=4))
def test_the_digest_covers_the_summary(plan: Any, one: list[str], other: list[str]) -> None:
    same = approval_request.digest(plan, one) == approval_request.digest(plan, other)
    assert same == (one == other)


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: "a", "1": "b"}, {None: 1}, {1, 2}, b"x", [{True: 1}]])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises(InputError, match="cannot be written as JSON"):
        approval_request.canonical(value)


def test_what_is_nested_without_end_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError):
        approval_request.canonical(deep)
    with pytest.raises(NotApprovedError, match="no JSON"):
        approval_request.read("[" * 100_000)


def subject(**changes: Any) -> Subject:
    values: dict[str, Any] = {
        "procedure": "dr_restore",
        "target": "hafnium-prod-eu",
        "inventory": "production",
        "parameters": {"backup": "newest"},
        "plan": {"drop": ["hafnium"], "restore": [{"name": "hafnium", "rows": 12}]},
        "summary": ("drop hafnium", "restore hafnium from b1"),
        "target_state": {"oid": 16401},
    }
    return Subject(**{**values, **changes})


def request(**changes: Any) -> approval_request.Request:
    """A request as it was read, with some fields altered."""
    made = approval_request.make(subject(), "alice", "disk of the primary is gone", NOW, 4)
    return approval_request.read(json.dumps({**made.fields, **changes}))


def test_a_request_fits_its_subject() -> None:
    made = approval_request.make(subject(), "alice", "reason", NOW, 4)
    found = approval_request.read(made.text)
    assert found.text == made.text
    assert approval_request.same_subject(found, subject())
    approval_request.compare(found, subject())
    approval_request.check_time(found, NOW + 3 * 3600, 24, 120)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("procedure", "flyway_repair", "another procedure"),
        ("target", "hafnium-prod-us", "another target"),
        ("inventory", "staging", "another inventory"),
        ("parameters", {"backup": "b7"}, "other parameters"),
        ("target_state", {"oid": 16999}, "has this been done already"),
    ],
)
def test_a_run_of_something_else_is_refused(name: str, value: Any, told: str) -> None:
    with pytest.raises(NotApprovedError, match=told) as caught:
        approval_request.compare(request(), subject(**{name: value}))
    assert caught.value.details["refusal"] == f"{name}_differs"
    assert len(caught.value.details["differences"]) == 2


def test_a_changed_plan_is_shown() -> None:
    changed = subject(plan={"drop": ["hafnium", "customer_db"]}, summary=("drop hafnium", "drop customer_db"))
    with pytest.raises(NotApprovedError, match=r"plan has changed .*\+ drop customer_db") as caught:
        approval_request.compare(request(), changed)
    assert caught.value.details["refusal"] == "plan_differs"
    assert caught.value.details["differences"] == ["- restore hafnium from b1", "+ drop customer_db"]


def test_a_plan_that_reads_the_same_is_told_apart_by_its_digest() -> None:
    with pytest.raises(NotApprovedError, match="summary reads the same"):
        approval_request.compare(request(), subject(plan={"drop": ["hafnium"], "restore": []}))


def test_a_summary_that_was_made_up_is_refused() -> None:
    with pytest.raises(NotApprovedError, match="plan has changed"):
        approval_request.compare(request(plan_summary=["nothing happens"]), subject())


@pytest.mark.parametrize(
    ("after", "most", "refusal"),
    [(4 * 3600, 24, "expired"), (-121, 24, "not_yet_valid"), (60, 3.9, "valid_too_long")],
)
def test_time(after: float, most: float, refusal: str) -> None:
    with pytest.raises(NotApprovedError) as caught:
        approval_request.check_time(request(), NOW + after, most, 120)
    assert caught.value.details["refusal"] == refusal


def test_a_clock_may_be_a_little_ahead() -> None:
    approval_request.check_time(request(), NOW - 120, 24, 120)


@pytest.mark.parametrize(
    "given_text",
    [
        "",
        "not json",
        "[]",
        "null",
        "{}",
        '{"a": 1, "a": 2}',
        '{"format": NaN}',
        b"\xff\xfe",
        json.dumps({**request().fields, "more": 1}),
        json.dumps({**request().fields, "format": 2}),
        json.dumps({**request().fields, "expires_at": "tomorrow"}),
        json.dumps({**request().fields, "expires_at": "2026-02-30T00:00:00Z"}),
        json.dumps({**request().fields, "expires_at": 4102444800}),
        json.dumps({**request().fields, "expires_at": request().fields["requested_at"]}),
        json.dumps({key: value for key, value in request().fields.items() if key != "target_state"}),
    ],
)
def test_what_is_no_request_is_refused_in_one_line(given_text: Any) -> None:
    with pytest.raises(NotApprovedError) as caught:
        read = approval_request.read(given_text)
        approval_request.check_time(read, NOW, 24, 120)
    assert caught.value.details["refusal"] == "malformed"
    assert "\n" not in caught.value.message


def test_a_key_that_stands_twice_is_refused_inside_too() -> None:
    text = request().text.replace('"oid": 16401', '"oid": 1, "oid": 16401')
    with pytest.raises(NotApprovedError, match="twice"):
        approval_request.read(text)


def test_the_summary_of_a_plan_is_its_lines() -> None:
    plan = {"b": [1, {"c": "text"}], "a": None, "empty": []}
    assert approval_request.summary_of(plan) == ["a: null", "b[0]: 1", "b[1].c: text", "empty: []"]
    assert approval_request.summary_of("drop it") == ["drop it"]
    long = approval_request.summary_of(list(range(2000)))
    assert len(long) == approval_request.MOST_LINES + 1
    assert long[-1] == "and 1500 more lines, covered by the digest"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("plan", {}, "plan is empty"),
        ("target_state", "", "target_state is empty"),
        ("target", " ", "target is empty"),
        ("parameters", {"url": "postgresql://u:hunter22@db/x"}, "looks like a secret"),
        ("plan", {"statement": "select 1 -- \u202e reversed"}, "control characters"),
        ("target_state", {"size": math.nan}, "cannot be written as JSON"),
    ],
)
def test_a_subject_that_nobody_should_sign(name: str, value: Any, told: str) -> None:
    params: dict[str, Any] = {
        "procedure": "p",
        "target": "t",
        "inventory": "i",
        "parameters": {},
        "plan": {"do": 1},
        "plan_summary": None,
        "target_state": "s",
    }
    with pytest.raises(InputError, match=told):
        approval_request.subject({**params, name: value})

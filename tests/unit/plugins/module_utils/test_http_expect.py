# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Expectations on JSON, and values that are captured and used again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import http_captures
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.http_expect import expectation, same

DOCUMENT = {
    "status": "UP",
    "count": 3,
    "ratio": 0.5,
    "flag": True,
    "text": "3",
    "none": None,
    "rows": [{"n": 1}, {"n": 2}],
}


@pytest.mark.parametrize(
    ("expression", "comparison", "value", "right"),
    [
        ("status", "equals", "UP", True),
        ("count", "equals", 3, True),
        ("count", "equals", 3.0, True),
        ("count", "equals", "3", False),
        ("text", "equals", 3, False),
        ("flag", "equals", True, True),
        ("flag", "equals", 1, False),
        ("rows[].n", "equals", [1, 2], True),
        ("rows[0]", "equals", {"n": 1}, True),
        ("rows[0]", "equals", {"n": True}, False),
        ("status", "one_of", ["OK", "UP"], True),
        ("status", "one_of", [], False),
        ("length(rows)", "at_least", 2.0, True),
        ("length(rows)", "at_most", 1.0, False),
        ("text", "at_least", 1.0, False),
        ("flag", "at_least", 0.0, False),
        ("status", "matches", "^U", True),
        ("status", "matches", "X", False),
        ("count", "matches", "3", False),
        ("nothing", "present", False, True),
        ("nothing", "present", True, False),
        ("none", "present", True, False),
        ("length(count)", "present", True, False),
    ],
)
def test_comparisons(expression: str, comparison: str, value: Any, right: bool) -> None:
    assert expectation({"jmespath": expression, comparison: value}, "here").holds(DOCUMENT)[0] is right


def test_a_look_alike_of_another_type_is_said() -> None:
    right, found, hint = expectation({"jmespath": "text", "equals": 3}, "here").holds(DOCUMENT)
    assert (right, found) == (False, "3")
    assert "another type" in hint


@pytest.mark.parametrize(
    ("item", "text"),
    [
        ({"jmespath": "a"}, "here: an expectation needs exactly one of .*; it has none"),
        ({"jmespath": "a", "equals": 1, "present": True}, "it has equals and present"),
        ({"jmespath": "a[", "equals": 1}, r"here: 'a\[' is no JMESPath expression"),
        ({"jmespath": "", "equals": 1}, "is no JMESPath expression"),
        ({"jmespath": "a", "matches": "("}, r"here: '\(' is no regular expression"),
    ],
)
def test_wrong_expectations(item: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        expectation(item, "here")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, JSON)
def test_same_is_an_equivalence_finer_than_python_s(left: Any, right: Any) -> None:
    assert same(left, left)
    assert same(left, right) == same(right, left)
    if same(left, right):
        assert left == right


def test_found_values_are_shown_without_secrets() -> None:
    document = {"data": {"password": "hunter2", "list": list(range(1000))}}
    _, found, _ = expectation({"jmespath": "data", "present": False}, "here").holds(document)
    assert "hunter2" not in found
    assert len(found) < 300


def test_captures() -> None:
    captured = {"id": 7, "name": "a b", "row": {"x": [1]}}
    body = {"order": "<id>", "note": "of <name>, <id>", "row": "<row>", "list": ["<id>", "<other>"], "<id>": 1}
    assert http_captures.names_in(body) == {"id", "name", "row", "other"}
    assert http_captures.fill(body, captured) == {
        "order": 7,
        "note": "of a b, 7",
        "row": {"x": [1]},
        "list": [7, "<other>"],
        "<id>": 1,
    }


@pytest.mark.parametrize("value", ["../admin", "a/b", "a?b=1", "a#b", "@evil.example", "a b", "ü"])
def test_a_captured_value_stays_in_its_place_of_a_url(value: str) -> None:
    url = http_captures.fill_url("http://h/orders/<id>/x", {"id": value})
    assert url.startswith("http://h/orders/")
    assert url.count("/") == 5
    assert not set("?#@ ") & set(url)

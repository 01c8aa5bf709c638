# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets in structures that servers send, and in options that are not secret themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import redact


def test_structures_lose_what_stands_under_secret_names() -> None:
    document = {
        "access_token": "opaque",
        "user": {"Password": "a b c", "passwordSet": True, "tokens_left": 5, "apiKey": None},
        "rows": [{"clientSecret": "x"}, "password=hunter2", 7, None],
        "note": "Bearer abcdefgh12345678",
    }
    assert redact.structure(document) == {
        "access_token": "[redacted]",
        "user": {"Password": "[redacted]", "passwordSet": True, "tokens_left": 5, "apiKey": None},
        "rows": [{"clientSecret": "[redacted]"}, "password=[redacted]", 7, None],
        "note": "Bearer [redacted]",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_structures_without_text_stay_as_they_are(value: Any) -> None:
    shown = redact.structure(value)
    assert type(shown) is type(value)
    if not isinstance(value, dict):
        assert str(shown).count("[redacted]") == 0


@pytest.mark.parametrize(
    ("value", "secrets"),
    [
        ("http://me:hunter2@host/x", {"hunter2"}),
        ("http://host/x?api_key=hunter2&a=1", {"hunter2"}),
        ("jdbc:postgresql://host/db?user=me&password=hunter2", {"hunter2"}),
        ("http://host/x?token=null", set()),
        ("password=hunter2", set()),
        ({"headers": [{"Authorization": "Bearer abc", "X-A": "1"}, {"x-api-key": "key"}]}, {"Bearer abc", "key"}),
        ({"Cookie": ""}, set()),
        (7, set()),
    ],
)
def test_secrets_in_other_options(value: Any, secrets: set[str]) -> None:
    assert redact.misplaced(value) == secrets

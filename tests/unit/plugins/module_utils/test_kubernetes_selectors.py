# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Label selectors mean here what they mean to the API server."""

from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import kubernetes_selectors as selectors
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError

LABELS = {"app": "web", "tier": "backend", "app.kubernetes.io/name": "web", "empty": ""}


@pytest.mark.parametrize(
    ("text", "meets"),
    [
        ("tier=backend", True),
        ("tier==backend", True),
        ("tier = backend , app = web", True),
        ("tier=frontend", False),
        ("tier!=frontend", True),
        ("tier!=backend", False),
        ("zone!=a", True),
        ("tier", True),
        ("!tier", False),
        ("! zone", True),
        ("zone", False),
        ("app in (web, api)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("zone notin (a,b)", True),
        ("zone in (a)", False),
        ("empty=", True),
        ("app.kubernetes.io/name=web,tier in (backend)", True),
        ("in=x", False),
    ],
)
def test_meaning(text: str, meets: bool) -> None:
    assert selectors.matches(selectors.parse(text), LABELS) is meets


@pytest.mark.parametrize(
    "text", ["", ",", "a=b,", "tier in backend", "=x", "a=b c", "!a=b", "a>1", "a=b;c=d", "tier in (a"]
)
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="label selector"):
        selectors.parse(text)


def test_labels_in_words() -> None:
    assert selectors.text({"b": "2", "a": "1"}) == "a=1,b=2"
    assert selectors.text({}) == "no labels"

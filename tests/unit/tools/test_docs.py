# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible's markup becomes Markdown that can be read as it stands."""

import pytest

from tools import docs


@pytest.mark.parametrize(
    ("markup", "markdown"),
    [
        ("Plain, with (punctuation).", "Plain, with (punctuation)."),
        ("O(gate=false) and V(pass|fail)", "`gate=false` and `pass\\|fail`"),
        ("C(a < b) and B(bold)", "`a < b` and <b>bold</b>"),
        ("Two\nlines", "Two lines"),
    ],
)
def test_text(markup: str, markdown: str) -> None:
    assert docs.text(markup) == markdown


@pytest.mark.parametrize(
    ("value", "markdown"), [(None, ""), ("", '`""`'), (True, "`true`"), ([], "`[]`"), ("x", "`x`")]
)
def test_literal(value: object, markdown: str) -> None:
    assert docs.literal(value) == markdown


def test_flat_names_sub_options_and_puts_required_ones_first() -> None:
    options = {"a": {"suboptions": {"c": {}, "b": {"required": True}}}, "z": {"required": True}}
    assert [name for name, _ in docs.flat(options, "suboptions")] == ["z", "a", "a.b", "a.c"]


def test_undocumented_plugin_is_named() -> None:
    with pytest.raises(SystemExit, match="no_such_module"):
        docs.described("module", ["no_such_module"])

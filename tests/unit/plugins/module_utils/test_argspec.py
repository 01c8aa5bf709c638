# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec

A = ArgumentSpec(
    options={"a": {"type": "str"}, "b": {"type": "int"}},
    mutually_exclusive=(("a", "b"),),
    required_by={"a": ("b",)},
)
B = ArgumentSpec(
    options={"c": {"type": "str"}},
    required_together=(("a", "c"),),
    required_one_of=(("a", "c"),),
    required_if=(("c", "x", ("a",)),),
    required_by={"a": ("c",), "c": ("a",)},
)


def test_merge_loses_no_option_and_no_rule() -> None:
    merged = A.merge(B)
    assert list(merged.options) == ["a", "b", "c"]
    assert merged.mutually_exclusive == (("a", "b"),)
    assert merged.required_together == (("a", "c"),)
    assert merged.required_one_of == (("a", "c"),)
    assert merged.required_if == (("c", "x", ("a",)),)
    assert merged.required_by == {"a": ("b", "c"), "c": ("a",)}


def test_merge_leaves_its_parts_alone() -> None:
    before = dataclasses.replace(A)
    A.merge(B, ArgumentSpec(options={"d": {}}))
    assert before == A
    assert A.merge() == A


def test_an_option_named_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="options named twice: a, b"):
        A.merge(ArgumentSpec(options={"b": {}, "a": {}}))


def test_it_is_what_ansible_module_takes() -> None:
    import inspect

    from ansible.module_utils.basic import AnsibleModule

    arguments = A.merge(B).module_arguments()
    assert set(arguments) <= set(inspect.signature(AnsibleModule.__init__).parameters)
    assert arguments["argument_spec"] == A.options | B.options

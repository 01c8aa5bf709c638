# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import errors

KINDS = [
    errors.InputError,
    errors.RefusedError,
    errors.UnreachableError,
    errors.DeadlineError,
    errors.LibraryError,
]


@pytest.mark.parametrize("kind", KINDS)
def test_one_family_with_message_and_details(kind: type[errors.RunbookError]) -> None:
    with pytest.raises(errors.RunbookError) as caught:
        raise kind("what, what was found, what to do", found=[1], port=None)
    assert str(caught.value) == caught.value.message == "what, what was found, what to do"
    assert caught.value.details == {"found": [1], "port": None}
    assert json.loads(json.dumps(caught.value.details)) == caught.value.details


def test_the_kinds_do_not_catch_one_another() -> None:
    for kind in KINDS:
        assert [other for other in KINDS if issubclass(kind, other)] == [kind]

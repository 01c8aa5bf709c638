# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import sys

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import libraries
from ansible_collections.sre.runbooks.plugins.module_utils.errors import LibraryError


@pytest.fixture(autouse=True)
def nothing_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {})


def test_nothing_missing() -> None:
    assert libraries.missing(["requests", "PyJWT"]) == []
    libraries.require(["requests"])
    libraries.require([])


def test_every_missing_package_is_named_with_interpreter_and_remedy() -> None:
    libraries.record("PyJWT", ImportError("No module named 'jwt'"))
    libraries.record("confluent-kafka", ImportError("librdkafka.so.1: cannot open shared object file"))
    assert libraries.missing(["confluent-kafka", "requests", "PyJWT"]) == ["confluent-kafka", "PyJWT"]
    with pytest.raises(LibraryError) as caught:
        libraries.require(["confluent-kafka", "requests", "PyJWT"])
    message = caught.value.message
    assert sys.executable in message
    assert "PyJWT: No module named 'jwt'" in message
    assert "librdkafka.so.1" in message
    assert "pip install confluent-kafka PyJWT" in message
    assert "ansible_python_interpreter" in message
    assert caught.value.details == {"missing_libraries": ["confluent-kafka", "PyJWT"]}


def test_what_is_not_asked_for_does_not_matter() -> None:
    libraries.record("kubernetes", ImportError("no"))
    libraries.require(["requests"])

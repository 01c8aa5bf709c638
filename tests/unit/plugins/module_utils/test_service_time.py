# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import service_time
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2031-04-02T08:00:00Z", 1932883200.0),
        ("2031-04-02T08:00:00.5Z", 1932883200.5),
        ("2031-04-02T08:00:00,500Z", 1932883200.5),
        ("2031-04-02T08:00:00.123456789Z", 1932883200.123456),
        ("2031-04-02T10:00:00+02:00", 1932883200.0),
        (" 2031-04-02 08:00:00+00:00 ", 1932883200.0),
        ("+58862-09-23T09:15:12Z", None),
        ("", None),
        ("yesterday", None),
        ("1932883200", None),
    ],
)
def test_parse(text: str, seconds: float | None) -> None:
    assert service_time.parse(text) == seconds


def test_a_time_without_offset_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC-3")
    time.tzset()
    try:
        assert service_time.parse("2031-04-02T11:00:00") == 1932883200.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_iso_is_the_inverse_of_parse() -> None:
    assert service_time.iso(None) is None
    assert service_time.iso(1932883200.0) == "2031-04-02T08:00:00Z"
    assert service_time.iso(1932883200.25) == "2031-04-02T08:00:00.250Z"


def test_an_option_that_is_no_time_is_named_with_what_was_found() -> None:
    assert service_time.option("not_before", None) is None
    assert service_time.option("not_before", " ") is None
    with pytest.raises(InputError, match=r"not_before: 'noon' is not an ISO 8601 time"):
        service_time.option("not_before", "noon")

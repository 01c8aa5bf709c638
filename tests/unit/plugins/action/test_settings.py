# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run resolved its variables to is shown with its source; a secret only as set or not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.action import settings


class Row(settings.ActionModule):
    """The action without a task: only what makes a row."""

    def __init__(self) -> None:
        self._templar = SimpleNamespace(template=lambda value: value)


def row(name: str, variables: dict[str, Any], inventory: dict[str, Any], environment: dict[str, str]) -> dict[str, str]:
    return Row()._row(name, variables, inventory, environment)


@pytest.mark.parametrize(
    ("inventory", "variable", "source"),
    [
        ({"url": "http://x"}, "1", "inventory or -e"),
        ({}, "1", "environment THE_URL"),
        ({}, " ", "default"),
        ({}, None, "default"),
    ],
)
def test_the_source(
    inventory: dict[str, Any], variable: str | None, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("THE_URL", raising=False)
    if variable is not None:
        monkeypatch.setenv("THE_URL", variable)
    assert row("url", {"url": "http://x"}, inventory, {"url": "THE_URL"}) == {
        "name": "url",
        "value": "http://x",
        "source": source,
    }


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("jwt_secret", "hunter2", "set, not shown"),
        ("api_token", "", "not set"),
        ("db_password", None, "not set"),
        ("url", "https://u:hunter2@h/", "https://u:[redacted]@h/"),
        ("count", 0, "0"),
    ],
)
def test_secrets_are_not_shown(name: str, value: Any, shown: str) -> None:
    assert row(name, {name: value}, {}, {})["value"] == shown

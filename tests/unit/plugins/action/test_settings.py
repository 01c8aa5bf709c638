# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run resolved its variables to is shown with its source; a secret only as set or not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.action import settings
from tests.unit.plugins.action import collection_copy


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
        ("servers", [{"name": "a", "password": "hunter2"}], "[{'name': 'a', 'password': '[redacted]'}]"),
        ("lines", "one\ntwo", "one two"),
        ("count", 0, "0"),
    ],
)
def test_secrets_are_not_shown(name: str, value: Any, shown: str) -> None:
    assert row(name, {name: value}, {}, {})["value"] == shown


SECRET = "Zx9-secret-value"
VALUES: dict[str, Any] = {
    "jwt_secret": SECRET,
    "api_token": SECRET,
    "db_password": SECRET,
    "url": f"https://user:{SECRET}@host/{'long/' * 30}",
    "dsn": f"host=db password={SECRET} port=5432",
    "servers": [{"name": "a", "login_password": SECRET}, *["b" * 40] * 9],
    "lines": "one\ntwo\nthree",
    "a_variable_whose_name_is_as_long_as_names_can_get": "y" * 200,
    "empty": "",
}


def test_a_run_tells_no_secret_and_keeps_to_its_width(tmp_path: Path) -> None:
    """In a real run, at -vvv: neither what is printed nor any key of the result, which is written to a file."""
    environment = {name: f"THE_ENVIRONMENT_VARIABLE_OF_{name.upper()[:40]}" for name in VALUES}
    tasks = [
        {"sre.runbooks.settings": {"names": list(VALUES), "environment": environment}, "register": "result"},
        {
            "ansible.builtin.copy": {
                "content": "{{ result | to_json }}",
                "dest": str(tmp_path / "result.json"),
                "mode": "600",
            }
        },
    ]
    (tmp_path / "play.yml").write_text(
        json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]), encoding="utf-8"
    )
    (tmp_path / "values.json").write_text(json.dumps(VALUES), encoding="utf-8")
    collections = collection_copy.make(tmp_path / "tree", {})
    done = collection_copy.ansible_playbook(
        "play.yml",
        "-e",
        "@values.json",
        "-vvv",
        env=collection_copy.environment(collections, tmp_path, **{environment["url"]: "set"}),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = (tmp_path / "result.json").read_text(encoding="utf-8")
    rows = json.loads(result)["settings"]
    assert [row["name"] for row in rows] == list(VALUES)
    assert [row["value"] for row in rows[:3]] == ["set, not shown"] * 3
    assert SECRET not in result
    assert SECRET not in done.stdout + done.stderr
    printed = done.stderr[done.stderr.index("localhost  settings") :].splitlines()[: len(VALUES) + 1]
    assert [re.match(r"  (\w+) = ", line)[1] for line in printed[1:]] == list(VALUES)  # type: ignore[index]
    assert max(map(len, printed)) <= settings.WIDTH
    assert "  lines = one two three  (inventory or -e)" in printed
    assert all(line.endswith("  (inventory or -e)") for line in printed[1:])

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.runbooks.plugins.module_utils import redact

SECRET_ENDINGS = ("_secret", "_token", "_password")
VALUE_WIDTH = 60
WIDTH = 100

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Prints what a run resolved its variables to, and where from. Runs in the controller only."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        _validated, args = self.validate_argument_spec(
            argument_spec={
                "names": {"type": "list", "elements": "str", "required": True},
                "environment": {"type": "dict", "default": {}},
            }
        )
        result: dict[str, Any] = super().run(tmp, variables)
        host = str(variables.get("inventory_hostname", "localhost"))
        inventory = variables.get("hostvars", {}).get(host, {})
        rows = [self._row(name, variables, inventory, args["environment"]) for name in args["names"]]
        result.update(changed=False, settings=rows)
        display.display("\n".join([_cut(f"{host}  settings", WIDTH), *map(_line, rows)]), stderr=True)
        return result

    def _row(self, name: str, variables: Any, inventory: Any, environment: dict[str, str]) -> dict[str, str]:
        value = self._templar.template(variables.get(name))
        if name in inventory:
            source = "inventory or -e"
        elif os.environ.get(environment.get(name, ""), "").strip():
            source = f"environment {environment[name]}"
        else:
            source = "default"
        return {"name": name, "value": _shown(name, value), "source": source}


def _shown(name: str, value: Any) -> str:
    if value is None or value == "":
        return "not set"
    if name.endswith(SECRET_ENDINGS):
        return "set, not shown"
    return " ".join(redact.observed(str(redact.structure(value)), VALUE_WIDTH).split())


def _line(row: dict[str, str]) -> str:
    """A row in at most WIDTH columns; the value gives way to its name and its source."""
    head, tail = f"  {row['name']} = ", f"  ({row['source']})"
    return _cut(f"{head}{_cut(row['value'], max(1, WIDTH - len(head) - len(tail)))}{tail}", WIDTH)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}\u2026"

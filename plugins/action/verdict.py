# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import datetime
from typing import Any

from ansible import constants as C
from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.sre.runbooks.plugins.plugin_utils import verdict

REPORT = "sre.runbooks.runbook_report"

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]
    """Publishes the verdict of a procedure, or gates on it. Runs in the controller only."""

    _supports_check_mode = True
    _supports_async = False
    _requires_connection = False

    def run(self, tmp: None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        variables = task_vars or {}
        _validated, args = self.validate_argument_spec(
            argument_spec={
                "procedure": {"type": "str", "required": True},
                "registers": {"type": "list", "elements": "str", "required": True},
                "optional": {"type": "list", "elements": "str", "default": []},
                "steps": {"type": "list", "elements": "str", "default": []},
                "accepted": {"type": "raw", "default": []},
                "gate": {"type": "bool", "default": True},
            }
        )
        result: dict[str, Any] = super().run(tmp, variables)
        host = str(variables.get("inventory_hostname", "localhost"))
        judgement = verdict.judge(
            {name: variables.get(name) for name in [*args["registers"], *args["optional"], *args["steps"]]},
            args["accepted"],
            datetime.datetime.now(datetime.UTC).date(),
            frozenset(args["optional"]),
            frozenset(args["steps"]),
        )
        if self._task.check_mode:
            judgement.notes.append("check mode: nothing was changed, and what a run would change is not verified")
        if REPORT not in C.CALLBACKS_ENABLED:
            judgement.notes.append(f"no evidence was kept: {REPORT} is not among callbacks_enabled")
        line = verdict.summary(judgement) + verdict.causes(judgement)
        result.update(changed=False, procedure=args["procedure"], verdict=judgement.verdict)
        if args["gate"]:
            _show(verdict.table(host, args["procedure"], judgement, _inventories()))
            result.update(failed=judgement.verdict != "pass", msg=f"{args['procedure']} {line}")
            return result
        result.update(judgement.as_dict(), msg=line)
        published = {"verdict": judgement.verdict, "summary": line, "findings": judgement.findings}
        result["ansible_stats"] = {
            "data": {"sre_runbooks": {host: {args["procedure"]: published}}},
            "per_host": False,
            "aggregate": True,
        }
        return result


def _inventories() -> list[str]:
    """The inventory sources of this run, for commands that can be pasted; none for a list of hosts on the command line."""
    return [str(source) for source in context.CLIARGS.get("inventory") or () if "," not in str(source)]


def _show(table: str) -> None:
    """Print the table; beside a callback that prints JSON on standard output it goes to standard error."""
    display.display(f"\n{table}\n", stderr="json" in str(C.DEFAULT_STDOUT_CALLBACK))

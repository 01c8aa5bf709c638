# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A callback for tests only: writes every result of every task, with its types and its warnings, one JSON line each."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: shape_recorder
type: notification
short_description: For tests only
description: Writes results to the file that PROBE_RECORD names.
"""

HOOKS = (
    "v2_runner_on_ok",
    "v2_runner_on_failed",
    "v2_runner_on_skipped",
    "v2_runner_on_unreachable",
    "v2_runner_item_on_ok",
    "v2_runner_item_on_failed",
    "v2_runner_item_on_skipped",
    "v2_runner_retry",
    "v2_runner_on_async_poll",
    "v2_runner_on_async_ok",
    "v2_runner_on_async_failed",
    "v2_on_file_diff",
)


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "shape_recorder"
    CALLBACK_NEEDS_ENABLED = True


def _recorder(hook: str) -> Any:
    def record(self: CallbackModule, result: Any, *args: Any, **kwargs: Any) -> None:
        line = {
            "shape": result.task.name,
            "host": result.host.get_name(),
            "event": hook,
            "result": result.result,
            # ansible-core 2.21 shows a callback native types only
            "types": types(getattr(result, "_return_data", result.result)),
            "warnings": [str(item.event.msg) for item in result.warnings],
            "deprecations": [str(item.event.msg) for item in result.deprecations],
            "error": str(result.exception.event.msg) if result.exception else "",
        }
        with open(os.environ["PROBE_RECORD"], "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(json.dumps(line, default=repr) + "\n")

    return record


def types(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): types(item) for key, item in value.items()}
    if isinstance(value, list):
        return [types(item) for item in value[:20]]
    return type(value).__name__


for _hook in HOOKS:
    setattr(CallbackModule, _hook, _recorder(_hook))

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module for tests only: options of every shape, and behaviour of every kind. Never part of the collection."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import env_fallback

from ansible_collections.sre.runbooks.plugins.module_utils import errors, operation
from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec

SPEC = ArgumentSpec(
    options={
        "do": {"type": "str", "default": "echo", "aliases": ["behave"]},
        "text": {"type": "str", "aliases": ["words", "string"]},
        "number": {"type": "int", "default": 7},
        "ratio": {"type": "float"},
        "flag": {"type": "bool", "default": False},
        "names": {"type": "list", "elements": "str", "default": []},
        "numbers": {"type": "list", "elements": "int"},
        "pairs": {"type": "dict"},
        "where": {"type": "path"},
        "anything": {"type": "raw"},
        "document": {"type": "json"},
        "size": {"type": "bytes"},
        "speed": {"type": "bits"},
        "mode": {"type": "str", "choices": ["fast", "slow"]},
        "from_environment": {"type": "str", "fallback": (env_fallback, ["PROBE_TEXT"])},
        "api_secret": {"type": "str", "no_log": True},
        "api_token": {"type": "str", "no_log": True, "fallback": (env_fallback, ["PROBE_TOKEN"])},
        "secret_headers": {"type": "dict", "no_log": True},
        "session_token": {"type": "str", "no_log": False},
        "account": {
            "type": "dict",
            "options": {"user": {"type": "str", "required": True}, "login_password": {"type": "str", "no_log": True}},
        },
        "targets": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "port": {"type": "int", "default": 80},
                "key": {"type": "str", "no_log": True},
            },
        },
        "old_name": {"type": "str", "removed_in_version": "9.0.0", "removed_from_collection": "sre.runbooks"},
        "returns": {"type": "dict", "default": {}},
        "timeout": {"type": "int", "default": 60},
    },
    mutually_exclusive=(("numbers", "ratio"),),
    required_together=(("size", "speed"),),
    required_if=(("mode", "slow", ("text",)),),
    required_by={"document": ("pairs",)},
)


def run(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    return BEHAVIOUR[params["do"]](params, context)


def echo(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    shown = {key: value for key, value in params.items() if key != "returns"}
    types = {key: type(value).__name__ for key, value in params.items()}
    flags = {"check_mode": context.check_mode, "diff_mode": context.diff}
    return {"changed": False, "shown": shown, "types": types, **flags, **params["returns"]}


def change(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    if context.check_mode:
        return {"changed": True, "acted": False}
    result: dict[str, Any] = {"changed": True, "acted": True}
    if context.diff:
        result["diff"] = {"before": "old\n", "after": "new\n", "before_header": "a", "after_header": "b"}
    return result


def count(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    """One more each time, counted in a file: what until and retries need."""
    file = Path(params["where"])
    seen = int(file.read_text()) if file.exists() else 0
    file.write_text(str(seen + 1))
    return {"changed": False, "seen": seen + 1}


def fail(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    raise errors.RefusedError(f"refused {params['text']}", detail={"text": params["text"]}, numbers=[1, 2])


def defect(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    raise ValueError(f"not foreseen: {params['text']}")


def warn(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    context.warn(f"beware of {params['text']}")
    context.warn("a second one")
    return {"changed": False}


def progress(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    for number in range(3):
        context.progress(f"step {number} of 3, {params['text']}")
    return {"changed": False, "steps": 3}


def environment(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    return {"changed": False, "seen": {name: os.environ.get(name) for name in params["names"]}}


def change_environment(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    os.environ["PROBE_LEAK"] = "leaked"
    os.chdir("/")
    return {"changed": False}


def special(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    import datetime
    import decimal

    return {
        "changed": False,
        "numbers": [float("nan"), float("inf"), 1.5, 10**30, decimal.Decimal("1.10")],
        "texts": ["\ud800 surrogate", "\x1b[31mred", "nul \x00", "ünï ☃ 𝄞", "a\u2028b", "tab\tnew\nline"],
        "others": [{"b", "a"}, (1, 2), b"bytes \xff", datetime.date(2026, 2, 3), object.__name__],
        "keys": {1: "one", None: "none", "{{ templated }}": "{{ 1 + 1 }}"},
    }


def big(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    return {"changed": False, "rows": [{"id": number, "text": "x" * 1000} for number in range(params["number"])]}


def own_lines(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    return {"changed": False, "stdout": "one\ntwo", "stderr": "three"}


def facts(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    return {"changed": False, "ansible_facts": {"probe_fact": 5}}


def noise_before(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    print("some library says hello")
    print("to standard error", file=sys.stderr)
    os.write(2, b"from C code\n")
    return {"changed": False, "quiet": False}


def temporary(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="probe") as stream:
        return {"changed": False, "there": Path(stream.name).exists()}


def abort(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    os.abort()


def kill(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def leave(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    os._exit(params["number"])


def leave_politely(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    raise SystemExit(params["number"])


def orphan(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    """Dies while a process it forked lives on and holds its standard output."""
    if os.fork() == 0:
        Path(params["where"]).write_text(str(os.getpid()))
        time.sleep(params["number"])
        os._exit(0)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def hang(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    Path(params["where"]).write_text(str(os.getpid()))
    time.sleep(params["number"])
    return {"changed": False}


def surroundings(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    mask = os.umask(0)
    os.umask(mask)
    return {"changed": False, "cwd": os.getcwd(), "umask": mask, "user": os.geteuid(), "executable": sys.executable}


def where(params: dict[str, Any], context: operation.Context) -> dict[str, Any]:
    """Whether this runs from the zip of an ordinary module process, and as whom."""
    return {"changed": False, "ordinary": ".zip/" in operation.__file__, "user": os.geteuid()}


BEHAVIOUR = {name: value for name, value in list(globals().items()) if getattr(value, "__module__", "") == __name__}


def main() -> None:
    operation.main(SPEC, run)


if __name__ == "__main__":
    main()

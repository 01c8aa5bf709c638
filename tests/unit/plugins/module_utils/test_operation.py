# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From main() to a result and from an error to one line, as Ansible runs a module."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from ansible.module_utils.common import warnings as core_warnings
from ansible.module_utils.testing import patch_module_args

from ansible_collections.sre.runbooks.plugins.module_utils import libraries, operation, progress
from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError, InputError, RefusedError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context, Operation

SECRET = "correct-horse-battery"
SPEC = ArgumentSpec(
    options={
        "name": {"type": "str", "default": "x"},
        "login_password": {"type": "str", "no_log": True},
        "url": {"type": "str"},
        "headers": {"type": "dict"},
        "timeout": {"type": "float"},
    }
)
Capture = pytest.CaptureFixture[str]


def run(capsys: Capture, action: Operation, requires: tuple[str, ...] = (), **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit) as ended:
        operation.main(SPEC, action, requires)
    out = capsys.readouterr().out
    assert "Traceback" not in out
    result: dict[str, Any] = json.loads(out)
    assert bool(result.get("failed")) == bool(ended.value.code)
    return result


def test_parameters_and_result(capsys: Capture) -> None:
    seen: dict[str, Any] = {}

    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        seen.update(params, check_mode=context.check_mode, seconds=context.deadline.seconds)
        return {"changed": False, "answer": 42}

    result = run(capsys, action, name="bo", timeout="12.5", _ansible_check_mode=True)
    assert (result["changed"], result["answer"]) == (False, 42)
    assert seen["name"] == "bo"
    assert seen["check_mode"] is True
    assert seen["seconds"] == 12.5


def test_defaults_of_the_context(capsys: Capture) -> None:
    seen: list[Context] = []
    run(capsys, lambda _params, context: seen.append(context) or {"changed": False})
    assert (seen[0].check_mode, seen[0].diff, seen[0].deadline.seconds) == (False, False, 60)
    alone = Context()
    alone.warn("goes nowhere")
    alone.progress("goes nowhere")
    assert alone.deadline.remaining() > 0


@pytest.mark.parametrize("value", [0, -5, "0"])
def test_a_total_time_of_nothing_is_refused(capsys: Capture, value: Any) -> None:
    result = run(capsys, lambda _params, _context: {"changed": False}, timeout=value)
    assert result["failed"] is True
    assert "timeout is " in result["msg"]
    assert "at least 1 second" in result["msg"]


@pytest.mark.parametrize("kind", [InputError, RefusedError, DeadlineError])
def test_an_error_of_the_family_becomes_its_message_with_its_details(capsys: Capture, kind: Any) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        raise kind("lag of orders is 7", changed=True, rows=[{"lag": math.nan, "who": b"\xff"}], msg="never this")

    result = run(capsys, action)
    assert result["msg"] == "lag of orders is 7"
    assert result["changed"] is True
    assert result["rows"] == [{"lag": None, "who": "\ufffd"}]


def test_secrets_leave_in_no_way(capsys: Capture) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        context.warn(f"tried {SECRET} at http://u:other-secret@h and eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.sig")
        raise RefusedError(f"password {SECRET} refused by http://u:other-secret@h", tried={SECRET: [SECRET]})

    result = run(capsys, action, login_password=SECRET)
    text = json.dumps(result)
    assert SECRET not in text
    assert "other-secret" not in text
    assert "eyJzdWIi" not in text
    assert len(result["warnings"]) == 1


def test_a_warning_is_cleaned_of_control_characters(capsys: Capture) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        context.warn("red \x1b[31m bell \a and half \ud800")
        return {"changed": False}

    [warning] = run(capsys, action)["warnings"]
    text = warning if isinstance(warning, str) else json.dumps(warning)
    assert "\x1b" not in text
    assert "\a" not in text


def test_progress_is_censored(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(progress, "send", sent.append)

    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        context.progress(f"3 of 5, with {SECRET} and Bearer abc.def-123456")
        return {"changed": False}

    run(capsys, action, login_password=SECRET)
    assert sent == ["3 of 5, with ******** and Bearer [redacted]"]


def test_a_result_is_json_without_secrets_of_others(capsys: Capture) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        return {
            "changed": False,
            "age": math.inf,
            "ids": {3, 1},
            "at": b"\xe4",
            "url": "amqp://u:other-secret@h",
            "n": {1: 2},
        }

    result = run(capsys, action)
    assert (result["age"], result["ids"], result["at"], result["n"]) == (None, [1, 3], "\ufffd", {"1": 2})
    assert result["url"] == "amqp://u:[redacted]@h"


def test_a_defect_is_one_line_that_says_where(capsys: Capture) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        return {"changed": False, "x": {}[f"key with {SECRET}"]}

    result = run(capsys, action, login_password=SECRET)
    assert result["failed"] is True
    assert "defect in " in result["msg"]
    assert "KeyError" in result["msg"]
    assert "(test_operation.py:" in result["msg"]
    assert "please report it" in result["msg"]
    assert "\n" not in result["msg"]
    assert SECRET not in json.dumps(result)


def test_a_defect_of_many_lines_is_still_one_line(capsys: Capture) -> None:
    def action(params: dict[str, Any], context: Context) -> dict[str, Any]:
        raise ValueError("first\nsecond\nthird" + "x" * 100_000)

    result = run(capsys, action)
    assert "\n" not in result["msg"]
    assert len(result["msg"]) < 3000


def test_a_result_that_is_no_json_is_a_defect_too(capsys: Capture) -> None:
    loop: dict[str, Any] = {"changed": False}
    loop["self"] = loop
    result = run(capsys, lambda _params, _context: loop)
    assert result["failed"] is True
    assert "RecursionError" in result["msg"]


@pytest.mark.parametrize("short", ["a", "ab", "1"])
def test_a_secret_too_short_to_hide_is_refused_in_readable_words(capsys: Capture, short: str) -> None:
    ran: list[int] = []
    result = run(
        capsys, lambda _params, _context: ran.append(1) or {"changed": False}, login_password=short, name="abc1"
    )
    assert result["failed"] is True
    assert result["msg"].startswith("a secret option has fewer than 3 characters; so short a value cannot be kept out")
    assert ran == []
    assert "module_args" not in result.get("invocation", {})


def test_no_secret_and_an_empty_one_are_no_problem(capsys: Capture) -> None:
    assert run(capsys, lambda _params, _context: {"changed": False}, login_password="")["changed"] is False
    assert run(capsys, lambda _params, _context: {"changed": False})["changed"] is False


def test_a_missing_library_is_refused_before_anything_is_done(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "_missing", {"PyJWT": ImportError("No module named 'jwt'")})
    ran: list[int] = []
    result = run(capsys, lambda _params, _context: ran.append(1) or {}, ("requests", "PyJWT"))
    assert "PyJWT: No module named 'jwt'" in result["msg"]
    assert result["missing_libraries"] == ["PyJWT"]
    assert ran == []


def test_secrets_in_urls_and_headers_stay_out_of_refused_arguments(capsys: Capture) -> None:
    result = run(
        capsys,
        lambda _params, _context: {"changed": False},
        url="http://u:url-secret@h",
        headers={"Authorization": "Token header-secret"},
        nosuch=1,
    )
    assert result["failed"] is True
    assert "nosuch" in result["msg"]
    assert "url-secret" not in json.dumps(result)
    assert "header-secret" not in json.dumps(result)


@pytest.fixture(autouse=True)
def no_warnings_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_global_warnings", "_global_deprecations"):
        if hasattr(core_warnings, name):
            monkeypatch.setattr(core_warnings, name, {})

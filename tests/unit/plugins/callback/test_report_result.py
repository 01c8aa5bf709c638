# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a result is written, and what is struck out of it."""

from __future__ import annotations

import base64
import json
from types import ModuleType
from typing import Any
from urllib.parse import quote

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec
from ansible_collections.sre.runbooks.plugins.plugin_utils import report_result, report_secrets

SECRET = 'S3cr3t"/ <&> é'


def learned(arguments: dict[str, Any], spec: dict[str, Any] | None = None) -> report_secrets.Secrets:
    secrets = report_secrets.Secrets()
    secrets._specs["probe"] = spec or {}
    secrets.learn_arguments("probe", arguments)
    return secrets


def test_only_listed_keys_are_kept() -> None:
    result = {
        "verdict": "pass",
        "msg": "fine",
        "invocation": {"module_args": {"a": 1}},
        "ansible_facts": {},
        "diff": {},
    }
    assert report_result.pick(result) == {"verdict": "pass", "msg": "fine"}


def test_items_of_a_loop_are_kept_without_their_item() -> None:
    result = {"results": [{"item": "x", "_ansible_item_label": "x", "changed": True}, "text"], "changed": True}
    assert report_result.pick(result) == {"changed": True, "items": [{"changed": True}]}


@pytest.mark.parametrize("value", ["green", None, 1, ["pass"]])
def test_an_unknown_status_is_unverified(value: Any) -> None:
    (check,) = report_result.pick({"checks": [{"id": "a", "status": value}]})["checks"]
    assert check["status"] == "unverified"


@pytest.mark.parametrize("value", ["text", 5, {"a": 1}, [1, None, "x"], None])
def test_a_result_of_another_shape_does_no_harm(value: Any) -> None:
    keys = (
        "verdict",
        "procedure",
        "msg",
        "changed",
        "checks",
        "findings",
        "accepted",
        "notes",
        "settings",
        "plan",
        "capture",
    )
    picked = report_result.pick(dict.fromkeys(keys, value))
    json.dumps(picked)


def test_size_and_depth_are_bounded() -> None:
    deep: Any = "end"
    for _ in range(50):
        deep = {"down": [deep]}
    observed = {"deep": deep, "wide": list(range(100_000)), "text": "x" * 1_000_000, **{str(n): n for n in range(5000)}}
    (check,) = report_result.pick({"checks": [{"id": "a", "status": "pass", "observed": observed}]})["checks"]
    assert len(json.dumps(check)) < 50_000


def test_the_worst_checks_are_kept_when_there_are_too_many() -> None:
    rows = [{"id": str(n), "status": "pass"} for n in range(report_result.MAX_CHECKS + 5)]
    rows[-1]["status"] = "fail"
    picked = report_result.pick({"checks": rows})
    assert len(picked["checks"]) == report_result.MAX_CHECKS
    assert picked["checks"][0]["status"] == "fail"
    assert str(len(rows)) in picked["notes"][0]


def test_values_under_secret_names_are_struck() -> None:
    step = {"playbook": "x", "args": {"db_password": "abc", "token": "t", "port": 5, "a": {"jwt_secret": ["q"]}}}
    (finding,) = report_result.pick({"findings": [{"cause": "c", "next": step}]})["findings"]
    assert finding["next"]["args"] == {
        "db_password": "[redacted]",
        "token": "[redacted]",
        "port": 5,
        "a": {"jwt_secret": "[redacted]"},
    }


def test_a_setting_tells_whether_a_secret_is_set_and_never_its_value() -> None:
    rows = [{"name": "x_secret", "value": value, "source": "default"} for value in ("not set", "set, not shown", "abc")]
    shown = [row["value"] for row in report_result.pick({"settings": rows})["settings"]]
    assert shown == ["not set", "set, not shown", "[redacted]"]


@pytest.mark.parametrize(
    "shape",
    [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps({"x": SECRET}),
        base64.b64encode(SECRET.encode()).decode(),
        f"prefix{SECRET}suffix",
    ],
)
def test_a_learned_secret_is_struck_in_every_shape(shape: str) -> None:
    struck = learned({"api_secret": SECRET}).strike({"msg": [shape], shape: 1})
    assert SECRET not in json.dumps(struck, ensure_ascii=False)
    assert shape not in json.dumps(struck, ensure_ascii=False)
    assert "[redacted]" in json.dumps(struck)


@pytest.mark.parametrize(
    ("arguments", "spec"),
    [
        ({"api_secret": SECRET}, {}),
        ({"deep": [{"login_password": SECRET}]}, {}),
        ({"secret_headers": {"X-Key": SECRET}}, {}),
        ({"secret_headers": {"Authorization": f"Token {SECRET.split(maxsplit=1)[0]}"}}, {}),
        ({"plain": SECRET}, {"plain": {"no_log": True}}),
        ({"other": SECRET}, {"plain": {"no_log": True, "aliases": ["other"]}}),
        ({"rows": [{"key": SECRET}]}, {"rows": {"options": {"key": {"no_log": True}}}}),
        ({"urls": [f"http://user:{quote(SECRET, safe='')}@h/"]}, {}),
    ],
)
def test_where_secrets_are_learned(arguments: dict[str, Any], spec: dict[str, Any]) -> None:
    text = SECRET.split(maxsplit=1)[0] if "Token" in str(arguments) else SECRET
    assert learned(arguments, spec).strike(f"so: {text}") == "so: [redacted]"


def test_an_option_that_is_declared_harmless_is_not_struck() -> None:
    secrets = learned({"max_token": "abcdef"}, {"max_token": {"no_log": False}})
    assert secrets.strike("abcdef") == "abcdef"


def test_the_environment_that_stands_in_for_a_secret_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROBE_TOKEN", "from-the-environment")
    spec = {"api_token": {"no_log": True, "fallback": (print, ["PROBE_TOKEN"])}}
    assert learned({}, spec).strike("x from-the-environment") == "x [redacted]"


def test_the_report_survives_a_secret_that_is_one_of_its_own_words() -> None:
    secrets = learned({"api_secret": "pass", "api_token": "task"})
    event = {"event": "task", "task": "the pass phrase", "result": {"verdict": "pass"}}
    assert secrets.strike(event) == {"event": "task", "task": "the [redacted] phrase", "result": {"verdict": "pass"}}


def test_very_short_values_are_left_alone() -> None:
    assert learned({"api_secret": "ab", "api_token": True}).strike("ab True") == "ab True"


def test_specifications_are_found_in_the_module_and_in_what_it_imports() -> None:
    helper, module = ModuleType("helper"), ModuleType("module")
    vars(helper).update(SPEC=ArgumentSpec(options={"a": {"no_log": True}}), ArgumentSpec=ArgumentSpec)
    vars(module).update(helper=helper, OWN=ArgumentSpec(options={"b": {}}))
    assert report_secrets.options_of(module) == {"a": {"no_log": True}, "b": {}}

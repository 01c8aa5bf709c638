# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A twin on an ansible-core or a system that it cannot work on takes the ordinary path, and says why."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import _internal, basic
from ansible.plugins.action import ActionBase

from ansible_collections.sre.runbooks.plugins.plugin_utils import in_process

VARIABLES = {"inventory_hostname": "bo", "ansible_python_interpreter": sys.executable}
ORDINARY = {"by": "the ordinary path"}


class Loader:
    """An action loader that knows only the ordinary path."""

    def get(self, name: str, **_kwargs: Any) -> Any:
        assert name == "ansible.legacy.normal"
        return SimpleNamespace(run=lambda task_vars: {**ORDINARY, "variables": task_vars})


def twin() -> in_process.InProcessAction:
    """A twin whose task could run in-process: local connection, no become, no async, this interpreter."""
    task = SimpleNamespace(action="sre.runbooks.example", args={}, delegate_to=None, async_val=0, check_mode=False)
    action = in_process.InProcessAction(
        task,
        SimpleNamespace(transport="local", become=None),
        SimpleNamespace(),
        None,
        SimpleNamespace(template=lambda value: value),
        None,
    )
    action._shared_loader_obj = SimpleNamespace(action_loader=Loader())
    action.library = ModuleType("example")
    return action


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is told at -vvv; a fork fails the test."""

    def no_fork() -> int:
        raise AssertionError("the worker was forked")

    lines: list[str] = []
    monkeypatch.setattr(os, "fork", no_fork)
    monkeypatch.setattr(in_process, "display", SimpleNamespace(vvv=lambda text, host: lines.append(f"{host}: {text}")))
    return lines


def test_without_a_reason_there_is_no_ordinary_path() -> None:
    assert twin()._reason_for_a_process(VARIABLES) == ""


def test_a_core_that_lacks_a_name(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_process, "_CORE_ERROR", "this ansible-core lacks ActionBase._update_module_args")
    assert twin().run(task_vars=VARIABLES) == {**ORDINARY, "variables": VARIABLES}
    assert told == [
        "bo: sre.runbooks.example: ordinary module process, "
        "because this ansible-core lacks ActionBase._update_module_args"
    ]


def test_macos(told: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert twin().run(task_vars=VARIABLES) == {**ORDINARY, "variables": VARIABLES}
    (line,) = told
    assert line.endswith("because network calls after a fork abort on macOS")


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (ActionBase, "_update_module_args"),
        (ActionBase, "_compute_environment_string"),
        (basic, "_ANSIBLE_ARGS"),
        (basic, "_ANSIBLE_PROFILE"),
        (_internal, "is_controller"),
    ],
)
def test_every_private_name_is_looked_for(
    owner: Any, name: str, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert in_process._CORE_ERROR == ""
    try:
        monkeypatch.delattr(owner, name)
        importlib.reload(in_process)
        assert f"this ansible-core lacks {owner.__name__}.{name}" == in_process._CORE_ERROR
    finally:
        monkeypatch.undo()
        importlib.reload(in_process)
    assert in_process._CORE_ERROR == ""


def test_a_module_of_core_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setitem(sys.modules, "ansible.module_utils.common.json", None)
        importlib.reload(in_process)
        assert in_process._CORE_ERROR.startswith("this ansible-core lacks a name: ")
        assert "ansible.module_utils.common.json" in in_process._CORE_ERROR
        assert twin()._reason_for_a_process(VARIABLES) == in_process._CORE_ERROR
    finally:
        monkeypatch.undo()
        importlib.reload(in_process)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a module's main() in this process, as Ansible would, and a clock that tests can set."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import pytest
from ansible.module_utils import _internal
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args

from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context


def run_module(
    module: ModuleType, capsys: pytest.CaptureFixture[str], check: bool = False, **arguments: Any
) -> dict[str, Any]:
    """The result that the module prints.

    Another test may have loaded ansible-core's controller into this process, which would show warnings instead; and
    warnings of modules that ran before in this process are theirs.
    """
    with (
        pytest.MonkeyPatch.context() as patch,
        patch_module_args({**arguments, "_ansible_check_mode": check}),
        pytest.raises(SystemExit),
    ):
        patch.setattr(_internal, "is_controller", False)
        patch.setattr(warnings, "_global_warnings", {})
        patch.setattr(warnings, "_global_deprecations", {})
        module.main()
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


class FakeClock(Clock):
    """Time passes only in sleep()."""

    def __init__(self, now: float = 1_900_000_000.0) -> None:
        self.time = now
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.time

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += max(0.0, seconds)


def fake_context(clock: Clock | None = None, timeout: float = 60.0, **values: Any) -> Context:
    """A context on a fake clock."""
    clock = clock or FakeClock()
    return Context(clock=clock, deadline=Deadline(timeout, clock), **values)

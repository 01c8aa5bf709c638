# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Operations with options as a task gives them, without the time that a playbook takes; and what their checks say."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context


def operate(module: Any, **options: Any) -> dict[str, Any]:
    """The result of ``module.run`` (a module of module_utils)."""
    validated = ArgumentSpecValidator(**module.SPEC.module_arguments()).validate(options)
    assert not validated.error_messages, validated.error_messages
    params = validated.validated_parameters
    clock = Clock()
    result: dict[str, Any] = module.run(params, Context(clock=clock, deadline=Deadline(params["timeout"], clock)))
    return result


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def check_of(result: dict[str, Any], id_: str) -> dict[str, Any]:
    (found,) = [check for check in result["checks"] if check["id"] == id_]
    return dict(found)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a module's main() to an operation and back.

An operation is one function, ``run(params, context) -> result``; it raises RunbookError when it cannot do what it was
asked. ``main`` builds the context, runs it and leaves through exit_json or fail_json, never through a traceback.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.parameters import remove_values, sanitize_keys

from . import libraries, progress, redact
from .argspec import ArgumentSpec
from .clock import Clock, Deadline
from .errors import InputError, RunbookError
from .text import json_safe, shorten

SHORTEST_SECRET = 3
DEFAULT_SECONDS = 60.0


@dataclass
class Context:
    """What an operation may know of its surroundings.

    ``deadline`` bounds the whole operation; ``warn`` and ``progress`` take one line of text each and censor it.
    """

    check_mode: bool = False
    diff: bool = False
    clock: Clock = field(default_factory=Clock)
    deadline: Deadline = field(default_factory=lambda: Deadline(60.0, Clock()))
    warn: Callable[[str], None] = lambda text: None
    progress: Callable[[str], None] = lambda text: None


Operation = Callable[[dict[str, Any], Context], dict[str, Any]]


def main(spec: ArgumentSpec, run: Operation, requires: Iterable[str] = ()) -> NoReturn:
    """Run the operation as an Ansible module. ``requires`` names the PyPI packages it cannot do without.

    The option ``timeout`` (seconds), where the module has one, becomes the deadline of the operation.
    """
    module = _Module(supports_check_mode=True, **spec.module_arguments())
    censor = _censor(module)
    try:
        _refuse_short_secrets(module)
        module.hide_more()
        libraries.require(requires)
        result = _fit(module, run(module.params, _context(module, censor)))
    except RunbookError as error:
        _fail(module, error.message, error.details)
    except Exception as error:  # noqa: BLE001  the last line of defence: a defect becomes one clear line, not a traceback
        where = traceback.extract_tb(error.__traceback__)[-1]
        _fail(
            module,
            f"defect in {module._name}: {type(error).__name__}: {shorten(' '.join(censor(str(error)).split()), 500)} "
            f"({where.filename.rsplit('/', 1)[-1]}:{where.lineno}). Nothing more was done; please report it.",
            {},
        )
    module.exit_json(**result)


class _Module(AnsibleModule):  # type: ignore[misc]
    """Hides more than core does, which returns the arguments, also those it refuses, and looks for exact values only."""

    def _load_params(self) -> None:
        super()._load_params()
        self.hide_more()

    def hide_more(self) -> None:
        """Hide what is secret in the arguments without being marked so, and secrets that a message has quoted."""
        known = {str(value) for value in self.no_log_values} | redact.misplaced(self.params)
        shapes = {shape for value in known for shape in (value, repr(value)[1:-1], json.dumps(value)[1:-1])}
        self.no_log_values |= {shape for shape in shapes if len(shape) >= SHORTEST_SECRET}


def _fit(module: AnsibleModule, result: dict[str, Any]) -> dict[str, Any]:
    """The result in JSON types and without secrets. Core censors values, but no keys."""
    fitted: dict[str, Any] = sanitize_keys(redact.data(json_safe(result)), module.no_log_values)
    return fitted


def _fail(module: AnsibleModule, message: str, details: dict[str, Any]) -> NoReturn:
    module.fail_json(msg=redact.certain(message), **{k: v for k, v in _fit(module, details).items() if k != "msg"})


def _censor(module: AnsibleModule) -> Callable[[str], str]:
    def censor(text: str) -> str:
        return str(remove_values(redact.certain(str(json_safe(text))), module.no_log_values))

    return censor


def _context(module: AnsibleModule, censor: Callable[[str], str]) -> Context:
    clock = Clock()
    return Context(
        check_mode=module.check_mode,
        diff=module._diff,
        clock=clock,
        deadline=Deadline(_total_seconds(module.params.get("timeout")), clock),
        warn=lambda text: module.warn(censor(text)),
        progress=lambda text: progress.send(censor(text)),
    )


def _total_seconds(timeout: float | None) -> float:
    if timeout is None:
        return DEFAULT_SECONDS
    if not timeout > 0:
        raise InputError(f"timeout is {timeout:g}; give it at least 1 second, it is the time for the whole task")
    return float(timeout)


def _refuse_short_secrets(module: AnsibleModule) -> None:
    short = {value for value in module.no_log_values if len(str(value)) < SHORTEST_SECRET}
    if short:
        # Core would strike them out of every word of the message; the arguments, which hold them, are not returned.
        module.no_log_values -= short
        raise InputError(
            f"a secret option has fewer than {SHORTEST_SECRET} characters; so short a value cannot be kept out of the "
            "output. Check the variable it comes from: is it empty or cut?",
            invocation={},
        )

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a report must never hold: the secret values that went into our own modules, learned and struck out."""

from __future__ import annotations

import base64
import html
import importlib
import json
import os
import re
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import redact

MODULES = "ansible_collections.sre.runbooks.plugins.modules."
ENDINGS = ("_secret", "_token", "_password", "_passphrase")
WHOLE = ("password", "passwd", "passphrase", "secret", "token", "secret_headers")
SHORTEST = 3
# Words of the report itself: a password that is one of them tells nothing, and without them there is no report.
_OWN_WORDS = frozenset(
    re.findall(
        r"\w+",
        """pass fail unverified ok changed failed ignored skipped unreachable seen inferred read change destroy
        event time host task action status duration_ms check_mode delegated_to result items name hosts play recap run
        verdict procedure system msg checks findings accepted notes settings plan id title observed expected hint
        runbook reason owner until cause confidence evidence affects next playbook args effect value source
        capture""",
    )
)
_CREDENTIAL = re.compile(r"(?i)^(?:bearer|basic|token)\s+(\S+)$")

Spec = Mapping[str, Mapping[str, Any]]


def is_secret_name(name: object) -> bool:
    """Whether an option or variable of this name holds a secret, by the collection's naming rule."""
    text = str(name).lower()
    return text.endswith(ENDINGS) or text in WHOLE


class Secrets:
    """Values to strike out. They are only ever added; none is ever written anywhere."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._specs: dict[str, Spec] = {}

    def learn_arguments(self, module: str, arguments: Mapping[str, Any]) -> bool:
        """Learn from the arguments of one of our modules (its short name); True when something new was learned."""
        spec = self._spec(module)
        misplaced = redact.misplaced(arguments)  # passwords in URLs, headers such as Authorization
        unquoted = {urllib.parse.unquote(text) for text in misplaced}
        return self._add({*_secrets_in(arguments, spec), *_from_environment(spec), *misplaced, *unquoted})

    def learn_variables(self, variables: Mapping[str, Any]) -> bool:
        """Learn from variables by their names; True when something new was learned."""
        return self._add(set(_secrets_in(variables, {})))

    def strike(self, value: Any) -> Any:
        """The same structure without any learned value and without what is a secret wherever it stands."""
        if isinstance(value, str):
            if value in _OWN_WORDS:
                return value
            return redact.certain(self._pattern.sub(redact.STRUCK, value) if self._pattern else value)
        if isinstance(value, Mapping):
            return {self.strike(key): self.strike(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.strike(item) for item in value]
        if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value) in self._values:
            return redact.STRUCK
        return value

    def _add(self, found: set[str]) -> bool:
        found |= {match[1] for value in found if (match := _CREDENTIAL.match(value))}
        new = {value for value in found if len(value) >= SHORTEST} - self._values
        if not new:
            return False
        self._values |= new
        shapes = {shape for value in self._values for shape in _shapes(value)}
        self._pattern = re.compile("|".join(re.escape(shape) for shape in sorted(shapes, key=len, reverse=True)))
        return True

    def _spec(self, module: str) -> Spec:
        if module not in self._specs:
            try:
                self._specs[module] = options_of(importlib.import_module(MODULES + module))
            except Exception:  # noqa: BLE001 - a module that cannot be imported here has its names left to go by
                self._specs[module] = {}
        return self._specs[module]


def options_of(module: Any) -> dict[str, Any]:
    """The options of every argument specification that a module file names, or that lies in a file it imports."""
    options: dict[str, Any] = {}
    holders = [module, *(value for value in vars(module).values() if hasattr(value, "__spec__"))]
    for holder in holders:
        for value in vars(holder).values():
            found = getattr(value, "options", None)
            if type(value).__name__ == "ArgumentSpec" and isinstance(found, Mapping):
                options.update(found)
    return options


def _secrets_in(value: Any, spec: Spec) -> Iterator[str]:
    """Secret texts in a structure: by no_log of the specification, and by name."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            option = spec.get(str(key)) or _by_alias(spec, str(key))
            if option.get("no_log") is True or (option.get("no_log") is not False and is_secret_name(key)):
                yield from _texts(item)
            else:
                yield from _secrets_in(item, option.get("options") or {})
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for item in value:
            yield from _secrets_in(item, spec)


def _by_alias(spec: Spec, name: str) -> Mapping[str, Any]:
    return next((option for option in spec.values() if name in (option.get("aliases") or ())), {})


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, bytes):
        yield value.decode("utf-8", errors="replace")
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _from_environment(spec: Spec) -> Iterator[str]:
    """Values of the environment variables that stand in for secret options."""
    for option in spec.values():
        yield from _from_environment(option.get("options") or {})
        if option.get("no_log") is True and isinstance(option.get("fallback"), tuple):
            for names in option["fallback"][1:]:
                for name in [names] if isinstance(names, str) else names:
                    yield os.environ.get(str(name), "")


def _shapes(value: str) -> Iterator[str]:
    """A value as it may stand in text: as it is, in a URL, in JSON, in HTML, in base64; its lines one by one."""
    yield value
    yield urllib.parse.quote(value, safe="")
    yield urllib.parse.quote_plus(value)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield html.escape(value)
    yield base64.b64encode(value.encode("utf-8", errors="replace")).decode().rstrip("=")
    lines = [line.strip() for line in value.splitlines()]
    yield from (line for line in lines[: len(lines) if len(lines) > 1 else 0] if len(line) >= 16)

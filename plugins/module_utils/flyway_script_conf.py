# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The companion of a script, such as V1__x.sql.conf: settings for this one script."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class ScriptConf:
    """Settings of one script; None is not said. ``problem`` is why Flyway would refuse the file."""

    encoding: str | None = None
    placeholder_replacement: bool | None = None
    should_execute: str | None = None
    execute_in_transaction: bool | None = None
    problem: str = ""


NONE = ScriptConf()


def parse(text: str) -> ScriptConf:
    """Settings in a file of Java's properties. Never raises."""
    found = {}
    for line in re.split(r"\r\n|\r|\n", text.removeprefix("\ufeff")):
        match = re.match(r"\s*([^\s=:#!][^\s=:]*)\s*[=: ]\s*(.*)", line)
        if match:
            found[match[1]] = match[2].strip()
    known = {"encoding", "placeholderReplacement", "shouldExecute", "executeInTransaction"}
    unknown = sorted(found.keys() - known)
    if unknown:
        return ScriptConf(problem=f"unknown setting {', '.join(unknown)}")
    flags: dict[str, bool | None] = {}
    for name in ("placeholderReplacement", "executeInTransaction"):
        value = found.get(name)
        if value is not None and value.lower() not in ("true", "false"):
            return ScriptConf(problem=f"{name} must be true or false, not {value!r}")
        flags[name] = None if value is None else value.lower() == "true"
    return ScriptConf(
        found.get("encoding"),
        flags["placeholderReplacement"],
        found.get("shouldExecute"),
        flags["executeInTransaction"],
    )


def evaluated(expression: str) -> bool | None:
    """Whether a script is to run, by an expression of true, false, == and != joined by && and ||; None if not known."""
    either = False
    for alternative in expression.split("||"):
        all_true = True
        for term in alternative.split("&&"):
            value = _term(term.strip())
            if value is None:
                return None
            all_true = all_true and value
        either = either or all_true
    return either


def _term(text: str) -> bool | None:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    match = re.fullmatch(r"([^=!()]*)(==|!=)([^=!()]*)", text)
    if not match:
        return None
    return (match[1].strip() == match[3].strip()) == (match[2] == "==")

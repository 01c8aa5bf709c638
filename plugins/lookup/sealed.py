# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: sealed
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Refuse extra variables in the place of values that a run has found or an inventory has set
description:
  - Extra variables (C(-e), surveys, job templates) outrank everything, also registered results and variables that a
    playbook hands to a role. A gate that judges such values would judge what whoever started the run wrote.
  - This lookup fails when one of the named variables is among the extra variables of the run, and says which.
  - A name that ends in C(_) stands for every variable that begins so.
options:
  _terms:
    description: Names of variables that must not be extra variables.
    type: list
    elements: str
  within:
    description:
      - As the terms; neither may any variable that their templates name, however far behind. For what has to be observed,
        such as the state of a target, and for what only an inventory may say.
      - Every word between the braces of a template counts as a name, so that C(vars['x']) is found as well. What a job
        controller gives to every run is no one's choice and passes, these are the names that begin with C(awx_) or C(tower_).
    type: list
    elements: str
    default: []
  except:
    description: Names that may be extra variables all the same.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse a plan that was not made by this run
  ansible.builtin.assert:
    that: lookup('sre.runbooks.sealed', 'restore_planned')

- name: Refuse every variable of this procedure but the one that people choose
  ansible.builtin.assert:
    that: lookup('sre.runbooks.sealed', within=['restore_'], except=['restore_backup'])
"""

RETURN = r"""
_raw:
  description: V(true), when none of them is an extra variable.
  type: list
  elements: bool
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars

_TEMPLATE = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_NAME = re.compile(r"[^\W\d]\w*")
_EVERYTHING = frozenset({"groups", "hostvars", "vars"})  # they hold all variables, and following them would seal all
_OF_THE_CONTROLLER = ("awx_", "tower_")


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[bool]:
        self.set_options(var_options=variables, direct=kwargs)
        given = {str(name) for name in load_extra_vars(self._loader)}
        sealed = [str(name) for term in terms for name in (term if isinstance(term, list | tuple) else [term])]
        within = [str(name) for name in self.get_option("within")]
        allowed = {str(name) for name in self.get_option("except")}
        known = variables or {}
        start = {name for name in {*given, *known} if _named(name, within)} - allowed
        behind = {name for name in _used(start, known) - start if not name.startswith(_OF_THE_CONTROLLER)}
        slipped = sorted(name for name in given - allowed if _named(name, sealed) or name in start or name in behind)
        if slipped:
            raise AnsibleError(
                f"{', '.join(slipped)} must not be given as extra variables (-e, survey): this run has to find out for "
                "itself, or the inventory says it. Start it again without."
            )
        return [True]


def _named(name: str, names: Iterable[str]) -> bool:
    return any(name == one or (one.endswith("_") and name.startswith(one)) for one in names)


def _used(names: Iterable[str], variables: Mapping[str, Any]) -> set[str]:
    """The names themselves and every variable that their templates name, also through other variables."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            if name not in _EVERYTHING:
                waiting += [used for text in _texts(variables.get(name)) for used in _words(text)]
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _words(text: str) -> set[str]:
    return {word for template in _TEMPLATE.findall(text) for word in _NAME.findall(template)}

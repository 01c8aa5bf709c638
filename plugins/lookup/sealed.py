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
options:
  _terms:
    description: Names of variables that must not be extra variables.
    type: list
    elements: str
  prefix:
    description: Seal every variable whose name begins so, but for those in O(except).
    type: str
  within:
    description:
      - Variables whose templates must not use an extra variable, however far behind. For what has to be observed, such as
        the state of a target.
    type: list
    elements: str
    default: []
  except:
    description: Names that begin with O(prefix) and may be extra variables.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse a plan that was not made by this run
  ansible.builtin.assert:
    that: lookup('sre.runbooks.sealed', 'restore_planned')
"""

RETURN = r"""
_raw:
  description: V(true), when none of them is an extra variable.
  type: list
  elements: bool
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars
from jinja2 import Environment, TemplateError, meta


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[bool]:
        self.set_options(var_options=variables, direct=kwargs)
        sealed = {str(name) for term in terms for name in (term if isinstance(term, list | tuple) else [term])}
        prefix, allowed = self.get_option("prefix"), set(self.get_option("except"))
        given = {str(name) for name in load_extra_vars(self._loader)}
        used = _used(self.get_option("within"), variables or {})
        slipped = sorted(
            name
            for name in given
            if name in sealed | used or (prefix and name.startswith(prefix) and name not in allowed)
        )
        if slipped:
            raise AnsibleError(
                f"{', '.join(slipped)} must not be given as extra variables (-e, survey): this run has to find out for "
                "itself, or the inventory says it. Start it again without."
            )
        return [True]


def _used(names: Iterable[str], variables: Mapping[str, Any]) -> set[str]:
    """The names themselves and every variable that their templates use, also through other variables."""
    found: set[str] = set()
    waiting = [str(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += [used for text in _texts(variables.get(name)) for used in _variables_of(text)]
    return found


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if "{{" in value or "{%" in value:
            yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)


def _variables_of(text: str) -> set[str]:
    try:
        return set(meta.find_undeclared_variables(Environment().parse(text)))  # noqa: S701  parsed, never rendered
    except TemplateError:
        return set()  # ansible-core says what is wrong with it when it is used

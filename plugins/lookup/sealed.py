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

from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase
from ansible.utils.vars import load_extra_vars


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[bool]:
        self.set_options(var_options=variables, direct=kwargs)
        sealed = {str(name) for term in terms for name in (term if isinstance(term, list | tuple) else [term])}
        prefix, allowed = self.get_option("prefix"), set(self.get_option("except"))
        given = {str(name) for name in load_extra_vars(self._loader)}
        slipped = sorted(
            name for name in given if name in sealed or (prefix and name.startswith(prefix) and name not in allowed)
        )
        if slipped:
            raise AnsibleError(
                f"{', '.join(slipped)} must not be given as extra variables (-e, survey): this run has to find out for "
                "itself, or the inventory says it. Start it again without."
            )
        return [True]

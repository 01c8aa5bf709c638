# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: runbook_env
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: A runbook's environment variable as a default below the inventory
description:
  - The runbooks configure their commands by environment variables. Roles honour these as defaults, so that a shell
    prepared for the runbook also serves the playbooks; whatever the inventory says wins.
  - One environment cannot describe two deployments. When the group has more than one host and the variable is set, the
    lookup refuses, because every deployment would get the values of one.
options:
  _terms:
    description: Name of the environment variable, and the value when it is not set or empty.
    type: list
    elements: raw
    required: true
  group:
    description: The group whose deployments the variable describes.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: A default of the role backoffice
  ansible.builtin.debug:
    msg: "{{ lookup('sre.runbooks.runbook_env', 'BACKOFFICE_URL', 'http://localhost:8082', group='backoffice') }}"
"""

RETURN = r"""
_raw:
  description: The value of the variable, or the default.
  type: list
  elements: raw
"""

import os
from typing import Any

from ansible.errors import AnsibleError
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[Any]:
        self.set_options(var_options=variables, direct=kwargs)
        if len(terms) != 2:
            raise AnsibleError(f"runbook_env takes the name of a variable and a default, and got {len(terms)} terms.")
        name, default = str(terms[0]), terms[1]
        value = os.environ.get(name, "")
        if not value.strip():
            return [default]
        group = self.get_option("group")
        hosts = (variables or {}).get("groups", {}).get(group, [])
        if len(hosts) > 1:
            raise AnsibleError(
                f"the environment variable {name} is set, but the group {group} has {len(hosts)} deployments "
                f"({', '.join(hosts)}), and one environment cannot describe them all. Unset {name}, or set the value "
                "of each deployment in the inventory."
            )
        return [value]

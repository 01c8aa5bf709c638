#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: settings
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Show what a run resolved its variables to, and where each value comes from
description:
  - Prints one line for each variable, with its value and its source, on standard error. The source is V(inventory or -e),
    the runbook's environment variable, or V(default) of the role.
  - Values of variables that end in C(_secret), C(_token) or C(_password) are never shown, only whether they are set.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
attributes:
  in_process:
    support: full
    details:
      - This action always runs in the controller; there is no ordinary path.
options:
  names:
    description: Names of the variables to show.
    type: list
    elements: str
    required: true
  environment:
    description: Name of a variable to the environment variable of the runbook that is its default.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Show what is looked at
  sre.runbooks.settings:
    names: [backoffice_url, backoffice_account_id]
    environment:
      backoffice_url: BACKOFFICE_URL
"""

RETURN = r"""
settings:
  description: One row for each variable.
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the variable.
      type: str
    value:
      description: Its value as it may be shown.
      type: str
    source:
      description: Where the value comes from.
      type: str
"""

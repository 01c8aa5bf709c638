# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # Rules by which numbers that were given out are not given out again
    DOCUMENTATION = r"""
options:
  numbers:
    description: The numbers, at most 50.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the number, each its own.
        type: str
        required: true
      database:
        description: Name of the item of O(databases) that holds it.
        type: str
        required: true
      current:
        description: Query that gives the number as it stands.
        type: str
        required: true
      sources:
        description: Where numbers that were given out stand; the highest of all counts.
        type: list
        elements: dict
        required: true
        suboptions:
          database:
            description: Name of the item of O(databases) that is asked.
            type: str
            required: true
          query:
            description: Query that gives the highest number there, or null where there is none.
            type: str
            required: true
      statement:
        description: Statement that sets the number to C(%(value)s). A percent sign for itself is written twice.
        type: str
        required: true
      max_lift:
        description: Refuse to lift by more than that, because then the highest number may be no real one.
        type: int
        default: 100000
  at_least:
    description:
      - For names of O(numbers) a number that is known from elsewhere, such as from logs, invoices or partners.
    type: dict
    default: {}
"""

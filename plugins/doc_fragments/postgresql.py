# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    # The attribute replaces that of sre.runbooks.attributes where this fragment stands before it.
    DOCUMENTATION = r"""
attributes:
  action_group:
    description:
      - Use C(group/sre.runbooks.postgresql) in C(module_defaults) to say once how all PostgreSQL modules connect.
      - C(group/sre.runbooks.runbooks) is every module of the collection, for tools that list them. These have no option
        in common.
    support: full
    membership:
      - sre.runbooks.postgresql
      - sre.runbooks.runbooks
"""

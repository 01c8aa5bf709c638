# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
attributes:
  action_group:
    description:
      - C(group/sre.runbooks.runbooks) is every module of the collection, for tools that list them.
      - These have no option in common, and a module refuses an option that it does not know. In C(module_defaults) name
        the module itself.
    support: full
    membership:
      - sre.runbooks.runbooks
  in_process:
    description: Runs inside the controller's worker when the connection is local, in a child process of its own.
    support: full
    details:
      - Set the variable C(runbooks_in_process) to V(false) to force an ordinary module process.
"""

    READ_ONLY = r"""
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would return without it.
    support: full
    details:
      - This module reads only and operates the same regardless of check mode.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: N/A
    details:
      - This module changes nothing.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - This module changes nothing.
"""

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: pg_backup_prune
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Delete old backup sets, and never the one that would be needed
description:
  - Deletes sets of M(sre.runbooks.pg_backup) that are older than O(retention_days), the oldest first.
  - The newest O(keep_minimum) whole sets stay whatever their age. Nothing is deleted while the newest set is not whole.
  - Sets that are dated in the future, and folders that are no sets, are left alone.
  - What killed runs left behind is removed as well, where its owner is provably dead.
extends_documentation_fragment:
  - sre.runbooks.backup
  - sre.runbooks.attributes
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without modifying the target.
    details:
      - Returns the same plan.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(plan) names each set.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - Unless O(max_delete) left some for the next run.
options:
  retention_days:
    description: Sets that are not older stay. More than 14.
    type: float
    required: true
  keep_minimum:
    description: How many whole sets stay whatever their age, at least 1.
    type: int
    default: 3
  max_delete:
    description: Most sets that one run deletes.
    type: int
    default: 10
  verify:
    description: Whether the newest set is read, and compared by sha256, before an older one goes.
    type: bool
    default: true
  timeout:
    description: Seconds that the whole task may take.
    type: float
    default: 600.0
seealso:
  - module: sre.runbooks.pg_backup
  - module: sre.runbooks.pg_backup_info
"""

EXAMPLES = r"""
- name: Keep the backups of the shop for a month
  sre.runbooks.pg_backup_prune:
    set: ecommerce
    directory: /srv/backup
    retention_days: 31
    keep_minimum: 7
"""

RETURN = r"""
plan:
  description: What is deleted, and what stays with the reason (at most 1000 rows).
  type: dict
  returned: success
  sample:
    delete:
      - {id: ecommerce-20310201T080311Z, age_days: 60.0, bytes: 1160000, problems: []}
    keep:
      - id: ecommerce-20310402T080311Z
        age_days: 0.1
        bytes: 1160000
        problems: []
        reason: it is one of the newest 7 whole sets
    delete_bytes: 1160000
deleted:
  description: Ids of the sets that were deleted; none in check mode.
  type: list
  elements: str
  returned: success
  sample: [ecommerce-20310201T080311Z]
removed_leftovers:
  description: Folders of killed runs that were removed, or in check mode would be.
  type: list
  elements: str
  returned: success
  sample: []
kept_leftovers:
  description: Folders of killed runs that were left, each with the reason.
  type: list
  elements: dict
  returned: success
  sample: []
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backup_prune, operation


def main() -> None:
    operation.main(backup_prune.SPEC, backup_prune.run)


if __name__ == "__main__":
    main()

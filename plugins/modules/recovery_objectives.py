#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: recovery_objectives
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Judge the time and the data that a recovery cost against their targets
description:
  - C(rto.<system>) is the time from O(started_at), the first action, to O(verified_at), the first pass of an
    application-level check.
  - C(rpo.<system>) is the time between the newest marker that was written before the fault and the newest marker that was
    found in the restored database, of the database that lost most. It is never the age of the backup, because a backup
    can hold less than its time says.
  - A drill just after a backup loses little, and a fault just before the next one would lose all between them. So the loss
    is the longest time between two whole O(backups) where that is more. Without two of them a loss within its target is
    measured, which is no pass.
  - Without a target a number is measured, which is no pass either. Without a marker the loss is not known.
  - Contacts nothing.
extends_documentation_fragment:
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  system:
    description: Name of the system in the checks.
    type: str
    required: true
  started_at:
    description: When the first action began, ISO 8601 with zone.
    type: str
  verified_at:
    description:
      - RV(sre.runbooks.recovery_verify#module:verified_at), from a machine whose clock agrees with that of O(started_at).
      - Empty when it was not verified.
    type: str
  markers_before:
    description: RV(sre.runbooks.pg_marker#module:markers) of the live databases, written before the fault.
    type: list
    elements: dict
    default: []
  markers_restored:
    description: RV(sre.runbooks.recovery_verify#module:markers) of the restored databases.
    type: list
    elements: dict
    default: []
  rto_target_seconds:
    description: Longest time that a recovery may take.
    type: float
  rpo_target_seconds:
    description: Longest time whose data may be lost.
    type: float
  backups:
    description:
      - RV(sre.runbooks.pg_backup_info#module:sets) of the set. Those that are whole and not dated in the future count, from
        the moment one was begun to the moment the next one was whole.
    type: list
    elements: dict
    default: []
  backup_window_days:
    description: How far back O(backups) are looked at, up to 366 days. The time before the oldest one in it counts as well.
    type: float
    default: 7.0
  left_out:
    description:
      - Databases and queries that this recovery left out. Numbers of a part of the system are measured and no pass.
    type: list
    elements: str
    default: []
  backup_made_for_this:
    description:
      - Whether the backup was made just before, for this drill. Its loss says nothing of a fault at another moment, so that
        the loss is measured and no pass, even within its target.
    type: bool
    default: false
  unrecoverable_reason:
    description: Why the data of this system cannot be restored at all. Then both checks fail and say so.
    type: str
  runbook:
    description: Section of the runbook that sets the targets; it stands in each check.
    type: str
    default: ""
seealso:
  - module: sre.runbooks.pg_marker
  - module: sre.runbooks.recovery_verify
"""

EXAMPLES = r"""
- name: Against the targets of the shop
  sre.runbooks.recovery_objectives:
    system: ecommerce
    started_at: "{{ drill_started_at }}"
    verified_at: "{{ drill_verify.verified_at | default('', true) }}"
    markers_before: "{{ drill_marker.markers }}"
    markers_restored: "{{ drill_verify.markers }}"
    backups: "{{ drill_backup_info.sets }}"
    rto_target_seconds: 14400
    rpo_target_seconds: 3600

- name: Data that are held in memory only
  sre.runbooks.recovery_objectives:
    system: durion
    rto_target_seconds: 14400
    rpo_target_seconds: 3600
    unrecoverable_reason: the data are in memory; a restart loses all of them, and there is nothing to restore them from
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description:
    - C(rto.<system>) and C(rpo.<system>).
  type: list
  elements: dict
  returned: always
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: always
system:
  description: Name of the system.
  type: str
  returned: always
  sample: ecommerce
rto:
  description:
    - C(seconds) that it took, V(null) when that is not known, C(target_seconds), and C(why) where there is more to say.
    - C(outcome) is V(pass), V(fail), V(measured) (not judged, see C(why)) or V(unverified).
  type: dict
  returned: always
  sample: {seconds: 83.2, target_seconds: 14400.0, outcome: pass, why: ""}
rpo:
  description:
    - The same for the seconds whose data were lost, of which C(seconds) is the larger of C(measured_seconds), what this
      recovery lost, and C(worst_gap_seconds), what a fault between two O(backups) would have lost.
  type: dict
  returned: always
  sample:
    seconds: 1805.2
    target_seconds: 3600.0
    outcome: pass
    why: ""
    measured_seconds: 912.4
    worst_gap_seconds: 1805.2
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, recovery_objectives


def main() -> None:
    operation.main(recovery_objectives.SPEC, recovery_objectives.run)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  kind:
    description: Kind of the workloads.
    type: str
    choices: [Deployment, StatefulSet, DaemonSet]
    default: Deployment
  names:
    description:
      - Names of the workloads. One that does not exist fails.
      - At least one of O(names) and O(selector) is needed.
    type: list
    elements: str
    aliases: [workloads]
  selector:
    description:
      - Label selector of pods, as kubectl takes it. It takes in the workloads whose pods meet it, and those whose template
        does, which may have no pod at all.
      - Beside O(names) it adds to these.
    type: str
  minimum_pods:
    description: Fewest pods that must meet O(selector).
    type: int
    default: 1
  system:
    description: System of the collection that the workloads belong to; findings name its playbooks.
    type: str
    default: hafnium
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
"""

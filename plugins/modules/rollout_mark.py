#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_mark
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Mark the current revision of workloads as known good
description:
  - Writes the name of the current ReplicaSet or ControllerRevision into the annotation C(sre.runbooks/known-good) of the
    workload, and the time into C(sre.runbooks/known-good-at), so that M(sre.runbooks.rollout_undo) with C(to=known_good)
    has somewhere to go. Run it after the workload was verified.
  - Refuses a workload whose rollout is not complete, one that is scaled to zero, and one of which a partition keeps old
    pods, since none of these shows that the new pods work.
  - All workloads are looked at first. When one is not fit, none is marked.
  - A mark that is there already is left as it is, with its time.
  - Needs the verbs get and patch on the workloads and list on C(replicasets.apps) (Deployment) or
    C(controllerrevisions.apps) (StatefulSet and DaemonSet).
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do, which the API server is asked with a dry run.
    support: full
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
    details:
      - RV(workloads) says what is marked.
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: full
options:
  kind:
    description: Kind of the workloads.
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet, DaemonSet]
  names:
    description: Names of the workloads, at most 500.
    type: list
    elements: str
    required: true
  expected_current_names:
    description:
      - Name of the ReplicaSet or ControllerRevision that was verified, for some or all of O(names). When another one is
        current by now, nothing is marked.
    type: dict
    default: {}
seealso:
  - module: sre.runbooks.rollout_undo
  - module: sre.runbooks.rollout_history
notes:
  - A Deployment's controller copies annotations to the current ReplicaSet, and C(kubectl rollout undo) copies those of the
    older ReplicaSet back, the mark of then included. M(sre.runbooks.rollout_undo) leaves the mark as it is.
"""

EXAMPLES = r"""
- name: What was verified
  sre.runbooks.rollout_history:
    namespace: hafnium
    names: [identity-service]
  register: history

- name: Mark exactly that as known good
  sre.runbooks.rollout_mark:
    namespace: hafnium
    names: [identity-service]
    expected_current_names: "{{ {'identity-service': history.workloads[0].current.name} }}"

- name: And later go back to it
  sre.runbooks.rollout_undo:
    namespace: hafnium
    name: identity-service
    to: known_good
"""

RETURN = r"""
workloads:
  description: One row for each of O(names), in the given order.
  type: list
  elements: dict
  returned: success, and when it was refused
  contains:
    kind:
      description: Kind of the workload.
      type: str
    namespace:
      description: Its namespace.
      type: str
    name:
      description: Its name.
      type: str
    changed:
      description: Whether the mark was written (in check mode, would be).
      type: bool
    known_good:
      description:
        - The revision that is marked, with C(revision), C(name), C(hash), C(images) and C(change_cause).
        - V(null) when it was refused.
      type: dict
    known_good_at:
      description: When it was marked, RFC 3339.
      type: str
      sample: "2031-04-02T08:00:05Z"
    problem:
      description: Why it may not be marked; empty otherwise.
      type: str
requests:
  description: How many requests were sent to the API server.
  type: int
  returned: success, and when it was refused
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, rollout_mark

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(rollout_mark.SPEC, rollout_mark.run, REQUIRES)


if __name__ == "__main__":
    main()

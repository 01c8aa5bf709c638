#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_history
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Which revisions of Deployments, StatefulSets and DaemonSets are kept
description:
  - Lists the revisions of many workloads of one namespace in one task, like C(kubectl rollout history), with what that
    leaves out, namely the images, the names that survive a rollback, which one is current, which one is marked as known
    good (M(sre.runbooks.rollout_mark)), and which numbers a revision had before a rollback gave it a new one.
  - Only revisions that the workload itself controls are listed. Another one may have the same labels.
  - A workload that does not exist fails. One that may not be read is unverified.
  - Needs the verbs get on the workloads and list on C(replicasets.apps) (Deployment) or C(controllerrevisions.apps)
    (StatefulSet and DaemonSet).
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
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
  min_revisions:
    description: Fewest revisions, the current one included. V(2) means that there is one to go back to.
    type: int
    default: 1
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
seealso:
  - module: sre.runbooks.rollout_undo
  - module: sre.runbooks.rollout_mark
notes:
  - "Check ids: C(history.<name>). There are no findings."
"""

EXAMPLES = r"""
- name: What can be gone back to
  sre.runbooks.rollout_history:
    namespace: hafnium
    names: [identity-service, case-service]
    min_revisions: 2
  register: history

- name: Show the revisions of the first one
  ansible.builtin.debug:
    var: history.workloads[0].revisions
"""

RETURN = r"""
workloads:
  description: One row for each of O(names), in the given order.
  type: list
  elements: dict
  returned: success
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
    exists:
      description: Whether it exists; V(null) when it could not be read.
      type: bool
    observed:
      description: Whether its controller has seen it as it is; V(null) when it could not be read.
      type: bool
    paused:
      description: Whether its rollout is paused.
      type: bool
    current:
      description:
        - The revision of its present template, with the keys C(revision), C(name), C(hash), C(images) and
          C(change_cause) of RV(workloads[].revisions).
        - V(null) when the controller has made none yet.
      type: dict
    known_good:
      description: The revision that is marked as known good, with the same keys. V(null) when none of those kept is.
      type: dict
    known_good_marker:
      description: The name in the marker, also when that revision is not kept any more.
      type: str
    known_good_at:
      description: When it was marked, RFC 3339.
      type: str
    revisions:
      description: All revisions, lowest number first, the current one last.
      type: list
      elements: dict
      contains:
        revision:
          description: Its number; V(null) when it bears none.
          type: int
          sample: 4
        name:
          description: Name of the ReplicaSet or ControllerRevision. It stays the same when a rollback brings it back.
          type: str
          sample: identity-service-6597c57d6
        hash:
          description: The pod-template-hash of the ReplicaSet, or the hash in the name of the ControllerRevision.
          type: str
          sample: 6597c57d6
        images:
          description: Image of each container, init containers included.
          type: dict
          sample: {app: "registry.example/identity-service:1.4.2"}
        change_cause:
          description: The annotation C(kubernetes.io/change-cause); V(null) when it is absent or empty.
          type: str
        created:
          description: When it was made first, RFC 3339.
          type: str
        replicas:
          description: How many pods of it there are; V(null) where the controller does not count them by revision.
          type: int
        current:
          description: Whether the present template is of this revision.
          type: bool
        known_good:
          description: Whether it is marked as known good.
          type: bool
        earlier_revisions:
          description:
            - Numbers that it had before. A ReplicaSet remembers them. For ControllerRevisions they are known only where
              M(sre.runbooks.rollout_undo) brought it back.
          type: list
          elements: int
          sample: [2]
    error:
      description: Why it could not be read; empty otherwise.
      type: str
requests:
  description: How many requests were sent to the API server.
  type: int
  returned: success
verdict:
  description: The worst status of the checks.
  type: str
  returned: success
  choices: [pass, fail, unverified]
checks:
  description: One check C(history.<name>) for each workload.
  type: list
  elements: dict
  returned: success
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: success
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, rollout_history

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(rollout_history.SPEC, rollout_history.run, REQUIRES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_restart
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Restart workloads, a few at a time, once
description:
  - Restarts Deployments, StatefulSets or DaemonSets by a rolling update, as C(kubectl rollout restart) does, and waits until
    their new pods are available.
  - Takes O(serial) of them at once and stops at the first that does not come back; it says which were not touched.
  - Can be run again. With the same O(restart_token), or with O(not_before), what has been restarted is not restarted again.
  - Refuses beforehand, in check mode too, and then touches none. A workload that is paused, has the strategy OnDelete,
    0 replicas, a partition or a rollout under way; one whose new pods the API server would refuse (tried with a dry run);
    and one that a PodDisruptionBudget protects while it allows no disruption and the update strategy may take pods
    down. Kubernetes itself does not ask those budgets for a rolling update.
  - A restart makes a new revision with the same image. Undoing it afterwards goes back to that same image.
extends_documentation_fragment:
  - sre.runbooks.kubernetes_wait
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would do without doing it.
    support: full
    details:
      - The API server is asked with dry runs, which are validated and admitted but not stored.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: full
    details:
      - Shows the annotations of the pod templates.
  idempotent:
    description: When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: full
    details:
      - The second run waits as the first did, and fails where a rollout is still not complete.
options:
  kind:
    description: Kind of the workloads.
    type: str
    choices: [Deployment, StatefulSet, DaemonSet]
    default: Deployment
  names:
    description: Names of the workloads, in the order in which they are restarted.
    type: list
    elements: str
    required: true
  restart_token:
    description:
      - A text that stands for one intended restart, such as the id of a job or ticket. It is kept in the annotation
        C(sre.runbooks/restart-token) of the pod template; a workload that bears it is not restarted again.
      - Only the last token is remembered. After a restart with another one, a task with this one restarts again.
      - It is no secret. Exactly one of O(restart_token) and O(not_before) is needed.
    type: str
  not_before:
    description:
      - A workload that was restarted at this time or later, or whose pods were all made since, is not restarted again.
      - RFC 3339 with a time zone, such as C(2026-01-31T03:00:00Z); not in the future.
    type: str
  serial:
    description: How many workloads are restarted at once. The next are taken when these are complete.
    type: int
    default: 1
  max_workloads:
    description: Most workloads that O(names) may hold, at most 100.
    type: int
    default: 10
  expected_images:
    description:
      - Image that a workload must have for it to be restarted, by its name.
      - One image, which any of its containers may bear, or a dictionary of container and image.
    type: dict
    default: {}
  disruption_budgets:
    description:
      - With V(respect), PodDisruptionBudgets are asked before each batch. Where they may not be read, it is refused.
      - With V(ignore), they are not asked.
    type: str
    choices: [respect, ignore]
    default: respect
  during_rollout:
    description: Whether a workload may be restarted while another rollout of it is under way.
    type: bool
    default: false
  allow_partition:
    description: Whether to restart a StatefulSet of which a partition keeps some pods as they are.
    type: bool
    default: false
  change_cause:
    description:
      - What C(kubectl rollout history) shows for the new revision (annotation C(kubernetes.io/change-cause)).
      - By default it names O(restart_token) or O(not_before). Empty leaves the annotation of the last rollout.
    type: str
  wait_seconds:
    description:
      - Longest time to wait for the rollouts of each batch, in seconds. V(0) does not wait, which is only possible when
        O(serial) takes all at once.
      - While it waits, a line of progress is shown. An API server that is away meanwhile is asked again.
    type: float
    default: 300.0
  timeout:
    description: Seconds for the whole task, to which O(wait_seconds) is added for each batch.
    type: float
    default: 60.0
seealso:
  - module: sre.runbooks.rollout_status
notes:
  - |
    Rights it needs in the namespace: get, list and patch on the workloads (deployments, statefulsets or daemonsets in
    apps), list on poddisruptionbudgets in policy. For reasons of failures, and for O(not_before), it uses, where granted,
    list on pods, replicasets, controllerrevisions and events; create on pods for the dry run.
  - On failure the result holds the same as on success, beside the message.
"""

EXAMPLES = r"""
- name: Restart one service, once for this ticket
  sre.runbooks.rollout_restart:
    namespace: hafnium
    names: [identity-service]
    restart_token: INC-4711

- name: Two at a time, those first that others depend on
  sre.runbooks.rollout_restart:
    namespace: hafnium
    names: [identity-service, vault-service, case-service, api-facade]
    serial: 2
    restart_token: "{{ tower_job_id | default(lookup('ansible.builtin.pipe', 'date +%s')) }}"
    wait_seconds: 600

- name: Whatever has not been restarted since the secret was changed
  sre.runbooks.rollout_restart:
    namespace: hafnium
    names: [case-service, signals-service]
    not_before: "2026-01-31T03:00:00Z"
"""

RETURN = r"""
plan:
  description: What is done with each workload, in the order of O(names). The same in check mode.
  type: list
  elements: dict
  returned: when the options are in order
  contains:
    name:
      description: Its name.
      type: str
      sample: identity-service
    batch:
      description: Number of the batch that it is in, from 1.
      type: int
      sample: 1
    action:
      description: V(restart), V(none) or V(refuse).
      type: str
      sample: restart
    reason:
      description: Why nothing is done, or why it is refused.
      type: str
      sample: ""
    state:
      description: State of its rollout before, as in RV(rollouts[].state), or V(absent).
      type: str
      sample: complete
    revision:
      description: Its revision before.
      type: str
      sample: "3"
    images:
      description: Container and image.
      type: dict
      sample: {main: "registry.lab/identity-service:1.4.2"}
    replicas:
      description: Replicas wanted; for a DaemonSet the number of nodes that match.
      type: int
      sample: 2
    may_take_down:
      description: Pods that its update strategy may take away before new ones are there.
      type: int
      sample: 0
    budgets:
      description:
        - PodDisruptionBudgets over its pods, each with C(name), C(disruptions_allowed) (null while not known),
          C(current_healthy) and C(desired_healthy).
      type: list
      elements: dict
      sample:
        - name: identity-service-pdb
          disruptions_allowed: 1
          current_healthy: 2
          desired_healthy: 1
restarted:
  description: Workloads that this run restarted, or would restart.
  type: list
  elements: str
  returned: when the plan was not refused
  sample: [identity-service]
unchanged:
  description: Workloads that had been restarted already.
  type: list
  elements: str
  returned: when the plan was not refused
  sample: []
not_touched:
  description: Workloads that were not reached, since one before them failed.
  type: list
  elements: str
  returned: when the plan was not refused
  sample: []
restarted_at:
  description: The time that was written into the templates; null when nothing was restarted.
  type: str
  returned: when the plan was not refused
  sample: "2026-01-31T03:12:09Z"
rollouts:
  description: The rollouts that were waited for; see M(sre.runbooks.rollout_status) for what each holds.
  type: list
  elements: dict
  returned: when the plan was not refused
  contains:
    name:
      description: Name of the workload.
      type: str
      sample: identity-service
    state:
      description: V(complete), V(progressing), V(blocked), V(failed) or V(unknown).
      type: str
      sample: complete
    reason:
      description: One word for the state.
      type: str
      sample: ""
    revision:
      description: Its revision now.
      type: str
      sample: "4"
    waited_seconds:
      description: Seconds from the beginning of the wait to the last look.
      type: float
      sample: 41.8
warnings_about:
  description: What may go wrong or could not be known, each with C(id) and C(text).
  type: list
  elements: dict
  returned: when the plan was not refused
  sample:
    - id: below_budget
      text: >-
        case-service: PodDisruptionBudget case-service-pdb allows 1 disruptions now (3 pods healthy, 2 needed), and its
        update strategy may take 2 down at once.
requests:
  description: Number of requests that were sent to the API server.
  type: int
  returned: when the plan was not refused
  sample: 7
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, rollout_restart

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(rollout_restart.SPEC, rollout_restart.run, REQUIRES)


if __name__ == "__main__":
    main()

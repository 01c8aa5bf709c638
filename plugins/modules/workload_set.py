#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_set
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Set images, variables and resources of a workload in one rollout, and see it through
description:
  - Does what C(kubectl set image), C(set env) and C(set resources) do, in one change and so in one rollout, with a lock on
    the version of the object that was read. When somebody else writes it in between, everything is read and planned again.
  - What is set already is left alone. Amounts are compared as amounts, so V(1) is V(1000m), and V(1Gi) is V(1073741824).
  - Before anything is changed, a pod of the new template is tried as a dry run, which asks admission (LimitRanges, Pod
    Security, the service account, webhooks). A Deployment whose pods are forbidden is accepted by the API server without
    a word, and then stands still. ResourceQuotas are counted over the whole update, and the nodes are looked at.
  - A paused Deployment is refused.
  - A variable that is taken from a Secret or a ConfigMap is left alone, and a value that looks like a secret is refused.
  - The task fails when the rollout does not end well within O(wait_seconds), as soon as that is clear. It is not taken back
    then; RV(undo) names the revision for M(sre.runbooks.rollout_undo).
extends_documentation_fragment:
  - sre.runbooks.kubernetes_wait
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the plan without acting on it.
    support: full
    details:
      - The change is sent as a dry run, so that the API server judges it. Nothing is waited for.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: full
    details:
      - Values that may be secrets are struck out.
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: full
options:
  kind:
    description: Kind of the workload.
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet, DaemonSet]
  name:
    description: Name of the workload.
    type: str
    required: true
  containers:
    description: What its containers should be. What is not said stays.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the container, or init container, in the pod template.
        type: str
        required: true
      image:
        description: Its image.
        type: str
      expected_current_image:
        description: The image that you think it has. When it has another one, and something would change, it is refused.
        type: str
      env:
        description: Variables to set.
        type: list
        elements: dict
        default: []
        suboptions:
          name:
            description: Name of the variable.
            type: str
            required: true
          value:
            description: Its value.
            type: str
            required: true
      env_absent:
        description: Names of variables to take out.
        type: list
        elements: str
        default: []
      requests:
        description: Amounts to request, by resource, as in V(cpu=250m). V(null) takes one out.
        type: dict
        default: {}
      limits:
        description: Limits, by resource, as in V(memory=1Gi). V(null) takes one out.
        type: dict
        default: {}
  change_cause:
    description:
      - Why, for the history of revisions (annotation C(kubernetes.io/change-cause)). Without it a summary of the change is
        written, since the cause of the revision before would stay otherwise.
    type: str
  expected_current_revision:
    description:
      - The revision that you think it has, as a number or, better, as the name of its ReplicaSet or ControllerRevision. When
        it has another one, and something would change, it is refused.
    type: str
  check_capacity:
    description:
      - Whether to look if the new pods can be made and have room. What certainly is refused refuses the task; that includes
        a limit above what the largest node has. The room on the nodes is an estimate, and only warns.
      - What may not be read is a warning. Rights used are create on pods (for the dry run), list on resourcequotas, and
        for the estimate list on nodes and on pods of all namespaces.
    type: bool
    default: true
notes:
  - Needs get and patch on deployments, statefulsets or daemonsets, and list on replicasets or controllerrevisions. The wait
    also lists pods. With O(containers[].requests) it lists horizontalpodautoscalers.
seealso:
  - module: sre.runbooks.rollout_undo
  - module: sre.runbooks.workload_scale
"""

EXAMPLES = r"""
- name: More memory for a service that was killed for lack of it
  sre.runbooks.workload_set:
    namespace: hafnium
    name: identity-service
    containers:
      - name: identity-service
        limits: {memory: 1536Mi}
        requests: {memory: 1Gi}
    change_cause: OOMKilled at peak load
  register: resources

- name: Deploy, but only over the version that was looked at
  sre.runbooks.workload_set:
    namespace: hafnium
    name: identity-service
    containers:
      - name: identity-service
        image: registry.example.org/hafnium/identity-service:1.5.0
        expected_current_image: registry.example.org/hafnium/identity-service:1.4.2

- name: More consumer threads
  sre.runbooks.workload_set:
    namespace: hafnium
    name: monitoring-service
    containers:
      - name: monitoring-service
        env:
          - name: SPRING_KAFKA_LISTENER_CONCURRENCY
            value: "4"
"""

RETURN = r"""
action:
  description: What was planned, V(none) or V(set).
  type: str
  returned: success
  sample: set
summary:
  description: What differs, in one line; empty when nothing does.
  type: str
  returned: success
  sample: "identity-service: limits.memory 1Gi -> 1536Mi"
before:
  description: For each container of O(containers), what was set of what is asked for. Values that may be secrets are struck out.
  type: list
  elements: dict
  returned: success, and when the rollout did not end well
  sample: [{name: identity-service, limits: {memory: 1Gi}}]
planned:
  description: The same as it is planned. A variable or amount that is taken out is V(null).
  type: list
  elements: dict
  returned: success, and when the rollout did not end well
  sample: [{name: identity-service, limits: {memory: 1536Mi}}]
revisions:
  description:
    - The revision C(before) and C(after), each with C(revision), C(name), C(hash), C(images) and C(change_cause).
    - V(null) when it could not be read, or was not made yet. In check mode C(after) is the revision that would come
      back, and V(null) for a new one.
  type: dict
  returned: success, and when the rollout did not end well
  sample:
    before:
      revision: 3
      name: identity-service-6c4b9d7f8
      hash: 6c4b9d7f8
      images: {identity-service: "hafnium/identity-service:1.4.2"}
      change_cause: null
    after: null
undo:
  description:
    - C(revision) is the name of the revision before, for M(sre.runbooks.rollout_undo). C(containers) is the option of
      that name which sets everything back, V(null) when that would need a value that is not shown.
  type: dict
  returned: success, and when the rollout did not end well
  sample:
    revision: identity-service-6c4b9d7f8
    containers: [{name: identity-service, env: [], env_absent: [], requests: {}, limits: {memory: 1Gi}}]
capacity:
  description: As RV(sre.runbooks.workload_scale#module:capacity), for the pods of the new template; V(null) when nothing changes.
  type: dict
  returned: success, and when it was refused for lack of room
rollout:
  description: State of the rollout at the end, with the counts of C(kubectl); V(null) when it was not waited for.
  type: dict
  returned: success, and when the rollout did not end well
warnings_about:
  description: Who or what may undo this, what could not be looked at, and what it may not do, each with C(id) and C(text).
  type: list
  elements: dict
  returned: success
  sample:
    - id: floating_tag
      text: "container app: hafnium/identity-service:latest does not say which build it is, so revisions look alike."
kind:
  description: Kind of the workload.
  type: str
  returned: success
  sample: Deployment
namespace:
  description: Its namespace.
  type: str
  returned: success
  sample: hafnium
name:
  description: Its name.
  type: str
  returned: success
  sample: identity-service
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 11
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, workload_set

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(workload_set.SPEC, workload_set.run, REQUIRES)


if __name__ == "__main__":
    main()

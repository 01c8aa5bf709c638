#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_scale
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Scale a Deployment or StatefulSet, so that it stays scaled, and see the pods come up
description:
  - Sets the number of replicas through the scale subresource, with a lock on the version of the object that was read.
    When somebody else writes it in between, everything is read and planned again.
  - Unlike C(kubectl scale), it never shrinks what should only grow (O(at_least)), does not let an autoscaler undo the
    change in silence (O(hpa)), and does not begin where the new pods cannot be made.
  - A HorizontalPodAutoscaler is found by what it scales, not by its name.
  - Before it adds pods, it tries one of them as a dry run, which asks admission (LimitRanges, Pod Security, the service
    account, webhooks), counts the ResourceQuotas, and estimates the room on the nodes. What is certainly refused refuses
    the task; the room on the nodes is an estimate, and only warns.
  - Who else writes the workload and would reset the number (Helm, Argo CD, Flux, C(kubectl apply), an operator) is
    told in RV(warnings_about), and as warnings.
  - The task fails when the pods are not up within O(wait_seconds), or when the number was changed again meanwhile. The
    change is not taken back then; RV(undo) says what to set.
extends_documentation_fragment:
  - sre.runbooks.kubernetes_wait
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return the plan without acting on it.
    support: full
    details:
      - The changes are sent as dry runs, so that the API server judges them. Nothing is waited for.
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: full
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: full
options:
  kind:
    description: Kind of the workload.
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet]
  name:
    description: Name of the workload.
    type: str
    required: true
  replicas:
    description: Exactly this many replicas, which also shrinks. V(0) needs O(allow_zero).
    type: int
  at_least:
    description: At least this many replicas. It never shrinks.
    type: int
  expected_replicas:
    description: The number that you think there is. When there is another one, and something would change, it is refused.
    type: int
  hpa:
    description:
      - What to do when an autoscaler sets the number of replicas.
      - V(refuse) refuses a change, and says what the autoscaler would make of it.
      - V(adapt) also makes the wanted number the minimum of the autoscaler, and raises its maximum where that is below.
        The autoscaler may still go higher by its metrics. With O(at_least) the minimum is never lowered.
      - A workload at 0 replicas has its autoscaler switched off; to scale it up to a number within the limits is
        allowed either way, and switches the autoscaler on again.
      - Two autoscalers of one workload are refused.
    type: str
    default: refuse
    choices: [refuse, adapt]
  allow_zero:
    description: Whether O(replicas=0) may end the service. That also switches its autoscaler off.
    type: bool
    default: false
  limit_replicas:
    description: A ceiling. More is refused, also as a limit of an autoscaler.
    type: int
  partitions:
    description:
      - Partitions of the topic that the workload consumes. It is not scaled beyond that number, since further consumers
        would get none. What runs already is not shrunk by it.
      - V(0) says that it consumes nothing, and refuses to scale it up.
    type: int
  check_capacity:
    description:
      - Whether to look for room before pods are added.
      - What may not be read is a warning. Rights used are create on pods (for the dry run), list on resourcequotas, and
        for the estimate list on nodes and on pods of all namespaces.
    type: bool
    default: true
notes:
  - Needs get on deployments or statefulsets, list on horizontalpodautoscalers, patch on deployments/scale or
    statefulsets/scale, and with O(hpa=adapt) patch on horizontalpodautoscalers. The wait also lists replicasets and pods.
seealso:
  - module: sre.runbooks.hpa_limits
  - module: sre.runbooks.hpa_status
"""

EXAMPLES = r"""
- name: At least three replicas, whatever the autoscaler says
  sre.runbooks.workload_scale:
    namespace: hafnium
    name: identity-service
    at_least: 3
    hpa: adapt
    limit_replicas: 10
  register: scaled

- name: Give a stream processor more consumers, never more than partitions
  sre.runbooks.workload_scale:
    namespace: hafnium
    name: stream-processor
    at_least: 12
    partitions: 8

- name: Back to the number of replicas before
  sre.runbooks.workload_scale:
    namespace: hafnium
    name: identity-service
    replicas: "{{ scaled.undo.replicas }}"
    expected_replicas: "{{ scaled.planned.replicas }}"
"""

RETURN = r"""
action:
  description: What was planned, one of V(none), V(scale) and V(set_limits) (only the autoscaler's).
  type: str
  returned: success
  sample: scale
reasons:
  description: Why this was planned.
  type: list
  elements: str
  returned: success
  sample: [at least 3 replicas are wanted]
before:
  description: Replicas wanted, ready and available when the plan was made.
  type: dict
  returned: success, and when the pods did not come up
  sample: {replicas: 2, ready_replicas: 2, available_replicas: 2}
planned:
  description: The number of replicas as planned, and the new limits of the autoscaler where they change.
  type: dict
  returned: success, and when the pods did not come up
  sample: {replicas: 3, autoscaler: {name: identity-service-hpa, min_replicas: 3, max_replicas: 10}}
after:
  description: As RV(before), read at the end; V(null) in check mode.
  type: dict
  returned: success, and when the pods did not come up
  sample: {replicas: 3, ready_replicas: 3, available_replicas: 3}
autoscaler:
  description: The autoscaler as it was, with the keys of RV(sre.runbooks.hpa_status#module:autoscalers); V(null) without one.
  type: dict
  returned: success
undo:
  description: What was set before. C(autoscaler) is V(null) where its limits were not changed.
  type: dict
  returned: success, and when the pods did not come up
  sample: {replicas: 2, autoscaler: {name: identity-service-hpa, min_replicas: 2, max_replicas: 10}}
capacity:
  description:
    - Room for the pods to add, V(null) when none are or it was not looked at. C(status) is V(pass), V(fail) or
      V(unverified); C(per_pod) what one pod takes up; C(node_room) an estimate of how many such pods fit on the nodes in all.
  type: dict
  returned: success, and when it was refused for lack of room
  sample:
    status: pass
    per_pod: {requests: {cpu: 250m, memory: 512Mi}, limits: {cpu: "1", memory: 1Gi}}
    node_room: {nodes: 3, all_nodes: 4, pods: 40}
    refusals: []
rollout:
  description: State of the pods at the end, with the counts of C(kubectl); V(null) when it was not waited for.
  type: dict
  returned: success, and when the pods did not come up
warnings_about:
  description: Who or what may undo this, or could not be looked at, each with C(id) and C(text).
  type: list
  elements: dict
  returned: success
  sample:
    - id: kubectl_apply
      text: "it was deployed with kubectl apply from a manifest that says replicas 2: the next apply resets it to that."
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
  sample: 9
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, workload_scale

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(workload_scale.SPEC, workload_scale.run, REQUIRES)


if __name__ == "__main__":
    main()

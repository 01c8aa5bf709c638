#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hpa_limits
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Change the minimum and maximum of an autoscaler, knowing what that does at once
description:
  - Sets C(minReplicas) and C(maxReplicas) of one HorizontalPodAutoscaler, with a lock on the version that was read.
  - The autoscaler is named, or found by the workload that it scales (O(target)). Where the name is wrong, the message
    tells those that exist and what each scales.
  - A maximum below the present number of replicas removes pods at once, also when no metric is known. That is refused
    unless O(allow_shrink) says otherwise.
  - Before it raises a limit, it looks whether that many pods could run, as M(sre.runbooks.workload_scale) does.
  - When the new limits move the number of replicas, it waits until the autoscaler has moved it and the pods are up.
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
  idempotent:
    description: Run twice in a row outside check mode, with the same arguments, it changes nothing the second time.
    support: full
options:
  name:
    description: Name of the autoscaler. One of O(name) and O(target) is needed.
    type: str
  target:
    description: Name of the workload whose autoscaler is meant.
    type: str
  kind:
    description: Kind of O(target).
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet]
  min_replicas:
    description: The new minimum, 1 or more. Without it the minimum stays.
    type: int
  max_replicas:
    description: The new maximum. Without it the maximum stays.
    type: int
  expected_min_replicas:
    description: The minimum that you think it has. When it has another one, and something would change, it is refused.
    type: int
  expected_max_replicas:
    description: The same for the maximum.
    type: int
  limit_replicas:
    description: A ceiling. A limit that is raised above it is refused.
    type: int
  allow_shrink:
    description: Whether a maximum below the present number of replicas may remove pods.
    type: bool
    default: false
  check_capacity:
    description:
      - Whether to look for room before a limit is raised. What certainly has no room is refused.
      - What may not be read is a warning. Rights used are create on pods (for a dry run), list on resourcequotas, and
        for an estimate list on nodes and on pods of all namespaces.
    type: bool
    default: true
notes:
  - Needs list and patch on horizontalpodautoscalers, and get on deployments or statefulsets. The wait also lists
    replicasets and pods.
seealso:
  - module: sre.runbooks.hpa_status
  - module: sre.runbooks.workload_scale
"""

EXAMPLES = r"""
- name: More room for the autoscaler of a service, whatever it is called
  sre.runbooks.hpa_limits:
    namespace: hafnium
    target: identity-service
    max_replicas: 20
    limit_replicas: 30
  register: limits

- name: Back to the limits before
  sre.runbooks.hpa_limits:
    namespace: hafnium
    name: "{{ limits.undo.name }}"
    min_replicas: "{{ limits.undo.min_replicas }}"
    max_replicas: "{{ limits.undo.max_replicas }}"
    expected_max_replicas: 20
    allow_shrink: true
"""

RETURN = r"""
action:
  description: What was planned, V(none) or V(set_limits).
  type: str
  returned: success
  sample: set_limits
reasons:
  description: Why this was planned, and what it does at once.
  type: list
  elements: str
  returned: success
  sample: ["its limits are 2..10, 2..20 are wanted"]
before:
  description: The limits when the plan was made.
  type: dict
  returned: success
  sample: {min_replicas: 2, max_replicas: 10}
planned:
  description: The limits as planned.
  type: dict
  returned: success
  sample: {min_replicas: 2, max_replicas: 20}
after:
  description: The limits, read at the end; V(null) in check mode.
  type: dict
  returned: success
  sample: {min_replicas: 2, max_replicas: 20}
replicas:
  description:
    - Replicas of the workload C(before), and what the new limits alone make of them (C(expected)). V(null) when the
      autoscaler scales a kind that is not known here.
  type: dict
  returned: success
  sample: {before: 3, expected: 3}
autoscaler:
  description: The autoscaler as it was, with the keys of RV(sre.runbooks.hpa_status#module:autoscalers).
  type: dict
  returned: success
undo:
  description: The limits before, with the name of the autoscaler.
  type: dict
  returned: success
  sample: {name: identity-service-hpa, min_replicas: 2, max_replicas: 10}
capacity:
  description: As RV(sre.runbooks.workload_scale#module:capacity), for a number of replicas at the new maximum.
  type: dict
  returned: success
rollout:
  description: State of the pods at the end; V(null) when the limits did not move the number of replicas.
  type: dict
  returned: success
warnings_about:
  description: Who or what may undo this, or could not be looked at, each with C(id) and C(text).
  type: list
  elements: dict
  returned: success
  sample: []
namespace:
  description: Namespace of the autoscaler.
  type: str
  returned: success
  sample: hafnium
name:
  description: Name of the autoscaler.
  type: str
  returned: success
  sample: identity-service-hpa
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 8
"""

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_limits, operation

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(hpa_limits.SPEC, hpa_limits.run, REQUIRES)


if __name__ == "__main__":
    main()

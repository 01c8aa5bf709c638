#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hpa_status
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Check the autoscalers of a namespace - can they scale, do they know their metrics, can they grow
description:
  - Reads the HorizontalPodAutoscalers of a namespace with one request. Three checks for each one.
  - Whether it can scale (C(hpa.<name>.able)). One that is switched off, because its workload is scaled to 0, fails, and so
    does one that shares its workload with another autoscaler.
  - Whether it knows its metrics (C(hpa.<name>.metrics)). One that does not only keeps the number of replicas within its
    limits, which is unverified.
  - Whether it can grow (C(hpa.<name>.room)). One at its maximum fails, unless both limits are equal and it asks for no more.
  - Names and workloads that should be there are checks of their own. No autoscaler at all is a failure.
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  names:
    description: Autoscalers that should exist. With O(names) or O(targets) only those are looked at, else all.
    type: list
    elements: str
    default: []
  targets:
    description: Workloads that should have exactly one autoscaler, whatever its name.
    type: list
    elements: str
    default: []
  kind:
    description: Kind of O(targets).
    type: str
    default: Deployment
    choices: [Deployment, StatefulSet]
  minimum_count:
    description:
      - How many autoscalers the namespace should have at least. V(0) only with O(names) or O(targets), which then say what
        should be there.
    type: int
    default: 1
  runbook:
    description: Section of the runbook, for the checks.
    type: str
    default: ""
notes:
  - Needs list on horizontalpodautoscalers in the namespace.
  - Causes of findings are V(autoscaler_at_maximum), V(autoscaler_switched_off), V(metrics_missing) and
    V(autoscalers_in_conflict). Each is told once, with all autoscalers that show it in C(evidence) and all their
    workloads in C(affects). One that is only inferred is told apart from one that was seen.
seealso:
  - module: sre.runbooks.hpa_limits
"""

EXAMPLES = r"""
- name: Every service has an autoscaler that works
  sre.runbooks.hpa_status:
    namespace: hafnium
    targets: [identity-service, risk-engine-service]
    runbook: "4.1"
  register: autoscalers

- name: All of a namespace
  sre.runbooks.hpa_status:
    namespace: hafnium
"""

RETURN = r"""
verdict:
  description: The worst status of the checks, V(pass), V(fail) or V(unverified).
  type: str
  returned: success
  sample: pass
checks:
  description: What was observed, compared with what was expected.
  type: list
  elements: dict
  returned: success
  sample:
    - id: hpa.identity-service-hpa.room
      title: identity-service-hpa can grow
      status: pass
      observed: 3 replicas
      expected: fewer than 10 (limits 2..10)
      hint: Room in its limits; whether nodes and quotas have room as well is not shown.
      runbook: "4.1"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample: []
autoscalers:
  description: The autoscalers that were looked at, in the order of their names.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the autoscaler.
      type: str
      sample: identity-service-hpa
    target:
      description: Kind and name of what it scales.
      type: dict
      sample: {kind: Deployment, name: identity-service}
    min_replicas:
      description: Its minimum.
      type: int
      sample: 2
    max_replicas:
      description: Its maximum.
      type: int
      sample: 10
    current_replicas:
      description: Replicas as it saw them last; V(null) when its controller has not looked yet.
      type: int
      sample: 3
    desired_replicas:
      description: Replicas that it wants; V(null) when no metric is known.
      type: int
      sample: 3
    metrics:
      description: Its metrics, each with C(name), C(source), C(target) and C(current), which is V(null) when not known.
      type: list
      elements: dict
      sample: [{name: cpu, source: Resource, target: 70%, current: 35%}]
    last_scale_time:
      description: When it last changed the number of replicas.
      type: str
      sample: "2031-04-02T08:00:00Z"
    able_to_scale:
      description: Its condition AbleToScale, with C(status) (V(null) when not known), C(reason) and C(message).
      type: dict
    scaling_active:
      description: Its condition ScalingActive.
      type: dict
    scaling_limited:
      description: Its condition ScalingLimited.
      type: dict
namespace:
  description: The namespace.
  type: str
  returned: success
  sample: hafnium
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 1
"""

from ansible_collections.sre.runbooks.plugins.module_utils import hpa_status, operation

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(hpa_status.SPEC, hpa_status.run, REQUIRES)


if __name__ == "__main__":
    main()

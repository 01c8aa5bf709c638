#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_health
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Health of many Kubernetes workloads and their Services
description:
  - Judges Deployments, StatefulSets or DaemonSets of one namespace with their pods, Services and disruption budgets.
  - One list request is made for each kind of object, however many workloads are asked for.
  - A selection that takes in nothing is never green, whether the namespace is absent, the label is another or no pod can
    be made. What is there instead is told, with other namespaces that hold it where these may be listed.
  - It does not call the workloads; whether they answer is judged by M(sre.runbooks.http_probe).
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
  - sre.runbooks.workloads
options:
  minimum_addresses:
    description: Fewest ready addresses behind each Service of a workload.
    type: int
    default: 1
  recent_restart_seconds:
    description: How long ago the end of a container counts as recent.
    type: float
    default: 600.0
  max_recent_restarts:
    description: Most containers of a workload that may have ended within O(recent_restart_seconds).
    type: int
    default: 0
  require_service:
    description: Whether a Service must select the pods. Set it to V(false) for workloads that nobody calls.
    type: bool
    default: true
  require_hpa:
    description: Whether a HorizontalPodAutoscaler must target each workload.
    type: bool
    default: false
  require_pdb:
    description: Whether a PodDisruptionBudget must select the pods. One that is there is judged in any case.
    type: bool
    default: false
seealso:
  - module: sre.runbooks.workload_diagnosis
notes:
  - |
    Check ids: C(namespace.<namespace>), V(selection) (with O(selector)), C(workload.<name>) (for a name that is absent),
    C(rights.<resource>) (for what may not be listed), V(cluster.reachable) (alone, when the API server gives no
    answer), and for each workload C(replicas.<name>), C(rollout.<name>), C(pods.<name>), C(restarts.<name>),
    C(images.<name>), C(service.<name>) (with the Service's name behind it, where that is another), C(pdb.<name>) and
    C(hpa.<name>).
  - |
    Causes of findings: V(namespace_absent), V(namespace_terminating), V(workload_absent), V(selection_empty),
    V(scaled_to_zero), V(replicas_missing), V(pods_refused), V(rollout_failed), V(rollout_unfinished), V(rollout_paused),
    V(pods_not_ready), V(restarting), V(mixed_images), V(floating_image_tag), V(service_absent),
    V(service_selects_nothing), V(service_port_wrong), V(no_endpoints), V(quorum_lost), V(autoscaler_absent) and
    V(budget_absent), all seen.
  - |
    Rights it needs in the namespace: list on the kind, pods, replicasets.apps (for Deployments),
    controllerrevisions.apps (for DaemonSets), services, endpointslices.discovery.k8s.io, poddisruptionbudgets.policy and
    horizontalpodautoscalers.autoscaling (not for DaemonSets). A list that is refused leaves what depends on it
    unverified. Used where granted, when something is absent: get on namespaces, list on the kind in all namespaces.
"""

EXAMPLES = r"""
- name: The eight services of a deployment
  sre.runbooks.workload_health:
    kubeconfig: ~/.kube/config
    context: prod-eu
    namespace: hafnium
    selector: tier=backend
    minimum_pods: 16
    names:
      - identity-service
      - screening-service
      - monitoring-service
      - case-service
      - vault-service
      - risk-engine-service
      - signals-service
      - api-facade
    runbook: "1.2"
  register: workloads

- name: A consumer that nobody calls
  sre.runbooks.workload_health:
    namespace: hafnium
    names: [stream-processor]
    require_service: false
"""

RETURN = r"""
verdict:
  description: The worst status of the checks, V(pass), V(fail) or V(unverified).
  type: str
  returned: success
  sample: fail
checks:
  description: What was observed, compared with what was expected.
  type: list
  elements: dict
  returned: success
  sample:
    - id: service.identity-service
      title: "identity-service: Service identity-service has ready addresses"
      status: fail
      observed: 0 ready addresses, 2 not ready; port 8080->8080
      expected: at least 1 ready addresses, and a container behind each port
      hint: >-
        Callers get no connection. The Service exists and kubectl ends with 0 on it; its pods are not ready, see
        pods.identity-service.
      runbook: "1.2"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample:
    - cause: no_endpoints
      confidence: seen
      evidence: [service.identity-service]
      affects: ["identity-service: all who call it"]
      next:
        playbook: sre.runbooks.hafnium.diagnose_startup
        args: {hafnium_service: identity-service}
        effect: read
namespace:
  description: The namespace that was looked at.
  type: str
  returned: success
  sample: hafnium
selected_pods:
  description: Number of pods that meet O(selector); null without one, and when pods may not be listed.
  type: int
  returned: success
  sample: 16
workloads:
  description: The workloads, in the order of O(names), then by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name of the workload.
      type: str
      sample: identity-service
    kind:
      description: Its kind.
      type: str
      sample: Deployment
    desired:
      description: Replicas that are wanted.
      type: int
      sample: 2
    updated:
      description: Replicas of the newest revision.
      type: int
      sample: 2
    ready:
      description: Replicas that are ready.
      type: int
      sample: 2
    available:
      description: Replicas that have been ready for long enough.
      type: int
      sample: 2
    rollout:
      description: V(complete), V(progressing), V(blocked), V(failed) or V(unknown).
      type: str
      sample: complete
    reason:
      description: Why, in one word; null when there is nothing to say.
      type: str
      sample: null
    revision:
      description: Number of a Deployment's revision, or the name of a StatefulSet's newest one; null when not known.
      type: str
      sample: "4"
    images:
      description: Image of each container, as the template names it.
      type: dict
      sample: {app: "registry.example/hafnium/identity-service:1.4.2"}
    restarts:
      description: Restarts of the containers of all its pods.
      type: int
      sample: 0
    pods_count:
      description: Number of its pods, in whatever state.
      type: int
      sample: 2
    pods:
      description: >-
        The first 50 of them, each with C(name), C(status) (as kubectl shows it), C(ready), C(restarts), C(node),
        C(created), C(message), C(current) (whether it is of the newest revision) and C(containers).
      type: list
      elements: dict
      sample:
        - name: identity-service-6d5f7c9b8-x2x7p
          status: Running
          ready: true
          restarts: 0
          node: node-1
          created: "2026-01-31T03:00:00Z"
          message: null
          current: true
          containers: []
    services:
      description: >-
        Services that select its pods, each with C(name), C(ports), C(ready_addresses) and C(not_ready_addresses).
      type: list
      elements: dict
      sample:
        - name: identity-service
          ports: port 8080->8080
          ready_addresses: [10.0.0.4, 10.0.0.5]
          not_ready_addresses: []
    hpa:
      description: The autoscaler that targets it, with C(name), C(min), C(max), C(current) and C(desired); null for none.
      type: dict
      sample: {name: identity-service-hpa, min: 2, max: 10, current: 2, desired: 2}
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 7
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, workload_health

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(workload_health.SPEC, workload_health.run, REQUIRES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rollout_status
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Are rollouts complete
description:
  - Says of many Deployments, StatefulSets or DaemonSets at once whether their newest template is rolled out, as
    C(kubectl rollout status) does, or waits until it is; never longer than it is told to.
  - Sees what C(kubectl rollout status) and a green C(READY) hide. Pods that cannot be made (quota, admission, Pod
    Security, a missing ServiceAccount), a rollout that is paused, which would be awaited for ever, old pods that a partition
    keeps, and 0 replicas, which kubectl calls success.
  - Says why pods of the new revision do not become ready, and ends a wait early where that is clear.
  - In progress is V(unverified), and V(fail) when O(wait_seconds) are over. Reads only.
extends_documentation_fragment:
  - sre.runbooks.kubernetes_wait
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  kind:
    description: Kind of the workloads.
    type: str
    choices: [Deployment, StatefulSet, DaemonSet]
    default: Deployment
  names:
    description: Names of the workloads; each must exist. At most 1000.
    type: list
    elements: str
  selector:
    description:
      - Label selector, as kubectl takes it, for the labels of the workloads themselves.
      - Finding fewer than O(minimum) fails.
    type: str
  minimum:
    description: Fewest workloads that O(selector) must find.
    type: int
    default: 1
  expected_revision:
    description:
      - The revision that must be the one that is rolled out; C(--revision) of kubectl, for StatefulSets and DaemonSets as
        well. Needs exactly one name in O(names).
    type: int
  expected_images:
    description:
      - Image that a workload is expected to have, by its name.
      - One image, which any of its containers may bear, or a dictionary of container and image.
    type: dict
    default: {}
  allow_zero_replicas:
    description: Whether a workload may be scaled to 0 (or, for a DaemonSet, match no node).
    type: bool
    default: false
  allow_partition:
    description: Whether the partition of a StatefulSet may keep pods on the old revision.
    type: bool
    default: false
  wait_seconds:
    description:
      - Longest time to wait for the rollouts, all at once, in seconds. V(0) looks once.
      - While it waits, a line of progress is shown. An API server that is away meanwhile is asked again.
    type: float
    default: 0.0
  runbook:
    description: Section of a runbook that asks for these checks. It is returned with each.
    type: str
    default: ""
seealso:
  - module: sre.runbooks.rollout_restart
notes:
  - |
    Check ids: V(selection) (with O(selector)), and for each workload C(generation.<name>) (its controller has seen the
    newest template), C(updated.<name>), C(available.<name>) and C(creation.<name>); C(images.<name>) with
    O(expected_images), C(revision.<name>) with O(expected_revision). Only C(exists.<name>) where there is none, or where
    it could not be looked at.
  - |
    Causes of findings, all seen: V(selection_too_small), V(workload_absent), V(workload_deleted), V(workload_replaced),
    V(rollout_superseded), V(rollout_paused), V(pods_must_be_deleted), V(partition_keeps_old_pods), V(scaled_to_zero),
    V(no_node_matches), V(quota_exceeded), V(pod_security_forbids_the_template), V(service_account_missing),
    V(admission_denied), V(pods_cannot_be_made), V(image_cannot_be_pulled), V(container_cannot_be_made), V(crash_loop),
    V(unschedulable), V(never_ready), V(progress_deadline_exceeded), V(unexpected_image) and V(unexpected_revision).
  - |
    Rights it needs in the namespace: get and list on the workloads (deployments, statefulsets or daemonsets in apps).
    For reasons it uses, where granted, list on pods, replicasets, controllerrevisions and events; get on namespaces.
  - Whether pods do what they are for is not shown. An autoscaler that is switched off is not looked at.
"""

EXAMPLES = r"""
- name: All backend services are rolled out
  sre.runbooks.rollout_status:
    namespace: hafnium
    selector: tier=backend
    minimum: 8

- name: Wait for a deployment, with the image that was meant
  sre.runbooks.rollout_status:
    namespace: hafnium
    names: [identity-service]
    expected_images:
      identity-service: registry.example.com/hafnium/identity-service:1.4.2
    wait_seconds: 300

- name: A StatefulSet is at its third revision, and a canary is meant
  sre.runbooks.rollout_status:
    namespace: data
    kind: StatefulSet
    names: [postgres]
    expected_revision: 3
    allow_partition: true
  register: rollout
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
    - id: updated.identity-service
      title: All pods of identity-service have the newest template
      status: fail
      observed: 1 of 2 updated, 2 old
      expected: 2 updated, no old ones
      hint: '1 pod (identity-service-5d6f-x2x7p) ImagePullBackOff: Back-off pulling image "registry.lab/identity-service:9"'
      runbook: "5.1"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample:
    - cause: image_cannot_be_pulled
      confidence: seen
      evidence: [updated.identity-service]
      affects: [identity-service]
      next: null
count:
  description: Number of workloads that were looked at.
  type: int
  returned: success
  sample: 8
complete_count:
  description: Number of those whose rollout is complete.
  type: int
  returned: success
  sample: 7
rollouts:
  description: The workloads in the order of O(names), or by name.
  type: list
  elements: dict
  returned: success
  contains:
    kind:
      description: Kind of the workload.
      type: str
      sample: Deployment
    namespace:
      description: Its namespace.
      type: str
      sample: hafnium
    name:
      description: Its name.
      type: str
      sample: identity-service
    uid:
      description: Its uid; empty when it does not exist.
      type: str
      sample: 43970c69-9b02-4a37-9f16-2c5a3193124e
    state:
      description:
        - V(complete), V(progressing), V(blocked) (it will not go on by itself), V(failed), or V(unknown) when it could not
          be observed.
      type: str
      sample: failed
    reason:
      description:
        - One word for the state. V(NotObserved), V(Updating), V(OldPodsTerminating) or V(NotReady) in progress; V(Paused)
          or V(OnDelete) when blocked; V(ScaledToZero), V(NoNodes) or V(Partitioned) beside complete; for failures what
          ended it, such as V(ProgressDeadlineExceeded), V(QuotaExceeded), V(ImagePullBackOff) or V(Superseded).
      type: str
      sample: ImagePullBackOff
    message:
      description: The same in words.
      type: str
      sample: "1 pod of the new revision: ImagePullBackOff (pod identity-service-5d6f-x2x7p, container main)"
    generation:
      description: Generation of the object.
      type: int
      sample: 7
    observed_generation:
      description: The generation that its controller has seen.
      type: int
      sample: 7
    revision:
      description: Revision of a Deployment, name of a StatefulSet's newest ControllerRevision, else empty.
      type: str
      sample: "4"
    strategy:
      description: Its update strategy.
      type: str
      sample: RollingUpdate
    paused:
      description: Whether it is paused.
      type: bool
      sample: false
    desired:
      description: Replicas wanted; for a DaemonSet the number of nodes that match.
      type: int
      sample: 2
    current:
      description: Replicas there are, old ones too.
      type: int
      sample: 3
    updated:
      description: Replicas of the newest template.
      type: int
      sample: 1
    ready:
      description: Replicas that are ready, old ones too.
      type: int
      sample: 2
    available:
      description: Replicas that are available, old ones too.
      type: int
      sample: 2
    unavailable:
      description: Replicas that are missing or not available.
      type: int
      sample: 1
    images:
      description: Container and image in the template; init containers come last.
      type: dict
      sample: {main: "registry.lab/identity-service:9"}
    problems:
      description: Why pods of the new revision are not ready, worst first; looked for where the rollout is not complete.
      type: list
      elements: dict
      contains:
        category:
          description:
            - V(failed_create), V(image_pull), V(config_error), V(crash_loop), V(unschedulable) or V(not_ready).
          type: str
          sample: image_pull
        reason:
          description: The reason as the cluster says it, or one of a few for pods that cannot be made.
          type: str
          sample: ImagePullBackOff
        message:
          description: What the cluster says, without secrets.
          type: str
          sample: Back-off pulling image "registry.lab/identity-service:9"
        count:
          description: Number of pods with this reason; 0 where no pod could be made.
          type: int
          sample: 1
        pod:
          description: One of them.
          type: str
          sample: identity-service-5d6f-x2x7p
        container:
          description: Its container.
          type: str
          sample: main
        restarts:
          description: Restarts of that container.
          type: int
          sample: 0
        exit_code:
          description: How it last ended, in a crash loop.
          type: int
          sample: null
    unseen:
      description: What could not be read while looking for problems.
      type: list
      elements: str
      sample: []
    timed_out:
      description: Whether the wait ended before the rollout did.
      type: bool
      sample: false
    waited_seconds:
      description: Seconds from the beginning of the wait to the last look.
      type: float
      sample: 12.4
requests:
  description: Number of requests that were sent to the API server.
  type: int
  returned: success
  sample: 3
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, rollout_status

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(rollout_status.SPEC, rollout_status.run, REQUIRES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_logs
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: The last log lines of every container of Kubernetes workloads, without secrets
description:
  - Reads the ends of the logs of all pods that Deployments, StatefulSets or DaemonSets of one namespace own, as
    C(kubectl logs -l app=x --tail=100 --prefix) does.
  - Pods are told by their owner references. Those that only bear the same labels belong to others. With O(selector), pods
    that meet it and belong to no such workload are read as well.
  - No pod at all fails, where kubectl prints nothing and ends with 0. A container that has no log is told with the reason.
  - Of a container that waits to be started again, the log of its last run is read. Init containers are read while they
    run and when they failed.
  - Secrets are struck out of every line.
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
  - sre.runbooks.workloads
options:
  previous:
    description:
      - Read the run before the last restart of each container, and no other.
      - Containers that never restarted are told as such. They are no failure.
    type: bool
    default: false
  init_containers:
    description: Whether to read also the init containers that did their work.
    type: bool
    default: false
  tail_lines:
    description: Most lines from the end of each log, from 1 to 5000.
    type: int
    default: 100
  limit_bytes:
    description: Most bytes of each log, from 1024 to 4194304. Fewer lines are read where they do not fit.
    type: int
    default: 262144
  since_seconds:
    description: Only lines that are not older than this, from 1 to 2592000.
    type: int
  contains:
    description: Return only lines that hold this text, literally. It is looked for after secrets were struck out.
    type: str
  regex:
    description:
      - Return only lines in which this regular expression of Python is found, after secrets were struck out.
      - One that does not end is interrupted when O(timeout) is over.
    type: str
  max_pods:
    description:
      - Most pods that are read, from 1 to 500. When there are more, each workload gives some, those that are not ready
        first, and the checks are unverified.
    type: int
    default: 50
  max_bytes:
    description: Most bytes of all logs together, from 65536 to 16777216, of which each gets the same share.
    type: int
    default: 2097152
seealso:
  - module: sre.runbooks.workload_diagnosis
  - module: sre.runbooks.log_search
notes:
  - |
    Check ids: C(namespace.<namespace>), V(selection) (with O(selector)), C(workload.<name>) (for a name that is absent),
    C(rights.<resource>) (for what may not be listed), V(cluster) (alone, when the API server gives no answer),
    C(logs.<name>) for each workload, and V(logs.other_pods) for pods that meet O(selector) and belong to none.
  - There are no findings. Logs are judged by M(sre.runbooks.workload_diagnosis).
  - |
    A line has at most 2000 characters. Lines that are shown are those the node still has: it rotates logs.
  - |
    Rights it needs in the namespace: list on the kind, pods, replicasets.apps (for Deployments) and
    controllerrevisions.apps (for DaemonSets), get on pods/log. What is not granted leaves the check unverified, with the
    verb. Used where granted, when something is absent: get on namespaces, list on the kind in all namespaces.
"""

EXAMPLES = r"""
- name: The last lines of one service
  sre.runbooks.workload_logs:
    kubeconfig: ~/.kube/config
    context: prod-eu
    namespace: hafnium
    names: [case-service]
    runbook: "1.2"
  register: logs

- name: Show them
  ansible.builtin.debug:
    msg: "{{ logs.text.splitlines() }}"

- name: Errors in what the containers that crashed wrote before
  sre.runbooks.workload_logs:
    namespace: hafnium
    selector: tier=backend
    minimum_pods: 16
    previous: true
    tail_lines: 2000
    regex: '\b(ERROR|FATAL)\b|Exception'
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
    - id: logs.case-service
      title: Logs of case-service can be read
      status: pass
      observed: 200 lines of 2 containers in 2 pods
      expected: at least one pod, and the log of every container that runs
      hint: That a log could be read says nothing about what stands in it.
      runbook: "1.2"
      duration_ms: null
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: success
  sample: []
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
text:
  description: >-
    All lines as C(kubectl logs --prefix) writes them, each with its pod and container before it. A container without
    lines has one line in parentheses that says why.
  type: str
  returned: success
  sample: "[pod/case-service-6d5f7c9b8-x2x7p/case-service] Started CaseApplication in 7.1 seconds"
logs:
  description: The containers, by workload (in the order of O(names), then by name), pod, and place in the pod.
  type: list
  elements: dict
  returned: success
  contains:
    workload:
      description: Name of the workload; null for pods that belong to none.
      type: str
      sample: case-service
    pod:
      description: Name of the pod.
      type: str
      sample: case-service-6d5f7c9b8-x2x7p
    container:
      description: Name of the container.
      type: str
      sample: case-service
    init:
      description: Whether it is an init container.
      type: bool
      sample: false
    node:
      description: Name of the node; null for a pod that has none yet.
      type: str
      sample: node-1
    previous:
      description: Whether it is the log of a run that is over, after which the container was, or will be, started again.
      type: bool
      sample: false
    lines:
      description: The lines, oldest first, without secrets; those that match, with O(contains) or O(regex).
      type: list
      elements: str
      sample: [Started CaseApplication in 7.1 seconds]
    lines_read:
      description: Number of lines that were read; null when there is no log, or it could not be read.
      type: int
      sample: 100
    matched:
      description: Number of lines that match; null without O(contains) and O(regex).
      type: int
      sample: null
    truncated:
      description: Whether older lines were left out, since there are as many as O(tail_lines), or they do not fit.
      type: bool
      sample: true
    note:
      description: Why there are no lines; null when there are some.
      type: str
      sample: null
matched:
  description: Number of lines that match, of all containers; null without O(contains) and O(regex).
  type: int
  returned: success
  sample: null
pods_left_out:
  description: Number of pods that were not read because of O(max_pods).
  type: int
  returned: success
  sample: 0
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 5
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, workload_logs

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(workload_logs.SPEC, workload_logs.run, REQUIRES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: workload_diagnosis
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Why do Kubernetes workloads not start, or not stay up
description:
  - Looks into Deployments, StatefulSets or DaemonSets of one namespace and ends with a named cause for each that is not
    healthy, with the lines that show it and the playbook that comes next.
  - Takes together what C(kubectl describe) and C(kubectl logs --previous) show. That is states, last terminations and
    events of pods, refusals where there is no pod at all, the ends of the logs of the runs before and now, nodes, quotas.
  - The namespace is listed once. Healthy workloads cost nothing more; of the others a few pods are looked into, one for
    each kind of trouble.
  - Logs are searched for the deepest exception of a stack trace and for Spring Boot's failure report, and these are held
    against a table of known causes. What is not known is called so, with the last lines.
extends_documentation_fragment:
  - sre.runbooks.kubernetes
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
  - sre.runbooks.workloads
options:
  max_pods:
    description: Most pods of a workload that are looked into, from 1 to 10. Each stands for those with the same trouble.
    type: int
    default: 3
  log_lines:
    description: Most lines from the end of a log that are read, from 10 to 5000.
    type: int
    default: 500
  log_bytes:
    description: Most bytes of a log that are read, from 1024 to 4194304. Fewer lines are read where they do not fit.
    type: int
    default: 262144
  log_lines_returned:
    description: Last lines of each log that are returned, without secrets, from 0 to 500.
    type: int
    default: 20
  recent_restart_seconds:
    description: How long ago the end of a container counts as recent; a pod that is ready is looked into for it as well.
    type: float
    default: 600.0
seealso:
  - module: sre.runbooks.workload_health
notes:
  - |
    Check ids: C(namespace.<namespace>), V(selection) (with O(selector)), C(workload.<name>) (for a name that is absent),
    C(rights.<resource>) (for what may not be listed), V(cluster.reachable) (alone, when the API server gives no answer),
    C(startup.<name>) for each workload, and, where something could not be read, C(logs.<name>) and V(nodes).
  - |
    A cause is V(seen) where a state, an event or the exception that ended a process says it, and V(inferred) where it is
    concluded from a warning, an exit code, or the lack of something.
  - |
    Causes, in order of precedence: V(workload_absent), V(scaled_to_zero), V(rollout_paused), V(controller_behind);
    V(admission_forbidden), V(service_account_missing), V(quota_exceeded), V(limit_range), V(priority_class_missing),
    V(webhook_unreachable), V(create_failed); V(node_not_ready), V(evicted), V(node_pressure), V(preempted),
    V(stuck_terminating); V(volume_unbound), V(unschedulable), V(scheduler_silent); V(image_name_invalid),
    V(image_not_found), V(image_auth), V(image_rate_limited), V(registry_unreachable), V(wrong_architecture),
    V(image_pull); V(config_missing), V(volume_failed), V(sandbox_failed), V(run_as_root_forbidden),
    V(command_not_found), V(hook_failed), V(container_not_made); V(oom_killed) (the container's limit),
    V(heap_exhausted) (the process's own), V(threads_exhausted), V(file_limit); V(port_in_use), V(database_auth_failed),
    V(database_missing), V(database_unknown_host), V(database_refused), V(database_timeout), V(database_starting),
    V(database_connections_exhausted), V(connection_pool_exhausted), V(database_url_invalid), V(flyway_failed),
    V(flyway_locked), V(schema_mismatch), V(jwk_set_uri_missing), V(keycloak_unreachable), V(issuer_mismatch),
    V(kafka_auth_failed), V(kafka_topic_missing), V(kafka_unreachable), V(redis_auth_failed), V(redis_unreachable),
    V(config_invalid), V(disk_full), V(read_only_filesystem), V(permission_denied), V(jvm_options_invalid),
    V(java_version), V(artifact_missing), V(code_missing), V(tls_untrusted), V(certificate_expired), V(host_unknown),
    V(connection_refused), V(bean_failed), V(unhandled_exception); V(wrong_port), V(slow_start_killed),
    V(probe_failing), V(readiness_gate), V(completed), V(killed), V(process_crashed), V(restarted), V(starting),
    V(unknown_cause).
  - |
    Rights it needs in the namespace: list on the kind, pods, replicasets.apps (for Deployments),
    controllerrevisions.apps (for DaemonSets) and events; get on pods/log. Used where granted: get on nodes, get on
    configmaps (to name variables with a cause), list on resourcequotas; get on namespaces and list on the kind in all
    namespaces, when something is absent. Secrets are never read. What is refused leaves a check unverified, which names
    the verb.
"""

EXAMPLES = r"""
- name: Why does identity-service not start
  sre.runbooks.workload_diagnosis:
    kubeconfig: ~/.kube/config
    context: prod-eu
    namespace: hafnium
    names: [identity-service]
    runbook: "2.1"
  register: diagnosis

- name: Whatever is wrong with the backend
  sre.runbooks.workload_diagnosis:
    namespace: hafnium
    selector: tier=backend
    minimum_pods: 16
    log_lines: 2000
    log_lines_returned: 50
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
    - id: startup.identity-service
      title: identity-service starts and stays up
      status: fail
      observed:
        - >-
          database_refused: the database at localhost:5432 refuses connections; the pod sets DB_HOST=postgres.hafnium-data,
          but the process asked localhost: it does not read these (a Spring service reads SPRING_DATASOURCE_URL)
        - >-
          previous log of Pod/identity-service-6d5f7c9b8-x2x7p/app 2026-01-31T03:00:41Z:
          org.postgresql.util.PSQLException: Connection to localhost:5432 refused.
      expected: every pod of the newest revision is ready and stays up
      hint: Is the database running at that address? Correct the address otherwise.
      runbook: "2.1"
      duration_ms: null
findings:
  description: What the checks mean, each with C(cause), C(confidence), C(evidence) (check ids), C(affects) and C(next).
  type: list
  elements: dict
  returned: success
  sample:
    - cause: database_refused
      confidence: seen
      evidence: [startup.identity-service]
      affects: ["identity-service: 0 of 2 ready"]
      next:
        playbook: sre.runbooks.hafnium.health
        args: {hafnium_service: identity-service}
        effect: read
namespace:
  description: The namespace that was looked at.
  type: str
  returned: success
  sample: hafnium
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
    healthy:
      description: Whether there was nothing to look into.
      type: bool
      sample: false
    cause:
      description: Name of the first of C(causes); null for a healthy workload.
      type: str
      sample: database_refused
    text:
      description: The same in words.
      type: str
      sample: the database at localhost:5432 refuses connections
    causes:
      description: >-
        All causes, the one to mend first at the beginning, each with C(cause), C(confidence), C(text), C(advice), C(pods)
        (those that show it), C(evidence) and C(next).
      type: list
      elements: dict
      sample:
        - cause: database_refused
          confidence: seen
          text: the database at localhost:5432 refuses connections
          advice: Is the database running at that address? Correct the address otherwise.
          pods: [identity-service-6d5f7c9b8-x2x7p]
          evidence:
            - source: previous log
              object: Pod/identity-service-6d5f7c9b8-x2x7p/app
              at: "2026-01-31T03:00:41Z"
              text: "org.postgresql.util.PSQLException: Connection to localhost:5432 refused."
          next:
            playbook: sre.runbooks.hafnium.health
            args: {hafnium_service: identity-service}
            effect: read
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
      sample: 0
    available:
      description: Replicas that have been ready for long enough.
      type: int
      sample: 0
    rollout:
      description: V(complete), V(progressing), V(blocked), V(failed) or V(unknown).
      type: str
      sample: progressing
    revision:
      description: Number of a Deployment's revision, or the name of a StatefulSet's newest one; null when not known.
      type: str
      sample: "4"
    restarts:
      description: Restarts of the containers of its pods.
      type: int
      sample: 12
    conditions:
      description: Conditions of the workload, each with C(type), C(status), C(reason), C(message) and C(since).
      type: list
      elements: dict
      sample:
        - type: Available
          status: "False"
          reason: MinimumReplicasUnavailable
          message: Deployment does not have minimum availability.
          since: "2026-01-31T03:00:00Z"
    pods_count:
      description: Number of its pods, in whatever state.
      type: int
      sample: 2
    pods:
      description: >-
        The first 20 of them, those that were looked into at the beginning, each with C(name), C(status) (as kubectl shows
        it), C(ready), C(restarts), C(node), C(created), C(message), C(owners) (nearest first) and C(containers), which
        have C(name), C(init), C(image), C(ready), C(restarts), C(state), C(reason), C(message) and C(last_termination).
      type: list
      elements: dict
      sample:
        - name: identity-service-6d5f7c9b8-x2x7p
          status: CrashLoopBackOff
          ready: false
          restarts: 6
          node: node-1
          created: "2026-01-31T02:51:00Z"
          message: null
          owners: [ReplicaSet/identity-service-6d5f7c9b8, Deployment/identity-service]
          containers: []
    events:
      description: >-
        The newest 20 events of the workload, its ReplicaSets and pods, repeated ones once, each with C(last), C(first),
        C(type), C(reason), C(object), C(count) and C(message). Of a healthy workload only those that are not normal.
      type: list
      elements: dict
      sample:
        - last: "2026-01-31T03:00:41Z"
          first: "2026-01-31T02:51:12Z"
          type: Warning
          reason: BackOff
          object: Pod/identity-service-6d5f7c9b8-x2x7p
          count: 41
          message: Back-off restarting failed container app in pod identity-service-6d5f7c9b8-x2x7p
    logs:
      description: >-
        The logs that were read, each with C(pod), C(container), C(previous), C(lines) (the last ones), C(lines_read),
        C(cut) (whether its beginning was left out) and C(problem) (why it could not be read).
      type: list
      elements: dict
      sample:
        - pod: identity-service-6d5f7c9b8-x2x7p
          container: app
          previous: true
          lines: ["Caused by: java.net.ConnectException: Connection refused"]
          lines_read: 212
          cut: false
          problem: null
requests:
  description: Number of requests to the API server.
  type: int
  returned: success
  sample: 6
"""

from ansible_collections.sre.runbooks.plugins.module_utils import operation, workload_diagnosis

REQUIRES = ("kubernetes",)


def main() -> None:
    operation.main(workload_diagnosis.SPEC, workload_diagnosis.run, REQUIRES)


if __name__ == "__main__":
    main()

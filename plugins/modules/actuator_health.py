#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: actuator_health
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Health of many Spring Boot services at once, each instance on its own
description:
  - Asks C(/actuator/health) of many services in one task and judges each by the status in the JSON. The HTTP code is not
    enough, because V(UNKNOWN) and a service's own statuses come with 200.
  - V(UP) passes. V(DOWN) and V(OUT_OF_SERVICE) fail and name the component. V(UNKNOWN) is unverified. Any other status
    fails, unless it is listed in O(accept_status).
  - 401, 403 and 404 are unverified. They say that health is not exposed, not that the service is down.
  - An answer without a status fails, because something else than the service answers there. O(targets[].identity) makes
    sure by name.
  - Pods behind a Service or a selector are found in the cluster and asked one by one, ready or not. A load balancer would
    hide the one that is ill. An absent Service, a selector that matches nothing and an absent namespace fail.
  - Groups such as readiness are asked where O(groups) names them. The result says what they hold, because a readiness
    without the database stays V(UP) when the database is gone.
extends_documentation_fragment:
  - sre.runbooks.instances
  - sre.runbooks.http_client.auth
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  targets:
    description:
      - What is asked, in order. Each has one of O(targets[].url), O(targets[].service) and O(targets[].selector).
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service; its checks are named after it.
        type: str
        required: true
      url:
        description: URL of the service's root, without the path of its health.
        type: str
      namespace:
        description: Namespace of the pods. It is never taken from a context.
        type: str
      service:
        description: Service whose pods are asked.
        type: str
      selector:
        description: Label selector of the pods that are asked, as kubectl takes it.
        type: str
      port:
        description:
          - Name or number of the Service's port. Without it the Service must have one port only.
          - With O(targets[].selector) the number of the pods' port, or its name in the containers. Without it the
            containers must declare one port only.
        type: str
      scheme:
        description: What the pods speak on that port.
        type: str
        default: http
        choices: [http, https]
      min_instances:
        description: How many pods must be ready.
        type: int
        default: 1
      identity:
        description:
          - Name of the service in its C(/actuator/info). C(spring.application.name), C(app.name), C(application.name),
            C(build.artifact), C(build.name) and C(name) are looked at.
          - Adds a check that fails when another service answers, and is unverified when info does not tell.
        type: str
      path:
        description: O(path) of this target.
        type: str
      groups:
        description: O(groups) of this target.
        type: list
        elements: str
      additional_paths:
        description: O(additional_paths) of this target.
        type: list
        elements: str
      expect_components:
        description: O(expect_components) of this target.
        type: list
        elements: str
      accept_status:
        description: O(accept_status) of this target.
        type: list
        elements: str
      info_path:
        description: O(info_path) of this target.
        type: str
      max_latency_ms:
        description: O(max_latency_ms) of this target.
        type: int
      runbook:
        description: O(runbook) of this target.
        type: str
  path:
    description: Path of the health.
    type: str
    default: /actuator/health
  groups:
    description: Health groups that are asked too, such as V(liveness) and V(readiness), each with a check of its own.
    type: list
    elements: str
    default: []
  additional_paths:
    description: Paths below the root that answer like a group, such as C(/livez) and C(/readyz).
    type: list
    elements: str
    default: []
  expect_components:
    description:
      - Components that must be there and good, such as V(db). A health without them cannot show their outage.
      - Adds a check that fails when one is absent or not good, and is unverified when components are not shown.
    type: list
    elements: str
    default: []
  accept_status:
    description: Statuses besides V(UP) that are as good. V(DOWN) and V(OUT_OF_SERVICE) never are.
    type: list
    elements: str
    default: []
  info_path:
    description: Path of the info that tells who answers.
    type: str
    default: /actuator/info
  max_latency_ms:
    description: Adds a check that health was answered within this time.
    type: int
  runbook:
    description: Section of the runbook that asks for this, shown in the checks.
    type: str
    default: ""
requirements:
  - PyJWT >= 2.8 (for O(jwt_secret))
seealso:
  - module: sre.runbooks.http_probe
  - name: Spring Boot Actuator, endpoint health
    description: What components, groups and statuses are.
    link: https://docs.spring.io/spring-boot/reference/actuator/endpoints.html#actuator.endpoints.health
"""

EXAMPLES = r"""
- name: All services of a deployment, each pod on its own
  sre.runbooks.actuator_health:
    kubernetes:
      kubeconfig: ~/.kube/production
      context: production
    groups: [liveness, readiness]
    targets:
      - name: identity-service
        namespace: hafnium
        service: identity-service
        identity: identity-service
        expect_components: [db]
        min_instances: 2
      - name: case-service
        namespace: hafnium
        selector: app=case-service
        port: "8080"

- name: Services by URL, with a token for the details
  sre.runbooks.actuator_health:
    token: "{{ actuator_token }}"
    max_latency_ms: 500
    targets:
      - name: orders
        url: http://localhost:8081
      - name: payments
        url: http://localhost:8082
        path: /manage/health
        accept_status: [DEGRADED]
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: fail
checks:
  description:
    - The id begins with the target's name, for pods followed by a dot and the pod's name, here C(<id>).
    - C(<id>) is the health. C(<id>.latency), C(<id>.components), C(<id>.identity) and C(<id>.<group>) are there where
      they were asked for; C(<name>.instances) judges how many pods there are.
    - V(cluster.reachable) stands for the checks of all pods when the API server gives no answer, or does not accept the
      credentials.
    - V(fail) is what was observed and is wrong; V(unverified) is what could not be observed, such as a health that is not
      exposed.
  type: list
  elements: dict
  returned: always
  sample:
    - id: identity-service.identity-service-7d9c5b6f4-x2x8k
      title: "identity-service (identity-service-7d9c5b6f4-x2x8k): health"
      status: fail
      observed: "DOWN: db (CannotGetJdbcConnectionException: Failed to obtain JDBC Connection) (HTTP 503 in 3009 ms)"
      expected: UP
      hint: ""
      runbook: ""
      duration_ms: 3009
findings:
  description:
    - What the checks mean together. A component that is not good, in which services; instances of a service that differ;
      a readiness that stays V(UP) while the health does not; a liveness that holds a dependency; another product that
      answers.
  type: list
  elements: dict
  returned: always
  sample:
    - cause: "db is DOWN in identity-service, case-service; is it one dependency that they share?"
      confidence: inferred
      evidence: [identity-service, case-service]
      affects: [identity-service, case-service]
      next: null
services:
  description: What was seen, one item for each instance, in the order of O(targets).
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the target.
      type: str
    instance:
      description: Name of the pod, empty for a URL.
      type: str
    target:
      description: What the target is, without credentials.
      type: str
    ready:
      description: Whether Kubernetes sends requests to the pod; V(null) for a URL.
      type: bool
    verdict:
      description: Status of its health check.
      type: str
    status:
      description: Status in the JSON, empty when there was none.
      type: str
    http_status:
      description: The HTTP code, V(null) when there was no answer.
      type: int
    latency_ms:
      description: From sending to the last byte; V(null) when it was not asked.
      type: int
    components:
      description: Status by name of the component (C(db.orders) for a part of one), V(null) where they are not shown.
      type: dict
    reasons:
      description: What the components that are not V(UP) say, by name.
      type: dict
    groups:
      description: Status by name of group or additional path, empty where there was none.
      type: dict
"""

from ansible_collections.sre.runbooks.plugins.module_utils import actuator_health, operation

REQUIRES = ("urllib3", "PyJWT")


def main() -> None:
    operation.main(actuator_health.SPEC, actuator_health.run, REQUIRES)


if __name__ == "__main__":
    main()

#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: metrics_probe
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Judge the Prometheus metrics of many services, each instance on its own
description:
  - Reads the metrics pages (Prometheus text, OpenMetrics) of many targets in one task and compares what stands there with
    rules that are data. No Prometheus server is needed.
  - Pods behind a Service or a selector are found in the cluster and read one by one. Behind a load balancer two samples
    may come from two processes, whose counters have nothing to do with each other. This is noticed by the start time or
    the uptime of the process, and makes what depends on it unverified.
  - Counters are read twice, O(sample_seconds) apart. Rates, means, ratios and quantiles are those of what happened
    meanwhile. A counter that was set back gives a lower bound, never a negative rate.
  - A metric that is absent, a value that is C(NaN), a ratio of nothing to nothing and a quantile without buckets are
    unverified. They are never taken for zero.
  - The names that runbooks use are often not those of the service. Well-known differences are resolved, and the name that
    was found is told; see O(aliases).
  - Two samples are no window. A rule that speaks of minutes is judged by what was seen, and its hint says so. Where a
    Prometheus server keeps the metrics, O(prometheus_url) asks the same rules there, over the whole window.
extends_documentation_fragment:
  - sre.runbooks.instances
  - sre.runbooks.http_client.auth
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  targets:
    description:
      - Whose metrics are read, in order. Each has one of O(targets[].url), O(targets[].service) and O(targets[].selector);
        with O(prometheus_url) each has O(targets[].series) instead.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the service; its checks are named after it.
        type: str
        required: true
      url:
        description:
          - URL of one instance. One that has a path is the address of the metrics; otherwise O(targets[].path) is added.
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
      path:
        description: Path of the metrics. Without it C(/actuator/prometheus).
        type: str
      series:
        description: Labels that the series of this target have in Prometheus, such as C(job) and C(namespace).
        type: dict
  rules:
    description: What is asked of the metrics. Each rule is one check for each of its targets.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the rule; its checks are named C(<target>.<id>).
        type: str
        required: true
      title:
        description: What the check says it is about. Without it the rule in a few words.
        type: str
      kind:
        description:
          - V(value) looks at each series; V(sum) and V(max) at all of them together, or by O(rules[].by).
          - V(increase) is how much a counter rose between the samples, V(rate) the same for each second.
          - V(ratio) divides by O(rules[].divisor); counters by what they rose, others by their values.
          - V(mean) is sum by count of a summary or a histogram, such as the mean latency.
          - V(quantile) is that of a histogram, as C(histogram_quantile) of Prometheus computes it. Where there are no
            buckets, those that the service computes itself are taken.
        type: str
        default: value
        choices: [value, sum, max, rate, increase, ratio, mean, quantile]
      metric:
        description:
          - Name of the metric as the runbook has it; Micrometer's own name with dots will do.
          - For V(rules[].kind=mean) and V(rules[].kind=quantile) the name without C(_sum), C(_count) or C(_bucket).
        type: str
        required: true
      labels:
        description:
          - Labels that the series must have. A list says that one of the values must be there.
          - Where no series has them, they are compared without regard to upper and lower case, and the check says so.
          - V(open) of C(resilience4j_circuitbreaker_state) means C(forced_open) too.
        type: dict
        default: {}
      labels_match:
        description: Labels with a regular expression each, which must match the whole value.
        type: dict
        default: {}
      labels_exclude:
        description: Series with a label that matches its regular expression as a whole are left out.
        type: dict
        default: {}
      divisor:
        description: What V(rules[].kind=ratio) divides by.
        type: dict
        suboptions:
          metric:
            description: As O(rules[].metric).
            type: str
            required: true
          labels:
            description: As O(rules[].labels).
            type: dict
            default: {}
          labels_match:
            description: As O(rules[].labels_match).
            type: dict
            default: {}
          labels_exclude:
            description: As O(rules[].labels_exclude).
            type: dict
            default: {}
      quantile:
        description: Between 0 and 1, for V(rules[].kind=quantile).
        type: float
      by:
        description:
          - Labels whose values make groups, each of which is judged.
          - A group in which nothing was counted, such as a route that nobody asked for, is left out when something was
            counted in others; the hint says how many.
        type: list
        elements: str
        default: []
      over:
        description:
          - V(sample) is about what happened between the samples; V(lifetime) about all since the process started, for
            V(rules[].kind=ratio), V(rules[].kind=mean) and V(rules[].kind=quantile).
        type: str
        default: sample
        choices: [sample, lifetime]
      instances:
        description:
          - V(each) judges each instance; V(sum) all of them together, a ratio or a quantile being that of all their
            requests; V(max) the largest of them.
        type: str
        default: each
        choices: [each, sum, max]
      no_series:
        description:
          - What it means that the metric is there, but has no series with these labels. V(zero) is right for counters that
            appear with their first event, such as requests with status 500.
          - A metric that is not there at all is unverified in either case.
        type: str
        default: unverified
        choices: [unverified, zero]
      at_least:
        description: The value must not be smaller.
        type: float
      at_most:
        description: The value must not be larger.
        type: float
      above:
        description: The value must be larger.
        type: float
      below:
        description: The value must be smaller.
        type: float
      for_minutes:
        description:
          - The time for which an alert of the runbook waits. It is not waited for here, and the check says so.
          - With O(prometheus_url) the rule fails when it was wrong at every point of that time.
        type: float
        default: 0.0
      targets:
        description: Names of the targets that this rule is for. Without it all of them.
        type: list
        elements: str
        default: []
      runbook:
        description: O(runbook) of this rule.
        type: str
        default: ""
      hint:
        description: What to do when it is not as expected, shown in the checks.
        type: str
        default: ""
  aliases:
    description:
      - Names that metrics really have, by the name that the runbook gives them; one name, or a list.
      - They are looked for after the runbook's own name and before the well-known ones.
    type: dict
    default: {}
  sample_seconds:
    description: Time between the two samples of counters. When no rule needs a second one, there is none.
    type: float
    default: 10.0
  prometheus_url:
    description:
      - Root of a Prometheus server (or of one with the same query API). The rules are asked there, and no page is read.
      - Each target gets the check C(<target>.instances) from the series C(up). Credentials of the task are sent there.
    type: str
  instance_label:
    description: Label that tells the instances of a target apart in Prometheus, such as V(instance) or V(pod).
    type: str
    default: instance
  rate_minutes:
    description: Time over which Prometheus looks at counters, before each point in time.
    type: float
    default: 5.0
  max_values:
    description: How many values of each rule and target are returned, the worst first.
    type: int
    default: 20
  runbook:
    description: Section of the runbook that asks for this, shown in the checks.
    type: str
    default: ""
requirements:
  - prometheus_client >= 0.20
  - PyJWT >= 2.8 (for O(jwt_secret))
notes:
  - A page longer than O(max_body_bytes) is unverified as a whole, because nobody knows what is missing.
  - Without O(rules[].at_least), O(rules[].at_most), O(rules[].above) and O(rules[].below) a rule passes when there is a
    value.
  - C(-1) of C(jvm_memory_max_bytes) means that a pool has no maximum; it is left out.
seealso:
  - module: sre.runbooks.kafka_lag
  - module: sre.runbooks.actuator_health
"""

EXAMPLES = r"""
- name: Latency, errors, pool and memory of all pods
  sre.runbooks.metrics_probe:
    kubernetes:
      kubeconfig: ~/.kube/production
      context: production
    targets:
      - name: identity-service
        namespace: hafnium
        service: identity-service
        min_instances: 2
    rules:
      - id: latency
        kind: mean
        metric: http_server_requests_seconds
        labels_exclude: {uri: /actuator.*}
        instances: sum
        at_most: 0.5
        runbook: "2.2"
        hint: A mean hides the slow ones; a quantile needs buckets.
      - id: errors
        kind: ratio
        metric: http_server_requests_seconds_count
        labels_match: {status: 5..}
        divisor:
          metric: http_server_requests_seconds_count
        no_series: zero
        at_most: 0.01
        for_minutes: 5
      - id: pool
        kind: ratio
        metric: hikaricp_connections_active
        divisor:
          metric: hikaricp_connections_max
        below: 0.9
      - id: heap
        kind: ratio
        metric: jvm_memory_used_bytes
        labels: {area: heap}
        divisor:
          metric: jvm_memory_max_bytes
          labels: {area: heap}
        at_most: 0.85

- name: Breakers and the success of checkouts, by URL
  sre.runbooks.metrics_probe:
    targets:
      - name: shop
        url: http://localhost:8081
    aliases:
      checkout_attempt_total: checkout_attempts_total
    sample_seconds: 20
    rules:
      - id: breaker
        kind: max
        metric: resilience4j_circuitbreaker_state
        labels: {state: open}
        at_most: 0
      - id: checkout
        kind: ratio
        metric: checkout_success_total
        divisor:
          metric: checkout_attempt_total
        at_least: 0.95
        for_minutes: 5

- name: The same over a window, where there is a Prometheus server
  sre.runbooks.metrics_probe:
    prometheus_url: https://prometheus.example.com
    token: "{{ prometheus_token }}"
    instance_label: pod
    targets:
      - name: shop
        series: {job: shop, namespace: shop}
        min_instances: 2
    rules:
      - id: p99
        kind: quantile
        quantile: 0.99
        metric: http_server_requests_seconds
        instances: sum
        at_most: 1
        for_minutes: 10
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
    - C(<target>.<rule>) for each rule and target, C(<target>.metrics) for whether its pages could be read, and
      C(<target>.instances) for how many pods there are.
    - V(fail) is what was observed and is wrong; V(unverified) is what could not be observed, such as a metric that is
      absent or a page that is not exposed.
  type: list
  elements: dict
  returned: always
  sample:
    - id: identity-service.latency
      title: "identity-service: mean of http_request_duration_seconds"
      status: fail
      observed: 0.84 s (identity-service-7d9c5b6f4-x2x8k); the worst of 2 values, 1 of them wrong, 0 unknown
      expected: at most 0.5 s
      hint: http_request_duration_seconds is http_server_requests_seconds here. Seen over 10 s.
      runbook: "2.2"
      duration_ms: null
findings:
  description: Addresses behind which several processes answer.
  type: list
  elements: dict
  returned: always
  sample: []
results:
  description: The values behind the checks of the rules, in the order of targets and rules.
  type: list
  elements: dict
  returned: always
  contains:
    rule:
      description: The id of the rule.
      type: str
    target:
      description: The name of the target.
      type: str
    kind:
      description: The kind of the rule.
      type: str
    status:
      description: Status of its check.
      type: str
    metric:
      description: The name that the rule gives.
      type: str
    names_used:
      description: The names that were found, by those of the rule, where they differ.
      type: dict
    window_observed:
      description: Whether all of O(rules[].for_minutes) was looked at; never without O(prometheus_url).
      type: bool
    measurements:
      description: What was compared, the worst first.
      type: list
      elements: dict
      contains:
        instance:
          description: Name of the pod, or the label of O(instance_label); empty for a URL, and for what is about all of them.
          type: str
        labels:
          description: Labels of the series or of the group.
          type: dict
        value:
          description: The number, V(null) when it is not known.
          type: float
        lower_bound:
          description: Whether the truth is this number or more.
          type: bool
        status:
          description: Status of this value.
          type: str
        reason:
          description: Why it is not known, or only a lower bound.
          type: str
    measurements_left_out:
      description: How many more there were than O(max_values).
      type: int
targets:
  description: The pages that were read, in the order of O(targets); empty with O(prometheus_url).
  type: list
  elements: dict
  returned: always
  contains:
    name:
      description: Name of the target.
      type: str
    instances:
      description: Its instances.
      type: list
      elements: dict
      contains:
        instance:
          description: Name of the pod; empty for a URL.
          type: str
        url:
          description: The URL that was asked, without credentials; empty for a pod.
          type: str
        status:
          description: The HTTP code, V(null) when there was no answer.
          type: int
        content_type:
          description: Media type of the page.
          type: str
        bytes:
          description: Length of the page.
          type: int
        latency_ms:
          description: From sending to the last byte.
          type: int
        samples:
          description: How often it was read.
          type: int
        process:
          description:
            - Whether both samples are of one process, V(same), V(restarted) or V(mixed); V(unknown) where the page does
              not tell, or there is one sample.
          type: str
        start_time:
          description: Start of the process in seconds since the epoch, V(null) where the page does not tell.
          type: float
        problem:
          description: Why the page could not be read; empty when it could.
          type: str
        hint:
          description: What to do about the problem.
          type: str
"""

from ansible_collections.sre.runbooks.plugins.module_utils import metrics_probe, operation

REQUIRES = ("urllib3", "PyJWT", "prometheus-client")


def main() -> None:
    operation.main(metrics_probe.SPEC, metrics_probe.run, REQUIRES)


if __name__ == "__main__":
    main()

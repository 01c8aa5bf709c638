#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: http_probe
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Ask HTTP services in one task and judge their answers
description:
  - Sends a sequence of requests on one session, or many independent requests at once, and turns every answer into
    checks.
  - A refused connection, a broken or slow answer, one that is not JSON, a redirect or a failed TLS handshake is an
    observation with a hint, not a failed task. The task fails only for wrong options.
  - Values captured from one answer are used in later requests of a sequence by writing C(<name>) in a path, a query, a
    header or a body. A body value that is nothing but C(<name>) takes the value with its type. In a URL the value is
    quoted, and it can never decide which host is asked.
  - In a sequence, a request that may change something is not sent after a check that did not pass.
  - The credentials of the task go to every host of O(requests), but not to where redirects lead. Ask services that
    must not see each other's credentials in separate tasks.
extends_documentation_fragment:
  - sre.runbooks.http_client
  - sre.runbooks.http_client.auth
  - sre.runbooks.attributes
attributes:
  check_mode:
    description: Can run in C(check_mode) and return what it would return without it.
    support: full
    details:
      - Requests that may change something are not sent; they stand in RV(planned) and have no check.
      - What follows such a request in a sequence is not sent either, because its answer would depend on it.
      - When nothing is left to be sent, nothing was observed and the verdict is V(unverified).
  diff_mode:
    description: Returns details on what has changed when in diff mode.
    support: none
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second run indicates no change.
    support: partial
    details:
      - Full when no request changes anything; otherwise it is up to the server.
options:
  requests:
    description: What is asked, in order.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Name of the request; its checks are named after it.
        type: str
        required: true
      title:
        description: What the check says it is about. Without it method and URL.
        type: str
      url:
        description: The whole URL. Either this or O(requests[].path) is needed.
        type: str
      path:
        description: Path below O(base_url).
        type: str
      method:
        description: The HTTP method.
        type: str
        default: GET
        choices: [GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE]
      query:
        description: Query parameters; those that are V(null) are left out.
        type: dict
        default: {}
      headers:
        description: Harmless headers. Secret ones belong in O(secret_headers).
        type: dict
        default: {}
      body:
        description: What is sent, as JSON. A text is sent as it is.
        type: raw
      status:
        description: The HTTP codes that are right.
        type: list
        elements: int
        default: [200]
      expect:
        description:
          - What is expected of the JSON answer. Each item has O(requests[].expect[].jmespath) and one comparison.
        type: list
        elements: dict
        default: []
        suboptions:
          jmespath:
            description: Expression that finds the value, see U(https://jmespath.org).
            type: str
            required: true
          equals:
            description: The value, of the same JSON type.
            type: raw
          one_of:
            description: One of these values.
            type: list
            elements: raw
          at_least:
            description: A number that is not smaller.
            type: float
          at_most:
            description: A number that is not larger.
            type: float
          matches:
            description: Regular expression that is found in the text.
            type: str
          present:
            description: Whether there is a value at all, not V(null).
            type: bool
      capture:
        description: Name to expression (JMESPath); the values can be used in later requests of the sequence.
        type: dict
        default: {}
      until:
        description: Ask again until all is as expected. Only for requests that change nothing.
        type: dict
        suboptions:
          seconds:
            description: For how long.
            type: float
            default: 30.0
          interval_seconds:
            description: Pause between two requests.
            type: float
            default: 1.0
      timeout_seconds:
        description: Replaces O(request_timeout_seconds) for this request.
        type: float
      max_latency_ms:
        description: Adds a check that the answer took no longer.
        type: int
      read_only:
        description:
          - Whether the request changes nothing. Without it V(true) for GET, HEAD and OPTIONS.
          - Set it for a POST that only reads (a login, a search), so that it is sent in check mode and tried again.
        type: bool
      runbook:
        description: Section of the runbook that asks for this, shown in the checks.
        type: str
        default: ""
      hint:
        description: What to do when it is not as expected, shown in the checks.
        type: str
        default: ""
  base_url:
    description: What the paths of O(requests) are relative to.
    type: str
  mode:
    description:
      - V(sequence) sends one after the other on one session with its cookies.
      - V(parallel) sends all at once; captures are not to be had then.
    type: str
    default: sequence
    choices: [sequence, parallel]
  concurrency:
    description: How many requests are on the way at once with O(mode=parallel).
    type: int
    default: 16
  secret_headers:
    description: Headers whose values are kept out of all output, sent with every request.
    type: dict
    default: {}
  max_json_chars:
    description: How much of each answer is returned.
    type: int
    default: 2000
requirements:
  - jmespath >= 1.0
"""

EXAMPLES = r"""
- name: Two services are up and recent
  sre.runbooks.http_probe:
    mode: parallel
    requests:
      - id: orders
        url: http://localhost:8081/health
        max_latency_ms: 500
        expect:
          - jmespath: status
            one_of: [ok, UP]
      - id: backoffice
        url: http://localhost:8082/health
        hint: "Refused is also what a long replay looks like."

- name: Log in, place an order, and follow it
  sre.runbooks.http_probe:
    base_url: http://localhost:8081
    jwt_secret: "{{ backoffice_jwt_secret }}"
    jwt_claims:
      accountId: acct_demo
    requests:
      - id: order
        method: POST
        path: /orders
        body: {symbol: BTC, side: BUY, type: LIMIT, qty: 1, price: 100}
        status: [202]
        capture:
          order_id: orderId
      - id: filled
        path: /orders/<order_id>
        expect:
          - jmespath: status
            equals: FILLED
        until:
          seconds: 20
          interval_seconds: 0.5
"""

RETURN = r"""
verdict:
  description: The worst status of the checks; V(unverified) when nothing was sent.
  type: str
  returned: always
  choices: [pass, fail, unverified]
  sample: pass
checks:
  description:
    - One check for each request (its id), one for each expectation (C(<id>.<number>)), and C(<id>.latency) where asked
      for.
    - V(fail) is what was observed and is wrong; V(unverified) is what could not be observed, such as a name that does
      not resolve, or a request that was not sent.
  type: list
  elements: dict
  returned: always
  sample:
    - id: orders
      title: GET http://localhost:8081/health
      status: pass
      observed: HTTP 200 in 3 ms
      expected: HTTP 200
      hint: ""
      runbook: ""
      duration_ms: 3
findings:
  description: Always empty; what the checks mean is for the caller to say.
  type: list
  elements: dict
  returned: always
responses:
  description: What came back, in the order of O(requests), without those that were not sent.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The id of the request.
      type: str
    method:
      description: The method.
      type: str
    url:
      description: The URL that was asked, without credentials.
      type: str
    status:
      description: The HTTP code, V(null) when there was no answer.
      type: int
    latency_ms:
      description: From sending to the last byte, of the last try.
      type: int
    attempts:
      description: How often it was sent because of lost connections or HTTP 429, 502, 503, 504.
      type: int
    polls:
      description: How often it was asked because of C(until).
      type: int
    bytes:
      description: Length of the body as far as it was read.
      type: int
    content_type:
      description: Media type of the body.
      type: str
    redirects:
      description: The URLs that were followed.
      type: list
      elements: str
    location:
      description: Where a redirect that was not followed leads.
      type: str
    problem:
      description: What went wrong on the way, empty when nothing did.
      type: str
    problem_kind:
      description:
        - Its class, one of deadline, name, refused, unreachable, connect_timeout, proxy, tls, timeout, closed,
          truncated, broken, redirects, request; empty when there is none.
      type: str
    json:
      description: The JSON answer, without secrets; V(null) when it is longer than O(max_json_chars) or no JSON.
      type: raw
    text:
      description: The beginning of the answer where C(json) is V(null), without secrets.
      type: str
    cut:
      description: Whether there was more than is returned.
      type: bool
    captured:
      description: The captured values, those with secret-like names struck out.
      type: dict
planned:
  description: The requests that check mode held back.
  type: list
  elements: dict
  returned: always
  contains:
    id:
      description: The id of the request.
      type: str
    method:
      description: The method.
      type: str
    url:
      description: The URL that would be asked.
      type: str
    reason:
      description: Why it was not sent.
      type: str
"""

from ansible_collections.sre.runbooks.plugins.module_utils import http_probe, operation

REQUIRES = ("urllib3", "jmespath", "PyJWT")


def main() -> None:
    operation.main(http_probe.SPEC, http_probe.run, REQUIRES)


if __name__ == "__main__":
    main()

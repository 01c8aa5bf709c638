#!/usr/bin/python
# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backoffice_gateway
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Check that the order gateway answers and publishes to Kafka
description:
  - Reads C(/health) and C(/metrics) of the order gateway in front of a BackOffice.
  - The gateway accepts orders with its publisher off, which is its default, and nothing arrives anywhere. That is what
    the check C(gateway.publisher) shows.
extends_documentation_fragment:
  - sre.runbooks.http_client
  - sre.runbooks.attributes
  - sre.runbooks.attributes.read_only
options:
  url:
    description: Base URL of the gateway.
    type: str
    required: true
  max_queue_depth:
    description: Most events that may wait in the publisher for the broker.
    type: int
    default: 100
"""

EXAMPLES = r"""
- name: Can orders arrive
  sre.runbooks.backoffice_gateway:
    url: http://localhost:8081
  register: gateway
"""

RETURN = r"""
verdict:
  description: The worst status of the checks.
  type: str
  returned: always
  choices: [pass, fail, unverified]
checks:
  description: The checks C(gateway.health), C(gateway.publisher) and C(gateway.queue).
  type: list
  elements: dict
  returned: always
findings:
  description: Always empty.
  type: list
  elements: dict
  returned: always
url:
  description: The gateway that was asked.
  type: str
  returned: always
  sample: http://localhost:8081
publisher:
  description: The publisher's series, V(null) when they could not be read.
  type: dict
  returned: always
  contains:
    enabled:
      description: Whether it is on.
      type: bool
    queue_depth:
      description: Events that wait for the broker.
      type: int
    dropped:
      description: Events dropped by a full queue since the gateway's start.
      type: int
    errors:
      description: Events that could not be sent since the gateway's start.
      type: int
"""

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_gateway, operation

REQUIRES = ("urllib3", "prometheus-client")


def main() -> None:
    operation.main(backoffice_gateway.SPEC, backoffice_gateway.run, REQUIRES)


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: instance_targets
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.2.0
short_description: Services of an inventory as targets of modules that ask instances
description:
  - Gives the O(ignore:targets) option of M(sre.runbooks.actuator_health) and M(sre.runbooks.metrics_probe). A service that has a
    C(url) is asked there; any other is asked at each pod behind its Service, through the API server.
positional: namespace
options:
  _input:
    description: Services as R(sre.runbooks.services filter,ansible_collections.sre.runbooks.services_filter) gives them.
    type: list
    elements: dict
    required: true
  namespace:
    description: Namespace of the Services.
    type: str
    required: true
  options:
    description: Further options of every target.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Ask every pod of two services
  sre.runbooks.actuator_health:
    targets: "{{ ['case-service', 'vault-service'] | sre.runbooks.services(usual) | sre.runbooks.instance_targets('hafnium') }}"
  vars:
    usual:
      service: "{name}"
      port: 8080
"""

RETURN = r"""
_value:
  description: One target for each service, in their order.
  type: list
  elements: dict
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError


def instance_targets(
    services: Iterable[Mapping[str, Any]], namespace: str, options: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """One target for each service: its url, or its Service and port."""
    return [{**_place(service, namespace), **(options or {})} for service in services]


def _place(service: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    if service.get("url"):
        return {"name": service["name"], "url": service["url"]}
    absent = [key for key in ("service", "port") if not service.get(key)]
    if absent:
        raise AnsibleFilterError(f"service {service.get('name')!r} has neither a url nor {' and '.join(absent)}")
    place = {"name": service["name"], "namespace": namespace}
    return {**place, "service": service["service"], "port": service["port"]}


class FilterModule:
    """Ansible's way to the filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"instance_targets": instance_targets}

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: services
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.2.0
short_description: The services of a system with all their names, or those of them that a run selects
description:
  - An inventory lists services by name and says only what differs from the usual. This filter fills in the rest from a
    pattern, and picks what a run selects.
  - A name that is not in the list is an error that shows those that are; it never selects nothing.
positional: defaults, selected
options:
  _input:
    description: The services of the inventory, each a dictionary with at least C(name), or just its name.
    type: list
    elements: raw
    required: true
  defaults:
    description:
      - What a service has when it does not say otherwise. C({name}) in a text stands for its name, also in lists and
        dictionaries.
    type: dict
    default: {}
  selected:
    description:
      - Names to pick, as a list or separated by commas; V(all) picks all of them.
      - Without it all services are given. Empty is an error, as it is what a forgotten variable looks like.
    type: raw
"""

EXAMPLES = r"""
# [{'name': 'case-service', 'hpa': 'case-service-hpa', 'port': 8080}]
- name: What is known of one service
  ansible.builtin.debug:
    msg: "{{ services | sre.runbooks.services({'hpa': '{name}-hpa', 'port': 8080}, 'case-service') }}"
  vars:
    services:
      - name: case-service
      - name: vault-service
        port: 8084
"""

RETURN = r"""
_value:
  description: The services, filled in, in the order of the inventory.
  type: list
  elements: dict
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

ALL = "all"


def services(
    listed: Sequence[Any], defaults: Mapping[str, Any] | None = None, selected: Any = None
) -> list[dict[str, Any]]:
    """The services, filled in from the defaults; only those that are selected."""
    if isinstance(listed, str | Mapping) or not isinstance(listed, Sequence) or not listed:
        raise AnsibleFilterError(f"the services must be a list with at least one, not {listed!r}")
    known = {str(service["name"]): service for service in (_filled(entry, defaults or {}) for entry in listed)}
    if len(known) != len(listed):
        raise AnsibleFilterError(f"the list of services names one of them twice: {', '.join(_names(listed))}")
    return list(known.values()) if selected is None else [known[name] for name in _chosen(selected, list(known))]


def _filled(entry: Any, defaults: Mapping[str, Any]) -> dict[str, Any]:
    own = {"name": entry} if isinstance(entry, str) else entry
    if not isinstance(own, Mapping) or not own.get("name"):
        raise AnsibleFilterError(f"each service needs a name; found {entry!r}")
    name = str(own["name"])
    return {**_named(dict(defaults), name), **own}


def _named(value: Any, name: str) -> Any:
    """The value with the service's name in its texts, however deep they lie."""
    if isinstance(value, str):
        return value.replace("{name}", name)
    if isinstance(value, Mapping):
        return {key: _named(inner, name) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes):
        return [_named(inner, name) for inner in value]
    return value


def _names(listed: Sequence[Any]) -> list[str]:
    return [str(entry["name"]) if isinstance(entry, Mapping) else str(entry) for entry in listed]


def _chosen(selected: Any, known: list[str]) -> list[str]:
    """The selected names in the inventory's order."""
    given = selected.split(",") if isinstance(selected, str) else list(selected)
    wanted = [str(name).strip() for name in given if str(name).strip()]
    there = f"There are: {', '.join(known)}."
    if not wanted:
        raise AnsibleFilterError(f"no service is selected. Name one, several separated by commas, or {ALL!r}. {there}")
    if wanted == [ALL]:
        return known
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise AnsibleFilterError(f"no service is named {', '.join(unknown)}. {there}")
    return [name for name in known if name in wanted]


class FilterModule:
    """Ansible's way to the filters of this file."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"services": services}

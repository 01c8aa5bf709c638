# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
name: deployments
author:
  - sre.runbooks developers (@sre-runbooks)
version_added: 0.1.0
short_description: Host pattern of a play, refused when it would select nothing
description:
  - Gives the host pattern of the deployments that a runbook playbook acts on, for the C(hosts) of its play.
  - Ansible exits with 0 when a play selects no host (no inventory, a misspelt group, a C(--limit) that misses) or no
    task (C(--tags) that match nothing). A procedure that did nothing must not look like one that passed, so this lookup
    fails instead and says what was found.
options:
  _terms:
    description: Groups of deployments. At least one host of one of them must be selected.
    type: list
    elements: str
    required: true
  exactly_one:
    description: Refuse to select more than one deployment.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Verify every BackOffice of the inventory
  hosts: "{{ lookup('sre.runbooks.deployments', 'backoffice') }}"
  gather_facts: false
  tasks:
    - name: Verify
      ansible.builtin.include_role:
        name: sre.runbooks.backoffice
        tasks_from: verify

- name: Act on exactly one deployment
  hosts: "{{ lookup('sre.runbooks.deployments', 'backoffice', exactly_one=true) }}"
  gather_facts: false
  tasks: []
"""

RETURN = r"""
_raw:
  description: The host pattern, for example V(backoffice:hafnium). Ansible applies C(--limit) to it as usual.
  type: list
  elements: str
"""

from typing import Any

from ansible import context
from ansible.errors import AnsibleError
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.lookup import LookupBase


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        known = variables or {}
        groups = known.get("groups", {})
        wanted = [str(term) for term in terms]
        if context.CLIARGS.get("syntax"):
            return [":".join(wanted)]  # nothing is run, so nothing can be missed
        present = [group for group in wanted if groups.get(group)]
        if not present:
            raise AnsibleError(
                f"nothing to act on: the inventory has no host in {_names(wanted, 'group')}. "
                f"{_inventory(groups)} Name your inventory with -i; a deployment is a host of such a group."
            )
        _refuse_tags(known)
        limit = known.get("ansible_limit")
        selected = _selected(groups, present, limit)
        if not selected:
            there = sorted({host for group in present for host in groups[group]})
            raise AnsibleError(
                f"nothing to act on: --limit {limit} leaves no host of {_names(present, 'group')}, "
                f"which has: {', '.join(there)}."
            )
        if self.get_option("exactly_one") and len(selected) > 1:
            raise AnsibleError(
                f"this procedure acts on exactly one deployment, and {len(selected)} are selected: "
                f"{', '.join(selected)}. Choose one with --limit."
            )
        return [":".join(present)]


def _names(groups: list[str], noun: str) -> str:
    return f"{noun}{'s' if len(groups) > 1 else ''} {', '.join(groups)}"


def _inventory(groups: dict[str, list[str]]) -> str:
    known = sorted(group for group, hosts in groups.items() if hosts and group not in ("all", "ungrouped"))
    return (
        f"Groups with hosts: {', '.join(known)}." if known else "It has no group with hosts (is there an inventory?)."
    )


def _refuse_tags(variables: dict[str, Any]) -> None:
    run_tags = list(variables.get("ansible_run_tags") or ["all"])
    skip_tags = list(variables.get("ansible_skip_tags") or [])
    if "all" not in run_tags or skip_tags:
        raise AnsibleError(
            f"this playbook is run whole: --tags {','.join(map(str, run_tags))} --skip-tags "
            f"{','.join(map(str, skip_tags)) or '(none)'} could leave out the steps that verify. Run it without them."
        )


def _selected(groups: dict[str, list[str]], present: list[str], limit: str | None) -> list[str]:
    """The hosts that Ansible would select: the same inventory code, over the groups that it gave us."""
    inventory = InventoryManager(loader=DataLoader(), sources=None, parse=False)
    for group, hosts in groups.items():
        inventory.add_group(group)
        for host in hosts:
            inventory.add_host(host, group=group)
    inventory.subset(limit)
    return [host.name for host in inventory.get_hosts(":".join(present))]

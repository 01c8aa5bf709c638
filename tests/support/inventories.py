# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible makes of an inventory: the value of each variable that it gives a host, templates rendered."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.playbooks import ROOT

SHIPPED = {path.name: path for path in sorted((ROOT / "inventories").iterdir())}
SECONDS = 120

# A process of its own: the loader of plugins replaces how collections are imported.
_READ = """\
import json, sys
from pathlib import Path
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader
from ansible.template import Templar
from ansible.vars.manager import VariableManager

init_plugin_loader([])
loader = DataLoader()
defaults = {}
for path in sorted(Path(sys.argv[2]).glob("*/defaults/main.yml")):
    defaults.update(loader.load_from_file(str(path), trusted_as_template=True))
inventory = InventoryManager(loader=loader, sources=[sys.argv[1]])
manager = VariableManager(loader=loader, inventory=inventory)
nobody = set(VariableManager(loader=loader, inventory=InventoryManager(loader=loader, sources=["x,"])).get_vars(
    host=InventoryManager(loader=loader, sources=["x,"]).get_host("x")))
found = {}
for host in inventory.get_hosts():
    given = manager.get_vars(host=host)
    templar = Templar(loader=loader, variables={**defaults, **given})
    found[host.name] = values = {"groups": sorted(group.name for group in host.get_groups()), "values": {}, "errors": {}}
    for name in sorted(set(given) - nobody):
        try:
            values["values"][name] = templar.template(given[name])
        except Exception as error:
            values["errors"][name] = str(error)
print(json.dumps(found, default=str))
"""


@dataclass
class Host:
    """A host of an inventory: its groups, its variables, and why some have no value."""

    groups: list[str]
    values: dict[str, Any]
    errors: dict[str, str]


def hosts(inventory: Path, **environment: str) -> dict[str, Host]:
    """Every host by name; defaults of roles are known, as they are in a run."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "PYTHONPATH"))}
    done = subprocess.run(
        [sys.executable, "-c", _READ, str(inventory), str(ROOT / "roles")],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr
    return {name: Host(**found) for name, found in json.loads(done.stdout).items()}

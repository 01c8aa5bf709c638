# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A throw-away tree that holds this collection and, beside its own, modules for tests only."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
TWIN = """\
from __future__ import annotations

from ansible_collections.sre.runbooks.plugins.plugin_utils.in_process import in_process

ActionModule = in_process(__name__)
"""
RUN_SECONDS = 240


def make(folder: Path, modules: Mapping[str, str]) -> Path:
    """Link the collection into ``folder`` and add ``modules`` (name to source), each with its twin.

    Returns the folder to put on ANSIBLE_COLLECTIONS_PATH. Everything but plugins/modules and plugins/action is the
    checkout's own, by links.
    """
    target = folder / "ansible_collections" / "sre" / "runbooks"
    plugins = target / "plugins"
    plugins.mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name in ("galaxy.yml", "meta", "roles", "playbooks"):
            (target / entry.name).symlink_to(entry)
    for entry in (ROOT / "plugins").iterdir():
        if entry.name not in ("modules", "action"):
            (plugins / entry.name).symlink_to(entry)
    for kind in ("modules", "action"):
        (plugins / kind).mkdir()
        for entry in (ROOT / "plugins" / kind).glob("*.py"):
            (plugins / kind / entry.name).symlink_to(entry)
    for name, source in modules.items():
        (plugins / "modules" / f"{name}.py").write_text(source, encoding="utf-8")
        (plugins / "action" / f"{name}.py").write_text(TWIN, encoding="utf-8")
    return folder


def environment(collections: Path, home: Path, **more: str) -> dict[str, str]:
    """Environment variables of an ansible-playbook that knows only this tree and nothing of the machine's settings."""
    empty = home / "ansible.cfg"
    empty.touch()
    ours = ("ANSIBLE_", "RUNBOOK_", "PROBE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {
        **kept,
        "ANSIBLE_CONFIG": str(empty),
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_HOME": str(home / "ansible"),
        "ANSIBLE_LOCAL_TEMP": str(home / "local-tmp"),
        "ANSIBLE_REMOTE_TEMP": str(home / "remote-tmp"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_NOCOWS": "1",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_DEPRECATION_WARNINGS": "true",
        "ANSIBLE_ASYNC_DIR": str(home / "async"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        **more,
    }


def ansible_playbook(
    *arguments: str, env: Mapping[str, str], cwd: Path, seconds: float = RUN_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the ansible-playbook of this interpreter's environment; bounded in time."""
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    return subprocess.run(
        [program, *arguments],
        env=dict(env),
        cwd=cwd,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
        stdin=subprocess.DEVNULL,
    )

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A systemctl and a journalctl for a PATH of its own: units live in a JSON file, every call is written down.

A unit holds the properties that ``systemctl show`` prints; its key ``on_start`` says what a start makes of it: ``run``,
``die`` (ends with status 1), ``retry`` (auto-restart), ``job`` (the job stays queued for three looks) or ``deny``.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PROGRAM = """#!{python}
import sys
sys.path.insert(0, {folder!r})
from fake_systemctl import main
main({home!r}, {name!r})
"""
STARTED = {"ExecMainStartTimestamp": "Wed 2031-04-02 08:00:01 UTC", "ExecMainExitTimestamp": "", "Job": "0"}
ENDED = {
    "ExecMainExitTimestamp": "Wed 2031-04-02 08:00:02 UTC",
    "ExecMainCode": "1",
    "ExecMainStatus": "1",
    "MainPID": "0",
}


def unit(active: str = "inactive", sub: str = "dead", **properties: str) -> dict[str, str]:
    """The properties of a unit that was never started, with what is given on top."""
    return {
        "LoadState": "loaded",
        "ActiveState": active,
        "SubState": sub,
        "Result": "success",
        "MainPID": "0",
        "ExecMainCode": "0",
        "ExecMainStatus": "0",
        "ExecMainStartTimestamp": "",
        "ExecMainExitTimestamp": "",
        "NRestarts": "0",
        "Job": "0",
        "UnitFileState": "enabled",
        "FragmentPath": "/etc/systemd/system/x.service",
        **properties,
    }


class Home:
    """The folder to put on PATH; ``units`` is read and written by the programs in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("systemctl", "journalctl"):
            program = folder / name
            here = str(Path(__file__).parent)
            program.write_text(PROGRAM.format(python=sys.executable, folder=here, home=str(folder), name=name))
            program.chmod(0o755)
        self.write({})

    def write(self, units: dict[str, dict[str, str]], **settings: Any) -> None:
        (self.folder / "units.json").write_text(json.dumps({"units": units, "journal": "", "broken": "", **settings}))

    def read(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads((self.folder / "units.json").read_text())
        return state

    def calls(self) -> list[str]:
        """The calls that change something, in order."""
        path = self.folder / "calls.log"
        lines = path.read_text().splitlines() if path.exists() else []
        return [line for line in lines if " show " not in line and "journalctl" not in line]


def main(home: str, program: str) -> None:
    folder = Path(home)
    state = json.loads((folder / "units.json").read_text())
    with (folder / "calls.log").open("a") as log:
        log.write(" ".join([program, *sys.argv[1:]]) + "\n")
    if state["broken"]:
        sys.stderr.write(state["broken"])
        sys.exit(1)
    if program == "journalctl":
        sys.stdout.write(state["journal"])
        return
    words = [word for word in sys.argv[1:] if not word.startswith("--")]
    verb, names = words[0], words[1:]
    if verb == "show":
        print("\n\n".join(_block(state["units"], name) for name in names))
    for name in names if verb in ("start", "stop", "reset-failed") else []:
        _act(verb, state["units"][name])
    (folder / "units.json").write_text(json.dumps(state))


def _block(units: dict[str, dict[str, str]], name: str) -> str:
    found = units.get(name) or unit(
        LoadState="not-found", LoadError=f"org.freedesktop.systemd1.NoSuchUnit {name} not found"
    )
    looks = int(found.get("looks", "0"))
    if looks:
        found["looks"] = str(looks - 1)
        if looks == 1:
            _run(found)
    return "\n".join(f"{key}={value}" for key, value in {"Id": f"{name}.service", **found}.items())


def _run(found: dict[str, str]) -> None:
    found.update(STARTED, ActiveState="active", SubState="running", MainPID="4711")


def _act(verb: str, found: dict[str, str]) -> None:
    how = found.get("on_start", "run")
    if verb == "reset-failed":
        found["Result"] = "success"
    elif verb == "stop":
        found.update(ENDED, ActiveState="inactive", SubState="dead", ExecMainCode="2", ExecMainStatus="15")
    elif how == "deny":
        sys.stderr.write("Failed to start x.service: Interactive authentication required.\n")
        sys.exit(1)
    elif found["Result"] == "start-limit-hit":
        sys.stderr.write("Failed to start x.service: start request repeated too quickly.\n")
        sys.exit(1)
    elif how == "run":
        _run(found)
    elif how == "job":
        found.update(Job="17", looks="3")
    elif how == "retry":
        found.update(
            STARTED | ENDED, ActiveState="activating", SubState="auto-restart", Result="exit-code", NRestarts="1"
        )
    elif how == "die":
        found.update(STARTED | ENDED, ActiveState="failed", SubState="failed", Result="exit-code")

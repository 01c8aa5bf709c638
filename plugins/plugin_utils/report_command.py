# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The next command of a finding, as it can be pasted into a shell."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

COLLECTION = "sre.runbooks."
_PLAIN = re.compile(r"[A-Za-z0-9_.,:/@%+-]+")


def next_commands(step: Mapping[str, Any], inventory: Sequence[str], host: str) -> list[dict[str, str]]:
    """The commands of one next step, in the order to run them: ``[{label, command}]``.

    step: playbook, args and effect of a finding. inventory: the sources of this run. host: the deployment it is for.
    What changes a system comes with its rehearsal in check mode first.
    """
    playbook = str(step["playbook"])
    name = playbook if playbook.startswith(COLLECTION) or "/" in playbook else COLLECTION + playbook
    words = ["ansible-playbook", name, *(part for source in inventory for part in ("-i", source)), "--limit", host]
    line = shlex.join([*words, *_extra_vars(step.get("args") or {})])
    if step.get("effect") == "read":
        return [{"label": "Look closer (reads only)", "command": line}]
    does = "Do it (destroys data)" if step.get("effect") == "destroy" else "Do it (changes the system)"
    return [
        {"label": "Rehearse (changes nothing)", "command": f"{line} --check --diff"},
        {"label": does, "command": line},
    ]


def _extra_vars(arguments: Mapping[str, Any]) -> list[str]:
    """Variables for the command line; as one JSON text when one is not a plain word, so that types survive."""
    if all(isinstance(value, str) and _PLAIN.fullmatch(value) for value in arguments.values()):
        return [part for name, value in arguments.items() for part in ("-e", f"{name}={value}")]
    return ["-e", json.dumps(dict(arguments), ensure_ascii=False)]

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The folder of one run: made so that two runs never share one, appended to as the run goes, never half written."""

from __future__ import annotations

import datetime
import json
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import Any

EVENTS = "events.jsonl"
ATTEMPTS = 8


def create(parent: Path, playbook: str, now: datetime.datetime) -> Path:
    """Make the folder ``<UTC time>-<playbook>-<random>`` (mode 0700) under ``parent``, which is made when missing.

    Raises OSError when it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._]+", "_", re.sub(r"\.ya?ml$", "", playbook)).strip("._")[:80] or "playbook"
    for _attempt in range(ATTEMPTS):
        folder = parent / f"{now:%Y%m%dT%H%M%SZ}-{name}-{secrets.token_hex(3)}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder.resolve()
    raise FileExistsError(f"no free folder name under {parent} in {ATTEMPTS} attempts")


def append(folder: Path, event: dict[str, Any]) -> None:
    """Add one line to the event log."""
    descriptor = os.open(folder / EVENTS, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
        stream.write(_line(event))


def rewrite(folder: Path, events: list[dict[str, Any]]) -> None:
    """Replace the whole event log."""
    write(folder / EVENTS, "".join(_line(event) for event in events))


def write(path: Path, content: str) -> None:
    """Put ``content`` into ``path`` (mode 0600) in one step: a reader sees the old file or the new one."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _line(event: dict[str, Any]) -> str:
    return json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"

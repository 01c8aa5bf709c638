# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The environment with which a process was started, of which only named, harmless variables are ever read out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from . import redact
from .errors import InputError

_SECRET_NAME = re.compile(r"(?i)pass|secret|token|key|credential|auth|cookie|jaas")
MOST_BYTES = 262_144
VALUE_CHARACTERS = 500


def check_names(names: Iterable[str], option: str) -> list[str]:
    """The names as they are; InputError for one whose value could be a secret."""
    wanted = list(names)
    secret = [name for name in wanted if _SECRET_NAME.search(name)]
    if secret:
        raise InputError(
            f"{option} names {', '.join(secret)}, whose value could be a secret; such values are never read."
        )
    return wanted


def read(pid: int, names: Iterable[str], proc: Path = Path("/proc")) -> dict[str, str] | None:
    """Value of each variable that is set; None when the process is gone or may not be looked at.

    It is what the process was given at its start: a program that changes its own environment does not show it here.
    """
    try:
        with (proc / str(pid) / "environ").open("rb") as file:
            raw = file.read(MOST_BYTES)
    except OSError:
        return None
    given = dict(item.partition(b"=")[::2] for item in raw.split(b"\0") if b"=" in item)
    return {name: redact.observed(given[name.encode()], VALUE_CHARACTERS) for name in names if name.encode() in given}

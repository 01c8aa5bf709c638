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
MOST_BYTES = 1 << 20
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


def given(pid: int, proc: Path = Path("/proc")) -> dict[str, str]:
    """All variables the process was given at its start, secrets included: for reading out named ones only.

    A program that changes its own environment does not show it here. Raises OSError when it may not be looked at.
    """
    with (proc / str(pid) / "environ").open("rb") as file:
        raw = file.read(MOST_BYTES)
    pairs = (entry.partition("=") for entry in raw.decode("utf-8", errors="replace").split("\0") if "=" in entry)
    return {name: value for name, _equals, value in pairs}


def read(pid: int, names: Iterable[str], proc: Path = Path("/proc")) -> dict[str, str] | None:
    """Value of each named variable that is set, redacted; None when the process is gone or may not be looked at."""
    try:
        variables = given(pid, proc)
    except OSError:
        return None
    return {name: redact.observed(variables[name], VALUE_CHARACTERS) for name in names if name in variables}

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which processes of this machine hold a file open, by /proc.

A writer that keeps an old file after another was put in its place loses every event from then on, so whoever replaces
a file must know. What cannot be inspected is counted: it is not the same as nobody.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .text import clean

PROC = Path("/proc")


@dataclass(frozen=True)
class Holder:
    pid: int
    command: str
    writes: bool

    def as_dict(self) -> dict[str, Any]:
        return {"pid": self.pid, "command": self.command, "writes": self.writes}

    def __str__(self) -> str:
        return f"{self.command} (pid {self.pid})"


@dataclass
class Holders:
    """``hidden`` says why some process could not be inspected; empty when all could."""

    holders: list[Holder] = field(default_factory=list)
    hidden: str = ""

    @property
    def writers(self) -> list[Holder]:
        return [holder for holder in self.holders if holder.writes]


def holders_of(device: int, inode: int, proc: Path = PROC) -> Holders:
    """All processes, other than this one, that hold the file open."""

    def is_it(descriptor: Path) -> bool:
        status = descriptor.stat()
        return (status.st_dev, status.st_ino) == (device, inode)

    return _search(is_it, proc)


def holders_of_replaced(path: str, proc: Path = PROC) -> Holders:
    """All processes that hold a file open that stood at ``path`` and was deleted or replaced since."""
    return _search(lambda descriptor: str(descriptor.readlink()) == f"{path} (deleted)", proc)


def _search(is_it: Callable[[Path], bool], proc: Path) -> Holders:
    found = Holders()
    if not (proc / "self" / "fd").is_dir():
        found.hidden = f"this machine has no {proc} that shows open files"
        return found
    unseen = 0
    for entry in proc.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            holder = _holder(entry, is_it)
        except PermissionError:
            unseen += 1
            continue
        except (FileNotFoundError, ProcessLookupError, NotADirectoryError):  # it ended in the meantime
            continue
        if holder:
            found.holders.append(holder)
    if unseen:
        found.hidden = f"user id {os.geteuid()} may not see the open files of {unseen} processes"
    elif not (proc / "1").is_dir():
        found.hidden = f"{proc} hides the processes of other users from user id {os.geteuid()}"
    return found


def _holder(process: Path, is_it: Callable[[Path], bool]) -> Holder | None:
    held = False
    for descriptor in (process / "fd").iterdir():
        try:
            if not is_it(descriptor):
                continue
        except (FileNotFoundError, ProcessLookupError):
            continue
        held = True
        if _writes(process / "fdinfo" / descriptor.name):
            return Holder(int(process.name), _command(process), writes=True)
    return Holder(int(process.name), _command(process), writes=False) if held else None


def _writes(info: Path) -> bool:
    try:
        text = info.read_text("ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    flags = next((line.split()[1] for line in text.splitlines() if line.startswith("flags:")), "2")
    return int(flags, 8) & os.O_ACCMODE != os.O_RDONLY


def _command(process: Path) -> str:
    """The short name only: a command line can hold secrets."""
    try:
        return clean((process / "comm").read_text("utf-8", errors="replace").strip())
    except OSError:
        return "a process"

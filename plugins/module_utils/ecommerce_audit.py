# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The audit copy of rows before they are deleted: JSON lines, readable by its owner only, on the disk before it has a name.

The first line says where the rows come from; each further one is a row as the server tells it, all columns.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import InputError, RefusedError, RunbookError
from .ledger_newfile import new_file

FORMAT = 1
PRIVATE = 0o600
MOST_IN_A_SECOND = 100


@dataclass(frozen=True)
class Copy:
    """A file that was written."""

    path: str
    rows: int
    size_bytes: int
    sha256: str

    def as_dict(self) -> dict[str, Any]:
        return {"path": self.path, "rows": self.rows, "size_bytes": self.size_bytes, "sha256": self.sha256}


def folder(option: str, path: str) -> str:
    """The folder for copies. InputError when it is none, RefusedError when nothing can be written there."""
    if not os.path.isdir(path):
        raise InputError(f"{option} {path} is no folder on this machine. Create it, readable by you only.")
    if not os.access(path, os.W_OK | os.X_OK):
        raise RefusedError(f"{option} {path}: user id {os.geteuid()} may not write there. Nothing was deleted.")
    return os.path.realpath(path)


def write(directory: str, stem: str, now: float, header: dict[str, Any], rows: Iterable[str]) -> Copy | None:
    """Write the rows, each a JSON text, under a name that is not taken; None, and no file, when there is no row.

    ``now`` is epoch seconds. RunbookError when it cannot be written.
    """
    stamp = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    plain = re.sub(r"[^A-Za-z0-9.-]+", "_", stem).strip("_.")
    digest, count, size = hashlib.sha256(), 0, 0
    try:
        with new_file(directory, PRIVATE) as file:
            for text in (json.dumps({"format": FORMAT, **header}, sort_keys=True), *rows):
                line = text.encode() + b"\n"
                file.write(line)
                digest.update(line)
                count, size = count + 1, size + len(line)
            if count == 1:
                return None
            for number in range(MOST_IN_A_SECOND):
                path = os.path.join(directory, f"{plain}-{stamp}{f'.{number}' if number else ''}.jsonl")
                try:
                    file.name(path)
                except FileExistsError:
                    continue
                return Copy(path, count - 1, size, digest.hexdigest())
    except OSError as error:
        raise RunbookError(
            f"no audit copy could be written to {directory}: {error.strerror}. Nothing was deleted."
        ) from error
    raise RefusedError(f"{directory} holds {MOST_IN_A_SECOND} copies of this second. Nothing was deleted; try again.")

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The quarantine file: the lines that were taken out of a ledger, byte for byte, and what is needed to put them back.

JSON lines. The first is the header, each further one a removed line (``bytes_base64`` with its terminator), in the end
one record for each restore. Its name and that of the backup share one stamp.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
from dataclasses import dataclass
from typing import Any

from .errors import InputError, RefusedError
from .ledger_file import LedgerFile
from .ledger_newfile import new_file
from .ledger_plan import Plan
from .operation import Context

FORMAT = 1
PRIVATE = 0o600
BACKUP, QUARANTINE, ASIDE = ".backup", ".quarantine.jsonl", ".aside"
INCOMING, OUTGOING = ".incoming", ".outgoing"
MOST_IN_A_SECOND = 100


@dataclass(frozen=True)
class Places:
    """The folders for the copies."""

    backup_dir: str
    quarantine_dir: str

    @classmethod
    def of(cls, ledger_path: str, backup_dir: str | None, quarantine_dir: str | None) -> Places:
        for option, folder in (("backup_dir", backup_dir), ("quarantine_dir", quarantine_dir)):
            if folder and not os.path.isdir(folder):
                raise InputError(f"{option} {folder} is no folder on this machine. Create it, or leave the option out.")
        beside = os.path.dirname(ledger_path)
        return cls(os.path.realpath(backup_dir or beside), os.path.realpath(quarantine_dir or beside))


@dataclass(frozen=True)
class Names:
    """The names one run uses; none of them is taken."""

    backup: str
    quarantine: str
    aside: str
    incoming: str
    outgoing: str

    @classmethod
    def free(cls, ledger_path: str, places: Places, snapshot_path: str, context: Context) -> Names:
        folder, name = os.path.split(ledger_path)
        for number in range(MOST_IN_A_SECOND):
            stamp = time_of(context, "%Y%m%dT%H%M%SZ") + (f".{number}" if number else "")
            names = cls(
                backup=os.path.join(places.backup_dir, f"{name}.{stamp}{BACKUP}"),
                quarantine=os.path.join(places.quarantine_dir, f"{name}.{stamp}{QUARANTINE}"),
                aside=f"{snapshot_path}.{stamp}{ASIDE}",
                incoming=os.path.join(folder, f".{name}.{stamp}{INCOMING}"),
                outgoing=os.path.join(folder, f".{name}.{stamp}{OUTGOING}"),
            )
            if not any(os.path.lexists(path) for path in vars(names).values()):
                return names
        raise RefusedError(f"{places.backup_dir} already holds {MOST_IN_A_SECOND} backups of this second. Try again.")


def time_of(context: Context, form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    return datetime.datetime.fromtimestamp(context.clock.now(), datetime.UTC).strftime(form)


def file_of(backup: str, folder: str) -> str:
    """The quarantine file that belongs to a backup."""
    return os.path.join(folder, os.path.basename(backup).removesuffix(BACKUP) + QUARANTINE)


def write(ledger: LedgerFile, plan: Plan, header: dict[str, Any], path: str) -> None:
    """Write the file whole, readable by its owner only."""
    with new_file(os.path.dirname(path), PRIVATE) as file:
        file.write(_line({"format": FORMAT, **header}))
        for line in plan.lines:
            content = os.pread(ledger.fd, line.length, line.offset)
            entry = {
                "line": line.number,
                "offset_bytes": line.offset,
                "length_bytes": line.length,
                "reason": line.fault.reason,
                "class": line.fault.kind,
                "bytes_base64": base64.b64encode(content).decode("ascii"),
            }
            file.write(_line(entry))
        file.name(path)


def read(path: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The header and the records of restores. RefusedError when it is no quarantine file."""
    try:
        with open(path, encoding="ascii") as stream:
            header = json.loads(stream.readline())
            if header["format"] != FORMAT:
                raise RefusedError(f"{path} has format {header['format']}; this version reads format {FORMAT}.")
            return header, [record["restored"] for record in map(_lenient, stream) if "restored" in record]
    except FileNotFoundError:
        raise RefusedError(
            f"{path} is missing: it tells what belongs to this backup. Name its folder in quarantine_dir, and the "
            "backup as the repair returned it."
        ) from None
    except OSError as error:
        raise RefusedError(f"{path} cannot be read: {error.strerror}. Run as its owner, or with become.") from None
    except (ValueError, KeyError, TypeError):
        raise RefusedError(f"{path} is no quarantine file of this module. Name its folder in quarantine_dir.") from None


def record_restore(path: str, restored: os.stat_result, context: Context) -> None:
    """Append which file takes the ledger's place, before it does: so a second run knows that it did."""
    place = {"device": restored.st_dev, "inode": restored.st_ino, "size_bytes": restored.st_size}
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        os.write(fd, b"\n" + _line({"restored": {"time": time_of(context), **place}}))
        os.fsync(fd)
    finally:
        os.close(fd)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=True).encode("ascii") + b"\n"


def _lenient(line: str) -> dict[str, Any]:
    """A record that was cut off by a crash is none."""
    try:
        value = json.loads(line)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The backup sets in a folder, and which of them are whole.

A set is good when its manifest can be read, belongs to its folder, and every file that it names is there in its size;
``verify`` reads each file again and compares its sha256.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from .backup_set import (
    MANIFEST,
    MANIFEST_BYTES,
    PARTIAL,
    PRUNED,
    Manifest,
    ManifestError,
    Saved,
    check_name,
    is_id,
    seconds_of,
    stamp_seconds,
)
from .errors import InputError

FUTURE_SECONDS = 300.0  # clocks of two machines may differ so much
MOST_SETS = 10_000
PIECE_BYTES = 1 << 20

Step = Callable[[int], None]


@dataclass
class BackupSet:
    """One set. ``problems`` says why it is not good, one line each; ``manifest`` is None when it cannot be read."""

    id: str
    folder: str
    manifest: Manifest | None
    problems: list[str] = field(default_factory=list)
    verified: bool = False

    @property
    def good(self) -> bool:
        return not self.problems

    @property
    def databases(self) -> list[Saved]:
        return self.manifest.databases if self.manifest else []

    @property
    def bytes(self) -> int:
        return sum(saved.bytes for saved in self.databases)

    @property
    def started_at(self) -> float | None:
        """Seconds since the epoch; its data is not of an earlier moment. By its name where the manifest is lost."""
        return seconds_of(self.manifest.started_at) if self.manifest else stamp_seconds(self.id)

    def age_seconds(self, now: float) -> float | None:
        """Age of its data; negative for a set that is dated in the future, None where it tells no time."""
        started = self.started_at
        return None if started is None else now - started

    def future(self, now: float) -> bool:
        """Whether it is dated later than now: then a clock was moved, and its age is not known."""
        age = self.age_seconds(now)
        return age is not None and age < -FUTURE_SECONDS

    def path(self, saved: Saved) -> str:
        return os.path.join(self.folder, saved.file)

    def verify(self, step: Step = lambda read: None) -> bool:
        """Read every file and compare its sha256; ``step`` is called with the bytes of each piece. Returns ``good``."""
        if self.good and not self.verified:
            for saved in self.databases:
                problem = sha256_problem(self.path(saved), saved, step)
                if problem:
                    self.problems.append(problem)
            self.verified = True
        return self.good


def sets(directory: str, name: str) -> list[BackupSet]:
    """The sets called ``name``, the newest first; those without a manifest, by their folder's name, among them.

    Raises InputError for a directory that is not there or cannot be read. A set never backed up is an empty list.
    """
    found = [_read(os.path.join(folder_of(directory, name), entry), entry, name) for entry in _entries(directory, name)]
    return sorted((item for item in found if item), key=lambda item: (item.started_at or 0, item.id), reverse=True)


def newest_good(
    directory: str, name: str, now: float, verify: bool = False, step: Step = lambda read: None
) -> BackupSet | None:
    """The newest good set; None when there is none. Sets that are dated in the future are passed over."""
    for item in sets(directory, name):
        if item.good and not item.future(now) and (not verify or item.verify(step)):
            return item
    return None


def named(directory: str, name: str, backup_id: str) -> BackupSet | None:
    """The set with this id; None when there is none. Raises InputError for a text that is no id of the set."""
    if not is_id(backup_id, name):
        raise InputError(f"backup is {backup_id!r}; give 'newest' or an id such as {name}-20310402T080311Z")
    return next((item for item in sets(directory, name) if item.id == backup_id), None)


def leftovers(directory: str, name: str) -> list[str]:
    """Folders of runs that did not end: unfinished backups, and sets that were being deleted."""
    return [entry for entry in _all_entries(directory, name) if entry.startswith((PARTIAL, PRUNED))]


def folder_of(directory: str, name: str) -> str:
    """Where the sets called ``name`` stand. Raises InputError for a directory that is not there, or no name."""
    check_name(name, "set")
    if not os.path.isabs(directory):
        raise InputError(f"directory is {directory!r}, a relative path: give the absolute one")
    if not os.path.isdir(directory):
        raise InputError(f"{directory} is no directory: is the disk of the backups mounted? Make it if it is new")
    return os.path.join(directory, name)


def _entries(directory: str, name: str) -> list[str]:
    return [entry for entry in _all_entries(directory, name) if is_id(entry, name)]


def _all_entries(directory: str, name: str) -> list[str]:
    folder = folder_of(directory, name)
    try:
        found = sorted(os.listdir(folder))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(
            f"{folder} cannot be read: {error.strerror}. Run the task as the owner of the backups"
        ) from error
    if len(found) > MOST_SETS:
        raise InputError(f"{folder} has {len(found)} entries; at most {MOST_SETS} are read. Prune it")
    return found


def _read(folder: str, entry: str, name: str) -> BackupSet | None:
    path = os.path.join(folder, MANIFEST)
    if not os.path.isdir(folder):
        return None
    try:
        with open(path, "rb") as file:
            text = file.read(MANIFEST_BYTES + 1)
        if len(text) > MANIFEST_BYTES:
            raise ManifestError(f"{path} is larger than {MANIFEST_BYTES} bytes")
        manifest = Manifest.of(text, path)
    except OSError as error:
        return BackupSet(entry, folder, None, [f"{path}: {error.strerror}"])
    except ManifestError as error:
        return BackupSet(entry, folder, None, [error.message])
    if (manifest.id, manifest.set) != (entry, name):
        return BackupSet(entry, folder, None, [f"{path} is the manifest of {manifest.id!r}: the folder was renamed"])
    found = BackupSet(entry, folder, manifest)
    found.problems += [told for saved in manifest.databases if (told := _size_problem(found.path(saved), saved))]
    return found


def _size_problem(path: str, saved: Saved) -> str:
    try:
        state = os.stat(path, follow_symlinks=False)
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISREG(state.st_mode):
        return f"{path} is no plain file"
    if state.st_size != saved.bytes:
        return f"{path} has {state.st_size} bytes, not {saved.bytes}: it is cut or another file"
    return ""


def sha256_problem(path: str, saved: Saved, step: Step = lambda read: None) -> str:
    """Why the file is not the one that was saved, by its content; empty when it is."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                step(len(piece))
    except OSError as error:
        return f"{path}: {error.strerror}"
    if digest.hexdigest() != saved.sha256:
        return f"{path} has sha256 {digest.hexdigest()[:16]}..., not {saved.sha256[:16]}...: its content was changed"
    return ""

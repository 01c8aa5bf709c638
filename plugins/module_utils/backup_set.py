# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A backup set on disk: names, and the manifest that is written last.

``<directory>/<set>/<set>-<yyyymmddThhmmssZ>/`` holds one dump for each database and ``manifest.json``. A folder under
work has a name with PARTIAL before it, one that is being deleted a name with PRUNED.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import pg_marker
from .errors import InputError, RunbookError
from .pg_fingerprint import Fingerprint

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 256 * 1024 * 1024
PARTIAL = ".partial-"
PRUNED = ".pruned-"
LOCK = ".lock"
OWNER = "owner.json"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_STAMP = "%Y%m%dT%H%M%SZ"
_ID = re.compile(r"(?P<set>[A-Za-z0-9][A-Za-z0-9._-]{0,62})-(?P<stamp>\d{8}T\d{6}Z)")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class ManifestError(RunbookError):
    """A manifest that is missing, cut, or not one of ours. The message tells which and why, in one line."""


@dataclass(frozen=True)
class Saved:
    """One database of a set: what the dump holds, how its server called it, and what is needed to make it again."""

    name: str
    dbname: str
    server_version: str
    system_identifier: str | None
    file: str
    bytes: int
    sha256: str
    encrypted: bool
    recipients: list[str]
    snapshot_at: str
    marker: dict[str, Any] | None
    database_bytes: int
    owner: str
    roles: list[str]
    encoding: str
    locale: dict[str, str | None]
    content: Fingerprint = field(repr=False)

    @property
    def own_tables(self) -> int:
        """How many tables it has, without that of the markers."""
        return sum(table.schema != pg_marker.SCHEMA for table in self.content.tables)

    def other_source(self, dbname: str, system_identifier: str | None) -> str:
        """How the database that is asked now differs from the one that was saved; empty when nothing tells that it does."""
        mine, theirs = self.system_identifier, system_identifier
        if mine and theirs and mine != theirs:
            return (
                f"{self.name} was saved from the server with system identifier {mine}; that of {dbname} now is {theirs}"
            )
        if dbname != self.dbname:
            return f"{self.name} was saved from the database {self.dbname}, and is {dbname} now"
        return ""

    def as_dict(self) -> dict[str, Any]:
        """As in the manifest: the fingerprint's tables, sequences and so on stand beside the rest."""
        data = asdict(self)
        return {**data, **data.pop("content")}

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Saved:
        own = {name: data[name] for name in cls.__dataclass_fields__ if name != "content"}
        saved = cls(**own, content=Fingerprint.of(data))
        if not (_NAME.fullmatch(saved.name) and saved.file == file_name(saved.name, saved.encrypted)):
            raise ValueError(f"{saved.file!r} is no file name of database {saved.name!r}")
        if not _SHA256.fullmatch(saved.sha256) or saved.bytes < 0:
            raise ValueError(f"sha256 or bytes of {saved.name!r}")
        return saved


@dataclass(frozen=True)
class Manifest:
    """What one set is. ``skew_ms`` is the longest time that may lie between the snapshots of two of its databases."""

    set: str
    id: str
    started_at: str
    finished_at: str
    skew_ms: int
    pg_dump_version: str
    databases: list[Saved]
    format: int = FORMAT

    def text(self) -> str:
        data = {**{name: getattr(self, name) for name in self.__dataclass_fields__ if name != "databases"}}
        return json.dumps({**data, "databases": [saved.as_dict() for saved in self.databases]}, indent=1) + "\n"

    @classmethod
    def of(cls, text: bytes, where: str) -> Manifest:
        """Read a manifest. ManifestError for anything else; ``where`` names the file."""
        try:
            data = json.loads(text)
            if data["format"] != FORMAT:
                raise ManifestError(f"{where} has format {data['format']!r}; this version reads format {FORMAT}")
            databases = [Saved.of(item) for item in data["databases"]]
            own = {name: data[name] for name in cls.__dataclass_fields__ if name != "databases"}
            seconds_of(data["started_at"])
            seconds_of(data["finished_at"])
            found = cls(**own, databases=databases)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ManifestError(f"{where} is no whole manifest: {type(error).__name__}: {str(error)[:200]}") from error
        if not databases or len({saved.name for saved in databases}) != len(databases):
            raise ManifestError(f"{where} names no database, or one twice")
        return found

    def saved(self, name: str) -> Saved | None:
        return next((saved for saved in self.databases if saved.name == name), None)


def check_name(name: str, option: str) -> str:
    """A name that may become part of a file name. Raises InputError."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"{option} is {name!r}; it becomes part of file names: give 1 to 63 letters, digits, '.', '_' and '-', "
            "the first a letter or digit"
        )
    return name


def file_name(database: str, encrypted: bool) -> str:
    return f"{database}.dump.age" if encrypted else f"{database}.dump"


def new_id(name: str, now: float) -> str:
    """The id of a set that is begun ``now`` (seconds since the epoch)."""
    return f"{name}-{datetime.datetime.fromtimestamp(int(now), datetime.UTC).strftime(_STAMP)}"


def is_id(text: str, name: str) -> bool:
    """Whether ``text`` is the id of a set called ``name``."""
    match = _ID.fullmatch(text)
    return match is not None and match["set"] == name


def stamp_of(backup_id: str) -> str:
    """The time part of an id, such as 20310402T080311Z."""
    return backup_id.rsplit("-", 1)[-1]


def stamp_seconds(backup_id: str) -> float | None:
    """The time in an id, in seconds since the epoch; None when it is no time."""
    try:
        return seconds_of(stamp_of(backup_id))
    except ValueError:
        return None


def iso(seconds: float) -> str:
    """ISO 8601 in UTC with milliseconds."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def seconds_of(text: str) -> float:
    """Seconds since the epoch of an ISO 8601 time with zone. Raises ValueError."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.timestamp()

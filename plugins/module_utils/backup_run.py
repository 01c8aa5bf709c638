# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module pg_backup: all databases of a set, as of one moment, whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from . import (
    backup_age,
    backup_catalog,
    backup_lock,
    backup_plan,
    backup_programs,
    backup_stream,
    databases,
    pg_fingerprint,
    pg_marker,
    postgres,
)
from .argspec import ArgumentSpec
from .backup_catalog import BackupSet
from .backup_plan import Facts
from .backup_programs import Program
from .backup_set import MANIFEST, OWNER, PARTIAL, Manifest, Saved, check_name, file_name, iso, new_id
from .databases import Database
from .errors import InputError, RefusedError, RunbookError
from .operation import Context
from .postgres import Session, major_of

T = TypeVar("T")
ARCHIVES_FROM = (16, 17)  # majors whose pg_dump writes a format that pg_restore of older ones refuses

SPEC = ArgumentSpec(
    options={
        "set": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "recipients": {"type": "list", "elements": "str", "default": []},
        "identity_file": {"type": "path"},
        "marker": {"type": "bool", "default": True},
        "fingerprint": {"type": "str", "choices": list(pg_fingerprint.DEPTHS), "default": "full"},
        "allow_empty": {"type": "bool", "default": False},
        "allow_other_source": {"type": "bool", "default": False},
        "max_age_hours": {"type": "float", "default": 0.0},
        "estimated_bytes": {"type": "int"},
        "min_free_bytes": {"type": "int", "default": 256 * 1024 * 1024},
        "min_free_percent": {"type": "float", "default": 0.0},
        "compression": {"type": "str"},
        "lock_wait_seconds": {"type": "float", "default": 60.0},
        "bin_dir": {"type": "path"},
        "timeout": {"type": "float", "default": 3600.0},
    },
).merge(databases.spec())


@dataclass
class Source:
    """One database with its open session, and what is learned of it on the way."""

    database: Database
    session: Session
    facts: Facts
    marker: pg_marker.Marker | None = None
    snapshot: str = ""
    snapshot_at: str = ""


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    _check(params)
    wanted = databases.of(params)
    for database in wanted:
        check_name(database.name, "the name of a database")
    folder = backup_catalog.folder_of(params["directory"], params["set"])
    recipients = backup_age.recipients(params["recipients"])
    identities = backup_age.identities(params["identity_file"])
    previous = backup_catalog.newest_good(params["directory"], params["set"], context.clock.now())
    _tell_of_the_future(params, context)
    with contextlib.ExitStack() as stack:
        sources = _open(wanted, params, context, stack)
        _refuse_other_source(previous, sources, params)
        pg_dump = backup_programs.find("pg_dump", params["bin_dir"], context.deadline)
        pg_restore = backup_programs.find("pg_restore", params["bin_dir"], context.deadline)
        planned = backup_plan.plan(wanted, [source.facts for source in sources], previous, folder, params)
        found = backup_lock.leftovers(folder, context.clock.now())
        result = {"changed": False, "plan": planned, "backup": None, **_told(found)}
        fresh = _fresh(previous, sources, params, context)
        if fresh:
            return {**result, "backup": fresh}
        for source in sources:
            backup_programs.refuse_older(pg_dump, source.session.server_version, source.database.name)
        _tell_of_a_newer_archive(pg_dump, sources, context)
        backup_plan.refuse_without_room(planned)
        if context.check_mode:
            return {**result, "changed": True}
        work = _Work(params, context, folder, recipients, identities, pg_dump, pg_restore, previous)
        return {**result, "changed": True, **work.make(sources)}


@dataclass
class _Work:
    """One backup under way."""

    params: Mapping[str, Any]
    context: Context
    folder: str
    recipients: Sequence[Any]
    identities: Sequence[Any]
    pg_dump: Program
    pg_restore: Program
    previous: BackupSet | None

    def make(self, sources: list[Source]) -> dict[str, Any]:
        """Back up under the lock; what was written is removed again when anything fails."""
        try:
            os.makedirs(self.folder, 0o700, exist_ok=True)
        except OSError as error:
            raise RunbookError(f"{self.folder} cannot be made: {error.strerror}") from error
        with backup_lock.alone(self.folder):
            cleared = backup_lock.clear(self.folder, self.context.clock.now())
            began = self.context.clock.now()
            backup_id = new_id(self.params["set"], began)
            final = os.path.join(self.folder, backup_id)
            if os.path.lexists(final):
                raise RefusedError(f"{final} is there already: a backup of this second was made. Run again")
            partial = os.path.join(self.folder, PARTIAL + backup_id)
            try:
                os.mkdir(partial, 0o700)
                backup_lock.sign(partial, began, self.context.deadline.seconds)
                manifest = self._fill(sources, partial, backup_id, began)
                self._publish(partial, final, manifest)
            except BaseException as error:
                with contextlib.suppress(RunbookError):
                    backup_lock.remove(partial)
                if isinstance(error, OSError):
                    raise backup_stream.DiskError(f"{partial}: {error.strerror}: nothing was published") from error
                raise
        return {"backup": _summary(manifest, final), **_told(cleared)}

    def _fill(self, sources: list[Source], partial: str, backup_id: str, began: float) -> Manifest:
        if self.params["marker"]:
            self._mark(sources, backup_id)
        with contextlib.ExitStack() as stack:
            skew_ms = _snapshots(sources, stack, self.context)
            saved = _side_by_side(self.params["concurrency"], sources, lambda source: self._dump(source, partial))
        return Manifest(
            set=self.params["set"],
            id=backup_id,
            started_at=iso(began),
            finished_at=iso(self.context.clock.now()),
            skew_ms=skew_ms,
            pg_dump_version=self.pg_dump.version,
            databases=saved,
        )

    def _mark(self, sources: list[Source], backup_id: str) -> None:
        for source in sources:
            where = (source.database.parameters, self.params, self.context.deadline, None)
            with postgres.session(*where, readonly=False) as writing:
                source.marker = pg_marker.write(writing, f"backup {backup_id}")

    def _dump(self, source: Source, partial: str) -> Saved:
        name = source.database.name
        # First what it holds, then the dump: sequences belong to no snapshot, and so never stand higher than in the dump.
        self.context.progress(f"{name}: reading what it holds")
        content = pg_fingerprint.take(source.session, self.context.deadline, self.params["fingerprint"])
        self._refuse_emptied(name, content)
        file = file_name(name, bool(self.recipients))
        path = os.path.join(partial, file)
        self.context.progress(f"{name}: dumping {source.facts.size / 1e6:.0f} MB")
        with backup_programs.running(
            self.pg_dump,
            self._arguments(source),
            backup_programs.environment(source.database.parameters),
            self.context.deadline,
            f"pg_dump of {name}",
        ) as dumping:
            written = backup_stream.save(dumping, path, self.recipients)
        saved = Saved(
            name=name,
            dbname=source.facts.dbname,
            server_version=source.facts.server_version,
            system_identifier=source.facts.system_identifier,
            file=file,
            bytes=written.bytes,
            sha256=written.sha256,
            encrypted=bool(self.recipients),
            recipients=list(self.params["recipients"]),
            snapshot_at=source.snapshot_at,
            marker=source.marker.as_dict() if source.marker else None,
            database_bytes=source.facts.size,
            owner=source.facts.owner,
            roles=source.facts.roles,
            encoding=source.facts.encoding,
            locale=source.facts.locale,
            content=content,
        )
        self._verify(saved, partial)
        return saved

    def _verify(self, saved: Saved, partial: str) -> None:
        """Read back what stands on the disk, and let pg_restore read its table of contents where we have the key."""
        problem = backup_catalog.sha256_problem(os.path.join(partial, saved.file), saved)
        if problem:
            raise backup_stream.DiskError(f"what was written is not what is read back: {problem}")
        if self.identities or not saved.encrypted:
            path = os.path.join(partial, saved.file)
            backup_stream.check_list(self.pg_restore, path, self.identities, saved.encrypted, self.context.deadline)

    def _arguments(self, source: Source) -> list[str]:
        found = ["--format=custom", "--no-password", f"--snapshot={source.snapshot}"]
        found.append(f"--lock-wait-timeout={int(self.params['lock_wait_seconds'] * 1000)}")
        if self.params["compression"]:
            found.append(f"--compress={self.params['compression']}")
        where = backup_programs.conninfo(source.database.parameters, self.params, source.facts.dbname)
        return [*found, f"--dbname={where}"]

    def _refuse_emptied(self, name: str, content: pg_fingerprint.Fingerprint) -> None:
        last = self.previous.manifest.saved(name) if self.previous and self.previous.manifest else None
        own = [table for table in content.tables if table.schema != pg_marker.SCHEMA]
        if last and last.own_tables and not own and not self.params["allow_empty"]:
            raise RefusedError(
                f"{name} has no table; in {self.previous.id if self.previous else ''} it had {last.own_tables}. Nothing was "
                "published. Is it the right database? If it is empty on purpose, set allow_empty"
            )

    def _publish(self, partial: str, final: str, manifest: Manifest) -> None:
        file = backup_stream.DumpFile(os.path.join(partial, MANIFEST))
        try:
            file.write(manifest.text().encode())
            file.sync()
        finally:
            file.close()
        _sync_folder(partial)
        os.rename(partial, final)
        os.unlink(os.path.join(final, OWNER))
        _sync_folder(final)
        _sync_folder(self.folder)


def _open(
    wanted: Sequence[Database], params: Mapping[str, Any], context: Context, stack: contextlib.ExitStack
) -> list[Source]:
    sources = []
    for database in wanted:
        session = stack.enter_context(postgres.session(database.parameters, params, context.deadline))
        if major_of(session.server_version) >= 17:
            session.rows("SELECT pg_catalog.set_config('transaction_timeout', '0', false)")
        wait_ms = int(params["lock_wait_seconds"] * 1000)
        for name, value in (("idle_in_transaction_session_timeout", 0), ("lock_timeout", wait_ms)):
            session.rows("SELECT pg_catalog.set_config(%s, %s, false)", [name, str(value)])
        sources.append(Source(database, session, backup_plan.facts(session)))
    return sources


def _refuse_other_source(previous: BackupSet | None, sources: list[Source], params: Mapping[str, Any]) -> None:
    """RefusedError when the newest whole set is of other databases: two deployments would share one set."""
    if previous is None or previous.manifest is None or params["allow_other_source"]:
        return
    for source in sources:
        last = previous.manifest.saved(source.database.name)
        why = last.other_source(source.facts.dbname, source.facts.system_identifier) if last else ""
        if why:
            raise RefusedError(
                f"the set {params['set']} is of another database: in {previous.id} {why}. Nothing was written. Give each "
                "deployment a set of its own, or it restores and prunes the other's. If the server was rebuilt, upgraded or "
                "moved (it has a new identifier then), or the database was renamed, set allow_other_source for this one run"
            )


def _snapshots(sources: list[Source], stack: contextlib.ExitStack, context: Context) -> int:
    """Open a snapshot in every database, all at once; returns the most milliseconds that may lie between two of them."""

    def one(source: Source) -> tuple[float, float]:
        before = context.clock.monotonic()
        source.snapshot = stack.enter_context(pg_fingerprint.snapshot(source.session))
        after = context.clock.monotonic()
        source.snapshot_at = pg_marker.utc(source.session.value("SELECT pg_catalog.now()"))
        return before, after

    times = _side_by_side(len(sources), sources, one)
    return math.ceil((max(after for _before, after in times) - min(before for before, _after in times)) * 1000)


def _side_by_side(most: int, sources: list[Source], work: Callable[[Source], T]) -> list[T]:
    with ThreadPoolExecutor(min(most, len(sources))) as pool:
        return list(pool.map(work, sources))


def _tell_of_the_future(params: Mapping[str, Any], context: Context) -> None:
    now = context.clock.now()
    ahead = [item.id for item in backup_catalog.sets(params["directory"], params["set"]) if item.future(now)]
    if ahead:
        context.warn(f"{ahead[0]} is dated in the future: a clock was moved. It does not count as the newest set.")


def _tell_of_a_newer_archive(pg_dump: Program, sources: list[Source], context: Context) -> None:
    """Warn where the programs of the server's own major cannot read what this pg_dump writes."""
    majors = {major_of(source.session.server_version) for source in sources}
    older = sorted(major for major in majors if any(major < first <= pg_dump.major for first in ARCHIVES_FROM))
    if older:
        context.warn(
            f"pg_dump {pg_dump.version} writes archives that pg_restore of PostgreSQL {older[0]}, the server's version, cannot "
            f"read: a restore needs pg_restore {pg_dump.major}. To make backups that its own programs restore, name the folder "
            f"of the programs of PostgreSQL {older[0]} with bin_dir."
        )


def _fresh(
    previous: BackupSet | None, sources: list[Source], params: Mapping[str, Any], context: Context
) -> dict[str, Any] | None:
    """The last good set, when it is young enough and holds every database that is asked for."""
    if previous is None or previous.manifest is None or params["max_age_hours"] <= 0:
        return None
    age = previous.age_seconds(context.clock.now())
    if age is None or age > params["max_age_hours"] * 3600:
        return None
    held = all(previous.manifest.saved(source.database.name) for source in sources)
    return _summary(previous.manifest, previous.folder) if held else None


def _summary(manifest: Manifest, folder: str) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "folder": folder,
        "started_at": manifest.started_at,
        "finished_at": manifest.finished_at,
        "skew_ms": manifest.skew_ms,
        "bytes": sum(saved.bytes for saved in manifest.databases),
        "databases": [
            {
                "name": saved.name,
                "file": saved.file,
                "bytes": saved.bytes,
                "sha256": saved.sha256,
                "encrypted": saved.encrypted,
                "snapshot_at": saved.snapshot_at,
                "marker": saved.marker,
                "tables": saved.own_tables,
                "rows": saved.content.rows,
            }
            for saved in manifest.databases
        ],
    }


def _told(found: backup_lock.Leftovers) -> dict[str, Any]:
    return {"removed_leftovers": found.removed, "kept_leftovers": found.kept}


def _sync_folder(path: str) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _check(params: Mapping[str, Any]) -> None:
    for name, least, most in (
        ("max_age_hours", 0, 24 * 365),
        ("min_free_bytes", 0, 1 << 60),
        ("min_free_percent", 0, 90),
        ("lock_wait_seconds", 1, 3600),
        ("concurrency", 1, 64),
    ):
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least} to {most}")
    if params["estimated_bytes"] is not None and not 0 < params["estimated_bytes"] <= 1 << 60:
        raise InputError(f"estimated_bytes is {params['estimated_bytes']}; it must be from 1 to {1 << 60}")
    if params["compression"] and not re.fullmatch(r"[a-z0-9:=,]{1,40}", params["compression"]):
        raise InputError(f"compression is {params['compression']!r}; give what pg_dump takes, such as zstd:3 or 6")

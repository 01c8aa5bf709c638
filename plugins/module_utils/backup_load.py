# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restoring dumps into new databases, side by side, each compared with what its manifest says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from . import backup_marks, backup_programs, backup_server, backup_stream, pg_fingerprint, postgres
from .backup_catalog import BackupSet
from .backup_marks import READY, RESTORING
from .backup_programs import Program
from .backup_set import iso
from .backup_targets import Target
from .errors import RunbookError
from .operation import Context
from .postgres import major_of

MOST_DIFFERENCES = 50


class DifferentError(RunbookError):
    """A restored database does not hold what was backed up."""


@dataclass
class Loader:
    """Fills databases from one backup set. What it makes and cannot finish it drops again."""

    params: Mapping[str, Any]
    context: Context
    backup: BackupSet
    pg_restore: Program
    identities: Sequence[Any]
    run: str
    psql: Program | None = None

    def load(self, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Restore every target under its staging name. When one fails all are dropped, and the error is raised."""
        if not targets:
            return []
        try:
            with ThreadPoolExecutor(min(self.params["concurrency"], len(targets))) as pool:
                return list(pool.map(self._one, targets))
        except BaseException:
            self.drop(targets)
            raise

    def drop(self, targets: Sequence[Target]) -> None:
        """Drop the unfinished copies, as far as the server lets us; what stays is known by its comment."""
        for target in targets:
            with contextlib.suppress(RunbookError), target.server.mending():
                target.server.drop(target.staging)

    def _one(self, target: Target) -> dict[str, Any]:
        clock = self.context.clock
        began, started = clock.now(), clock.monotonic()
        drill = self.params["state"] == "scratch"
        kind: backup_marks.Kind = "drill" if drill else "restore"
        target.server.drop(target.staging)  # of a run that was killed; it has our comment, or the plan had refused
        target.server.create(
            target.staging, target.saved, backup_marks.new(kind, self.run, self.backup.id, began, RESTORING)
        )
        self.context.progress(f"{target.saved.name}: restoring into {target.staging}")
        self._fill(target)
        restored = clock.monotonic()
        differences = self._differences(target)
        if differences:
            raise DifferentError(
                f"{target.saved.name}, restored from {self.backup.id}, does not hold what was backed up: {differences[0]}"
                + (f", and {len(differences) - 1} more" if len(differences) > 1 else "")
                + ". The copy was dropped, and nothing else was touched",
                differences=differences[:MOST_DIFFERENCES],
            )
        self._finish(target, drill)
        state = target.server.state(target.staging)
        return {
            "name": target.saved.name,
            "database": target.name,
            "kept_as": target.before if target.action == "replace" and self.params["keep_old"] else None,
            "oid": state.oid if state else None,
            "host": target.server.session.host,
            "port": int(target.server.session.port),
            "started_at": iso(began),
            "seconds": round(clock.monotonic() - started, 3),
            "restore_seconds": round(restored - started, 3),
            "tables": target.saved.own_tables,
            "rows": target.saved.content.rows,
            "verified": self.params["verify"],
        }

    def _finish(self, target: Target, drill: bool) -> None:
        """Comment, owner and settings, so that what is swapped in later is complete."""
        server, saved = target.server, target.saved
        if target.action == "replace" and target.state:
            server.copy_settings(target.state, target.staging)
        elif not drill and target.keep_owners and not server.missing_roles([saved.owner]):
            server.owner(target.staging, saved.owner)
        if self.params["state"] == "replaced":
            return  # the exchange says what it is
        kind: backup_marks.Kind = "drill" if drill else "restored"
        mark = backup_marks.new(kind, self.run, self.backup.id, self.context.clock.now(), READY)
        server.do(backup_server.comment(target.staging, mark.text()))

    def _fill(self, target: Target) -> None:
        arguments = [] if target.keep_owners else ["--no-owner", "--no-privileges"]
        if self.psql is not None and needs_script(self.pg_restore, target):
            self._fill_by_script(target, arguments, self.psql)
            return
        saved = target.saved
        arguments += ["--exit-on-error", "--no-password", f"--dbname={self._conninfo(target)}"]
        if self.params["jobs"] > 1 and not saved.encrypted:
            arguments.append(f"--jobs={self.params['jobs']}")
        with backup_programs.running(
            self.pg_restore,
            arguments if saved.encrypted else [*arguments, self._path(target)],
            backup_programs.environment(target.database.parameters),
            self.context.deadline,
            f"pg_restore of {saved.name}",
            feed=saved.encrypted,
            read=not saved.encrypted,
        ) as restoring:
            if saved.encrypted:
                backup_stream.feed(restoring, self._path(target), self.identities, saved.encrypted)
            else:
                restoring.stdout.read()
                restoring.end()

    def _fill_by_script(self, target: Target, arguments: list[str], psql: Program) -> None:
        """pg_restore writes a script, and psql runs it on the older server."""
        saved, path = target.saved, self._path(target)
        if self.params["jobs"] > 1:
            self.context.warn(f"{saved.name}: jobs has no effect, as a script is run on the older server")
        script_of = ["--file=-", *arguments, *([] if saved.encrypted else [path])]
        run_it = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--output=/dev/null", "--file=-"]
        with (
            backup_programs.running(
                self.pg_restore,
                script_of,
                {**os.environ, "LC_ALL": "C"},
                self.context.deadline,
                f"pg_restore of {saved.name}",
                feed=saved.encrypted,
            ) as script,
            backup_programs.running(
                psql,
                [*run_it, f"--dbname={self._conninfo(target)}"],
                backup_programs.environment(target.database.parameters),
                self.context.deadline,
                f"psql with the restore of {saved.name}",
                feed=True,
                read=False,
            ) as running,
            ThreadPoolExecutor(1) as pool,
        ):
            feeding = pool.submit(backup_stream.feed, script, path, self.identities, True) if saved.encrypted else None
            if not backup_stream.pour(script.stdout, running.stdin):
                script.process.kill()  # psql has stopped, and says why
                running.end()
            if feeding is not None:
                feeding.result()
            else:
                script.end()
            running.end()

    def _path(self, target: Target) -> str:
        return os.path.abspath(self.backup.path(target.saved))

    def _conninfo(self, target: Target) -> str:
        return backup_programs.conninfo(target.database.parameters, self.params, target.staging)

    def _differences(self, target: Target) -> list[str]:
        depth = self.params["verify"]
        if depth == "none":
            return []
        place = {**target.database.parameters, "dbname": target.staging}
        if not any(table.digest for table in target.saved.content.tables):
            depth = "counts"
        with postgres.session(place, self.params, self.context.deadline) as session:
            found = pg_fingerprint.fingerprint(session, self.context.deadline, depth)
        return pg_fingerprint.differences(target.saved.content, found)


def needs_script(pg_restore: Program, target: Target) -> bool:
    """Whether this pg_restore cannot fill a database of that server itself.

    From 17 on it begins with a setting that older servers do not know, and stops at the first error.
    """
    return pg_restore.major >= 17 > major_of(target.server.session.server_version)

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

from . import backup_marks, backup_programs, backup_stream, pg_fingerprint, postgres
from .backup_catalog import BackupSet
from .backup_marks import READY, RESTORING
from .backup_programs import Program
from .backup_set import iso
from .backup_targets import Target
from .errors import RunbookError
from .operation import Context

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
            with contextlib.suppress(RunbookError):
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
        if target.action == "replace":
            if target.state:
                server.copy_settings(target.state, target.staging)
            return
        if not drill and target.keep_owners and not server.missing_roles([saved.owner]):
            server.owner(target.staging, saved.owner)
        kind: backup_marks.Kind = "drill" if drill else "restored"
        mark = backup_marks.new(kind, self.run, self.backup.id, self.context.clock.now(), READY)
        server.comment(target.staging, mark.text())

    def _fill(self, target: Target) -> None:
        path = self.backup.path(target.saved)
        arguments = ["--exit-on-error", "--no-password"]
        if not target.keep_owners:
            arguments += ["--no-owner", "--no-privileges"]
        if self.params["jobs"] > 1 and not target.saved.encrypted:
            arguments.append(f"--jobs={self.params['jobs']}")
        parameters = target.database.parameters
        arguments.append(f"--dbname={backup_programs.conninfo(parameters, self.params, target.staging)}")
        encrypted = target.saved.encrypted
        with backup_programs.running(
            self.pg_restore,
            arguments if encrypted else [*arguments, os.path.abspath(path)],
            backup_programs.environment(parameters),
            self.context.deadline,
            f"pg_restore of {target.saved.name}",
            feed=encrypted,
        ) as restoring:
            if encrypted:
                backup_stream.feed(restoring, path, self.identities, encrypted)
            else:
                restoring.stdout.read()
                restoring.end()

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

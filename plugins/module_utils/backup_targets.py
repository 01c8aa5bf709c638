# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restore is going to do, database by database, before anything is touched; and the digest of that plan."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from . import backup_marks
from .backup_catalog import BackupSet
from .backup_marks import CLOSED, READY, RESTORING
from .backup_programs import Program, refuse_older
from .backup_server import Server, State, may_end
from .backup_set import Saved
from .databases import Database
from .errors import InputError, RefusedError
from .postgres import major_of

Action = Literal["create", "replace", "open", "undo", "none"]


@dataclass
class Target:
    """One database of the set and the one on the server that becomes of it.

    ``name`` is what it is called in the end, ``staging`` what it is called while it is restored (the same unless it
    replaces another), ``before`` what the replaced one is called afterwards.
    """

    database: Database
    saved: Saved
    server: Server
    name: str
    staging: str
    before: str
    undone: str
    state: State | None = None
    before_state: State | None = None
    staging_state: State | None = None
    action: Action = "none"
    missing_roles: list[str] = field(default_factory=list)
    keep_owners: bool = True

    def look(self) -> None:
        """Read anew what is there."""
        self.state = self.server.state(self.name)
        self.before_state = self.server.state(self.before)
        self.staging_state = self.server.state(self.staging) if self.staging != self.name else self.state

    def restored_from(self, backup_id: str) -> bool:
        mark = self.state.mark if self.state else None
        return mark is not None and (mark.kind, mark.backup) == ("restored", backup_id)

    @property
    def backup_of(self) -> str:
        """Whether the backup was made of this very server, in words, for those who approve the plan."""
        here, source = self.server.system_identifier(), self.saved.system_identifier
        if not here or not source:
            return "a server that is not known"
        return "this server" if here == source else "another server"

    def as_dict(self) -> dict[str, Any]:
        """The part of the plan that the digest covers: no sizes and no times, which differ from one moment to the next."""
        return {
            "name": self.saved.name,
            "source": self.saved.dbname,
            "file": self.saved.file,
            "bytes": self.saved.bytes,
            "sha256": self.saved.sha256,
            "snapshot_at": self.saved.snapshot_at,
            "host": self.server.session.host,
            "port": int(self.server.session.port),
            "system_identifier": self.server.system_identifier(),
            "source_system_identifier": self.saved.system_identifier,
            "backup_of": self.backup_of,
            "server_version": self.server.session.server_version,
            "database": self.name,
            "before": self.before if self.action == "replace" else None,
            "action": self.action,
            "existing": _existing(self.state),
            "unfinished": [
                _existing(state)
                for state in (self.before_state, self.staging_state)
                if state and state.name != self.name and self.action in ("replace", "undo")
            ],
            "owners": "keep" if self.keep_owners else "none",
            "missing_roles": self.missing_roles,
        }


def _existing(state: State | None) -> dict[str, Any] | None:
    if state is None:
        return None
    return {
        "database": state.name,
        "oid": state.oid,
        "owner": state.owner,
        "connections_allowed": state.open,
        "comment": state.comment,
    }


def digest(plan: Mapping[str, Any]) -> str:
    """sha256 of the plan as canonical JSON."""
    text = json.dumps(plan, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def decide(target: Target, state: str, backup_id: str, run: str, owners: str, pg_restore: Program) -> None:
    """Set the action of one target. Raises RefusedError or InputError where it cannot be done as asked."""
    target.look()
    where = f"{target.name} on {target.server.address}"
    if state == "undone":
        target.action = _undo(target, backup_id, where)
        _refuse_hidden(target)
        return
    _refuse_server(target, pg_restore)
    if state == "scratch":
        _refuse_of_another(target, run, where)
    target.action = _ACTIONS[state](target, backup_id, where)
    _refuse_hidden(target)
    if target.action in ("create", "replace"):
        _decide_owners(target, state, owners, where)
        if not target.server.may_create():
            raise RefusedError(
                f"{target.server.session.user} may not make databases: ALTER ROLE {target.server.session.user} CREATEDB"
            )


def _refuse_of_another(target: Target, run: str, where: str) -> None:
    """What another drill restored is neither taken for our own nor dropped: that drill may be verifying it."""
    mark = target.state.mark if target.state else None
    if mark and (mark.kind, mark.step) == ("drill", READY) and mark.run != run:
        raise RefusedError(
            f"{where} is of the drill {mark.run} of {mark.who}: wait for its end, or drop it by its drill_id with state=absent"
        )


def _scratch(target: Target, backup_id: str, where: str) -> Action:
    mark = target.state.mark if target.state else None
    if target.state is None:
        return "create"
    if mark is None or mark.kind != "drill":
        raise RefusedError(f"database {where} is there and was not made by a drill: name another one with 'into'")
    if target.server.in_work(target.name):
        raise RefusedError(f"{where} is being restored by another run (started by {mark.who}): wait for it")
    return "none" if (mark.step, mark.backup) == (READY, backup_id) else "create"


def _present(target: Target, backup_id: str, where: str) -> Action:
    mark = target.state.mark if target.state else None
    if target.state is None:
        return "create"
    if target.restored_from(backup_id):
        return "none"
    if mark is None or (mark.kind, mark.step) != ("restore", RESTORING):
        raise RefusedError(
            f"database {where} is there (oid {target.state.oid}): state=present makes a new one only. Name another one with "
            "'into', or replace it with state=replaced"
        )
    return "create"


def _replaced(target: Target, backup_id: str, where: str) -> Action:
    if target.state is None and target.before_state is None:
        for away in target.server.marked():
            mark = away.mark
            if mark and mark.kind == "before" and away.name == backup_marks.derived(target.name, "before", mark.run):
                raise RefusedError(
                    f"database {where} is not there; {away.name} is what a restore renamed away: where that was killed, run "
                    f"with drill_id {mark.run} and backup {mark.backup}, which puts it back first; else rename or drop it"
                )
        return "create"
    if target.state is not None and target.state.template:
        raise RefusedError(f"database {where} is a template: it is not replaced")
    if target.state is not None and not target.state.ours:
        raise RefusedError(f"{target.server.session.user} does not own {where}, which belongs to {target.state.owner}")
    if target.restored_from(backup_id):
        settled = target.state is not None and target.state.mark is not None and target.state.mark.step == CLOSED
        return "none" if settled or (target.state and target.state.open) else "open"
    if target.server.state(target.undone) is not None:
        raise RefusedError(
            f"{target.undone} is there from an earlier undo of this restore, so that a second one could not be undone: drop "
            "it (or finish that undo, with state=undone, where it was cut off), or give another drill_id"
        )
    for beside in (target.before_state, target.staging_state):
        if beside is not None and beside.mark is None:
            raise RefusedError(
                f"database {beside.name} is there without a comment of ours: rename it, or give another drill_id"
            )
    if target.state is not None and target.before_state is not None:
        raise RefusedError(
            f"{target.before} is there from an earlier restore, and {target.name} is of other origin: drop it, or give another drill_id"
        )
    return "replace"


def _undo(target: Target, backup_id: str, where: str) -> Action:
    mark = target.before_state.mark if target.before_state else None
    current = target.state.mark if target.state else None
    if target.before_state is None:
        if current is not None and current.kind == "before":
            return "undo"
        if target.state is not None and target.server.state(target.undone) is not None:
            return "none"
        if target.restored_from(backup_id):
            raise RefusedError(
                f"{target.before} is not there: {where} was made by the restore, with nothing there before, or what it replaced "
                "was not kept. There is nothing to bring back"
            )
        raise RefusedError(
            f"{target.before} is not there: the database that {where} replaced was not kept, or nothing was replaced"
        )
    if mark is None or (mark.kind, mark.backup) != ("before", backup_id):
        raise RefusedError(
            f"{target.before} is not what {backup_id} replaced: its comment is {target.before_state.comment!r}"
        )
    if target.state is not None and not target.restored_from(backup_id):
        raise RefusedError(f"database {where} is not restored from {backup_id}: there is nothing to undo")
    if target.state is not None and target.server.state(target.undone) is not None:
        raise RefusedError(f"{target.undone} is there from an earlier undo: drop it, or give another drill_id")
    return "undo"


_ACTIONS = {"scratch": _scratch, "present": _present, "replaced": _replaced}


def _decide_owners(target: Target, state: str, owners: str, where: str) -> None:
    target.keep_owners = owners != "none"
    if owners == "none":
        return
    target.missing_roles = target.server.missing_roles(target.saved.roles)
    if not target.missing_roles:
        return
    if owners == "keep" or state != "scratch":
        raise RefusedError(
            f"{where}: the server lacks the roles {', '.join(target.missing_roles[:10])}, or {target.server.session.user} is no "
            "member of them: make them first, or set owners to none, whereby all belongs to the user that restores"
        )
    target.keep_owners = False


def _refuse_server(target: Target, pg_restore: Program) -> None:
    there, source = target.server.session.server_version, target.saved.server_version
    if major_of(there) < major_of(source):
        raise RefusedError(
            f"{target.saved.name} was dumped from PostgreSQL {source}; the server has {there}, which is older"
        )
    refuse_older(pg_restore, source, f"the dump of {target.saved.name}")


def refuse_archive(found: BackupSet, pg_restore: Program) -> None:
    """InputError when this pg_restore cannot read what that pg_dump wrote: the format of archives changes."""
    wrote = found.manifest.pg_dump_version if found.manifest else ""
    if _format(pg_restore.major) < _format(major_of(wrote)):
        raise InputError(
            f"{found.id} was written by pg_dump {wrote}, and {pg_restore.name} {pg_restore.version} ({pg_restore.path}) cannot "
            f"read that: install the client programs of PostgreSQL {major_of(wrote)} or newer, and name their folder with bin_dir"
        )


def _format(major: int) -> int:
    """The minor number of the archive format that the programs of a major version write, and read up to."""
    return 16 if major >= 17 else 15 if major == 16 else 14


def _refuse_hidden(target: Target) -> None:
    """RefusedError when there are sessions in a database to exchange that we may not even look at."""
    hidden = target.server.hidden(target.name) if target.state and target.action in ("replace", "undo") else 0
    if hidden:
        user = target.server.session.user
        raise RefusedError(
            f"{user} cannot see {hidden} of the sessions of database {target.name}, let alone end them: {may_end(user)}"
        )


def refuse_twice(targets: Sequence[Target], backup_id: str) -> None:
    """InputError when two databases of the set would become one."""
    names = [(target.server.session.host, target.server.session.port, target.name) for target in targets]
    twice = {name for _host, _port, name in names if names.count((_host, _port, name)) > 1}
    if twice:
        raise InputError(
            f"{', '.join(sorted(twice))} would be made of two databases of {backup_id}: give each its own 'into'"
        )


def refuse_half(found: BackupSet, named: Sequence[str], state: str, allow_part: bool) -> None:
    """A set is exchanged as a whole. InputError when only part of it is named, and that is not asked for."""
    left_out = [saved.name for saved in found.databases if saved.name not in named]
    if left_out and state in ("replaced", "undone") and not allow_part:
        raise InputError(
            f"{found.id} also holds {', '.join(left_out)}: databases of a set are {state} together, or one of them falls "
            "behind the others. Name all of them, or set allow_part"
        )


def wanted(databases: Sequence[Database], found: BackupSet) -> list[tuple[Database, Saved]]:
    """The databases with what the set holds of them. InputError for one that it does not hold."""
    pairs = []
    for database in databases:
        saved = found.manifest.saved(database.name) if found.manifest else None
        if saved is None:
            held = ", ".join(item.name for item in found.databases)
            raise InputError(f"{found.id} holds no database {database.name!r}; it holds {held}")
        pairs.append((database, saved))
    return pairs


def names(saved: Saved, into: str | None, state: str, run: str) -> tuple[str, str, str, str]:
    """name, staging, before and undone of a target."""
    base = into or (backup_marks.derived(saved.dbname, "drill", run) if state == "scratch" else saved.dbname)
    name = backup_marks.check_database_name(base, "into")
    beside = state in ("replaced", "undone")  # also where none is replaced, so that all names change at one moment
    staging = backup_marks.derived(name, "new", run) if beside else name
    return name, staging, backup_marks.derived(name, "before", run), backup_marks.derived(name, "undone", run)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The operation of the module pg_restore: a drill beside, a new database, or the place of the old one; and back."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from . import (
    backup_age,
    backup_catalog,
    backup_lock,
    backup_marks,
    backup_programs,
    backup_server,
    backup_stream,
    backup_swap,
    backup_targets,
    databases,
    postgres,
    recovery_reconcile,
)
from .argspec import ArgumentSpec
from .backup_catalog import BackupSet
from .backup_load import Loader, needs_script
from .backup_marks import READY, RESTORING, Mark
from .backup_numbers import Keeper
from .backup_programs import Program
from .backup_server import Server, State, where
from .backup_swap import Job
from .backup_targets import Target
from .checks import Check, report, status_of
from .databases import Database
from .errors import InputError, RefusedError
from .operation import Context

NEWEST = "newest"
HOUR = 3600.0

SPEC = ArgumentSpec(
    options={
        "set": {"type": "str", "required": True},
        "directory": {"type": "path", "required": True},
        "backup": {"type": "str", "default": NEWEST},
        "state": {
            "type": "str",
            "choices": ["scratch", "present", "replaced", "undone", "absent"],
            "default": "scratch",
        },
        "identity_file": {"type": "path"},
        "drill_id": {"type": "str"},
        "maintenance_db": {"type": "str", "default": "postgres"},
        "owners": {"type": "str", "choices": ["auto", "keep", "none"], "default": "auto"},
        "verify": {"type": "str", "choices": ["full", "counts", "none"], "default": "full"},
        "keep_old": {"type": "bool", "default": True},
        "allow_part": {"type": "bool", "default": False},
        "end_sessions": {"type": "bool", "default": False},
        "jobs": {"type": "int", "default": 1},
        "expected_plan": {"type": "str"},
        "server_free_bytes": {"type": "int"},
        "stale_hours": {"type": "float", "default": 0.0},
        "busy_seconds": {"type": "float", "default": 0.0},
        "bin_dir": {"type": "path"},
        "timeout": {"type": "float", "default": 3600.0},
    },
).merge(databases.spec(into={"type": "str"}), recovery_reconcile.RULES)


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    _check(params)
    if params["state"] == "absent":
        return _absent(params, context)
    found = _chosen(params, context)
    with backup_lock.in_use(found.folder), contextlib.ExitStack() as stack:
        pg_restore = backup_programs.find("pg_restore", params["bin_dir"], context.deadline)
        identities = backup_age.identities(params["identity_file"])
        pairs = backup_targets.wanted(_databases(params, found), found)
        backup_targets.refuse_half(
            found, [saved.name for _database, saved in pairs], params["state"], params["allow_part"]
        )
        if params["state"] != "undone":
            _refuse_damaged(found, [saved.name for _database, saved in pairs], pg_restore, identities, context)
        run_id = backup_marks.run_id(params["drill_id"], found.id)
        targets = []
        for database, saved in pairs:
            server = _server(database, params, context, stack)
            names = backup_targets.names(saved, database.item.get("into"), params["state"], run_id)
            targets.append(Target(database, saved, server, *names))
        return _restore(targets, found, run_id, pg_restore, identities, params, context)


def _restore(
    targets: list[Target],
    found: BackupSet,
    run_id: str,
    pg_restore: Program,
    identities: Sequence[Any],
    params: Mapping[str, Any],
    context: Context,
) -> dict[str, Any]:
    state = params["state"]
    backup_targets.refuse_twice(targets, found.id)
    for target in targets:
        backup_targets.decide(target, state, found.id, run_id, params["owners"], pg_restore)
    psql = _psql(targets, pg_restore, params, context)
    unfinished = state == "replaced" and backup_swap.unfinished(targets, found.id)
    if unfinished:
        for target in targets:
            if target.before_state is not None:
                target.action = "replace"
    keeper = Keeper(params, context)
    dead, left = _leftovers(targets, params, context)
    plan = _plan(targets, found, run_id, unfinished, dead, keeper, params)
    digest = backup_targets.digest(plan)
    result: dict[str, Any] = {
        "changed": bool(dead) or any(target.action != "none" for target in targets),
        "plan": plan,
        "plan_digest": digest,
        "observed": _observed(targets, keeper, params),
        "restored": [],
        "removed": [],
        "settled": [],
        "numbers": [],
        "sessions_ended": 0,
        "leftovers": left,
    }
    if params["expected_plan"] and params["expected_plan"] != digest:
        raise RefusedError(
            f"the plan is not the one that is expected ({params['expected_plan'][:16]}...), it has digest {digest[:16]}...: "
            "the backup, the target or its state changed. Look at it in check mode, and approve it anew",
            plan=plan,
            plan_digest=digest,
        )
    _refuse_without_room(targets, params)
    busy = _busy(targets, keeper, params)
    if context.check_mode:
        if busy:
            context.warn(busy)
        return result
    if busy:
        raise RefusedError(busy)
    if result["changed"]:
        loader = Loader(params, context, found, pg_restore, identities, run_id, psql)
        with _locked([target for target in targets if target.action != "none"]):
            result |= {"removed": _remove(dead), **_act(targets, loader, keeper, unfinished)}
    return {**result, **_judged(targets, found.id, keeper, result["changed"], params)}


def _act(targets: Sequence[Target], loader: Loader, keeper: Keeper, unfinished: bool) -> dict[str, Any]:
    """What the plan says, under the locks of all its databases."""
    params, context, backup_id = loader.params, loader.context, loader.backup.id
    job = Job(loader.run, backup_id, context.clock, context.deadline, params["end_sessions"], keeper, targets)
    if params["state"] == "undone":
        ended = backup_swap.undo(targets, job)
        return {
            "sessions_ended": ended,
            "numbers": keeper.rows(),
            "restored": [_back(target) for target in targets],
        }
    settled = backup_swap.settle(targets, backup_id) if unfinished else []
    made = [target for target in targets if target.action in ("create", "replace")]
    rows = loader.load(made)
    ended = _swap(made, loader, job) if params["state"] == "replaced" and made else 0
    for target in targets:
        if target.action == "open":
            target.server.do(backup_server.allow(target.name, True))
    return {"restored": rows, "settled": settled, "numbers": keeper.rows(), "sessions_ended": ended}


def _swap(made: Sequence[Target], loader: Loader, job: Job) -> int:
    """Swap all, or drop the copies; the replaced ones go where they are not to be kept."""
    try:
        ended = backup_swap.swap(made, job)
    except BaseException:
        loader.drop(made)
        raise
    if not loader.params["keep_old"]:
        for target in made:
            with target.server.mending():
                target.server.drop(target.before)
    return ended


def _busy(targets: Sequence[Target], keeper: Keeper, params: Mapping[str, Any]) -> str:
    """What is to be said of sessions in databases that would leave; empty where it does not matter."""
    there = {
        target.name: target.server.sessions(target.name, keeper.spared(target))
        for target in targets
        if target.state is not None and target.action in ("replace", "undo") and not params["end_sessions"]
    }
    there = {name: count for name, count in there.items() if count}
    return backup_swap.busy(there) if there else ""


def _judged(
    targets: Sequence[Target], backup_id: str, keeper: Keeper, acted: bool, params: Mapping[str, Any]
) -> dict[str, Any]:
    """The checks of an exchange: what stands in the place of each database, and its numbers. Nothing for other states."""
    state = params["state"]
    if state not in ("replaced", "undone"):
        return {}
    rows = []
    for target in targets:
        target.look()
        restored = target.restored_from(backup_id)
        there = restored if state == "replaced" else target.state is not None and not restored
        compared = params["verify"] != "none" or state == "undone"
        right = None if there and not compared else there
        what = f"the content of {backup_id}" if state == "replaced" else "what it held before the restore"
        rows.append(
            Check(
                id=f"{state}.{target.saved.name}",
                title=f"{target.name} holds {what}",
                status=status_of(right),
                observed="it was not compared (verify is none)"
                if right is None
                else target.name
                if there
                else "not there",
                expected=what,
                hint=""
                if right
                else "Compare it with the backup, with verify full, or look at it with recovery_verify.",
            )
        )
    judged = report([*rows, *keeper.checks(acted)])
    return {name: judged[name] for name in ("verdict", "checks", "findings")}


def _absent(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Drop what a drill made: by its id, by the names given, and only with the comment of a drill."""
    items = params["databases"] or [{"name": params["login_db"] or params["maintenance_db"]}]
    if params["drill_id"] is None and not all(item.get("into") for item in items):
        raise InputError("state=absent needs drill_id, or 'into' for each database: it drops nothing that is not named")
    run_id = None if params["drill_id"] is None else backup_marks.run_id(params["drill_id"], "")
    with contextlib.ExitStack() as stack:
        doomed: dict[tuple[str, str, str], tuple[Server, State]] = {}
        for database in databases.of({**params, "databases": items}):
            server = _server(database, params, context, stack)
            for state in _of_drill(server, run_id, database.item.get("into"), params, context):
                key = (server.session.host, str(server.session.port), state.name)
                doomed.setdefault(key, (server, state))
        plan = {
            "state": "absent",
            "drill_id": run_id,
            "drop": [
                {"database": state.name, "oid": state.oid, "comment": state.comment, "host": host, "port": int(port)}
                for (host, port, _name), (_server_of, state) in sorted(doomed.items())
            ],
        }
        result = {
            "changed": bool(doomed),
            "plan": plan,
            "plan_digest": backup_targets.digest(plan),
            "observed": {},
            "restored": [],
            "removed": [],
            "settled": [],
            "numbers": [],
            "sessions_ended": 0,
            "leftovers": [],
        }
        if context.check_mode:
            return result
        return {**result, "removed": _remove(list(doomed.values()))}


def _of_drill(
    server: Server, run_id: str | None, into: str | None, params: Mapping[str, Any], context: Context
) -> list[State]:
    """The databases of one drill by its id, of any drill by the name given, or of both; none that may be in use."""
    if into:
        state = server.state(into)
        if state is None:
            return []
        if state.mark is None or state.mark.kind != "drill":
            raise RefusedError(
                f"database {into} was not made by a drill (comment: {state.comment!r}): it is not dropped"
            )
        found = [state] if run_id in (None, state.mark.run) else []
    else:
        found = [
            state for state in server.marked() if state.mark and (state.mark.kind, state.mark.run) == ("drill", run_id)
        ]
    busy = [state.name for state in found if server.in_work(state.name)]
    if busy:
        raise RefusedError(f"{', '.join(busy)} is being restored by a run that is alive: wait for it, or end it")
    if run_id is None:
        _refuse_in_use(found, params["busy_seconds"], context.clock.now())
    return found


def _refuse_in_use(found: Sequence[State], busy_seconds: float, now: float) -> None:
    """A drill that was restored a moment ago is being verified, as far as anybody can tell."""
    for state in found:
        age = state.mark.age_seconds(now) if state.mark else None
        if state.mark and state.mark.step == READY and (age is None or age < busy_seconds):
            when = "at a time that cannot be read" if age is None else f"{max(0.0, age):.0f} s ago"
            raise RefusedError(
                f"{state.name} was restored {when} by the drill {state.mark.run} of {state.mark.who}, which may still verify "
                f"it: wait for its end. If that drill is dead, drop it by its drill_id, {state.mark.run}",
                drill_id=state.mark.run,
            )


def _databases(params: dict[str, Any], found: BackupSet) -> list[Database]:
    """The databases as the task names them; all of the set when it names none."""
    if params["databases"] is not None:
        return databases.of(params)
    return databases.of({**params, "databases": [{"name": saved.name} for saved in found.databases]})


def _chosen(params: Mapping[str, Any], context: Context) -> BackupSet:
    """The set to restore from. Raises InputError when there is none, RefusedError when it is not whole."""
    place = (params["directory"], params["set"])
    if params["backup"] != NEWEST:
        found = backup_catalog.named(*place, params["backup"])
        if found is None:
            raise InputError(f"{params['directory']}/{params['set']} has no backup {params['backup']}")
    else:
        found = backup_catalog.newest_good(*place, now=context.clock.now())
        if found is None:
            seen = backup_catalog.sets(*place)
            why = (
                f"; the newest, {seen[0].id}: {(seen[0].problems or ['it is dated in the future'])[0]}" if seen else ""
            )
            raise InputError(f"{params['directory']}/{params['set']} has no whole backup{why}")
    if found.manifest is None or (not found.good and params["state"] != "undone"):
        raise RefusedError(f"backup {found.id} is not whole: {found.problems[0]}. Nothing was touched; choose another")
    return found


def _refuse_damaged(
    found: BackupSet, names: Sequence[str], pg_restore: Program, identities: Sequence[Any], context: Context
) -> None:
    """Read every file to its end, and its table of contents, with the key: before anything is touched."""

    def step(read: int) -> None:
        context.deadline.within(1.0, f"reading {found.id}")

    context.progress(f"{found.id}: reading {found.bytes / 1e6:.0f} MB to compare their sha256")
    if not found.verify(step):
        raise RefusedError(f"backup {found.id} is not whole: {found.problems[0]}. Nothing was touched; choose another")
    backup_targets.refuse_archive(found, pg_restore)
    for saved in found.databases:
        if saved.name not in names:
            continue
        if saved.encrypted and not identities:
            raise InputError(
                f"{saved.file} of {found.id} is encrypted: give identity_file, the file with the private key"
            )
        backup_stream.check_list(pg_restore, found.path(saved), identities, saved.encrypted, context.deadline)


def _psql(
    targets: Sequence[Target], pg_restore: Program, params: Mapping[str, Any], context: Context
) -> Program | None:
    """psql, where an older server needs it. Raises InputError when it is not there."""
    made = [target for target in targets if target.action in ("create", "replace")]
    needed = any(needs_script(pg_restore, target) for target in made)
    return backup_programs.find("psql", params["bin_dir"], context.deadline) if needed else None


def _server(database: Database, params: Mapping[str, Any], context: Context, stack: contextlib.ExitStack) -> Server:
    place = where(database.parameters, params["maintenance_db"])
    session = stack.enter_context(postgres.session(place, params, context.deadline, None, readonly=context.check_mode))
    server = Server(session, context.deadline, context.clock)
    server.prepare()
    return server


def _leftovers(
    targets: Sequence[Target], params: Mapping[str, Any], context: Context
) -> tuple[list[tuple[Server, State]], list[dict[str, Any]]]:
    """What killed runs left on the servers: that which is provably dead, and that which is only told of."""
    dead: dict[tuple[str, int, int], tuple[Server, State]] = {}
    left: dict[tuple[str, int, int], dict[str, Any]] = {}
    own = {(t.server.session.host, t.server.session.port, n) for t in targets for n in (t.name, t.staging)}
    if params["state"] == "undone":
        return [], []
    for server in (target.server for target in targets):
        host, port = server.session.host, server.session.port
        for state in server.marked():
            mark = state.mark
            if mark is None or (host, port, state.name) in own:
                continue
            copy = mark.kind == "restored" and state.name.endswith(f"_new_{mark.run}")  # killed within the swap
            if mark.kind not in ("drill", "restore") and not copy:
                continue
            key = (host, int(port), state.oid)
            age = mark.age_seconds(context.clock.now())
            if (mark.step == RESTORING or _stale(mark, age, params)) and not server.in_work(state.name):
                dead[key] = (server, state)
            else:
                left[key] = {
                    "database": state.name,
                    "comment": state.comment,
                    "age_seconds": None if age is None else round(age),
                }
    return list(dead.values()), list(left.values())


def _stale(mark: Mark, age: float | None, params: Mapping[str, Any]) -> bool:
    """Whether a drill that ended well is so old that this drill, told so, drops it."""
    hours: float = params["stale_hours"]
    old = hours > 0 and age is not None and age > hours * HOUR
    return old and params["state"] == "scratch" and (mark.kind, mark.step) == ("drill", READY)


def _plan(
    targets: Sequence[Target],
    found: BackupSet,
    run_id: str,
    unfinished: bool,
    dead: Sequence[tuple[Server, State]],
    keeper: Keeper,
    params: Mapping[str, Any],
) -> dict[str, Any]:
    exchange = params["state"] in ("replaced", "undone")
    return {
        "state": params["state"],
        "set": found.manifest.set if found.manifest else params["set"],
        "backup": found.id,
        "backup_started_at": found.manifest.started_at if found.manifest else None,
        "drill_id": run_id,
        "databases": [target.as_dict() for target in targets],
        "keep_old": params["keep_old"],
        "verify": params["verify"],
        "unfinished_swap": unfinished,
        "remove": sorted(state.name for _server_of, state in dead),
        **({"end_sessions": params["end_sessions"], "numbers": keeper.plan(targets)} if exchange else {}),
    }


def _observed(targets: Sequence[Target], keeper: Keeper, params: Mapping[str, Any]) -> dict[str, Any]:
    """What changes from one moment to the next, and so is no part of the plan."""
    return {
        "databases": [
            {
                "database": target.name,
                "size_bytes": target.server.size(target.name) if target.state else None,
                "sessions": target.server.sessions(target.name, keeper.spared(target)) if target.state else 0,
                "needed_bytes": target.saved.database_bytes if target.action in ("create", "replace") else 0,
            }
            for target in targets
        ],
        "server_free_bytes": _free(targets[0], params),
    }


def _free(target: Target, params: Mapping[str, Any]) -> int | None:
    given: int | None = params["server_free_bytes"]
    return given if given is not None else target.server.free_bytes()


def _refuse_without_room(targets: Sequence[Target], params: Mapping[str, Any]) -> None:
    """Targets of one server share its disk. Where its room is not known, nothing is refused."""
    needed: dict[tuple[str, int], int] = {}
    for target in targets:
        if target.action in ("create", "replace"):
            key = (target.server.session.host, int(target.server.session.port))
            needed[key] = needed.get(key, 0) + target.saved.database_bytes
            free = _free(target, params)
            if free is not None and free < needed[key]:
                raise RefusedError(
                    f"the server at {key[0]}:{key[1]} has {free / 1e6:.0f} MB free; the restored databases need "
                    f"{needed[key] / 1e6:.0f} MB. Nothing was touched; free space there"
                )


@contextlib.contextmanager
def _locked(targets: Sequence[Target]) -> Iterator[None]:
    """Hold the locks of all names that are worked on; they end with the sessions at the latest."""
    held: list[tuple[Server, str]] = []
    try:
        for target in targets:
            for name in sorted({target.name, target.staging}):
                if not target.server.lock(name):
                    raise RefusedError(f"another run restores {name} at this moment: wait for it")
                held.append((target.server, name))
        yield
    finally:
        for server, name in held:
            with contextlib.suppress(postgres.PostgresError):
                server.unlock(name)


def _remove(dead: Sequence[tuple[Server, State]]) -> list[str]:
    for server, state in dead:
        server.drop(state.name)
    return [state.name for _server_of, state in dead]


def _back(target: Target) -> dict[str, Any]:
    return {"name": target.saved.name, "database": target.name, "action": target.action, "kept_as": target.undone}


def _check(params: Mapping[str, Any]) -> None:
    limits = (("jobs", 1, 64), ("stale_hours", 0, 24 * 365), ("busy_seconds", 0, 86_400 * 7), ("concurrency", 1, 64))
    for name, least, most in limits:
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least} to {most}")
    if params["numbers"] and params["state"] not in ("replaced", "undone"):
        raise InputError(f"numbers are lifted with state replaced or undone, not {params['state']}", option="numbers")

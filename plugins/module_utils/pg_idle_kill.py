# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""End sessions that have been idle for too long: exactly those of the plan, each only while it is what was planned.

All databases are read first. Where one cannot be, nothing is ended anywhere. Then each session is ended by a statement of
its own, which looks again at the session's identity, state and time of the last change; the server says what became of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from . import databases, pg_idle_cure, pg_prepared, pg_sessions
from .argspec import ArgumentSpec
from .databases import Database
from .errors import InputError, RefusedError, RunbookError
from .operation import Context
from .pg_idle_plan import KEEP, TERMINATE, WITHHOLD, Plan, Step, Wish, joined, pooler_hints, steps_of, superuser_hints
from .pg_prepared import Prepared
from .pg_sessions import DISABLED
from .postgres import PostgresError, Session

MOST_LISTED = 1000
POLL_SECONDS = 0.05
DENIED = "denied"

_STRINGS: dict[str, Any] = {"type": "list", "elements": "str", "default": []}
SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "idle_seconds": {"type": "float", "default": 3600.0},
            "idle_in_transaction_seconds": {"type": "float"},
            "floor_seconds": {"type": "float", "default": 60.0},
            "users": _STRINGS,
            "application_names": _STRINGS,
            "addresses": _STRINGS,
            "exclude_users": _STRINGS,
            "exclude_application_names": _STRINGS,
            "exclude_addresses": _STRINGS,
            "include_superusers": {"type": "bool", "default": False},
            "max_kill": {"type": "int", "default": 100},
            "max_percent": {"type": "float", "default": 100.0},
            "beyond_limits": {"type": "str", "choices": ["withhold", "refuse"], "default": "withhold"},
            "wait_seconds": {"type": "float", "default": 5.0},
            "show_query": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)

# Each has its own statement: one that is denied must not save the others. The guard is looked at by the server.
_END = """
SELECT pg_terminate_backend(g.pid) FROM pg_stat_get_activity(%(pid)s) g
 WHERE g.backend_start = %(backend_start)s AND g.state = %(state)s AND g.state_change = %(state_change)s
"""
_ALIVE = """
SELECT a.pid FROM pg_catalog.pg_stat_activity a
  JOIN unnest(%(pids)s::int[], %(starts)s::timestamptz[]) AS w(pid, backend_start)
    ON a.pid = w.pid AND a.backend_start = w.backend_start
"""
_ADVISORY = "SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE locktype = 'advisory' AND granted AND pid IS NOT NULL"
_BLOCKED = """
SELECT b.pid, count(*) FROM pg_catalog.pg_stat_activity a CROSS JOIN unnest(pg_blocking_pids(a.pid)) AS b(pid)
 WHERE a.wait_event_type = 'Lock' GROUP BY 1
"""


@dataclass
class Seen:
    """One database, as it was read for the plan, and what was read after it was acted on."""

    name: str
    datname: str
    user: str
    server_version: str
    states: dict[str, int]
    server: str
    steps: list[Step]
    prepared: list[Prepared]
    hints: list[str] = field(default_factory=list)
    after: dict[str, int] | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "datname": self.datname,
            "server_version": self.server_version,
            "states": self.states,
            "states_after": self.after,
            "unclassified": self.states.get(DISABLED, 0),
            "prepared_transactions": [one.as_dict() for one in self.prepared],
        }


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan, act, read again. RefusedError when a plan cannot be made; RunbookError when the end of a session that was
    planned is not confirmed."""
    wish = Wish.of(params)
    if not 0.1 <= params["wait_seconds"] <= 60:
        raise InputError(f"wait_seconds is {params['wait_seconds']:g}; it must be from 0.1 to 60")
    if params["wait_seconds"] >= params["timeout"]:
        raise InputError(
            f"wait_seconds is {params['wait_seconds']:g}, and timeout {params['timeout']:g}: no time would be left to end "
            "a session. Raise timeout."
        )
    targets = databases.of(params)
    seen = _read_all(targets, wish, params, context)
    plan = joined([one.steps for one in seen], wish)
    lost = [] if context.check_mode else _act(plan, seen, targets, params, context)
    problems = lost + _problems(_settled(plan, context.check_mode), {one.name: one.user for one in seen})
    result = _result(plan, seen, params, context)
    _warn(seen, plan, context)
    if problems:
        raise RunbookError("; ".join(problems), **result)
    return result


# -- plan


def _read_all(targets: list[Database], wish: Wish, params: dict[str, Any], context: Context) -> list[Seen]:
    def ask(session: Session, database: Database) -> Seen | RunbookError:
        try:
            return _read(session, database, wish, params["show_query"])
        except PostgresError:
            raise
        except RunbookError as error:
            return error

    answers = databases.each(targets, params, context, ask)
    problems = [
        f"{database.name}: {answer.message}"
        for database, answer in zip(targets, answers, strict=True)
        if isinstance(answer, RunbookError)
    ]
    if problems:
        told = "; ".join(problem.rstrip(".") for problem in problems)
        raise RefusedError(f"{told}. Nothing was ended.", changed=False)
    return [answer for answer in answers if isinstance(answer, Seen)]


def _server(session: Session) -> str:
    """What tells this run of this server from any other that answers under its name: its start, to the microsecond."""
    return str(session.value("SELECT extract(epoch FROM pg_postmaster_start_time())::text"))


def _read(session: Session, database: Database, wish: Wish, texts: bool) -> Seen:
    everything = pg_sessions.read(session, texts)
    own = pg_sessions.of_database(everything, session.database)
    hidden = [one for one in own if one.hidden and wish.could_concern(one)]
    if hidden:
        raise RefusedError(
            f"{session.user} does not see the state of {len(hidden)} of {len(own)} sessions of {session.database}: how "
            f"many are idle is not known. {pg_sessions.READ_STATS.format(user=session.user)}."
        )
    clients = [one for one in own if one.client]
    advisory = frozenset(pid for (pid,) in session.rows(_ADVISORY))
    blocked: dict[int, int] = dict(session.rows(_BLOCKED))
    steps = steps_of(database.name, clients, wish, advisory, blocked)
    prepared = pg_prepared.read(session)
    leaked = [step for step in steps if step.action != KEEP]
    known = pg_idle_cure.timeouts(session, {step.backend.usename for step in leaked})
    hints = superuser_hints(steps) + pooler_hints(leaked) + pg_idle_cure.hints(database.name, leaked, known)
    return Seen(
        database.name,
        session.database,
        session.user,
        session.server_version,
        pg_sessions.states(clients),
        _server(session),
        steps,
        prepared,
        hints,
    )


# -- act


def _act(plan: Plan, seen: list[Seen], targets: list[Database], params: dict[str, Any], context: Context) -> list[str]:
    by_name = {one.name: one for one in seen}
    chosen = {name: [step for step in plan.of(TERMINATE) if step.database == name] for name in by_name}
    concerned = [database for database in targets if chosen[database.name]]

    def end(session: Session, database: Database) -> None:
        if _server(session) != by_name[database.name].server:
            raise PostgresError(
                "other_server",
                f"another server answers under {session.where} than the one that was planned for, or it was started anew "
                "meanwhile; no session was ended. Give the address of one server",
            )
        _end_all(session, chosen[database.name], params["wait_seconds"], context)
        everything = pg_sessions.of_database(pg_sessions.read(session), session.database)
        by_name[database.name].after = pg_sessions.states(everything)

    try:
        answers = databases.each(concerned, params, context, end) if concerned else []
    except RunbookError as error:  # what became of the sessions stands in their steps
        return [error.message]
    return [
        f"{database.name}: {answer.message}"
        for database, answer in zip(concerned, answers, strict=True)
        if isinstance(answer, PostgresError)
    ]


def _end_all(session: Session, steps: list[Step], wait_seconds: float, context: Context) -> None:
    """Signal each that still is what was planned, then wait until the server has none of them any more."""
    waiting: list[Step] = []
    for step in steps:
        if context.deadline.remaining() <= wait_seconds:
            break
        _signal(session, step)
        if step.outcome == "timeout":
            waiting.append(step)
    until = context.clock.monotonic() + wait_seconds
    while waiting:
        alive = _alive(session, waiting)
        for step in waiting:
            if step.backend.pid not in alive:
                step.outcome = "terminated"
        waiting = [step for step in waiting if step.outcome != "terminated"]
        if waiting:
            if context.clock.monotonic() >= until:
                return
            context.progress(f"{waiting[0].database}: {len(waiting)} of {len(steps)} sessions still end")
            context.clock.sleep(POLL_SECONDS)


def _signal(session: Session, step: Step) -> None:
    """Until it is seen to be gone, a session that was told to end has the outcome ``timeout``."""
    one = step.backend
    guard = {"pid": one.pid, "backend_start": one.backend_start, "state": one.state, "state_change": one.state_change}
    try:
        rows = session.rows(_END, guard)
    except PostgresError as error:
        if error.kind != "permission":
            raise
        step.outcome = DENIED
        return
    if rows and rows[0][0]:
        step.outcome = "timeout"
    else:
        step.outcome = "changed" if _alive(session, [step]) else "gone"


def _alive(session: Session, steps: list[Step]) -> set[int]:
    """The pids of those that are still there, with the same begin."""
    values = {
        "pids": [step.backend.pid for step in steps],
        "starts": [step.backend.backend_start for step in steps],
    }
    return {pid for (pid,) in session.rows(_ALIVE, values)}


# -- result


def _settled(plan: Plan, check_mode: bool) -> list[Step]:
    """The steps of the plan, those without an outcome with what would become of them, or has not been tried."""
    steps = plan.of(TERMINATE)
    for step in steps:
        foreseen = "would_terminate" if step.backend.may_terminate else DENIED
        step.outcome = step.outcome or (foreseen if check_mode else "not_tried")
    return steps


def _problems(planned: list[Step], login: dict[str, str]) -> list[str]:
    told = []
    for superuser, remedy in ((False, "GRANT pg_signal_backend TO {user}"), (True, "only a superuser may end those")):
        steps = [step for step in planned if step.outcome == DENIED and step.backend.superuser is superuser]
        users = ", ".join(sorted({login[step.database] for step in steps}))
        if steps:
            told.append(f"{_of(steps, planned)} may not be ended by {users}: {remedy.format(user=users)}")
    words = {
        "timeout": "were told to end and were not seen to within wait_seconds: see pg_stat_activity, wait_event",
        "not_tried": "were not tried: the time was used up or the connection lost. Run the task again",
    }
    for outcome, word in words.items():
        steps = [step for step in planned if step.outcome == outcome]
        if steps:
            told.append(f"{_of(steps, planned)} {word}")
    return told


def _of(steps: list[Step], planned: list[Step]) -> str:
    users = ", ".join(sorted({step.backend.usename for step in steps})[:10])
    return f"{len(steps)} of {len(planned)} sessions ({users})"


def _result(plan: Plan, seen: list[Seen], params: dict[str, Any], context: Context) -> dict[str, Any]:
    ended = [step for step in plan.steps if step.outcome in ("terminated", "would_terminate")]
    ordered = sorted(plan.steps, key=lambda step: (TERMINATE, WITHHOLD, KEEP).index(step.action))
    return {
        "changed": bool(ended),
        "planned": len(plan.of(TERMINATE)),
        "terminated": 0 if context.check_mode else len(ended),
        "withheld": len(plan.of(WITHHOLD)),
        "kept": len(plan.of(KEEP)),
        "sessions": [step.as_dict(params["show_query"]) for step in ordered[:MOST_LISTED]],
        "databases": [one.as_dict() for one in seen],
        "hints": [hint for one in seen for hint in one.hints],
    }


def _warn(seen: list[Seen], plan: Plan, context: Context) -> None:
    withheld = plan.of(WITHHOLD)
    if withheld:
        context.warn(f"{len(withheld)} more idle sessions were left, beyond the limits ({withheld[0].reason})")
    for one in seen:
        if one.states.get(DISABLED):
            context.warn(
                f"{one.name}: {one.states[DISABLED]} sessions do not tell their state (track_activities is off for "
                "them): whether they are idle is not known"
            )
        if one.prepared:
            context.warn(
                f"{one.name}: {len(one.prepared)} prepared transactions, the oldest {one.prepared[0].age_seconds:.0f} s "
                "old, keep their locks whatever session ends (COMMIT PREPARED or ROLLBACK PREPARED)"
            )

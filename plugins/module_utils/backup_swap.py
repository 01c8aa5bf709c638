# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting restored databases into the place of others, all or none, and back again.

All databases that leave are closed and empty of sessions before the first name changes. Each step leaves a comment that
tells where it was cut off. Nobody can connect to either side until all are exchanged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from . import backup_marks, backup_server
from .backup_marks import CLOSED, READY, Mark
from .backup_numbers import Keeper
from .backup_server import END_SECONDS, Server, State, Statement
from .backup_targets import Target
from .clock import Clock, Deadline
from .errors import DeadlineError, RefusedError, RunbookError

LEAST_SECONDS = 2 * END_SECONDS


@dataclass(frozen=True)
class Job:
    """What all steps of one exchange have in common."""

    run: str
    backup_id: str
    clock: Clock
    deadline: Deadline
    end_sessions: bool
    numbers: Keeper
    targets: Sequence[Target]  # all of the task, also those that stay where they are

    def mark(self, kind: backup_marks.Kind, step: str = READY, rest: str = "") -> str:
        return backup_marks.new(kind, self.run, self.backup_id, self.clock.now(), step, rest).text()


@dataclass(frozen=True)
class Move:
    """One database that leaves its name, and the one that gets it; ``None`` where there is none (any more)."""

    target: Target
    live: State | None
    away: str
    coming: str | None


@dataclass
class Rollback:
    """What takes back the steps that were done, newest first."""

    steps: list[tuple[Server, Statement]] = field(default_factory=list)

    def do(self, server: Server, statement: Statement, back: Statement) -> None:
        """Do a step, and remember what takes it back: a step that failed may have been done."""
        self.steps.append((server, back))
        server.do(statement)

    def run(self, error: BaseException) -> None:
        """Take everything back, in time of its own. Raises RunbookError with the statements that are left to a person."""
        failed = _try([*reversed(self.steps)])
        if failed:
            said = error.message if isinstance(error, RunbookError) else type(error).__name__
            raise RunbookError(
                f"{said}. Putting everything back failed as well, so that databases are closed or renamed. "
                f"Run this in the maintenance database, in this order, or run the same again: {_told(failed)}",
                to_run=_told(failed),
            ) from error


def swap(targets: Sequence[Target], job: Job) -> int:
    """Rename each target away and its restored copy into its place. Returns how many sessions were ended.

    On any failure everything is as it was, and the error is raised.
    """
    moves = []
    for target in targets:
        planned = target.state
        target.look()
        if (target.state and target.state.oid) != (planned and planned.oid):
            raise RefusedError(
                f"database {target.name} is not the one any more that was there when the restore began: somebody else renamed, "
                "dropped or made it. Nothing was exchanged"
            )
        moves.append(Move(target, target.state, target.before, target.staging))

    def restored(move: Move) -> Statement:
        old = move.live
        step = CLOSED if old and not old.open else READY
        return backup_server.comment(
            move.target.staging, job.mark("restored", step, backup_marks.words(old.comment) if old else "")
        )

    with _all_or_none(job) as rollback:
        for move in moves:
            if move.live is not None:
                old, server = move.live, move.target.server
                mark = job.mark("before", READY if old.open else CLOSED, old.comment or "")
                rollback.do(server, backup_server.comment(old.name, mark), backup_server.comment(old.name, old.comment))
        ended = _empty(moves, job, rollback)
        for move in moves:
            server = move.target.server
            server.do(restored(move))
            server.do(backup_server.allow(move.target.staging, False))
            server.end_sessions(move.target.staging)
        _rename(moves, rollback)
    _finish(
        [
            (move.target.server, backup_server.allow(move.target.name, True))
            for move in moves
            if move.live is None or move.live.open
        ]
    )
    return ended


def undo(targets: Sequence[Target], job: Job) -> int:
    """Put what was replaced into its place again; the restored one is kept as ``undone``, closed.

    All or none; a run that was killed is completed by the next one. Returns how many sessions were ended.
    """
    moves = []
    for target in targets:
        target.look()
        restored = target.state if target.restored_from(job.backup_id) else None
        moves.append(Move(target, restored, target.undone, target.before if target.before_state else None))
    with _all_or_none(job) as rollback:
        ended = _empty(moves, job, rollback)
        _rename(moves, rollback)
    done: list[tuple[Server, Statement]] = []
    for move in moves:
        target = move.target
        if move.live is not None:
            done.append((target.server, backup_server.comment(target.undone, job.mark("undone"))))
        done += _open_again(
            target,
            lambda mark: backup_marks.back(mark.rest, job.run, job.backup_id, job.clock.now()).text(),
        )
    _finish(done)
    return ended


@contextlib.contextmanager
def _all_or_none(job: Job) -> Iterator[Rollback]:
    left = job.deadline.remaining()
    if left < LEAST_SECONDS:
        raise DeadlineError(
            f"{left:.0f} s of the total time of {job.deadline.seconds:g} s are left, and exchanging the databases may take "
            f"{LEAST_SECONDS:g} s: it was not begun. Raise 'timeout'"
        )
    rollback = Rollback()
    try:
        yield rollback
    except BaseException as error:
        rollback.run(error)
        raise


def _empty(moves: Sequence[Move], job: Job, rollback: Rollback) -> int:
    """Close every database that leaves, see that nobody is in it, and take its numbers over into those that come."""
    ended = 0
    leaving = [move for move in moves if move.live is not None]
    with job.numbers.watching(job.targets):
        for move in leaving:
            name, was = move.target.name, move.live is not None and move.live.open
            rollback.do(move.target.server, backup_server.allow(name, False), backup_server.allow(name, was))
        for move in leaving:
            ended += _drain(move.target, job)
        job.numbers.read(job.targets)
        job.numbers.refuse_less()
    places = {target.saved.name: (target, target.name) for target in job.targets}
    places |= {move.target.saved.name: (move.target, move.coming) for move in moves if move.coming is not None}

    @contextlib.contextmanager
    def opened(target: Target, place: str) -> Iterator[None]:
        state = target.server.state(place)
        if state is None or state.open:
            yield
            return
        rollback.do(target.server, backup_server.allow(place, True), backup_server.allow(place, False))
        yield
        target.server.do(backup_server.allow(place, False))

    job.numbers.lift(places, opened)
    for move in leaving:
        move.target.server.end_sessions(move.target.name)  # those that read the numbers, until they have ended
    for move in moves:
        if move.coming is not None:
            move.target.server.end_sessions(move.coming)
    return ended


def _drain(target: Target, job: Job) -> int:
    """Nobody but ourselves is in a closed database. RefusedError when somebody is who is not to be ended."""
    spared = job.numbers.spared(target)
    if not job.end_sessions:
        there = target.server.sessions(target.name, spared)
        if there:
            raise RefusedError(busy({target.name: there}))
        return 0
    return target.server.end_sessions(target.name, spared)


def busy(sessions: dict[str, int]) -> str:
    """What is said when somebody is connected to a database that is to be exchanged."""
    where = ", ".join(f"{count} to {name}" for name, count in sessions.items())
    return (
        f"sessions are connected that are not to be ended: {where}. Nothing was exchanged. Close the traffic first, because "
        "what is written until then is lost; or set end_sessions, which is part of the plan"
    )


def _rename(moves: Sequence[Move], rollback: Rollback) -> None:
    for move in moves:
        server, name = move.target.server, move.target.name
        if move.live is not None:
            server.do(backup_server.rename(name, move.away))
            rollback.steps.append((server, backup_server.rename(move.away, name)))
        if move.coming is not None:
            server.do(backup_server.rename(move.coming, name))
            rollback.steps.append((server, backup_server.rename(name, move.coming)))


def _finish(steps: Sequence[tuple[Server, Statement]]) -> None:
    """What follows when all names are exchanged: there is no way back any more, and it has time of its own."""
    failed = _try(steps)
    if failed:
        raise RunbookError(
            "the databases are exchanged, but not all of them are opened. Run the same again, or this in the maintenance "
            f"database: {_told(failed)}",
            to_run=_told(failed),
        )


def _try(steps: Sequence[tuple[Server, Statement]]) -> list[tuple[Server, Statement]]:
    """Do every step, each in time of its own; those that failed."""
    failed = []
    for server, statement in steps:
        try:
            with server.mending():
                server.do(statement)
        except RunbookError:
            failed.append((server, statement))
    return failed


def _told(steps: Sequence[tuple[Server, Statement]]) -> str:
    return " ".join(f"{statement};" for _server, statement in steps) + f" (server {steps[0][0].address})"


def _open_again(target: Target, words: Callable[[Mark], str | None]) -> list[tuple[Server, Statement]]:
    """What makes a database that was marked for an exchange open again, as it was; ``words`` gives its comment."""
    server, name = target.server, target.name
    state = server.state(name)
    mark = state.mark if state else None
    if mark is None or mark.kind != "before":
        return []
    return [
        (server, backup_server.allow(name, mark.step != CLOSED)),
        (server, backup_server.comment(name, words(mark))),
    ]


def settle(targets: Sequence[Target], backup_id: str) -> list[str]:
    """After a run that was killed within ``swap``: everything as it was before it. Returns what was done.

    Databases that were restored by then are left under the name of their copy, with our comment, to be dropped.
    """
    done = []
    for target in targets:
        target.look()
        server = target.server
        if target.restored_from(backup_id) and target.before_state:
            server.do(backup_server.allow(target.name, False))
            server.end_sessions(target.name)
            server.do(backup_server.rename(target.name, target.staging))
            target.state = None
        if target.state is None and target.before_state:
            server.do(backup_server.rename(target.before, target.name))
            done.append(f"{target.before} renamed back to {target.name}")
        again = _open_again(target, lambda mark: mark.rest or None)
        for _server, statement in again:
            server.do(statement)
        if again:
            done.append(f"{target.name} is as it was again")
        target.look()
    return done


def unfinished(targets: Sequence[Target], backup_id: str) -> bool:
    """Whether a run was killed within ``swap``, so that ``settle`` has something to do."""
    if all(target.restored_from(backup_id) for target in targets):
        return False
    return any(
        target.before_state is not None or (target.state and target.state.mark and target.state.mark.kind == "before")
        for target in targets
    )

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Putting restored databases into the place of others, all or none, and back again.

Each step leaves a comment that tells where it was cut off. Nobody can connect to either side until all are swapped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

from . import backup_marks
from .backup_server import State
from .backup_targets import Target
from .errors import RunbookError


def swap(targets: Sequence[Target], run: str, backup_id: str, now: float) -> int:
    """Rename each target away and its restored copy into its place. Returns how many sessions were ended.

    On any failure everything is as it was, and the error is raised.
    """
    undo: list[Callable[[], None]] = []
    ended = 0
    try:
        for target in targets:
            ended += _close(target, run, backup_id, now, undo)
        for target in targets:
            _rename(target, undo)
    except BaseException:
        for step in reversed(undo):
            with contextlib.suppress(RunbookError):
                step()
        raise
    for target in targets:
        target.server.allow(target.name, True)
    return ended


def _close(target: Target, run: str, backup_id: str, now: float, undo: list[Callable[[], None]]) -> int:
    server, old = target.server, _there(target.state, target.name)
    rest = old.comment or ""
    mark = backup_marks.new("before", run, backup_id, now, rest=rest)
    undo.append(lambda: server.comment(target.name, old.comment))
    server.comment(target.name, mark.text())
    undo.append(lambda: server.allow(target.name, old.open))
    server.allow(target.name, False)
    ended = server.end_sessions(target.name)
    restored = backup_marks.new("restored", run, backup_id, now, rest=rest)
    server.comment(target.staging, restored.text())
    server.allow(target.staging, False)
    server.end_sessions(target.staging)
    return ended


def _rename(target: Target, undo: list[Callable[[], None]]) -> None:
    server = target.server
    server.rename(target.name, target.before)
    undo.append(lambda: server.rename(target.before, target.name))
    server.rename(target.staging, target.name)
    undo.append(lambda: server.rename(target.name, target.staging))


def settle(targets: Sequence[Target], backup_id: str) -> list[str]:
    """After a run that was killed within ``swap``: everything as it was before it. Returns what was done.

    Databases that were restored by then are left under the name of their copy, with our comment, to be dropped.
    """
    done = []
    for target in targets:
        target.look()
        server = target.server
        if target.restored_from(backup_id) and target.before_state:
            server.allow(target.name, False)
            server.end_sessions(target.name)
            server.rename(target.name, target.staging)
            target.state = None
        if target.state is None and target.before_state:
            server.rename(target.before, target.name)
            done.append(f"{target.before} renamed back to {target.name}")
        done += reopen(target)
        target.look()
    return done


def reopen(target: Target) -> list[str]:
    """Open a database that was closed for a swap, and give it its comment back."""
    state = target.server.state(target.name)
    mark = state.mark if state else None
    if state is None or mark is None or mark.kind != "before":
        return []
    target.server.allow(target.name, True)
    target.server.comment(target.name, mark.rest or None)
    return [f"{target.name} opened again"]


def unfinished(targets: Sequence[Target], backup_id: str) -> bool:
    """Whether a run was killed within ``swap``, so that ``settle`` has something to do."""
    restored = [target.restored_from(backup_id) for target in targets]
    if all(restored):
        return False
    return any(restored) or any(
        target.before_state is not None or (target.state and target.state.mark and target.state.mark.kind == "before")
        for target in targets
    )


def undo(targets: Sequence[Target], run: str, backup_id: str, now: float) -> int:
    """Put what was replaced into its place again; the restored one is kept as ``undone``, closed.

    A run that is cut off is completed by the next one. Returns how many sessions were ended.
    """
    ended = 0
    for target in targets:
        target.look()
        if target.restored_from(backup_id):
            mark = backup_marks.new("undone", run, backup_id, now)
            target.server.allow(target.name, False)
            ended += target.server.end_sessions(target.name)
            target.server.rename(target.name, target.undone)
            target.server.comment(target.undone, mark.text())
    for target in targets:
        target.look()
        if target.state is None and target.before_state:
            target.server.rename(target.before, target.name)
    for target in targets:
        reopen(target)
    return ended


def _there(state: State | None, name: str) -> State:
    if state is None:
        raise RunbookError(f"database {name} is not there any more: somebody else renamed or dropped it")
    return state

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which revision an undo is to bring back, from the history and the options alone. Pure.

The plan is made so that a second run with the same options finds nothing to do: numbers are followed when they have
changed, and "previous" needs a guard that no longer holds once the undo is done.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from . import kubernetes_objects as objects
from .errors import InputError, RefusedError
from .kubernetes_history import KNOWN_GOOD, History, Revision

TARGETS = ("to", "to_revision", "to_name", "to_hash", "to_image", "to_change_cause")
GUARDS = ("expected_current_revision", "expected_current_name", "expected_current_image")
RELATIVE = ("previous", "previous_image")

Reason = Literal["rolled_back", "already_there", "already_moved"]


@dataclass(frozen=True)
class Goal:
    """What is asked: one of ``TARGETS`` with its value, and the guards that were given."""

    option: str
    value: Any
    guards: dict[str, Any]

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Goal:
        """From the options, of which AnsibleModule has seen that exactly one of ``TARGETS`` is given."""
        option = next(name for name in TARGETS if params.get(name) is not None)
        guards = {name: params[name] for name in GUARDS if params.get(name) is not None}
        for name, value in ((option, params[option]), *guards.items()):
            if isinstance(value, str) and not value.strip():
                raise InputError(f"{name} is empty; leave it out, or say what is meant.", option=name)
            if isinstance(value, int) and value < 1:
                raise InputError(f"{name} is {value}; the first revision of a workload is 1.", option=name)
        if option == "to_change_cause":
            _compiled(params[option])
        return cls(option, params[option], guards)

    def __str__(self) -> str:
        return f"{self.option}: {self.value}"


@dataclass(frozen=True)
class Plan:
    """``target`` is the revision that is meant: for ``rolled_back`` the one to bring back, for ``already_there`` the
    current one; None for ``already_moved``. ``text`` says why, as the end of a sentence."""

    reason: Reason
    target: Revision | None
    text: str


def plan(history: History, goal: Goal) -> Plan:
    """What to do. RefusedError when it cannot or should not be done."""
    _refuse_paused(history)
    current = history.current
    if current is None and (goal.guards or goal.value in RELATIVE):
        raise RefusedError(
            f"{_key(history)}: its controller has made no revision of the present template (generation "
            f"{objects.generation(history.workload)}) yet, so nobody can say what is current. Is the controller "
            f"running? Try again; revisions: {history.text()}.",
            revisions=_rows(history),
        )
    problem: RefusedError | None = None
    target: Revision | None = None
    try:
        target = _target(history, goal)
    except RefusedError as refused:
        problem = refused
    if target is not None and target.current:
        return Plan("already_there", target, f"revision {target} is current already{_known_as(target, goal)}")
    if current is not None:
        broken = _broken(current, goal)
        if broken:
            return Plan("already_moved", None, f"{broken}, but the current revision is {current}")
    if problem or target is None:
        raise problem or RefusedError(f"{_key(history)}: nothing found for {goal}.")
    if goal.value in RELATIVE and current is not None:
        _refuse_toggle(history, goal, current, target)
    return Plan("rolled_back", target, f"revision {target}{_known_as(target, goal)}")


def guard_text(current: Revision) -> str:
    """The guard to paste for a revision."""
    return f"expected_current_name: {current.name}"


def _key(history: History) -> str:
    return objects.key_of(history.workload)


def _rows(history: History) -> list[dict[str, Any]]:
    return [one.as_dict() for one in history.revisions]


def _refuse_paused(history: History) -> None:
    if (history.workload.get("spec") or {}).get("paused"):
        raise RefusedError(
            f"{_key(history)} is paused, so a rollback would not roll out. Resume it first: kubectl rollout resume "
            f"deployment/{objects.name(history.workload)} -n {objects.namespace(history.workload)}",
            revisions=_rows(history),
        )


def _target(history: History, goal: Goal) -> Revision:
    if not history.revisions:
        raise RefusedError(f"{_key(history)} has no rollout history: no revision of it is kept.", revisions=[])
    choosers: dict[str, Callable[[History, Any], Revision]] = {
        "to": _relative if goal.value in RELATIVE else _known_good,
        "to_revision": _by_number,
        "to_name": _by_name,
        "to_hash": _by_hash,
        "to_image": _by_image,
        "to_change_cause": _by_cause,
    }
    return choosers[goal.option](history, goal.value)


def _refused(history: History, what: str, advice: str = "") -> RefusedError:
    return RefusedError(
        f"{_key(history)}: {what}. Revisions that are kept: {history.text()}.{' ' + advice if advice else ''}",
        revisions=_rows(history),
    )


def _relative(history: History, which: str) -> Revision:
    current = history.current
    others = [one for one in history.newest_first if not one.current]
    if not others:
        raise _refused(history, "there is no other revision to go back to")
    if which == "previous" or current is None:
        return others[0]
    found = [one for one in others if one.images != current.images]
    if not found:
        raise _refused(
            history,
            "no revision with other images than the current ones is kept, so to: previous_image means none",
            "With the same tag in all of them (latest?) a rollback changes no image: deploy an image by its digest.",
        )
    return found[0]


def _known_good(history: History, _which: str) -> Revision:
    marked = objects.annotations_of(history.workload).get(KNOWN_GOOD)
    if not marked:
        raise _refused(
            history,
            f"no revision is marked as known good (annotation {KNOWN_GOOD})",
            "Mark one with sre.runbooks.rollout_mark after a verified rollout, or name the revision.",
        )
    found = history.named(marked)
    if found is None:
        raise _refused(history, f"{marked}, which is marked as known good, is not kept any more", "Name another one.")
    return found


def _by_number(history: History, number: int) -> Revision:
    found = [one for one in history.revisions if one.number == number]
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise _refused(history, f"revision {number} is borne by {names}", "Say which one with to_name.")
    # Numbers are given out once, so a number that a revision had means that revision for ever.
    found = found or [one for one in history.revisions if number in one.earlier]
    if found:
        return found[-1]
    advice = "Numbers change with each rollback; names and hashes do not: use to_name or to_hash."
    if objects.kind(history.workload) != "Deployment":
        advice += (
            " Kubernetes does not remember the old numbers of a ControllerRevision; only those that this module "
            "changed are known."
        )
    raise _refused(history, f"unable to find specified revision {number} in history", advice)


def _by_name(history: History, name: str) -> Revision:
    found = history.named(name)
    if found is None:
        raise _refused(history, f"none of its revisions is named {name}")
    return found


def _by_hash(history: History, wanted: str) -> Revision:
    return _newest(history, [one for one in history.revisions if one.hash == wanted], f"no revision has hash {wanted}")


def _by_image(history: History, image: str) -> Revision:
    found = [one for one in history.revisions if image in one.images.values()]
    return _newest(history, found, f"no revision runs image {image}")


def _by_cause(history: History, pattern: str) -> Revision:
    compiled = _compiled(pattern)
    found = [one for one in history.revisions if one.change_cause and compiled.search(one.change_cause)]
    return _newest(history, found, f"no revision has a change-cause that matches {pattern}")


def _newest(history: History, found: Iterable[Revision], otherwise: str) -> Revision:
    """The current one if it is among them, so that a second run stays there; else the newest."""
    candidates = list(found)
    if not candidates:
        raise _refused(history, otherwise)
    return next((one for one in candidates if one.current), candidates[-1])


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"to_change_cause {pattern!r} is no regular expression: {error}.", option="to_change_cause"
        ) from None


def _broken(current: Revision, goal: Goal) -> str:
    """The guards that do not hold for the current revision, in words; empty when all hold."""
    return " and ".join(f"{name} is {value}" for name, value in goal.guards.items() if not _holds(current, name, value))


def _holds(revision: Revision, guard: str, value: Any) -> bool:
    if guard == "expected_current_revision":
        return bool(revision.number == value)
    if guard == "expected_current_name":
        return bool(revision.name == value)
    return value in revision.images.values()


def _refuse_toggle(history: History, goal: Goal, current: Revision, target: Revision) -> None:
    if not goal.guards:
        raise _refused(
            history,
            f"{goal} means revision {target} now, and {current} when it is run again, which would undo the undo. So it "
            "needs a guard that says what is to be left",
            f"Add {guard_text(current)} (or expected_current_revision: {current.number}), or name the revision.",
        )
    if not _broken(target, goal):
        given = ", ".join(f"{name}: {value}" for name, value in goal.guards.items())
        raise _refused(
            history,
            f"{given} holds for the current revision and for {target}, where {goal} leads to, so it would not keep a "
            "second run from undoing the undo",
            f"Use {guard_text(current)} instead.",
        )


def _known_as(target: Revision, goal: Goal) -> str:
    if goal.option == "to_revision" and target.number != goal.value:
        return f", which was revision {goal.value}"
    return ""

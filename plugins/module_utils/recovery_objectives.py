# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a recovery took and what it lost, against the targets of the system. Pure: the numbers come from the task.

RTO is the time from the first action to the first pass of an application-level check on what was restored. RPO is the
time between the newest marker written before the fault and the newest marker found in what was restored, or what a
fault at a worse moment would have lost, where that is more: two backups may lie further apart than this one and the
drill. Without a target a number is *measured*, which is not a pass: nobody has said what would be good enough. So is one
of a part of the system, and a loss that only one backup tells of.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import Any, Literal, TypeVar

from . import checks
from .argspec import ArgumentSpec
from .checks import FAIL, PASS, UNVERIFIED, Check, Status
from .errors import InputError
from .operation import Context

Outcome = Literal["pass", "fail", "measured", "unverified"]
Kind = TypeVar("Kind", bound="Objective")
LONGEST_SECONDS = 10 * 365 * 86_400.0

_NO_TARGET = "Set the target in the inventory once the owner has agreed on it."
_NO_NUMBER = "A number that was not measured is no pass: see the checks before it."
_HINTS: dict[tuple[str, Outcome], str] = {
    (
        "rto",
        "pass",
    ): "A drill restores into an empty server beside; a real recovery also takes the time to decide and to find.",
    (
        "rto",
        "fail",
    ): "It misses its target: look at the seconds of each step, or agree on another target with the owner.",
    ("rto", "measured"): _NO_TARGET,
    ("rto", "unverified"): _NO_NUMBER,
    (
        "rpo",
        "pass",
    ): "By the markers of this drill and the whole backups of the last {days:g} days; a backup that fails loses more.",
    ("rpo", "fail"): "Back up more often, or agree on another target with the owner.",
    ("rpo", "measured"): _NO_TARGET,
    ("rpo", "unverified"): _NO_NUMBER,
}

_MARKERS: dict[str, Any] = {"type": "list", "elements": "dict", "default": []}
SPEC = ArgumentSpec(
    options={
        "system": {"type": "str", "required": True},
        "started_at": {"type": "str"},
        "verified_at": {"type": "str"},
        "markers_before": _MARKERS,
        "markers_restored": _MARKERS,
        "rto_target_seconds": {"type": "float"},
        "rpo_target_seconds": {"type": "float"},
        "backups": {"type": "list", "elements": "dict", "default": []},
        "backup_window_days": {"type": "float", "default": 7.0},
        "left_out": {"type": "list", "elements": "str", "default": []},
        "backup_made_for_this": {"type": "bool", "default": False},
        "unrecoverable_reason": {"type": "str"},
        "runbook": {"type": "str", "default": ""},
    }
)


@dataclass(frozen=True)
class Objective:
    """One number: seconds (None when there is none), its target (None when none is set), and what that amounts to."""

    seconds: float | None
    target_seconds: float | None
    outcome: Outcome
    why: str = ""


@dataclass(frozen=True)
class Loss(Objective):
    """``seconds`` is the larger of what this drill lost and of what a fault at the worst moment would have lost."""

    measured_seconds: float | None = None
    worst_gap_seconds: float | None = None


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """The checks rto.<system> and rpo.<system>."""
    system, reason = params["system"].strip(), (params["unrecoverable_reason"] or "").strip()
    if not system:
        raise InputError("system is empty: name the system that was recovered", option="system")
    if not 0 < params["backup_window_days"] <= 366:
        raise InputError(
            f"backup_window_days is {params['backup_window_days']:g}; it must be more than 0 and at most 366"
        )
    target = {name: _target(params, f"{name}_target_seconds") for name in ("rto", "rpo")}
    if reason:
        time, loss = Objective(None, target["rto"], "fail", reason), Loss(None, target["rpo"], "fail", reason)
    else:
        started, verified = _time(params["started_at"], "started_at"), _time(params["verified_at"], "verified_at")
        gap = worst_gap(params["backups"], params["backup_window_days"] * 86_400, context.clock.now())
        before, restored = params["markers_before"], params["markers_restored"]
        time = _of_a_part(rto(started, verified, target["rto"]), params["left_out"])
        loss = rpo(before, restored, target["rpo"], gap, params["backup_made_for_this"])
        loss = _of_a_part(loss, params["left_out"])
    rows = [_check("rto", system, time, params), _check("rpo", system, loss, params)]
    return checks.report(rows, system=system, rto=asdict(time), rpo=asdict(loss))


def rto(
    started: datetime.datetime | None, verified: datetime.datetime | None, target_seconds: float | None
) -> Objective:
    """How long it took until what was restored was seen to work."""
    if started is None or verified is None:
        return Objective(None, target_seconds, "unverified", "no application-level check has passed")
    seconds = (verified - started).total_seconds()
    if seconds < 0:
        return Objective(None, target_seconds, "unverified", "it was verified before it began: a clock was moved")
    return _judged(seconds, target_seconds)


def rpo(
    before: Sequence[Mapping[str, Any]],
    restored: Sequence[Mapping[str, Any]],
    target_seconds: float | None,
    gap_seconds: float | None = None,
    backup_made_for_this: bool = False,
) -> Loss:
    """How much was lost, or would have been: the worst of the databases, and of the moments between two backups.

    Rows are {name, id, written_at}, as pg_marker gives them; ``gap_seconds`` as of worst_gap.
    """
    found = {str(row.get("name")): row for row in restored}
    lost: list[float] = []
    if not before:
        return Loss(None, target_seconds, "unverified", "no marker is known that was written before the fault")
    for row in before:
        name = str(row.get("name"))
        seconds, why = _lost(row, found.get(name, {}))
        if seconds is None:
            return Loss(None, target_seconds, "unverified", f"{name}: {why}", None, gap_seconds)
        lost.append(seconds)
    measured = round(max(lost), 3)
    judged = _judged(max(measured, gap_seconds or 0.0), target_seconds)
    outcome, why = judged.outcome, judged.why
    if outcome == "pass" and backup_made_for_this:
        outcome, why = (
            "measured",
            "the backup was made for this drill: it does not show what a fault at another moment would lose",
        )
    elif outcome == "pass" and gap_seconds is None:
        outcome, why = (
            "measured",
            "no two whole backups tell how far apart they are, so what a fault before the next would lose",
        )
    return Loss(judged.seconds, target_seconds, outcome, why, measured, gap_seconds)


def worst_gap(sets: Sequence[Mapping[str, Any]], window_seconds: float, now: float) -> float | None:
    """The most seconds that a fault between two backups could have lost; None where there are no two.

    Rows are those of pg_backup_info's ``sets``. A fault just before a backup is whole loses everything since the one
    before it was begun. Counted are pairs whose later one was begun within the window before ``now`` (epoch seconds).
    """
    times = sorted(
        (began, done)
        for row in sets
        if not row.get("problems") and not row.get("future")
        for began, done in [(_time(row.get("started_at"), "started_at"), _time(row.get("finished_at"), "finished_at"))]
        if began and done
    )
    gaps = [
        (done - earlier).total_seconds()
        for (earlier, _done), (began, done) in pairwise(times)
        if now - began.timestamp() <= window_seconds
    ]
    return round(max(gaps), 3) if gaps else None


def _of_a_part(found: Kind, left_out: Sequence[str]) -> Kind:
    """What a part of the system took and lost is no pass of the whole."""
    if not left_out or found.outcome != "pass":
        return found
    return replace(found, outcome="measured", why=f"only a part was recovered, without {', '.join(left_out)}")


def _lost(before: Mapping[str, Any], restored: Mapping[str, Any]) -> tuple[float | None, str]:
    """Seconds between the two markers of one database, or why that is not known."""
    written, found = (_time(row.get("written_at"), "written_at of a marker") for row in (before, restored))
    if written is None:
        return None, "no marker is known that was written before the fault"
    if found is None:
        return None, "no marker was found in the restored database, so what it lost is not known"
    if _number(restored.get("id")) > _number(before.get("id")):
        return None, "the restored database has a later marker than the one before the fault: is it another database?"
    seconds = (written - found).total_seconds()
    if seconds < 0:
        return (
            None,
            "the restored marker bears a later time than the one before the fault: the server's clock was moved",
        )
    return seconds, ""


def _judged(seconds: float, target_seconds: float | None) -> Objective:
    seconds = round(seconds, 3)
    if target_seconds is None:
        return Objective(seconds, None, "measured", "no target is set, so nobody can say whether that is good enough")
    return Objective(seconds, target_seconds, "pass" if seconds <= target_seconds else "fail")


def _check(name: str, system: str, objective: Objective, params: Mapping[str, Any]) -> Check:
    title = {"rto": "Time to recover", "rpo": "Data lost"}[name]
    target = objective.target_seconds
    expected = f"at most {_duration(target)}" if target is not None else "a target (none is set)"
    if objective.seconds is None:
        observed = objective.why
    else:
        observed = _duration(objective.seconds) + _parts(objective)
        if objective.outcome == "measured":
            observed = f"measured: {observed}; {objective.why}"
    hint = _HINTS[name, objective.outcome].format(days=params["backup_window_days"])
    if objective.outcome == "fail" and objective.seconds is None:
        hint = "No backup can meet this target as long as the data are kept like that."
    elif objective.outcome == "measured" and target is not None:
        hint = "It keeps its target, and does not show that a real recovery would."
    return Check(f"{name}.{system}", title, _status(objective.outcome), observed, expected, hint, params["runbook"])


def _parts(objective: Objective) -> str:
    """What the seconds of a loss are made of, where there are two numbers."""
    if not isinstance(objective, Loss) or objective.measured_seconds is None or objective.worst_gap_seconds is None:
        return ""
    lost, gap = _duration(objective.measured_seconds), _duration(objective.worst_gap_seconds)
    return f" (this drill lost {lost}; a fault before a next backup was whole would have lost up to {gap})"


def _status(outcome: Outcome) -> Status:
    return {"pass": PASS, "fail": FAIL}.get(outcome, UNVERIFIED)


def _duration(seconds: float) -> str:
    """Seconds as people say them: 12.3 s, 4 min 10 s, 4 h."""
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "min"), (whole % 60, "s"))
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def _target(params: Mapping[str, Any], option: str) -> float | None:
    value = params[option]
    if value is None:
        return None
    if not 0 <= value <= LONGEST_SECONDS:
        raise InputError(f"{option} is {value:g}; it must be from 0 to {LONGEST_SECONDS:g} seconds", option=option)
    return float(value)


def _time(text: Any, what: str) -> datetime.datetime | None:
    """A time with zone; None for nothing. InputError for text that is no such time."""
    if text is None or not str(text).strip():
        return None
    try:
        found = datetime.datetime.fromisoformat(str(text).strip())
    except ValueError:
        raise InputError(f"{what} is {text!r}, not an ISO 8601 time such as 2031-04-02T08:03:11Z") from None
    if found.tzinfo is None:
        raise InputError(f"{what} is {text!r}, which has no time zone: add Z or an offset")
    return found


def _number(value: Any) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        raise InputError(f"the id of a marker is {value!r}, not a number: hand over what pg_marker returned") from None

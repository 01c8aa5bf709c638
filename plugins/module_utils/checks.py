# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks, findings and the verdict: the contract of every read-only module and of every procedure.

*fail* = observed and wrong; *unverified* = could not be observed; only *pass* is green. Nothing observed at all is
unverified. The worst check decides: fail before unverified before pass.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["pass", "fail", "unverified"]
Confidence = Literal["seen", "inferred"]
Effect = Literal["read", "change", "destroy"]

PASS: Status = "pass"
FAIL: Status = "fail"
UNVERIFIED: Status = "unverified"
WORST_FIRST: tuple[Status, ...] = (FAIL, UNVERIFIED, PASS)


@dataclass
class Check:
    """One observation compared with what was expected.

    ``id`` is stable and names the target where there are several (``lag.orders``); ``runbook`` is the section of the
    runbook that asks for it; ``duration_ms`` is the time the observation took.
    """

    id: str
    title: str
    status: Status
    observed: Any = None
    expected: Any = None
    hint: str = ""
    runbook: str = ""
    duration_ms: int | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Next:
    """The next command: a playbook, its arguments, and what it does to the system."""

    playbook: str
    args: dict[str, Any] = field(default_factory=dict)
    effect: Effect = "read"


@dataclass
class Finding:
    """What checks mean. ``evidence`` holds check ids; ``affects`` names what suffers from the cause."""

    cause: str
    confidence: Confidence
    evidence: list[str]
    affects: list[str] = field(default_factory=list)
    next: Next | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def status_of(observed_right: bool | None) -> Status:
    """True is pass, False is fail, None (not observed) is unverified."""
    if observed_right is None:
        return UNVERIFIED
    return PASS if observed_right else FAIL


def verdict_of(statuses: Iterable[str]) -> Status:
    """The worst status; nothing at all is unverified, and so is a status that is not known."""
    seen = set(statuses)
    if FAIL in seen:
        return FAIL
    return PASS if seen == {PASS} else UNVERIFIED


def report(checks: Iterable[Check], findings: Iterable[Finding] = (), **data: Any) -> dict[str, Any]:
    """The result of a read-only operation: verdict, checks and findings, beside the data that was observed.

    Two checks of one id would be one row in the report: that is a programming error.
    """
    rows = list(checks)
    ids = [check.id for check in rows]
    twice = sorted({i for i in ids if ids.count(i) > 1}) if len(set(ids)) != len(ids) else []
    if twice:
        raise ValueError(f"check ids named twice: {', '.join(twice)}")
    return {
        "changed": False,
        "verdict": verdict_of(check.status for check in rows),
        "checks": [check.as_dict() for check in rows],
        "findings": [finding.as_dict() for finding in findings],
        **data,
    }

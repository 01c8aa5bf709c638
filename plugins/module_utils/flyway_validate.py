# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Validation, as Flyway does it: what is wrong with each migration, in its words where they are known to people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import flyway_types as types
from .flyway_names import abbreviated
from .flyway_patterns import Ignored, Pattern
from .flyway_states import UNKNOWN_TYPE, Calculation, Info

NO_DESCRIPTION = "<< no description >>"
MISMATCHES = ("TYPE_MISMATCH", "CHECKSUM_MISMATCH", "DESCRIPTION_MISMATCH")


@dataclass(frozen=True)
class Invalid:
    """One migration that does not pass. ``code`` is Flyway's error code; ``applied`` and ``resolved`` are what differ."""

    code: str
    message: str
    info: Info
    applied: Any = None
    resolved: Any = None

    @property
    def version(self) -> str:
        return str(self.info.version) if self.info.version else ""

    @property
    def description(self) -> str:
        return self.info.description

    @property
    def filepath(self) -> str:
        return self.info.filepath

    def as_dict(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "description": self.description,
            "filepath": self.filepath,
            "errorCode": self.code,
            "errorMessage": self.message,
        }


def validate(calculation: Calculation, patterns: Sequence[Pattern]) -> list[Invalid]:
    """All that does not pass, in the order of the migrations."""
    ignored = Ignored(patterns)
    return [found for info in calculation.infos if (found := _one(info, calculation, ignored))]


def _one(info: Info, context: Calculation, ignored: Ignored) -> Invalid | None:
    if info.state in (types.UNDONE, types.ABOVE_TARGET, types.DELETED, UNKNOWN_TYPE):
        return None
    if ignored.fits(info.version is not None, info.state):
        return None
    return (
        _failed(info, ignored)
        or _not_resolved(info, ignored)
        or _not_applied(info, ignored)
        or _differs(info, context, ignored)
    )


def _kind(info: Info) -> str:
    return "VERSIONED" if info.version is not None else "REPEATABLE"


def _failed(info: Info, ignored: Ignored) -> Invalid | None:
    if info.state not in types.ANY_FAILED or (ignored.future and info.state == types.FUTURE_FAILED):
        return None
    what = (
        f"migration to version {info.version} ({info.description})"
        if info.version
        else f"repeatable migration: {info.description}"
    )
    message = f"Detected failed {what}. Remove what it left half-done, then run repair."
    return Invalid(f"FAILED_{_kind(info)}_MIGRATION", message, info)


def _not_resolved(info: Info, ignored: Ignored) -> Invalid | None:
    if info.resolved is not None or info.type in types.SYNTHETIC | types.UNDO or info.state == types.SUPERSEDED:
        return None
    if ignored.missing and info.state in (types.MISSING, types.MISSING_FAILED):
        return None
    if ignored.future and info.state in (types.FUTURE, types.FUTURE_FAILED):
        return None
    message = (
        f"Detected applied migration not resolved locally: {info.name}. Are the locations right? Only if it was removed "
        "on purpose, repair marks it as deleted."
    )
    return Invalid(f"APPLIED_{_kind(info)}_MIGRATION_NOT_RESOLVED", message, info)


def _not_applied(info: Info, ignored: Ignored) -> Invalid | None:
    code = f"RESOLVED_{_kind(info)}_MIGRATION_NOT_APPLIED"
    kind = "" if info.version else "repeatable "
    begin = f"Detected resolved {kind}migration not applied to database: {info.name}."
    if info.state == types.IGNORED and not ignored.ignored and info.type not in types.BASELINES | types.UNDO:
        if info.resolved and not info.resolved.should_execute:
            return None
        return Invalid(code, f"{begin} It is older than what was applied; out_of_order would let it run.", info)
    if info.state == types.PENDING and not ignored.pending:
        return Invalid(code, f"{begin} Run migrate.", info)
    if info.state == types.OUTDATED and not ignored.pending:
        message = (
            f"Detected outdated resolved repeatable migration that should be re-applied: {info.name}. Run migrate."
        )
        return Invalid("OUTDATED_REPEATABLE_MIGRATION", message, info)
    return None


def _differs(info: Info, context: Calculation, ignored: Ignored) -> Invalid | None:
    row, resolved = info.row, info.resolved
    if row is None or resolved is None or resolved.supposed or info.type == "DELETE" or info.type in types.UNDO:
        return None
    if info.version is not None and context.applied_baseline is not None and info.version <= context.applied_baseline:
        return None
    if resolved.type != row.type:
        return _mismatch("type", info, row.type, resolved.type)
    rerun = not ignored.pending or info.state in (types.OUTDATED, types.SUPERSEDED)
    if (resolved.version is not None or not rerun) and not resolved.passes(row.checksum):
        return _mismatch("checksum", info, row.checksum, resolved.checksum)
    if _description_differs(row.description, resolved.description):
        return _mismatch("description", info, row.description, resolved.description)
    return None


def _description_differs(applied: str, resolved: str) -> bool:
    return resolved != "" if applied == NO_DESCRIPTION else abbreviated(resolved) != applied


def _mismatch(what: str, info: Info, applied: Any, resolved: Any) -> Invalid:
    name = f"version {info.version}" if info.version else info.script
    message = (
        f"Migration {what} mismatch for migration {name}: {applied} was applied, {resolved} lies in {info.filepath}"
    )
    return Invalid(f"{what.upper()}_MISMATCH", message, info, applied, resolved)

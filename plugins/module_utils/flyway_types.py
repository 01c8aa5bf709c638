# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Types and states of migrations, by Flyway's names, and what each means."""

from __future__ import annotations

PENDING = "Pending"
ABOVE_TARGET = "Above Target"
BELOW_BASELINE = "Below Baseline"
BASELINE_IGNORED = "Ignored (Baseline)"
BASELINE = "Baseline"
IGNORED = "Ignored"
MISSING = "Missing"
MISSING_FAILED = "Failed (Missing)"
SUCCESS = "Success"
UNDONE = "Undone"
FAILED = "Failed"
OUT_OF_ORDER = "Out of Order"
FUTURE = "Future"
FUTURE_FAILED = "Failed (Future)"
OUTDATED = "Outdated"
SUPERSEDED = "Superseded"
DELETED = "Deleted"

# A row of the table stands behind them.
APPLIED = frozenset(
    {
        BASELINE,
        MISSING,
        MISSING_FAILED,
        SUCCESS,
        UNDONE,
        FAILED,
        OUT_OF_ORDER,
        FUTURE,
        FUTURE_FAILED,
        OUTDATED,
        SUPERSEDED,
        DELETED,
    }
)
ANY_FAILED = frozenset({FAILED, MISSING_FAILED, FUTURE_FAILED})
NOT_FOUND = frozenset({MISSING, MISSING_FAILED, FUTURE, FUTURE_FAILED})
BELOW = frozenset({BELOW_BASELINE, BASELINE_IGNORED})

# Rows that Flyway writes by itself; there is no script behind them.
SYNTHETIC = frozenset({"SCHEMA", "BASELINE", "DELETE"})
BASELINES = frozenset({"BASELINE", "SQL_BASELINE", "JDBC_BASELINE"})
# Migrations that are programs: their checksums are known to the program only.
PROGRAMS = frozenset({"JDBC", "CUSTOM", "JDBC_BASELINE"})
# Undo migrations of Flyway's paid editions; UNDO_SCRIPT is known to every edition, and undoes nothing without those.
PAID_UNDO = frozenset({"UNDO_SQL", "UNDO_JDBC", "UNDO_CUSTOM"})
UNDO = PAID_UNDO | {"UNDO_SCRIPT"}
KNOWN = SYNTHETIC | BASELINES | PROGRAMS | UNDO | {"SQL", "SCRIPT"}

_FORMER_NAMES = {"SPRING_JDBC": "JDBC"}


def of_row(text: str) -> str:
    """The type that a row names; formerly used names are said as they are called now."""
    if text.upper() in BASELINES - {"BASELINE"}:
        return text.upper()
    return _FORMER_NAMES.get(text, text)

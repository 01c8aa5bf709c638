# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: each measurement side by side, in one run, with what a user would run today; printed as ratios.

Names of benchmarks on the command line run only these: ``run.py kafka_lag``.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = (
    "recovery_check",
    "kafka_lag",
    "ledger_scan",
    "rollout_undo",
    "workload_diagnosis",
    "actuator_health",
    "rollout_status",
    "flyway_status",
    "pg_backup",
    "pg_idle_kill",
)
COLUMNS = ("measured", "ours", "theirs", "ratio", "target")


def seconds(value: float) -> str:
    """Seconds with the digits that mean something."""
    return f"{value:.3f} s" if value < 1 else f"{value:.1f} s"


def cells(row: dict[str, Any]) -> tuple[str, ...]:
    """One printed line: seconds become text, a ratio below its target is marked, and so is what was not measured.

    A row with a ``unit`` has counts instead: ``ours`` and ``theirs``.
    """
    if "problem" in row:
        return (row["name"], "-", "-", "-", row["problem"])
    missed = "" if met(row) else "  missed"
    if "unit" in row:
        ours, theirs = (f"{row[side]:g} {row['unit']}" for side in ("ours", "theirs"))
    else:
        ours, theirs = seconds(row["ours_seconds"]), seconds(row["theirs_seconds"])
    ratio = f"{row['ratio']:.1f}x" if row["ratio"] >= 1 else f"{row['ratio']:.2f}x"
    return (row["name"], ours, theirs, ratio, f">= {row['target']:.3g}x{missed}")


def met(row: dict[str, Any]) -> bool:
    """Whether the row was measured and its ratio reaches the target."""
    return "problem" not in row and row["ratio"] >= row["target"]


def main(names: list[str]) -> int:
    """Exit code 1 when a ratio is below its target, or could not be measured."""
    unknown = sorted(set(names) - set(BENCHMARKS))
    if unknown:
        print(f"no benchmark {', '.join(unknown)}; there are: {', '.join(BENCHMARKS)}")
        return 2
    rows: list[dict[str, Any]] = []
    for name in names or BENCHMARKS:
        begun = time.monotonic()
        print(f"{name} ...", flush=True)
        rows += importlib.import_module(f"tests.benchmarks.{name}").rows()
        print(f"{name} done in {time.monotonic() - begun:.0f} s", flush=True)
    table = [COLUMNS, *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(COLUMNS))]
    print()
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    return 0 if all(met(row) for row in rows) else 1


if __name__ == "__main__":
    COLLECTIONS = str(ROOT / ".build" / "collections")
    sys.path.insert(0, COLLECTIONS)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (COLLECTIONS, os.environ.get("PYTHONPATH"))))
    sys.exit(main(sys.argv[1:]))

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a quarantine would do to a ledger: computed by reading only, the same in check mode and for real."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from typing import Any

from .errors import RefusedError
from .ledger_file import LedgerFile
from .ledger_rules import REASONS
from .ledger_scan import BadLine, Scan
from .ledger_snapshot import Snapshot


@dataclass(frozen=True)
class Plan:
    """Lines to remove, in file order, and what goes with them.

    ``terminate``: the last line stays and lacks its newline; it gets one, so that no event is glued to it.
    ``move_snapshot``: it covers a line that is removed, so a boot would go on believing what it says.
    ``digest`` stands for exactly these lines; good events appended later do not change it.
    """

    ledger: str
    lines: tuple[BadLine, ...]
    terminate: bool
    snapshot: Snapshot
    move_snapshot: bool
    size: int
    total_lines: int
    left: dict[str, int]
    counts: dict[str, int]
    digest: str

    @property
    def changes(self) -> bool:
        return bool(self.lines) or self.terminate

    @property
    def removed_bytes(self) -> int:
        return sum(line.length for line in self.lines)

    @property
    def size_after(self) -> int:
        return self.size - self.removed_bytes + self.terminate

    def kept_ranges(self) -> list[tuple[int, int]]:
        """Begin and end of the bytes that stay."""
        edges = [0]
        for line in self.lines:
            edges += [line.offset, line.offset + line.length]
        edges.append(self.size)
        pairs = zip(edges[::2], edges[1::2], strict=True)
        return [(begin, end) for begin, end in pairs if begin < end]

    def as_dict(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "remove": [line.as_dict(self.snapshot.covers(line.number, self.total_lines)) for line in self.lines],
            "remove_bytes": self.removed_bytes,
            "append_newline": self.terminate,
            "move_snapshot": self.move_snapshot,
            "left_by_reason": self.left,
            "size_before_bytes": self.size,
            "size_after_bytes": self.size_after,
            "lines_before": self.total_lines,
            "lines_after": self.total_lines - len(self.lines),
        }

    def diff(self) -> dict[str, str]:
        """What --diff shows: the lines that go, redacted."""
        lines = [line.as_dict(None) for line in self.lines]
        before = [f"line {line['line']} ({line['class']}, {line['reason']}): {line['excerpt']}\n" for line in lines]
        after = ["(a newline at the end of the last line)\n"] if self.terminate else []
        return {
            "before_header": self.ledger,
            "after_header": f"{self.ledger} (quarantined)",
            "before": "".join(before),
            "after": "".join(after),
        }


def make(
    ledger: LedgerFile, found: Scan, snapshot: Snapshot, kinds: list[str], limit: int, expected: str | None
) -> Plan:
    """The plan for the bad lines of ``kinds``. Raises RefusedError where it must not be carried out."""
    if not found.complete:
        raise RefusedError(
            f"{ledger.path} was read to byte {found.end} of {ledger.size} only, so there is no plan. "
            "Raise 'timeout'; if the file became shorter while it was read, find out what writes it."
        )
    count = found.count(kinds)
    if count > limit:
        raise RefusedError(
            f"{ledger.path} has {count} bad lines of the classes {', '.join(kinds)}, more than max_quarantined "
            f"({limit}). So many are rarely torn events: look at them with state=scanned first (another file?), "
            "then raise max_quarantined.",
            counts=dict(found.reasons),
            bad_lines=[line.as_dict(None) for line in found.listed(20)],
        )
    lines = tuple(sorted((line for kind in kinds for line in found.bad[kind]), key=lambda line: line.offset))
    removed = {line.offset for line in lines}
    left = {reason: number for reason, number in sorted(found.reasons.items()) if REASONS[reason] not in kinds}
    terminate = found.unterminated is not None and found.unterminated not in removed
    plan = Plan(
        ledger=ledger.path,
        lines=lines,
        terminate=terminate,
        snapshot=snapshot,
        move_snapshot=snapshot.ledger_lines is not None and any(line.number <= snapshot.ledger_lines for line in lines),
        size=ledger.size,
        total_lines=found.lines,
        left=left,
        counts=found.counts(),
        digest=_digest(ledger, lines, found.unterminated if terminate else None),
    )
    if expected and expected != plan.digest:
        raise RefusedError(
            f"the bad lines of {ledger.path} are no longer those of the plan {expected}: the plan is now "
            f"{plan.digest}. Nothing was changed; look at the new plan (check mode) and pass its digest.",
            plan=plan.as_dict(),
        )
    return plan


def _digest(ledger: LedgerFile, lines: tuple[BadLine, ...], terminate_at: int | None) -> str:
    parts = [
        [line.offset, line.length, hashlib.sha256(os.pread(ledger.fd, line.length, line.offset)).hexdigest()]
        for line in lines
    ]
    return hashlib.sha256(json.dumps([ledger.path, parts, terminate_at]).encode()).hexdigest()[:16]

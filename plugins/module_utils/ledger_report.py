# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a scan of a ledger means: checks, findings and the next command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next, report, status_of
from .ledger_file import LedgerError, LedgerFile
from .ledger_holders import holders_of, holders_of_replaced
from .ledger_rules import FATAL, SILENT, SKIPPED, UNJUDGED
from .ledger_scan import Scan, at_of_line, in_words
from .ledger_snapshot import Snapshot

SECTION = "6"
REPAIR = "sre.runbooks.backoffice.ledger_repair"
MEASURED = "ledger.measured"
READABLE = "ledger.readable"
SNAPSHOT = "ledger.snapshot"
TAIL = "ledger.tail"
WRITER = "ledger.writer"

CHECK_OF = {FATAL: "ledger.fatal_lines", SKIPPED: "ledger.skipped_lines", SILENT: "ledger.silent_lines"}
TITLES = {
    FATAL: "No line that stops the boot",
    SKIPPED: "No line that a boot leaves out",
    SILENT: "No line that is read otherwise than it is written",
}
HINTS = {
    FATAL: "The next boot dies before its port opens: quarantine these lines with the service stopped, then start it. "
    "Where a snapshot covers such a line the boot lives, but ledger and reconcile answer 500 for its account.",
    SKIPPED: "The service leaves them out without a word: their events are missing from its state. Quarantining them "
    "changes no balance and clears the count; the events themselves must come again from the topic or the gateway.",
    SILENT: "They count as applied: compare them with the gateway's orders. They are quarantined only when the class "
    "is named, because a number in them may have been booked.",
}


def unreadable(error: LedgerError) -> dict[str, Any]:
    """The result when there is no ledger that could be scanned."""
    title, expected = "Ledger can be read", "a readable regular file"
    check = Check(READABLE, title, error.status, error.problem, expected, f"{error.hint}.", SECTION)
    cause = Finding("ledger_missing", "seen", [READABLE], ["all data of the deployment"])
    findings = [cause] if error.status == FAIL else []
    return report([check], findings, ledger=None, counts=None, reasons={}, bad_lines=[], snapshot=None)


def scanned(
    ledger: LedgerFile, found: Scan, snapshot: Snapshot, limit: int, writer: Check | None = None
) -> dict[str, Any]:
    """The result of a scan. ``writer`` is the check of who writes to the file, where that was asked for."""
    listed = found.listed(limit)
    covered = {line.number for line in listed if snapshot.covers(line.number, found.lines)}
    checks = [_readable(ledger, found), _measured(found), *_classes(found), _tail(found), _snapshot(found, snapshot)]
    checks += [writer] if writer else []
    return report(
        checks,
        _findings(checks),
        ledger={
            "path": ledger.path,
            "size_bytes": ledger.size,
            "scanned_bytes": found.end,
            "complete": found.complete,
            "first_at": at_of_line(ledger.fd, found.first_good),
            "last_at": at_of_line(ledger.fd, found.last_good),
            "last_line_terminated": found.unterminated is None,
        },
        counts=found.counts(),
        reasons=dict(sorted(found.reasons.items())),
        bad_lines=[line.as_dict(line.number in covered) for line in listed],
        snapshot=snapshot.as_dict(found.lines),
    )


def writer(ledger: LedgerFile) -> Check:
    """Whether the process that writes the ledger writes to this file, and not to one that stood here before."""
    title, expected = "What is written goes to this file", "no writer on a file that was replaced"
    stale = holders_of_replaced(ledger.path)
    if stale.writers:
        names = ", ".join(map(str, stale.writers))
        hint = (
            "The ledger was replaced under a running service. A restart loses every event since then: first save the "
            f"old file from /proc/{stale.writers[0].pid}/fd, and append its later lines when the service is stopped."
        )
        return Check(WRITER, title, FAIL, f"{names} writes to the file that was here before", expected, hint, SECTION)
    now = holders_of(ledger.identity.device, ledger.identity.inode)
    if now.writers:
        observed = f"{', '.join(map(str, now.writers))} writes to it"
        return Check(WRITER, title, PASS, observed, expected, "Seen in the open files of the processes.", SECTION)
    if now.hidden:
        hint = "Run the task as root (become) to see the open files of all processes."
        return Check(WRITER, title, UNVERIFIED, now.hidden, expected, hint, SECTION)
    return Check(WRITER, title, PASS, "no process has it open", expected, "The service is stopped.", SECTION)


def _readable(ledger: LedgerFile, found: Scan) -> Check:
    title, expected = "Ledger can be read to its end", f"{ledger.size} bytes"
    if ledger.replaced():
        hint = "Another file was put at the path: a writer that runs may still write the old one. Look again."
        return Check(READABLE, title, UNVERIFIED, "the file was replaced while it was read", expected, hint, SECTION)
    now = ledger.now().size
    if now < ledger.size:
        hint = "Something truncates the ledger: find out what, before anything else is done to it."
        return Check(READABLE, title, FAIL, f"it shrank to {now} bytes while it was read", expected, hint, SECTION)
    if not found.complete:
        hint = "The scan ended before the file did: raise timeout. What lies behind is not known."
        return Check(READABLE, title, UNVERIFIED, f"{found.end} bytes read in time", expected, hint, SECTION)
    hint = "Events that were appended after the scan began are not part of it."
    return Check(READABLE, title, PASS, f"{found.end} bytes", expected, hint, SECTION)


def _measured(found: Scan) -> Check:
    hint = (
        "An empty ledger boots clean and proves nothing: compare with the topic, the group's offsets and the gateway."
    )
    status = PASS if found.lines > found.blank else UNVERIFIED
    return Check(MEASURED, "Ledger holds lines", status, in_words(found.lines), "at least one line", hint, SECTION)


def _classes(found: Scan) -> Iterator[Check]:
    unjudged = found.count([UNJUDGED])
    for kind, check_id in CHECK_OF.items():
        count = found.count([kind])
        observed = in_words(count) + (f", first at line {found.bad[kind][0].number}" if found.bad[kind] else "")
        status = FAIL if count else status_of(True if found.complete and not unjudged else None)
        if status == UNVERIFIED and unjudged:
            observed += f"; {in_words(unjudged)} too long to be judged"
        yield Check(check_id, TITLES[kind], status, observed, "0 lines", HINTS[kind], SECTION)


def _tail(found: Scan) -> Check:
    hint = (
        "A torn write: the next event is glued to it and lost at the next boot. Quarantine mends it (service stopped)."
    )
    title, expected = "Last line ends with a newline", "a newline"
    if not found.complete:
        return Check(TAIL, title, UNVERIFIED, "the end was not read", expected, hint, SECTION)
    observed = "a newline" if found.unterminated is None else f"no newline after byte {found.unterminated}"
    if not found.lines:
        observed = "an empty file"
    return Check(TAIL, title, status_of(found.unterminated is None), observed, expected, hint, SECTION)


def _snapshot(found: Scan, snapshot: Snapshot) -> Check:
    title, expected = "No snapshot hides a bad line", "no bad line below it"
    if not snapshot.exists:
        hint = "Without a snapshot every boot replays the whole ledger. With a database store this is always so."
        return Check(SNAPSHOT, title, PASS, f"no snapshot at {snapshot.path}", expected, hint, SECTION)
    if snapshot.ledger_lines is None:
        hint = "What it covers is not known. A boot that cannot read it replays the whole ledger."
        return Check(SNAPSHOT, title, UNVERIFIED, f"{snapshot.path} {snapshot.problem}", expected, hint, SECTION)
    covers = f"covers {snapshot.ledger_lines} of {found.lines} lines"
    if not snapshot.used(found.lines):
        if not found.complete:
            return Check(
                SNAPSHOT,
                title,
                UNVERIFIED,
                f"covers {snapshot.ledger_lines} lines",
                expected,
                "Raise timeout.",
                SECTION,
            )
        hint = (
            "The ledger is shorter than the snapshot knew it: its end was lost or cut. The snapshot is ignored at boot."
        )
        return Check(
            SNAPSHOT, "Ledger is as long as its snapshot", FAIL, covers, "no more lines than there are", hint, SECTION
        )
    first = min((lines[0].number for lines in found.bad.values() if lines), default=None)
    if first is not None and first <= snapshot.ledger_lines:
        hint = (
            "A boot does not read what the snapshot covers: repairing it changes nothing until the snapshot is moved "
        )
        hint += "aside, and replay statistics count no such line. Quarantine does both."
        return Check(SNAPSHOT, title, FAIL, f"{covers}, the first bad line is {first}", expected, hint, SECTION)
    hint = "Replay statistics of the next boot count only the lines behind it."
    return Check(SNAPSHOT, title, PASS, covers, expected, hint, SECTION)


def _findings(checks: list[Check]) -> Iterator[Finding]:
    failed = {check.id for check in checks if check.status == FAIL}
    repair = Next(REPAIR, {}, "change")
    if CHECK_OF[FATAL] in failed:
        yield Finding("ledger_fatal_line", "seen", [CHECK_OF[FATAL]], ["the next boot"], repair)
    if CHECK_OF[SKIPPED] in failed:
        yield Finding("ledger_skipped_line", "seen", [CHECK_OF[SKIPPED]], ["the events on these lines"], repair)
    if CHECK_OF[SILENT] in failed:
        yield Finding("ledger_silent_line", "seen", [CHECK_OF[SILENT]], ["the orders on these lines"])
    if WRITER in failed:
        yield Finding("ledger_replaced_while_running", "seen", [WRITER], ["every event since it was replaced"])
    if TAIL in failed:
        yield Finding("ledger_torn_tail", "seen", [TAIL], ["the next event"], repair)
    if SNAPSHOT in failed:
        shorter = CHECK_OF[FATAL] not in failed and CHECK_OF[SKIPPED] not in failed and CHECK_OF[SILENT] not in failed
        cause = "ledger_shorter_than_snapshot" if shorter else "snapshot_hides_bad_line"
        yield Finding(cause, "seen", [SNAPSHOT], ["the state after the next boot"], None if shorter else repair)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a replay on a copy of the ledger shows: checks and findings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from . import backoffice_reconcile
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next, report, status_of
from .ledger_books import Books
from .ledger_file import LedgerError
from .ledger_rules import FATAL, SILENT, SKIPPED
from .ledger_scan import Scan, in_words

if TYPE_CHECKING:
    from .backoffice_replay import Run

SECTION = "3.5"
LEDGER, PORT, LIVE = "replay.ledger", "replay.port", "replay.live"
FATAL_LINES, SKIPPED_LINES, SILENT_LINES = "replay.fatal_lines", "replay.skipped_lines", "replay.silent_lines"
BOOT, MEASURED, SAME, SLO = "replay.boot", "replay.measured", "replay.same_ledger", "replay.slo"
RECONCILE = "replay.reconcile"
REPAIR = Next("sre.runbooks.backoffice.ledger_repair", {}, "change")
HINT_LINES = "The module backoffice_ledger names each bad line with number, reason and class; the service logs none."
NO_BOOKS = "This is no reconciliation: is the command that of a BackOffice?"
OUT_OF_TIME = "The time ran out: raise timeout."


def unreadable(error: LedgerError) -> dict[str, Any]:
    """The result when there is no ledger to replay."""
    row = Check(LEDGER, "Ledger can be read", error.status, error.problem, "a readable file", f"{error.hint}.", SECTION)
    findings = [Finding("ledger_missing", "seen", [LEDGER], ["all data of the deployment"])]
    return report([row], findings if error.status == FAIL else [], **_data(None, {}))


def result(
    seen: Run, params: Mapping[str, Any], accounts: list[str], plan: dict[str, Any], planned: bool
) -> dict[str, Any]:
    """Checks of everything that was looked at. ``planned``: check mode, in which nothing is started."""
    rows = [*_before(seen)]
    if not planned and seen.started:
        rows += [_boot(seen), *_statistics(seen, params["replay_slo_ms"]), *_reconciles(seen, accounts), _live(seen)]
    elif not planned:
        rows.append(_not_started(seen))
    return report(rows, _findings(rows, seen), **_data(seen, plan))


def _data(seen: Run | None, plan: dict[str, Any]) -> dict[str, Any]:
    replay = seen.replay if seen else None
    return {
        "plan": plan,
        "started": bool(seen and seen.started),
        "boot_seconds": None if seen is None or seen.boot_seconds is None else round(seen.boot_seconds, 2),
        "replay": None
        if replay is None
        else {
            "lines": replay.lines,
            "applied": replay.applied,
            "skipped": replay.skipped,
            "duration_ms": replay.duration_ms,
        },
        "scan": seen.scan.counts() if seen and seen.scan else None,
        "last_words": seen.last_words if seen and seen.boot_seconds is None else [],
    }


def _before(seen: Run) -> Iterator[Check]:
    """What is known without starting anything."""
    scan = seen.scan
    if scan is None:
        return
    title, observed = "Ledger can be read to its end", f"{scan.end} bytes, {in_words(scan.lines)}"
    hint = "Events that were appended after this began are not part of it." if scan.complete else OUT_OF_TIME
    yield Check(LEDGER, title, status_of(True if scan.complete else None), observed, "all of it", hint, SECTION)
    title, observed = "The port of the second instance is free", seen.port_problem or "free"
    hint = "Another server there would be tested in its place; choose a free port when there is one."
    yield Check(PORT, title, status_of(not seen.port_problem), observed, "free", hint, SECTION)
    yield _lines(scan, FATAL, FATAL_LINES, "No line that stops the boot")
    if seen.replay is None:  # what a replay counts stands for itself
        yield _lines(scan, SKIPPED, SKIPPED_LINES, "No line that a boot leaves out")
    yield _lines(scan, SILENT, SILENT_LINES, "No line that is read otherwise than it is written")


def _lines(scan: Scan, kind: str, check_id: str, title: str) -> Check:
    count = scan.count([kind])
    first = f", first at line {scan.bad[kind][0].number}" if scan.bad[kind] else ""
    status = FAIL if count else status_of(True if scan.complete else None)
    return Check(check_id, title, status, f"{in_words(count)}{first}", "0 lines", HINT_LINES, SECTION)


def _not_started(seen: Run) -> Check:
    title = "A second instance boots"
    if seen.port_problem:
        return Check(BOOT, title, UNVERIFIED, "not started", "an open port", f"Mend {PORT} first.", SECTION)
    hint = "An empty ledger boots clean and proves nothing; see the topic and the group's offsets."
    return Check(MEASURED, "The replay measured something", UNVERIFIED, "the ledger is empty", "lines", hint, SECTION)


def _boot(seen: Run) -> Check:
    title, expected = "A second instance boots", "an open port"
    if seen.boot_seconds is not None:
        hint = "Without database and consumer: whether those can be reached is not shown."
        return Check(BOOT, title, PASS, f"in {seen.boot_seconds:.1f} s", expected, hint, SECTION)
    words = f": {_telling(seen.last_words)}" if seen.last_words else ""
    hint = "The live one would end the same way at its next boot: do not restart it before this is understood. "
    hint += "If the ledger has no fatal line, look at command, chdir and environment."
    status = UNVERIFIED if "did not open" in seen.died else FAIL
    return Check(BOOT, title, status, f"{seen.died}{words}", expected, hint, SECTION)


def _telling(last_words: list[str]) -> str:
    """The line that says why: the last one that is not part of a stack trace."""
    outside_the_trace = [line for line in last_words if not line[:1].isspace()]
    return (outside_the_trace or last_words)[-1].strip()


def _statistics(seen: Run, slo_ms: int) -> Iterator[Check]:
    if seen.stats is None:
        return
    replay, scan = seen.replay, seen.scan
    if replay is None or scan is None:
        observed = seen.stats.text or "no replay statistics in the answer"
        hint = seen.stats.hint or "Its /stats has no ledgerReplay: is the command that of a BackOffice?"
        yield Check(MEASURED, "The replay measured something", UNVERIFIED, observed, "replay statistics", hint, SECTION)
        return
    yield Check(
        MEASURED,
        "The replay measured something",
        status_of(True if replay.measured else None),
        f"{replay.measured} of {replay.lines} lines replayed",
        "at least one line",
        "Blank lines count as lines and are not replayed. Nothing replayed says nothing about time or result.",
        SECTION,
    )
    skipped = scan.count([SKIPPED])
    hint = "If not, it read another file, or by other rules than those known here, and the other results prove nothing."
    same = (replay.lines, replay.skipped) == (scan.lines, skipped)
    yield Check(
        SAME,
        "It replayed the ledger that was scanned",
        PASS if same else FAIL,
        f"{replay.lines} lines, {replay.skipped} skipped",
        f"{scan.lines} lines, {skipped} skipped",
        hint,
        SECTION,
    )
    first = f", first at line {scan.bad[SKIPPED][0].number}" if scan.bad[SKIPPED] else ""
    yield Check(
        SKIPPED_LINES,
        "No line that a boot leaves out",
        status_of(not replay.skipped),
        f"{in_words(replay.skipped)}{first}",
        "0 lines",
        f"The events of such lines are missing from the state. {HINT_LINES}",
        SECTION,
    )
    if slo_ms:
        yield _slo(replay.measured, replay.duration_ms, slo_ms)


def _slo(measured: int, duration_ms: int | None, slo_ms: int) -> Check:
    title, expected = "The replay is within its limit", f"at most {slo_ms} ms"
    if duration_ms is None:
        hint = "This version does not measure it (its /stats has no durationMs)."
        return Check(SLO, title, UNVERIFIED, "not measured", expected, hint, SECTION)
    if not measured:
        hint = "Nothing was replayed, so the time says nothing."
        return Check(SLO, title, UNVERIFIED, f"{duration_ms} ms for no line", expected, hint, SECTION)
    hint = "In memory, on this machine as busy as it is now; a database store is several times slower."
    return Check(SLO, title, status_of(duration_ms <= slo_ms), f"{duration_ms} ms", expected, hint, SECTION)


def _reconciles(seen: Run, accounts: list[str]) -> Iterator[Check]:
    if seen.boot_seconds is None:
        return
    if not accounts:
        hint = "Name accounts to compare what the second instance books with the ledger."
        yield Check(
            RECONCILE, "Books agree with the ledger", UNVERIFIED, "no account named", "agreement", hint, SECTION
        )
    for account in accounts:
        yield _reconcile(account, seen, seen.books[account])


def _reconcile(account: str, seen: Run, books: Books) -> Check:
    check_id, title = f"{RECONCILE}.{account}", f"Books of {account} agree with the ledger"
    reply = seen.reconciles.get(account)
    halves = backoffice_reconcile.parts(reply.document, account) if reply and reply.meaning == "ok" else None
    if reply is None or halves is None:
        observed, hint = (reply.text, reply.hint or NO_BOOKS) if reply else ("not asked", OUT_OF_TIME)
        if reply and reply.meaning == "server_error":
            hint = f"A line with a bad side makes this answer 500 for its account. {HINT_LINES}"
        return Check(check_id, title, reply.status if reply else UNVERIFIED, observed, "its books", hint, SECTION)
    if not books.entries:
        hint = "Nothing equals nothing: the account has no entry in this ledger. Is its name right?"
        return Check(check_id, title, UNVERIFIED, "no entry in the ledger", "at least one entry", hint, SECTION)
    differences = {name: _differences(getattr(books, name), half.actual) for name, half in halves.items()}
    wrong = [f"{name} {key}: {text}" for name, rows in differences.items() for key, text in rows.items()]
    observed = "; ".join(wrong[:5]) if wrong else f"{books.entries} entries, {len(books.positions)} positions"
    hint = "Summed here from the ledger lines; repeated fills count once. Events that never reached the ledger do not show."
    return Check(check_id, title, status_of(not wrong), observed, "no difference", hint, SECTION)


def _differences(expected: Mapping[str, int], actual: Mapping[str, float]) -> dict[str, str]:
    keys = sorted(expected.keys() | actual.keys())
    return {
        key: f"{actual.get(key, 0):g} booked, {expected.get(key, 0)} in the ledger"
        for key in keys
        if actual.get(key, 0) != expected.get(key, 0)
    }


def _live(seen: Run) -> Check:
    """That the live files were left alone. The live service may have written them meanwhile; nobody may have replaced them."""
    title, expected = "Live ledger and snapshot were left alone", "the same ledger, not shorter"
    if seen.before is None or seen.after is None:
        return Check(LIVE, title, UNVERIFIED, "not looked at", expected, "Run it again.", SECTION)
    (ledger, snapshot), (ledger_now, snapshot_now) = seen.before, seen.after
    if ledger_now is None or not ledger_now.same_file(ledger) or ledger_now.size < ledger.size:
        hint = "The second instance had only a copy; find out what else works on the ledger."
        return Check(LIVE, title, FAIL, "the ledger was replaced, cut or removed meanwhile", expected, hint, SECTION)
    grown = ledger_now.size - ledger.size
    observed = "unchanged to the byte" if ledger_now == ledger else f"the live service appended {grown} bytes meanwhile"
    if snapshot != snapshot_now:
        observed += "; the live service wrote its snapshot meanwhile"
    if seen.port_left:
        hint = "Something of the second instance may still run: look who listens there."
        return Check(LIVE, title, FAIL, f"{observed}; after the end, {seen.port_left}", expected, hint, SECTION)
    hint = "The second instance had a copy in a folder of its own, which is removed; it was given no other path."
    return Check(LIVE, title, PASS, observed, expected, hint, SECTION)


def _findings(rows: list[Check], seen: Run) -> Iterator[Finding]:
    failed = {row.id for row in rows if row.status == FAIL}
    if PORT in failed:
        yield Finding("port_in_use", "seen", [PORT], ["this verification"])
    if FATAL_LINES in failed:
        evidence = [name for name in (FATAL_LINES, BOOT) if name in failed]
        yield Finding("ledger_fatal_line", "seen", evidence, ["the next boot"], REPAIR)
    elif BOOT in failed:
        yield Finding("died_at_boot", "seen", [BOOT], ["the next boot"])
    if SKIPPED_LINES in failed:
        yield Finding("ledger_skipped_line", "seen", [SKIPPED_LINES], ["the events on these lines"], REPAIR)
    if SILENT_LINES in failed:
        yield Finding("ledger_silent_line", "seen", [SILENT_LINES], ["the orders on these lines"])
    if SLO in failed:
        yield Finding("replay_too_slow", "seen", [SLO], ["the time of the next restart"])
    differing = [name for name in failed if name.startswith(RECONCILE)]
    if differing:
        accounts = sorted(name.removeprefix(f"{RECONCILE}.") for name in differing)
        yield Finding("books_differ", "seen", sorted(differing), accounts)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the ledger file: bad lines of every kind, a lost file, a file that was replaced under its writer.

Every bad line carries an order id of its own, so that an undo takes out exactly these bytes. Undoing leaves a line that
somebody has quarantined meanwhile alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable

from lab import control
from lab.faults import books, bus
from lab.faults.backoffice import IN_MEMORY
from lab.faults.model import Fault, start, start_and_die, wait_consumer
from lab.layout import paths

SNAPSHOT_SECONDS = 5
_FILL = {
    "type": "Fill",
    "at": "2031-04-02T08:03:11.500Z",
    "accountId": "acct_demo",
    "orderId": "",
    "symbol": "ADA",
    "side": "SELL",
    "filledQtyDelta": 4,
    "filledQtyTotal": 4,
    "price": 2500,
    "quoteCcy": "JPY",
    "quoteCashDelta": 9990,
    "feeQuote": 10,
}


def bad_fill(fault: str, **changes: object) -> bytes:
    """A fill of the fault's own order as a ledger line; a change to None takes the field away."""
    fields = {**_FILL, "orderId": f"ord_fault_{fault}", **changes}
    present = {name: value for name, value in fields.items() if value is not None}
    return json.dumps(present, separators=(",", ":")).encode() + b"\n"


def torn(line: bytes) -> bytes:
    """A line up to the middle of a value."""
    return line[: line.index(b'"SELL"') + 3]


def _bad_line(name: str, summary: str, line: bytes, fatal: bool = False) -> Fault:
    """A line in the middle of the ledger; where it is fatal, BackOffice stays dead."""

    def apply() -> None:
        with books.stopped():
            books.back_up(name)
            books.insert(line)
        start_and_die("backoffice") if fatal else control.start("backoffice")

    def undo() -> None:
        with books.stopped():
            books.remove(line)
        start("backoffice")
        books.forget(name)

    return Fault(name, summary, apply, undo)


TORN = torn(bad_fill("ledger-torn-tail"))


def _tear() -> None:
    with books.stopped():
        books.back_up("ledger-torn-tail")
        books.edit(lambda data: books.whole_lines(data) + TORN)
    control.start("backoffice")


def _mend() -> None:
    """Only the torn bytes go: the event that was glued to them is a whole line again."""
    with books.stopped():
        books.edit(lambda data: books.whole_lines(data.replace(TORN, b"")))
    start("backoffice")
    books.forget("ledger-torn-tail")


def _under_snapshot(name: str, summary: str, spoil: Callable[[bytes], bytes]) -> Fault:
    """A line that a snapshot covers is spoilt, in place: the count of lines stays, so the boot replays nothing."""

    def apply() -> None:
        control.set_env("backoffice", BACKOFFICE_SNAPSHOT_SEC=str(SNAPSHOT_SECONDS), **IN_MEMORY)
        control.stop("market")
        bus.wait_caught_up()
        with books.stopped():
            paths().snapshot.unlink(missing_ok=True)
        control.start("backoffice")
        control.wait_until(_covers_all, SNAPSHOT_SECONDS + 30, "snapshot that covers the ledger")
        with books.stopped():
            good = books.first_line(b'"type":"OrderAccepted"')
            folder = books.keep(name)
            (folder / "good").write_bytes(good)
            (folder / "bad").write_bytes(spoil(good))
            books.back_up(name)
            books.edit(lambda data: data.replace(good, spoil(good), 1))
        control.start("backoffice")
        control.start("market")
        wait_consumer("STABLE")

    def undo() -> None:
        """The line as it was, no snapshot, the database again: the boot books there what was booked in memory."""
        control.clear_env("backoffice", "BACKOFFICE_SNAPSHOT_SEC", *IN_MEMORY)
        with books.stopped():
            folder = books.keep(name)
            if (folder / "bad").exists():
                good, bad = (folder / "good").read_bytes(), (folder / "bad").read_bytes()
                books.edit(lambda data: data.replace(bad + b"\n", good + b"\n", 1))
            paths().snapshot.unlink(missing_ok=True)
        start("backoffice")
        start("market")
        books.forget(name)

    return Fault(name, summary, apply, undo)


def _covers_all() -> bool:
    try:
        covered = json.loads(paths().snapshot.read_bytes())["ledgerLines"]
    except (OSError, ValueError):
        return False
    return bool(covered == books.read().count(b"\n"))


def _lose() -> None:
    """Ledger, snapshot and store are gone; the group's offsets stay, so nothing is read again."""
    name = "ledger-lost-offsets-kept"
    with books.stopped():
        books.back_up(name)
        books.empty_store()
        paths().ledger.unlink(missing_ok=True)
        paths().snapshot.unlink(missing_ok=True)
    control.start("backoffice")
    wait_consumer("STABLE")


def _find() -> None:
    """The lost lines go back before those that were written since."""
    kept = books.keep("ledger-lost-offsets-kept") / "ledger.before"
    lost = books.whole_lines(kept.read_bytes()) if kept.exists() else b""
    books.rebuilt(lambda data: data if lost and data.startswith(lost) else lost + data)
    books.forget("ledger-lost-offsets-kept")


def _replace_under_writer() -> None:
    """What an editor does: a copy is written and renamed over the file. The old file keeps a name for the undo."""
    folder = books.keep("writer-on-old-inode")
    old = folder / "old"
    old.unlink(missing_ok=True)
    os.link(paths().ledger, old)
    copy = books.whole_lines(books.read())
    (folder / "copied").write_text(str(len(copy)), encoding="utf-8")
    books.write(copy)


def _join_files() -> None:
    """What the writer put into the old file since goes to the end of the new one."""
    folder = books.keep("writer-on-old-inode")
    with books.stopped():
        if (folder / "copied").exists():
            written = (folder / "old").read_bytes()[int((folder / "copied").read_text("utf-8")) :]
            books.edit(lambda data: data if data.endswith(written) else books.whole_lines(data) + written)
    start("backoffice")
    books.forget("writer-on-old-inode")


FAULTS = (
    _bad_line(
        "ledger-broken-json",
        "a ledger line is broken JSON: skipped at boot, never logged",
        torn(bad_fill("ledger-broken-json")) + b"\n",
    ),
    Fault(
        "ledger-torn-tail",
        "the last ledger line is torn: the next event is glued to it and lost at the next boot",
        _tear,
        _mend,
    ),
    _bad_line(
        "ledger-unknown-type",
        "a ledger line has an unknown type: skipped at boot",
        bad_fill("ledger-unknown-type", type="OrderFilled"),
    ),
    _bad_line(
        "ledger-missing-field",
        "a ledger line lacks quoteCcy: skipped at boot",
        bad_fill("ledger-missing-field", quoteCcy=None),
    ),
    _bad_line(
        "ledger-number-as-text",
        'a ledger line has the quantity "abc": counted as applied, changes nothing',
        bad_fill("ledger-number-as-text", filledQtyDelta="abc", filledQtyTotal="abc", quoteCashDelta=0, feeQuote=0),
    ),
    _bad_line(
        "ledger-bad-side",
        "a ledger line has the side sell in lower case: BackOffice dies at boot",
        bad_fill("ledger-bad-side", side="sell"),
        fatal=True,
    ),
    _bad_line(
        "ledger-invalid-utf8",
        "a ledger line has bytes that are not UTF-8: BackOffice dies at boot",
        bad_fill("ledger-invalid-utf8", symbol="AD?").replace(b"AD?", b"AD\xff\xfe"),
        fatal=True,
    ),
    _under_snapshot(
        "ledger-bad-line-under-snapshot",
        "a snapshot covers a broken ledger line: the replay measures nothing and looks clean",
        lambda line: line[:60],
    ),
    _under_snapshot(
        "ledger-bad-side-under-snapshot",
        "a snapshot covers a line with a bad side: BackOffice boots, /ledger and /reconcile are 500",
        lambda line: line.replace(b'"side":"', b'"side":"x'),
    ),
    Fault(
        "ledger-lost-offsets-kept",
        "ledger and store are lost, the offsets are not: an empty system that reconciles",
        _lose,
        _find,
    ),
    Fault(
        "writer-on-old-inode",
        "the ledger was replaced while BackOffice runs: it writes to the old file",
        _replace_under_writer,
        _join_files,
    ),
)

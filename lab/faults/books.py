# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ledger file and store, changed together and only while BackOffice stands still.

The ledger is the authority: whatever a fault takes out of it or puts into it, ``rebuilt`` empties the store, and the
replay of the next boot books the store anew. Bookings made while a fault was in stay, because an undo edits the ledger
as it is then; it never puts an old copy back over it.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import control, postgres
from lab.layout import LabError, paths

TABLES = ("order_meta", "order_filled_total", "positions", "balances", "realized_pnl", "fills")


def keep(fault: str) -> Path:
    """The folder in which a fault keeps what its undo needs (made when missing)."""
    folder = paths().root / "faults" / fault
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def forget(fault: str) -> None:
    shutil.rmtree(paths().root / "faults" / fault, ignore_errors=True)


@contextmanager
def stopped() -> Iterator[None]:
    """BackOffice stands still within; it is not started again at the end."""
    control.stop("backoffice")
    yield


def read() -> bytes:
    """The ledger; empty when there is no file."""
    return paths().ledger.read_bytes() if paths().ledger.exists() else b""


def write(data: bytes) -> None:
    """Replace the ledger, with mode and owner of the old one. Only while BackOffice stands still."""
    ledger = paths().ledger
    draft = ledger.with_name(".ledger.draft")
    draft.write_bytes(data)
    if ledger.exists():
        before = ledger.stat()
        draft.chmod(before.st_mode & 0o7777)
        if os.geteuid() == 0:
            os.chown(draft, before.st_uid, before.st_gid)
    draft.replace(ledger)


def back_up(fault: str) -> None:
    """Keep a byte-exact copy of the ledger, for the case that somebody wants to compare."""
    (keep(fault) / "ledger.before").write_bytes(read())


def whole_lines(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


def edit(change: Callable[[bytes], bytes]) -> None:
    """Change the ledger where the change changes anything."""
    before = read()
    after = change(before)
    if after != before:
        write(after)


def middle(data: bytes) -> int:
    """The offset of a line start near the middle."""
    return data.find(b"\n", len(data) // 2) + 1


def insert(line: bytes) -> None:
    """Put a line into the middle of the ledger."""
    edit(lambda data: data[: middle(data)] + line + data[middle(data) :])


def remove(line: bytes) -> None:
    """Take the bytes of a line out again, wherever they are now; nothing when somebody has done that already."""
    edit(lambda data: data.replace(line, b""))


def first_line(*parts: bytes) -> bytes:
    """The first line that holds all the parts, without its end; LabError when there is none."""
    for line in read().splitlines():
        if all(part in line for part in parts):
            return line
    raise LabError(f"{paths().ledger}: no line with {b' and '.join(parts).decode()}; start a fresh lab")


def without(keep_line: Callable[[bytes], bool]) -> Callable[[bytes], bytes]:
    """A change that keeps only some lines."""
    return lambda data: b"".join(line for line in data.splitlines(keepends=True) if keep_line(line))


def unrepeated(data: bytes) -> bytes:
    """Without fills that stand there twice, byte for byte: a consumer that dies after the append writes them again."""
    seen: set[bytes] = set()
    kept = []
    for line in data.splitlines(keepends=True):
        if b'"type":"Fill"' in line and line in seen:
            continue
        seen.add(line)
        kept.append(line)
    return b"".join(kept)


def empty_store() -> None:
    """Empty the tables of the PostgreSQL store; the next boot fills them from the ledger. LabError."""
    import psycopg2

    try:
        connection = postgres.connect(paths(), "backoffice")
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"TRUNCATE {', '.join(TABLES)}")
        finally:
            connection.close()
    except psycopg2.Error as error:
        raise LabError(f"postgresql: the store was not emptied: {str(error).strip().splitlines()[0]}") from None


def rebuilt(change: Callable[[bytes], bytes]) -> None:
    """Change the ledger and have the next boot book the store anew from it; starts BackOffice, does not wait."""
    with stopped():
        edit(change)
        empty_store()
    control.start("backoffice", wait=False)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of the BackOffice process: its life, its replay, its secret, its store, its accounts."""

from __future__ import annotations

import time

from lab import control, probes
from lab.faults import books, bus, stray
from lab.faults.model import Fault, dead_with, overridden, restart, start, start_and_die, wait_consumer
from lab.layout import paths, ports
from lab.services import instant
from lab.services.entries import Entry, Fill, OrderAccepted, to_line

SLOW_REPLAY_MS = 6_500  # beyond the usual objective of 5000 ms
LONG_REPLAY_MS = 3_600_000
EXTRA_ORDERS = 1_200
EXTRA_PREFIX = "ord_fault_limit_"
IN_MEMORY: dict[str, str | None] = {"BACKOFFICE_DB_URL": None, "BACKOFFICE_DB_ENABLE": "0"}


def _restart_on_quiet_market() -> None:
    control.stop("market")
    bus.wait_caught_up()
    control.restart("backoffice")
    wait_consumer("STABLE")


def _port_taken() -> None:
    control.stop("backoffice")
    stray.listen("backoffice-port-taken", "backoffice", ["lab.faults.squatter", str(ports()["backoffice"])], {})
    start_and_die("backoffice")


def _port_free() -> None:
    stray.end("backoffice-port-taken")
    restart("backoffice")


def _second_backoffice() -> None:
    """Another BackOffice, with an empty ledger and the same secret, where a replay verification would start its own."""
    variables = {
        "BACKOFFICE_PORT": str(ports()["replay"]),
        "BACKOFFICE_LEDGER_PATH": "ledger.log",
        "BACKOFFICE_SNAPSHOT_PATH": "snapshot.json",
        "BACKOFFICE_ENABLE": "0",
        "JWT_HS256_SECRET": paths().secret("jwt_hs256_secret"),
    }
    stray.listen("replay-port-taken", "replay", ["lab.services.backoffice"], variables)


def _slowed(total_ms: int) -> None:
    """Have the next boot spend about so long on the ledger."""
    lines = max(1, books.read().count(b"\n"))
    control.set_env("backoffice", LAB_REPLAY_DELAY_MS_PER_LINE=str(-(-total_ms // lines)))


def _slow_replay() -> None:
    with books.stopped():
        _slowed(SLOW_REPLAY_MS)
    control.start("backoffice")


def _long_replay() -> None:
    with books.stopped():
        _slowed(LONG_REPLAY_MS)
    start("backoffice")
    control.wait_until(lambda: control.state("backoffice") == "RUNNING", 30, "backoffice replaying")


def _quick_replay() -> None:
    control.clear_env("backoffice", "LAB_REPLAY_DELAY_MS_PER_LINE")
    restart("backoffice")


def _into_memory() -> None:
    control.set_env("backoffice", **IN_MEMORY)
    with books.stopped():
        paths().snapshot.unlink(missing_ok=True)
    control.start("backoffice")
    wait_consumer("STABLE")


def _into_database() -> None:
    """What was booked in memory stands in the ledger: the boot books it into the database."""
    control.clear_env("backoffice", *IN_MEMORY)
    with books.stopped():
        paths().snapshot.unlink(missing_ok=True)
    start("backoffice")


def _forget_account() -> None:
    """Take the account out of ledger and store; its lines are kept aside."""
    mark = f'"accountId":"{probes.ACCOUNT}"'.encode()
    with books.stopped():
        kept = books.keep("account-unknown") / "lines"
        kept.write_bytes(b"".join(line for line in books.whole_lines(books.read()).splitlines(True) if mark in line))
    books.rebuilt(books.without(lambda line: mark not in line))
    control.wait_ready("backoffice")


def _remember_account() -> None:
    """The lines go back to the front, so that whatever was booked in between follows them."""
    kept = books.keep("account-unknown") / "lines"
    lines = kept.read_bytes() if kept.exists() else b""
    books.rebuilt(lambda data: data if lines and data.startswith(lines) else lines + data)
    books.forget("account-unknown")


def _many_entries() -> None:
    """Many orders of the account that end flat, straight in the ledger."""
    at = time.time_ns() // instant.SECOND * instant.SECOND
    lines: list[Entry] = []
    for number in range(EXTRA_ORDERS):
        side, cash = (("BUY", -100), ("SELL", 100))[number % 2]
        order = OrderAccepted(at, probes.ACCOUNT, f"{EXTRA_PREFIX}{number:05d}", "BTC", side)
        lines.append(order)
        lines.append(Fill(*order, delta=1, total=1, price=100, quote_ccy="JPY", cash_delta=cash, fee=0))
    text = "".join(to_line(line) + "\n" for line in lines).encode()
    books.rebuilt(lambda data: books.whole_lines(data) + text)
    control.wait_ready("backoffice")


def _few_entries() -> None:
    books.rebuilt(books.without(lambda line: EXTRA_PREFIX.encode() not in line))


FAULTS = (
    Fault(
        "backoffice-stopped",
        "BackOffice is stopped",
        lambda: control.stop("backoffice"),
        lambda: start("backoffice"),
    ),
    Fault(
        "backoffice-restarted",
        "BackOffice was restarted on a quiet market: all null, and healthy",
        _restart_on_quiet_market,
        lambda: start("market"),
    ),
    Fault("backoffice-port-taken", "somebody else has BackOffice's port: it died at boot", _port_taken, _port_free),
    dead_with(
        "backoffice-bad-variable",
        "BACKOFFICE_FEE_BPS is no number: BackOffice dies at boot",
        {"BACKOFFICE_FEE_BPS": "ten"},
    ),
    Fault("replay-slow", "the replay of the ledger takes more than 5 s", _slow_replay, _quick_replay),
    Fault("replay-long", "the replay goes on (for an hour): the port is still closed", _long_replay, _quick_replay),
    Fault(
        "replay-port-taken",
        "another BackOffice listens where a replay verification starts its own",
        _second_backoffice,
        lambda: stray.end("replay-port-taken"),
    ),
    overridden(
        "jwt-secret-changed",
        "BackOffice has another JWT secret than its callers",
        "backoffice",
        {"JWT_HS256_SECRET": "a-secret-that-nobody-else-knows-000"},
    ),
    overridden("jwt-secret-missing", "BackOffice has no JWT secret", "backoffice", {"JWT_HS256_SECRET": None}),
    Fault("store-in-memory", "BackOffice keeps its state in memory, as in development", _into_memory, _into_database),
    Fault(
        "account-unknown",
        "ledger and store know nothing of the account acct_demo: empty, and reconcile is ok",
        _forget_account,
        _remember_account,
    ),
    Fault(
        "reconcile-limit-exceeded",
        f"{2 * EXTRA_ORDERS} more ledger entries of acct_demo: reconcile fails at its default limit",
        _many_entries,
        _few_entries,
    ),
)

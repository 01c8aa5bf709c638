# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference BackOffice: consumes order events, keeps a ledger and a store, answers over HTTP.

Run with ``python -m lab.services.backoffice``; configured by the environment only. Two switches are the lab's own:
LAB_REPLAY_DELAY_MS_PER_LINE and LAB_CONSUME_DELAY_MS slow it down, LAB_PG_AS_WRITTEN=1 restores a fault.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lab.services import env, instant, process, snapshot
from lab.services.book import Book
from lab.services.entries import Entry, Fill, body
from lab.services.jwt_auth import JwtAuth
from lab.services.ledger import Ledger, ReplayStats
from lab.services.reconcile import reconcile
from lab.services.stats import Stats
from lab.services.web import Handler, HttpProblem, HttpService, Reply, Request, authenticated, json_reply

if TYPE_CHECKING:
    from lab.services.pg_store import PostgresStore

    Store = Book | PostgresStore

LEDGER_LIMIT = (100, 1000)
RECONCILE_LIMIT = (1000, 10_000)
ENTRY_TYPES = frozenset({"orderaccepted", "fill"})
STOP_SECONDS = 1.5


class Api:
    """The protected routes. Order of checks: method, token, account, parameters."""

    def __init__(self, store: Store, ledger: Ledger, stats: Stats, auth: JwtAuth) -> None:
        self._store, self._ledger, self._stats, self._auth = store, ledger, stats, auth

    def routes(self) -> dict[str, Handler]:
        routes: dict[str, Handler] = {"/health": self._health}
        for name in ("stats", "positions", "balances", "fills", "pnl", "ledger", "reconcile"):
            routes[f"/{name}"] = self._protected(getattr(self, name))
        return routes

    def _protected(self, handler: Callable[[str, Request], Any]) -> Handler:
        def handle(request: Request) -> Reply:
            _get_only(request)
            account = authenticated(self._auth, request)
            if (request.parameter("accountId") or account) != account:
                raise HttpProblem(404, "NOT_FOUND")
            return json_reply(200, handler(account, request))

        return handle

    @staticmethod
    def _health(request: Request) -> Reply:
        _get_only(request)
        return json_reply(200, {"status": "ok"})

    def stats(self, _account: str, _request: Request) -> dict[str, Any]:
        return self._stats.body()

    def positions(self, account: str, _request: Request) -> dict[str, Any]:
        rows = [
            {"accountId": account, "symbol": symbol, "netQty": row.net_qty, "avgPrice": row.avg_price}
            for symbol, row in self._store.positions(account)
        ]
        return {"positions": rows}

    def balances(self, account: str, _request: Request) -> dict[str, Any]:
        rows = [
            {"accountId": account, "currency": currency, "amount": amount}
            for currency, amount in self._store.balances(account)
        ]
        return {"balances": rows}

    def fills(self, account: str, _request: Request) -> dict[str, Any]:
        return {"fills": [body(fill) for fill in self._store.fills(account)]}

    def pnl(self, account: str, _request: Request) -> dict[str, Any]:
        rows = [
            {"accountId": account, "symbol": symbol, "quoteCcy": currency, "realizedPnl": amount}
            for symbol, currency, amount in self._store.pnl(account)
        ]
        return {"pnl": rows}

    def ledger(self, account: str, request: Request) -> dict[str, Any]:
        limit = limit_of(request, LEDGER_LIMIT)
        entries = self._ledger.entries(account, limit, entry_filter(request))
        return {"accountId": account, "entries": [body(entry) | {"type": entry.type} for entry in entries]}

    def reconcile(self, account: str, request: Request) -> dict[str, Any]:
        limit = limit_of(request, RECONCILE_LIMIT)
        return reconcile(
            account,
            self._ledger.entries(account, limit),
            request.parameter("quoteCcy") or "JPY",
            self._store.balance_totals(account),
            self._store.position_totals(account),
        )


def _get_only(request: Request) -> None:
    if request.method != "GET":
        raise HttpProblem(405, "METHOD_NOT_ALLOWED")


def limit_of(request: Request, default_and_most: tuple[int, int]) -> int:
    """The clamped ``limit``; 400 for text, decimals and numbers beyond 32 bits."""
    default, most = default_and_most
    raw = request.query.get("limit")
    if raw is None:
        return default
    value = env.parse_integer(raw)
    if value is None:
        raise HttpProblem(400, "INVALID_LIMIT")
    return max(1, min(most, value))


def entry_filter(request: Request) -> Callable[[Entry], bool]:
    """The filter of /ledger: orderId, since (inclusive), after (exclusive), type; 400 for what cannot be read."""
    since, after = _time_of(request, "since"), _time_of(request, "after")
    types = {part.strip().lower() for part in request.query.get("type", "").replace(";", ",").split(",")} - {""}
    if types - ENTRY_TYPES:
        raise HttpProblem(400, "INVALID_TYPE")
    order_id = request.parameter("orderId")

    def matches(entry: Entry) -> bool:
        return (
            (order_id is None or entry.order_id == order_id)
            and (since is None or entry.at >= since)
            and (after is None or entry.at > after)
            and (not types or entry.type.lower() in types)
        )

    return matches


def _time_of(request: Request, name: str) -> int | None:
    raw = request.query.get(name)
    if raw is None:
        return None
    value = instant.from_query(raw)
    if value is None:
        raise HttpProblem(400, f"INVALID_{name.upper()}")
    return value


def open_store(ledger: Ledger) -> tuple[Store, ReplayStats]:
    """The store in the state that the ledger (and, in memory, a snapshot) gives; raises BadSide on a fatal line."""
    delay = env.integer("LAB_REPLAY_DELAY_MS_PER_LINE", 0) / 1000
    if env.not_blank("BACKOFFICE_DB_URL") or env.flag("BACKOFFICE_DB_ENABLE", "0"):
        from lab.services.pg_store import PostgresStore

        durable = PostgresStore()
        return durable, _replay_into_database(durable, ledger, delay)
    max_fills = env.integer("BACKOFFICE_MAX_FILLS", 10_000)
    restored = snapshot.load(_snapshot_path(), ledger.line_count, max_fills)
    book, covered = restored or (Book(max_fills), 0)
    return book, ledger.replay(_apply_to(book), covered, delay)


def _replay_into_database(store: PostgresStore, ledger: Ledger, delay: float) -> ReplayStats:
    """In bulk where the database allows it, else line by line, so that each refused line counts as skipped."""
    import psycopg2

    started = time.monotonic()
    stats = None
    if not store.as_written:
        with suppress(psycopg2.Error):
            bulk = store.bulk()
            try:
                stats = ledger.replay(bulk.apply, 0, delay)
            finally:
                bulk.write()
    if stats is None:
        stats = ledger.replay(_apply_to(store), 0, delay)
    return dataclasses.replace(stats, duration_ms=int((time.monotonic() - started) * 1000))


def _apply_to(store: Store) -> Callable[[Entry], object]:
    return lambda entry: store.apply_fill(entry) if isinstance(entry, Fill) else store.apply_order(entry)


def _snapshot_path() -> Path:
    return Path(env.text("BACKOFFICE_SNAPSHOT_PATH", "var/backoffice/snapshot.json"))


def main() -> None:
    port = env.integer("BACKOFFICE_PORT", 8082)
    ledger = Ledger(Path(env.text("BACKOFFICE_LEDGER_PATH", "var/backoffice/ledger.log")))
    store, replay = open_store(ledger)
    if replay.lines > 0:
        counts = ", ".join(f"{name}={count}" for name, count in replay.as_dict().items())
        print(f"Ledger replay: ReplayStats({counts}) (path={ledger.path})", flush=True)
    from lab.services.consumer import BackOfficeConsumer

    stats = Stats(replay)
    consumer = BackOfficeConsumer(store, ledger, stats)
    auth = JwtAuth.from_env()
    snapshotter = snapshot.Snapshotter(_snapshot_path(), store, ledger) if isinstance(store, Book) else None
    server = HttpService(port, Api(store, ledger, stats, auth).routes())

    stopping = process.stop_requested()
    consumer.start()
    if snapshotter:
        snapshotter.start()
    threading.Thread(target=server.serve_forever, args=(0.1,), name="http", daemon=True).start()
    print(f"BackOffice listening on :{port}", flush=True)
    stopping.wait()

    server.shutdown()
    if snapshotter:
        snapshotter.stop()
    consumer.stop(STOP_SECONDS)
    ledger.close()
    store.close()
    process.end()


if __name__ == "__main__":
    main()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The PostgreSQL store. It never creates its schema: that is a migration's work.

As written, the operated service quotes one upper-case table name in the transaction that books a fill, so that it
cannot book any; LAB_PG_AS_WRITTEN=1 keeps that, the default is the repaired form.
"""

from __future__ import annotations

from typing import Any

from psycopg2.extras import execute_values

from lab.services import env
from lab.services.book import Book, OrderMeta, Position, move
from lab.services.database import Pool
from lab.services.entries import Entry, Fill, OrderAccepted

_UPSERT_ORDER = """insert into order_meta (order_id, account_id, symbol, side) values %s
    on conflict (order_id)
    do update set account_id = excluded.account_id, symbol = excluded.symbol, side = excluded.side"""
_UPSERT_TOTAL = """insert into {table} (order_id, filled_qty_total) values %s on conflict (order_id)
    do update set filled_qty_total = greatest({table}.filled_qty_total, excluded.filled_qty_total)"""
_UPSERT_POSITION = """insert into positions (account_id, symbol, net_qty, avg_price) values %s
    on conflict (account_id, symbol) do update set net_qty = excluded.net_qty, avg_price = excluded.avg_price"""
_UPSERT_BALANCE = """insert into balances (account_id, currency, amount) values %s
    on conflict (account_id, currency) do update set amount = balances.amount + excluded.amount"""
_UPSERT_PNL = """insert into realized_pnl (account_id, symbol, quote_ccy, realized_pnl) values %s
    on conflict (account_id, symbol, quote_ccy)
    do update set realized_pnl = realized_pnl.realized_pnl + excluded.realized_pnl"""
_INSERT_FILL = """insert into fills (at, account_id, order_id, symbol, side, filled_qty_delta, filled_qty_total, price,
    quote_ccy, quote_cash_delta, fee_quote) values %s"""
_FILL_ROW = "(timestamptz 'epoch' + %s * interval '1 microsecond', %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"


class PostgresStore:
    """Raises psycopg2.Error at construction when the database is not to be had."""

    durable = True

    def __init__(self) -> None:
        self._pool = Pool(
            env.text("BACKOFFICE_DB_URL", "jdbc:postgresql://localhost:5432/backoffice"),
            env.text("BACKOFFICE_DB_USER", "backoffice"),
            env.text("BACKOFFICE_DB_PASSWORD", "backoffice"),
            env.integer("BACKOFFICE_DB_POOL", 4),
        )
        self._max_fills = env.integer("BACKOFFICE_MAX_FILLS", 10_000)
        self.as_written = env.flag("LAB_PG_AS_WRITTEN", "0")
        self._total_table = '"ORDER_FILLED_TOTAL"' if self.as_written else "order_filled_total"

    def order(self, order_id: str) -> OrderMeta | None:
        rows = self._rows("select account_id, order_id, symbol, side from order_meta where order_id = %s", order_id)
        return OrderMeta(*rows[0]) if rows else None

    def filled_total(self, order_id: str) -> int:
        rows = self._rows("select filled_qty_total from order_filled_total where order_id = %s", order_id)
        return int(rows[0][0]) if rows else 0

    def apply_order(self, entry: OrderAccepted) -> None:
        with self._pool.transaction() as cursor:
            execute_values(cursor, _UPSERT_ORDER, [(entry.order_id, entry.account_id, entry.symbol, entry.side)])

    def apply_fill(self, fill: Fill) -> bool:
        """False when the fill changes nothing. One transaction: all of a fill or none of it."""
        if fill.delta <= 0:
            return False
        with self._pool.transaction() as cursor:
            cursor.execute(
                f"select filled_qty_total from {self._total_table} where order_id = %s for update", (fill.order_id,)
            )
            row = cursor.fetchone()
            if row is not None and fill.total <= row[0]:
                return False
            key = (fill.account_id, fill.symbol)
            cursor.execute(
                "select net_qty, avg_price from positions where account_id = %s and symbol = %s for update", key
            )
            row = cursor.fetchone()
            position, realised = move(_position(*row) if row else Position(), fill.signed_delta, fill.price)
            execute_values(cursor, _UPSERT_POSITION, [(*key, *position)])
            if realised:
                execute_values(cursor, _UPSERT_PNL, [(*key, fill.quote_ccy, realised)])
            execute_values(cursor, _UPSERT_BALANCE, [(fill.account_id, fill.quote_ccy, fill.cash_delta)])
            execute_values(cursor, _UPSERT_TOTAL.format(table=self._total_table), [(fill.order_id, fill.total)])
            execute_values(cursor, _INSERT_FILL, [_fill_row(fill)], template=_FILL_ROW)
        return True

    def positions(self, account_id: str) -> list[tuple[str, Position]]:
        rows = self._rows(
            "select symbol, net_qty, avg_price from positions where account_id = %s order by symbol", account_id
        )
        return [(symbol, _position(quantity, average)) for symbol, quantity, average in rows]

    def balances(self, account_id: str) -> list[tuple[str, int]]:
        return self._rows("select currency, amount from balances where account_id = %s order by currency", account_id)

    def pnl(self, account_id: str) -> list[tuple[str, str, int]]:
        return self._rows(
            "select symbol, quote_ccy, realized_pnl from realized_pnl where account_id = %s order by symbol, quote_ccy",
            account_id,
        )

    def fills(self, account_id: str) -> list[Fill]:
        rows = self._rows(
            "select (extract(epoch from at) * 1000000)::bigint * 1000, account_id, order_id, symbol, side,"
            " filled_qty_delta, filled_qty_total, price, quote_ccy, quote_cash_delta, fee_quote"
            " from fills where account_id = %s order by id desc limit %s",
            account_id,
            self._max_fills,
        )
        return [Fill(*row) for row in reversed(rows)]

    def position_totals(self, account_id: str) -> dict[str, int]:
        return {symbol: position.net_qty for symbol, position in self.positions(account_id)}

    def balance_totals(self, account_id: str) -> dict[str, int]:
        return dict(self.balances(account_id))

    def close(self) -> None:
        self._pool.close()

    def bulk(self) -> BulkReplay:
        """Replays a long ledger in memory and writes what is new in one transaction. Raises psycopg2.Error."""
        book = Book(max_fills=0)
        for row in self._rows("select account_id, order_id, symbol, side from order_meta"):
            book.orders[row[1]] = OrderMeta(*row)
        book.totals = dict(self._rows("select order_id, filled_qty_total from order_filled_total"))
        for *key, quantity, average in self._rows("select account_id, symbol, net_qty, avg_price from positions"):
            book.positions_by_key[key[0], key[1]] = _position(quantity, average)
        return BulkReplay(self._pool, book)

    def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return list(cursor.fetchall())


class BulkReplay:
    """The rows of a replay that the database does not hold yet."""

    def __init__(self, pool: Pool, book: Book) -> None:
        self._pool = pool
        self._book = book
        self._orders: dict[str, OrderMeta] = {}
        self._fills: list[Fill] = []

    def apply(self, entry: Entry) -> None:
        if isinstance(entry, Fill):
            if self._book.apply_fill(entry):
                self._fills.append(entry)
            return
        before = self._book.order(entry.order_id)
        self._book.apply_order(entry)
        after = self._book.orders[entry.order_id]
        if after != before:
            self._orders[entry.order_id] = after

    def write(self) -> None:
        """All or nothing; raises psycopg2.Error."""
        book = self._book
        keys = {(fill.account_id, fill.symbol) for fill in self._fills}
        totals = {fill.order_id: book.totals[fill.order_id] for fill in self._fills}
        with self._pool.transaction() as cursor:
            _many(cursor, _UPSERT_ORDER, [(m.order_id, m.account_id, m.symbol, m.side) for m in self._orders.values()])
            _many(cursor, _UPSERT_TOTAL.format(table="order_filled_total"), list(totals.items()))
            _many(cursor, _UPSERT_POSITION, [(*key, *book.positions_by_key[key]) for key in keys])
            _many(cursor, _UPSERT_BALANCE, [(*key, amount) for key, amount in book.balances_by_key.items()])
            _many(cursor, _UPSERT_PNL, [(*key, amount) for key, amount in book.pnl_by_key.items()])
            _many(cursor, _INSERT_FILL, [_fill_row(fill) for fill in self._fills], template=_FILL_ROW)


def _position(quantity: int, average: float | None) -> Position:
    return Position(quantity, None if average is None else float(average))


def _many(cursor: Any, statement: str, rows: list[Any], template: str | None = None) -> None:
    if rows:
        execute_values(cursor, statement, rows, template=template, page_size=1000)


def _fill_row(fill: Fill) -> tuple[Any, ...]:
    return (
        fill.at // 1000,
        *(fill.account_id, fill.order_id, fill.symbol, fill.side, fill.delta, fill.total),
        *(fill.price, fill.quote_ccy, fill.cash_delta, fill.fee),
    )

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the database of a BackOffice: its six tables, their rows, the migrations that were applied."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .postgres import PostgresError, Session
from .text import clean

TABLES: dict[str, tuple[str, ...]] = {
    "order_meta": ("order_id", "account_id", "symbol", "side"),
    "order_filled_total": ("order_id", "filled_qty_total"),
    "positions": ("account_id", "symbol", "net_qty", "avg_price"),
    "balances": ("account_id", "currency", "amount"),
    "realized_pnl": ("account_id", "symbol", "quote_ccy", "realized_pnl"),
    "fills": (
        *("id", "at", "account_id", "order_id", "symbol", "side", "filled_qty_delta", "filled_qty_total", "price"),
        *("quote_ccy", "quote_cash_delta", "fee_quote"),
    ),
}
HISTORY = "flyway_schema_history"
MOST_COUNTED = 1_000_000
NEWEST_LOOKED_AT = 1000

_COLUMNS = """
SELECT t.name, a.attname
  FROM unnest(%s::text[]) AS t(name)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = to_regclass(t.name)
 WHERE a.attnum > 0 AND NOT a.attisdropped"""
_ELSEWHERE = """
SELECT DISTINCT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relname = ANY(%s) AND c.relkind IN ('r', 'p') ORDER BY 1 LIMIT 10"""
_COUNT = "SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT %s) AS counted"
_NEWEST = "SELECT extract(epoch FROM max(at))::float8 FROM (SELECT at FROM fills ORDER BY id DESC LIMIT %s) AS newest"
_MIGRATIONS = "SELECT version, description, success FROM flyway_schema_history ORDER BY installed_rank DESC LIMIT 100"


@dataclass
class Schema:
    """``missing`` tables, or table.column; ``elsewhere``: schemas that hold such tables off the search path.

    ``migrations`` is None where there is no history, or ``history_problem`` says why it could not be read.
    """

    missing: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    migrations: list[dict[str, Any]] | None = None
    history_problem: str = ""

    @property
    def failed(self) -> list[str]:
        """Migrations that are recorded as failed."""
        return [str(row["version"] or row["description"]) for row in self.migrations or [] if not row["success"]]


@dataclass
class Content:
    """Rows by table (at most MOST_COUNTED + 1 are counted), and the newest ``at`` of a fill in epoch seconds."""

    rows: dict[str, int]
    newest_fill: float | None

    def as_dict(self) -> dict[str, Any]:
        return {
            name: {"rows": min(count, MOST_COUNTED), "at_least": count > MOST_COUNTED}
            for name, count in self.rows.items()
        }


def read_schema(session: Session) -> Schema:
    """Tables and columns as the search path finds them. Raises PostgresError."""
    present: dict[str, set[str]] = {}
    for table, column in session.rows(_COLUMNS, [[*TABLES, HISTORY]]):
        present.setdefault(table, set()).add(column)
    schema = Schema()
    for table, columns in TABLES.items():
        if table not in present:
            schema.missing.append(table)
        else:
            schema.missing += [f"{table}.{column}" for column in columns if column not in present[table]]
    missing_tables = [table for table in TABLES if table in schema.missing]
    if missing_tables:
        schema.elsewhere = [clean(name) for (name,) in session.rows(_ELSEWHERE, [missing_tables])]
    if HISTORY in present:
        try:
            schema.migrations = [
                {"version": version, "description": description, "success": bool(success)}
                for version, description, success in session.rows(_MIGRATIONS)
            ]
        except PostgresError as error:
            schema.history_problem = error.message
    return schema


def read_content(session: Session) -> Content:
    """Rows of the six tables. Raises PostgresError, also when a single table may not be read."""
    rows = {table: int(session.value(_COUNT.format(table=table), [MOST_COUNTED + 1]) or 0) for table in TABLES}
    newest = session.value(_NEWEST, [NEWEST_LOOKED_AT])
    return Content(rows, None if newest is None else float(newest))

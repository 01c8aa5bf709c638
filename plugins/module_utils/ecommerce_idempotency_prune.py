# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prune answers for repeated checkouts that expired: exactly the rows that were read, each after a copy of it is on the disk.

A row is known by its key, its expiry and its version (xmin). One that was renewed since it was read is another row, and
stays; so does one that a checkout holds at that moment. Each batch is a transaction of its own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from . import databases, ecommerce_audit
from . import ecommerce_reading as reading
from .argspec import ArgumentSpec
from .databases import Database
from .ecommerce_audit import Copy
from .errors import InputError, RefusedError, RunbookError
from .operation import Context
from .postgres import PostgresError, Session

TABLE = "checkout_idempotency"
MOST_ROWS = 9_000
MOST_LISTED = 1_000
WIDEST_ZONE_SECONDS = 43_200.0  # how far behind UTC a zone can be
DELETED, WOULD_DELETE = "deleted", "would_delete"

SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "audit_directory": {"type": "path", "required": True},
            "audit_responses": {"type": "bool", "default": True},
            "grace_seconds": {"type": "float", "default": WIDEST_ZONE_SECONDS},
            "time_zone": {"type": "str"},
            "max_rows": {"type": "int", "default": 5_000},
            "beyond_limits": {"type": "str", "choices": ["withhold", "refuse"], "default": "refuse"},
            "batch_rows": {"type": "int", "default": 500},
            "lock_timeout_ms": {"type": "int", "default": 1_000},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)

_RIGHTS = """
SELECT has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'),
       pg_is_in_recovery()
  FROM pg_catalog.pg_class c WHERE c.oid = 'checkout_idempotency'::regclass
"""
_AHEAD = "SELECT extract(epoch FROM clock_timestamp() - max(created_at)::timestamptz)::float8 FROM checkout_idempotency"
_COUNT = """
SELECT count(*) FROM (SELECT FROM checkout_idempotency WHERE expires_at < now() - make_interval(secs => %s) LIMIT %s) AS counted
"""
_PLAN = f"""
SELECT idempotency_key, xmin::text, expires_at::text,
       {reading.KEY_NAME}, response_status,
       {reading.utc("created_at")}, {reading.utc("expires_at")}
  FROM checkout_idempotency WHERE expires_at < now() - make_interval(secs => %s)
 ORDER BY expires_at, idempotency_key LIMIT %s
"""  # noqa: S608 - put together of constants
_COPY = """
SELECT t.idempotency_key, (to_jsonb(t) - CASE WHEN %(responses)s THEN '' ELSE 'response_body' END)::text
  FROM checkout_idempotency t
  JOIN unnest(%(keys)s::text[], %(versions)s::text[], %(expiries)s::text[]) AS w (key, version, expiry)
    ON t.idempotency_key = w.key AND t.xmin::text = w.version AND t.expires_at::text = w.expiry
"""
_DELETE = """
WITH held AS (
    SELECT t.idempotency_key
      FROM checkout_idempotency t
      JOIN unnest(%(keys)s::text[], %(versions)s::text[], %(expiries)s::text[]) AS w (key, version, expiry)
        ON t.idempotency_key = w.key AND t.xmin::text = w.version AND t.expires_at::text = w.expiry
       FOR UPDATE OF t SKIP LOCKED
)
DELETE FROM checkout_idempotency t USING held WHERE t.idempotency_key = held.idempotency_key RETURNING t.idempotency_key
"""
_LEFT = "SELECT idempotency_key, xmin::text, expires_at::text FROM checkout_idempotency WHERE idempotency_key = ANY(%s)"


@dataclass
class Row:
    """One row of the plan; ``name`` is the beginning of the key's SHA-256."""

    key: str
    version: str
    expiry: str
    name: str
    response_status: int
    created_at: str
    expires_at: str
    outcome: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {
            "key_sha256": self.name,
            "response_status": self.response_status,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "outcome": self.outcome,
        }


@dataclass
class Plan:
    """The rows to delete, those that expired first at the beginning, and how many more there are (at least)."""

    rows: list[Row]
    withheld: int
    copy: Copy | None = None
    left: int | None = None
    problems: list[str] = field(default_factory=list)

    def of(self, *outcomes: str) -> list[Row]:
        return [row for row in self.rows if row.outcome in outcomes]


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Plan, copy, delete, look again. RefusedError when a plan cannot be made or copied; RunbookError when what was
    planned was not all tried, or not confirmed."""
    database = _options(params)
    directory = ecommerce_audit.folder("audit_directory", params["audit_directory"])

    def work(session: Session, _database: Database) -> Plan:
        plan = _plan(session, params)
        if context.check_mode:
            for row in plan.rows:
                row.outcome = WOULD_DELETE
        elif plan.rows:
            _act(session, plan, params, context, directory)
        return plan

    (plan,) = databases.each([database], params, context, work, readonly=context.check_mode)
    if isinstance(plan, PostgresError):
        raise RunbookError(f"{plan.message.rstrip('.')}. Nothing was deleted.", changed=False)
    result = _result(plan, params, context)
    if plan.withheld:
        context.warn(f"{plan.withheld} more rows that expired were left: max_rows is {params['max_rows']}")
    if plan.problems:
        raise RunbookError("; ".join(plan.problems), **result)
    return result


def _options(params: dict[str, Any]) -> Database:
    limits: dict[str, tuple[float, float]] = {
        "grace_seconds": (0, 10**8),
        "max_rows": (1, MOST_ROWS),
        "batch_rows": (1, MOST_ROWS),
        "lock_timeout_ms": (1, 60_000),
    }
    for name, (least, most) in limits.items():
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least:g} to {most:g}")
    if params["time_zone"] is None and params["grace_seconds"] < WIDEST_ZONE_SECONDS:
        raise InputError(
            f"grace_seconds is {params['grace_seconds']:g}, and time_zone is not set: where the services write times in "
            "another zone than UTC, answers that are still valid would be deleted, and their orders placed again. Say "
            f"which zone it is, or leave at least {WIDEST_ZONE_SECONDS:g} s"
        )
    if params["time_zone"] is not None:
        reading.zone(params["time_zone"])
    targets = databases.of(params)
    if len(targets) != 1:
        raise InputError(f"databases names {len(targets)}; name one, the shop's database, whose rows are pruned")
    return targets[0]


# -- plan


def _plan(session: Session, params: dict[str, Any]) -> Plan:
    zone = params["time_zone"] or "UTC"
    reading.set_zone(session, zone)
    rights = session.rows(_RIGHTS)
    if not rights or not rights[0][0]:
        raise _refused(
            f"{session.user} may not prune {TABLE} at {session.where}: as its owner, GRANT SELECT, UPDATE, DELETE ON {TABLE} "
            f"TO {session.user}; UPDATE is for holding a row while it is deleted"
        )
    if rights[0][1]:
        raise _refused(f"PostgreSQL at {session.where} is a standby, where nothing can be deleted: name the primary")
    ahead = reading.ahead(session.value(_AHEAD), zone)
    if ahead:
        raise _refused(f"{ahead}: what expired is not known")
    grace, most = params["grace_seconds"], params["max_rows"]
    rows = [Row(*row) for row in session.rows(_PLAN, [grace, most])]
    total = int(session.value(_COUNT, [grace, reading.MOST_COUNTED])) if len(rows) == most else len(rows)
    plan = Plan(rows, max(0, total - len(rows)))
    if plan.withheld and params["beyond_limits"] == "refuse":
        raise _refused(
            f"{reading.counted(total)} rows expired, and max_rows is {most}. Raise it, or set "
            "beyond_limits to withhold, which prunes those that expired first"
        )
    return plan


def _refused(words: str) -> RefusedError:
    return RefusedError(f"{words}. Nothing was deleted.", changed=False)


# -- act


def _act(session: Session, plan: Plan, params: dict[str, Any], context: Context, directory: str) -> None:
    session.rows("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [f"{params['lock_timeout_ms']}ms"])
    batches = [plan.rows[at : at + params["batch_rows"]] for at in range(0, len(plan.rows), params["batch_rows"])]
    plan.copy = _copy(session, batches, params, context, directory)
    done = 0
    for batch in batches:
        copied = [row for row in batch if not row.outcome]
        if context.deadline.expired:
            plan.problems.append("the time was used up before all were deleted. Run the task again, or raise 'timeout'")
            break
        try:
            _delete(session, copied)
        except PostgresError as error:
            plan.problems.append(f"{error.message.rstrip('.')}. What is left is pruned when the task is run again")
            break
        done += len(batch)
        context.progress(f"{done} of {len(plan.rows)} expired answers are looked after")
    for row in plan.rows:
        row.outcome = row.outcome or "not_tried"
    with contextlib.suppress(PostgresError):
        plan.left = int(session.value(_COUNT, [params["grace_seconds"], reading.MOST_COUNTED]))


def _copy(
    session: Session, batches: Sequence[Sequence[Row]], params: dict[str, Any], context: Context, directory: str
) -> Copy | None:
    """Rows that are not any more what was read have the outcome ``changed`` then, and are not in the copy."""

    def lines() -> Any:
        for batch in batches:
            texts = dict(session.rows(_COPY, {**_identity(batch), "responses": params["audit_responses"]}))
            for row in batch:
                if row.key in texts:
                    yield texts[row.key]
                else:
                    row.outcome = "changed"

    header = {
        "table": TABLE,
        "database": session.database,
        "server": f"{session.host}:{session.port}",
        "taken_at": str(session.value("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")),
        "time_zone": params["time_zone"] or "UTC",
        "grace_seconds": params["grace_seconds"],
        "responses": params["audit_responses"],
    }
    stem = f"{TABLE}-{session.host}-{session.port}-{session.database}"
    return ecommerce_audit.write(directory, stem, context.clock.now(), header, lines())


def _delete(session: Session, rows: Sequence[Row]) -> None:
    """Delete those of a batch that are still what was read, and see what the server has of them."""
    if not rows:
        return
    for row in rows:
        row.outcome = "unknown"
    deleted = {key for (key,) in session.rows(_DELETE, _identity(rows))}
    left = {key: (version, expiry) for key, version, expiry in session.rows(_LEFT, [[row.key for row in rows]])}
    for row in rows:
        same = left.get(row.key) == (row.version, row.expiry)
        if row.key in deleted:
            row.outcome = "unknown" if same else DELETED
        elif same:
            row.outcome = "in_use"
        else:
            row.outcome = "changed" if row.key in left else "gone"


def _identity(rows: Sequence[Row]) -> dict[str, list[str]]:
    return {
        "keys": [row.key for row in rows],
        "versions": [row.version for row in rows],
        "expiries": [row.expiry for row in rows],
    }


# -- result


def _result(plan: Plan, params: dict[str, Any], context: Context) -> dict[str, Any]:
    gone = plan.of(DELETED, WOULD_DELETE)
    if plan.of("unknown") and not plan.problems:
        plan.problems.append(f"{len(plan.of('unknown'))} rows were deleted, and are there again as they were")
    result: dict[str, Any] = {
        "changed": bool(gone),
        "planned": len(plan.rows),
        "deleted": len(plan.of(DELETED)),
        "withheld": plan.withheld,
        "left": len(plan.rows) + plan.withheld if plan.left is None else plan.left,
        "audit": plan.copy.as_dict() if plan.copy else None,
        "rows": [row.as_dict() for row in plan.rows[:MOST_LISTED]],
    }
    if context.diff and gone:
        lines = [
            f"{row.name} {row.response_status} {row.created_at} {row.expires_at}\n" for row in plan.rows[:MOST_LISTED]
        ]
        kept = [line for line, row in zip(lines, plan.rows, strict=False) if row.outcome not in (DELETED, WOULD_DELETE)]
        where = f"{TABLE}, rows that expired more than {reading.span(params['grace_seconds'])} ago"
        result["diff"] = {
            "before": "".join(lines),
            "after": "".join(kept),
            "before_header": where,
            "after_header": where,
        }
    return result

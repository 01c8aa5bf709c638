# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether the shop's tables hold what they should: its outbox, its answers for repeated checkouts, and lost connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import databases, ecommerce_idempotency, ecommerce_outbox, ecommerce_sessions
from . import ecommerce_reading as reading
from .argspec import ArgumentSpec
from .checks import UNVERIFIED, Check, Finding, report
from .databases import Database
from .ecommerce_idempotency import Idempotency
from .ecommerce_outbox import Outbox
from .ecommerce_reading import CUSTOMER, ORDER
from .errors import InputError
from .operation import Context
from .postgres import PostgresError, Session

OUTBOX, IDEMPOTENCY, SESSIONS = "outbox", "idempotency", "sessions"
PARTS = [OUTBOX, IDEMPOTENCY, SESSIONS]
_RUNBOOK = {OUTBOX: ecommerce_outbox.RUNBOOK, IDEMPOTENCY: ecommerce_idempotency.RUNBOOK}

SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "parts": {"type": "list", "elements": "str", "choices": PARTS, "default": [OUTBOX, IDEMPOTENCY]},
            "time_zone": {"type": "str", "default": "UTC"},
            "max_pending": {"type": "int", "default": 20},
            "max_pending_age_seconds": {"type": "float", "default": 60.0},
            "settle_seconds": {"type": "float", "default": 60.0},
            "window_seconds": {"type": "float", "default": 86_400.0},
            "max_rows": {"type": "int", "default": 5_000},
            "expired_seconds": {"type": "float", "default": 43_200.0},
            "sample_seconds": {"type": "float", "default": 10.0},
            "timeout": {"type": "float", "default": 60.0},
        }
    )
)
_LIMITS: dict[str, tuple[float, float]] = {
    "max_pending": (0, reading.MOST_COUNTED - 1),
    "max_pending_age_seconds": (0, 10**7),
    "settle_seconds": (1, 10**6),
    "window_seconds": (60, 10**8),
    "max_rows": (1, ecommerce_outbox.MOST_ROWS),
    "expired_seconds": (0, 10**8),
    "sample_seconds": (0.1, 600),
}


@dataclass
class Customer:
    """What was read of customer_db; None where it was not asked for."""

    outbox: Outbox | None = None
    idempotency: Idempotency | None = None


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read, then judge. The order database is asked after the outbox, so that an order that comes meanwhile is not lost."""
    targets = _targets(params)
    rows: list[Check] = []
    found: list[Finding] = []
    data: dict[str, Any] = {}
    if {OUTBOX, IDEMPOTENCY} & set(params["parts"]):
        _tables(targets, params, context, rows, found, data)
    if SESSIONS in params["parts"]:
        own, causes, data["sessions"] = ecommerce_sessions.look(list(targets.values()), params, context)
        rows += own
        found += causes
    return report(rows, found, **data)


def _targets(params: Mapping[str, Any]) -> dict[str, Database]:
    """The databases by name. InputError for wrong options."""
    reading.zone(params["time_zone"])
    for name, (least, most) in _LIMITS.items():
        if not least <= params[name] <= most:
            raise InputError(f"{name} is {params[name]:g}; it must be from {least:g} to {most:g}")
    if not params["parts"]:
        raise InputError(f"parts is empty: nothing would be looked at. Name some of {', '.join(PARTS)}")
    if params["window_seconds"] <= params["settle_seconds"]:
        raise InputError("window_seconds must be longer than settle_seconds: no event would be looked at")
    if SESSIONS in params["parts"] and params["sample_seconds"] >= params["timeout"]:
        raise InputError(
            f"sample_seconds is {params['sample_seconds']:g}, and timeout {params['timeout']:g}: no time would be left for "
            "the second sample. Raise timeout."
        )
    targets = {database.name: database for database in databases.of(params)}
    strange = sorted(set(targets) - {CUSTOMER, ORDER})
    if strange:
        raise InputError(
            f"databases names {', '.join(strange)[:100]}: name the shop's database {CUSTOMER}, that of orders {ORDER}"
        )
    if CUSTOMER not in targets and params["parts"] != [SESSIONS]:
        raise InputError(f"databases does not name {CUSTOMER}, which has the outbox and the answers")
    return targets


def _tables(
    targets: Mapping[str, Database],
    params: Mapping[str, Any],
    context: Context,
    rows: list[Check],
    found: list[Finding],
    data: dict[str, Any],
) -> None:
    parts = [part for part in (OUTBOX, IDEMPOTENCY) if part in params["parts"]]

    def ask(session: Session, _database: Database) -> Customer:
        reading.set_zone(session, params["time_zone"])
        seen = Customer()
        if OUTBOX in parts:
            seen.outbox = ecommerce_outbox.read(session, params["window_seconds"], params["max_rows"])
        if IDEMPOTENCY in parts:
            seen.idempotency = ecommerce_idempotency.read(session, params["expired_seconds"])
        return seen

    (answer,) = databases.each([targets[CUSTOMER]], params, context, ask)
    rows.append(reading.answering(CUSTOMER, answer, _RUNBOOK[parts[0]]))
    if isinstance(answer, PostgresError):
        rows += [_not_looked_at(part) for part in parts]
        if rows[0].status == "fail":
            found.append(Finding("database_unreachable", "seen", [rows[0].id], [CUSTOMER]))
        return
    if answer.outbox:
        if ORDER in targets:
            answer.outbox.booked = _ask_for_orders(answer.outbox, targets[ORDER], params, context)
            rows.append(reading.answering(ORDER, answer.outbox.booked, _RUNBOOK[OUTBOX]))
            if rows[-1].status == "fail":
                found.append(Finding("database_unreachable", "seen", [rows[-1].id], [ORDER]))
        own = ecommerce_outbox.checks(answer.outbox, params)
        rows += own
        found += ecommerce_outbox.findings(own, answer.outbox, params["settle_seconds"])
        data[OUTBOX] = answer.outbox.as_dict(params["settle_seconds"])
    if answer.idempotency:
        own = ecommerce_idempotency.checks(answer.idempotency, params)
        rows += own
        found += ecommerce_idempotency.findings(own, answer.idempotency)
        data[IDEMPOTENCY] = answer.idempotency.as_dict()


def _ask_for_orders(
    seen: Outbox, database: Database, params: Mapping[str, Any], context: Context
) -> set[str] | PostgresError:
    numbers = sorted({event.number for event in seen.to_look_for(params["settle_seconds"]) if event.number})

    def ask(session: Session, _database: Database) -> set[str]:
        return ecommerce_outbox.read_booked(session, numbers)

    return databases.each([database], params, context, ask)[0]


def _not_looked_at(part: str) -> Check:
    hint = f"See database.{CUSTOMER}."
    return Check(part, f"The {part} of the shop", UNVERIFIED, "not looked at", "looked at", hint, _RUNBOOK[part])

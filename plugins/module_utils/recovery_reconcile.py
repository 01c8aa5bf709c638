# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lift numbers that a restore has rewound, such as the sequence of order numbers, above the highest that was given out.

The highest number is looked for in several databases. A number is lifted and never lowered, and read again afterwards.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import databases
from .argspec import ArgumentSpec
from .databases import Database
from .errors import InputError, RefusedError, RunbookError
from .operation import Context
from .postgres import PostgresError, Session

MOST_ITEMS = 50
PLACE = "%(value)s"

_SOURCE = {"database": {"type": "str", "required": True}, "query": {"type": "str", "required": True}}
SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "numbers": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "database": {"type": "str", "required": True},
                    "current": {"type": "str", "required": True},
                    "sources": {"type": "list", "elements": "dict", "required": True, "options": _SOURCE},
                    "statement": {"type": "str", "required": True},
                    "max_lift": {"type": "int", "default": 100_000},
                },
            },
            "at_least": {"type": "dict", "default": {}},
            "timeout": {"type": "float", "default": 120.0},
        }
    )
)


@dataclass
class Lift:
    """One number: what it is, what it must be at least (None: no number was given out), and what it became."""

    name: str
    database: str
    current: int | None
    needed: int | None
    after: int | None = None

    @property
    def due(self) -> bool:
        return self.needed is not None and (self.current is None or self.current < self.needed)

    def as_dict(self) -> dict[str, Any]:
        action = "lift" if self.due else "none"
        found = {"current": self.current, "needed": self.needed, "after": self.after, "action": action}
        return {"name": self.name, "database": self.database, **found}


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Read all numbers, then lift those that are too low; in check mode only say which."""
    wanted = {database.name: database for database in databases.of(params)}
    items = params["numbers"]
    _check(items, set(wanted), params["at_least"])
    lifts = _plan(items, wanted, params, context)
    too_far = [lift for lift, item in zip(lifts, items, strict=True) if _distance(lift) > item["max_lift"]]
    if too_far:
        raise RefusedError(
            "nothing was lifted: "
            + "; ".join(f"{lift.name} would go from {lift.current} to {lift.needed}" for lift in too_far)
            + ". That is more than max_lift: is the highest number a real one?",
            numbers=[lift.as_dict() for lift in lifts],
        )
    due = [(lift, item) for lift, item in zip(lifts, items, strict=True) if lift.due]
    if not context.check_mode:
        for lift, item in due:
            _act(lift, item, wanted[lift.database], params, context)
    return {"changed": bool(due), "numbers": [lift.as_dict() for lift in lifts]}


def _plan(
    items: list[dict[str, Any]], wanted: Mapping[str, Database], params: dict[str, Any], context: Context
) -> list[Lift]:
    """The numbers as they stand. RunbookError when one could not be read: a source that is left out may be the highest."""

    def ask(session: Session, database: Database) -> dict[tuple[str, str], int | None]:
        own = {item["current"] for item in items if item["database"] == database.name}
        own |= {source["query"] for item in items for source in item["sources"] if source["database"] == database.name}
        return {(database.name, query): _number(session, query) for query in own}

    found = databases.each(list(wanted.values()), params, context, ask)
    problems = [answer.message for answer in found if isinstance(answer, PostgresError)]
    if problems:
        raise RunbookError(f"nothing was lifted, because not every number could be read: {'; '.join(problems)}")
    numbers = {key: value for answer in found if isinstance(answer, dict) for key, value in answer.items()}
    lifts = []
    for item in items:
        candidates = [numbers[source["database"], source["query"]] for source in item["sources"]]
        candidates.append(_floor(params["at_least"], item["name"]))
        known = [value for value in candidates if value is not None]
        current = numbers[item["database"], item["current"]]
        lifts.append(Lift(item["name"], item["database"], current, max(known, default=None)))
    return lifts


def _act(lift: Lift, item: Mapping[str, Any], database: Database, params: dict[str, Any], context: Context) -> None:
    def change(session: Session, _database: Database) -> int | None:
        session.rows(item["statement"], {"value": lift.needed})
        return _number(session, item["current"])

    (after,) = databases.each([database], params, context, change, readonly=False)
    if isinstance(after, PostgresError):
        raise RunbookError(f"{lift.name} was not lifted to {lift.needed}: {after.message}", numbers=[lift.as_dict()])
    lift.after = after
    if after is None or lift.needed is None or after < lift.needed:
        raise RunbookError(
            f"{lift.name} is {after} after its statement, which should have made it {lift.needed}: open no traffic, and "
            "look at the statement",
            numbers=[lift.as_dict()],
        )


def _number(session: Session, query: str) -> int | None:
    value = session.value(query)
    if value is None:
        return None
    try:
        return int(decimal.Decimal(str(value)))
    except (decimal.InvalidOperation, ValueError, OverflowError):
        raise PostgresError(
            "statement", f"PostgreSQL at {session.where}: {query!r} gave {value!r}, no number"
        ) from None


def _distance(lift: Lift) -> int:
    return (lift.needed or 0) - (lift.current or 0) if lift.due else 0


def _floor(at_least: Mapping[str, Any], name: str) -> int | None:
    value = at_least.get(name)
    if value is None or str(value).strip() in ("", "None"):
        return None
    try:
        return int(str(value))
    except ValueError:
        raise InputError(f"at_least has {value!r} for {name}, no whole number", option="at_least") from None


def _check(items: list[dict[str, Any]], names: set[str], at_least: Mapping[str, Any]) -> None:
    if not 1 <= len(items) <= MOST_ITEMS:
        raise InputError(f"numbers has {len(items)} items; give 1 to {MOST_ITEMS}", option="numbers")
    own = [item["name"] for item in items]
    for item in items:
        used = {item["database"], *(source["database"] for source in item["sources"])}
        if used - names:
            raise InputError(f"{item['name']} names {', '.join(sorted(used - names))}, which databases does not have")
        if not item["sources"]:
            raise InputError(f"{item['name']} has no sources: name the queries that give the highest number")
        texts = [item["statement"], item["current"], *(source["query"] for source in item["sources"])]
        if any(";" in text.strip().rstrip(";") for text in texts):
            raise InputError(f"{item['name']} has a semicolon within a statement: give single statements")
        if PLACE not in item["statement"]:
            raise InputError(f"the statement of {item['name']} lacks {PLACE}, where the number goes")
        if own.count(item["name"]) > 1:
            raise InputError(f"numbers has {item['name']} twice: each needs a name of its own", option="numbers")
    strangers = sorted(set(at_least) - set(own))
    if strangers:
        raise InputError(f"at_least has {', '.join(strangers)}, which numbers does not have", option="at_least")

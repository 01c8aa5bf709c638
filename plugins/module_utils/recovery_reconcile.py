# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lift numbers that a restore has rewound, such as the sequence of order numbers, above the highest that was given out.

The highest number is looked for in several databases. A number is lifted and never lowered, and read again afterwards.
"""

from __future__ import annotations

import decimal
from collections.abc import Mapping, Sequence
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
# The rules, for every module that lifts numbers
RULES = ArgumentSpec(
    options={
        "numbers": {
            "type": "list",
            "elements": "dict",
            "default": [],
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
    }
)
SPEC = databases.spec().merge(RULES).merge(ArgumentSpec(options={"timeout": {"type": "float", "default": 120.0}}))

Rule = Mapping[str, Any]


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
    rules = params["numbers"]
    if not rules:
        raise InputError(f"numbers has no item; give 1 to {MOST_ITEMS}", option="numbers")
    check(rules, set(wanted), params["at_least"])
    lifts = plan(rules, _read(rules, wanted, params, context), params["at_least"])
    refuse_too_far(lifts, rules)
    due = [(lift, rule) for lift, rule in zip(lifts, rules, strict=True) if lift.due]
    if not context.check_mode:
        for lift, rule in due:
            _act(lift, rule, wanted[lift.database], params, context)
    return {"changed": bool(due), "numbers": [lift.as_dict() for lift in lifts]}


def queries(rules: Sequence[Rule], database: str) -> list[str]:
    """What one database is asked."""
    own = {rule["current"] for rule in rules if rule["database"] == database}
    own |= {source["query"] for rule in rules for source in rule["sources"] if source["database"] == database}
    return sorted(own)


def plan(
    rules: Sequence[Rule], numbers: Mapping[tuple[str, str], int | None], at_least: Mapping[str, Any]
) -> list[Lift]:
    """One row for each rule, from the numbers as they stand, by database and query, and those that are known from elsewhere."""
    lifts = []
    for rule in rules:
        candidates = [numbers[source["database"], source["query"]] for source in rule["sources"]]
        candidates.append(floor(at_least, rule["name"]))
        current = numbers[rule["database"], rule["current"]]
        lifts.append(Lift(rule["name"], rule["database"], current, highest(candidates)))
    return lifts


def refuse_too_far(lifts: Sequence[Lift], rules: Sequence[Rule]) -> None:
    """RefusedError when a number would be lifted by more than its rule allows."""
    too_far = [lift for lift, rule in zip(lifts, rules, strict=True) if _distance(lift) > rule["max_lift"]]
    if too_far:
        raise RefusedError(
            "nothing was lifted: "
            + "; ".join(f"{lift.name} would go from {lift.current} to {lift.needed}" for lift in too_far)
            + ". That is more than max_lift: is the highest number a real one?",
            numbers=[lift.as_dict() for lift in lifts],
        )


def act(session: Session, lift: Lift, rule: Rule) -> None:
    """Lift one number in its database, and read it again. Raises RunbookError when it is still too low."""
    session.rows(rule["statement"], {"value": lift.needed})
    after = lift.after = number(session, rule["current"])
    if after is None or lift.needed is None or after < lift.needed:
        raise RunbookError(
            f"{lift.name} is {after} after its statement, which should have made it {lift.needed}: open no traffic, and "
            "look at the statement",
            numbers=[lift.as_dict()],
        )


def number(session: Session, query: str) -> int | None:
    """What a query gives. Raises PostgresError when that is no number."""
    value = session.value(query)
    if value is None:
        return None
    try:
        return int(decimal.Decimal(str(value)))
    except (decimal.InvalidOperation, ValueError, OverflowError):
        raise PostgresError(
            "statement", f"PostgreSQL at {session.where}: {query!r} gave {value!r}, no number"
        ) from None


def highest(values: Sequence[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def floor(at_least: Mapping[str, Any], name: str) -> int | None:
    """The number that is known from elsewhere; None where none is. Raises InputError."""
    value = at_least.get(name)
    if value is None or str(value).strip() in ("", "None"):
        return None
    try:
        return int(str(value))
    except ValueError:
        raise InputError(f"at_least has {value!r} for {name}, no whole number", option="at_least") from None


def check(rules: Sequence[Rule], names: set[str], at_least: Mapping[str, Any]) -> None:
    """InputError for rules that cannot be followed in databases of these names."""
    if len(rules) > MOST_ITEMS:
        raise InputError(f"numbers has {len(rules)} items; give 1 to {MOST_ITEMS}", option="numbers")
    own = [rule["name"] for rule in rules]
    for rule in rules:
        used = {rule["database"], *(source["database"] for source in rule["sources"])}
        if used - names:
            raise InputError(f"{rule['name']} names {', '.join(sorted(used - names))}, which databases does not have")
        if not rule["sources"]:
            raise InputError(f"{rule['name']} has no sources: name the queries that give the highest number")
        texts = [rule["statement"], rule["current"], *(source["query"] for source in rule["sources"])]
        if any(";" in text.strip().rstrip(";") for text in texts):
            raise InputError(f"{rule['name']} has a semicolon within a statement: give single statements")
        if PLACE not in rule["statement"]:
            raise InputError(f"the statement of {rule['name']} lacks {PLACE}, where the number goes")
        if own.count(rule["name"]) > 1:
            raise InputError(f"numbers has {rule['name']} twice: each needs a name of its own", option="numbers")
        floor(at_least, rule["name"])
    strangers = sorted(set(at_least) - set(own))
    if strangers:
        raise InputError(f"at_least has {', '.join(strangers)}, which numbers does not have", option="at_least")


def _read(
    rules: Sequence[Rule], wanted: Mapping[str, Database], params: dict[str, Any], context: Context
) -> dict[tuple[str, str], int | None]:
    """The numbers as they stand. RunbookError when one could not be read: a source that is left out may be the highest."""

    def ask(session: Session, database: Database) -> dict[tuple[str, str], int | None]:
        return {(database.name, query): number(session, query) for query in queries(rules, database.name)}

    found = databases.each(list(wanted.values()), params, context, ask)
    problems = [answer.message for answer in found if isinstance(answer, PostgresError)]
    if problems:
        raise RunbookError(
            f"nothing was lifted, because not every number could be read: {'; '.join(problems)}",
            numbers_read=[
                {"database": database, "query": query, "number": value}
                for answer in found
                if isinstance(answer, dict)
                for (database, query), value in answer.items()
            ],
        )
    return {key: value for answer in found if isinstance(answer, dict) for key, value in answer.items()}


def _act(lift: Lift, rule: Rule, database: Database, params: dict[str, Any], context: Context) -> None:
    def change(session: Session, _database: Database) -> None:
        act(session, lift, rule)

    (answer,) = databases.each([database], params, context, change, readonly=False)
    if isinstance(answer, PostgresError):
        raise RunbookError(f"{lift.name} was not lifted to {lift.needed}: {answer.message}", numbers=[lift.as_dict()])


def _distance(lift: Lift) -> int:
    return (lift.needed or 0) - (lift.current or 0) if lift.due else 0

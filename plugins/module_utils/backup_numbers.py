# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers that were given out, such as order numbers, across the exchange of databases: none is given out a second time.

The highest is read from the databases that leave, through sessions that were opened before these were closed, when nobody
can take another number. Then the numbers in the databases that come are lifted, before anybody can take one there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import backup_server, postgres, recovery_reconcile
from .backup_targets import Target
from .checks import PASS, UNVERIFIED, Check
from .errors import RefusedError, RunbookError
from .operation import Context
from .postgres import PostgresError, Session
from .recovery_reconcile import Lift, Rule

Open = Callable[[Target, str], contextlib.AbstractContextManager[None]]


@dataclass
class Highest:
    """What the databases that leave have told. ``missing`` has the names of those that could not be asked, and why."""

    numbers: dict[tuple[str, str], int | None] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def of(self, rule: Rule) -> int | None:
        """The highest number that was given out, as far as it is known: a source's, or the number itself."""
        asked = [(rule["database"], rule["current"]), *((s["database"], s["query"]) for s in rule["sources"])]
        return recovery_reconcile.highest([self.numbers.get(key) for key in asked])

    def not_asked(self, rule: Rule) -> list[str]:
        used = {rule["database"], *(source["database"] for source in rule["sources"])}
        return sorted(used & self.missing.keys())


@dataclass
class Keeper:
    """The rules of one restore, and what became of each number."""

    params: Mapping[str, Any]
    context: Context
    lifts: list[Lift] = field(default_factory=list)
    before: Highest = field(default_factory=Highest)
    planned: dict[str, list[str]] = field(default_factory=dict)
    _readers: dict[str, Session] = field(default_factory=dict)
    _own: dict[str, list[int]] = field(default_factory=dict)

    @property
    def rules(self) -> list[Rule]:
        return list(self.params["numbers"])

    def plan(self, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """The rules with what is known of the highest number: no numbers, which differ from one moment to the next."""
        recovery_reconcile.check(self.rules, {target.saved.name for target in targets}, self.params["at_least"])
        with self.watching(targets):
            self.read(targets)
        self.planned = {rule["name"]: self.before.not_asked(rule) for rule in self.rules}
        return [
            {
                **rule,
                "at_least": recovery_reconcile.floor(self.params["at_least"], rule["name"]),
                "highest_before": self._known(rule),
            }
            for rule in self.rules
        ]

    @contextlib.contextmanager
    def watching(self, targets: Sequence[Target]) -> Iterator[None]:
        """Sessions in the databases that are in place, for as long as the context is open."""
        self.before, self._readers = Highest(), {}
        with contextlib.ExitStack() as stack:
            for target in targets:
                name = target.saved.name
                if not recovery_reconcile.queries(self.rules, name):
                    continue
                if target.state is None:
                    self.before.missing[name] = f"there is no database {target.name}"
                    continue
                try:
                    session = stack.enter_context(self._session(target, target.name))
                    backup_server.stay(session)
                    self._own.setdefault(name, []).append(int(session.value("SELECT pg_catalog.pg_backend_pid()")))
                    self._readers[name] = session
                except PostgresError as error:
                    self.before.missing[name] = error.message
            try:
                yield
            finally:
                self._readers = {}

    def spared(self, target: Target) -> list[int]:
        """The process ids of our own sessions in a database; one that was closed may take a moment to end."""
        return self._own.get(target.saved.name, [])

    def read(self, targets: Sequence[Target]) -> None:
        """The highest numbers, through the sessions that are held."""
        for target in targets:
            name = target.saved.name
            session = self._readers.get(name)
            if session is None:
                continue
            try:
                found = {
                    (name, query): recovery_reconcile.number(session, query)
                    for query in recovery_reconcile.queries(self.rules, name)
                }
            except PostgresError as error:
                self.before.missing[name] = error.message
            else:
                self.before.numbers.update(found)

    def refuse_less(self) -> None:
        """RefusedError when less could be read than when the plan was made."""
        for rule in self.rules:
            lost = [name for name in self.before.not_asked(rule) if name not in self.planned[rule["name"]]]
            if lost:
                raise RefusedError(
                    f"the highest {rule['name']} could be read when the plan was made, and no longer: "
                    f"{self.before.missing[lost[0]]}"
                )

    def lift(self, places: Mapping[str, tuple[Target, str]], opened: Open) -> None:
        """Lift the numbers in the databases that come. ``places`` has, by name, where each is now; ``opened`` lets us in."""
        if not self.rules:
            return
        with contextlib.ExitStack() as stack:
            sessions: dict[str, Session] = {}
            for name, (target, place) in places.items():
                if recovery_reconcile.queries(self.rules, name):
                    stack.enter_context(opened(target, place))
                    sessions[name] = stack.enter_context(self._session(target, place, readonly=False))
            found: dict[tuple[str, str], int | None] = {
                (name, query): recovery_reconcile.number(session, query)
                for name, session in sessions.items()
                for query in recovery_reconcile.queries(self.rules, name)
            }
            self.lifts = recovery_reconcile.plan(self.rules, found, self._floors())
            recovery_reconcile.refuse_too_far(self.lifts, self.rules)
            for lift, rule in zip(self.lifts, self.rules, strict=True):
                if lift.due:
                    self._act(sessions[lift.database], lift, rule)

    def rows(self) -> list[dict[str, Any]]:
        """What became of each number."""
        return [
            {**lift.as_dict(), "before": self.before.of(rule), "not_read": self._reasons(rule)}
            for lift, rule in zip(self.lifts, self.rules, strict=False)
        ]

    def checks(self, acted: bool) -> list[Check]:
        """One check for each number: unverified where the highest is not known."""
        found = []
        for rule in self.rules:
            known = acted and not self._in_doubt(rule)
            lift = next((lift for lift in self.lifts if lift.name == rule["name"]), None)
            seen = "it was not looked at: nothing was exchanged"
            if lift is not None:
                became = f"lifted from {lift.current} to {lift.after}" if lift.due else f"{lift.current}, not lifted"
                seen = f"{became}; highest number before: {self._known(rule)}"
            found.append(
                Check(
                    id=f"numbers.{rule['name']}",
                    title=f"No {rule['name']} is given out twice",
                    status=PASS if known else UNVERIFIED,
                    observed=seen,
                    expected="at least the highest number that was given out before",
                    hint=""
                    if known
                    else "The highest number before is not known. Find it elsewhere (logs, invoices, partners), lift the number "
                    "above it before traffic is opened; with at_least it is part of the plan.",
                )
            )
        return found

    def _in_doubt(self, rule: Rule) -> bool:
        floor = recovery_reconcile.floor(self.params["at_least"], rule["name"])
        return bool(self.before.not_asked(rule)) and floor is None

    def _known(self, rule: Rule) -> str:
        missing = self.before.not_asked(rule)
        if not missing:
            return "known"
        who = f"{', '.join(missing)} cannot be asked"
        floor = recovery_reconcile.floor(self.params["at_least"], rule["name"])
        return f"not known, {who}" if floor is None else f"{who}; at least {floor}, as was said"

    def _reasons(self, rule: Rule) -> list[str]:
        return [f"{name}: {self.before.missing[name]}" for name in self.before.not_asked(rule)]

    def _floors(self) -> dict[str, int | None]:
        given = self.params["at_least"]
        return {
            rule["name"]: recovery_reconcile.highest(
                [self.before.of(rule), recovery_reconcile.floor(given, rule["name"])]
            )
            for rule in self.rules
        }

    def _act(self, session: Session, lift: Lift, rule: Rule) -> None:
        try:
            recovery_reconcile.act(session, lift, rule)
        except PostgresError as error:
            raise RunbookError(
                f"{lift.name} was not lifted to {lift.needed}: {error.message}", numbers=[lift.as_dict()]
            ) from error

    def _session(self, target: Target, place: str, readonly: bool = True) -> contextlib.AbstractContextManager[Session]:
        parameters = {**target.database.parameters, "dbname": place}
        return postgres.session(parameters, self.params, self.context.deadline, target.database.search_path, readonly)

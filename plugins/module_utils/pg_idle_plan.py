# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which idle sessions are ended, and why the others are not: a plan made of what was read, without any I/O."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from . import pg_sessions
from .errors import InputError, RefusedError
from .pg_sessions import IDLE, IN_TRANSACTION, LOCAL, Backend
from .pg_sql_text import shape
from .redact import observed

TERMINATE = "terminate"
KEEP = "keep"
WITHHOLD = "withhold"
MOST_KILLS = 1000
MANY_FROM_ONE = 20
SUPERUSER = "superuser"
POOLERS = ("pgbouncer", "pgpool", "odyssey", "pgcat", "supavisor")


@dataclass(frozen=True)
class Wish:
    """What may be ended. Ages in seconds, None where sessions of that kind are left alone."""

    idle_seconds: float | None
    idle_in_transaction_seconds: float | None
    users: tuple[str, ...] = ()
    application_names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    exclude_users: tuple[str, ...] = ()
    exclude_application_names: tuple[str, ...] = ()
    exclude_addresses: tuple[str, ...] = ()
    include_superusers: bool = False
    max_kill: int = 100
    max_percent: float = 100.0
    refuse_beyond: bool = False

    @classmethod
    def of(cls, params: Mapping[str, Any]) -> Wish:
        """The options, checked. InputError names the one that is wrong."""
        idle, in_transaction = _age(params, "idle_seconds"), _age(params, "idle_in_transaction_seconds")
        if idle is None and in_transaction is None:
            raise InputError("idle_seconds and idle_in_transaction_seconds are both off: no session could be idle")
        if not 1 <= params["max_kill"] <= MOST_KILLS:
            raise InputError(f"max_kill is {params['max_kill']}; it must be from 1 to {MOST_KILLS}")
        if not 0 < params["max_percent"] <= 100:
            raise InputError(f"max_percent is {params['max_percent']:g}; it must be above 0, and at most 100")
        names = ("users", "application_names", "addresses")
        lists = {name: tuple(params[name]) for one in names for name in (one, f"exclude_{one}")}
        for name, values in lists.items():
            if any(not value.strip() for value in values) and not name.endswith("application_names"):
                raise InputError(f"{name} has an empty entry: is the variable set that it comes from?")
        for name in ("addresses", "exclude_addresses"):
            for value in lists[name]:
                _network(name, value)
        return cls(
            idle,
            in_transaction,
            users=lists["users"],
            application_names=lists["application_names"],
            addresses=lists["addresses"],
            exclude_users=lists["exclude_users"],
            exclude_application_names=lists["exclude_application_names"],
            exclude_addresses=lists["exclude_addresses"],
            include_superusers=params["include_superusers"],
            max_kill=params["max_kill"],
            max_percent=params["max_percent"],
            refuse_beyond=params["beyond_limits"] == "refuse",
        )

    def limit_seconds(self, state: str | None) -> float | None:
        """The age from which a session in this state may be ended."""
        if state == IDLE:
            return self.idle_seconds
        return self.idle_in_transaction_seconds if state in IN_TRANSACTION else None

    def concerns(self, one: Backend) -> bool:
        """Whether the session is among those the task is about: its user, application and address."""
        return (
            (not self.users or one.usename in self.users)
            and (not self.application_names or _matches(one.application_name, self.application_names))
            and (not self.addresses or _within(one.client_addr, self.addresses))
        )

    def could_concern(self, one: Backend) -> bool:
        """The same of a session of which only the user and the application are shown."""
        return (
            (not self.users or one.usename in self.users)
            and one.usename not in self.exclude_users
            and (not self.application_names or _matches(one.application_name, self.application_names))
            and not _matches(one.application_name, self.exclude_application_names)
        )


@dataclass
class Step:
    """One session that has been idle for long enough, and what is done with it."""

    database: str
    backend: Backend
    action: str
    reason: str = ""
    blocked_count: int = 0
    outcome: str = ""

    def as_dict(self, show_query: bool) -> dict[str, Any]:
        one = self.backend
        told = {
            "database": self.database,
            **pg_sessions.identity(one),
            "backend_start": pg_sessions.iso(one.backend_start),
            "state": one.told_state,
            "state_change": pg_sessions.iso(one.state_change),
            "idle_seconds": pg_sessions.seconds(one.state_seconds),
            "xact_age_seconds": pg_sessions.seconds(one.xact_seconds),
            "blocked_count": self.blocked_count,
            "action": self.action,
            "reason": self.reason,
            "outcome": self.outcome,
        }
        return {**told, "query": shape(one.query)} if show_query else told


@dataclass
class Plan:
    """The steps of all databases, those idle for longest first."""

    steps: list[Step] = field(default_factory=list)

    def of(self, action: str) -> list[Step]:
        return [step for step in self.steps if step.action == action]


def steps_of(
    database: str,
    backends: Sequence[Backend],
    wish: Wish,
    advisory: frozenset[int] = frozenset(),
    blocked: Mapping[int, int] | None = None,
) -> list[Step]:
    """The steps for one database. ``backends``: its clients' sessions; ``advisory``: pids that hold advisory locks;
    ``blocked``: how many sessions wait for a pid. No more than max_percent of a role's sessions are ended."""
    steps = []
    for one in backends:
        limit = wish.limit_seconds(one.state)
        if one.hidden or limit is None or one.state_seconds is None or one.state_seconds < limit:
            continue
        if wish.concerns(one):
            kept = _kept(one, wish, advisory)
            count = (blocked or {}).get(one.pid, 0)
            steps.append(Step(database, one, KEEP if kept else TERMINATE, kept, count))
    _hold_percent(steps, backends, wish)
    return _oldest_first(steps)


def joined(per_database: Sequence[Sequence[Step]], wish: Wish) -> Plan:
    """The plan over all databases, of which no more than max_kill sessions are ended. RefusedError where it is asked
    that no session be ended when the limits do not allow all."""
    plan = Plan(_oldest_first([step for steps in per_database for step in steps]))
    for step in plan.of(TERMINATE)[wish.max_kill :]:
        step.action, step.reason = WITHHOLD, f"max_kill is {wish.max_kill}"
    withheld = plan.of(WITHHOLD)
    if withheld and wish.refuse_beyond:
        reasons = ", ".join(f"{count}: {reason}" for reason, count in Counter(s.reason for s in withheld).items())
        raise RefusedError(
            f"{len(withheld)} of {len(withheld) + len(plan.of(TERMINATE))} idle sessions are beyond the limits "
            f"({reasons}); nothing was ended. See what leaks before you raise them."
        )
    return plan


def pooler_hints(steps: Sequence[Step]) -> list[str]:
    """What looks like the server connections of a pooler, ending which frees no client of it."""
    groups: dict[tuple[str, str, str], list[str]] = {}
    for step in steps:
        one = step.backend
        groups.setdefault((step.database, one.usename, one.client_addr), []).append(one.application_name.lower())
    hints = []
    for (database, user, address), names in groups.items():
        named = any(pooler in name for name in names for pooler in POOLERS)
        if named or len(names) >= MANY_FROM_ONE:
            certainty = "are" if named else "may be"
            hints.append(
                f"{database}: {len(names)} idle sessions of {observed(user, 100)} come from one address ({address}); these "
                f"{certainty} server connections of a pooler such as PgBouncer. Ending them frees none of its clients: "
                "use its server_idle_timeout, client_idle_timeout and idle_transaction_timeout, or KILL on its console."
            )
    return hints


def superuser_hints(steps: Sequence[Step]) -> list[str]:
    """A service that connects as a superuser keeps all its idle sessions, and knows no rights."""
    kept = Counter((step.database, step.backend.usename) for step in steps if step.reason == SUPERUSER)
    return [
        f"{database}: {count} idle sessions stay, since {observed(user, 100)} is a superuser, which no service needs to be. "
        "include_superusers ends them too, where the module itself connects as a superuser."
        for (database, user), count in sorted(kept.items())
    ]


def _age(params: Mapping[str, Any], name: str) -> float | None:
    value, floor = params[name], params["floor_seconds"]
    if floor < 0:
        raise InputError(f"floor_seconds is {floor:g}; it must be 0 or more")
    if value is None or value == 0:
        return None
    if not value >= floor or value < 0:
        raise InputError(
            f"{name} is {value:g}; below floor_seconds ({floor:g}) healthy sessions are ended between two statements. "
            "0 leaves such sessions alone; lower floor_seconds where that is really meant."
        )
    return float(value)


def _kept(one: Backend, wish: Wish, advisory: frozenset[int]) -> str:
    """Why a session is left alone; empty when it is not."""
    reasons = (
        (one.pid in advisory, "holds an advisory lock, as a running migration does"),
        (one.listens, "listens for notifications"),
        (one.usename in wish.exclude_users, "exclude_users"),
        (_matches(one.application_name, wish.exclude_application_names), "exclude_application_names"),
        (_within(one.client_addr, wish.exclude_addresses), "exclude_addresses"),
        (one.superuser and not wish.include_superusers, SUPERUSER),  # last: what is left although nothing else keeps it
    )
    return next((reason for true, reason in reasons if true), "")


def _hold_percent(steps: list[Step], backends: Sequence[Backend], wish: Wish) -> None:
    sessions = Counter(one.usename for one in backends)
    for user, total in sessions.items():
        allowed = int(total * wish.max_percent / 100)
        own = [step for step in _oldest_first(steps) if step.action == TERMINATE and step.backend.usename == user]
        for step in own[allowed:]:
            step.action = WITHHOLD
            step.reason = f"max_percent is {wish.max_percent:g}, of {total} sessions of {observed(user, 100)}"


def _oldest_first(steps: Sequence[Step]) -> list[Step]:
    return sorted(steps, key=lambda step: (-(step.backend.state_seconds or 0.0), step.database, step.backend.pid))


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _network(option: str, value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that is named; None for the local socket. InputError."""
    if value == LOCAL:
        return None
    try:
        return ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise InputError(
            f"{option} has {value[:60]!r}; give an IP address, a network such as 10.0.0.0/8, or {LOCAL} for the socket"
        ) from None


def _within(address: str, networks: Sequence[str]) -> bool:
    if address == LOCAL:
        return LOCAL in networks
    own = ipaddress.ip_address(address.partition("%")[0])
    found = [_network("addresses", value) for value in networks]
    return any(network is not None and own in network for network in found)

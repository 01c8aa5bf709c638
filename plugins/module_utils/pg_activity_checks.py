# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was observed of one database against the thresholds; a threshold that is off gives no check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from . import pg_blockers, pg_sessions
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Status
from .pg_activity_read import Observed
from .pg_sessions import ACTIVE, IN_TRANSACTION, READ_STATS, Backend
from .postgres import PostgresError


@dataclass(frozen=True)
class Judge:
    """The thresholds (0 is off), and the section of the runbook that the checks carry."""

    params: Mapping[str, Any]

    def checks(self, seen: Observed) -> list[Check]:
        judged = {
            "connections": self._connections,
            "saturation": self._saturation,
            "long_queries": self._long_queries,
            "blocked": self._blocked,
            "idle_in_transaction": self._idle_in_transaction,
            "prepared": self._prepared,
            "replication": self._replication,
            "xmin": self._xmin,
            "slow_queries": self._slow_queries,
        }
        rows = [judge(seen) for name, judge in judged.items() if name in self.params["checks"]]
        return [row for row in rows if row]

    def no_answer(self, name: str, error: PostgresError) -> Check:
        """A database that could not be asked: a fault where that was seen, else not known."""
        hint = "Nothing else of it was looked at."
        wrong = error.observed_fault or error.kind == "statement_timeout"
        return self._check("connections", name, FAIL if wrong else UNVERIFIED, error.message, "an answer", hint)

    def _check(self, kind: str, name: str, status: Status, observed: Any, expected: Any, hint: str) -> Check:
        return Check(
            f"{kind}.{name}", f"{TITLES[kind]} ({name})", status, observed, expected, hint, self.params["runbook"]
        )

    def _unread(self, kind: str, seen: Observed, error: PostgresError) -> Check:
        return self._check(kind, seen.name, UNVERIFIED, error.message, "readable", "The other checks are not affected.")

    def _visible(self, seen: Observed, worst: Status) -> tuple[Status, str]:
        """A pass needs that the states of all sessions are seen."""
        blind = seen.hidden + seen.silent
        if not blind:
            return worst, ""
        why = f"{blind} of {len(seen.own)} sessions do not show their state: "
        why += READ_STATS.format(user=seen.user) + ". " if seen.hidden else "track_activities is off for them. "
        return (worst if worst == FAIL else UNVERIFIED), why

    def _connections(self, seen: Observed) -> Check:
        most, allowed_ms = self.params["max_sessions"], self.params["answer_ms"]
        states = ", ".join(f"{count} {state}" for state, count in pg_sessions.states(seen.own).items())
        wrong = (0 < allowed_ms < seen.answer_ms) or (0 < most < len(seen.own))
        expected = "an answer" + (f" within {allowed_ms} ms" if allowed_ms else "")
        expected += f", at most {most} sessions" if most else ""
        observed = f"SELECT 1 in {seen.answer_ms} ms; {len(seen.own)} other sessions{f' ({states})' if states else ''}"
        hint = "See counts for who holds them." if wrong else "That it answers does not show that its pools are free."
        return self._check("connections", seen.name, FAIL if wrong else PASS, observed, expected, hint)

    def _saturation(self, seen: Observed) -> Check | None:
        allowed = self.params["max_saturation_percent"]
        if not allowed or seen.limits is None:
            return None
        if isinstance(seen.limits, PostgresError):
            return self._unread("saturation", seen, seen.limits)
        worst = seen.limits[0]
        full = worst.percent > allowed
        hint = "See counts for who holds them; idle ones can be ended with pg_idle_kill." if full else OWN_IS_COUNTED
        observed = f"{worst.used} of {worst.most} connections, {worst.percent:g} % ({worst.what})"
        return self._check("saturation", seen.name, FAIL if full else PASS, observed, f"at most {allowed:g} %", hint)

    def _ages(self, kind: str, seen: Observed, found: list[tuple[Backend, float]], limit: float, remedy: str) -> Check:
        late = [(one, age) for one, age in found if age > limit]
        status, why = self._visible(seen, FAIL if late else PASS)
        observed = f"{len(late)}, the oldest {max(age for _one, age in late):.0f} s" if late else "none"
        return self._check(kind, seen.name, status, observed, f"none beyond {limit:g} s", why + remedy)

    def _long_queries(self, seen: Observed) -> Check | None:
        limit = self.params["long_query_seconds"]
        if not limit:
            return None
        hint = "See long_queries and blockers. Statements of the past are not seen here."
        return self._ages("long_queries", seen, long_queries(seen), limit, hint)

    def _idle_in_transaction(self, seen: Observed) -> Check | None:
        limit = self.params["idle_in_transaction_seconds"]
        if not limit:
            return None
        hint = "They hold locks and hold back vacuum. Set idle_in_transaction_session_timeout for the role."
        return self._ages("idle_in_transaction", seen, idle_in_transaction(seen), limit, hint)

    def _blocked(self, seen: Observed) -> Check | None:
        limit = self.params["blocked_seconds"]
        if not limit or seen.waits is None:
            return None
        if isinstance(seen.waits, PostgresError):
            return self._unread("blocked", seen, seen.waits)
        late = [wait for wait in seen.waits if wait.seconds is not None and wait.seconds > limit]
        unknown = [wait for wait in seen.waits if wait.seconds is None]
        status = FAIL if late else UNVERIFIED if unknown else PASS
        observed, hint = f"{len(seen.waits)} wait, none beyond", "Waits below the limit are normal."
        if late:
            heads = ", ".join(str(root.pid) if root.pid else "a prepared transaction" for root in self._heads(seen))
            longest = max(wait.seconds or 0.0 for wait in late)
            observed = f"{len(late)} beyond, the longest {longest:.0f} s; blocked by {heads}"
            hint = "See blockers: the first of each tree holds the lock that the others wait for."
        elif unknown:
            hint = f"Since when {len(unknown)} wait is not shown: {READ_STATS.format(user=seen.user)}."
        return self._check("blocked", seen.name, status, observed, f"none beyond {limit:g} s", hint)

    @staticmethod
    def _heads(seen: Observed) -> list[pg_blockers.Root]:
        return pg_blockers.roots(seen.waits)[:5] if isinstance(seen.waits, list) else []

    def _prepared(self, seen: Observed) -> Check | None:
        limit = self.params["prepared_seconds"]
        if not limit or seen.prepared is None:
            return None
        if isinstance(seen.prepared, PostgresError):
            return self._unread("prepared", seen, seen.prepared)
        late = [one for one in seen.prepared if one.age_seconds > limit]
        observed = f"{len(late)}, the oldest {late[0].age_seconds:.0f} s ({late[0].gid})" if late else "none"
        hint = "It keeps its locks until its coordinator ends it: COMMIT PREPARED or ROLLBACK PREPARED with its gid."
        return self._check(
            "prepared", seen.name, FAIL if late else PASS, observed, f"none beyond {limit:g} s", hint if late else ""
        )

    def _replication(self, seen: Observed) -> Check | None:
        limit, least = self.params["replication_lag_seconds"], self.params["min_standbys"]
        if seen.replication is None or not (limit or least):
            return None
        if isinstance(seen.replication, PostgresError):
            return self._unread("replication", seen, seen.replication)
        found = seen.replication
        if found.in_recovery:
            return self._standby(seen, found.lag_seconds, found.receiver, limit) if limit else None
        if not found.standbys and not least:
            return None  # it is not known that there should be any
        known = [one for one in found.standbys if one.state == "streaming"]
        late = [one for one in found.standbys if limit and one.lag_seconds is not None and one.lag_seconds > limit]
        unknown = [one for one in found.standbys if one.state is None or one.lag_seconds is None]
        hidden = any(one.state is None for one in found.standbys)
        too_few = len(known) < least and not hidden
        status: Status = FAIL if late or too_few else UNVERIFIED if unknown else PASS
        lags = ", ".join(
            f"{one.name} {one.state or 'hidden'} {'lag unknown' if one.lag_seconds is None else f'{one.lag_seconds:g} s'}"
            for one in found.standbys[:10]
        )
        hint = f"What a standby reports; {READ_STATS.format(user=seen.user)} where it is hidden." if unknown else ""
        expected = f"at least {least} standbys" if least else "standbys stream"
        expected += f", at most {limit:g} s behind" if limit else ""
        return self._check("replication", seen.name, status, lags or "no standby", expected, hint)

    def _standby(self, seen: Observed, lag: float | None, receiver: str | None, limit: float) -> Check:
        expected = f"streaming, at most {limit:g} s behind"
        if receiver is None:
            hint = f"{READ_STATS.format(user=seen.user)}."
            return self._check("replication", seen.name, UNVERIFIED, "state of the receiver is hidden", expected, hint)
        if not receiver:
            hint = "It gets nothing from its primary: see primary_conninfo and the server's log."
            return self._check("replication", seen.name, FAIL, "standby without a WAL receiver", expected, hint)
        status: Status = UNVERIFIED if lag is None else FAIL if lag > limit or receiver != "streaming" else PASS
        behind = "lag unknown, nothing was replayed yet" if lag is None else f"{lag:g} s behind"
        return self._check(
            "replication", seen.name, status, f"{receiver}, {behind}", expected, "Of the replayed commits."
        )

    def _xmin(self, seen: Observed) -> Check | None:
        limit = self.params["max_xmin_age"]
        if not limit or seen.holders is None:
            return None
        if isinstance(seen.holders, PostgresError):
            return self._unread("xmin", seen, seen.holders)
        oldest = seen.holders[0] if seen.holders else None
        status, why = self._visible(seen, FAIL if oldest and oldest.age > limit else PASS)
        observed = f"{oldest.age} transactions ({oldest.kind} {oldest.name})" if oldest else "nothing holds it back"
        hint = why + "Rows that died since cannot be removed until it ends."
        return self._check("xmin", seen.name, status, observed, f"at most {limit} transactions", hint)

    def _slow_queries(self, seen: Observed) -> Check | None:
        limit = self.params["slow_query_ms"]
        if not limit or seen.statements is None:
            return None
        if isinstance(seen.statements, PostgresError):
            return self._unread("slow_queries", seen, seen.statements)
        slow = [one for one in seen.statements if one.mean_ms > limit]
        observed = f"{len(slow)}, the slowest {slow[0].mean_ms:.0f} ms over {slow[0].calls} calls" if slow else "none"
        expected = f"no mean beyond {limit:g} ms over {self.params['slow_query_min_calls']} calls or more"
        hint = "Means since the statistics were reset: an old fault may still show, a new one not yet."
        return self._check("slow_queries", seen.name, FAIL if slow else PASS, observed, expected, hint)


TITLES = {
    "connections": "the database answers",
    "saturation": "there are connections left",
    "long_queries": "no statement runs for too long",
    "blocked": "nobody waits too long for a lock",
    "idle_in_transaction": "no transaction is left open",
    "prepared": "no prepared transaction is forgotten",
    "replication": "standbys are up to date",
    "xmin": "vacuum is not held back",
    "slow_queries": "statements are fast on the average",
}
OWN_IS_COUNTED = "This connection counts too."


def long_queries(seen: Observed) -> list[tuple[Backend, float]]:
    """Statements that run now, the oldest first, with their age."""
    found = [(one, one.query_seconds) for one in seen.own if one.state == ACTIVE and one.query_seconds is not None]
    return sorted(found, key=lambda item: -item[1])


def idle_in_transaction(seen: Observed) -> list[tuple[Backend, float]]:
    """Sessions whose transaction waits for its client, the oldest first, with how long it has."""
    found = [
        (one, one.state_seconds) for one in seen.own if one.state in IN_TRANSACTION and one.state_seconds is not None
    ]
    return sorted(found, key=lambda item: -item[1])


def findings(seen: Observed, rows: list[Check]) -> list[Finding]:
    """What the failed checks of one database mean together."""
    failed = {row.id.partition(".")[0]: row.id for row in rows if row.status == FAIL}
    found = []
    if "saturation" in failed:
        found.append(Finding("connections_exhausted", "seen", [failed["saturation"]], [seen.name]))
    if "blocked" in failed and isinstance(seen.waits, list):
        states = {one.pid: one.state for one in seen.backends}
        heads = [root.pid for root in pg_blockers.roots(seen.waits)]
        evidence = [failed[name] for name in ("blocked", "idle_in_transaction", "prepared") if name in failed]
        if any(states.get(pid) in IN_TRANSACTION for pid in heads):
            found.append(Finding("blocked_by_open_transaction", "seen", evidence, [seen.name]))
        elif pg_blockers.PREPARED in heads:
            found.append(Finding("blocked_by_prepared_transaction", "seen", evidence, [seen.name]))
    return found

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The answers that the shop keeps for a repeated checkout, and those that expired and still lie there.

A key that expired and was not pruned places an order again, answers 500, and does so at each further try. Answers and keys
are never shown: an answer holds what the customer was told, and a key lets one ask for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import ecommerce_reading as reading
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding, Next
from .postgres import PostgresError, Session

RUNBOOK = "5.3"
SHOWN = 10
PRUNE = "sre.runbooks.ecommerce.idempotency_prune"

_NEWEST = f"""
SELECT {reading.KEY_NAME}, response_status,
       {reading.utc("created_at")}, {reading.utc("expires_at")},
       extract(epoch FROM clock_timestamp() - created_at::timestamptz)::float8,
       expires_at::timestamptz < clock_timestamp()
  FROM checkout_idempotency ORDER BY created_at DESC LIMIT %s
"""  # noqa: S608 - put together of constants
_EXPIRED = """
SELECT count(*), count(*) FILTER (WHERE expires_at < now() - make_interval(secs => %(grace)s)),
       max(extract(epoch FROM clock_timestamp() - expires_at::timestamptz))::float8
  FROM (SELECT expires_at FROM checkout_idempotency WHERE expires_at < now() ORDER BY expires_at LIMIT %(most)s) AS expired
"""


@dataclass(frozen=True)
class Entry:
    """One row; ``name`` is the beginning of the key's SHA-256."""

    name: str
    response_status: int
    created_at: str
    expires_at: str
    age: float
    expired: bool

    def as_dict(self) -> dict[str, Any]:
        return {
            "key_sha256": self.name,
            "response_status": self.response_status,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "expired": self.expired,
        }

    def __str__(self) -> str:
        ends = "expired" if self.expired else "until"
        return f"{self.name}: {self.response_status}, {self.created_at}, {ends} {self.expires_at}"


@dataclass(frozen=True)
class Expired:
    """How many rows expired, how many of them longer ago than is allowed, and since when the oldest has been (seconds)."""

    count: int
    overdue: int
    oldest_seconds: float


@dataclass(frozen=True)
class Idempotency:
    """What was read; PostgresError where it could not be."""

    entries: list[Entry] | PostgresError
    expired: Expired | PostgresError

    def as_dict(self) -> dict[str, Any]:
        known = None if isinstance(self.expired, PostgresError) else self.expired
        return {
            "entries": [] if isinstance(self.entries, PostgresError) else [entry.as_dict() for entry in self.entries],
            "expired": known.count if known else None,
            "overdue": known.overdue if known else None,
            "oldest_expired_seconds": round(known.oldest_seconds, 1) if known else None,
        }


def read(session: Session, expired_seconds: float) -> Idempotency:
    """The table of customer_db; its column with answers is not read."""
    return Idempotency(
        reading.attempt(lambda: [Entry(*row) for row in session.rows(_NEWEST, [SHOWN])]),
        reading.attempt(lambda: _expired(session, expired_seconds)),
    )


def _expired(session: Session, expired_seconds: float) -> Expired:
    ((count, overdue, oldest),) = session.rows(_EXPIRED, {"grace": expired_seconds, "most": reading.MOST_COUNTED})
    return Expired(int(count), int(overdue), float(oldest or 0.0))


def checks(seen: Idempotency, params: Mapping[str, Any]) -> list[Check]:
    """What the last entries are, and whether expired ones are pruned."""
    return [_entries(seen), _pruned(seen, params)]


def _entries(seen: Idempotency) -> Check:
    name, title, expected = "idempotency.entries", "Last answers that are kept for a repeated checkout", "no 5xx"
    if isinstance(seen.entries, PostgresError):
        return reading.unread(name, title, seen.entries, expected, RUNBOOK)
    counts = Counter(entry.response_status for entry in seen.entries)
    wrong = [code for code in counts if code >= 500]
    hint = (
        "A client that repeats a checkout with the same key is given this answer, and no order is placed again."
        if wrong
        else "A key is shown as the beginning of its SHA-256: printf %s KEY | sha256sum. Answers are not shown. Keys that "
        "clients do not repeat, and checkouts without an answer, are not seen here."
    )
    told: Any = [str(entry) for entry in seen.entries] or "none"
    return Check(name, title, FAIL if wrong else PASS, told, expected, hint, RUNBOOK)


def _pruned(seen: Idempotency, params: Mapping[str, Any]) -> Check:
    grace = params["expired_seconds"]
    name, title = "idempotency.expired", "Answers that expired are pruned"
    expected = f"none that expired more than {reading.span(grace)} ago"
    if isinstance(seen.expired, PostgresError):
        return reading.unread(name, title, seen.expired, expected, RUNBOOK)
    hint = (
        "A client that uses such a key again places an order again, is told 500, and every further try places another. "
        f"Nothing prunes by itself: {PRUNE} does, after an audit copy."
    )
    found = seen.expired
    if found.overdue:
        count = f"{found.overdue} or more" if found.count >= reading.MOST_COUNTED else str(found.overdue)
        told = f"{count}, the oldest since {reading.span(found.oldest_seconds)}"
        return Check(name, title, FAIL, told, expected, hint, RUNBOOK)
    newest = min((entry.age for entry in seen.entries), default=None) if isinstance(seen.entries, list) else None
    ahead = reading.ahead(newest, params["time_zone"])
    if ahead:
        return Check(name, title, UNVERIFIED, ahead, expected, "Set time_zone to the zone of the services.", RUNBOOK)
    told = f"none; {found.count} expired less than that ago" if found.count else "none"
    return Check(name, title, PASS, told, expected, hint, RUNBOOK)


def findings(rows: Sequence[Check], seen: Idempotency) -> list[Finding]:
    """What the failed checks mean, and what to run next."""
    red = [row.id for row in rows if row.status == FAIL]
    if "idempotency.expired" not in red or isinstance(seen.expired, PostgresError):
        return []
    step = Next(PRUNE, effect="destroy")
    return [Finding("idempotency_not_pruned", "seen", ["idempotency.expired"], ["checkout"], step)]

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The outbox of the shop: events of orders that wait, were given up, or were published and led to no order.

The alert on waiting rows goes green by itself when they turn FAILED, and published rows look fine although their order was
never booked. So rows are counted by what became of them, and their order numbers are looked for in the other database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from . import ecommerce_reading as reading
from .checks import FAIL, PASS, UNVERIFIED, Check, Finding
from .postgres import PostgresError, Session
from .redact import observed

RUNBOOK = "4"
BATCH = 100  # rows that the publisher takes at once, the oldest first
MOST_FAILED = 20
MOST_LISTED = 100
MOST_ROWS = 9_000

_COUNT = "SELECT count(*) FROM (SELECT FROM order_created_outbox WHERE status = %s LIMIT %s) AS counted"
_OLDEST = """
SELECT max(extract(epoch FROM clock_timestamp() - created_at::timestamptz))::float8, max(retry_count)
  FROM (SELECT created_at, retry_count FROM order_created_outbox WHERE status = 'PENDING' ORDER BY created_at LIMIT %s) AS batch
"""
_FAILED = """
SELECT id::text, payload ->> 'orderNumber', extract(epoch FROM clock_timestamp() - created_at::timestamptz)::float8,
       retry_count, left(error_message, 300)
  FROM order_created_outbox WHERE status = 'FAILED' ORDER BY created_at DESC LIMIT %s
"""
_WINDOW = """
SELECT payload ->> 'orderNumber', status,
       extract(epoch FROM clock_timestamp() - created_at::timestamptz)::float8,
       extract(epoch FROM clock_timestamp() - coalesce(published_at, created_at)::timestamptz)::float8
  FROM order_created_outbox
 WHERE created_at >= now() - make_interval(secs => %(window)s) OR published_at >= now() - make_interval(secs => %(window)s)
 ORDER BY created_at DESC LIMIT %(most)s
"""
_BOOKED = "SELECT order_number FROM orders WHERE order_number = ANY(%s)"


@dataclass(frozen=True)
class Event:
    """A row of the outbox: its order number (empty where the payload has none), ages in seconds."""

    number: str
    status: str
    age: float
    published_age: float


@dataclass(frozen=True)
class Failed:
    """A row that was given up."""

    id: str
    number: str
    age: float
    tries: int
    error: str

    def as_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "order_number": self.number,
            "age_seconds": round(self.age, 1),
            "retry_count": self.tries,
            "error_message": self.error,
        }


@dataclass
class Outbox:
    """What was read; PostgresError where it could not be. ``booked`` is None when order_db was not asked."""

    pending: int | PostgresError
    failed: int | PostgresError
    oldest: tuple[float | None, int] | PostgresError
    given_up: list[Failed] | PostgresError
    events: list[Event] | PostgresError
    all_events: bool = True
    booked: set[str] | PostgresError | None = None

    def to_look_for(self, settle_seconds: float) -> list[Event]:
        """Events that were published for long enough that their orders have to be booked."""
        events = [] if isinstance(self.events, PostgresError) else self.events
        return [event for event in events if event.status == "PUBLISHED" and event.published_age >= settle_seconds]

    def missing(self, settle_seconds: float) -> list[str]:
        """Their order numbers that are not among the orders, the newest first."""
        booked = self.booked if isinstance(self.booked, set) else None
        if booked is None:
            return []
        numbers = dict.fromkeys(event.number for event in self.to_look_for(settle_seconds) if event.number)
        return [number for number in numbers if number not in booked]

    @property
    def twice(self) -> list[str]:
        """Order numbers that several rows have."""
        if isinstance(self.events, PostgresError):
            return []
        counts = Counter(event.number for event in self.events if event.number)
        return sorted(number for number, count in counts.items() if count > 1)

    def as_dict(self, settle_seconds: float) -> dict[str, Any]:
        oldest, tries = (None, None) if isinstance(self.oldest, PostgresError) else self.oldest
        return {
            "pending": None if isinstance(self.pending, PostgresError) else self.pending,
            "failed": None if isinstance(self.failed, PostgresError) else self.failed,
            "oldest_pending_seconds": None if oldest is None else round(oldest, 1),
            "retry_count": tries,
            "looked_for": len(self.to_look_for(settle_seconds)),
            "missing_orders": self.missing(settle_seconds)[:MOST_LISTED],
            "numbers_twice": self.twice[:MOST_LISTED],
            "failed_events": []
            if isinstance(self.given_up, PostgresError)
            else [one.as_dict() for one in self.given_up],
        }


def read(session: Session, window_seconds: float, most_rows: int) -> Outbox:
    """The outbox of customer_db; each part by itself. PostgresError only when the connection is lost."""
    found = Outbox(
        pending=reading.attempt(lambda: int(session.value(_COUNT, ["PENDING", reading.MOST_COUNTED]))),
        failed=reading.attempt(lambda: int(session.value(_COUNT, ["FAILED", reading.MOST_COUNTED]))),
        oldest=reading.attempt(lambda: _oldest(session)),
        given_up=reading.attempt(lambda: [_failed(row) for row in session.rows(_FAILED, [MOST_FAILED])]),
        events=reading.attempt(
            lambda: [
                Event(_text(number), status, float(age), float(published))
                for number, status, age, published in session.rows(
                    _WINDOW, {"window": window_seconds, "most": most_rows + 1}
                )
            ]
        ),
    )
    if isinstance(found.events, list):
        found.all_events = len(found.events) <= most_rows
        del found.events[most_rows:]
    return found


def read_booked(session: Session, numbers: Sequence[str]) -> set[str]:
    """Which of these order numbers are among the orders of order_db. PostgresError."""
    return {number for (number,) in session.rows(_BOOKED, [list(numbers)])}


def _oldest(session: Session) -> tuple[float | None, int]:
    ((age, tries),) = session.rows(_OLDEST, [BATCH])
    return (None if age is None else float(age)), int(tries or 0)


def _failed(row: tuple[Any, ...]) -> Failed:
    return Failed(row[0], _text(row[1]), float(row[2]), int(row[3]), observed(row[4] or "", 300))


def _text(value: str | None) -> str:
    return observed(value or "", 60)


# -- checks


def checks(seen: Outbox, params: Mapping[str, Any]) -> list[Check]:
    """A threshold that is off (0) gives no check."""
    ahead = _ahead(seen, params["time_zone"])
    rows = [
        _pending(seen, params["max_pending"]),
        _age(seen, params["max_pending_age_seconds"], ahead),
        _given_up(seen),
        _booked(seen, params, ahead),
        _numbers(seen, params, ahead),
    ]
    return [row for row in rows if row]


def _ahead(seen: Outbox, zone: str) -> str:
    ages = [] if isinstance(seen.events, PostgresError) else [event.age for event in seen.events]
    ages += [] if isinstance(seen.oldest, PostgresError) or seen.oldest[0] is None else [seen.oldest[0]]
    return reading.ahead(min(ages, default=None), zone)


def _pending(seen: Outbox, most: int) -> Check | None:
    if not most:
        return None
    name, title, expected = "outbox.pending", "Outbox rows that wait", f"at most {most}"
    if isinstance(seen.pending, PostgresError):
        return reading.unread(name, title, seen.pending, expected, RUNBOOK)
    hint = "It goes green by itself when the rows turn FAILED: look at outbox.failed and outbox.age too."
    status = FAIL if seen.pending > most else PASS
    return Check(name, title, status, reading.counted(seen.pending), expected, hint, RUNBOOK)


def _age(seen: Outbox, most: float, ahead: str) -> Check | None:
    if not most:
        return None
    name, title, expected = "outbox.age", "Age of the oldest outbox row that waits", f"at most {reading.span(most)}"
    if isinstance(seen.oldest, PostgresError):
        return reading.unread(name, title, seen.oldest, expected, RUNBOOK)
    age, tries = seen.oldest
    if age is None:
        return Check(name, title, PASS, "none waits", expected, "Rows that were given up do not wait.", RUNBOOK)
    if ahead:
        return Check(name, title, UNVERIFIED, ahead, expected, "Set time_zone to the zone of the services.", RUNBOOK)
    if age <= most:
        return Check(name, title, PASS, reading.span(age), expected, "The publisher looks every 5 s.", RUNBOOK)
    hint = (
        "Sending was tried and fails: is the broker there? With it away, each try takes 120 s, and a row is given up "
        "after 5. Rows that wait are sent by themselves when it is back."
        if tries
        else "Sending was not tried: does customer-facing-service run, and is its publisher stuck in a send that waits "
        "for the broker (up to 120 s)? Restarting that service restarts the publisher."
    )
    return Check(name, title, FAIL, f"{reading.span(age)}, {tries} tries", expected, hint, RUNBOOK)


def _given_up(seen: Outbox) -> Check:
    name, title, expected = "outbox.failed", "Outbox rows that were given up", "none"
    if isinstance(seen.failed, PostgresError):
        return reading.unread(name, title, seen.failed, expected, RUNBOOK)
    if not seen.failed:
        return Check(name, title, PASS, "none", expected, "Rows that were published may be lost all the same.", RUNBOOK)
    given_up = [] if isinstance(seen.given_up, PostgresError) else seen.given_up
    newest = ", ".join(one.number or one.id for one in given_up[:5])
    hint = (
        "Nothing sends them again, a restart neither. When the broker is back: set their status to PENDING, retry_count to "
        "0, error_message and published_at to null; the next look of the publisher sends them with the same eventId."
    )
    told = reading.counted(seen.failed) + (f", the newest {newest}" if newest else "")
    return Check(name, title, FAIL, told, expected, hint, RUNBOOK)


def _booked(seen: Outbox, params: Mapping[str, Any], ahead: str) -> Check:
    settle = params["settle_seconds"]
    name, title, expected = "outbox.booked", "Orders of events that were published", "all are among the orders"
    problem = next((part for part in (seen.events, seen.booked) if isinstance(part, PostgresError)), None)
    if problem:
        return reading.unread(name, title, problem, expected, RUNBOOK)
    window = f"in the last {reading.span(params['window_seconds'])}"
    looked_for = seen.to_look_for(settle)
    missing, nameless = seen.missing(settle), sum(not event.number for event in looked_for)
    if missing:
        told = f"{len(missing)} of {len(looked_for)} {window} are not: {', '.join(missing[:5])}"
        hint = (
            "While the order service is stopped or behind, their events wait in Kafka: look at the lag of its group first. "
            "Without lag they were dropped: mend the cause, then set their outbox rows to PENDING, retry_count to 0, "
            "error_message and published_at to null, to have them sent again with the same eventId."
        )
        return Check(name, title, FAIL, told, expected, hint, RUNBOOK)
    not_seen = ahead or next(
        (
            text
            for true, text in (
                (seen.booked is None, "order_db was not asked"),
                (nameless, f"{nameless} of {len(looked_for)} events have no orderNumber in their payload"),
                (not seen.all_events, f"only the newest {params['max_rows']} rows {window} were looked at"),
            )
            if true
        ),
        "",
    )
    if not_seen:
        hint = "Name both databases, set time_zone to the services' zone, and a window_seconds that fits into max_rows."
        return Check(name, title, UNVERIFIED, not_seen, expected, hint, RUNBOOK)
    told = f"{len(looked_for)} {window}, all are" if looked_for else f"none was published {window}"
    hint = "An order number that was given out twice resolves to the other order: see outbox.numbers."
    return Check(name, title, PASS, told, expected, hint, RUNBOOK)


def _numbers(seen: Outbox, params: Mapping[str, Any], ahead: str) -> Check:
    name, title, expected = "outbox.numbers", "Order numbers in the outbox", "each in one row"
    if isinstance(seen.events, PostgresError):
        return reading.unread(name, title, seen.events, expected, RUNBOOK)
    twice, window = seen.twice, f"in the last {reading.span(params['window_seconds'])}"
    if twice:
        hint = (
            "order_number_sequence was set back, as by a restore of customer_db alone: the later event of a number is "
            "dropped, and the number shows another customer's order. Lift last_sequence above the highest number of the "
            "day before anything else; the later orders have to be placed anew."
        )
        return Check(name, title, FAIL, f"{len(twice)} in several: {', '.join(twice[:5])}", expected, hint, RUNBOOK)
    if ahead or not seen.all_events:
        told = ahead or f"only the newest {params['max_rows']} rows {window} were looked at"
        hint = "Set time_zone to the services' zone, and a window_seconds that fits into max_rows."
        return Check(name, title, UNVERIFIED, told, expected, hint, RUNBOOK)
    hint = "Rows that a restore took away are not seen here."
    return Check(name, title, PASS, f"{len(seen.events)} rows {window}, each has its own", expected, hint, RUNBOOK)


def findings(rows: Sequence[Check], seen: Outbox, settle_seconds: float) -> list[Finding]:
    """What the failed checks mean."""
    red = [row.id for row in rows if row.status == FAIL]
    tries = 0 if isinstance(seen.oldest, PostgresError) else seen.oldest[1]
    found = []
    waiting = [row for row in red if row in ("outbox.pending", "outbox.age")]
    if "outbox.age" in waiting and not isinstance(seen.oldest, PostgresError):
        cause = "sending_fails" if tries else "publisher_stopped"
        found.append(Finding(cause, "inferred", waiting, ["orders.created"]))
    if "outbox.failed" in red and not isinstance(seen.failed, PostgresError):
        found.append(Finding("outbox_failed", "seen", ["outbox.failed"], ["orders"]))
    if "outbox.numbers" in red and seen.twice:
        found.append(Finding("order_numbers_twice", "seen", ["outbox.numbers"], seen.twice[:5]))
    if "outbox.booked" in red and seen.missing(settle_seconds):
        found.append(Finding("orders_lost", "inferred", ["outbox.booked"], ["orders"]))
    return found

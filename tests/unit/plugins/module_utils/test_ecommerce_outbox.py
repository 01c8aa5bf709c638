# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of an outbox that was read; reading it is an integration test."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("psycopg2")

from ansible_collections.sre.runbooks.plugins.module_utils import ecommerce_outbox, ecommerce_reading, ecommerce_store
from ansible_collections.sre.runbooks.plugins.module_utils.ecommerce_outbox import Event, Outbox
from ansible_collections.sre.runbooks.plugins.module_utils.postgres import PostgresError

PARAMS = {name: option.get("default") for name, option in ecommerce_store.SPEC.options.items()}
DENIED = PostgresError("permission", "permission denied for table order_created_outbox")
MISSING = PostgresError("schema", 'relation "order_created_outbox" does not exist')


def event(number: str = "ORD-1", status: str = "PUBLISHED", age: float = 120.0) -> Event:
    return Event(number, status, age, age)


def outbox(*events: Event, **other: Any) -> Outbox:
    values: dict[str, Any] = {"pending": 0, "failed": 0, "oldest": (None, 0), "given_up": [], "events": list(events)}
    return Outbox(**{**values, "booked": {one.number for one in events}, **other})


def judged(seen: Outbox, **params: Any) -> tuple[dict[str, str], list[str]]:
    """Statuses by check, and causes."""
    options = {**PARAMS, **params}
    rows = ecommerce_outbox.checks(seen, options)
    found = ecommerce_outbox.findings(rows, seen, options["settle_seconds"])
    return {row.id.removeprefix("outbox."): row.status for row in rows}, [finding.cause for finding in found]


def test_all_is_well() -> None:
    statuses, causes = judged(outbox(event()))
    assert (set(statuses.values()), causes) == ({"pass"}, [])


@pytest.mark.parametrize(
    ("seen", "failed", "cause"),
    [
        (outbox(pending=21), "pending", None),
        (outbox(oldest=(61.0, 0)), "age", "publisher_stopped"),
        (outbox(oldest=(61.0, 3)), "age", "sending_fails"),
        (outbox(failed=1), "failed", "outbox_failed"),
        (outbox(event(), booked=set()), "booked", "orders_lost"),
        (outbox(event(), event()), "numbers", "order_numbers_twice"),
        (outbox(event(), event(status="FAILED")), "numbers", "order_numbers_twice"),
    ],
)
def test_one_thing_is_wrong(seen: Outbox, failed: str, cause: str | None) -> None:
    statuses, causes = judged(seen)
    assert [name for name, status in statuses.items() if status != "pass"] == [failed]
    assert causes == ([cause] if cause else [])


@pytest.mark.parametrize("young", [event(age=59), event(status="PENDING"), event(status="FAILED")])
def test_an_order_that_is_under_way_is_not_lost(young: Event) -> None:
    assert judged(outbox(young, booked=set()))[0]["booked"] == "pass"


def test_one_that_was_lost_is_told_even_where_not_all_were_looked_at() -> None:
    statuses, causes = judged(outbox(event(), booked=set(), all_events=False))
    assert (statuses["booked"], statuses["numbers"], causes) == ("fail", "unverified", ["orders_lost"])


@pytest.mark.parametrize(("error", "status"), [(DENIED, "unverified"), (MISSING, "fail")])
def test_what_could_not_be_read_is_no_cause(error: PostgresError, status: str) -> None:
    seen = Outbox(pending=error, failed=error, oldest=error, given_up=error, events=error, booked=set())
    statuses, causes = judged(seen)
    assert (set(statuses.values()), causes) == ({status}, [])
    told = seen.as_dict(60.0)
    assert (told["pending"], told["failed"], told["oldest_pending_seconds"], told["missing_orders"]) == (
        None,
        None,
        None,
        [],
    )


def test_a_row_of_the_future_makes_ages_doubtful() -> None:
    statuses, _ = judged(outbox(event(age=-3600), oldest=(10.0, 0)))
    assert (statuses["age"], statuses["booked"], statuses["numbers"]) == ("unverified",) * 3
    assert (statuses["pending"], statuses["failed"]) == ("pass", "pass")
    assert judged(outbox(event(age=-30)))[0]["booked"] == "pass"


@pytest.mark.parametrize(
    ("seconds", "words"), [(5, "5 s"), (119, "119 s"), (300, "5 min"), (43_200, "12 h"), (200_000, "2 d")]
)
def test_spans(seconds: float, words: str) -> None:
    assert ecommerce_reading.span(seconds) == words

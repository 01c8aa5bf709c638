# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""ecommerce_store on real servers, the oldest and the newest major, with the tables that the platform's migrations make."""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import ecommerce_store
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration import ecommerce_scene
from tests.integration.ecommerce_scene import CUSTOMER, DECOY, ORDER, Shop
from tests.support import postgres_majors

DEFAULTS = {name: option.get("default") for name, option in ecommerce_store.SPEC.options.items()}
Result = dict[str, Any]


@pytest.fixture(scope="module", params=[postgres_majors.MAJORS[0], postgres_majors.NEWEST])
def made(request: pytest.FixtureRequest) -> Iterator[Shop]:
    with ecommerce_scene.running(request.param) as shop:
        yield shop


@pytest.fixture
def shop(made: Shop) -> Shop:
    made.clear()
    return made


def look(shop: Shop, *names: str, check: bool = False, clock: Clock | None = None, **options: Any) -> Result:
    params = {**DEFAULTS, **shop.options(*names), **options}
    return ecommerce_store.run(
        params, Context(check_mode=check, deadline=Deadline(60.0, Clock()), clock=clock or Clock())
    )


def statuses(result: Result) -> dict[str, str]:
    return {row["id"]: row["status"] for row in result["checks"]}


def causes(result: Result) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def observed(result: Result, name: str) -> Any:
    return next(row["observed"] for row in result["checks"] if row["id"] == name)


def test_a_healthy_shop_is_green_and_nothing_is_written(shop: Shop) -> None:
    for number in range(1, 4):
        shop.event(f"ORD-20310402-{number}")
        shop.order(f"ORD-20310402-{number}")
    shop.event("ORD-20310402-4", "PENDING", age=2)
    shop.event("ORD-20310402-5", age=3)  # published, its order is under way
    shop.answer("key", expired=-3600)
    shop.event("ORD-20310402-9", "FAILED", database=DECOY)
    before = shop.content()
    result = look(shop)
    assert result["verdict"] == "pass", result["checks"]
    assert set(statuses(result)) == {
        f"database.{CUSTOMER}",
        f"database.{ORDER}",
        *(f"outbox.{name}" for name in ("pending", "age", "failed", "booked", "numbers")),
        "idempotency.entries",
        "idempotency.expired",
    }
    assert (result["outbox"]["pending"], result["outbox"]["looked_for"], result["findings"]) == (1, 3, [])
    assert look(shop, check=True)["verdict"] == "pass"
    assert shop.content() == before


def test_rows_that_wait_too_long_and_too_many(shop: Shop) -> None:
    for number in range(3):
        shop.event(f"ORD-20310402-{number}", "PENDING", age=300)
    result = look(shop, max_pending=2)
    assert (statuses(result)["outbox.pending"], statuses(result)["outbox.age"]) == ("fail", "fail")
    assert observed(result, "outbox.age") == "5 min, 0 tries"
    assert causes(result) == ["publisher_stopped"]
    assert statuses(look(shop, max_pending=3))["outbox.pending"] == "pass"
    off = statuses(look(shop, max_pending=0, max_pending_age_seconds=0))
    assert "outbox.pending" not in off
    assert "outbox.age" not in off
    shop.run("UPDATE order_created_outbox SET retry_count = 1")
    assert causes(look(shop)) == ["sending_fails"]


def test_rows_that_were_given_up_do_not_wait_any_more(shop: Shop) -> None:
    shop.event("ORD-20310402-1", "FAILED", tries=5, age=90_000)
    result = look(shop)
    assert (statuses(result)["outbox.pending"], statuses(result)["outbox.failed"]) == ("pass", "fail")
    assert causes(result) == ["outbox_failed"]
    (failed,) = result["outbox"]["failed_events"]
    assert (failed["order_number"], failed["retry_count"], failed["error_message"]) == (
        "ORD-20310402-1",
        5,
        "Failed to send",
    )


def test_an_order_that_was_lost(shop: Shop) -> None:
    shop.event("ORD-20310402-1")
    shop.event("ORD-20310402-2")
    shop.order("ORD-20310402-2")
    result = look(shop)
    assert (statuses(result)["outbox.booked"], result["outbox"]["missing_orders"]) == ("fail", ["ORD-20310402-1"])
    assert causes(result) == ["orders_lost"]
    shop.run("UPDATE order_created_outbox SET created_at = created_at - interval '2 days', published_at = NULL")
    assert statuses(look(shop))["outbox.booked"] == "pass", "outside of the window"
    shop.run("UPDATE order_created_outbox SET published_at = now() AT TIME ZONE 'UTC' - interval '2 min'")
    assert statuses(look(shop))["outbox.booked"] == "fail", "waited for two days, then it was published"


def test_one_number_twice(shop: Shop) -> None:
    shop.order("ORD-20310402-1")
    shop.event("ORD-20310402-1", age=600)
    shop.event("ORD-20310402-1", age=300)
    result = look(shop)
    assert (statuses(result)["outbox.booked"], statuses(result)["outbox.numbers"]) == ("pass", "fail")
    assert causes(result) == ["order_numbers_twice"]


def test_what_was_not_looked_at_is_not_green(shop: Shop) -> None:
    shop.event("ORD-20310402-1")
    shop.event("ORD-20310402-2")
    shop.order("ORD-20310402-1")
    shop.order("ORD-20310402-2")
    found = statuses(look(shop, max_rows=1))
    assert (found["outbox.booked"], found["outbox.numbers"]) == ("unverified", "unverified")
    assert statuses(look(shop, max_rows=2))["outbox.booked"] == "pass"
    assert statuses(look(shop, CUSTOMER))["outbox.booked"] == "unverified"
    shop.event(None)
    assert "have no orderNumber" in observed(look(shop), "outbox.booked")


def test_another_zone_is_noticed_and_can_be_named(shop: Shop) -> None:
    shop.event("ORD-20310402-1", "PENDING", age=1, zone="Asia/Tokyo")
    shop.answer("key", expired=-86_400, zone="Asia/Tokyo")
    found = statuses(look(shop))
    assert (found["outbox.age"], found["outbox.booked"], found["idempotency.expired"]) == ("unverified",) * 3
    assert look(shop, time_zone="Asia/Tokyo")["verdict"] == "pass"
    shop.run(
        "ALTER TABLE order_created_outbox ALTER created_at TYPE timestamptz USING created_at AT TIME ZONE 'Asia/Tokyo'"
    )
    try:
        assert statuses(look(shop))["outbox.age"] == "pass", "a column with a zone needs none"
    finally:
        shop.run("ALTER TABLE order_created_outbox ALTER created_at TYPE timestamp USING created_at AT TIME ZONE 'UTC'")
    for zone, words in (("UTC+5", "give UTC or a name"), ("Europe/Nowhere", "does not know")):
        with pytest.raises(InputError, match=words):
            look(shop, time_zone=zone)


def test_answers_that_expired(shop: Shop) -> None:
    shop.answer("old", expired=2 * 86_400)
    shop.answer("younger", expired=3600)
    shop.answer("alive", expired=-3600)
    result = look(shop)
    assert statuses(result)["idempotency.expired"] == "fail"
    assert causes(result) == ["idempotency_not_pruned"]
    told = result["idempotency"]
    assert (told["expired"], told["overdue"]) == (2, 1)
    assert [entry["expired"] for entry in told["entries"]] == [False, True, True]
    assert told["entries"][0]["key_sha256"] == hashlib.sha256(b"alive").hexdigest()[:16]
    assert "alive" not in str(result)
    assert "orderNumber" not in str(result["idempotency"])
    assert statuses(look(shop, expired_seconds=3 * 86_400))["idempotency.expired"] == "pass"
    shop.answer("wrong", expired=-86_399, status=500)
    assert statuses(look(shop))["idempotency.entries"] == "fail"


def test_a_missing_table_fails_and_a_missing_right_is_not_known(shop: Shop) -> None:
    found = look(shop, CUSTOMER, databases=[{"name": CUSTOMER, "login_db": ORDER}, {"name": ORDER, "login_db": ORDER}])
    assert statuses(found)["outbox.failed"] == "fail"
    assert 'relation "order_created_outbox" does not exist' in observed(found, "outbox.failed")
    assert causes(found) == []
    shop.run("REVOKE ALL (idempotency_key) ON checkout_idempotency FROM sre_runbooks")
    try:
        found = look(shop)
        assert statuses(found)["idempotency.entries"] == "unverified"
        assert "SELECT" in observed(found, "idempotency.entries")
        assert statuses(found)["idempotency.expired"] == "pass"
    finally:
        shop.run("GRANT SELECT (idempotency_key) ON checkout_idempotency TO sre_runbooks")


def test_databases_that_do_not_answer(shop: Shop) -> None:
    away = {"login_host": "127.0.0.1", "login_port": 1}
    here = {"name": CUSTOMER, "login_db": CUSTOMER}
    found = look(shop, databases=[here, {"name": ORDER, "login_db": ORDER, **away}])
    assert statuses(found)[f"database.{ORDER}"] == "fail"
    assert (statuses(found)["outbox.booked"], statuses(found)["outbox.failed"]) == ("unverified", "pass")
    assert causes(found) == ["database_unreachable"]
    found = look(shop, databases=[{**here, **away}])
    assert statuses(found) == {f"database.{CUSTOMER}": "fail", "outbox": "unverified", "idempotency": "unverified"}
    found = look(shop, login_password="wrong")
    assert statuses(found)[f"database.{CUSTOMER}"] == "unverified"
    assert found["verdict"] == "unverified"


class Between(Clock):
    """Does something between the two samples."""

    def __init__(self, act: Any) -> None:
        self._act, self._lock = act, threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self._act()


def counted(shop: Shop, act: Any) -> Result:
    return look(shop, CUSTOMER, parts=["sessions"], clock=Between(act), sample_seconds=1)


def no_counters(shop: Shop) -> bool:
    return int(shop.run("SHOW server_version_num")[0][0]) < 140_000


def test_lost_connections_are_told_from_rollbacks(shop: Shop) -> None:
    if no_counters(shop):
        assert statuses(counted(shop, lambda: None)) == {f"sessions.{CUSTOMER}": "unverified"}
        return
    result = counted(shop, lambda: None)
    assert (statuses(result), result["findings"]) == ({f"sessions.{CUSTOMER}": "pass"}, [])

    result = counted(shop, lambda: rolled_back(shop))
    assert statuses(result) == {f"sessions.{CUSTOMER}": "pass"}
    assert "1 of" in observed(result, f"sessions.{CUSTOMER}")
    assert result["sessions"][0]["xact_rollback"] == 1

    result = counted(shop, lambda: killed(shop))
    assert statuses(result) == {f"sessions.{CUSTOMER}": "fail"}
    assert "1 ended by an operator" in observed(result, f"sessions.{CUSTOMER}")
    assert causes(result) == ["connections_lost"]

    result = counted(shop, lambda: shop.run("SELECT pg_stat_reset()"))
    assert statuses(result) == {f"sessions.{CUSTOMER}": "unverified"}


def rolled_back(shop: Shop) -> None:
    with (
        closing(shop.server.connect(CUSTOMER)) as connection,
        connection.cursor() as cursor,
        contextlib.suppress(psycopg2.Error),
    ):
        cursor.execute("SELECT 1 / 0")
    gone(shop)


def killed(shop: Shop) -> None:
    with closing(shop.server.connect(CUSTOMER)) as connection:
        shop.run(f"SELECT pg_terminate_backend({connection.info.backend_pid}, 10000)", database="postgres")
    gone(shop)


def gone(shop: Shop) -> None:
    """Until the server has no other session of the database: what it counts of one it writes down at its end."""
    query = "SELECT 1 FROM pg_stat_activity WHERE datname = %s AND usename = 'postgres'"
    while shop.run(query, CUSTOMER, database="postgres"):
        pass


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parts": []}, "nothing would be looked at"),
        ({"max_rows": 0}, "max_rows is 0"),
        ({"expired_seconds": -1}, "expired_seconds is -1"),
        ({"window_seconds": 60, "settle_seconds": 60}, "longer than settle_seconds"),
        ({"parts": ["sessions"], "sample_seconds": 60, "timeout": 60.0}, "no time would be left"),
        ({"databases": [{"name": "shop"}]}, "databases names shop"),
        ({"databases": [{"name": ORDER}]}, "does not name customer_db"),
    ],
)
def test_wrong_options(shop: Shop, options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        look(shop, **options)

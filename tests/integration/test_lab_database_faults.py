# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every fault of the lab's databases: put in, seen as the server or Flyway sees it, taken out, healthy again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg2
import pytest

from lab import databases, ecommerce, lifecycle, postgres
from lab.faultbook import prove_healthy
from lab.faults import FAULTS as ALL_FAULTS
from lab.faults import database_sessions, flyway, shop_rows
from lab.faults.database_sessions import held, rows
from lab.flyway_oracle import Oracle
from lab.layout import address, paths

pytestmark = [pytest.mark.lab, pytest.mark.slow]
FAULTS = {name: fault for name, fault in ALL_FAULTS.items() if fault.part == "databases"}
SEEN: dict[str, Callable[[Oracle], None]] = {}
Observation = Callable[[Oracle], None]


def sees(*names: str) -> Callable[[Observation], Observation]:
    """The decorated function asserts what the named faults look like."""

    def register(observation: Observation) -> Observation:
        SEEN.update(dict.fromkeys(names, observation))
        return observation

    return register


@pytest.fixture(scope="module", autouse=True)
def alone(databases_lab: None) -> Iterator[None]:
    """The running lab, for this module alone."""
    with lifecycle.alone(paths()):
        prove_healthy(paths())
        yield


@pytest.fixture(scope="module")
def oracle() -> Iterator[Oracle]:
    with Oracle() as found:
        yield found


def settings(service: str) -> dict[str, str]:
    database, history = next(
        (database, history)
        for database in databases.DATABASES.values()
        for history in database.histories
        if history.service == service
    )
    return {
        "url": f"jdbc:postgresql://{address('postgresql')}/{database.name}",
        "user": database.owner,
        "password": paths().secret(databases.DATABASE_USERS[database.owner]),
        "schemas": history.schema,
        "locations": f"filesystem:{history.copy(paths())}",
    }


def states(oracle: Oracle, service: str) -> dict[str, str]:
    return {each["version"]: each["state"] for each in oracle.info(settings(service))["migrations"] if each["version"]}


def complaints(oracle: Oracle, service: str) -> list[str]:
    return [each["errorDetails"]["errorCode"] for each in oracle.validate(settings(service))["invalidMigrations"]]


@sees("hafnium-idle-connections")
def _(_oracle: Oracle) -> None:
    application = database_sessions.LEAKY
    assert held(application, "state = 'idle' AND usename = 'hafnium' AND datname = 'hafnium'") == 13
    assert held(application, "state = 'idle' AND query = ''") == 1


@sees("hafnium-idle-in-transaction")
def _(_oracle: Oracle) -> None:
    assert held(database_sessions.REPORT, "state = 'idle in transaction' AND xact_start IS NOT NULL") == 2
    # PostgreSQL no longer tells when an aborted transaction began.
    assert held(database_sessions.REPORT, "state = 'idle in transaction (aborted)' AND xact_start IS NULL") == 1


@sees("hafnium-database-lock")
def _(_oracle: Oracle) -> None:
    found = rows(
        "SELECT pid, (pg_blocking_pids(pid))[1] FROM pg_stat_activity WHERE application_name = %s",
        [database_sessions.VACUUM],
    )
    blocked_by: dict[int, Any] = dict(found)
    (root,) = [pid for pid, blocker in found if blocker is None]
    (middle,) = [pid for pid, blocker in found if blocker == root]
    assert [blocked_by[pid] for pid in blocked_by if pid not in (root, middle)] == [middle]


@sees("hafnium-connections-exhausted")
def _(_oracle: Oracle) -> None:
    assert database_sessions.refused()
    with pytest.raises(psycopg2.OperationalError, match="connection slots"):
        postgres.connect(paths(), "order_db", "order_user")
    postgres.connect(paths(), "hafnium", databases.READER).close()


@sees("hafnium-flyway-locked")
def _(oracle: Oracle) -> None:
    ((holder,),) = rows("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = 18028")
    assert held(database_sessions.MIGRATION, f"pid = {holder}") == 1
    answer = oracle.migrate({**settings("signals"), "lockRetryCount": "0"})
    assert "lock" in answer["error"]["message"]
    assert states(oracle, "signals") == {"1": "Success"}


@sees("ecommerce-runaway-query")
def _(_oracle: Oracle) -> None:
    assert held(database_sessions.ANALYSIS, "state = 'active' AND datname = 'order_db'") == 1


@sees("ecommerce-sequence-rewound")
def _(_oracle: Oracle) -> None:
    (line,) = ecommerce.trouble(paths())
    assert "was given already" in line


def events(fault: str, status: str) -> int:
    """Rows of a fault in the outbox that have this status and are too old for it."""
    query = (
        "SELECT count(*) FROM order_created_outbox WHERE aggregate_id = %s AND status = %s "
        "AND created_at < now() AT TIME ZONE 'UTC' - interval '1 min'"
    )
    ((count,),) = rows(query, [shop_rows.mark(fault), status], database="customer_db")
    return int(count)


@sees("ecommerce-outbox-stuck")
def _(_oracle: Oracle) -> None:
    assert events("ecommerce-outbox-stuck", "PENDING") == shop_rows.STUCK


@sees("ecommerce-outbox-failed")
def _(_oracle: Oracle) -> None:
    assert events("ecommerce-outbox-failed", "FAILED") == shop_rows.GIVEN_UP
    assert rows("SELECT count(*) FROM order_created_outbox WHERE status = 'PENDING'", database="customer_db") == [(0,)]


@sees("ecommerce-order-lost")
def _(_oracle: Oracle) -> None:
    assert events("ecommerce-order-lost", "PUBLISHED") == 1
    number = shop_rows.number("ecommerce-order-lost", 1)
    assert rows("SELECT count(*) FROM orders WHERE order_number = %s", [number], database="order_db") == [(0,)]


@sees("ecommerce-idempotency-expired")
def _(_oracle: Oracle) -> None:
    query = "SELECT count(*) FROM checkout_idempotency WHERE expires_at < now() AT TIME ZONE 'UTC' - interval '12 h'"
    assert rows(query, database="customer_db") == [(shop_rows.ANSWERS,)]


@sees("ecommerce-migration-mutated")
def _(oracle: Oracle) -> None:
    assert complaints(oracle, "customer") == ["CHECKSUM_MISMATCH"]


@sees("hafnium-flyway-failed-row")
def _(oracle: Oracle) -> None:
    assert states(oracle, "screening") == {"1": "Success", "2": "Failed"}
    assert flyway.failed_rows("screening") == 1
    assert "error" in oracle.migrate(settings("screening"))


@sees("hafnium-flyway-changed-file")
def _(oracle: Oracle) -> None:
    assert complaints(oracle, "vault") == ["CHECKSUM_MISMATCH"]


@sees("hafnium-flyway-pending")
def _(oracle: Oracle) -> None:
    assert states(oracle, "case") == {"1": "Success", "2": "Pending"}
    assert oracle.migrate(settings("case"))["migrationsExecuted"] == 1  # what a playbook may do meanwhile


@sees("hafnium-flyway-out-of-order")
def _(oracle: Oracle) -> None:
    assert states(oracle, "monitoring") == {"1": "Success", "2": "Ignored", "3": "Success"}
    assert complaints(oracle, "monitoring") == ["RESOLVED_VERSIONED_MIGRATION_NOT_APPLIED"]


@sees("hafnium-flyway-missing")
def _(oracle: Oracle) -> None:
    assert states(oracle, "risk-engine") == {"1": "Success", "2": "Missing", "3": "Success"}
    assert complaints(oracle, "risk-engine") == ["APPLIED_VERSIONED_MIGRATION_NOT_RESOLVED"]


@sees("hafnium-flyway-duplicate")
def _(oracle: Oracle) -> None:
    for command in (oracle.info, oracle.validate, oracle.migrate, oracle.repair):
        assert "more than one migration with version 1" in command(settings("identity"))["error"]["message"]


def test_every_fault_is_looked_at() -> None:
    assert set(SEEN) == set(FAULTS)
    for name, fault in FAULTS.items():
        assert fault.name == name
        assert fault.summary


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_fault_is_seen_and_undone(name: str, oracle: Oracle) -> None:
    fault = FAULTS[name]
    try:
        fault.apply()
        SEEN[name](oracle)
    finally:
        fault.undo()
    prove_healthy(paths())
    for application in (
        database_sessions.LEAKY,
        database_sessions.REPORT,
        database_sessions.VACUUM,
        database_sessions.MIGRATION,
        database_sessions.ANALYSIS,
    ):
        assert held(application) == 0


def test_undo_without_apply_leaves_healthy_databases() -> None:
    for name in sorted(FAULTS):
        FAULTS[name].undo()
    prove_healthy(paths())

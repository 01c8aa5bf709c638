# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the store's checks say of each combination of evidence; the database is made of plain data here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_store, postgres
from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_store_env as env
from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_store_traces as traces
from ansible_collections.sre.runbooks.plugins.module_utils.backoffice_store_tables import TABLES
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.postgres import PostgresError
from tests.unit.plugins.module_runner import FakeClock, fake_context

URL = "jdbc:postgresql://db:5432/backoffice"
NEWEST = 1932883200.0  # 2031-04-02T08:00:00Z


class FakeDatabase:
    """Rows by table, columns and migrations; ``denied`` is raised by reading, ``refused`` by connecting."""

    def __init__(self) -> None:
        self.rows = dict.fromkeys(TABLES, 5)
        self.columns = {table: list(columns) for table, columns in TABLES.items()}
        self.migrations: list[tuple[Any, ...]] | None = [("1", "backoffice", True)]
        self.elsewhere: list[tuple[str]] = []
        self.newest: float | None = NEWEST
        self.denied: PostgresError | None = None
        self.history_denied: PostgresError | None = None
        self.refused: PostgresError | None = None
        self.settings: dict[str, str] = {}
        self.schema: str | None = None

    @contextmanager
    def session(self, settings: dict[str, str], params: Any, deadline: Any, schema: str | None) -> Iterator[Any]:
        self.settings, self.schema = settings, schema
        if self.refused:
            raise self.refused
        yield FakeSession(self)


class FakeSession:
    server_version = "18.6"

    def __init__(self, database: FakeDatabase) -> None:
        self.database = database

    def rows_of(self, statement: str) -> list[tuple[Any, ...]]:
        database = self.database
        if "pg_attribute" in statement:
            found = [(table, column) for table, columns in database.columns.items() for column in columns]
            return found + ([("flyway_schema_history", "version")] if database.migrations is not None else [])
        if "pg_namespace" in statement:
            return list(database.elsewhere)
        if "flyway_schema_history" in statement:
            if database.history_denied:
                raise database.history_denied
            return list(database.migrations or [])
        if database.denied:
            raise database.denied
        if "max(at)" in statement:
            return [(database.newest,)]
        return [(next(count for table, count in database.rows.items() if f" {table} " in statement),)]

    def rows(self, statement: str, parameters: Any = ()) -> list[tuple[Any, ...]]:
        return self.rows_of(statement)

    def value(self, statement: str, parameters: Any = ()) -> Any:
        return self.rows_of(statement)[0][0]


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> FakeDatabase:
    fake = FakeDatabase()
    monkeypatch.setattr(postgres, "session", fake.session)
    for name in (env.URL, env.USER, "BACKOFFICE_DB_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return fake


@pytest.fixture
def store(database: FakeDatabase) -> Callable[..., dict[str, Any]]:
    def call(now: float = NEWEST + 60, **params: Any) -> dict[str, Any]:
        options = {name: spec.get("default") for name, spec in backoffice_store.SPEC.options.items()}
        return backoffice_store.run(options | params, fake_context(FakeClock(now)))

    return call


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"].removeprefix("store."): row["status"] for row in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in result["checks"] if row["id"] == f"store.{name}")


def causes(result: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["cause"], finding["confidence"]) for finding in result["findings"]]


@pytest.fixture
def booted(tmp_path: Path) -> Callable[..., str]:
    """A log with these boots, each as the names of its lines."""
    words = {
        "R": "Ledger replay: ReplayStats(lines=30, applied=28, skipped=2, durationMs=61) (path=x)",
        "S": "BackOfficeSnapshotter enabled (intervalSec=30)",
        "O": "BackOfficeSnapshotter disabled (BACKOFFICE_SNAPSHOT_ENABLE=0)",
        "L": "BackOffice listening on :8082",
        ".": "12:00:00.000 [kafka] DEBUG org.apache.kafka -- poll",
    }

    def write(boots: str) -> str:
        path = tmp_path / "stdout.log"
        path.write_text("".join(words[letter] + "\n" for letter in boots))
        return str(path)

    return write


def test_all_is_well(store: Any, database: FakeDatabase, booted: Any) -> None:
    result = store(
        database_url=URL,
        login_password="pw-of-monitor",
        service_environment={"BACKOFFICE_DB_URL": URL, "BACKOFFICE_DB_POOL": 4},
        log_paths=[booted("R.L.")],
        last_fill_at="2031-04-02T08:00:00.000000000Z",
        expected_fills_at_least=5,
    )
    assert result["verdict"] == "pass"
    assert set(statuses(result)) == {
        *("configured", "numbers", "in_use", "reachable", "schema", "fills", "orders_without_fills"),
    }
    assert result["mode"] == "postgresql"
    assert result["findings"] == []
    assert result["tables"]["fills"] == {"rows": 5, "at_least": False}
    assert result["newest_fill_at"] == "2031-04-02T08:00:00Z"
    assert result["database"] == {
        "host": "db",
        "port": "5432",
        "name": "backoffice",
        "user": "backoffice",
        "server_version": "18.6",
    }
    assert database.settings["password"] == "pw-of-monitor"
    assert "pw-of-monitor" not in str(result)
    assert all(row["runbook"] == "4" and row["hint"] for row in result["checks"])


def test_a_database_that_a_connector_of_the_cloud_finds_is_not_known(store: Any) -> None:
    url = (
        "jdbc:postgresql:///backoffice?cloudSqlInstance=p:r:i&socketFactory=com.google.cloud.sql.postgres.SocketFactory"
    )
    result = store(service_environment={"BACKOFFICE_DB_URL": url})
    assert statuses(result)["configured"] == "pass"
    assert statuses(result)["reachable"] == "unverified"
    assert "Auth Proxy" in check(result, "reachable")["observed"]


def test_what_is_declared_does_not_show_what_runs(store: Any) -> None:
    result = store(database_url=URL)
    assert statuses(result)["configured"] == "pass"
    assert statuses(result)["in_use"] == "unverified"
    assert "what is declared does not show what runs" in check(result, "in_use")["hint"]
    assert result["verdict"] == "unverified"


@pytest.mark.parametrize(
    ("variables", "on"),
    [
        ({"BACKOFFICE_DB_URL": URL}, True),
        ({"BACKOFFICE_DB_URL": URL, "BACKOFFICE_DB_ENABLE": "0"}, True),
        ({"BACKOFFICE_DB_URL": "  ", "BACKOFFICE_DB_ENABLE": "0"}, False),
        ({"BACKOFFICE_DB_ENABLE": "1"}, True),
        ({"BACKOFFICE_DB_ENABLE": "TRUE"}, True),
        ({"BACKOFFICE_DB_ENABLE": True}, True),
        ({"BACKOFFICE_DB_ENABLE": 1}, True),
        ({"BACKOFFICE_DB_ENABLE": "yes"}, False),
        ({"BACKOFFICE_DB_ENABLE": "on"}, False),
        ({"BACKOFFICE_DB_ENABLE": " 1"}, False),
        ({"BACKOFFICE_DB_ENABLE": "0"}, False),
        ({"BACKOFFICE_PORT": "8082"}, False),
    ],
)
def test_what_switches_it_on(store: Any, variables: dict[str, Any], on: bool) -> None:
    result = store(service_environment=variables)
    assert result["mode"] == ("postgresql" if on else "memory")
    assert statuses(result)["configured"] == ("pass" if on else "fail")
    assert (("in_memory_store", "seen") in causes(result)) is not on


def test_the_url_wins_over_the_switch_and_that_is_said(store: Any) -> None:
    result = store(service_environment={"BACKOFFICE_DB_URL": URL, "BACKOFFICE_DB_ENABLE": "0"})
    assert "BACKOFFICE_DB_ENABLE is '0', and the URL wins over it" in check(result, "configured")["hint"]
    result = store(service_environment={"BACKOFFICE_DB_ENABLE": "yes"})
    assert "'yes'; only 1 and true are on" in check(result, "configured")["hint"]


def test_a_switch_without_a_url_means_the_default_database(store: Any, database: FakeDatabase) -> None:
    store(service_environment={"BACKOFFICE_DB_ENABLE": "1"})
    assert database.settings == {"host": "localhost", "port": "5432", "dbname": "backoffice", "user": "backoffice"}


def test_nothing_known(store: Any) -> None:
    result = store()
    assert statuses(result) == {"configured": "unverified", "in_use": "unverified"}
    assert result["mode"] == "unknown"


def test_in_memory_is_allowed_for_development(store: Any, tmp_path: Path) -> None:
    memory = {"BACKOFFICE_DB_ENABLE": "0"}
    result = store(required=False, service_environment=memory)
    assert result["verdict"] == "pass"
    assert statuses(result) == {"configured": "pass", "numbers": "pass"}
    assert check(result, "configured")["hint"] == "In memory, which is allowed here."
    snapshot = tmp_path / "snapshot.json"
    arguments = {"required": False, "snapshot_path": str(snapshot)}
    assert statuses(store(service_environment=memory, **arguments))["snapshot"] == "unverified"
    snapshot.touch()
    os.utime(snapshot, (NEWEST, NEWEST))
    assert statuses(store(now=NEWEST + 50, service_environment=memory, **arguments))["snapshot"] == "pass"
    assert statuses(store(now=NEWEST + 500, service_environment=memory, **arguments))["snapshot"] == "unverified"
    off = {**memory, "BACKOFFICE_SNAPSHOT_ENABLE": "0"}
    assert statuses(store(now=NEWEST + 500, service_environment=off, **arguments))["snapshot"] == "pass"


@pytest.mark.parametrize(("age", "status"), [(5, "fail"), (65, "fail"), (80, "pass"), (86400, "pass")])
def test_a_fresh_snapshot_means_memory_whatever_is_declared(store: Any, tmp_path: Path, age: int, status: str) -> None:
    snapshot = tmp_path / "snapshot.json"
    snapshot.touch()
    os.utime(snapshot, (NEWEST, NEWEST))
    result = store(now=NEWEST + age, database_url=URL, snapshot_path=str(snapshot), last_fill_at="2031-04-02T08:00:00Z")
    assert statuses(result)["snapshot"] == status
    assert statuses(result)["in_use"] == status
    assert causes(result) == ([("in_memory_store", "seen")] if status == "fail" else [])


def test_no_snapshot_is_right_on_postgresql(store: Any, tmp_path: Path) -> None:
    assert statuses(store(database_url=URL, snapshot_path=str(tmp_path / "none.json")))["snapshot"] == "pass"
    plain = tmp_path / "file"
    plain.touch()
    result = store(database_url=URL, snapshot_path=str(plain / "snapshot.json"))
    assert statuses(result)["snapshot"] == "unverified"
    assert "Not a directory" in check(result, "snapshot")["observed"]


@pytest.mark.parametrize(
    ("boots", "told"),
    [
        ("R.L..", "postgresql"),
        ("RSL..", "memory"),
        ("RLS..", "memory"),
        ("RSL.RL.", "postgresql"),
        ("RLS.RL.", "postgresql"),
        ("RL.RSL.", "memory"),
        ("RL.RLS.", "memory"),
        ("SL", "memory"),
        ("LS", "memory"),
        ("L", "postgresql"),
        ("L.L", "postgresql"),
        ("SL.L", "unknown"),
        ("LS.L", "unknown"),
        ("RSL.L", "unknown"),
        ("RSL.SL", "memory"),
        ("ROL", "unknown"),
        ("R.", "unknown"),
        ("", "unknown"),
        ("...", "unknown"),
    ],
)
def test_what_the_log_tells(store: Any, booted: Any, boots: str, told: str) -> None:
    result = store(database_url=URL, log_paths=[booted(boots)])
    assert statuses(result)["in_use"] == {"postgresql": "pass", "memory": "fail", "unknown": "unverified"}[told]


def test_a_log_that_begins_within_a_boot_proves_nothing() -> None:
    assert traces.store_of_newest_boot(["listening"], whole=False).store == "unknown"
    assert traces.store_of_newest_boot(["replay", "listening"], whole=False).store == "postgresql"


def test_logs_that_are_not_there(store: Any, tmp_path: Path) -> None:
    result = store(database_url=URL, log_paths=[str(tmp_path / "none.log")])
    assert statuses(result)["in_use"] == "unverified"
    assert "none.log: there is no such file" in check(result, "in_use")["hint"]


@contextmanager
def process(**variables: str) -> Iterator[int]:
    """A process with exactly these variables."""
    with subprocess.Popen(
        [sys.executable, "-c", "print(1, flush=True); input()"], env=variables, stdin=-1, stdout=-1
    ) as it:
        assert it.stdout
        assert it.stdin
        it.stdout.readline()
        yield it.pid
        it.stdin.write(b"\n")
        it.stdin.close()


def test_the_variables_of_the_process_decide(store: Any, database: FakeDatabase) -> None:
    variables = {
        "BACKOFFICE_DB_URL": "jdbc:postgresql://real:5433/backoffice?user=svc&password=s3cr3tpw&sslmode=require",
        "BACKOFFICE_DB_PASSWORD": "s3cr3tpw",
        "JWT_HS256_SECRET": "jwtjwtjwt",
        "HOME_OF_OTHERS": "private",
        "KAFKA_TOPIC": "events",
    }
    with process(**variables) as pid:
        result = store(database_url=URL, service_pid=pid)
    assert result["environment_source"] == "process"
    assert result["environment"] == {
        "BACKOFFICE_DB_URL": "jdbc:postgresql://real:5433/backoffice",
        "KAFKA_TOPIC": "events",
    }
    assert statuses(result)["in_use"] == "pass"
    assert statuses(result)["environment"] == "pass"
    assert (database.settings["host"], database.settings["user"]) == ("real", "svc")
    assert "password" not in database.settings
    for secret in ("s3cr3tpw", "jwtjwtjwt", "private"):
        assert secret not in str(result)


def test_a_process_in_memory_while_postgresql_is_declared(store: Any) -> None:
    with process(BACKOFFICE_PORT="8082") as pid:
        result = store(database_url=URL, service_pid=pid, service_environment={"BACKOFFICE_DB_URL": URL})
    found = statuses(result)
    assert (found["configured"], found["in_use"], found["environment"]) == ("fail", "fail", "fail")
    assert "BACKOFFICE_DB_URL" in check(result, "environment")["observed"]
    assert causes(result) == [("in_memory_store", "seen")]
    assert result["findings"][0]["next"]["playbook"] == "sre.runbooks.backoffice.restart"
    assert "fills" not in found


def test_a_process_on_another_database(store: Any) -> None:
    with process(BACKOFFICE_DB_URL="jdbc:postgresql://localhost/backoffice_decoy") as pid:
        result = store(database_url=URL, service_pid=pid)
    assert statuses(result)["environment"] == "fail"
    assert "name different databases" in check(result, "environment")["observed"]
    with process(BACKOFFICE_DB_URL="jdbc:postgresql://localhost/backoffice") as pid:
        assert statuses(store(database_url=URL, service_pid=pid))["environment"] == "pass"


def test_a_snapshot_counts_from_the_start_of_the_process(store: Any, tmp_path: Path) -> None:
    import time

    snapshot = tmp_path / "snapshot.json"
    snapshot.touch()
    with process(BACKOFFICE_DB_URL=URL) as pid:
        os.utime(snapshot, (time.time() - 30, time.time() - 30))
        old = store(now=time.time(), service_pid=pid, snapshot_path=str(snapshot))
        os.utime(snapshot, (time.time() + 1, time.time() + 1))
        new = store(now=time.time(), service_pid=pid, snapshot_path=str(snapshot))
    assert (statuses(old)["snapshot"], statuses(new)["snapshot"]) == ("pass", "fail")


def test_a_process_that_is_gone_or_not_ours(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    result = store(database_url=URL, service_pid=2**22 + 1)
    assert statuses(result)["environment"] == "unverified"
    assert check(result, "environment")["observed"] == f"there is no process {2**22 + 1} here"
    plain_open = Path.open

    def denied(path: Path, *arguments: Any, **named: Any) -> Any:
        if path.name == "environ":
            raise PermissionError(13, "Permission denied")
        return plain_open(path, *arguments, **named)

    monkeypatch.setattr(Path, "open", denied)
    result = store(database_url=URL, service_pid=os.getpid())
    assert statuses(result)["environment"] == "unverified"
    assert "only its user and root" in check(result, "environment")["observed"]
    assert result["environment_source"] == "declared"


def test_numbers(store: Any) -> None:
    good = {"BACKOFFICE_PORT": "8082", "BACKOFFICE_FEE_BPS": "-5", "BACKOFFICE_DB_POOL": "+4", "BACKOFFICE_DB_URL": URL}
    assert statuses(store(service_environment=good))["numbers"] == "pass"
    for name, value in {
        "BACKOFFICE_PORT": "80 82",
        "BACKOFFICE_SNAPSHOT_SEC": "30s",
        "BACKOFFICE_FEE_BPS": "1.5",
        "BACKOFFICE_MAX_FILLS": "",
        "BACKOFFICE_DB_POOL": "99999999999",
        "JWT_CLOCK_SKEW_SEC": "\u0663",
    }.items():
        result = store(service_environment=good | {name: value})
        assert statuses(result)["numbers"] == "fail"
        assert name in check(result, "numbers")["observed"]
        assert causes(result) == [("next_boot_fails", "seen")]


def test_a_url_that_ends_the_next_boot(store: Any) -> None:
    result = store(service_environment={"BACKOFFICE_DB_URL": "postgresql://db/backoffice"})
    assert statuses(result)["configured"] == "fail"
    assert "in libpq's form, which a Java service does not take" in check(result, "configured")["hint"]
    assert causes(result) == [("next_boot_fails", "seen")]


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("refused", "fail"),
        ("database", "fail"),
        ("too_many", "fail"),
        ("password", "unverified"),
        ("tls", "unverified"),
    ],
)
def test_a_database_that_does_not_answer(store: Any, database: FakeDatabase, kind: str, status: str) -> None:
    database.refused = PostgresError(kind, "PostgreSQL at db:5432/backoffice: the reason")
    result = store(database_url=URL)
    found = statuses(result)
    assert found["reachable"] == status
    assert (found["schema"], found["fills"], found["orders_without_fills"]) == ("unverified",) * 3
    assert "the reason" in check(result, "reachable")["observed"]
    assert (("database_down", "seen") in causes(result)) is (status == "fail")


def test_schema(store: Any, database: FakeDatabase) -> None:
    del database.columns["fills"]
    database.columns["balances"].remove("amount")
    database.elsewhere = [("bo",)]
    result = store(database_url=URL)
    assert check(result, "schema")["observed"] == "missing: balances.amount, fills"
    assert "are in the schemas bo: is currentSchema missing" in check(result, "schema")["hint"]
    assert causes(result) == [("schema_missing", "seen")]
    assert statuses(result)["fills"] == "unverified"


def test_migrations(store: Any, database: FakeDatabase) -> None:
    database.migrations = [("2", "more", False), ("1", "backoffice", True)]
    result = store(database_url=URL)
    assert check(result, "schema")["observed"] == "failed migrations: 2"
    assert result["migrations"][0] == {"version": "2", "description": "more", "success": False}
    database.migrations = None
    assert "no history of migrations" in check(store(database_url=URL), "schema")["hint"]
    database.migrations = []
    database.history_denied = PostgresError("permission", "lacks SELECT on flyway_schema_history")
    result = store(database_url=URL)
    assert statuses(result)["schema"] == "pass"
    assert "lacks SELECT" in check(result, "schema")["hint"]


def test_no_right_to_read(store: Any, database: FakeDatabase) -> None:
    database.denied = PostgresError("permission", "monitor lacks SELECT: GRANT SELECT ON TABLE fills")
    result = store(database_url=URL)
    assert statuses(result)["fills"] == "unverified"
    assert "GRANT SELECT" in check(result, "fills")["hint"]


def test_the_schema_of_the_url_is_used(store: Any, database: FakeDatabase) -> None:
    store(database_url=URL + "?currentSchema=bo")
    assert database.schema == "bo"


@pytest.mark.parametrize(
    ("rows", "expected", "fills", "orders", "cause"),
    [
        ((9, 0, 0), None, "unverified", "fail", ("cannot_book_fills", "inferred")),
        ((9, 0, 0), 3, "fail", "fail", ("cannot_book_fills", "seen")),
        ((9, 0, 0), 0, "pass", "pass", None),
        ((0, 0, 0), None, "unverified", "unverified", None),
        ((0, 0, 0), 3, "fail", "unverified", ("fills_missing", "seen")),
        ((9, 4, 0), None, "unverified", "fail", ("cannot_book_fills", "inferred")),
        ((9, 0, 4), 3, "pass", "fail", ("cannot_book_fills", "seen")),
        ((9, 4, 4), 5, "fail", "pass", ("fills_missing", "seen")),
        ((9, 4, 4), None, "pass", "pass", None),
    ],
)
def test_rows(
    store: Any, database: FakeDatabase, rows: Any, expected: int | None, fills: str, orders: str, cause: Any
) -> None:
    database.rows.update(zip(("order_meta", "order_filled_total", "fills"), rows, strict=True))
    database.newest = NEWEST if rows[2] else None
    result = store(database_url=URL, expected_fills_at_least=expected)
    assert (statuses(result)["fills"], statuses(result)["orders_without_fills"]) == (fills, orders)
    assert causes(result) == ([cause] if cause else [])


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"last_fill_at": "2031-04-02T08:00:00.9Z"}, "pass"),
        ({"last_fill_at": "2031-04-02T08:00:02Z"}, "fail"),
        ({"last_fill_at": "2031-04-02T07:00:00Z"}, "pass"),
        ({"last_event_at": "2031-04-02T08:00:30Z"}, "pass"),
        ({"last_event_at": "2031-04-02T08:05:00Z"}, "unverified"),
        ({"last_event_at": "+58862-09-23T09:15:12Z"}, "unverified"),
        ({"last_event_at": "2031-04-02T08:05:00Z", "last_fill_at": "2031-04-02T08:00:00Z"}, "pass"),
    ],
)
def test_the_newest_fill(store: Any, params: dict[str, str], status: str) -> None:
    result = store(database_url=URL, **params)
    assert statuses(result)["fills"] == status
    in_use = {"pass": "pass"}.get(status if "last_fill_at" in params else "", "unverified")
    assert statuses(result)["in_use"] == in_use


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"database_url": "jdbc:mysql://h/db"}, "another kind of database"),
        ({"database_url": "jdbc:postgresql://h"}, "no slash behind the host"),
        (
            {"service_environment": {"BACKOFFICE_DB_PASSWORD": "pw-pw-pw"}},
            "holds BACKOFFICE_DB_PASSWORD: leave secrets",
        ),
        ({"service_environment": {"JWT_HS256_SECRET": "pw-pw-pw"}}, "holds JWT_HS256_SECRET"),
        (
            {"service_environment": {"BACKOFFICE_DB_URL": URL + "?password=pw-pw-pw"}},
            "holds a password in BACKOFFICE_DB_URL",
        ),
        ({"last_fill_at": "+58862-09-23T09:15:12Z"}, "last_fill_at"),
        ({"expected_fills_at_least": -1}, "must be 0 or more"),
    ],
)
def test_bad_arguments(store: Any, params: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError) as caught:
        store(**params)
    assert words in caught.value.message
    assert "pw-pw-pw" not in caught.value.message


def test_shown_variables_hold_no_secret() -> None:
    variables = {"BACKOFFICE_DB_URL": URL + "?password=x", "KAFKA_SASL_JAAS": "x", "OTHER": "x", "BACKOFFICE_PORT": "1"}
    assert env.shown(variables) == {"BACKOFFICE_DB_URL": URL, "BACKOFFICE_PORT": "1"}

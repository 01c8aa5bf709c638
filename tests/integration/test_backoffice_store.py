# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""backoffice_store and the connection under it against a real PostgreSQL and the reference BackOffice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backoffice_store, postgres
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration.own_backoffice import LEDGER, backoffice
from tests.integration.throwaway_postgres import Throwaway, free_port, throwaway

__all__ = ["throwaway"]  # the fixture


def store(**params: Any) -> dict[str, Any]:
    options = {name: spec.get("default") for name, spec in backoffice_store.SPEC.options.items()}
    clock = Clock()
    return backoffice_store.run(options | params, Context(clock=clock, deadline=Deadline(30, clock)))


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {row["id"].removeprefix("store."): row["status"] for row in result["checks"]}


def check(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(row for row in result["checks"] if row["id"] == f"store.{name}")


@pytest.fixture(scope="module")
def server(throwaway: Throwaway) -> Throwaway:
    throwaway.run(
        "CREATE ROLE bo LOGIN PASSWORD 'bo-password'",
        "CREATE ROLE nobody_here LOGIN PASSWORD 'bo-password'",
        "CREATE ROLE crowded LOGIN PASSWORD 'bo-password' CONNECTION LIMIT 0",
        "CREATE DATABASE full_of_it OWNER bo",
        "CREATE DATABASE blank OWNER bo",
        "CREATE DATABASE closed OWNER bo",
        "ALTER DATABASE closed ALLOW_CONNECTIONS false",
    )
    throwaway.schema("full_of_it")
    throwaway.run("GRANT SELECT ON ALL TABLES IN SCHEMA public TO bo", database="full_of_it")
    return throwaway


def login(**values: Any) -> dict[str, Any]:
    return {"login_user": "bo", "login_password": "bo-password", **values}


def reached(server: Throwaway, database: str = "full_of_it", **values: Any) -> tuple[str, str]:
    row = check(store(database_url=server.url(database), **login(**values)), "reachable")
    assert "\n" not in row["observed"]
    assert "bo-password" not in str(row)
    return row["status"], row["observed"]


def test_each_failure_to_connect(server: Throwaway) -> None:
    assert reached(server) == ("pass", "connected")
    status, words = reached(server, "no_such")
    assert (status, 'database "no_such" does not exist' in words) == ("fail", True)
    status, words = reached(server, login_password="wrong-password")
    assert (status, "password authentication failed" in words) == ("unverified", True)
    assert "wrong-password" not in words
    status, words = reached(server, login_password=None)
    assert (status, "give login_password" in words) == ("unverified", True)
    status, words = reached(server, login_user="crowded")
    assert (status, "too many connections" in words) == ("fail", True)
    status, words = reached(server, "closed")
    assert (status, "not currently accepting connections" in words) == ("fail", True)
    status, words = reached(server, sslmode="require")
    assert (status, "Check sslmode" in words) == ("unverified", True)
    url = f"jdbc:postgresql://127.0.0.1:{free_port()}/x"
    assert check(store(database_url=url, **login()), "reachable")["status"] == "fail"
    url = "jdbc:postgresql://no-such-host.invalid/x"
    row = check(store(database_url=url, **login()), "reachable")
    assert (row["status"], "Check the host name" in row["observed"]) == ("fail", True)


def test_the_second_host_is_tried(server: Throwaway) -> None:
    url = f"jdbc:postgresql://127.0.0.1:{free_port()},127.0.0.1:{server.port}/full_of_it"
    assert statuses(store(database_url=url, **login()))["reachable"] == "pass"


def test_what_answers_is_no_postgresql(server: Throwaway) -> None:
    import socket
    import threading

    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(100)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = f"jdbc:postgresql://127.0.0.1:{listener.getsockname()[1]}/x?sslmode=disable"
        row = check(store(database_url=url, **login()), "reachable")
        thread.join(10)
    assert row["status"] == "fail"
    assert "may be no PostgreSQL" in row["observed"]


def test_the_session_cannot_write_and_is_bounded(server: Throwaway) -> None:
    params = {name: spec.get("default") for name, spec in postgres.SESSION.options.items()}
    settings = postgres.parameters_of_url(server.url("full_of_it"))[0] | {
        "user": "postgres",
        "password": server.password,
    }
    with postgres.session(settings, {**params, "statement_timeout_ms": 200}, Deadline(30, Clock())) as session:
        assert session.value("SELECT current_setting('application_name')") == "sre.runbooks"
        for statement in ("DELETE FROM fills", "CREATE TABLE x (y int)"):
            with pytest.raises(postgres.PostgresError, match="read-only transaction"):
                session.rows(statement)
        with pytest.raises(postgres.PostgresError, match="Raise statement_timeout_ms") as caught:
            session.rows("SELECT pg_sleep(30)")
        assert caught.value.kind == "statement_timeout"
        with pytest.raises(postgres.PostgresError, match='relation "nowhere" does not exist') as caught:
            session.rows("SELECT * FROM nowhere")
        assert caught.value.kind == "schema"
        [pid] = [row[0] for row in session.rows("SELECT pg_backend_pid()")]
        server.run(f"SELECT pg_terminate_backend({pid})")
        with pytest.raises(postgres.PostgresError, match="the connection was lost") as caught:
            session.rows("SELECT 1")
        assert caught.value.kind == "lost"
    assert server.run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'sre.runbooks'") == [(0,)]


def test_a_database_without_schema(server: Throwaway) -> None:
    result = store(database_url=server.url("blank"), **login())
    assert statuses(result)["schema"] == "fail"
    assert check(result, "schema")["observed"].startswith("missing: order_meta, order_filled_total")
    assert [finding["cause"] for finding in result["findings"]] == ["schema_missing"]


def test_a_schema_off_the_search_path(server: Throwaway) -> None:
    server.run("CREATE DATABASE aside OWNER bo")
    server.run("CREATE SCHEMA bo AUTHORIZATION bo", "ALTER DATABASE aside SET search_path = bo", database="aside")
    server.schema("aside")
    server.run(
        "ALTER DATABASE aside RESET search_path",
        "GRANT SELECT ON ALL TABLES IN SCHEMA bo TO bo",
        "ALTER ROLE bo SET search_path = public",
        database="aside",
    )
    result = store(database_url=server.url("aside"), **login())
    assert statuses(result)["schema"] == "fail"
    assert "in the schemas bo" in check(result, "schema")["hint"]
    assert statuses(store(database_url=server.url("aside") + "?currentSchema=bo", **login()))["schema"] == "pass"
    server.run("ALTER ROLE bo RESET search_path")


def test_no_right_to_read_names_the_privilege(server: Throwaway) -> None:
    result = store(database_url=server.url("full_of_it"), **login(login_user="nobody_here"))
    found = statuses(result)
    assert (found["reachable"], found["fills"]) == ("pass", "unverified")
    hint = check(result, "fills")["hint"]
    assert "permission denied for table order_meta. nobody_here lacks SELECT: GRANT SELECT ON TABLE order_meta" in hint


@pytest.fixture
def database(server: Throwaway) -> Iterator[str]:
    """A fresh database with the schema, owned by the service's role."""
    name = f"bo_{time.monotonic_ns()}"
    server.run(f"CREATE DATABASE {name}")
    server.schema(name)
    server.run(
        "GRANT ALL ON ALL TABLES IN SCHEMA public TO bo", "GRANT ALL ON SEQUENCE fills_id_seq TO bo", database=name
    )
    yield name
    server.run(f"DROP DATABASE {name} WITH (FORCE)")


def on_postgresql(server: Throwaway, database: str) -> dict[str, str]:
    return {
        "BACKOFFICE_DB_URL": server.url(database),
        "BACKOFFICE_DB_USER": "bo",
        "BACKOFFICE_DB_PASSWORD": "bo-password",
    }


def proof(server: Throwaway, database: str, folder: Path, **values: Any) -> dict[str, Any]:
    common = {"snapshot_path": str(folder / "snapshot.json"), "log_paths": [str(folder / "stdout.log")]}
    return store(database_url=server.url(database), last_fill_at=LEDGER[1]["at"], **login(), **common, **values)


def test_a_service_on_postgresql(server: Throwaway, database: str, tmp_path: Path) -> None:
    with backoffice(tmp_path, **on_postgresql(server, database)) as process:
        result = proof(server, database, tmp_path, service_pid=process.pid, expected_fills_at_least=1)
    assert result["verdict"] == "pass", result["checks"]
    assert result["tables"]["fills"]["rows"] == 1
    assert result["newest_fill_at"] == "2031-04-02T08:03:11.500Z"
    assert "bo-password" not in str(result)


def test_a_service_that_was_started_in_memory(server: Throwaway, database: str, tmp_path: Path) -> None:
    with backoffice(tmp_path, **on_postgresql(server, database)):
        pass  # the rows of better days are in the database
    with backoffice(tmp_path, BACKOFFICE_SNAPSHOT_SEC="5") as process:
        by_log = proof(server, database, tmp_path)
        by_process = proof(server, database, tmp_path, service_pid=process.pid)
        until = time.monotonic() + 30
        while not (tmp_path / "snapshot.json").exists():
            assert time.monotonic() < until
            time.sleep(0.1)
        by_snapshot = store(database_url=server.url(database), snapshot_path=str(tmp_path / "snapshot.json"), **login())
    for result in (by_log, by_process, by_snapshot):
        assert statuses(result)["in_use"] == "fail"
        assert [finding["cause"] for finding in result["findings"]] == ["in_memory_store"]
    assert statuses(by_log)["fills"] == "pass"  # which alone would have looked right
    with backoffice(tmp_path, **on_postgresql(server, database)) as process:
        healed = proof(server, database, tmp_path, service_pid=process.pid)
    assert healed["verdict"] == "pass", healed["checks"]


def test_the_store_as_it_was_written(server: Throwaway, database: str, tmp_path: Path) -> None:
    with backoffice(tmp_path, LAB_PG_AS_WRITTEN="1", **on_postgresql(server, database)) as process:
        result = proof(server, database, tmp_path, service_pid=process.pid, expected_fills_at_least=1)
    found = statuses(result)
    assert (found["configured"], found["in_use"], found["schema"]) == ("pass", "pass", "pass")
    assert (found["fills"], found["orders_without_fills"]) == ("fail", "fail")
    assert check(result, "orders_without_fills")["observed"] == "1 orders, 0 filled totals, 0 fills"
    assert [(finding["cause"], finding["confidence"]) for finding in result["findings"]] == [
        ("cannot_book_fills", "seen")
    ]


def test_a_neighbouring_database_is_not_mistaken(server: Throwaway, database: str, tmp_path: Path) -> None:
    with backoffice(tmp_path, **on_postgresql(server, database)) as process:
        result = proof(server, "full_of_it", tmp_path, service_pid=process.pid)
    assert statuses(result)["environment"] == "fail"
    assert result["database"]["name"] == database

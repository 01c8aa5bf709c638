# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session on a real server, with a pooler before it or silence behind it."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import pg_activity, postgres
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration.throwaway_postgres import Throwaway, throwaway
from tests.support.postgres_proxy import proxy

__all__ = ["throwaway"]  # the fixture

SESSION = {name: spec.get("default") for name, spec in postgres.SESSION.options.items()}


def target(server: Throwaway, port: int | None = None, **more: str) -> dict[str, str]:
    login = {"user": "postgres", "password": server.password, "dbname": "postgres", **more}
    return {"host": "127.0.0.1", "port": str(port or server.port), **login}


def soon() -> Deadline:
    return Deadline(30, Clock())


def test_through_a_pooler_nothing_is_set(throwaway: Throwaway) -> None:
    with (
        proxy(throwaway.port, own_keys=True) as pooler,
        pytest.raises(postgres.PostgresError, match=r"through a pooler.*address of the server itself") as caught,
        postgres.session(target(throwaway, pooler.port), SESSION, soon(), schema="hafnium"),
    ):
        pass
    assert (caught.value.kind, caught.value.observed_fault) == ("pooler", False)
    assert pooler.said == ["SELECT pg_catalog.pg_backend_pid()"]


def test_what_passes_everything_on_is_no_pooler(throwaway: Throwaway) -> None:
    with (
        proxy(throwaway.port) as passing,
        postgres.session(target(throwaway, passing.port), SESSION, soon()) as session,
    ):
        assert session.value("SHOW default_transaction_read_only") == "on"
        assert session.value("SHOW statement_timeout") == "10s"
    assert passing.said[0] == "SELECT pg_catalog.pg_backend_pid()"


@pytest.mark.parametrize("silent_at", ["pg_backend_pid", "read_only", "statement_timeout", "SELECT 1"])
def test_a_server_that_lets_in_and_then_is_silent(
    throwaway: Throwaway, silent_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres, "GRACE_SECONDS", 0.2)
    with proxy(throwaway.port, silent_at=silent_at) as silent:
        params = {**SESSION, "statement_timeout_ms": 300}
        with (
            pytest.raises(postgres.PostgresError, match=r"gave no answer within 0\.5 s") as caught,
            postgres.session(target(throwaway, silent.port), params, soon()) as session,
        ):
            session.value("SELECT 1")
    assert (caught.value.kind, caught.value.observed_fault) == ("timeout", True)


def test_what_is_said_after_the_end_is_told_in_one_line_too(throwaway: Throwaway) -> None:
    with postgres.session(target(throwaway), SESSION, soon()) as session:
        throwaway.run(f"SELECT pg_terminate_backend({session.value('SELECT pg_backend_pid()')})")
        for _ in range(2):
            with pytest.raises(postgres.PostgresError, match="connection was lost") as caught:
                session.value("SELECT 1")
            assert caught.value.kind == "lost"
            with pytest.raises(postgres.PostgresError):
                session.limit(9)


def test_the_time_of_the_task_bounds_a_statement_too(throwaway: Throwaway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "GRACE_SECONDS", 0.2)
    with (
        pytest.raises(postgres.PostgresError, match="Raise 'timeout'") as caught,
        postgres.session(target(throwaway), SESSION, Deadline(0.5, Clock())) as session,
    ):
        session.value("SELECT pg_sleep(9)")
    assert (caught.value.kind, caught.value.observed_fault) == ("deadline", False)


def test_a_limit_of_a_transaction_ends_with_it(throwaway: Throwaway, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "GRACE_SECONDS", 0.1)
    params = {**SESSION, "statement_timeout_ms": 200}
    with postgres.session(target(throwaway), params, soon()) as session:
        session.rows("BEGIN")
        session.limit(5, transaction=True)
        session.value("SELECT pg_sleep(0.6)")
        session.rows("ROLLBACK")
        assert session.value("SHOW statement_timeout") == "200ms"
        assert session.limit(5) == 0.2
        session.value("SELECT pg_sleep(0.6)")
        assert session.limit(0.3) == 5
        with pytest.raises(postgres.PostgresError) as caught:
            session.value("SELECT pg_sleep(9)")
    assert caught.value.kind == "statement_timeout"


def test_the_others_are_reported_when_some_are_silent(throwaway: Throwaway, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, of which the second uses up the time."""
    monkeypatch.setattr(postgres, "GRACE_SECONDS", 1.0)
    defaults: dict[str, Any] = {name: option.get("default") for name, option in pg_activity.SPEC.options.items()}
    login = {"login_host": "127.0.0.1", "login_user": "postgres", "login_password": throwaway.password}
    with proxy(throwaway.port, silent_at="SELECT 1") as silent:
        asked = [
            {"name": name, "login_port": port, "login_db": "postgres", "url": None}
            for name, port in (("good", throwaway.port), ("silent", silent.port), ("never", silent.port))
        ]
        params = {**defaults, **login, "databases": asked, "concurrency": 1, "statement_timeout_ms": 5000}
        context = Context(deadline=Deadline(1.0, Clock()))
        found = pg_activity.run(params, context)
    statuses = {row["id"]: row["status"] for row in found["checks"]}
    assert statuses["connections.good"] == "pass"
    assert statuses["connections.never"] == "unverified"
    assert found["verdict"] != "pass"


def test_text_that_is_no_text(throwaway: Throwaway) -> None:
    """A database without an encoding keeps any bytes."""
    throwaway.run(
        "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'",
        "SELECT 1",
    )
    try:
        with postgres.session(target(throwaway, dbname="raw"), SESSION, soon()) as session:
            with pytest.raises(postgres.PostgresError) as caught:
                session.value("SELECT convert_from('\\xe4'::bytea, 'SQL_ASCII')")
            assert caught.value.kind == "statement"
            assert session.value("SELECT 1") == 1
    finally:
        throwaway.run("DROP DATABASE raw")

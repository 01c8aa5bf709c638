# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_activity on real servers of several majors, with the faults that it looks for."""

from __future__ import annotations

import contextlib
import io
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import databases, pg_activity, pg_fingerprint
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from ansible_collections.sre.runbooks.plugins.modules import pg_activity as module
from lab.layout import LabError
from tests.integration import postgres_scene as scene
from tests.integration.postgres_scene import APP, DATABASE, OTHER, OTHER_APP, Scene
from tests.integration.throwaway_postgres import Throwaway
from tests.support import postgres_majors
from tests.unit.plugins.module_runner import run_module

DEFAULTS = {name: option.get("default") for name, option in pg_activity.SPEC.options.items()}
Run = dict[str, Any]


@pytest.fixture(scope="module", params=postgres_majors.MAJORS)
def prepared(request: pytest.FixtureRequest) -> Iterator[Scene]:
    try:
        settings = {"max_connections": "30", "shared_preload_libraries": "pg_stat_statements"}
        with postgres_majors.server(request.param, settings) as server:
            made = Scene(server)
            made.prepare()
            yield made
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture
def here(prepared: Scene) -> Iterator[Scene]:
    with scene.opened(prepared) as made:
        yield made


def ask(here: Scene, user: str = scene.OPERATOR, **options: Any) -> Run:
    params = {**DEFAULTS, **here.options(user), **options}
    return pg_activity.run(params, Context(deadline=Deadline(30, Clock())))


def statuses(result: Run) -> dict[str, str]:
    return {row["id"]: row["status"] for row in result["checks"]}


def row_of(result: Run, check_id: str) -> dict[str, Any]:
    return next(row for row in result["checks"] if row["id"] == check_id)


@contextlib.contextmanager
def running(connection: Any, statement: str) -> Iterator[None]:
    """While another thread runs the statement."""

    def run() -> None:
        with contextlib.suppress(psycopg2.Error), connection.cursor() as cursor:
            cursor.execute(statement)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        connection.cancel()
        thread.join(20)
        assert not thread.is_alive()


def until(probe: Callable[[], Any], reached: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 20
    while True:
        found = probe()
        if reached(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.1)


def test_a_quiet_database(here: Scene) -> None:
    here.open()
    here.open(application="report", user=OTHER_APP)
    here.open(database=OTHER)
    result = ask(here)
    assert result["verdict"] == "pass"
    kinds = ("connections", "saturation", "long_queries", "blocked", "idle_in_transaction", "prepared", "xmin")
    assert statuses(result) == {f"{kind}.{DATABASE}": "pass" for kind in kinds}, "no standby, no extension: no check"
    (data,) = result["databases"]
    assert data["states"] == {"idle": 2}
    assert [(row["usename"], row["application_name"], row["count"]) for row in data["counts"]] == [
        (APP, "shop", 1),
        (OTHER_APP, "report", 1),
    ]
    assert "pg_stat_statements is not installed" in data["notes"][0]


def test_a_threshold_that_is_off_gives_no_check(here: Scene) -> None:
    options: dict[str, Any] = dict.fromkeys(pg_activity.THRESHOLDS, 0)
    assert statuses(ask(here, **options)) == {f"connections.{DATABASE}": "pass"}
    assert statuses(ask(here, checks=["saturation"])) == {f"saturation.{DATABASE}": "pass"}


def test_many_databases_one_of_which_does_not_answer(here: Scene) -> None:
    items: list[dict[str, Any]] = [
        {"name": "one", "login_db": DATABASE},
        {"name": "absent", "login_db": "absent"},
        {"name": "closed", "login_port": 1},
        {"name": "wrong", "login_db": OTHER, "login_password": "wrong-password"},
        {"name": "two", "login_db": OTHER},
    ]
    result = ask(here, checks=["connections"], databases=[dict.fromkeys(databases.OPTIONS) | item for item in items])
    assert statuses(result) == {
        "connections.one": "pass",
        "connections.absent": "fail",
        "connections.closed": "fail",
        "connections.wrong": "unverified",
        "connections.two": "pass",
    }
    assert [data["answered"] for data in result["databases"]] == [True, False, False, False, True]
    assert [(one["cause"], one["affects"]) for one in result["findings"]] == [
        ("database_unreachable", ["absent"]),
        ("database_unreachable", ["closed"]),
    ]


def test_who_sees_no_states_gives_no_pass(here: Scene) -> None:
    here.open()
    result = ask(here, user=scene.SEES_NOTHING)
    found = statuses(result)
    assert found[f"long_queries.{DATABASE}"] == found[f"idle_in_transaction.{DATABASE}"] == "unverified"
    assert found[f"connections.{DATABASE}"] == "pass"
    assert result["verdict"] == "unverified"
    assert "GRANT pg_read_all_stats TO no_stats" in row_of(result, f"long_queries.{DATABASE}")["hint"]
    assert result["databases"][0]["hidden"] == 1


def test_long_queries_and_evidence_without_values(here: Scene) -> None:
    busy = here.open()
    with running(busy, "SELECT pg_sleep(20), 'hunter2-secret'"):
        here.wait_for(busy, "state = 'active' AND clock_timestamp() - query_start > interval '0.3 s'")
        result = ask(here, long_query_seconds=0.2, capture=True)
        assert statuses(result)[f"long_queries.{DATABASE}"] == "fail"
        (data,) = result["databases"]
        assert [row["pid"] for row in data["long_queries"]] == [here.pid(busy)]
        assert "query" not in data["long_queries"][0]
        (captured,) = result["capture"]
        assert captured["activity"][0]["query"] == "SELECT pg_sleep(?), ?"
        assert captured["activity"][0]["waits_for"] == "Timeout: PgSleep"
        assert "hunter2" not in str(result)
        assert statuses(ask(here))[f"long_queries.{DATABASE}"] == "pass"


def test_the_tree_of_who_waits_for_whom(here: Scene) -> None:
    holder = here.open("UPDATE item SET name = 'a' WHERE id = 1", transaction=True, application="leaky")
    first, second = here.open(transaction=True), here.open()
    with (
        running(first, "UPDATE item SET name = 'b' WHERE id = 1"),
        running(second, "UPDATE item SET name = 'c' WHERE id = 1"),
    ):
        for one in (first, second):
            here.wait_for(one, "wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '0.3 s'")
        result = ask(here, blocked_seconds=0.2, idle_in_transaction_seconds=0.2)
        found = statuses(result)
        assert found[f"blocked.{DATABASE}"] == found[f"idle_in_transaction.{DATABASE}"] == "fail"
        (root,) = result["databases"][0]["blockers"]
        assert (root["pid"], root["application_name"], root["waiting"]) == (here.pid(holder), "leaky", 2)
        assert {row["pid"] for row in root["waiters"]} == {here.pid(first), here.pid(second)}
        assert root["longest_wait_seconds"] >= 0.2
        (finding,) = result["findings"]
        assert finding["cause"] == "blocked_by_open_transaction"
        assert statuses(ask(here))[f"blocked.{DATABASE}"] == "pass", "waits below the threshold are normal"


def test_a_prepared_transaction_that_blocks(here: Scene) -> None:
    maker, waiter = here.open("UPDATE item SET name = 'p' WHERE id = 1", transaction=True), here.open()
    with maker.cursor() as cursor:
        cursor.execute("PREPARE TRANSACTION 'orphan'")
    try:
        with running(waiter, "UPDATE item SET name = 'q' WHERE id = 1"):
            here.wait_for(waiter, "wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '0.3 s'")
            result = ask(here, prepared_seconds=0.2, blocked_seconds=0.2)
            found = statuses(result)
            assert found[f"prepared.{DATABASE}"] == found[f"blocked.{DATABASE}"] == "fail"
            assert "orphan" in row_of(result, f"prepared.{DATABASE}")["observed"]
            (root,) = result["databases"][0]["blockers"]
            assert (root["pid"], root["prepared_transaction"]) == (0, True)
            assert [one["cause"] for one in result["findings"]] == ["blocked_by_prepared_transaction"]
    finally:
        here.server.run("ROLLBACK PREPARED 'orphan'", database=DATABASE)


def test_connections_that_run_out(here: Scene) -> None:
    with pytest.raises(psycopg2.OperationalError):
        for _ in range(40):
            here.open()
    refused = ask(here)
    assert statuses(refused) == {f"connections.{DATABASE}": "fail"}
    assert "A superuser still gets in" in refused["checks"][0]["observed"]
    seen = ask(here, user="second_superuser")
    assert statuses(seen)[f"saturation.{DATABASE}"] == "fail"
    for result in (refused, seen):
        assert [one["cause"] for one in result["findings"]] == ["connections_exhausted"]


def test_the_limit_of_a_role(here: Scene) -> None:
    here.server.run(f"ALTER ROLE {OTHER_APP} CONNECTION LIMIT 2")
    try:
        here.open(user=OTHER_APP)
        assert statuses(ask(here))[f"saturation.{DATABASE}"] == "pass"
        here.open(user=OTHER_APP, database=OTHER)
        row = row_of(ask(here), f"saturation.{DATABASE}")
        assert (row["status"], row["observed"]) == ("fail", "2 of 2 connections, 100 % (limit of role batch)")
    finally:
        here.server.run(f"ALTER ROLE {OTHER_APP} CONNECTION LIMIT -1")


def test_a_limit_that_shuts_or_does_not_hold_is_none(here: Scene) -> None:
    here.open(user="second_superuser")
    here.server.run(
        f"ALTER ROLE {OTHER_APP} CONNECTION LIMIT 0",
        "ALTER ROLE second_superuser CONNECTION LIMIT 1",
        f"ALTER DATABASE {DATABASE} CONNECTION LIMIT 0",
    )
    try:
        result = ask(here, user="second_superuser")
        assert statuses(result)[f"saturation.{DATABASE}"] == "pass"
        assert [limit["what"].split(",")[0] for limit in result["databases"][0]["limits"]] == ["max_connections"]
    finally:
        here.server.run(
            f"ALTER ROLE {OTHER_APP} CONNECTION LIMIT -1",
            "ALTER ROLE second_superuser CONNECTION LIMIT -1",
            f"ALTER DATABASE {DATABASE} CONNECTION LIMIT -1",
        )


def test_what_holds_back_vacuum(here: Scene) -> None:
    holder = here.open("UPDATE item SET name = 'x' WHERE id = 1", transaction=True)
    other = here.open()
    with other.cursor() as cursor:
        for number in range(5):
            cursor.execute(f"CREATE TEMP TABLE t{number} (id int)")
    result = ask(here, max_xmin_age=3)
    row = row_of(result, f"xmin.{DATABASE}")
    assert row["status"] == "fail"
    assert f"session {here.pid(holder)}" in row["observed"]
    assert result["databases"][0]["xmin_holders"][0]["name"] == str(here.pid(holder))


def test_statements_that_are_slow_on_the_average(here: Scene) -> None:
    here.server.run('CREATE SCHEMA IF NOT EXISTS "Stats"', database=DATABASE)
    here.server.run('CREATE EXTENSION pg_stat_statements SCHEMA "Stats"', database=DATABASE)
    try:
        session = here.open()
        with session.cursor() as cursor:
            for _ in range(3):
                cursor.execute("SELECT pg_sleep(0.05), 'hunter2-secret'")
        lacking = row_of(ask(here), f"slow_queries.{DATABASE}")
        assert lacking["status"] == "unverified"
        assert "lacks USAGE" in lacking["observed"]
        here.server.run(f'GRANT USAGE ON SCHEMA "Stats" TO {scene.OPERATOR}', database=DATABASE)
        result = ask(here, slow_query_ms=40, slow_query_min_calls=3, show_query=True)
        assert statuses(result)[f"slow_queries.{DATABASE}"] == "fail"
        (slow,) = result["databases"][0]["slow_queries"]
        assert (slow["calls"], slow["usename"], slow["query"]) == (3, APP, "SELECT pg_sleep($1), $2")
        assert "hunter2" not in str(result)
        assert statuses(ask(here))[f"slow_queries.{DATABASE}"] == "pass"
        assert f"slow_queries.{DATABASE}" not in statuses(ask(here, slow_query_ms=0))
    finally:
        here.server.run("DROP EXTENSION pg_stat_statements", 'DROP SCHEMA "Stats"', database=DATABASE)


def test_dumps_and_maintenance_are_no_slow_queries(here: Scene) -> None:
    """What a backup and its fingerprint run every night is slow by its nature."""
    here.server.run("CREATE EXTENSION pg_stat_statements", database=DATABASE)
    try:
        before = here.open("SELECT pg_stat_statements_reset()", user="second_superuser")
        with before.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE kept AS SELECT pg_sleep(0.05)::text")
            for statement in (
                "COPY (SELECT pg_sleep(0.05)) TO STDOUT",
                "  -- nightly\n /* of /* all */ copy (SELECT pg_sleep(0.05), 1) TO STDOUT",
            ):
                with contextlib.suppress(psycopg2.Error):
                    cursor.copy_expert(statement, io.StringIO())
            cursor.execute("EXPLAIN ANALYZE SELECT pg_sleep(0.05)")
            cursor.execute(f"{pg_fingerprint._DIGEST}item AS whole_row, pg_sleep(0.05)")
        assert (
            ask(here, "second_superuser", slow_query_ms=40, slow_query_min_calls=1, show_query=True)["databases"][0][
                "slow_queries"
            ]
            == []
        )
        with before.cursor() as cursor:
            cursor.execute("/* shop */ SELECT pg_sleep(0.05)")
        result = ask(here, "second_superuser", slow_query_ms=40, slow_query_min_calls=1, show_query=True)
        assert statuses(result)[f"slow_queries.{DATABASE}"] == "fail"
    finally:
        here.server.run("DROP EXTENSION pg_stat_statements", database=DATABASE)


@pytest.fixture
def odd_bytes(here: Scene) -> Iterator[Scene]:
    """Sessions of a database in Latin 1 and of one without an encoding, whose last statements are no UTF-8."""
    here.server.run(
        "CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0",
        "CREATE DATABASE raw ENCODING 'SQL_ASCII' TEMPLATE template0",
    )
    for database in ("latin", "raw"):
        one = here.open(None, database=database)
        one.set_client_encoding("LATIN1" if database == "latin" else "SQL_ASCII")
        with one.cursor() as cursor:
            cursor.execute("SELECT 'na\u00efve'".encode("latin-1"))
    yield here
    here.close()
    here.server.run("DROP DATABASE latin", "DROP DATABASE raw")


def test_bytes_that_are_no_text_spoil_nothing(odd_bytes: Scene) -> None:
    result = ask(odd_bytes, capture=True)
    assert statuses(result)[f"connections.{DATABASE}"] == "pass"
    for database in ("latin", "raw"):
        result = ask(odd_bytes, login_db=database, capture=True)
        assert statuses(result)[f"connections.{database}"] == "pass"
        assert len(result["capture"][0]["activity"]) == 1
    assert any("statements of the sessions cannot be shown" in note for note in result["databases"][0]["notes"])


def test_a_receiver_that_reports_nothing_is_no_pass(here: Scene) -> None:
    here.replication()
    result = until(
        lambda: ask(here, checks=["replication"]), lambda seen: seen["databases"][0]["replication"]["standbys"]
    )
    assert statuses(result) == {f"replication.{DATABASE}": "unverified"}
    hidden = ask(here, user=scene.SEES_NOTHING, checks=["replication"])
    assert statuses(hidden) == {f"replication.{DATABASE}": "unverified"}


def test_missing_standbys(here: Scene) -> None:
    result = ask(here, checks=["replication"], min_standbys=1)
    assert row_of(result, f"replication.{DATABASE}")["observed"] == "no standby"
    assert result["verdict"] == "fail"


def test_the_module_with_its_documented_keys(here: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    result = run_module(module, capsys, True, **here.options(checks=["connections"], capture=True))
    documented = {line.rstrip(":") for line in module.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(result) - {"changed", "invocation"}
    assert result["changed"] is False
    assert here.secret not in str(result)
    contains = module.RETURN.partition("\ndatabases:")[2].partition("  contains:")[2].partition("\n  sample:")[0]
    described = {
        line.strip().rstrip(":") for line in contains.splitlines() if line[:5].strip() and line.startswith("    ")
    }
    assert set(result["databases"][0]) == described


@pytest.fixture(params=(14, postgres_majors.NEWEST))
def pair(request: pytest.FixtureRequest) -> Iterator[tuple[Throwaway, Throwaway]]:
    """A primary and its standby: a copy of its folder before its first start."""
    try:
        with postgres_majors.scratch() as folder:
            programs = postgres_majors.programs(request.param, folder)
            password = secrets.token_urlsafe(16)
            postgres_majors.initialise(programs, folder / "primary", password)
            _copy(folder / "primary", folder / "standby")
            with postgres_majors.running(programs, folder / "primary", password) as primary:
                login = f"host=127.0.0.1 port={primary.port} user=postgres password={password} application_name=standby"
                (folder / "standby" / "standby.signal").touch(mode=0o644)
                settings = {"primary_conninfo": login, "max_connections": "100", "max_wal_senders": "10"}
                with postgres_majors.running(programs, folder / "standby", password, settings) as standby:
                    yield primary, standby
    except LabError as error:
        pytest.skip(str(error))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, symlinks=True)
    owner = source.stat()
    for path in (target, *target.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)


def test_a_standby_and_its_primary(pair: tuple[Throwaway, Throwaway]) -> None:
    primary, standby = pair

    def look(server: Throwaway, **options: Any) -> Run:
        login = {"login_host": "127.0.0.1", "login_port": server.port, "login_user": "postgres", "login_db": "postgres"}
        params = {**DEFAULTS, **login, "login_password": server.password, "checks": ["replication"], **options}
        return pg_activity.run(params, Context(deadline=Deadline(30, Clock())))

    def streaming(result: Run) -> bool:
        return bool(result["verdict"] == "pass")

    primary.run("CREATE TABLE t AS SELECT 1 AS id")
    until(lambda: look(primary, min_standbys=1), streaming)
    result = until(lambda: look(standby), streaming)
    assert result["databases"][0]["replication"]["in_recovery"] is True
    assert look(primary, min_standbys=2)["verdict"] == "fail"

    standby.run("SELECT pg_wal_replay_pause()")
    primary.run("CREATE TABLE u AS SELECT 1 AS id")
    late = until(lambda: look(standby, replication_lag_seconds=0.5), lambda seen: seen["verdict"] == "fail")
    assert late["databases"][0]["replication"]["lag_seconds"] > 0.5
    behind = until(lambda: look(primary, replication_lag_seconds=0.5), lambda seen: seen["verdict"] == "fail")
    assert behind["databases"][0]["replication"]["standbys"][0]["lag_bytes"] > 0

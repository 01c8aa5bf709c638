# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The script with the rights of the role that looks at databases: run by a superuser, and by who administers a managed server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from lab.layout import LabError
from tests.integration.throwaway_postgres import Throwaway
from tests.support import postgres_majors

GRANTS = (Path(__file__).resolve().parents[2] / "docs" / "grants.sql").read_text(encoding="utf-8")
ROLE = "sre_runbooks"


@pytest.fixture(scope="module", params=(14, postgres_majors.NEWEST))
def server(request: pytest.FixtureRequest) -> Iterator[Throwaway]:
    try:
        with postgres_majors.server(request.param) as made:
            yield made
    except LabError as error:
        pytest.skip(str(error))


@pytest.fixture
def shop(server: Throwaway) -> Iterator[Throwaway]:
    """A database of its service, with a history, and an administrator that is no superuser."""
    admin = [] if _major(server) < 16 else ["GRANT pg_read_all_stats, pg_signal_backend TO master WITH ADMIN OPTION"]
    server.run(
        "CREATE ROLE master LOGIN CREATEROLE PASSWORD 'pw-of-master'",
        "CREATE ROLE svc LOGIN PASSWORD 'pw-of-svc'",
        *admin,
    )
    server.run(
        "CREATE DATABASE shop OWNER svc",
        "REVOKE CONNECT ON DATABASE shop FROM PUBLIC",
        "GRANT CONNECT ON DATABASE shop TO master",
    )
    server.run(
        "CREATE SCHEMA cases AUTHORIZATION svc",
        "CREATE TABLE cases.flyway_schema_history (installed_rank int)",
        database="shop",
    )
    server.run("ALTER TABLE cases.flyway_schema_history OWNER TO svc", database="shop")
    yield server
    server.run("DROP DATABASE shop")
    server.run(*(f"DROP ROLE IF EXISTS {role}" for role in (ROLE, "svc", "master")))


def _major(server: Throwaway) -> int:
    return int(server.run("SHOW server_version_num")[0][0]) // 10000


def grant(server: Throwaway, user: str, password: str) -> list[str]:
    """Run the script; the warnings of the server."""
    with (
        closing(
            psycopg2.connect(host="127.0.0.1", port=server.port, user=user, password=password, dbname="shop")
        ) as connection,
        connection.cursor() as cursor,
    ):
        connection.autocommit = True
        cursor.execute(GRANTS)
        return [notice for notice in connection.notices if notice.startswith("WARNING")]


def rights(server: Throwaway) -> set[str]:
    """What the role may do."""
    found = {
        name
        for (name,) in server.run(
            "SELECT r.rolname FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.roleid"
            f" WHERE m.member = '{ROLE}'::regrole"
        )
    }
    table = "cases.flyway_schema_history"
    may = server.run(
        f"SELECT has_database_privilege('{ROLE}', 'shop', 'CONNECT'), has_schema_privilege('{ROLE}', 'cases', 'USAGE'),"
        f" has_table_privilege('{ROLE}', '{table}', 'SELECT'), has_table_privilege('{ROLE}', '{table}', 'UPDATE')",
        database="shop",
    )[0]
    return found | {name for name, yes in zip(("connect", "usage", "select", "update"), may, strict=True) if yes}


def test_a_superuser_gives_all(shop: Throwaway) -> None:
    reserved = {"pg_use_reserved_connections"} if _major(shop) >= 16 else set()
    for _ in range(2):
        assert grant(shop, "postgres", shop.password) == []
        assert rights(shop) == {"pg_read_all_stats", "pg_signal_backend", "connect", "usage", "select", *reserved}


def test_an_administrator_gives_what_it_may_and_the_owner_the_rest(shop: Throwaway) -> None:
    """Of a managed server: one right that is refused holds up none of the others."""
    warned = grant(shop, "master", "pw-of-master")
    assert {"pg_read_all_stats", "pg_signal_backend"} <= rights(shop)
    assert not rights(shop) & {"usage", "select", "connect"}
    assert any(
        "cases.flyway_schema_history is not to be read by sre_runbooks; its owner gives that" in one for one in warned
    )
    assert any('no privileges were granted for "shop"' in one for one in warned)  # the server's own words
    if _major(shop) >= 16:
        assert any("pg_use_reserved_connections was not granted" in one for one in warned)
    left = grant(shop, "svc", "pw-of-svc")
    assert {"connect", "usage", "select"} <= rights(shop)
    assert not any("pg_read_all_stats" in one or "shop" in one for one in left)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that a test opens on its own server, and the rights of those who look at them."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg2
import psycopg2.extras

from tests.integration.throwaway_postgres import Throwaway

DATABASE = "hafnium"
OTHER = "order_db"
OPERATOR = "sre_runbooks"
SEES_NOTHING = "no_stats"
SIGNALS_NOTHING = "no_signal"
APP = "app"
OTHER_APP = "batch"


@dataclass(eq=False)
class Scene:
    """A server with databases, users and rights as the documentation asks for them; everybody has the same password."""

    server: Throwaway
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(12))
    opened: list[Any] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.server.port

    def prepare(self) -> None:
        run = self.server.run
        for name in (OPERATOR, SEES_NOTHING, SIGNALS_NOTHING, APP, OTHER_APP):
            run(f"CREATE ROLE {name} LOGIN PASSWORD '{self.secret}'")
        run(
            f"ALTER ROLE {APP} REPLICATION",
            f"GRANT pg_read_all_stats, pg_signal_backend TO {OPERATOR}",
            f"GRANT pg_signal_backend TO {SEES_NOTHING}",
            f"GRANT pg_read_all_stats TO {SIGNALS_NOTHING}",
            "CREATE ROLE second_superuser SUPERUSER LOGIN PASSWORD '" + self.secret + "'",
        )
        for name in (DATABASE, OTHER):
            run(f"CREATE DATABASE {name}")
            run("CREATE TABLE item (id int PRIMARY KEY, name text)", f"GRANT ALL ON item TO {APP}", database=name)
            run("INSERT INTO item VALUES (1, 'one')", database=name)

    def options(self, user: str = OPERATOR, database: str = DATABASE, **more: Any) -> dict[str, Any]:
        """The login options of a module."""
        login = {"login_host": "127.0.0.1", "login_port": self.port, "login_user": user, "login_db": database}
        return {**login, "login_password": self.secret, **more}

    def open(
        self,
        statement: str | None = "SELECT 1",
        user: str = APP,
        database: str = DATABASE,
        application: str = "shop",
        transaction: bool = False,
    ) -> Any:
        """A session that has run one statement, or none; with ``transaction`` it has not ended."""
        made = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=self.secret,
            dbname=database,
            application_name=application,
            connect_timeout=5,
        )
        made.autocommit = not transaction
        self.opened.append(made)
        if statement:
            with contextlib.suppress(psycopg2.errors.DivisionByZero), made.cursor() as cursor:
                cursor.execute(statement)
        return made

    def replication(self) -> Any:
        """A real physical replication connection that streams."""
        made = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=APP,
            password=self.secret,
            application_name="standby",
            connection_factory=psycopg2.extras.PhysicalReplicationConnection,
        )
        self.opened.append(made)
        made.cursor().start_replication(slot_name=None, start_lsn=0)
        return made

    def pid(self, connection: Any) -> int:
        return int(connection.info.backend_pid)

    def alive(self, connection: Any) -> bool:
        """Whether the server still has the session."""
        return bool(self.server.run(f"SELECT 1 FROM pg_stat_activity WHERE pid = {self.pid(connection)}"))

    def wait_for(self, connection: Any, condition: str) -> None:
        """Until pg_stat_activity says so of the session."""
        until = time.monotonic() + 20
        while not self.server.run(f"SELECT 1 FROM pg_stat_activity WHERE pid = {self.pid(connection)} AND {condition}"):
            assert time.monotonic() < until, condition
            time.sleep(0.02)

    def wait_until_gone(self, pid: int) -> None:
        until = time.monotonic() + 20
        while self.server.run(f"SELECT 1 FROM pg_stat_activity WHERE pid = {pid}"):
            assert time.monotonic() < until, pid
            time.sleep(0.02)

    def age(self, seconds: float, *connections: Any) -> None:
        """Until each has been in its state for that long."""
        for one in connections:
            self.wait_for(one, f"clock_timestamp() - state_change > interval '{seconds} s'")

    def close(self) -> None:
        """End what was opened; also what another test of the same server would see."""
        for one in self.opened:
            with contextlib.suppress(psycopg2.Error):
                one.close()
        self.opened.clear()
        until = time.monotonic() + 20
        query = "SELECT 1 FROM pg_stat_activity WHERE usename <> 'postgres' OR application_name = 'standby'"
        while self.server.run(query):
            assert time.monotonic() < until, "sessions of a test did not end"
            time.sleep(0.02)


@contextlib.contextmanager
def opened(scene: Scene) -> Iterator[Scene]:
    try:
        yield scene
    finally:
        scene.close()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A connection pool on PostgreSQL with HikariCP's habits: its log lines, its time limit, its numbers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from lab.services.database import parse_jdbc_url
from lab.services.spring_like import console
from lab.services.spring_like.timer import Timer

NAME = "HikariPool-1"
LOGGER = "com.zaxxer.hikari.pool.HikariPool"
_ALIVE_BYPASS_SECONDS = 0.5
_CONNECT_SECONDS = 5
_IDLE_SECONDS = 20.0

Connection = Any


class Unavailable(Exception):
    """No connection within the time; the message is HikariCP's."""


class Pool:
    """Connections of one service. `fill` raises psycopg2.OperationalError, `connection` Unavailable."""

    def __init__(self, url: str, user: str, password: str, size: int, idle: int, seconds: float) -> None:
        self._settings = parse_jdbc_url(url) | {"user": user, "password": password, "connect_timeout": _CONNECT_SECONDS}
        self.size, self.minimum, self.seconds = size, min(idle, size), seconds
        self._idle: list[tuple[Connection, float]] = []
        self._free = threading.Condition()
        self.active = self.waiting = 0
        self.timeouts = 0
        self.acquired, self.used, self.created = Timer(), Timer(), Timer()

    @property
    def idle(self) -> int:
        return len(self._idle)

    def fill(self) -> None:
        """The connections that the pool begins with."""
        console.info("com.zaxxer.hikari.HikariDataSource", f"{NAME} - Starting...")
        for _ in range(max(1, self.minimum)):
            self._idle.append((self._connect(), time.monotonic()))
        console.info(
            LOGGER, f"{NAME} - Added connection org.postgresql.jdbc.PgConnection@{id(self._idle[0][0]):x}"[:90]
        )
        threading.Thread(target=self._keep_house, name=f"{NAME} housekeeper", daemon=True).start()
        console.info("com.zaxxer.hikari.HikariDataSource", f"{NAME} - Start completed.")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A usable connection in autocommit mode."""
        begun = time.monotonic()
        taken = self._take(begun + self.seconds)
        self.acquired.record(time.monotonic() - begun)
        used_from = time.monotonic()
        try:
            yield taken
        finally:
            self.used.record(time.monotonic() - used_from)
            self._give_back(taken)

    def _take(self, deadline: float) -> Connection:
        self._enter(deadline)
        try:
            while True:
                with self._free:
                    found = self._idle.pop() if self._idle else None
                if found is None:
                    return self._connect()
                if self._usable(*found):
                    return found[0]
        except psycopg2.Error as error:
            self._leave()
            while time.monotonic() < deadline:
                time.sleep(min(0.25, max(0.0, deadline - time.monotonic())))
            raise self._timeout() from error

    def _enter(self, deadline: float) -> None:
        with self._free:
            self.waiting += 1
            try:
                while self.active >= self.size:
                    left = deadline - time.monotonic()
                    if left <= 0 or not self._free.wait(left):
                        raise self._timeout()
                self.active += 1
            finally:
                self.waiting -= 1

    def _leave(self) -> None:
        with self._free:
            self.active -= 1
            self._free.notify()

    def _give_back(self, connection: Connection) -> None:
        with self._free:
            if not connection.closed:
                self._idle.append((connection, time.monotonic()))
            self.active -= 1
            self._free.notify()

    def _usable(self, connection: Connection, last_used: float) -> bool:
        if time.monotonic() - last_used < _ALIVE_BYPASS_SECONDS:
            return True
        try:
            with connection.cursor() as cursor:
                cursor.execute("select 1")
        except psycopg2.Error as error:
            reason = str(error).strip().splitlines()[0]
            console.warn("com.zaxxer.hikari.pool.PoolBase", f"{NAME} - Failed to validate connection ({reason})")
            connection.close()
            return False
        return True

    def _keep_house(self) -> None:
        """Close what was idle for a while, but for the minimum: the server has connections for everybody."""
        while True:
            time.sleep(_IDLE_SECONDS)
            oldest = time.monotonic() - _IDLE_SECONDS
            while True:
                with self._free:
                    if len(self._idle) <= self.minimum or self._idle[0][1] > oldest:
                        break
                    connection, _ = self._idle.pop(0)
                connection.close()

    def _timeout(self) -> Unavailable:
        self.timeouts += 1
        return Unavailable(
            f"{NAME} - Connection is not available, request timed out after {self.seconds * 1000:.0f}ms "
            f"(total={self.active + self.idle}, active={self.active}, idle={self.idle}, waiting={self.waiting})"
        )

    def _connect(self) -> Connection:
        begun = time.monotonic()
        connection = psycopg2.connect(**self._settings)
        connection.autocommit = True
        self.created.record(time.monotonic() - begun)
        return connection

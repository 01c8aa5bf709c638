# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small bounded pool of PostgreSQL connections that waits five seconds for a usable one, then gives up."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2

CONNECTION_TIMEOUT_SECONDS = 5.0
_JDBC = re.compile(r"jdbc:postgresql://(?:([^:/?]+)(?::(\d+))?)?/([^?]+)(?:\?.*)?")

Connection = Any  # psycopg2's connection: no plugin of the type checker is needed to run the lab


class DatabaseUnavailable(RuntimeError):
    """No usable connection within the time."""


def parse_jdbc_url(url: str) -> dict[str, Any]:
    """Host, port and database name of ``jdbc:postgresql://host:port/name``; ValueError on anything else."""
    match = _JDBC.fullmatch(url)
    if match is None:
        raise ValueError(f"BACKOFFICE_DB_URL={url!r} is not of the form jdbc:postgresql://host:port/name")
    return {"host": match.group(1) or "localhost", "port": int(match.group(2) or 5432), "dbname": match.group(3)}


class Pool:
    """Opens one connection at once and raises psycopg2.OperationalError when that fails."""

    def __init__(self, url: str, user: str, password: str, size: int) -> None:
        self._settings = parse_jdbc_url(url) | {"user": user, "password": password, "connect_timeout": 5}
        self._idle: queue.LifoQueue[Connection] = queue.LifoQueue()
        self._slots = threading.BoundedSemaphore(max(1, size))
        self._idle.put(self._connect())

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit mode; DatabaseUnavailable after five seconds without one."""
        deadline = time.monotonic() + CONNECTION_TIMEOUT_SECONDS
        if not self._slots.acquire(timeout=CONNECTION_TIMEOUT_SECONDS):
            raise DatabaseUnavailable("every connection is in use")
        try:
            usable = self._usable(deadline)
            try:
                yield usable
            finally:
                if usable.closed:
                    usable.close()
                else:
                    self._idle.put(usable)
        finally:
            self._slots.release()

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """A cursor whose work is committed at the end, or rolled back on any exception."""
        with self.connection() as usable, usable.cursor() as cursor:
            cursor.execute("begin")
            try:
                yield cursor
                cursor.execute("commit")
            except BaseException:
                with suppress(psycopg2.Error):
                    cursor.execute("rollback")
                raise

    def close(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().close()

    def _usable(self, deadline: float) -> Connection:
        while True:
            try:
                return self._checked(self._idle.get_nowait())
            except queue.Empty:
                pass
            except psycopg2.Error:
                continue
            try:
                return self._connect()
            except psycopg2.Error as error:
                if time.monotonic() + 0.25 > deadline:
                    raise DatabaseUnavailable(f"no connection within 5 s: {error}") from error
                time.sleep(0.25)

    def _connect(self) -> Connection:
        connection = psycopg2.connect(**self._settings)
        connection.autocommit = True
        return connection

    @staticmethod
    def _checked(connection: Connection) -> Connection:
        with connection.cursor() as cursor:
            cursor.execute("select 1")
        return connection

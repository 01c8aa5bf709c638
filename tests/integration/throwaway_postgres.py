# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A PostgreSQL server of the test's own, on a free port, gone at the end of the session."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from lab import postgres as lab_postgres
from lab.layout import Paths

SCHEMA = Path(lab_postgres.__file__).parent / "schema"


@dataclass
class Throwaway:
    """The running server; ``password`` is the superuser's."""

    port: int
    password: str

    def connect(self, database: str = "postgres") -> Any:
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
            connect_timeout=5,
        )
        connection.autocommit = True
        return connection

    def run(self, *statements: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run the statements as superuser; the rows of the last one."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def url(self, database: str) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/{database}"

    def schema(self, database: str) -> None:
        """BackOffice's tables and the row of their migration."""
        names = ("flyway_schema_history.sql", "V1__backoffice.sql")
        history = "INSERT INTO flyway_schema_history VALUES (1,'1','backoffice','SQL','V1__backoffice.sql',1,'t',now(),1,true)"
        self.run(*((SCHEMA / name).read_text() for name in names), history, database=database)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def throwaway() -> Iterator[Throwaway]:
    try:
        lab_postgres.wheel_bin()
    except lab_postgres.MissingPostgres as error:
        pytest.skip(str(error))
    with serving() as server:
        yield server


@contextmanager
def serving() -> Iterator[Throwaway]:
    """The server, for as long as the context is open."""
    folder = Path(tempfile.mkdtemp(prefix="sre-pg-"))
    folder.chmod(0o755)
    paths = Paths(folder)
    paths.secrets.mkdir(mode=0o700)
    password = secrets.token_urlsafe(16)
    paths.secret_file("postgres_password").write_text(password)
    server = lab_postgres.ensure(paths)
    identity: dict[str, Any] = {}
    if server.account:
        entry = pwd.getpwnam(server.account)
        identity = {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    port = free_port()
    settings = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    process = subprocess.Popen(
        [str(server.bin / "postgres"), "-D", str(server.data), *options],
        cwd="/",
        env={"PATH": os.defpath},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **identity,
    )
    found = Throwaway(port, password)
    try:
        until = time.monotonic() + 30
        while True:
            try:
                found.connect().close()
                break
            except psycopg2.OperationalError:
                assert process.poll() is None, "PostgreSQL ended"
                assert time.monotonic() < until, "PostgreSQL did not answer within 30 s"
                time.sleep(0.05)
        yield found
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)
        shutil.rmtree(folder)
        if server.home.exists():
            shutil.rmtree(server.home)

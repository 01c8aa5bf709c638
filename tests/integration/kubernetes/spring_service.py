# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference Spring Boot service on the lab's PostgreSQL and Kafka: a database, a topic and a port of the test's own."""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest
import requests

from lab import java, kafka, spring_build
from lab.layout import address, paths, ports
from tests.integration.throwaway_postgres import free_port

START_SECONDS = 120
STOP_SECONDS = 20
FIRST_WORDS = 4000  # of a log, in the message of a start that failed


@dataclass
class Spring:
    """A running service."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def get(self, path: str, **headers: str) -> requests.Response:
        return requests.get(self.url + path, headers=headers, timeout=30)

    def health(self, path: str = "/actuator/health") -> Any:
        return self.get(path).json()

    @contextmanager
    def fault(self, name: str, value: str) -> Iterator[None]:
        """The service with a fault, for as long as the block lasts."""
        answer = requests.put(f"{self.url}/faults/{name}", params={"value": value}, timeout=30)
        assert answer.status_code == 200, answer.text
        try:
            yield
        finally:
            requests.delete(f"{self.url}/faults/{name}", timeout=30).raise_for_status()


@dataclass
class Database:
    """A database and its owner, whose password is of no value elsewhere."""

    name: str
    password: str

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        return run(statement, self.name)

    @contextmanager
    def gone(self) -> Iterator[None]:
        """Its owner cannot connect any more, and has no sessions."""
        run(f"alter role {self.name} nologin")
        run(f"select pg_terminate_backend(pid) from pg_stat_activity where usename = '{self.name}'")
        try:
            yield
        finally:
            run(f"alter role {self.name} login")


def run(statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
    """Run a statement on the lab's server as superuser; its rows."""
    connection = psycopg2.connect(
        host="127.0.0.1",
        port=ports()["postgresql"],
        user="postgres",
        password=paths().secret("postgres_password"),
        dbname=database,
        connect_timeout=5,
    )
    connection.autocommit = True
    with closing(connection), connection.cursor() as cursor:
        cursor.execute(statement)
        return list(cursor.fetchall()) if cursor.description else []


@contextmanager
def database() -> Iterator[Database]:
    """A fresh one, dropped at the end."""
    made = Database(f"spring_{secrets.token_hex(4)}", secrets.token_hex(16))
    run(f"create role {made.name} login password '{made.password}'")
    try:
        run(f"create database {made.name} owner {made.name}")
        yield made
    finally:
        run(f"drop database if exists {made.name} with (force)")
        run(f"drop role {made.name}")


def jar_or_skip() -> Path:
    """The built service. Without a Java compiler the test is left out, which STRICT=1 does not allow."""
    try:
        return spring_build.ensure()
    except spring_build.MissingJdk as error:
        pytest.skip(str(error))


@contextmanager
def spring(folder: Path, owner: Database, wait: bool = True, **variables: Any) -> Iterator[Spring]:
    """The service, ready to answer (unless ``wait`` is False), ended at the end."""
    jar_or_skip()
    port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "SERVICE_NAME": "identity-service",
        "SERVER_PORT": str(port),
        "DB_PORT": str(ports()["postgresql"]),
        "DB_NAME": owner.name,
        "DB_USER": owner.name,
        "DB_PASSWORD": owner.password,
        "KAFKA_BOOTSTRAP_SERVERS": address("kafka"),
        "KAFKA_TOPIC": f"{owner.name}.events",
        "KAFKA_GROUP_ID": f"{owner.name}.group",
        **variables,
    }
    log = folder / f"spring-{port}.log"
    program = java.of_machine()
    assert program
    with log.open("wb") as stream:
        process = subprocess.Popen(spring_build.command(program), env=environment, stdout=stream, stderr=stream)
    try:
        service = Spring(f"http://127.0.0.1:{port}", process, log)
        if wait:
            _wait_ready(service)
        yield service
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _forget(environment["KAFKA_TOPIC"], environment["KAFKA_GROUP_ID"])


def _wait_ready(service: Spring) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if service.process.poll() is not None:
            break
        try:
            if service.get("/actuator/health/liveness").status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(0.1)
    raise AssertionError(f"the service did not start: {service.log.read_text()[-FIRST_WORDS:]}")


def _forget(topic: str, group: str) -> None:
    client = kafka.admin()
    for future in (*client.delete_consumer_groups([group]).values(), *client.delete_topics([topic]).values()):
        future.exception(timeout=20)


def eventually(true: Any, seconds: float = 60) -> None:
    """Wait until ``true()`` is."""
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, f"not within {seconds} s"
        time.sleep(0.1)

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of pg_idle_kill over many idle sessions, against the runbook's statement through psql.

The sessions are real ones, on a server of the benchmark's own; ``SESSIONS`` (default 2000) sets their number. Ours is a
task in check mode; theirs is a task that runs psql with the runbook's condition as a SELECT, which ends nothing either.
Both are the best of some runs of a play, less the best of as many runs of an empty one. All take turns.

Run alone: ``make bench B=pg_idle_kill``.
"""

from __future__ import annotations

import contextlib
import os
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2

from lab.postgres import wheel_bin
from tests.benchmarks.plays import Plays, Tasks, best, plays, time_row
from tests.integration.throwaway_postgres import Throwaway
from tests.support import postgres_majors

SESSIONS = int(os.environ.get("SESSIONS", "2000"))
ROUNDS = 5
TARGET = 0.5
SPARE = 100
IDLE_SECONDS = 1
DATABASE, USER, PASSWORD = "hafnium", "hafnium", "benchmark-only"


@contextmanager
def server() -> Iterator[Throwaway]:
    """A server with that many idle sessions of one user, each of which has run a query."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, SESSIONS + SPARE * 10)), hard))
    settings = {"max_connections": str(SESSIONS + SPARE), "scram_iterations": "1"}  # or each login costs 10 ms
    with postgres_majors.server(postgres_majors.NEWEST, settings) as made, contextlib.ExitStack() as opened:
        made.run(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        made.run(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        for _ in range(SESSIONS):
            connection = psycopg2.connect(
                host="127.0.0.1", port=made.port, user=USER, password=PASSWORD, dbname=DATABASE, connect_timeout=30
            )
            opened.callback(connection.close)
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        time.sleep(IDLE_SECONDS + 0.5)
        yield made


def ours(made: Throwaway) -> Tasks:
    """Plan, and insist that every session was seen."""
    options = {
        "login_host": "127.0.0.1",
        "login_port": made.port,
        "login_user": "postgres",
        "login_password": made.password,
        "login_db": DATABASE,
        "idle_seconds": IDLE_SECONDS,
        "floor_seconds": 0,
        "max_kill": 1000,
    }
    wrong = f"r.planned + r.withheld != {SESSIONS}"
    return [{"sre.runbooks.pg_idle_kill": options, "check_mode": True, "register": "r", "failed_when": wrong}]


def theirs(made: Throwaway) -> Tasks:
    statement = (
        "SELECT pid, usename, application_name, client_addr, state, query_start FROM pg_stat_activity"
        f" WHERE datname='{DATABASE}' AND state='idle' AND query_start < now() - interval '{IDLE_SECONDS} s'"
    )
    line = [str(wheel_bin() / "psql"), "-h", "127.0.0.1", "-p", str(made.port), "-U", "postgres", "-At"]
    task: dict[str, Any] = {
        "ansible.builtin.command": {"argv": [*line, "-c", statement, DATABASE]},
        "environment": {"PGPASSWORD": made.password},
        "register": "r",
        "changed_when": False,
        "failed_when": f"r.stdout_lines | length != {SESSIONS}",
    }
    return [task]


def measure(made: Throwaway, runs: Plays) -> dict[str, Any]:
    for tasks in (ours(made), theirs(made)):
        runs.seconds(tasks)  # compiled and in memory
    empty, own, other = best(
        ROUNDS,
        lambda: runs.seconds([]),
        lambda: runs.seconds(ours(made)),
        lambda: runs.seconds(theirs(made)),
    )
    name = f"pg_idle_kill, plan over {SESSIONS} idle sessions, against a psql task with the runbook's condition"
    return time_row(name, own - empty, other - empty, TARGET)


def rows() -> list[dict[str, Any]]:
    """The measurement; seconds above an empty play."""
    with server() as made, plays() as runs:
        return [measure(made, runs)]


def main() -> None:
    for row in rows():
        print(f"{row['name']}: {row['ours_seconds']:.3f} s against {row['theirs_seconds']:.3f} s, {row['ratio']:.2f}x")


if __name__ == "__main__":
    main()

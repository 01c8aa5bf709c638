# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""flyway_status against Flyway's own info, for histories of 50 and of 2,000 migrations.

Ours is the best of some runs of ansible-playbook with the one task (which also insists that every migration was seen),
less the best of as many runs of a play without a task. Theirs is the best of some runs of Flyway's command line alone,
without Ansible. All take turns, on a server of the benchmark's own.

Run alone: ``make bench B=flyway_status``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from lab import flyway, histories, jars, java
from lab.layout import paths
from tests.benchmarks.plays import Plays, Tasks, best, plays, time_row
from tests.integration.throwaway_postgres import Throwaway
from tests.support import postgres_majors

SIZES = (50, 2000)
ROUNDS = 5
TARGET = 10
RUN_SECONDS = 120
DATABASE = "postgres"
SCRIPT = """-- Migration {number}
CREATE TABLE table_{number} (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name varchar(200) NOT NULL,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX table_{number}_name_idx ON table_{number} (name);
"""
DDL = (Path(histories.__file__).parent / "schema" / f"{histories.TABLE}.sql").read_text(encoding="utf-8")


@contextmanager
def scene() -> Iterator[tuple[Throwaway, Path]]:
    """A server with one schema for each size, all of its migrations in the history, and the folders of their files."""
    with (
        postgres_majors.server(postgres_majors.NEWEST, {}) as made,
        tempfile.TemporaryDirectory(prefix="benchmark-") as name,
    ):
        for size in SIZES:
            _history(made, Path(name) / str(size), size)
        yield made, Path(name)


def _history(made: Throwaway, folder: Path, size: int) -> None:
    folder.mkdir()
    with closing(made.connect(DATABASE)) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE SCHEMA s{size}; SET search_path TO s{size}; {DDL}")
        for number in range(1, size + 1):
            script, text = f"V{number}__table_{number}.sql", SCRIPT.format(number=number)
            (folder / script).write_text(text, encoding="utf-8")
            cursor.execute(
                f"INSERT INTO {histories.TABLE} VALUES (%s, %s, %s, 'SQL', %s, %s, 'postgres', now(), 1, true)",
                [number, str(number), f"table {number}", script, histories.checksum(text)],
            )


def ours(made: Throwaway, folder: Path, size: int) -> Tasks:
    """Look, and insist that every migration was seen and is well."""
    options = {
        "login_host": "127.0.0.1",
        "login_port": made.port,
        "login_user": "postgres",
        "login_password": made.password,
        "login_db": DATABASE,
        "histories": [{"name": "bench", "schema": f"s{size}", "locations": [f"filesystem:{folder / str(size)}"]}],
    }
    wrong = f"r.verdict != 'pass' or r.histories[0].migrations | length != {size}"
    return [{"sre.runbooks.flyway_status": options, "register": "r", "failed_when": wrong}]


def theirs(made: Throwaway, folder: Path, size: int, engine: Path) -> float:
    """Seconds of one ``flyway info``; a failed run, or one that misses a migration, ends the benchmark."""
    variables = {
        "FLYWAY_URL": made.url(DATABASE),
        "FLYWAY_USER": "postgres",
        "FLYWAY_PASSWORD": made.password,
        "FLYWAY_SCHEMAS": f"s{size}",
        "FLYWAY_LOCATIONS": f"filesystem:{folder / str(size)}",
    }
    begun = time.perf_counter()
    done = subprocess.run(
        [*flyway.command(engine, jars.FLYWAY.ensure()), "info", "-outputType=json"],
        env={**os.environ, **variables},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=RUN_SECONDS,
    )
    spent = time.perf_counter() - begun
    if done.returncode or done.stdout.count('"Success"') != size:
        sys.exit(f"flyway info does not show {size} migrations:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return spent


def measure(made: Throwaway, folder: Path, size: int, runs: Plays, engine: Path) -> dict[str, Any]:
    task = ours(made, folder, size)
    runs.seconds(task)  # compiled and in memory
    theirs(made, folder, size, engine)
    empty, own, other = best(
        ROUNDS,
        lambda: runs.seconds([]),
        lambda: runs.seconds(task),
        lambda: theirs(made, folder, size, engine),
    )
    name = f"flyway_status, {size} migrations, above an empty play, against Flyway's info alone"
    return time_row(name, own - empty, other, TARGET)


def rows() -> list[dict[str, Any]]:
    """A measurement for each size."""
    paths().run.mkdir(parents=True, exist_ok=True)
    engine = java.recorded(paths()) or java.ensure(paths())
    with scene() as (made, folder), plays() as runs:
        return [measure(made, folder, size, runs, engine) for size in SIZES]


def main() -> None:
    for row in rows():
        print(f"{row['name']}: {row['ours_seconds']:.3f} s against {row['theirs_seconds']:.3f} s, {row['ratio']:.1f}x")


if __name__ == "__main__":
    main()

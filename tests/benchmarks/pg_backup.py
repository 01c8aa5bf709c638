# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup and a restore by the modules against plain ``pg_dump --format=custom`` and ``pg_restore``.

Ours includes what the plain programs leave out: the fingerprint of every table, sha256, reading back, and comparing what
was restored. ``SIZE_MB`` (default 200) sets the size of the database. Run alone: ``make bench B=pg_backup``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyrage

from lab import postgres as lab_postgres
from tests.integration.backup_scene import Scene
from tests.integration.throwaway_postgres import Throwaway, serving

SIZE_MB = int(os.environ.get("SIZE_MB", "200"))
ROUNDS = 3
TARGET = 0.5  # with all that is verified, at most twice the time
TABLE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, account text, symbol text, price numeric, made timestamptz, note text)",
    "INSERT INTO orders SELECT n, 'acct_' || n % 500, 'BTC_USDT', n % 90000 + 0.25, timestamptz '2031-04-02' + n * "
    "interval '1 s', md5(n::text) || md5((n * 7)::text) FROM generate_series(1, {rows}) n",
    "ANALYZE orders",
)
BYTES_PER_ROW = 175


def timed(works: Mapping[str, Callable[[int], object]]) -> dict[str, float]:
    """The median of some rounds for each, in seconds; in turn, so that a busy moment of the machine hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for number in range(ROUNDS):
        for name, work in works.items():
            begun = time.monotonic()
            work(number)
            found[name].append(time.monotonic() - begun)
    return {name: statistics.median(times) for name, times in found.items()}


class One(Scene):
    """A set of the one large database."""

    @property
    def databases(self) -> list[dict[str, Any]]:
        return [{"name": "orders", "login_db": "orders"}]


def rows() -> list[dict[str, Any]]:
    with serving() as server, tempfile.TemporaryDirectory(prefix="bench-backup-") as folder:
        server.run("CREATE DATABASE orders")
        server.run(*(line.format(rows=SIZE_MB * 1_000_000 // BYTES_PER_ROW) for line in TABLE), database="orders")
        return measured(server, Path(folder))


def measured(server: Throwaway, folder: Path) -> list[dict[str, Any]]:
    ((size,),) = server.run("SELECT pg_database_size('orders')")
    scene = One(server, folder, login={"timeout": 1800.0})
    programs = lab_postgres.wheel_bin()
    environment = {**os.environ, "PGPASSWORD": server.password}
    where = ["--host=127.0.0.1", f"--port={server.port}", "--username=postgres"]
    key = pyrage.x25519.Identity.generate()
    identity = folder / "identity"
    identity.write_text(str(key))
    plain = folder / "plain.dump"

    def run(program: str, *arguments: str) -> None:
        subprocess.run([str(programs / program), *where, *arguments], env=environment, check=True)

    def dump(number: int) -> None:
        run("pg_dump", "--format=custom", f"--file={plain}", "orders")

    def restore(number: int) -> None:
        server.run(f"CREATE DATABASE plain_{number}")
        run("pg_restore", "--exit-on-error", f"--dbname=plain_{number}", str(plain))
        server.run(f"DROP DATABASE plain_{number}")

    def backup(recipients: list[str]) -> Callable[[int], object]:
        def work(number: int) -> object:
            scene.ahead += 2  # ids are of seconds
            return scene.backup(recipients=recipients)

        return work

    def drill(number: int) -> None:
        scene.restore("scratch", drill_id=f"d{number}", identity_file=str(identity))
        scene.restore("absent", drill_id=f"d{number}")

    took = timed(
        {
            "dump": dump,
            "backup": backup([]),
            "restore": restore,
            "drill": drill,
            "encrypted": backup([str(key.to_public())]),
            "decrypted": drill,
        }
    )
    megabytes = f"{size / 1e6:.0f} MB"
    return [
        row(f"pg_backup, {megabytes}", took["backup"], took["dump"]),
        row(f"pg_backup encrypted, {megabytes}", took["encrypted"], took["dump"]),
        row(f"pg_restore verified, {megabytes}", took["drill"], took["restore"]),
        row(f"pg_restore verified, encrypted, {megabytes}", took["decrypted"], took["restore"]),
    ]


def row(name: str, ours: float, theirs: float) -> dict[str, Any]:
    return {"name": name, "ours_seconds": ours, "theirs_seconds": theirs, "ratio": theirs / ours, "target": TARGET}


if __name__ == "__main__":
    print(json.dumps(rows(), indent=1))

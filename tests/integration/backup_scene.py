# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two databases that belong together on a throwaway server, and the backup operations with few words."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ansible_collections.sre.runbooks.plugins.module_utils import (
    backup_info,
    backup_prune,
    backup_restore,
    backup_run,
)
from ansible_collections.sre.runbooks.plugins.module_utils.argspec import ArgumentSpec
from ansible_collections.sre.runbooks.plugins.module_utils.backup_server import ident
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context, Operation
from lab import postgres as lab_postgres
from tests.integration.throwaway_postgres import Throwaway

SHOP = {
    "customer_db": (
        "CREATE TABLE customers (id serial PRIMARY KEY, name text NOT NULL)",
        "CREATE SEQUENCE order_number_sequence",
        "CREATE TABLE outbox (order_number bigint PRIMARY KEY, made timestamptz DEFAULT now())",
        "INSERT INTO customers (name) SELECT 'customer ' || n FROM generate_series(1, 500) n",
    ),
    "order_db": (
        'CREATE TABLE "ORDER_FILLED_TOTAL" ("ORDER_ID" bigint PRIMARY KEY, "Total" numeric)',
        'INSERT INTO "ORDER_FILLED_TOTAL" SELECT n, n * 1.5 FROM generate_series(1, 300) n',
    ),
}


class MovedClock(Clock):
    """The real clock, some seconds ahead or behind."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def now(self) -> float:
        return super().now() + self.ahead


@dataclass
class Scene:
    """The set ``shop`` of the databases customer_db and order_db, in a folder of the test's own."""

    server: Throwaway
    directory: Path
    set: str = "shop"
    ahead: float = 0.0
    login: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def databases(self) -> list[dict[str, Any]]:
        return [{"name": name, "login_db": f"{name}_db"} for name in ("customer", "order")]

    def _run(self, operation: Operation, spec: ArgumentSpec, options: dict[str, Any], check: bool) -> dict[str, Any]:
        login = {
            "login_host": "127.0.0.1",
            "login_port": self.server.port,
            "login_user": "postgres",
            "login_password": self.server.password,
            "bin_dir": str(lab_postgres.wheel_bin()),
            "timeout": 120.0,
            **self.login,
        }
        common = {name: value for name, value in login.items() if name in spec.options}
        given = {"set": self.set, "directory": str(self.directory), **common, **options}
        assert given.keys() <= spec.options.keys(), given.keys() - spec.options.keys()
        clock = MovedClock(self.ahead)
        context = Context(check, False, clock, Deadline(given["timeout"], clock), self.warnings.append)
        return operation(filled(spec.options, given), context)

    def backup(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return self._run(backup_run.run, backup_run.SPEC, {"databases": self.databases, **options}, check)

    def info(self, **options: Any) -> dict[str, Any]:
        return self._run(backup_info.run, backup_info.SPEC, {"max_age_hours": 24.0, **options}, False)

    def prune(self, check: bool = False, **options: Any) -> dict[str, Any]:
        return self._run(backup_prune.run, backup_prune.SPEC, {"retention_days": 15, **options}, check)

    def restore(self, state: str, check: bool = False, **options: Any) -> dict[str, Any]:
        databases = [{"name": item["name"]} for item in self.databases]
        given = {"state": state, "databases": databases, "backup": "newest", **options}
        return self._run(backup_restore.run, backup_restore.SPEC, given, check)

    def sql(self, database: str, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.run(*statements, database=database)

    def names(self) -> set[str]:
        """The databases of the server, without PostgreSQL's own."""
        found = self.server.run("SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'")
        return {name for (name,) in found}

    def tree(self) -> list[str]:
        """Every path in the folder of the backups."""
        return sorted(str(path.relative_to(self.directory)) for path in self.directory.rglob("*"))


def filled(options: dict[str, dict[str, Any]], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters as AnsibleModule gives them: defaults, and None for what is not said."""
    found: dict[str, Any] = {}
    for name, option in options.items():
        value = given.get(name, option.get("default"))
        if value is not None and option.get("options"):
            value = [filled(option["options"], item) for item in value]
        found[name] = value
    return found


@contextlib.contextmanager
def shop(server: Throwaway, directory: Path) -> Iterator[Scene]:
    """The two databases; afterwards every database and role that came since is gone."""
    scene = Scene(server, directory)
    databases, roles = scene.names(), names_of_roles(server)
    for name, statements in SHOP.items():
        server.run(f"CREATE DATABASE {name}")
        server.run(*statements, database=name)
    try:
        yield scene
    finally:
        for name in scene.names() - databases:
            server.run(f"DROP DATABASE {ident(name)} WITH (FORCE)")
        for name in names_of_roles(server) - roles:
            server.run(f"DROP ROLE {ident(name)}")


def names_of_roles(server: Throwaway) -> set[str]:
    return {name for (name,) in server.run("SELECT rolname FROM pg_roles")}

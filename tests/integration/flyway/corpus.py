# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Histories of the corpus on a real server, asked once by Flyway and once by the module, and what differs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.flyway_oracle import Oracle
from tests.integration.flyway.cases import FILE, Case, Row
from tests.integration.throwaway_postgres import Throwaway

TABLE = """
CREATE TABLE {table} (
    "installed_rank" INT NOT NULL PRIMARY KEY, "version" VARCHAR(50), "description" VARCHAR(200) NOT NULL,
    "type" VARCHAR(20) NOT NULL, "script" VARCHAR(1000) NOT NULL, "checksum" INTEGER,
    "installed_by" VARCHAR(100) NOT NULL, "installed_on" TIMESTAMP NOT NULL DEFAULT now(),
    "execution_time" INTEGER NOT NULL, "success" BOOLEAN NOT NULL)
"""
FIELDS = (
    "category",
    "version",
    "rawVersion",
    "description",
    "type",
    "installedOnUTC",
    "state",
    "undoable",
    "filepath",
    "undoFilepath",
    "installedBy",
    "shouldExecuteExpression",
    "executionTime",
)
TOP = ("schemaVersion", "schemaName", "allSchemasEmpty", "database", "operation")


@dataclass
class Built:
    """A case on the server: how Flyway and how the module are told about it, and what Flyway says."""

    case: Case
    settings: dict[str, str]
    item: dict[str, Any]
    info: dict[str, Any] = field(default_factory=dict)
    validate: dict[str, Any] = field(default_factory=dict)

    def ask(self, oracle: Oracle) -> None:
        self.info, self.validate = oracle.info(self.settings), oracle.validate(self.settings)

    @property
    def states(self) -> set[str]:
        return {each["state"] for each in self.info.get("migrations", [])}


def quoted(*names: str) -> str:
    return ".".join('"' + name.replace('"', '""') + '"' for name in names)


def build(case: Case, number: int, folder: Path, server: Throwaway, oracle: Oracle, database: str) -> Built:
    """Write the files, fill the table."""
    here, gone = folder / f"{number}" / "now", folder / f"{number}" / "before"
    for place, files in ((here, case.files), (gone, {**case.files, **case.before})):
        place.mkdir(parents=True)
        for name, content in files.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    schema = case.schema or f"case_{number}"
    if case.rows is not None:
        table = quoted(schema, case.table)
        values = [_values(row, rank, gone, oracle, case) for rank, row in enumerate(case.rows, start=1)]
        server.run(
            f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}",
            TABLE.format(table=table),
            *(f"INSERT INTO {table} VALUES {value}" for value in values),
            database=database,
        )
    locations = f"filesystem:{here}"
    settings = {
        "url": server.url(database),
        "user": "postgres",
        "password": server.password,
        "schemas": schema,
        "table": case.table,
        "locations": locations,
        **{name: value for option, given in case.settings.items() for name, value in _flyways(option, given)},
    }
    item = {"name": f"case {number}", "schema": schema, "table": case.table, "locations": [locations], **case.settings}
    return Built(case, settings, item)


def _values(row: Row, rank: int, folder: Path, oracle: Oracle, case: Case) -> str:
    checksum = row.checksum
    if checksum is FILE:
        checksum = oracle.checksum(folder / row.file, case.settings.get("encoding", "UTF-8"))
    fields = [
        row.rank if row.rank is not None else rank,
        row.version,
        row.description,
        row.type,
        row.file,
        checksum,
        "postgres",
        f"2031-04-02 03:00:{rank:02d}.{rank * 1000:06d}",
        rank,
        row.success,
    ]
    return (
        "(" + ", ".join("NULL" if each is None else "'" + str(each).replace("'", "''") + "'" for each in fields) + ")"
    )


def _flyways(option: str, given: Any) -> list[tuple[str, str]]:
    """An option by Flyway's name: out_of_order is outOfOrder, a dict has a name for each key."""
    name = re.sub(r"_(.)", lambda found: found[1].upper(), option)
    if isinstance(given, dict):
        return [(f"{name}.{key}", value) for key, value in given.items()]
    if isinstance(given, list):
        return [(name, ",".join(given))]
    return [(name, str(given).lower() if isinstance(given, bool) else given)]


def differences(built: Built, ours: dict[str, Any]) -> list[str]:
    """What the module says otherwise than Flyway, a line each."""
    if "error" in built.info or "error" in built.validate:
        complaint = (built.info.get("error") or built.validate["error"])["message"].splitlines()[0]
        return [] if ours["errors"] else [f"Flyway stops: {complaint}; the module does not"]
    if ours["errors"]:
        return [f"the module stops: {ours['errors']}; Flyway does not"]
    found = [
        f"{name}: Flyway {built.info[name]!r}, module {ours[name]!r}" for name in TOP if built.info[name] != ours[name]
    ]
    found += _rows(built.info["migrations"], ours["migrations"])
    theirs = [_invalid(each) for each in built.validate["invalidMigrations"]]
    mine = [
        (each["version"], each["description"], each["filepath"], each["errorCode"])
        for each in ours["validation_errors"]
    ]
    if theirs and theirs != mine:
        found.append(f"validate: Flyway {theirs}, module {mine}")
    if built.validate["validationSuccessful"] != (not mine):
        found.append(f"validate: Flyway {built.validate['validationSuccessful']}, module {mine}")
    return found


def _rows(theirs: Sequence[dict[str, Any]], mine: Sequence[dict[str, Any]]) -> list[str]:
    if len(theirs) != len(mine):
        names = [
            [f"{each['rawVersion'] or each['description']} {each['state']}" for each in rows] for rows in (theirs, mine)
        ]
        return [f"Flyway has {names[0]}, the module {names[1]}"]
    return [
        f"{name} of migration {index} ({one['version'] or one['description']}): Flyway {one[name]!r}, module {other[name]!r}"
        for index, (one, other) in enumerate(zip(theirs, mine, strict=True))
        for name in FIELDS
        if one[name] != other[name]
    ]


def _invalid(each: dict[str, Any]) -> tuple[str, str, str, str]:
    return each["version"] or "", each["description"], each["filepath"] or "", each["errorDetails"]["errorCode"]

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of migrations: of the lab's copies of the files, and of the history tables."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from lab import databases, histories, postgres
from lab.faults.database_sessions import PART, rows
from lab.faults.model import Fault
from lab.layout import paths

SCHEMAS = {history.service: history.schema for history in databases.DATABASES["hafnium"].histories}
MORE = "CREATE TABLE {name} (id bigint PRIMARY KEY);\n"
CHANGE = "-- changed after it was applied\n"


def copy(folder: str) -> Path:
    """The lab's copy of the migrations of a folder such as ``hafnium/case``."""
    return paths().migrations / folder


def _put(service: str, version: int, name: str) -> str:
    """A further migration in the copy; its file name."""
    script = f"V{version}__{name}.sql"
    (copy(f"hafnium/{service}") / script).write_text(MORE.format(name=name), encoding="utf-8")
    return script


def _apply(service: str, version: int, name: str, success: bool = True) -> None:
    """What a run of that migration would have left in schema and history."""
    text = MORE.format(name=name)
    with (
        databases.complaints(f"migration {version} of {service}"),
        closing(postgres.connect(paths(), "hafnium", "hafnium")) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(f'SET search_path TO "{SCHEMAS[service]}"')
        if success:
            cursor.execute(text)
        cursor.execute(
            f"INSERT INTO {histories.TABLE} SELECT max(installed_rank) + 1, %s, %s, 'SQL', %s, %s, session_user, now(), 1, %s"
            f" FROM {histories.TABLE}",
            [
                str(version),
                name.replace("_", " "),
                f"V{version}__{name}.sql",
                histories.checksum(text),
                success,
            ],
        )


def _healed(service: str) -> Callable[[], None]:
    """The schema of a service made anew, and every copy as the repository has it."""

    def undo() -> None:
        databases.rebuild(paths(), "hafnium", SCHEMAS[service])
        databases.copy_migrations(paths())

    return undo


def _failed_row() -> None:
    _put("screening", 2, "list_versions")
    _apply("screening", 2, "list_versions", success=False)


def _out_of_order() -> None:
    _put("monitoring", 3, "rules")
    _apply("monitoring", 3, "rules")
    _put("monitoring", 2, "thresholds")


def _missing() -> None:
    _apply("risk-engine", 2, "features")
    _put("risk-engine", 3, "explanations")
    _apply("risk-engine", 3, "explanations")


def _change(folder: str) -> None:
    script = next(iter(sorted(copy(folder).glob("V*.sql"), reverse=True)))
    script.write_text(script.read_text(encoding="utf-8") + CHANGE, encoding="utf-8")


def _copies() -> None:
    databases.copy_migrations(paths())


def _pending() -> None:
    _put("case", 2, "case_links")


def _duplicate() -> None:
    _put("identity", 1, "identity_audit")


def failed_rows(schema: str) -> int:
    """How many failed rows the history of a schema of hafnium has."""
    ((count,),) = rows(f'SELECT count(*) FROM "{schema}".{histories.TABLE} WHERE NOT success', database="hafnium")
    return int(count)


FAULTS = (
    Fault(
        "hafnium-flyway-failed-row",
        "the history of screening has a failed migration 2: the next migrate refuses",
        _failed_row,
        _healed("screening"),
        PART,
    ),
    Fault(
        "hafnium-flyway-changed-file",
        "migration 1 of vault was edited after it was applied: the next start of the service refuses",
        lambda: _change("hafnium/vault"),
        _copies,
        PART,
    ),
    Fault("hafnium-flyway-pending", "migration 2 of case is not applied yet", _pending, _healed("case"), PART),
    Fault(
        "hafnium-flyway-out-of-order",
        "migration 2 of monitoring came after 3 was applied: the next migrate refuses",
        _out_of_order,
        _healed("monitoring"),
        PART,
    ),
    Fault(
        "hafnium-flyway-missing",
        "migration 2 of risk was applied, and its file is gone",
        _missing,
        _healed("risk-engine"),
        PART,
    ),
    Fault(
        "hafnium-flyway-duplicate",
        "identity has two files with version 1: info, validate, migrate and repair all fail",
        _duplicate,
        _copies,
        PART,
    ),
    Fault(
        "ecommerce-migration-mutated",
        "migration 9 of customer_db was edited after it was applied",
        lambda: _change("ecommerce/customer"),
        _copies,
        PART,
    ),
)

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several databases in one task: who they are, and the same question to each, side by side.

A module takes a list ``databases``; what an item does not say comes from the module's own login options. Without a list
there is one database, that of the login options.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from . import postgres
from .argspec import ArgumentSpec
from .errors import DeadlineError, InputError
from .operation import Context
from .postgres import PostgresError, Session

MOST = 200
T = TypeVar("T")

# Suboptions of an item; a module adds its own.
OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "url": {"type": "str"},
    **{
        name: {key: value for key, value in option.items() if key != "fallback"}
        for name, option in postgres.TARGET.options.items()
    },
}
LOGIN = tuple(postgres.TARGET.options)


def spec(option: str = "databases", **suboptions: dict[str, Any]) -> ArgumentSpec:
    """The list of databases under the name ``option``, with further suboptions, beside login and session options."""
    return ArgumentSpec(
        options={
            option: {
                "type": "list",
                "elements": "dict",
                "options": {**OPTIONS, **suboptions},
                "mutually_exclusive": [("url", "login_host"), ("url", "login_port"), ("url", "login_db")],
            },
            "concurrency": {"type": "int", "default": 8},
        }
    ).merge(postgres.SPEC)


@dataclass(frozen=True)
class Database:
    """One database: the name that checks carry, libpq's parameters (with secrets), and the item it was made of."""

    name: str
    parameters: dict[str, str] = field(repr=False)
    search_path: str | None = None
    item: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def dbname(self) -> str:
        """Name of the database on its server; empty when it is left to the server to name it like the user."""
        return self.parameters.get("dbname", "")


def of(params: Mapping[str, Any], option: str = "databases") -> list[Database]:
    """The databases a task names. InputError for none, a name used twice, or a value that is empty by mistake."""
    _refuse_empty(params, "")
    items = params.get(option)
    if items is None:
        return [_one({"name": params.get("login_db") or params.get("login_user") or "database"}, params)]
    if not items:
        raise InputError(f"{option} is an empty list: name at least one database")
    if len(items) > MOST:
        raise InputError(f"{option} names {len(items)} databases; at most {MOST} are asked in one task")
    names = [item["name"] for item in items]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(f"{option} has {', '.join(twice)} twice: each needs a name of its own")
    for number, item in enumerate(items):
        _refuse_empty(item, f"{option}[{number}].")
    return [_one(item, params) for item in items]


def each(
    databases: Sequence[Database],
    params: Mapping[str, Any],
    context: Context,
    ask: Callable[[Session, Database], T],
    readonly: bool = True,
) -> list[T | PostgresError]:
    """What ``ask`` makes of each database, in their order; where the server could not be asked, the reason."""
    if not 1 <= params["concurrency"] <= 64:
        raise InputError(f"concurrency is {params['concurrency']}; it must be from 1 to 64")

    def one(database: Database) -> T | PostgresError:
        try:
            with postgres.session(
                database.parameters, params, context.deadline, database.search_path, readonly
            ) as session:
                return ask(session, database)
        except PostgresError as error:
            return error
        except DeadlineError as error:
            return PostgresError("deadline", error.message)

    if len(databases) == 1:
        return [one(databases[0])]
    with ThreadPoolExecutor(min(params["concurrency"], len(databases))) as pool:
        return list(pool.map(one, databases))


def _one(item: Mapping[str, Any], params: Mapping[str, Any]) -> Database:
    if item.get("url"):
        found, search_path = postgres.parameters_of_url(item["url"])
        login = {name: item.get(name) or params.get(name) for name in ("login_user", "login_password")}
        return Database(item["name"], {**postgres.parameters_of_login(login), **found}, search_path, item)
    merged = {name: item[name] if item.get(name) is not None else params.get(name) for name in LOGIN}
    return Database(item["name"], postgres.parameters_of_login(merged), None, item)


def _refuse_empty(values: Mapping[str, Any], where: str) -> None:
    """An empty host or database is an unset variable; libpq would go to another server without a word."""
    for name in ("name", "url", *LOGIN):
        if isinstance(values.get(name), str) and not values[name].strip():
            raise InputError(
                f"{where}{name} is empty: is the variable set that it comes from? Leave it out to use the default"
            )

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An application that holds sessions: ``python -m lab.faults.sessions`` reads what they do from standard input.

A JSON list; each item has count, database, user, application_name, statements (run one after the other, and kept open
as they leave the session), and blocks: the last statement does not come back.
"""

from __future__ import annotations

import json
import sys
import threading
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from lab.credentials import DATABASE_USERS
from lab.layout import paths, ports

if TYPE_CHECKING:
    import psycopg2.extensions


@dataclass(frozen=True)
class Group:
    """Sessions that do the same. With autocommit, so that BEGIN is said where a transaction is wanted."""

    application_name: str
    statements: list[str] = field(default_factory=list)
    count: int = 1
    database: str = "hafnium"
    user: str = "hafnium"
    blocks: bool = False


def text(groups: list[Group]) -> str:
    return json.dumps([asdict(group) for group in groups])


def _connect(group: Group) -> psycopg2.extensions.connection:
    import psycopg2

    return psycopg2.connect(
        host="127.0.0.1",
        port=ports()["postgresql"],
        dbname=group.database,
        user=group.user,
        password=paths().secret(DATABASE_USERS[group.user]),
        application_name=group.application_name,
    )


def _hold(group: Group, begun: threading.Event) -> None:
    import psycopg2

    try:
        connection = _connect(group)
    except psycopg2.OperationalError:
        return  # no place is left
    connection.autocommit = True
    cursor = connection.cursor()
    for number, statement in enumerate(group.statements, start=1):
        if group.blocks and number == len(group.statements):
            begun.set()
        try:
            cursor.execute(statement)
        except psycopg2.Error:
            continue  # an aborted transaction may be what is wanted
    begun.set()
    threading.Event().wait()


def main() -> None:
    """Open the sessions in their order, then hold them until the process is ended."""
    for item in json.load(sys.stdin):
        group = Group(**item)
        for _ in range(group.count):
            begun = threading.Event()
            thread = threading.Thread(target=_hold, args=[group, begun], daemon=True)
            thread.start()
            while thread.is_alive() and not begun.wait(0.05):
                pass
    print("holding", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()

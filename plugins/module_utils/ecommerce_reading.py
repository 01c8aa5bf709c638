# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the tables of the shop are read: in the zone their times are in, and each reading apart from the others.

All times of the shop's tables are without a zone, in the zone of its services. The session is put into that zone, so that
the server compares them with its own clock, whatever zone it is in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from .checks import FAIL, UNVERIFIED, Check, Status
from .errors import InputError
from .postgres import PostgresError, Session

CUSTOMER, ORDER = "customer_db", "order_db"
AHEAD_SECONDS = 60.0
MOST_COUNTED = 100_000
# What a key of an answer is called, in SQL: the key itself lets one ask for the answer.
KEY_NAME = "left(encode(sha256(convert_to(idempotency_key, 'UTF8')), 'hex'), 16)"
_ZONE = re.compile(r"UTC|[A-Z][A-Za-z]+(/[A-Z][A-Za-z0-9_+-]+)+")

T = TypeVar("T")


def zone(name: str) -> str:
    """The name of a zone, checked. PostgreSQL itself takes others too, such as UTC+5, which it reads the other way round."""
    if not _ZONE.fullmatch(name):
        raise InputError(
            f"time_zone is {name[:60]!r}; give UTC or a name such as Europe/Berlin, as the services' JVM has it"
        )
    return name


def set_zone(session: Session, name: str) -> None:
    """Read times without a zone as those of this zone. InputError when the server does not know it."""
    try:
        session.rows("SELECT pg_catalog.set_config('TimeZone', %s, false)", [name])
    except PostgresError as error:
        if error.kind != "statement":
            raise
        raise InputError(f"time_zone is {name!r}, which PostgreSQL at {session.where} does not know") from error


def attempt(read: Callable[[], T]) -> T | PostgresError:
    """What was read, or why it could not be."""
    try:
        return read()
    except PostgresError as error:
        return error


def unread(name: str, title: str, error: PostgresError, expected: Any, runbook: str) -> Check:
    """A check whose rows could not be read: a table that is not there is a fault, a lacking right is not known."""
    hint = "The time is used up or a right is lacking: see the message; docs/grants.sql has the rights."
    if error.kind == "schema":
        hint = "Is this the database of the shop, and has its migration run? See sre.runbooks.ecommerce.schema_change_check."
    return Check(name, title, status_of(error), error.message, expected, hint, runbook)


def status_of(error: PostgresError) -> Status:
    return FAIL if error.kind == "schema" else UNVERIFIED


def answering(name: str, answer: object, runbook: str) -> Check:
    """Whether the database let us in."""
    check = Check(f"database.{name}", f"{name} answers", "pass", "it answers", "an answer", runbook=runbook)
    if isinstance(answer, PostgresError):
        check.status = FAIL if answer.observed_fault else UNVERIFIED
        check.observed = answer.message
        check.hint = "Nothing of it was looked at."
    return check


def utc(column: str) -> str:
    """SQL that tells a time of the shop's tables in UTC, ISO 8601."""
    return f"""to_char({column}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"""


def counted(number: int) -> str:
    """A number that was counted up to ``MOST_COUNTED``, as a person says it."""
    return f"{number} or more" if number >= MOST_COUNTED else str(number)


def ahead(newest_age_seconds: float | None, zone_name: str) -> str:
    """Why ages cannot be trusted: the newest row is from the future. Empty when it is not."""
    if newest_age_seconds is None or newest_age_seconds >= -AHEAD_SECONDS:
        return ""
    return (
        f"the newest row is {-newest_age_seconds:.0f} s ahead of the server's clock: time_zone is {zone_name}, and the "
        "services write in another one, or their clocks differ"
    )


def span(seconds: float) -> str:
    """A time as a person says it."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

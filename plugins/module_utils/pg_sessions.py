# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The sessions of a PostgreSQL server as pg_stat_activity shows them, read in autocommit.

Ages are those of the server's clock. How long a session has been idle is told by ``state_change``; ``query_start`` is
when its last statement began, and NULL for a session that never ran one.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import RunbookError
from .pg_sql_text import READ
from .postgres import MOST_ROWS, Session, major_of
from .redact import observed

OLDEST_MAJOR = 13
ACTIVE = "active"
IDLE = "idle"
IN_TRANSACTION = ("idle in transaction", "idle in transaction (aborted)")
DISABLED = "disabled"
HIDDEN = "hidden"
LOCAL = "local"
READ_STATS = "GRANT pg_read_all_stats TO {user}"

_BACKENDS = """
SELECT a.pid, a.backend_start, a.usename, a.datname, coalesce(a.application_name, ''),
       coalesce(host(a.client_addr), 'local'), a.state, a.state_change,
       extract(epoch FROM clock_timestamp() - a.state_change)::float8,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       extract(epoch FROM clock_timestamp() - a.query_start)::float8,
       a.backend_type, a.leader_pid, a.wait_event_type, a.wait_event,
       coalesce(r.rolsuper, false),
       me.rolsuper OR (NOT coalesce(r.rolsuper, true)
                       AND (pg_has_role(r.oid, 'USAGE') OR pg_has_role('pg_signal_backend', 'USAGE'))),
       a.datname = current_database() AND coalesce(a.query ~* '^[[:space:]]*listen[[:space:]]', false),
       greatest(age(a.backend_xmin), age(a.backend_xid)),
       CASE WHEN %(texts)s AND a.datname = current_database() THEN left(a.query, %(read)s) END
  FROM pg_catalog.pg_stat_activity a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.usesysid
  JOIN pg_catalog.pg_roles me ON me.rolname = current_user
 WHERE a.pid <> pg_backend_pid()
 ORDER BY a.state_change, a.pid
"""


@dataclass(frozen=True)
class Backend:
    """One row. ``hidden``: the server does not show its state to us. Ages in seconds, None where there is none."""

    pid: int
    backend_start: datetime.datetime | None
    usename: str
    datname: str
    application_name: str
    client_addr: str
    state: str | None
    state_change: datetime.datetime | None
    state_seconds: float | None
    xact_seconds: float | None
    query_seconds: float | None
    backend_type: str | None
    leader_pid: int | None = None
    wait_event_type: str | None = None
    wait_event: str | None = None
    superuser: bool = False
    may_terminate: bool = True
    listens: bool = False
    xmin_age: int | None = None
    query: str | None = None

    @property
    def hidden(self) -> bool:
        return self.backend_type is None

    @property
    def client(self) -> bool:
        """Whether it is a client's session: no walsender, worker or process of the server itself."""
        return self.backend_type == "client backend" and self.leader_pid is None

    @property
    def told_state(self) -> str:
        return HIDDEN if self.hidden else self.state or "unknown"


def major(session: Session) -> int:
    """The server's major version. RunbookError where it is older than what is supported."""
    number = major_of(session.server_version)
    if number < OLDEST_MAJOR:
        raise RunbookError(
            f"PostgreSQL at {session.where} is version {session.server_version or 'unknown'}; "
            f"{OLDEST_MAJOR} is the oldest that can be asked for its sessions"
        )
    return number


def read(session: Session, texts: bool = False) -> list[Backend]:
    """All backends but our own, those longest in their state first; ``texts``: with the begin of their statements."""
    major(session)
    rows = session.rows(_BACKENDS, {"texts": texts, "read": READ})
    if len(rows) >= MOST_ROWS:
        raise RunbookError(f"PostgreSQL at {session.where} has {MOST_ROWS} sessions or more: too many to judge")
    return [Backend(pid, start, usename or "", datname or "", *rest) for pid, start, usename, datname, *rest in rows]


def of_database(backends: Iterable[Backend], datname: str) -> list[Backend]:
    """The clients' sessions of one database, and those of it that are hidden."""
    return [one for one in backends if one.datname == datname and (one.client or (one.hidden and one.usename))]


def states(backends: Iterable[Backend]) -> dict[str, int]:
    """How many are in which state; hidden ones as ``hidden``."""
    return dict(sorted(Counter(one.told_state for one in backends).items()))


def identity(one: Backend) -> dict[str, Any]:
    """Who it is, fit to be shown."""
    return {
        "pid": one.pid,
        "usename": observed(one.usename, 100),
        "datname": observed(one.datname, 100),
        "application_name": observed(one.application_name, 100),
        "client_addr": one.client_addr,
    }


def seconds(value: float | None) -> float | None:
    """An age for a result: to the tenth of a second."""
    return None if value is None else round(max(0.0, float(value)), 1)


def iso(when: datetime.datetime | None) -> str | None:
    return None if when is None else when.astimezone(datetime.UTC).isoformat(timespec="microseconds")

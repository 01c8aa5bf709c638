# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What keeps idle sessions from coming back: the server's own time limits, and the settings of pools."""

from __future__ import annotations

from collections.abc import Iterable

from .pg_idle_plan import Step
from .pg_sessions import IDLE
from .postgres import Session
from .redact import observed

IDLE_SESSION = "idle_session_timeout"  # from 14
IDLE_IN_TRANSACTION = "idle_in_transaction_session_timeout"
POOL_LIFETIME_SECONDS = 1800  # HikariCP's maxLifetime

Timeouts = dict[str, dict[str, str]]


def timeouts(session: Session, users: Iterable[str]) -> Timeouts:
    """User to the time limits that its new sessions in this database have, as the server writes them; ``0`` is none.

    A limit that this major does not know is left out.
    """
    rows = session.rows(
        """
        SELECT u.name, p.name, coalesce(s.value, p.reset_val)
          FROM unnest(%(users)s::text[]) AS u(name)
          JOIN pg_catalog.pg_roles r ON r.rolname = u.name
         CROSS JOIN (SELECT name::text, reset_val FROM pg_catalog.pg_settings WHERE name = ANY (%(names)s::text[])) p
          LEFT JOIN LATERAL (
               SELECT substr(c.line, length(p.name) + 2) AS value
                 FROM pg_catalog.pg_db_role_setting d, unnest(d.setconfig) AS c(line)
                WHERE d.setrole IN (0, r.oid) AND starts_with(c.line, p.name || '=')
                  AND d.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
                ORDER BY d.setrole <> 0 AND d.setdatabase <> 0 DESC, d.setrole <> 0 DESC, d.setdatabase <> 0 DESC
                LIMIT 1) s ON true
         ORDER BY 1, 2
        """,
        {"users": sorted(set(users)), "names": [IDLE_SESSION, IDLE_IN_TRANSACTION]},
    )
    found: Timeouts = {}
    for user, name, value in rows:
        found.setdefault(user, {})[name] = value
    return found


def hints(database: str, steps: Iterable[Step], known: Timeouts) -> list[str]:
    """One line for each cure that is not in place, by what was idle."""
    idle = sorted({step.backend.usename for step in steps if step.backend.state == IDLE})
    waiting = sorted({step.backend.usename for step in steps if step.backend.state != IDLE})
    told = [
        f"{database}: {observed(user, 100)} has no {IDLE_IN_TRANSACTION}. The server ends such sessions by itself: "
        f"ALTER ROLE {_quoted(user)} SET {IDLE_IN_TRANSACTION} = '5min'; and find the code that leaves its transaction "
        "open (leakDetectionThreshold of HikariCP)."
        for user in waiting
        if _off(known, user, IDLE_IN_TRANSACTION)
    ]
    told += [
        f"{database}: {observed(user, 100)} has no {IDLE_SESSION}. Where no pooler holds its connections open: "
        f"ALTER ROLE {_quoted(user)} SET {IDLE_SESSION} = '2h'."
        for user in idle
        if IDLE_SESSION in known.get(user, {}) and _off(known, user, IDLE_SESSION)
    ]
    if any((step.backend.state_seconds or 0) > POOL_LIFETIME_SECONDS for step in steps if step.backend.state == IDLE):
        told.append(
            f"{database}: HikariCP retires a connection after maxLifetime (30 min unless set); what is idle for longer "
            "was leaked by a pool, or comes from a client without one. minimumIdle is maximumPoolSize unless set, so "
            "that each replica of a service keeps all its connections."
        )
    return told


def _off(known: Timeouts, user: str, name: str) -> bool:
    return known.get(user, {}).get(name, "").rstrip("abcdefghijklmnopqrstuvwxyz ") in ("", "0")


def _quoted(name: str) -> str:
    return '"' + observed(name, 100).replace('"', '""') + '"'

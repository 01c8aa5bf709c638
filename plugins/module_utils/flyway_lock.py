# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lock that Flyway takes while it migrates: an advisory lock whose key is made of the table's name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .flyway_table import quoted
from .postgres import Session

_MAGIC = sum(ord(sign) << shift for sign, shift in zip("Flyway", (40, 32, 24, 16, 8, 0), strict=True))

_HOLDERS = """
SELECT l.pid, extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, a.backend_start))::float8,
       a.application_name, a.client_addr::text,
       ARRAY(SELECT b.pid FROM pg_catalog.pg_stat_activity b WHERE l.pid = ANY (pg_blocking_pids(b.pid)) ORDER BY 1),
       EXISTS (SELECT FROM pg_catalog.pg_stat_activity b
                WHERE l.pid = ANY (pg_blocking_pids(b.pid)) AND b.query ILIKE '%%concurrently%%'
                  AND b.usename IS NOT DISTINCT FROM a.usename)
  FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND l.classid::bigint = %s AND l.objid::bigint = %s
"""


@dataclass(frozen=True)
class Lock:
    """Whether a migration is under way. ``known`` False: it was not looked at. Age is null without the right to see it."""

    held: bool = False
    holder_pid: int | None = None
    age_seconds: float | None = None
    blocked_pids: list[int] = field(default_factory=list)
    application_name: str | None = None
    client_address: str | None = None
    blocks_itself: bool = False
    known: bool = True

    def as_dict(self) -> dict[str, Any]:
        return {
            "held": self.held if self.known else None,
            "holder_pid": self.holder_pid,
            "age_seconds": self.age_seconds,
            "blocked_pids": self.blocked_pids,
            "application_name": self.application_name,
            "client_address": self.client_address,
        }


def java_hash(text: str) -> int:
    """The hashCode of a Java string, signed, 32 bits."""
    number = 0
    units = text.encode("utf-16-be", "surrogatepass")
    for at in range(0, len(units), 2):
        number = (31 * number + int.from_bytes(units[at : at + 2], "big")) & 0xFFFFFFFF
    return number - 2**32 if number >= 2**31 else number


def key(schema: str, table: str) -> int:
    """The key of the advisory lock for a history."""
    return _MAGIC + java_hash(quoted(schema, table))


def look(session: Session, schema: str, table: str) -> Lock:
    """Who holds it. Everybody may see the lock; what its holder does is shown to those with pg_read_all_stats only.

    Ask the primary: an advisory lock is known to the server only on which it was taken.
    """
    number = key(schema, table)
    rows = session.rows(_HOLDERS, [number >> 32, number & 0xFFFFFFFF])
    if not rows:
        return Lock()
    pid, age, application, address, blocked, itself = rows[0]
    seconds = None if age is None else round(max(0.0, float(age)), 3)
    return Lock(True, int(pid), seconds, [int(each) for each in blocked], application or None, address, bool(itself))

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepared transactions: they belong to no session, outlive every kill, and keep their locks."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .postgres import Session
from .redact import observed

MOST = 100


@dataclass(frozen=True)
class Prepared:
    """One of this database; ``gid`` is what COMMIT PREPARED and ROLLBACK PREPARED take."""

    gid: str
    owner: str
    age_seconds: float
    xid_age: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def read(session: Session) -> list[Prepared]:
    """The oldest of the database that the session is in."""
    rows = session.rows(
        "SELECT gid, owner, extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)"
        " FROM pg_catalog.pg_prepared_xacts WHERE database = current_database() ORDER BY prepared LIMIT %s",
        [MOST],
    )
    return [Prepared(observed(gid, 200), observed(owner, 100), round(age, 1), xids) for gid, owner, age, xids in rows]

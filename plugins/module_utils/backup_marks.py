# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a restore marks the databases that it makes: names, and the comment by which a later run knows its own.

A database without such a comment is never dropped, whatever its name.
"""

from __future__ import annotations

import os
import pwd
import re
import socket
from dataclasses import dataclass
from typing import Literal

from .backup_set import iso, seconds_of, stamp_of
from .errors import InputError

Kind = Literal["drill", "restore", "restored", "before", "undone", "back"]
LONGEST_NAME = 63  # bytes, PostgreSQL's NAMEDATALEN - 1
RESTORING = "restoring"
READY = "ready"
CLOSED = "closed"  # ready, and to stay closed to connections, as it was found

_MARK = re.compile(
    r"sre\.runbooks (?P<kind>drill|restore|restored|before|undone|back) (?P<id>\S+) by (?P<who>\S+) at (?P<at>\S+): "
    r"(?P<step>restoring|ready|closed) (?P<backup>\S+)(?:; (?P<rest>.*))?",
    re.DOTALL,
)
_RUN = re.compile(r"[a-z0-9_]{1,24}")


@dataclass(frozen=True)
class Mark:
    """What a comment of ours says. ``rest`` is the comment that the database had before."""

    kind: Kind
    run: str
    who: str
    at: str
    step: str
    backup: str
    rest: str = ""

    def text(self) -> str:
        tail = f"; {self.rest}" if self.rest else ""
        return f"sre.runbooks {self.kind} {self.run} by {self.who} at {self.at}: {self.step} {self.backup}{tail}"

    def age_seconds(self, now: float) -> float | None:
        """How long ago it was written; None when it does not tell."""
        try:
            return now - seconds_of(self.at)
        except ValueError:
            return None


def of(comment: str | None) -> Mark | None:
    """The mark in a comment; None for the comments of others."""
    match = _MARK.fullmatch(comment or "")
    if match is None:
        return None
    kind: Kind = match["kind"]  # type: ignore[assignment]
    return Mark(kind, match["id"], match["who"], match["at"], match["step"], match["backup"], match["rest"] or "")


def standing(comment: str | None) -> Mark | None:
    """The mark that tells what a database is. That it was put back once (``back``) does not tell that."""
    found = of(comment)
    while found is not None and found.kind == "back":
        found = of(found.rest)
    return found


def words(comment: str | None) -> str:
    """What the people who own a database say in its comment, below all our marks."""
    while (found := of(comment)) is not None:
        comment = found.rest
    return comment or ""


def back(comment: str, run: str, backup: str, now: float) -> Mark:
    """The mark of a database that is put back, over the ``comment`` that it had.

    Its time makes the database's state one that never was before, so that what was approved for that state stays used.
    """
    earlier = of(comment)
    return new("back", run, backup, now, rest=earlier.rest if earlier and earlier.kind == "back" else comment)


def new(kind: Kind, run: str, backup: str, now: float, step: str = READY, rest: str = "") -> Mark:
    return Mark(kind, run, who(), iso(now), step, backup, rest)


def who() -> str:
    """user@machine, without blanks."""
    try:
        user = pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        user = str(os.geteuid())
    return re.sub(r"\s+", "_", f"{user}@{socket.gethostname()}")


def run_id(given: str | None, backup_id: str) -> str:
    """The id of a drill or restore: as given, or made of the backup's time. Raises InputError."""
    found = given if given is not None else stamp_of(backup_id).lower()
    if not _RUN.fullmatch(found):
        raise InputError(f"drill_id is {found!r}; it becomes part of names: 1 to 24 of a-z, 0-9 and '_'")
    return found


def derived(database: str, word: str, run: str) -> str:
    """Name of a database beside ``database``, such as orders_before_20310402t080311z, cut to PostgreSQL's length."""
    tail = f"_{word}_{run}"
    head = database.encode()[: LONGEST_NAME - len(tail)].decode(errors="ignore")
    return head + tail


def check_database_name(name: str, option: str) -> str:
    """A name that a database may be given. Raises InputError."""
    if not name or len(name.encode()) > LONGEST_NAME or re.search(r"[%\x00-\x1f\x7f]", name):
        raise InputError(
            f"{option} is {name!r}; a database's name has 1 to {LONGEST_NAME} bytes, without '%' and control characters"
        )
    if name in ("postgres", "template0", "template1"):
        raise InputError(f"{option} is {name}, a database of PostgreSQL itself: nothing is restored there")
    return name

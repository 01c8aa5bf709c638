# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether restored databases hold what the manifest of their backup says, and whether they serve the application.

The queries of the application come first: the moment at which the last of them passed is the end of the recovery time.
Then the whole content is compared. Sessions cannot write.
"""

from __future__ import annotations

import contextlib
import decimal
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from . import checks, databases, pg_fingerprint, pg_marker
from .argspec import ArgumentSpec
from .backup_set import MANIFEST_BYTES, Manifest, iso
from .checks import FAIL, PASS, UNVERIFIED, Check, status_of
from .databases import Database
from .errors import DeadlineError, InputError
from .operation import Context
from .pg_fingerprint import Depth, Fingerprint
from .pg_marker import Marker
from .postgres import MOST_ROWS, PostgresError, Session
from .redact import observed
from .text import json_safe, shorten

MOST_QUERIES = 100
MOST_TOLD = 20
RUNBOOK = "Recovery"
COMPARISONS = ("equal", "contained_in", "at_most")

SPEC = databases.spec().merge(
    ArgumentSpec(
        options={
            "manifest_path": {"type": "path", "required": True},
            "queries": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "name": {"type": "str", "required": True},
                    "database": {"type": "str", "required": True},
                    "query": {"type": "str", "required": True},
                    "expected": {"type": "raw", "default": True},
                    "compare": {"type": "str", "choices": list(COMPARISONS)},
                    "other_database": {"type": "str"},
                    "other_query": {"type": "str"},
                },
                "required_together": [("compare", "other_database", "other_query")],
            },
            "compare_content": {"type": "bool", "default": True},
            "runbook": {"type": "str", "default": RUNBOOK},
            "timeout": {"type": "float", "default": 3600.0},
        }
    )
)


@dataclass(frozen=True)
class Query:
    """One question of the application.

    What its first column of its first row must be, or how it compares with what ``other``, a query of any database, gives.
    """

    name: str
    database: str
    statement: str
    expected: Any = None
    compare: str | None = None
    other: Query | None = None


@dataclass
class Answer:
    """The first column of what a query gave; ``error`` when it gave nothing."""

    values: list[Any] = field(default_factory=list)
    error: PostgresError | None = None

    @property
    def cut(self) -> bool:
        return len(self.values) >= MOST_ROWS


@dataclass
class Seen:
    """What was found in one restored database. ``asked_at``: when its last query was answered, seconds since 1970."""

    answers: dict[Query, Answer]
    asked_at: float
    content: Fingerprint | None = None
    content_problem: str = ""
    marker: Marker | None = None


def run(params: dict[str, Any], context: Context) -> dict[str, Any]:
    """Compare each database with the manifest and ask the application's queries."""
    wanted = databases.of(params)
    queries = _queries(params["queries"], {database.name for database in wanted})
    manifest = _manifest(Path(params["manifest_path"]), [database.name for database in wanted])

    def look(session: Session, database: Database) -> Seen:
        sides = [side for query in queries for side in (query, query.other) if side]
        own = [side for side in sides if side.database == database.name]
        return _look(session, own, manifest[database.name] if params["compare_content"] else None, context)

    found = databases.each(wanted, params, context, look)
    rows: list[Check] = []
    for database, seen in zip(wanted, found, strict=True):
        rows += _checks(database.name, seen, manifest[database.name] if params["compare_content"] else None)
    rows += _application(queries, found)
    for row in rows:
        row.runbook = params["runbook"]
    result = checks.report(rows)
    asked = [seen.asked_at for seen in found if isinstance(seen, Seen)]
    markers = [
        {"name": database.name, **(seen.marker.as_dict() if seen.marker else {"id": None, "written_at": None})}
        for database, seen in zip(wanted, found, strict=True)
        if isinstance(seen, Seen)
    ]
    return {**result, "verified_at": iso(max(asked)) if result["verdict"] == PASS else None, "markers": markers}


def matches(found: Any, expected: Any) -> bool:
    """Whether a value of the server is what was expected; numbers and booleans may come as text from a playbook."""
    if found is None or expected is None:
        return found is expected
    if isinstance(found, bool):
        return str(expected).strip().lower() == str(found).lower()
    if isinstance(found, (int, float, decimal.Decimal)):
        try:
            return decimal.Decimal(str(found)) == decimal.Decimal(str(expected).strip())
        except decimal.InvalidOperation:
            return False
    return bool(json_safe(found) == expected or str(json_safe(found)) == str(expected))


def _queries(items: list[dict[str, Any]], names: set[str]) -> list[Query]:
    if len(items) > MOST_QUERIES:
        raise InputError(f"queries has {len(items)} items; at most {MOST_QUERIES} are asked", option="queries")
    queries = [_query(item) for item in items]
    twice = sorted({query.name for query in queries if [other.name for other in queries].count(query.name) > 1})
    if twice:
        raise InputError(f"queries has {', '.join(twice)} twice: each needs a name of its own", option="queries")
    asked = {side.database for query in queries for side in (query, query.other) if side}
    if asked - names:
        raise InputError(
            f"queries names the database {', '.join(sorted(asked - names))}, which databases does not have: "
            f"{', '.join(sorted(names))}",
            option="queries",
        )
    return queries


def _query(item: Mapping[str, Any]) -> Query:
    own = (item["name"], item["database"], _one(item["name"], item["query"]))
    if not item["compare"]:
        return Query(*own, expected=json.dumps(json_safe(item["expected"])))
    other = Query(item["name"], item["other_database"], _one(item["name"], item["other_query"]))
    return Query(*own, compare=item["compare"], other=other)


def _one(name: str, text: str) -> str:
    """A single statement: a second one could leave the session's promise not to write."""
    statement = text.strip().rstrip(";").strip()
    if not statement or ";" in statement:
        found = "is empty" if not statement else "has a semicolon in it"
        raise InputError(f"the query {name!r} {found}: give one statement", option="queries")
    return statement


def _manifest(path: Path, names: list[str]) -> dict[str, Fingerprint]:
    """The fingerprint of each database as it was backed up. Raises InputError and ManifestError."""
    try:
        with path.open("rb") as file:
            manifest = Manifest.of(file.read(MANIFEST_BYTES), str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", option="manifest_path") from error
    listed = {saved.name: saved.content for saved in manifest.databases}
    absent = sorted(set(names) - set(listed))
    if absent:
        raise InputError(
            f"the backup has no database {', '.join(absent)}; it has: {', '.join(sorted(listed))}", option="databases"
        )
    return listed


def _look(session: Session, queries: list[Query], expected: Fingerprint | None, context: Context) -> Seen:
    answers = {query: _ask(session, query) for query in queries}
    seen = Seen(answers, context.clock.now())
    with contextlib.suppress(PostgresError):  # without the right to read it the loss is not known, and that is said
        seen.marker = pg_marker.newest(session)
    if expected is None:
        return seen
    try:
        seen.content = pg_fingerprint.fingerprint(session, context.deadline, _depth(expected))
    except (PostgresError, DeadlineError) as error:
        seen.content_problem = error.message
    return seen


def _ask(session: Session, query: Query) -> Answer:
    try:
        return Answer([row[0] for row in session.rows(query.statement)])
    except PostgresError as error:
        return Answer(error=error)


def _depth(expected: Fingerprint) -> Depth:
    return "full" if any(table.digest for table in expected.tables) else "counts"


def _checks(name: str, seen: Seen | PostgresError, expected: Fingerprint | None) -> list[Check]:
    """The checks of one database: restored, tables, contents, sequences, flyway."""
    title = f"Restored {name} answers"
    if isinstance(seen, PostgresError):
        status = FAIL if seen.observed_fault else UNVERIFIED
        hint = "Nothing in it was looked at. Was it restored, and may this user connect?"
        return [Check(f"restored.{name}", title, status, seen.message, "a connection", hint)]
    rows = [Check(f"restored.{name}", title, PASS, "a connection", "a connection", "Says nothing of what is in it.")]
    if expected is None:
        return rows
    if seen.content is None:
        hint = "Its content was not compared with the backup."
        return [
            *rows,
            Check(f"tables.{name}", f"Tables of {name}", UNVERIFIED, seen.content_problem, "as in the backup", hint),
        ]
    rows.append(_tables(name, seen.content, expected))
    parts = {
        "sequences": ("Sequences", "A lower one gives numbers out twice.", bool(expected.sequences)),
        "flyway": ("Flyway's histories", "States are those of flyway_status.", bool(expected.flyway)),
    }
    for part, (words, hint, there) in parts.items():
        if not there:
            continue
        told = pg_fingerprint.differences(_only(expected, part), _only(seen.content, part))
        told += _absent_histories(expected, seen.content) if part == "flyway" else []
        number = len(getattr(expected, part))
        check = "flyway_history" if part == "flyway" else part  # flyway.<name> is what flyway_status tells of it
        rows.append(_compared(f"{check}.{name}", f"{words} of {name}", told, f"{number} as in the backup", hint))
    return rows


def _tables(name: str, found: Fingerprint, expected: Fingerprint) -> Check:
    title, said = f"Tables of {name}", f"{len(expected.tables)} tables with {expected.rows} rows, as in the backup"
    told = pg_fingerprint.differences(
        replace(_only(expected, "tables"), large_objects=expected.large_objects),
        replace(_only(found, "tables"), large_objects=found.large_objects),
    )
    hint = "Rows and a digest of their values; indexes, rights and functions are not compared."
    row = _compared(f"tables.{name}", title, told, said, hint)
    if row.status != PASS:
        return row
    if not expected.tables:
        row.status, row.hint = (
            UNVERIFIED,
            "The backup is of an empty database: nothing was compared. Is it the right one?",
        )
    elif expected.left_out or found.left_out:
        row.status = UNVERIFIED
        row.observed = f"{max(expected.left_out, found.left_out)} tables were not looked at"
    elif not all(table.digest for table in expected.tables):
        row.status, row.observed = UNVERIFIED, f"rows of {len(expected.tables)} tables are as in the backup"
        row.hint = "The backup holds counts only, so values were not compared: back up with fingerprint full."
    return row


def _only(whole: Fingerprint, part: str) -> Fingerprint:
    return Fingerprint(**{part: getattr(whole, part)})


def _absent_histories(expected: Fingerprint, found: Fingerprint) -> list[str]:
    there = {(item.schema, item.table) for item in found.flyway}
    return [
        f"Flyway's history {item.schema}.{item.table} is missing"
        for item in expected.flyway
        if (item.schema, item.table) not in there
    ]


def _compared(check: str, title: str, told: list[str], expected: str, hint: str) -> Check:
    if not told:
        return Check(check, title, PASS, expected, expected, hint)
    shown = told[:MOST_TOLD] + ([f"and {len(told) - MOST_TOLD} more"] if len(told) > MOST_TOLD else [])
    return Check(check, title, FAIL, shown, expected, "What was restored is not what was backed up: do not use it.")


def _application(queries: list[Query], found: list[Seen | PostgresError]) -> list[Check]:
    """One check for each query; unverified without any, because a content that is equal may still not serve."""
    if not queries:
        hint = "Give queries that the application must be able to answer; without one no recovery is proven."
        return [Check("application", "Application-level check", UNVERIFIED, "none is given", "at least one", hint)]
    answers = {query: answer for seen in found if isinstance(seen, Seen) for query, answer in seen.answers.items()}
    return [_answered(query, answers) for query in queries]


def _answered(query: Query, answers: Mapping[Query, Answer]) -> Check:
    check = Check(f"application.{query.name}", f"Application: {query.name}", UNVERIFIED)
    check.hint = f"Asked in {query.database}: {shorten(' '.join(query.statement.split()), 300)}"
    sides = [answers.get(side) for side in (query, query.other) if side]
    for answer in sides:
        if answer is None:
            check.observed = "a database could not be asked"
            return check
        if answer.error:
            check.observed = answer.error.message
            check.status = FAIL if answer.error.kind in ("schema", "statement") else UNVERIFIED
            return check
    mine, *other = [answer for answer in sides if answer]
    if other:
        right, check.observed, check.expected = compared(str(query.compare), mine.values, other[0].values)
        check.status = UNVERIFIED if mine.cut or other[0].cut else status_of(right)
        check.hint += f"; compared with {query.other.database}." if query.other else ""
        return check
    check.expected = json.loads(query.expected)
    check.observed = _shown(mine.values[0]) if mine.values else "no row"
    check.status = status_of(bool(mine.values) and matches(mine.values[0], check.expected))
    return check


def compared(how: str, mine: list[Any], other: list[Any]) -> tuple[bool, str, str]:
    """Whether two columns compare as they should, what was observed and what was expected. A column without a value fails."""
    if how == "contained_in":
        there = {str(json_safe(value)) for value in other}
        lacking = [value for value in mine if str(json_safe(value)) not in there]
        shown = ", ".join(str(_shown(value)) for value in lacking[:5])
        observed_text = f"{len(lacking)} of {len(mine)} are not: {shown}" if lacking else f"all {len(mine)} are"
        return bool(mine) and not lacking, observed_text, f"each among {len(other)} values"
    if not mine or not other or mine[0] is None or other[0] is None:
        return False, "no value to compare", how.replace("_", " ")
    left, right = mine[0], other[0]
    if how == "equal":
        return matches(left, right), str(_shown(left)), str(_shown(right))
    try:
        return decimal.Decimal(str(left)) <= decimal.Decimal(str(right)), str(_shown(left)), f"at most {_shown(right)}"
    except decimal.InvalidOperation:
        return False, str(_shown(left)), f"numbers, at most {_shown(right)}"


def _shown(value: Any) -> Any:
    safe = json_safe(value)
    return observed(safe, 500) if isinstance(safe, str) else safe

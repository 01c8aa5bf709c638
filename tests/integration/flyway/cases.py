# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The corpus: histories by hand, each about one rule of Flyway, and generated ones in which the rules meet.

A history is what its table holds and what lies in its folder. Rows name a file of the case (then they have its checksum,
which Flyway computes) or carry a checksum of their own.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

SQL = "SELECT 1;\n"
FILE = object()  # the checksum that Flyway computes for the row's script


@dataclass(frozen=True)
class Row:
    """A row of the table. ``script`` "" is made of version and description."""

    version: str | None
    description: str = "x"
    type: str = "SQL"
    script: str = ""
    checksum: Any = FILE
    success: bool = True
    rank: int | None = None

    @property
    def file(self) -> str:
        if self.script:
            return self.script
        prefix = "R" if self.version is None else f"V{self.version}"
        return f"{prefix}__{self.description.replace(' ', '_')}.sql"


@dataclass(frozen=True)
class Case:
    """One history. ``files`` maps paths below its folder to content; None as ``rows``: there is no table.

    ``before``: rows name files that are not there any more; their content. ``shows``: states that Flyway must see.
    ``otherwise``: what the module says otherwise than Flyway, and means to.
    """

    name: str
    files: Mapping[str, str | bytes]
    rows: tuple[Row, ...] | None = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, str | bytes] = field(default_factory=dict)
    schema: str = ""
    table: str = "flyway_schema_history"
    shows: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()


def versions(*numbers: str, text: str = SQL) -> dict[str, str | bytes]:
    """Files of these versions, all with description x."""
    return {f"V{number}__x.sql": f"-- {number}\n{text}" for number in numbers}


def applied(*numbers: str) -> tuple[Row, ...]:
    return tuple(Row(number) for number in numbers)


BASELINE = Row("1", "<< Flyway Baseline >>", "BASELINE", "<< Flyway Baseline >>", None)
SCHEMA = Row(None, "<< Flyway Schema Creation >>", "SCHEMA", '"some"', None, rank=0)


def by_hand() -> Iterator[Case]:
    yield from _plain()
    yield from _order()
    yield from _baselines()
    yield from _failed_and_deleted()
    yield from _repeatable()
    yield from _texts()
    yield from _names()
    yield from _ignored()
    yield from _kinds()
    yield from _places()


def _plain() -> Iterator[Case]:
    three = versions("1", "2", "3")
    yield Case("all applied", three, applied("1", "2", "3"), shows=("Success",))
    yield Case("pending", three, applied("1"), shows=("Success", "Pending"))
    yield Case("nothing applied", three, (), shows=("Pending",))
    yield Case("no table", three, None, shows=("Pending",))
    yield Case("nothing at all", {}, ())
    yield Case("no files", {}, applied("1", "2"), before=versions("1", "2"), shows=("Future",))
    yield Case("missing", versions("1", "3"), applied("1", "2", "3"), before=versions("2"), shows=("Missing",))
    yield Case("future", versions("1"), applied("1", "2"), before=versions("2"), shows=("Future",))
    yield Case("changed", {**three, "V2__x.sql": "SELECT 2;\n"}, (Row("1"), Row("2", checksum=4711), Row("3")))
    yield Case(
        "renamed", {**versions("1"), "V2__other.sql": "-- 2\n" + SQL}, (Row("1"), Row("2")), before=versions("2")
    )
    yield Case("checksum is null", versions("1", "2"), (Row("1", checksum=None), Row("2")))
    yield Case("schema row", versions("1", "2"), (SCHEMA, *applied("1")), shows=("Success", "Pending"))
    yield Case("no description", {"V1__.sql": SQL}, (Row("1", "", script="V1__.sql"),))
    yield Case(
        "marked as without description", {"V1__.sql": SQL}, (Row("1", "<< no description >>", script="V1__.sql"),)
    )
    long = "d" * 230
    yield Case("long description", {f"V1__{long}.sql": SQL}, (Row("1", long[:197] + "...", script=f"V1__{long}.sql"),))


def _order() -> Iterator[Case]:
    five = versions("1", "2", "3", "4", "5")
    yield Case("ignored", five, applied("1", "2", "3", "5"), shows=("Ignored",))
    yield Case("out of order allowed", five, applied("1", "2", "3", "5"), {"out_of_order": True}, shows=("Pending",))
    yield Case("out of order applied", five, applied("1", "2", "5", "4", "3"), shows=("Out of Order",))
    yield Case("target", five, applied("1", "2"), {"target": "3"}, shows=("Pending", "Above Target"))
    yield Case("target below applied", five, applied("1", "2", "3"), {"target": "2"})
    yield Case("target current", five, applied("1", "2"), {"target": "current"}, shows=("Above Target",))
    yield Case("target next", five, applied("1", "2"), {"target": "next"})
    yield Case("target latest", five, applied("1", "2"), {"target": "latest"})
    yield Case("target that may be absent", five, applied("1", "2"), {"target": "9?"})
    yield Case("target that is absent", five, applied("1", "2"), {"target": "9"})
    yield Case("target between", versions("1", "1.5", "3"), applied("1"), {"target": "1.5"}, shows=("Above Target",))
    yield Case("ten comes after nine", versions("1.9", "1.10", "1.11"), applied("1.9"), shows=("Pending",))
    yield Case("ten before nine was applied", versions("1.9", "1.10"), applied("1.10"), shows=("Ignored",))
    yield Case("leading zeros", versions("001", "010", "9"), applied("1", "9"), before=versions("1"))
    yield Case("underscores", versions("1_2", "1_10", "2_0"), applied("1.2", "1.10"), before=versions("1.2", "1.10"))
    yield Case("one is one point zero", versions("1.0.0"), applied("1"), before=versions("1"))
    yield Case("stamps", versions("20240101120000", "20240101120001"), applied("20240101120000"))
    yield Case("dates", versions("2024.01.02", "2024.01.10", "2024.1.3"), applied("2024.01.02"))
    yield Case(
        "huge", versions("99999999999999999999999", "99999999999999999999998"), applied("99999999999999999999998")
    )


def _baselines() -> Iterator[Case]:
    three = versions("1", "2", "3")
    yield Case("baseline", three, (BASELINE,), shows=("Baseline", "Ignored (Baseline)", "Pending"))
    two = Row("2", "<< Flyway Baseline >>", "BASELINE", "<< Flyway Baseline >>", None)
    yield Case("baseline at two", three, (two,), {"baseline_version": "2"}, shows=("Below Baseline",))
    yield Case("baseline named", three, (Row("2", "as it was", "BASELINE", "as it was", None),))
    yield Case("baseline and more", three, (two, Row("3")), shows=("Baseline", "Success"))
    yield Case("baseline setting without row", three, (), {"baseline_version": "2"})
    yield Case("baseline behind the schema row", three, (SCHEMA, BASELINE))
    yield Case("changed below the baseline", three, (Row("1", checksum=1), Row("2", "b", "BASELINE", "b", None)))
    yield Case("failed baseline", three, (Row("1", "b", "BASELINE", "b", None, success=False),))


def _failed_and_deleted() -> Iterator[Case]:
    three = versions("1", "2", "3")
    yield Case("failed", three, (Row("1"), Row("2", success=False)), shows=("Failed",))
    yield Case(
        "failed missing",
        versions("1", "3"),
        (Row("1"), Row("2", success=False, checksum=5)),
        shows=("Failed (Missing)",),
    )
    yield Case(
        "failed future", versions("1"), (Row("1"), Row("2", success=False, checksum=5)), shows=("Failed (Future)",)
    )
    yield Case("failed and then applied", three, (Row("1"), Row("2", success=False), Row("2")))
    yield Case("failed repeatable", {"R__v.sql": SQL}, (Row(None, "v", success=False),), shows=("Failed",))
    yield Case("failed repeatable that is gone", {}, (Row(None, "v", success=False, checksum=3),))
    deleted = Row("2", "x", "DELETE", "V2__x.sql", 7)
    yield Case("deleted", versions("1", "3"), (*applied("1"), Row("2", checksum=7), deleted), shows=("Deleted",))
    yield Case("deleted and applied again", three, (*applied("1"), Row("2", checksum=7), deleted, Row("2")))
    yield Case("deleted and there again", three, (*applied("1"), Row("2", checksum=7), deleted), shows=("Deleted",))
    gone = Row(None, "v", "DELETE", "R__v.sql", 3)
    yield Case("deleted repeatable", {}, (Row(None, "v", checksum=3), gone), shows=("Deleted",))
    yield Case("deleted repeatable that came back", {"R__v.sql": SQL}, (Row(None, "v", checksum=3), gone))
    yield Case("deleted twice", three, (Row("2", checksum=7), deleted, deleted))
    yield Case("deleted that never was", three, (*applied("1"), deleted))


def _repeatable() -> Iterator[Case]:
    views: dict[str, str | bytes] = {"R__a.sql": "SELECT 'a';\n", "R__b.sql": "SELECT 'b';\n"}
    yield Case("repeatable", {**versions("1"), **views}, (Row("1"), Row(None, "a"), Row(None, "b")), shows=("Success",))
    yield Case("repeatable pending", views, (Row(None, "a"),), shows=("Pending",))
    yield Case("outdated", views, (Row(None, "a", checksum=1), Row(None, "b")), shows=("Outdated", "Pending"))
    yield Case("superseded", views, (Row(None, "a", checksum=1), Row(None, "b"), Row(None, "a")), shows=("Superseded",))
    yield Case("superseded and outdated", views, (Row(None, "a", checksum=1), Row(None, "a", checksum=2)))
    yield Case("repeatable missing", {}, (Row(None, "a", checksum=1),), shows=("Missing",))
    yield Case("repeatable by description", {"R__z.sql": SQL, "R__A.sql": SQL, "R__é.sql": SQL, "R__a.sql": SQL}, ())
    held: dict[str, str | bytes] = {"R__p.sql": "SELECT '${who}', '${flyway:table}', '${flyway:defaultSchema}';\n"}
    yield Case("placeholder", held, (), {"placeholders": {"who": "me"}}, shows=("Pending",))
    fixed: dict[str, str | bytes] = {"R__p.sql": "SELECT '${who}';\n"}
    resolved: dict[str, str | bytes] = {"R__p.sql": "SELECT 'me';\n"}
    row = (Row(None, "p"),)
    yield Case(
        "placeholder as applied", fixed, row, {"placeholders": {"who": "me"}}, before=resolved, shows=("Success",)
    )
    yield Case("placeholder with another value", fixed, row, {"placeholders": {"who": "you"}}, before=resolved)
    yield Case("placeholder without replacement", fixed, row, {"placeholder_replacement": False}, shows=("Success",))
    raw = {"placeholders": {"who": "me"}}
    yield Case("placeholder applied before replacement", fixed, row, raw, shows=("Success",))
    # Who looks may know fewer placeholders than who migrates: the module calls the checksum indeterminate.
    yield Case(
        "placeholder nobody sets",
        fixed,
        (),
        otherwise=(
            "Flyway stops: No value provided for placeholder: ${who}.  Check your configuration!; the module does not",
        ),
    )
    other = {"placeholders": {"who": "me"}, "placeholder_prefix": "@@", "placeholder_suffix": "@"}
    yield Case("placeholder of another form", {"R__p.sql": "SELECT '@@who@';\n"}, row, other, before=resolved)
    yield Case(
        "placeholder in a versioned one", {"V1__x.sql": "SELECT '${who}';\n"}, applied("1"), raw, shows=("Success",)
    )
    names: dict[str, str | bytes] = {"R__p.sql": "-- ${flyway:filename} ${flyway:database}\nSELECT 1;\n"}
    yield Case("placeholder of Flyway's own", names, (Row(None, "p", checksum=1),))


def _texts() -> Iterator[Case]:
    lines = "CREATE TABLE t (a int);\nSELECT 'x ';\n"
    for name, text in {
        "unix": lines,
        "windows": lines.replace("\n", "\r\n"),
        "old mac": lines.replace("\n", "\r"),
        "byte order mark": "\ufeff" + lines,
        "byte order mark and windows": "\ufeff" + lines.replace("\n", "\r\n"),
        "byte order mark twice": "\ufeff\ufeff" + lines,
        "byte order mark within": lines + "\ufeff" + lines,
        "no final newline": lines.rstrip("\n"),
        "empty lines": "\n\n" + lines.replace("\n", "\n\n") + "\n\n",
        "trailing blanks": lines.replace("\n", " \t \n"),
        "mixed ends": "a;\rb;\r\nc;\nd;\n\re;\r\r\n",
        "separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg\x1dh\x1ei;\n",
        "beyond the plane": "SELECT '\U0001f600 ä ß 漢';\n",
        "null character": "SELECT 'a\x00b';\n",
        "empty": "",
        "only a newline": "\n",
    }.items():
        yield Case(f"text: {name}", {"V1__x.sql": text.encode()}, applied("1"), shows=("Success",))
        changed = Row("1", checksum=-1039259818)
        yield Case(f"changed text: {name}", {"V1__x.sql": text.encode()}, (changed,))
    yield Case(
        "text: Latin-1", {"V1__x.sql": "SELECT 'ä';\n".encode("latin-1")}, applied("1"), {"encoding": "ISO-8859-1"}
    )
    yield Case(
        "text: UTF-16", {"V1__x.sql": "SELECT 'ä';\n".encode("utf-16")}, (Row("1", checksum=1),), {"encoding": "UTF-16"}
    )


def _names() -> Iterator[Case]:
    yield Case("duplicate version", {**versions("1"), "V1__y.sql": SQL}, applied("1"))
    yield Case("duplicate version written otherwise", versions("1.0", "1", "2"), applied("1"))
    yield Case("duplicate repeatable", {"a/R__v.sql": SQL, "b/R__v.sql": SQL}, ())
    yield Case("duplicate in a folder below", {**versions("1"), "sub/V1__y.sql": SQL}, ())
    bad = {"V1.sql": SQL, "V__x.sql": SQL, "Vx__y.sql": SQL, "v2__x.sql": SQL, "V3_x.sql": SQL, "W4__x.sql": SQL}
    yield Case("bad names", {**versions("1"), **bad, "README.md": "words"}, applied("1"))
    yield Case("bad names that are judged", {**versions("1"), **bad}, applied("1"), {"validate_migration_naming": True})
    yield Case("good names that are judged", versions("1", "2"), applied("1"), {"validate_migration_naming": True})
    yield Case("suffix in capitals", {"V1__x.SQL": SQL}, (Row("1", script="V1__x.SQL"),))
    yield Case("other suffixes", {"V1__x.ddl": SQL, "V2__x.sql": SQL}, (), {"sql_migration_suffixes": [".ddl"]})
    prefixes = {"sql_migration_prefix": "M", "repeatable_sql_migration_prefix": "REP", "sql_migration_separator": "-"}
    yield Case(
        "other prefixes",
        {"M1-x.sql": SQL, "REP-v.sql": SQL, "V2__x.sql": SQL},
        (Row("1", script="M1-x.sql"),),
        prefixes,
    )
    yield Case(
        "empty prefix", {"1__x.sql": SQL, "2__x.sql": SQL}, (Row("1", script="1__x.sql"),), {"sql_migration_prefix": ""}
    )
    yield Case("separator twice", {"V1__a__b.sql": SQL}, (Row("1", "a  b", script="V1__a__b.sql"),))
    yield Case("description with dots", {"V1__a.b.sql": SQL}, (Row("1", "a.b", script="V1__a.b.sql"),))
    yield Case("undo file", {**versions("1"), "U1__x.sql": SQL}, applied("1"))
    yield Case("baseline file", {**versions("1", "2", "3"), "B2__x.sql": SQL}, ())
    yield Case("folders below", {"a/V1__x.sql": SQL, "b/c/V2__x.sql": SQL}, (Row("1", script="a/V1__x.sql"),))
    yield Case("hidden", {**versions("1"), ".V2__x.sql": SQL, ".git/V3__x.sql": SQL}, applied("1"))


def _ignored() -> Iterator[Case]:
    mixed = {**versions("1", "3", "4", "6"), "R__a.sql": SQL}
    rows = (*applied("1", "2", "3"), Row("5"), Row("9"), Row(None, "gone", checksum=3))
    before = versions("2", "5", "9")
    for patterns in (
        [],
        ["*:future"],
        ["*:missing"],
        ["*:pending"],
        ["*:ignored"],
        ["versioned:missing"],
        ["repeatable:missing"],
        ["repeatable:pending"],
        ["versioned:pending", "*:future"],
        ["*:*"],
        ["versioned:*"],
        ["repeatable:*"],
        ["*:ignored", "*:pending", "*:missing", "*:future"],
    ):
        yield Case(f"ignored {patterns}", mixed, rows, {"ignore_migration_patterns": patterns}, before)
    failed = (Row("1"), Row("7", success=False, checksum=5))
    yield Case("failed future, none ignored", versions("1"), failed, {"ignore_migration_patterns": []})
    yield Case(
        "failed, all ignored",
        versions("1", "7"),
        (Row("1"), Row("7", success=False)),
        {"ignore_migration_patterns": ["*:*"]},
    )


def _kinds() -> Iterator[Case]:
    java = Row("2", "x", "JDBC", "db.migration.V2__x", 11)
    yield Case("unknown type", versions("1"), (Row("1"), Row("2", type="NOSQL", checksum=1)))
    yield Case("script row", versions("1"), (Row("1"), Row("2", type="SCRIPT", script="V2__x.sh", checksum=1)))
    yield Case(
        "sql baseline row",
        versions("1", "2"),
        (Row("1", type="SQL_BASELINE", script="B1__x.sql", checksum=1), Row("2")),
    )
    # Rows of Flyway's paid editions, which the free one refuses.
    yield Case(
        "undo rows",
        versions("1", "2"),
        (*applied("1", "2"), Row("2", type="UNDO_SQL", script="U2__x.sql", checksum=1)),
        otherwise=("Flyway stops: Unknown migration type 'UNDO_SQL' found in schema history.; the module does not",),
    )
    yield Case(
        "undone script",
        versions("1", "2"),
        (*applied("1", "2"), Row("2", type="UNDO_SCRIPT", script="U2__x.sh", checksum=1)),
    )
    # A class that only the application has: the module never calls it missing.
    yield Case(
        "java beside a script",
        versions("1", "2"),
        (Row("1"), java),
        otherwise=("state of migration 1 (2): Flyway 'Future', module 'Success'",),
    )
    yield Case("bad version in the table", versions("1"), (Row("1"), Row("2b", checksum=1)))


def _places() -> Iterator[Case]:
    two, rows = versions("1", "2"), applied("1")
    yield Case("another table", two, rows, table="schema_version")
    yield Case("table in capitals", two, rows, table="FLYWAY_HISTORY")
    yield Case("table with blanks", two, rows, table='my "history"')
    yield Case("schema in capitals", two, rows, schema="Upper Case")
    yield Case("schema and table in capitals", two, rows, schema="UPPER", table="History")
    yield Case("schema that is not there", two, None, schema="not there")


GENERATED = 60
_POOL = ("1", "1.1", "1.2", "1.10", "2", "2_1", "3", "010", "10.0.1", "20240101")


def generated() -> Iterator[Case]:
    """Histories in which many rules meet; the same ones in each run."""
    for number in range(GENERATED):
        yield _generated(number, random.Random(number))


def _generated(number: int, chance: random.Random) -> Case:
    chosen = chance.sample(_POOL, chance.randint(2, len(_POOL)))
    files = versions(*chosen)
    views = chance.sample("abcd", chance.randint(0, 3))
    files |= {f"R__{view}.sql": f"SELECT '{view}';\n" for view in views}
    rows: list[Row] = [SCHEMA] if chance.random() < 0.3 else []
    if chance.random() < 0.25:
        rows.append(Row(chance.choice(_POOL[:4]), "b", "BASELINE", "b", None))
    order = chance.sample(chosen, chance.randint(0, len(chosen)))
    for version in order if chance.random() < 0.3 else sorted(order, key=_key):
        kind = chance.random()
        rows.append(
            Row(
                version.replace("_", "."),
                script=f"V{version}__x.sql",
                checksum=99 if kind < 0.15 else FILE,
                success=kind < 0.92,
            )
        )
    for view in chance.choices([*views, "gone"], k=chance.randint(0, 4)):
        known = view in views and chance.random() < 0.6
        rows.append(Row(None, view, checksum=FILE if known else chance.randint(1, 3), success=chance.random() < 0.93))
    before = dict(files)
    for name in chance.sample(sorted(files), chance.randint(0, min(3, len(files)))):
        del files[name]
    if rows and chance.random() < 0.3:
        victim = chance.choice(rows)
        if victim.type == "SQL":
            rows.append(Row(victim.version, victim.description, "DELETE", victim.file, None))
    settings: dict[str, Any] = {}
    if chance.random() < 0.3:
        settings["out_of_order"] = True
    if chance.random() < 0.3:
        settings["target"] = f"{chance.choice(_POOL[:6]).replace('_', '.')}?"
    if chance.random() < 0.3:
        settings["ignore_migration_patterns"] = chance.sample(
            ["*:future", "*:missing", "versioned:pending", "repeatable:pending", "*:ignored", "repeatable:missing"], 2
        )
    return Case(f"generated {number}", files, tuple(rows), settings, before)


def _key(version: str) -> list[int]:
    return [int(part) for part in version.replace("_", ".").split(".")]


CORPUS = [*by_hand(), *generated()]

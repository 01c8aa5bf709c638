# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""States, validation, and what migrate and repair would do, from rows and files written out here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_plan, flyway_states, flyway_table
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_types as types
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_version as version
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_inspect import History, as_output, judge
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_lock import Lock
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_resolve import Resolution, Resolved
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import Settings
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_states import Info
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_table import Row, Table


def file(name: str, kind: str = "SQL", checksum: int = 7, **values: Any) -> Resolved:
    """V1, R:views or B1."""
    number, description = (None, name[2:]) if name[0] == "R" else (version.parse(name[1:]), "x")
    kind = "SQL_BASELINE" if name[0] == "B" else kind
    path = f"/sql/{name}.sql"
    return Resolved(number, description, name, kind, checksum, filepath=path, baseline_file=name[0] == "B", **values)


def rows(*lines: tuple[Any, ...]) -> list[Row]:
    """Rows of (version or None, type, success, checksum, description), from the left as far as given."""
    found = []
    for rank, line in enumerate(lines, start=1):
        number, kind, success, checksum, description = (*line, *("SQL", True, 7, "x")[len(line) - 1 :])
        parsed = version.parse(number) if number else None
        found.append(Row(rank, parsed, description, kind, "", checksum, "me", "", 1, success, number))
    return found


def history(lines: Sequence[tuple[Any, ...]], files: Sequence[Resolved], **values: Any) -> History:
    presence = values.pop("presence", "present")
    lock = values.pop("lock", Lock())
    table = Table(presence, "shop", "me", rows(*lines), values.pop("empty", False))
    return judge(Settings.of({"locations": ["filesystem:/sql"], **values}, "one"), table, Resolution(list(files)), lock)


def states(lines: Sequence[tuple[Any, ...]], files: Sequence[Resolved], **values: Any) -> list[tuple[str, str]]:
    return [(info.name, info.state) for info in history(lines, files, **values).infos]


CASES: list[tuple[str, list[Any], list[Any], dict[str, Any], list[tuple[str, str]]]] = [
    ("applied and waiting", [("1",)], [file("V1"), file("V2")], {}, [("1", "Success"), ("2", "Pending")]),
    ("failed", [("1", "SQL", False)], [file("V1")], {}, [("1", "Failed")]),
    ("missing, future", [("1",), ("3",)], [file("V2")], {}, [("1", "Missing"), ("3", "Future"), ("2", "Ignored")]),
    (
        "failed and missing",
        [("1", "SQL", False), ("3", "SQL", False)],
        [file("V2")],
        {"out_of_order": True},
        [("1", "Failed (Missing)"), ("3", "Failed (Future)"), ("2", "Pending")],
    ),
    ("late", [("2",)], [file("V1"), file("V2")], {}, [("2", "Success"), ("1", "Ignored")]),
    ("ran late", [("2",), ("1",)], [file("V1"), file("V2")], {}, [("2", "Success"), ("1", "Out of Order")]),
    (
        "baseline row",
        [("2", "BASELINE", True, None)],
        [file("V1"), file("V2"), file("V3")],
        {},
        [("1", "Below Baseline"), ("2", "Ignored (Baseline)"), ("2", "Baseline"), ("3", "Pending")],
    ),
    (
        "baseline file on nothing",
        [],
        [file("V1"), file("V2"), file("B2"), file("V3")],
        {},
        [("1", "Below Baseline"), ("2", "Ignored (Baseline)"), ("2", "Pending"), ("3", "Pending")],
    ),
    ("baseline file too late", [("1",)], [file("V1"), file("B2")], {}, [("1", "Success"), ("2", "Ignored")]),
    (
        "target",
        [("1",)],
        [file("V1"), file("V2"), file("V3")],
        {"target": "2"},
        [("1", "Success"), ("2", "Pending"), ("3", "Above Target")],
    ),
    ("target next", [], [file("V1"), file("V2")], {"target": "next"}, [("1", "Pending"), ("2", "Above Target")]),
    (
        "target current",
        [("1",)],
        [file("V1"), file("V2")],
        {"target": "current"},
        [("1", "Success"), ("2", "Above Target")],
    ),
    ("deleted", [("1",), ("1", "DELETE")], [file("V1")], {}, [("1", "Deleted"), ("1", "Pending")]),
    (
        "repeatable",
        [(None, "SQL", True, 1, "a"), (None, "SQL", True, 7, "a"), (None, "SQL", True, 1, "b")],
        [file("R:a"), file("R:b"), file("R:c")],
        {},
        [("a", "Superseded"), ("a", "Success"), ("b", "Outdated"), ("b", "Pending"), ("c", "Pending")],
    ),
    ("repeatable gone", [(None, "SQL", True, 1, "a")], [file("V1")], {}, [("a", "Missing"), ("1", "Pending")]),
    ("schema row", [(None, "SCHEMA", True, None, "made")], [file("V1")], {}, [("made", "Success"), ("1", "Pending")]),
    ("undone", [("1",), ("1", "UNDO_SQL")], [file("V1")], {}, [("1", "Undone"), ("1", "Success"), ("1", "Pending")]),
    ("not to run", [], [file("V1", should_execute=False)], {}, [("1", "Ignored")]),
    ("a program", [("1", "JDBC", True, 5)], [file("V2")], {}, [("1", "Success"), ("2", "Pending")]),
]


@pytest.mark.parametrize(
    ("lines", "files", "values", "expected"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_states(lines: list[Any], files: list[Any], values: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert states(lines, files, **values) == expected


def test_what_cannot_be_told_is_said_so() -> None:
    infos = history(
        [("1", "JDBC", True, 5), ("2",), (None, "SQL", True, 1, "a")], [file("V2"), file("R:a", unknown="x")]
    ).infos
    assert [info.checksum_status for info in infos] == ["unverifiable", "match", "indeterminate"]


def test_rows_that_flyway_cannot_read_are_listed_and_refused() -> None:
    table = Table("present", "shop", "me", [flyway_table._row((1, "1", "x", "PYTHON", "s", 1, "me", None, 1, True))])
    table.rows.append(flyway_table._row((2, "one", "x", "SQL", "s", 1, "me", None, 1, True)))
    found = judge(Settings.of({}, "one"), table, Resolution([file("V1")]), Lock())
    assert [info.state for info in found.infos] == ["Unknown Type", "Unknown Type", "Pending"]
    assert found.resolve_error == (
        "row 1: unknown type 'PYTHON'; row 2: 'one' is no version: only digits and dots (or underscores) make one"
    )


def test_two_rows_that_delete_one_migration_are_refused() -> None:
    found = history([("1",), ("1", "DELETE"), ("1", "DELETE")], [file("V1")])
    assert "multiple delete entries for version 1" in str(found.resolve_error)
    assert found.infos == []


def test_a_target_that_is_not_there() -> None:
    assert "target version 9" in str(history([], [file("V1")], target="9").resolve_error)
    assert history([], [file("V1")], target="9?").resolve_error is None


# Validation


def codes(lines: Sequence[tuple[Any, ...]], files: Sequence[Resolved], **values: Any) -> list[str]:
    return [error.code for error in history(lines, files, **values).errors]


@pytest.mark.parametrize(
    ("lines", "files", "values", "expected"),
    [
        ([("1",)], [file("V1")], {}, []),
        ([("1",)], [file("V1"), file("V2")], {}, ["RESOLVED_VERSIONED_MIGRATION_NOT_APPLIED"]),
        ([("1",)], [file("V1"), file("V2")], {"ignore_migration_patterns": ["*:pending"]}, []),
        ([("1", "SQL", False)], [file("V1")], {}, ["FAILED_VERSIONED_MIGRATION"]),
        ([("1",), ("2",)], [file("V2")], {}, ["APPLIED_VERSIONED_MIGRATION_NOT_RESOLVED"]),
        ([("1",), ("2",)], [file("V2")], {"ignore_migration_patterns": ["versioned:missing"]}, []),
        ([("1",), ("2",)], [file("V1")], {}, []),
        (
            [("1",), ("2",)],
            [file("V1")],
            {"ignore_migration_patterns": []},
            ["APPLIED_VERSIONED_MIGRATION_NOT_RESOLVED"],
        ),
        ([("1",)], [file("V1", checksum=8)], {}, ["CHECKSUM_MISMATCH"]),
        ([("1", "SQL", True, None)], [file("V1")], {}, []),
        # another type is another migration: the row is Future, and overlooked
        ([("1", "SCRIPT")], [file("V1")], {"out_of_order": True}, ["RESOLVED_VERSIONED_MIGRATION_NOT_APPLIED"]),
        ([("1", "SQL", True, 7, "other")], [file("V1")], {}, ["DESCRIPTION_MISMATCH"]),
        ([("2", "BASELINE"), ("1", "SQL", True, 1)], [file("V1")], {}, []),
        (
            [(None, "SQL", True, 1, "a")],
            [file("R:a")],
            {},
            ["OUTDATED_REPEATABLE_MIGRATION", "RESOLVED_REPEATABLE_MIGRATION_NOT_APPLIED"],
        ),
        ([(None, "SQL", False, 7, "a")], [file("R:a")], {}, ["FAILED_REPEATABLE_MIGRATION"]),
        ([("2",)], [file("V1"), file("V2")], {}, ["RESOLVED_VERSIONED_MIGRATION_NOT_APPLIED"]),
    ],
)
def test_validation(lines: list[Any], files: list[Any], values: dict[str, Any], expected: list[str]) -> None:
    assert codes(lines, files, **values) == expected


def test_a_changed_file_is_named_with_both_checksums() -> None:
    (error,) = history([("1",)], [file("V1", checksum=-8)]).migrate_errors
    assert "/sql/V1.sql" in error.message
    assert "7 was applied" in error.message
    assert "-8 lies" in error.message


def test_what_blocks_a_start() -> None:
    found = history([("5",)], [file("V4"), file("V5")], lock=Lock(True, 321))
    assert [each["version"] for each in found.blocked_by] == ["4", ""]
    assert "after 5 was applied" in found.blocked_by[0]["reason"]
    assert "321" in found.blocked_by[1]["reason"]


# Plans


def test_pending_in_the_order_of_migrate() -> None:
    found = history([("1",)], [file("R:b"), file("V3"), file("R:a"), file("V1"), file("V2")])
    assert [info.name for info in flyway_plan.pending(found)] == ["2", "3", "a", "b"]


@pytest.mark.parametrize(
    ("on", "empty", "expected"), [(True, False, ["2"]), (True, True, ["1", "2"]), (False, False, ["1", "2"])]
)
def test_pending_where_migrate_makes_a_baseline(on: bool, empty: bool, expected: list[str]) -> None:
    found = history([], [file("V1"), file("V2")], presence="no_table", empty=empty, baseline_on_migrate=on)
    assert [info.name for info in flyway_plan.pending(found)] == expected
    assert found.makes_baseline is (on and not empty)


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"presence": "no_table"}, "has no history"),
        ({"files": []}, "no migration lies"),
        ({"lines": [("1", "SQL", False)]}, "failed"),
    ],
)
def test_reasons_not_to_migrate(values: dict[str, Any], word: str) -> None:
    lines, files = values.pop("lines", []), values.pop("files", [file("V1")])
    assert word in " ".join(flyway_plan.refusals(history(lines, files, **values)))


def test_nothing_speaks_against_an_ordinary_migrate() -> None:
    assert flyway_plan.refusals(history([("1",)], [file("V1"), file("V2")])) == []
    assert flyway_plan.refusals(history([], [file("V1")], presence="no_table", empty=True)) == []


def test_repair_removes_failures_marks_what_is_gone_and_realigns() -> None:
    found = history(
        [("1", "SQL", True, 1), ("2",), ("3", "SQL", False), (None, "SQL", True, 9, "a"), ("4", "JDBC")],
        [file("V1"), file("V3"), file("V5"), file("R:a", raw=9)],
    )
    plan = flyway_plan.repair(found)
    assert [row.version_text for row in plan.removed] == ["3"]
    assert [info.name for info in plan.deleted] == ["2"]
    assert [(each.info.name, each.checksum) for each in plan.realigned] == [("1", 7), ("a", 7)]
    assert plan.as_dict()["realigned"][0]["before"]["checksum"] == 1
    assert not plan.empty
    assert flyway_plan.repair(history([("1",)], [file("V1")])).empty


# Whatever rows and files there are

_VERSIONS = st.sampled_from(["1", "1.0", "2", "3", "10"])
_LINES = st.lists(
    st.tuples(
        st.one_of(st.none(), _VERSIONS),
        st.sampled_from(
            ["SQL", "SCRIPT", "BASELINE", "DELETE", "SCHEMA", "JDBC", "UNDO_SQL", "SQL_BASELINE", "CUSTOM"]
        ),
        st.booleans(),
        st.one_of(st.none(), st.integers(5, 8)),
        st.sampled_from(["x", "a", "b"]),
    ),
    max_size=8,
)
_FILES = st.lists(
    st.builds(
        lambda kind, number, checksum: file(f"{kind}{number}", checksum=checksum),
        st.sampled_from("VB"),
        _VERSIONS,
        st.integers(5, 8),
    )
    | st.builds(lambda name, checksum: file(f"R:{name}", checksum=checksum), st.sampled_from("ab"), st.integers(5, 8)),
    max_size=8,
    unique_by=lambda each: (each.version, each.description, each.baseline_file),
)


@given(_LINES, _FILES, st.booleans(), st.sampled_from([None, "2", "current", "next", "7?"]))
def test_every_row_and_every_file_has_its_place(
    lines: list[Any], files: list[Resolved], late: bool, target: str | None
) -> None:
    try:
        found = flyway_states.calculate(
            rows(*lines), files, version.parse(target.removesuffix("?")) if target else None, late
        )
    except flyway_states.CorruptHistory:
        assert sum(1 for line in lines if line[1] == "DELETE") > 1
        return
    ranks = [info.row.rank for info in found.infos if info.row]
    hidden = [row.rank for row in rows(*lines) if row.type == "DELETE" and row.success and row.version]
    assert sorted([*ranks, *hidden]) == [
        row.rank for row in rows(*lines) if not (row.type == "UNDO_SQL" and row.version is None)
    ]
    assert ranks == sorted(ranks)
    assert {each.filepath for each in files} == {info.filepath for info in found.infos if info.filepath}
    for info in found.infos:
        assert (info.state in types.APPLIED) == bool(info.row)
        assert as_output(info, {})["state"] == info.state
    for earlier, later in itertools.pairwise(info for info in found.infos if info.state == types.PENDING):
        assert _key(earlier) <= _key(later)


def _key(info: Info) -> tuple[bool, Any, str]:
    number = info.version
    return (number is None, number.key if number else (), info.description if number is None else "")


@given(_LINES, _FILES)
def test_after_a_repair_nothing_is_left_to_repair_but_what_repair_leaves(
    lines: list[Any], files: list[Resolved]
) -> None:
    found = history(lines, files)
    try:
        plan = flyway_plan.repair(found)
    except flyway_states.CorruptHistory:
        return
    assert all(not row.success for row in plan.removed)
    assert not {row.rank for row in plan.removed} & {each.info.row.rank for each in plan.realigned if each.info.row}
    assert all(info.state in types.NOT_FOUND for info in plan.deleted)

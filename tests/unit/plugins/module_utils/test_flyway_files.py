# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, versions, checksums and places of Flyway's migrations."""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_files as files
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_locations as locations
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_lock, flyway_names, flyway_script_conf
from ansible_collections.sre.runbooks.plugins.module_utils import flyway_version as version
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import DeadlineError, InputError
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_checksum import checksum
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_placeholders import UnknownPlaceholder, replaced
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_resolve import Resolution, Surroundings, resolve
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import Settings
from tests.unit.plugins.module_runner import FakeClock

SQL = (".sql",)


def settings(**values: Any) -> Settings:
    return Settings.of({"locations": [], **values}, "one")


def name(file: str, **values: Any) -> flyway_names.Name:
    own = settings(**values)
    return flyway_names.parse(file, own, own.sql_migration_suffixes, flyway_names.prefixes(own))


# Versions


@pytest.mark.parametrize(
    ("smaller", "bigger"), [("1", "1.1"), ("1.9", "1.10"), ("2", "10"), ("1.0.1", "1.1"), ("9", "010"), ("0.9", "1")]
)
def test_versions_are_numbers_in_parts(smaller: str, bigger: str) -> None:
    assert version.parse(smaller) < version.parse(bigger)
    assert version.EMPTY < version.parse(smaller) < version.LATEST


@pytest.mark.parametrize("same", ["1.0", "1_0_0", "01", "001.000"])
def test_zeros_at_the_ends_do_not_count(same: str) -> None:
    assert version.parse(same) == version.parse("1")
    assert hash(version.parse(same)) == hash(version.parse("1"))
    assert version.parse(same).raw == same
    assert str(version.parse("1_2")) == "1.2"


@pytest.mark.parametrize("text", ["", "a", "1.", ".1", "1..2", "1.a", "1 ", "--1", "1-2"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        version.parse(text)


@given(
    st.lists(st.integers(0, 10**30), min_size=1, max_size=6), st.lists(st.integers(0, 10**30), min_size=1, max_size=6)
)
def test_order_is_that_of_the_numbers(one: list[int], other: list[int]) -> None:
    width = max(len(one), len(other))
    padded = [each + [0] * (width - len(each)) for each in (one, other)]
    mine, theirs = (version.parse(".".join(map(str, each))) for each in (one, other))
    assert (mine < theirs) == (padded[0] < padded[1])
    assert (mine == theirs) == (padded[0] == padded[1])


# Names


def test_parts_of_a_name() -> None:
    found = name("V1_2__add_a_table.sql")
    assert (found.kind, str(found.version), found.description) == (flyway_names.VERSIONED, "1.2", "add a table")
    assert name("R__views.SQL").kind == flyway_names.REPEATABLE
    assert name("B7__all.sql").kind == flyway_names.BASELINE
    assert name("V3.sql").description == ""
    assert name("V3____x.sql").description == "  x"


@pytest.mark.parametrize(
    "file", ["V__x.sql", "Vone__x.sql", "R1__x.sql", "x.sql", "beforeMigrate1__x.sql", "U1__x.sql"]
)
def test_names_that_are_passed_over(file: str) -> None:
    assert name(file).problem.startswith(file)


def test_a_callback_is_no_migration_even_where_prefixes_meet() -> None:
    assert name("beforeMigrate__x.sql", sql_migration_prefix="b").kind == flyway_names.CALLBACK
    assert name("b1__x.sql", sql_migration_prefix="b").kind == flyway_names.VERSIONED


@pytest.mark.parametrize(
    ("file", "script"),
    [("V1__a.sh", True), ("V1__a", True), ("V1__a.PY", True), ("V1__a.txt", False), ("V1.1__a", False)],
)
def test_which_files_are_run_as_programs(file: str, script: bool) -> None:
    assert flyway_names.is_script(file) is script


@pytest.mark.parametrize(("length", "kept"), [(200, 200), (201, 200), (500, 200)])
def test_long_descriptions_are_cut_as_in_the_table(length: int, kept: int) -> None:
    short = flyway_names.abbreviated("x" * length)
    assert len(short) == kept
    assert short.endswith("..." if length > 200 else "x")


# Checksums


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", ""])
def test_line_ends_and_the_mark_at_the_beginning_do_not_count(end: str) -> None:
    text = f"CREATE TABLE a (b int);{end}SELECT 1;" if end else "CREATE TABLE a (b int);SELECT 1;"
    assert checksum(text) == checksum("CREATE TABLE a (b int);\nSELECT 1;\n") == checksum("\ufeff" + text)


@pytest.mark.parametrize("sign", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", " ", "\t", "\ufeff"])
def test_every_other_sign_counts(sign: str) -> None:
    assert checksum(f"a{sign}b") != checksum("ab")
    assert checksum(f"a{sign}b") == checksum(f"a{sign}b\n")


@given(st.text())
def test_a_checksum_is_signed_and_of_all_lines(text: str) -> None:
    crc = 0
    for number, line in enumerate(re.split("\r\n|\r|\n", text)):
        crc = zlib.crc32((line.removeprefix("\ufeff") if number == 0 else line).encode(), crc)
    assert checksum(text) % 2**32 == crc
    assert -(2**31) <= checksum(text) < 2**31


# Placeholders


def put_in(text: str, prefix: str = "${", suffix: str = "}", **values: str) -> str:
    return replaced(text, prefix, suffix, values.get)


def test_placeholders() -> None:
    assert put_in("a ${X} b ${x}${y}", x="1", y="") == "a 1 b 1"
    assert put_in("$${x} $x {x} $", x="1") == "$${x} $x {x} $", "what was read ahead is not read again"
    assert put_in("${x}", x="${x}") == "${x}", "what was put in is not searched"
    assert put_in("@@x@@", prefix="@@", suffix="@@", x="1") == "1"
    for text in ("${nobody}", "${open"):
        with pytest.raises(UnknownPlaceholder):
            put_in(text, x="1")


@given(st.text(alphabet="${}xa ", max_size=30))
def test_text_without_a_whole_prefix_stays(text: str) -> None:
    if "${" not in text:
        assert put_in(text, x="1") == text


# Locations


def test_places_are_looked_at_once() -> None:
    found = locations.distinct(
        ["filesystem:/a/b/", "filesystem:/a", "classpath:/db/", "db", "filesystem:/a", "filesystem:/ab"], None
    )
    assert [each.descriptor for each in found] == ["classpath:db", "filesystem:/a", "filesystem:/ab"]


def test_wildcards() -> None:
    place = locations.parse("filesystem:/a/**/sql/V?_*")
    assert place.root == "/a"
    assert place.fits("/a/sql/V1_x/V1__y.sql")
    assert place.fits("/a/b/c/sql/V1_x/V1__y.sql")
    assert not place.fits("/a/b/V1_x/V1__y.sql")
    assert place.relative("/a/sql/V1_x/d/V1__y.sql") == "d/V1__y.sql"
    assert locations.parse("classpath:db/*.sql").fits("db/x.sql")


@pytest.mark.parametrize("text", ["file:/a", "filesystem:relative"])
def test_locations_that_are_none(text: str) -> None:
    with pytest.raises(InputError, match="location"):
        locations.parse(text)
    assert locations.parse("filesystem:relative", "/srv").root == "/srv/relative"


def put(folder: Path, **contents: str) -> None:
    for path, text in contents.items():
        target = folder / path.replace("|", "/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())


def found(folder: Path, **values: Any) -> Resolution:
    return resolve(settings(locations=[f"filesystem:{folder}"], **values), Surroundings("shop", ("flyway",)))


def test_folders(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{"V1__a.sql": "a", "sub|V2__b.sql": "b", ".git|V3__c.sql": "c", "beforeMigrate.sql": "", "x.sql": ""},
    )
    result = found(tmp_path)
    assert sorted(each.script for each in result.migrations) == ["V1__a.sql", "sub/V2__b.sql"]
    assert result.ill_named == [str(tmp_path / "x.sql")]
    assert not result.refusals
    assert found(tmp_path, validate_migration_naming=True).refusals[0].startswith("invalid name: x.sql")


def test_undo_files_of_the_paid_editions_are_passed_over(tmp_path: Path) -> None:
    put(tmp_path, **{"U1__a.sql": ""})
    result = found(tmp_path)
    assert (result.migrations, result.ill_named, result.refusals) == ([], [], [])
    assert found(tmp_path, validate_migration_naming=True).refusals


def test_reading_ends_with_the_time(tmp_path: Path) -> None:
    put(tmp_path, **{"V1__a.sql": ""})
    clock = FakeClock()
    deadline = Deadline(1, clock)
    clock.sleep(2)
    with pytest.raises(DeadlineError, match=r"V1__a\.sql"):
        resolve(settings(locations=[f"filesystem:{tmp_path}"]), Surroundings(), deadline)


@pytest.mark.parametrize("kind", ["absent", "file"])
def test_a_folder_that_is_none_is_a_problem(tmp_path: Path, kind: str) -> None:
    put(tmp_path, file="")
    result = found(tmp_path / kind)
    assert result.problems == result.absent
    assert str(tmp_path / kind) in result.problems[0]


def test_a_link_to_its_own_folder_ends(tmp_path: Path) -> None:
    put(tmp_path, **{"V1__a.sql": "a"})
    (tmp_path / "again").symlink_to(tmp_path)
    assert "link" in found(tmp_path).problems[0]


def test_a_bucket_cannot_be_read(tmp_path: Path) -> None:
    result = resolve(settings(locations=["s3:bucket/sql"]), Surroundings())
    assert "cannot be read" in result.problems[0]
    assert not result.absent


def archive(path: Path | io.BytesIO, entries: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as target:
        for entry, content in entries.items():
            target.writestr(entry, content)


def in_jar(path: Path, **values: Any) -> Resolution:
    return resolve(settings(locations=["classpath:db/migration"], jars=[str(path)], **values), Surroundings())


def test_a_plain_jar_and_a_folder_of_classes(tmp_path: Path) -> None:
    archive(tmp_path / "plain.jar", {"db/migration/": b"", "db/migration/V1__a.sql": b"a", "other/V2__b.sql": b"b"})
    (only,) = in_jar(tmp_path / "plain.jar").migrations
    assert (only.script, only.checksum, only.filepath) == (
        "V1__a.sql",
        checksum("a"),
        f"{tmp_path}/plain.jar!/db/migration/V1__a.sql",
    )
    put(tmp_path, **{"classes|db|migration|x|V1__a.sql": "a"})
    assert in_jar(tmp_path / "classes").migrations[0].script == "x/V1__a.sql"


def test_jars_within_a_jar(tmp_path: Path) -> None:
    inner = io.BytesIO()
    archive(
        inner, {"db/migration/V2__b.sql": b"b", "db/migration/V3__Moves.class": b"?", "db/migration/V3__M$1.class": b""}
    )
    archive(
        tmp_path / "boot.jar",
        {
            "BOOT-INF/classes/db/migration/V1__a.sql": b"a",
            "db/migration/V9__no.sql": b"",
            "BOOT-INF/lib/x.jar": inner.getvalue(),
        },
    )
    rows = {each.description: each for each in in_jar(tmp_path / "boot.jar").migrations}
    assert sorted(rows) == ["Moves", "a", "b"]
    assert (rows["Moves"].type, rows["Moves"].unknown != "") == ("JDBC", True)
    assert rows["b"].filepath.endswith("boot.jar!/BOOT-INF/lib/x.jar!/db/migration/V2__b.sql")


@pytest.mark.parametrize("content", [b"", b"no archive at all"])
def test_a_broken_or_empty_jar_is_a_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "broken.jar").write_bytes(content)
    assert str(tmp_path / "broken.jar") in in_jar(tmp_path / "broken.jar").problems[0]
    archive(tmp_path / "other.jar", {"x/V1__a.sql": b""})
    assert "no such folder" in in_jar(tmp_path / "other.jar").absent[0]


def test_a_script_that_is_too_big_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 10)
    put(tmp_path, **{"V1__a.sql": "a" * 11})
    assert "bigger than 10 bytes" in found(tmp_path).refusals[0]


# What Flyway refuses, and what it takes for one


def test_two_files_of_one_version_are_named(tmp_path: Path) -> None:
    put(tmp_path, **{"V1__a.sql": "a", "V1.0__b.sql": "b", "R__x.sql": "", "sub|R__x.sql": "!", "B1__c.sql": ""})
    first, second = found(tmp_path).refusals
    assert "R__x.sql (SQL)" in first + second
    version_one = next(text for text in (first, second) if "version" in text.split(":")[0])
    assert str(tmp_path / "V1__a.sql") in version_one
    assert str(tmp_path / "V1.0__b.sql") in version_one


def test_the_same_file_in_two_places_is_one(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        put(tmp_path / folder, **{"V1__a.sql": "a"})
    places = [f"filesystem:{tmp_path / folder}" for folder in ("one", "two")]
    result = resolve(settings(locations=places), Surroundings())
    assert (len(result.migrations), result.refusals) == (1, [])


def test_a_text_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "V1__a.sql").write_bytes("é".encode("latin-1"))
    assert "utf-8" in found(tmp_path).refusals[0]
    assert found(tmp_path, encoding="ISO-8859-1").migrations[0].checksum == checksum("é")
    put(tmp_path, **{"V1__a.sql.conf": "encoding=ISO-8859-1"})
    assert found(tmp_path).migrations[0].checksum == checksum("é")


# Repeatable migrations


def repeatable(folder: Path, text: str, **values: Any) -> Any:
    put(folder, **{"R__x.sql": text})
    return found(folder, **values).migrations[0]


def test_placeholders_count_in_repeatable_migrations_only(tmp_path: Path) -> None:
    migration = repeatable(tmp_path, "${a} ${flyway:table} ${flyway:filename}", placeholders={"A": 1})
    assert migration.checksum == checksum("1 flyway_schema_history R__x.sql")
    assert migration.matches(checksum("${a} ${flyway:table} ${flyway:filename}"))
    assert not migration.passes(checksum("${a} ${flyway:table} ${flyway:filename}"))
    put(tmp_path, **{"V1__a.sql": "${a}"})
    assert {each.checksum for each in found(tmp_path, placeholders={"a": 1}).migrations} >= {checksum("${a}")}
    assert repeatable(tmp_path, "${a}", placeholder_replacement=False).checksum == checksum("${a}")
    put(tmp_path, **{"R__x.sql.conf": "placeholderReplacement=false"})
    assert repeatable(tmp_path, "${a}", placeholders={"a": 1}).checksum == checksum("${a}")


def test_an_unknown_placeholder_is_said(tmp_path: Path) -> None:
    migration = repeatable(tmp_path, "${secret_word}")
    assert "secret_word" in migration.unknown
    assert migration.matches(4711)


def test_the_user_may_be_one_of_those_who_installed(tmp_path: Path) -> None:
    put(tmp_path, **{"R__x.sql": "${flyway:user}"})
    place = settings(locations=[f"filesystem:{tmp_path}"])
    migration = resolve(place, Surroundings("shop", ("reader", "owner"))).migrations[0]
    assert migration.passes(checksum("owner"))
    assert not migration.passes(checksum("thief"))


# Companions of scripts


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("FALSE", False), ("a==a && b!=c", True), ("a==b || true", True), ("a==b", False), ("f(x)", None)],
)
def test_conditions(text: str, value: bool | None) -> None:
    assert flyway_script_conf.evaluated(text) is value


def test_a_companion(tmp_path: Path) -> None:
    put(
        tmp_path,
        **{"V1__a.sql": "", "V1__a.sql.conf": "# never\nshouldExecute=${on}==no\nexecuteInTransaction=false\n"},
    )
    (migration,) = found(tmp_path, placeholders={"on": "yes"}).migrations
    assert (migration.should_execute, migration.expression) == (False, "${on}==no")
    put(tmp_path, **{"V1__a.sql.conf": "executeInTransaction=maybe"})
    assert "executeInTransaction" in found(tmp_path).refusals[0]
    put(tmp_path, **{"V1__a.sql.conf": "colour=red"})
    assert "colour" in found(tmp_path).refusals[0]


# Settings


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"ignore_migration_patterns": ["*"]}, "ignore_migration_patterns"),
        ({"ignore_migration_patterns": ["*:failed"]}, "ignore_migration_patterns"),
        ({"target": "one"}, "target"),
        ({"baseline_version": "x"}, "baseline_version"),
        ({"encoding": "klingon"}, "encoding"),
        ({"schema": ""}, "schema"),
        ({"placeholder_prefix": ""}, "placeholder_prefix"),
    ],
)
def test_settings_that_are_wrong_are_named(values: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=f"one: {word}"):
        settings(**values)


# The lock


def test_the_key_of_the_lock() -> None:
    assert flyway_lock.key("public", "flyway_schema_history") == 77433833903597
    assert flyway_lock.java_hash("") == 0
    assert flyway_lock.java_hash("Aa") == flyway_lock.java_hash("BB") == 2112

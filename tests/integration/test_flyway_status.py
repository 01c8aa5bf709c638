# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""flyway_status against a real PostgreSQL: rights, schemas, quoted names, locks, and the traps that Flyway leaves open."""

from __future__ import annotations

import itertools
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import flyway_checks, flyway_inspect, flyway_status
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_checksum import checksum
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_lock import Lock, key
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_resolve import Resolution
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_settings import SUBOPTIONS, Settings
from ansible_collections.sre.runbooks.plugins.module_utils.flyway_table import Table
from ansible_collections.sre.runbooks.plugins.module_utils.operation import Context
from tests.integration.throwaway_postgres import Throwaway, throwaway

__all__ = ["throwaway"]  # the fixture

TABLE = """CREATE TABLE {name} (installed_rank int PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL,
    type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL,
    installed_on timestamp NOT NULL DEFAULT now(), execution_time int NOT NULL, success boolean NOT NULL)"""
READER = {"login_user": "reader", "login_password": "reader-password"}
_numbers = itertools.count(1)


class Shop:
    """A database and a folder of migrations of the test's own."""

    def __init__(self, server: Throwaway, folder: Path) -> None:
        self.server, self.folder, self.name = server, folder, f"shop{next(_numbers)}"
        server.run(f"CREATE DATABASE {self.name}")

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.server.run(*statements, database=self.name)

    def table(self, *rows: tuple[Any, ...], name: str = "flyway_schema_history", reader: bool = True) -> None:
        """A history with rows of (version, type, script, checksum, success), from the left as far as given."""
        self.run(TABLE.format(name=name))
        with closing(self.server.connect(self.name)) as connection, connection.cursor() as cursor:
            for rank, row in enumerate(rows, start=1):
                version, kind, script, number, success = (*row, *("SQL", "", None, True)[len(row) - 1 :])
                description = script.partition("__")[2].removesuffix(".sql").replace("_", " ") or kind
                cursor.execute(
                    f"INSERT INTO {name} VALUES (%s, %s, %s, %s, %s, %s, 'me', '2026-01-02 03:04:05.6', 7, %s)",
                    [rank, version, description, kind, script, number, success],
                )
        if reader:
            self.run(f"GRANT SELECT ON {name} TO reader")

    def file(self, name: str, text: str) -> int:
        """Write a migration; its checksum."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return checksum(text)

    def history(self, name: str = "one", **values: Any) -> dict[str, Any]:
        defaults = {option: how.get("default") for option, how in SUBOPTIONS.items()}
        return {**defaults, "name": name, "locations": [f"filesystem:{self.folder}"], **values}

    def ask(self, *histories: dict[str, Any], **values: Any) -> dict[str, Any]:
        params = {name: how.get("default") for name, how in flyway_status.SPEC.options.items()}
        target = {"login_host": "127.0.0.1", "login_port": self.server.port, "login_db": self.name}
        clock = Clock()
        return flyway_status.run(
            {**params, **target, **READER, "histories": list(histories) or [self.history()], **values},
            Context(clock=clock, deadline=Deadline(30, clock)),
        )


@pytest.fixture(scope="module")
def server(throwaway: Throwaway) -> Throwaway:
    throwaway.run("CREATE ROLE reader LOGIN PASSWORD 'reader-password'")
    return throwaway


@pytest.fixture
def shop(server: Throwaway, tmp_path: Path) -> Iterator[Shop]:
    place = Shop(server, tmp_path / "sql")
    place.folder.mkdir()
    yield place
    server.run(f"DROP DATABASE {place.name} WITH (FORCE)")


def statuses(result: dict[str, Any], name: str = "one") -> dict[str, str]:
    begin = f"flyway.{name}"
    return {
        row["id"].removeprefix(begin).lstrip("."): row["status"]
        for row in result["checks"]
        if row["id"].startswith(begin)
    }


def check(result: dict[str, Any], part: str) -> dict[str, Any]:
    return next(row for row in result["checks"] if row["id"] == f"flyway.one.{part}".rstrip("."))


def causes(result: dict[str, Any]) -> list[str]:
    return [finding["cause"] for finding in result["findings"]]


def test_all_is_well(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "CREATE TABLE a ();\r\n")))
    shop.file("V2__b.sql", "SELECT 1;")
    result = shop.ask()
    assert result["verdict"] == "pass", result["checks"]
    (history,) = result["histories"]
    assert (history["schemaVersion"], history["schemaName"], history["database"]) == ("1", "public", shop.name)
    assert [(row["version"], row["state"]) for row in history["migrations"]] == [("1", "Success"), ("2", "Pending")]
    assert history["migrations"][0]["installedOnUTC"] == "2026-01-02T03:04:05.600Z"
    assert check(result, "pending")["observed"] == ["2"]
    assert shop.ask(pending="fail")["verdict"] == "fail"
    assert [row["version"] for row in shop.ask(migrations="notable")["histories"][0]["migrations"]] == ["2"]
    assert shop.ask(migrations="none")["histories"][0]["migrations"] == []


def test_nothing_is_written(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")))
    before = shop.run("SELECT xmin::text, * FROM flyway_schema_history")
    written = "SELECT tup_inserted + tup_updated + tup_deleted FROM pg_stat_database WHERE datname = current_database()"
    counted = shop.run("SELECT pg_stat_force_next_flush()", written)
    for _ in range(3):
        shop.ask()
    assert shop.run("SELECT pg_stat_force_next_flush()", written) == counted
    assert shop.run("SELECT xmin::text, * FROM flyway_schema_history") == before


def test_absent_schema_absent_table_and_missing_right_are_three_things(shop: Shop) -> None:
    shop.file("V1__a.sql", "a")
    shop.run("CREATE SCHEMA risk", 'CREATE SCHEMA "Risk"')
    shop.table(name='"Risk".flyway_schema_history', reader=False)
    wrong = shop.ask(shop.history(schema="rsik"))
    assert statuses(wrong)[""] == "fail"
    assert 'schema "rsik" does not exist' in check(wrong, "")["observed"]
    absent = shop.ask(shop.history(schema="risk"))
    assert statuses(absent)[""] == "fail"
    assert 'table "risk"."flyway_schema_history" does not exist' in check(absent, "")["observed"]
    assert '"Risk".flyway_schema_history' in check(absent, "")["hint"]
    denied = shop.ask(shop.history(schema="Risk"))
    assert denied["verdict"] == "unverified"
    assert 'GRANT USAGE ON SCHEMA "Risk" TO "reader"' in check(denied, "")["observed"]
    shop.run('GRANT USAGE ON SCHEMA "Risk" TO reader')
    denied = shop.ask(shop.history(schema="Risk"))
    assert statuses(denied)[""] == "unverified"
    assert 'GRANT SELECT ON "Risk"."flyway_schema_history" TO "reader"' in check(denied, "")["observed"]
    assert "validate" not in statuses(denied)
    shop.run('GRANT SELECT ON "Risk".flyway_schema_history TO reader')
    assert statuses(shop.ask(shop.history(schema="Risk")))[""] == "pass"


def test_names_are_taken_letter_by_letter(shop: Shop) -> None:
    shop.file("V1__a.sql", "a")
    schema, quoted = 'O\'Brien "x" %s', '"O\'Brien ""x"" %s"'
    shop.run(f"CREATE SCHEMA {quoted}", f"GRANT USAGE ON SCHEMA {quoted} TO reader")
    shop.run(TABLE.format(name=f'{quoted}."HISTORY"'), f'GRANT SELECT ON {quoted}."HISTORY" TO reader')
    assert statuses(shop.ask(shop.history(schema=schema, table="HISTORY")))[""] == "pass"
    other = shop.ask(shop.history(schema=schema, table="history"))
    assert statuses(other)[""] == "fail"
    assert "HISTORY" in check(other, "")["hint"]


def test_columns_in_capitals_are_read_and_a_foreign_table_is_not(shop: Shop) -> None:
    shop.file("V1__a.sql", "a")
    columns = TABLE.format(name="capitals")
    for column in ("installed_rank", "version", "success", "checksum"):
        columns = columns.replace(f"{column} ", f'"{column.upper()}" ')
    shop.run(
        columns, "GRANT SELECT ON capitals TO reader", "CREATE TABLE other (a int)", "GRANT SELECT ON other TO reader"
    )
    assert statuses(shop.ask(shop.history(table="capitals")))[""] == "pass"
    assert "is no history of Flyway" in check(shop.ask(shop.history(table="other")), "")["observed"]
    shop.run("CREATE VIEW seen AS SELECT * FROM capitals", "GRANT SELECT ON seen TO reader")
    assert "is a view" in check(shop.ask(shop.history(table="seen")), "")["observed"]


def test_seven_histories_in_one_task(shop: Shop) -> None:
    names = ["public", "screening", "monitoring", "cases", "vault", "risk", "signals"]
    for name in names:
        if name != "public":
            shop.run(f"CREATE SCHEMA {name}", f"GRANT USAGE ON SCHEMA {name} TO reader")
        number = shop.file(f"{name}/V1__{name}.sql", f"-- {name}")
        shop.table(("1", "SQL", f"V1__{name}.sql", number + (name == "risk")), name=f"{name}.flyway_schema_history")
    result = shop.ask(
        *(shop.history(name, schema=name, locations=[f"filesystem:{shop.folder}/{name}"]) for name in names)
    )
    assert [history["name"] for history in result["histories"]] == names
    assert {row["id"] for row in result["checks"] if row["status"] == "fail"} == {
        "flyway.risk.changed",
        "flyway.risk.validate",
    }
    assert [finding["affects"] for finding in result["findings"]] == [["risk"]]


def test_never_mutate_names_the_file_and_both_checksums(shop: Shop) -> None:
    now = shop.file("V1__a.sql", "a\nb")
    shop.table(("1", "SQL", "V1__a.sql", 4711))
    result = shop.ask()
    (line,) = check(result, "changed")["observed"]
    assert str(shop.folder / "V1__a.sql") in line
    assert "4711" in line
    assert str(now) in line
    assert causes(result) == ["migration_changed_after_applied"]
    assert [each["version"] for each in result["histories"][0]["blocked_by"]] == ["1"]


def test_wrong_locations_are_not_green_where_flyway_is(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", 1), ("2", "SQL", "V2__b.sql", 2))
    for places in ([f"filesystem:{shop.folder}"], [f"filesystem:{shop.folder}/gone"], ["classpath:db/migration"]):
        result = shop.ask(shop.history(locations=places))
        assert result["verdict"] != "pass"
        assert result["histories"][0]["validation_errors"] == [], "Flyway overlooks rows that it calls Future"
        assert statuses(result)["locations"] != "pass"
        assert statuses(result)["validate"] == "unverified"
        assert statuses(result)["changed"] == "unverified"
    assert "locations_wrong" in causes(shop.ask(shop.history(locations=[f"filesystem:{shop.folder}/gone"])))


def test_two_files_of_one_version_stop_everything(shop: Shop) -> None:
    shop.table()
    shop.file("V1__identity.sql", "a")
    shop.file("V1__users.sql", "b")
    result = shop.ask()
    assert statuses(result)["validate"] == "fail"
    (text,) = result["histories"][0]["errors"]
    assert "V1__identity.sql" in text
    assert "V1__users.sql" in text
    assert causes(result) == ["duplicate_versions"]
    shop.run(
        "INSERT INTO flyway_schema_history VALUES (1, '1', 'users', 'SQL', 'V1__users.sql', 1, 'me', now(), 1, true)"
    )
    result = shop.ask()
    assert causes(result) == ["duplicate_versions"], "which file was applied is not known, so none is called changed"
    assert statuses(result)["changed"] == "unverified"


def test_a_baseline_that_skipped_tables_is_shown(shop: Shop) -> None:
    sql = 'CREATE TABLE IF NOT EXISTS users (a int);\n-- CREATE TABLE no ();\ncreate table "Quoted"(); CREATE TABLE x.y (); '
    shop.file("V1__identity.sql", sql)
    shop.table(("1", "BASELINE", "<< Flyway Baseline >>"))
    shop.run("CREATE TABLE users (a int)")
    result = shop.ask(shop.history(baseline_on_migrate=True))
    (line,) = check(result, "baseline")["observed"]
    assert line.endswith('V1__identity.sql: "Quoted", x.y not there')
    assert causes(result) == ["baseline_skipped_migrations"]
    assert {row["state"] for row in result["histories"][0]["migrations"]} == {"Ignored (Baseline)", "Baseline"}
    shop.run('CREATE TABLE "Quoted" ()', "CREATE SCHEMA x", "CREATE TABLE x.y ()")
    assert statuses(shop.ask())["baseline"] == "pass"
    shop.file("V1__identity.sql", "INSERT INTO users VALUES (1)")
    assert statuses(shop.ask())["baseline"] == "unverified"


def test_a_late_migration_blocks_and_says_why(shop: Shop) -> None:
    shop.table(("5", "SQL", "V5__e.sql", shop.file("V5__e.sql", "e")))
    shop.file("V4__d.sql", "d")
    result = shop.ask()
    (blocked,) = result["histories"][0]["blocked_by"]
    assert blocked["version"] == "4"
    assert "after 5 was applied" in blocked["reason"]
    assert causes(result) == ["migration_out_of_order"]
    assert shop.ask(shop.history(out_of_order=True))["verdict"] == "pass"


def test_failed_rows(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a"), False))
    result = shop.ask()
    assert (statuses(result)["failed"], statuses(result)["validate"]) == ("fail", "fail")
    assert causes(result) == ["migration_failed"]


def test_java_migrations_are_unverifiable_and_unknown_types_are_listed(shop: Shop) -> None:
    shop.table(("1", "JDBC", "db.V1__a", 5), ("2", "SQL", "V2__b.sql", shop.file("V2__b.sql", "b")))
    result = shop.ask()
    assert result["verdict"] == "unverified"
    assert check(result, "unverifiable")["observed"] == ["1"]
    shop.run("DELETE FROM flyway_schema_history WHERE installed_rank = 2")
    (shop.folder / "V2__b.sql").unlink()
    only = shop.ask()
    assert (only["verdict"], statuses(only)["locations"]) == ("unverified", "pass"), "all migrations are programs"
    shop.run("UPDATE flyway_schema_history SET type = 'PYTHON' WHERE installed_rank = 1")
    result = shop.ask()
    assert statuses(result)["validate"] == "fail"
    assert result["histories"][0]["migrations"][0]["state"] == "Unknown Type"
    assert "unknown type 'PYTHON'" in result["histories"][0]["errors"][0]


def test_a_placeholder_without_a_value_is_unverified(shop: Shop) -> None:
    raw = "SELECT '${region}'"
    shop.file("R__view.sql", raw)
    shop.table((None, "SQL", "R__view.sql", checksum("SELECT 'eu'")))
    assert statuses(shop.ask())["changed"] == "unverified"
    assert "view" in check(shop.ask(), "changed")["hint"]
    assert shop.ask(shop.history(placeholders={"region": "eu"}))["verdict"] == "pass"
    other = shop.ask(shop.history(placeholders={"region": "us"}), pending="fail")
    assert check(other, "pending")["observed"] == ["view"]


def test_migrations_in_a_jar(shop: Shop, tmp_path: Path) -> None:
    jar = tmp_path / "service.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("BOOT-INF/classes/db/migration/V1__a.sql", "a")
    shop.table(("1", "SQL", "V1__a.sql", checksum("a")))
    result = shop.ask(shop.history(locations=["classpath:db/migration"], jars=[str(jar)]))
    assert result["verdict"] == "pass"
    assert result["histories"][0]["migrations"][0]["filepath"] == f"{jar}!/BOOT-INF/classes/db/migration/V1__a.sql"


def test_the_lock_of_a_running_migration(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")), name="other_history")
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")))
    with closing(shop.server.connect(shop.name)) as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "SELECT pg_backend_pid(), pg_try_advisory_xact_lock(%s)", [key("public", "flyway_schema_history")]
        )
        ((pid, taken),) = cursor.fetchall()
        assert taken
        hidden = shop.ask()
        assert statuses(hidden)["lock"] == "unverified", "its age is hidden from a user without pg_read_all_stats"
        assert statuses(shop.ask(shop.history(table="other_history")))["lock"] == "pass", (
            "another table's lock is another"
        )
        shop.run("GRANT pg_read_all_stats TO reader")
        try:
            seen = shop.ask()
            lock = seen["histories"][0]["lock"]
            assert (lock["held"], lock["holder_pid"], lock["blocked_pids"]) == (True, pid, [])
            assert statuses(seen)["lock"] == "pass"
            assert "migrates now" in check(seen, "lock")["hint"]
            assert statuses(shop.ask(max_lock_seconds=0))["lock"] == "fail"
            cursor.execute("CREATE TABLE busy (a int)")
            cursor.execute("LOCK TABLE flyway_schema_history IN SHARE MODE")
            _blocked(shop, pid)
        finally:
            shop.run("REVOKE pg_read_all_stats FROM reader")
    assert statuses(shop.ask())["lock"] == "pass"


def _blocked(shop: Shop, pid: int) -> None:
    """While another session waits for the holder: its pid is named, and an index made concurrently is told apart."""
    with closing(shop.server.connect(shop.name)) as waiting, waiting.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        ((blocked,),) = cursor.fetchall()
        statement = "CREATE INDEX CONCURRENTLY waiting ON flyway_schema_history (version)"
        thread = threading.Thread(target=_try, args=(cursor, statement))
        thread.start()
        try:
            until = time.monotonic() + 20
            while shop.run(f"SELECT cardinality(pg_blocking_pids({blocked}))") == [(0,)]:
                assert time.monotonic() < until, "nothing waits"
                time.sleep(0.02)
            result = shop.ask()
            assert result["histories"][0]["lock"]["blocked_pids"] == [blocked]
            assert statuses(result)["lock"] == "fail"
            assert str(blocked) in check(result, "lock")["observed"]
            assert "transactional.lock=false" in check(result, "lock")["hint"]
            assert "migration_blocks_itself" in causes(result)
            assert str(pid) in result["histories"][0]["blocked_by"][-1]["reason"]
        finally:
            shop.run(f"SELECT pg_cancel_backend({blocked})")
            thread.join(20)


def _try(cursor: Any, statement: str) -> None:
    import psycopg2

    try:
        cursor.execute(statement)
    except psycopg2.Error:
        return


def test_two_thousand_migrations(shop: Shop) -> None:
    shop.table()
    values = []
    for number in range(1, 2001):
        crc = shop.file(f"V{number}__m{number}.sql", f"SELECT {number};")
        values.append(
            f"({number}, '{number}', 'm{number}', 'SQL', 'V{number}__m{number}.sql', {crc}, 'me', now(), 1, true)"
        )
    shop.run(f"INSERT INTO flyway_schema_history VALUES {', '.join(values)}")
    result = shop.ask()
    assert result["verdict"] == "pass"
    assert len(result["histories"][0]["migrations"]) == 2000
    assert result["histories"][0]["schemaVersion"] == "2000"


def test_a_relative_location_is_refused(shop: Shop) -> None:
    with pytest.raises(InputError, match="working_directory"):
        shop.ask(shop.history(locations=["filesystem:sql"]))
    assert (
        statuses(shop.ask(shop.history(locations=["filesystem:sql"], working_directory=str(shop.folder.parent))))[""]
        == "fail"
    )


def test_one_database_that_does_not_answer_leaves_the_others_judged(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")))
    result = shop.ask(shop.history(), shop.history("two", login_db="no_such_database"))
    assert statuses(result)["validate"] == "pass"
    assert statuses(result, "two") == {"": "fail"}
    assert "no_such_database" in result["histories"][1]["error"]


def test_rows_newer_than_the_files_are_not_green(shop: Shop) -> None:
    rows = [(str(number), "SQL", f"V{number}__m.sql", 7) for number in range(2, 9)]
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")), *rows)
    result = shop.ask(pending="fail")
    seen = statuses(result)
    assert (result["verdict"], seen["changed"], seen["locations"], seen["pending"]) == (
        "unverified",
        "unverified",
        "unverified",
        "pass",
    )
    for part in ("changed", "locations"):
        assert "2, 3, 4, 5, 6, 7, 8" in check(result, part)["observed"]
        assert "rollback" in check(result, part)["hint"]


def test_a_standby_knows_no_lock(shop: Shop) -> None:
    shop.table(("1", "SQL", "V1__a.sql", shop.file("V1__a.sql", "a")))
    history = flyway_inspect.judge(
        Settings.of(shop.history(), "one"), Table("present", standby=True), Resolution(), Lock(known=False)
    )
    (row,) = [each for each in flyway_checks.checks_of(history, "allow", 600, "") if each.id == "flyway.one.lock"]
    assert (row.status, row.observed) == ("unverified", "the server is a standby")
    assert statuses(shop.ask())["lock"] == "pass"

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups on a real server: whole or not at all, also when the disk is full, a run is killed or writers go on."""

from __future__ import annotations

import errno
import json
import os
import resource
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyrage
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import backup_catalog, backup_programs, backup_stream
from ansible_collections.sre.runbooks.plugins.module_utils.errors import InputError, RefusedError, RunbookError
from tests.integration import backup_scene
from tests.integration.backup_scene import Scene
from tests.integration.throwaway_postgres import Throwaway, throwaway  # noqa: F401
from tests.support import postgres_majors


@pytest.fixture
def shop(throwaway: Throwaway, tmp_path: Path) -> Iterator[Scene]:  # noqa: F811
    with backup_scene.shop(throwaway, tmp_path) as scene:
        yield scene


def status(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"].split(".")[0].removeprefix("backup_"): check["status"] for check in result["checks"]}


def bulk(shop: Scene, rows: int = 40_000) -> None:
    """A table that takes a while to dump and does not shrink."""
    shop.sql(
        "order_db", f"CREATE TABLE bulk AS SELECT n, sha512(n::text::bytea) AS noise FROM generate_series(1, {rows}) n"
    )


def test_check_mode_touches_nothing(shop: Scene) -> None:
    planned = shop.backup(check=True)
    assert planned["changed"]
    assert planned["backup"] is None
    assert [row["dbname"] for row in planned["plan"]["databases"]] == ["customer_db", "order_db"]
    assert planned["plan"]["free_bytes"] > planned["plan"]["needed_bytes"] > 2 * 5_000_000
    assert shop.tree() == []
    assert shop.sql("customer_db", "SELECT count(*) FROM pg_namespace WHERE nspname = 'sre_runbooks'") == [(0,)]


def test_a_set_is_whole_private_and_known(shop: Scene) -> None:
    made = shop.backup()["backup"]
    folder = Path(made["folder"])
    assert {path.name for path in folder.iterdir()} == {"customer.dump", "order.dump", "manifest.json"}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    manifest = json.loads((folder / "manifest.json").read_text())
    order = manifest["databases"][1]
    assert ["public", "ORDER_FILLED_TOTAL", 300] in [[t["schema"], t["table"], t["rows"]] for t in order["tables"]]
    assert order["marker"]["source"] == f"backup {made['id']}"
    (found,) = backup_catalog.sets(str(shop.directory), "shop")
    assert found.verify()
    told = shop.info(sources=shop.databases)
    assert (told["verdict"], told["newest"]["id"]) == ("pass", made["id"])
    again = shop.backup(max_age_hours=1)
    assert (again["changed"], again["backup"]["id"]) == (False, made["id"])


def test_encrypted_dumps_are_never_plain_on_disk(shop: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = pyrage.x25519.Identity.generate()
    pieces: list[bytes] = []
    write = backup_stream.write_some
    monkeypatch.setattr(
        backup_stream, "write_some", lambda file, piece: pieces.append(bytes(piece)) or write(file, piece)
    )
    made = shop.backup(recipients=[str(key.to_public())])["backup"]
    dumps = [Path(made["folder"]) / row["file"] for row in made["databases"]]
    assert all(
        path.name.endswith(".dump.age") and path.read_bytes().startswith(b"age-encryption.org") for path in dumps
    )
    assert not any(b"PGDMP" in piece for piece in pieces)
    assert pyrage.decrypt(dumps[0].read_bytes(), [key]).startswith(b"PGDMP")
    identity = shop.directory / "identity"
    identity.write_text(str(pyrage.x25519.Identity.generate()))
    shop.ahead = 2
    with pytest.raises(InputError, match="encrypted to other keys"):
        shop.backup(recipients=[str(key.to_public())], identity_file=str(identity))
    assert len(backup_catalog.sets(str(shop.directory), "shop")) == 1
    for recipient, told in (("age1nonsense", "no public key"), (str(key), "is a private key")):
        with pytest.raises(InputError, match=told) as error:
            shop.backup(recipients=[recipient])
        assert str(key) not in error.value.message


def test_both_databases_are_of_one_moment_while_writers_go_on(shop: Scene) -> None:
    """A writer counts in both, first there then here: no backup may hold more in the second than in the first."""
    shop.sql("customer_db", "CREATE TABLE ticks (n int PRIMARY KEY)")
    shop.sql("order_db", "CREATE TABLE ticks (n int PRIMARY KEY)")
    stop = threading.Event()

    def tick() -> None:
        with closing(shop.server.connect("customer_db")) as one, closing(shop.server.connect("order_db")) as two:
            number = 0
            while not stop.is_set():
                number += 1
                for connection in (one, two):
                    connection.cursor().execute("INSERT INTO ticks VALUES (%s)", [number])

    writer = threading.Thread(target=tick)
    writer.start()
    try:
        made = shop.backup()["backup"]
    finally:
        stop.set()
        writer.join()
    shop.restore("scratch", drill_id="moment")  # compares each table with the fingerprint of its snapshot
    ((first,),) = shop.sql("customer_db_drill_moment", "SELECT count(*) FROM ticks")
    ((second,),) = shop.sql("order_db_drill_moment", "SELECT count(*) FROM ticks")
    ((all_of_them,),) = shop.sql("customer_db", "SELECT count(*) FROM ticks")
    assert 0 < first <= all_of_them
    assert 0 <= made["skew_ms"] < 60_000
    assert second > 0


def test_the_disk_is_full(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    good = shop.backup()["backup"]["id"]
    shop.ahead = 2
    with pytest.raises(RefusedError, match="Free space, prune, or name another directory"):
        shop.backup(min_free_bytes=1 << 50)
    planned = [shop.backup(check=True, estimated_bytes=size)["plan"]["needed_bytes"] for size in (1000, 2000)]
    assert planned[1] - planned[0] == 1000
    with pytest.raises(InputError, match="estimated_bytes is 0"):
        shop.backup(estimated_bytes=0)
    bulk(shop)
    write, room = backup_stream.write_some, [20_000]

    def small(file: int, piece: memoryview) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(file, piece[: room[0]])
        room[0] -= written
        return written

    for recipients in ([], [str(pyrage.x25519.Identity.generate().to_public())]):
        room[0] = 20_000
        monkeypatch.setattr(backup_stream, "write_some", small)
        with pytest.raises(backup_stream.DiskError, match=r"is full: .* came to .* bytes\. Nothing was published"):
            shop.backup(recipients=recipients, marker=False)
        monkeypatch.undo()
        assert [path for path in shop.tree() if "partial" in path] == []
    assert [item.id for item in backup_catalog.sets(str(shop.directory), "shop")] == [good]


def test_a_file_system_that_takes_no_more(shop: Scene) -> None:
    """The kernel's own refusal, by the largest size that files of this process may have."""
    bulk(shop)
    child = os.fork()
    if child == 0:
        try:
            import signal

            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            shop.backup()
        except backup_stream.DiskError as error:
            os._exit(7 if "is full" in error.message else 8)
        finally:
            os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert [path for path in shop.tree() if path != "shop" and ".lock" not in path] == []


def begun(shop: Scene) -> int:
    """A backup in a child process, as soon as it writes a dump."""
    child = os.fork()
    if child == 0:
        try:
            shop.backup()
        finally:
            os._exit(0)
    until = time.monotonic() + 60
    while not any(path.endswith("order.dump") for path in shop.tree()):
        assert time.monotonic() < until
        time.sleep(0.005)
    return child


def test_a_killed_run_is_cleared_by_the_next(shop: Scene) -> None:
    bulk(shop, 200_000)
    child = begun(shop)
    with pytest.raises(RefusedError, match=rf"another backup or prune .* \(process {child} on"):
        shop.backup()
    os.kill(child, 9)
    os.waitpid(child, 0)
    (left,) = [path.name for path in (shop.directory / "shop").iterdir() if path.name.startswith(".partial-")]
    assert backup_catalog.sets(str(shop.directory), "shop") == []
    told = shop.info()
    assert (status(told)["leftovers"], status(told)["age"], told["leftovers"]) == ("unverified", "fail", [left])
    elsewhere = shop.directory / "shop" / ".partial-shop-20200101T000000Z"
    elsewhere.mkdir()
    (elsewhere / "owner.json").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    planned = shop.backup(check=True)
    assert planned["removed_leftovers"] == [left]
    assert (shop.directory / "shop" / left).exists()
    done = shop.backup()
    assert done["removed_leftovers"] == [left]
    assert done["kept_leftovers"][0]["folder"] == elsewhere.name
    assert not (shop.directory / "shop" / left).exists()
    assert elsewhere.exists()


def test_pg_dump_is_killed(shop: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    bulk(shop)
    save = backup_stream.save

    def killed(source: Any, *rest: Any) -> Any:
        source.process.kill()
        return save(source, *rest)

    monkeypatch.setattr(backup_stream, "save", killed)
    with pytest.raises(backup_programs.ProgramError, match=r"pg_dump of \w+ was ended by signal 9"):
        shop.backup()
    assert [path for path in shop.tree() if path != "shop" and ".lock" not in path] == []


def test_a_table_that_is_locked_and_the_time_limit(shop: Scene) -> None:
    with closing(shop.server.connect("order_db")) as other:
        other.autocommit = False
        other.cursor().execute('LOCK "ORDER_FILLED_TOTAL"')
        with pytest.raises(RunbookError, match="lock timeout"):
            shop.backup(lock_wait_seconds=1.0)
        with pytest.raises(RunbookError, match=r"statement timeout|Raise 'timeout'"):
            shop.backup(timeout=2.0)
    assert backup_catalog.sets(str(shop.directory), "shop") == []


def test_an_empty_database_is_said_and_an_emptied_one_refused(shop: Scene) -> None:
    shop.sql("postgres", "CREATE DATABASE bare")
    bare = [{"name": "bare", "login_db": "bare"}]
    first = shop.backup(databases=bare)["backup"]
    assert (first["databases"][0]["tables"], first["databases"][0]["rows"]) == (0, 1)
    told = {check["id"]: check for check in shop.info()["checks"]}["backup_content.shop"]
    assert (told["status"], told["observed"]) == ("fail", "bare: 0 tables, 1 rows")
    assert "0 tables" in told["hint"]
    shop.ahead = 2
    shop.backup()
    shop.sql("order_db", 'DROP TABLE "ORDER_FILLED_TOTAL"')
    shop.ahead = 4
    with pytest.raises(RefusedError, match=r"order has no table; in shop-.* it had 1"):
        shop.backup()
    assert len(backup_catalog.sets(str(shop.directory), "shop")) == 2
    shop.ahead = 6
    assert shop.backup(allow_empty=True)["changed"]


def test_a_clock_that_was_moved(shop: Scene) -> None:
    shop.ahead = 86_400
    future = shop.backup()["backup"]["id"]
    shop.ahead = 0
    told = shop.info()
    assert status(told) == {**status(told), "clock": "fail", "age": "fail"}
    assert told["newest"] is None
    with pytest.raises(InputError, match="it is dated in the future"):
        shop.restore("scratch")
    now = shop.backup(max_age_hours=1)
    assert now["changed"]
    assert shop.restore("scratch", check=True)["plan"]["backup"] == now["backup"]["id"] != future
    told = shop.info()
    assert (status(told)["age"], status(told)["clock"], told["verdict"]) == ("pass", "fail", "fail")


def aged(shop: Scene, days: list[float]) -> list[str]:
    """A set for each age, the youngest first."""
    made = []
    for age in sorted(days, reverse=True):
        shop.ahead = -age * 86_400
        made.append(shop.backup(databases=[{"name": "customer", "login_db": "customer_db"}])["backup"]["id"])
    shop.ahead = 0
    return made[::-1]


def ids(shop: Scene) -> list[str]:
    return [item.id for item in backup_catalog.sets(str(shop.directory), "shop")]


def test_a_set_is_of_one_deployment(shop: Scene) -> None:
    """A set that another server writes to is noticed by its backup, and by whoever looks at it."""
    made = Path(shop.backup()["backup"]["folder"])
    assert status(shop.info(sources=shop.databases))["source"] == "pass"
    manifest = json.loads((made / "manifest.json").read_text())
    for row in manifest["databases"]:
        row["system_identifier"] = "7000000000000000001"
    (made / "manifest.json").write_text(json.dumps(manifest))
    shop.ahead = 2
    before = shop.tree()
    for check in (True, False):
        for options in ({}, {"max_age_hours": 1.0}):  # another's young backup is not enough either
            with pytest.raises(RefusedError, match=r"7000000000000000001.* a set of its own.* set allow_other_source"):
                shop.backup(check=check, **options)
    assert shop.tree() == before
    told = shop.info(sources=shop.databases)
    assert (status(told)["source"], told["verdict"]) == ("fail", "fail")
    assert shop.backup(allow_other_source=True)["changed"]  # the server was rebuilt
    shop.ahead = 4
    assert shop.backup()["changed"]
    assert status(shop.info(sources=shop.databases))["source"] == "pass"
    shop.sql("postgres", "CREATE DATABASE staging TEMPLATE order_db")
    with pytest.raises(RefusedError, match="order was saved from the database order_db, and is staging now"):
        shop.backup(databases=[{"name": "order", "login_db": "staging"}])


def test_prune(shop: Scene) -> None:
    made = aged(shop, [-3, 0, 10, 20, 30, 40, 50])
    for days in (14, 1, 0):
        with pytest.raises(InputError, match="more than 14 days"):
            shop.prune(retention_days=days)
    planned = shop.prune(check=True, keep_minimum=3, max_delete=2)
    assert [row["id"] for row in planned["plan"]["delete"]] == [made[6], made[5]]
    assert (planned["deleted"], ids(shop)) == ([], made)
    done = shop.prune(keep_minimum=3, max_delete=2)
    assert (done["plan"]["delete"], done["deleted"]) == (planned["plan"]["delete"], [made[6], made[5]])
    assert ids(shop) == made[:5]
    shop.prune(keep_minimum=3)
    assert ids(shop) == made[:4]  # the one of the future, and three whole ones though the third is old
    assert not shop.prune(keep_minimum=3)["changed"]
    assert status(shop.info(retention_days=30))["retention"] == "unverified"
    assert status(shop.info(retention_days=20))["retention"] == "pass"


def test_prune_keeps_the_last_good_one(shop: Scene) -> None:
    made = aged(shop, [0, 20, 30])
    newest = shop.directory / "shop" / made[0] / "customer.dump"
    content = newest.read_bytes()
    newest.write_bytes(content[:-1] + b"x")
    with pytest.raises(RefusedError, match=f"the newest set {made[0]} is not whole"):
        shop.prune(keep_minimum=1)
    assert status(shop.info())["whole"] == "fail"
    (newest.parent / "manifest.json").write_text("{")
    with pytest.raises(RefusedError, match=f"the newest set {made[0]} is not whole"):
        shop.prune(keep_minimum=1)
    assert ids(shop) == made
    newest.parent.joinpath("manifest.json").unlink()
    newest.unlink()
    newest.parent.rmdir()
    shop.prune(keep_minimum=1)
    assert ids(shop) == [made[1]]


def test_a_set_that_is_being_restored_is_not_pruned(shop: Scene) -> None:
    made = aged(shop, [0, 20, 30])
    from ansible_collections.sre.runbooks.plugins.module_utils import backup_lock

    with (
        backup_lock.in_use(str(shop.directory / "shop" / made[2])),
        pytest.raises(RefusedError, match="is being restored"),
    ):
        shop.prune(keep_minimum=1)
    assert made[2] in ids(shop)


def test_bad_input_is_told_in_one_line(shop: Scene, tmp_path: Path) -> None:
    old = tmp_path / "bin"
    old.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (old / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 13.2'\n")
        (old / name).chmod(0o755)
    for options, told in (
        ({"directory": "/nowhere/at/all"}, "is no directory: is the disk of the backups mounted"),
        ({"directory": "relative"}, "give the absolute one"),
        ({"set": "../etc"}, "it becomes part of file names"),
        ({"databases": [{"name": "a/b", "login_db": "customer_db"}]}, "it becomes part of file names"),
        ({"databases": [{"name": "a", "login_db": "no_such"}]}, 'database "no_such" does not exist'),
        ({"bin_dir": str(old)}, "pg_dump 13.2 .* is older than the server of customer, 18"),
        ({"compression": "--file=x"}, "give what pg_dump takes"),
        ({"compression": "nonsense"}, "pg_dump of .* ended with code 1"),
        ({"identity_file": "/nowhere"}, "cannot be read"),
        ({"max_age_hours": -1.0}, "from 0 to"),
    ):
        with pytest.raises(RunbookError, match=told) as error:
            shop.backup(**options)
        assert "\n" not in error.value.message
    assert backup_catalog.sets(str(shop.directory), "shop") == []


@pytest.mark.parametrize("major", postgres_majors.MAJORS)
def test_programs_of_a_newer_major_are_told(major: int, tmp_path: Path) -> None:
    """pg_dump 18 writes an archive that pg_restore of 16 and older refuses ("unsupported version (1.16) in file header")."""
    with postgres_majors.server(major) as server:
        server.run("CREATE TABLE orders AS SELECT generate_series(1, 3) AS id")
        scene = Scene(server, tmp_path)
        for check in (True, False):
            assert scene.backup(check=check, databases=[{"name": "one", "login_db": "postgres"}])["changed"]
            assert len(scene.warnings) == (major < 17)
            assert all(f"pg_restore of PostgreSQL {major}, the server's version, cannot" in w for w in scene.warnings)
            scene.warnings.clear()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Markers, verification and history against a real PostgreSQL server and a real HTTP server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.sre.runbooks.plugins.module_utils import pg_fingerprint, pg_marker, postgres, recovery_storage
from ansible_collections.sre.runbooks.plugins.module_utils.backup_set import Manifest, Saved
from ansible_collections.sre.runbooks.plugins.module_utils.clock import Clock, Deadline
from ansible_collections.sre.runbooks.plugins.modules import pg_marker as pg_marker_module
from ansible_collections.sre.runbooks.plugins.modules import recovery_history, recovery_verify
from tests.integration.throwaway_postgres import Throwaway, throwaway
from tests.unit.plugins.module_runner import run_module

__all__ = ["throwaway"]  # the fixture

Capture = pytest.CaptureFixture[str]
PAID = "SELECT NOT EXISTS (SELECT FROM orders o LEFT JOIN payments p ON p.order_id = o.id WHERE p.id IS NULL)"
MARKERS = "SELECT count(*), min(id), max(id) FROM sre_runbooks.recovery_marker"


@pytest.fixture
def database(throwaway: Throwaway, request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own with two tables, a history of Flyway and a sequence; gone afterwards."""
    name = f"shop_{abs(hash(request.node.name)) % 10**8}"
    throwaway.run(f"CREATE DATABASE {name}")
    throwaway.run(
        "CREATE TABLE orders (id serial PRIMARY KEY, note text)",
        'CREATE TABLE "Payments Of" (id int)',
        "CREATE TABLE payments (id serial PRIMARY KEY, order_id int)",
        "INSERT INTO orders (note) SELECT 'n' || i FROM generate_series(1, 20) i",
        "INSERT INTO payments (order_id) SELECT id FROM orders",
        "CREATE TABLE flyway_schema_history (installed_rank int, version text, description text, type text, script text,"
        " checksum int, installed_by text, installed_on timestamp, execution_time int, success bool)",
        "INSERT INTO flyway_schema_history VALUES (1,'1','a','SQL','V1__a.sql',7,'t',now(),1,true)",
        database=name,
    )
    yield name
    throwaway.run(f"DROP DATABASE {name} WITH (FORCE)")


def login(server: Throwaway, database: str, user: str = "postgres", password: str | None = None) -> dict[str, Any]:
    return {
        "login_host": "127.0.0.1",
        "login_port": server.port,
        "login_db": database,
        "login_user": user,
        "login_password": password or server.password,
    }


def manifest(server: Throwaway, database: str, folder: Path, depth: pg_fingerprint.Depth = "full") -> str:
    """The manifest that a backup of the database would have now."""
    params = {"sslmode": None, "ca_path": None, "connect_timeout_seconds": 5.0, "statement_timeout_ms": 10_000}
    deadline = Deadline(60, Clock())
    with postgres.session(postgres.parameters_of_login(login(server, database)), params, deadline) as session:
        content = pg_fingerprint.fingerprint(session, deadline, depth)
    now = "2031-04-02T03:00:00+00:00"
    saved = Saved(
        *(database, database, "18", "1", f"{database}.dump", 1, "0" * 64, False, [], now, None, 1, "postgres", []),
        *("UTF8", {}, content),
    )
    path = folder / "manifest.json"
    path.write_text(Manifest("shop", "shop-20310402T030000Z", now, now, 0, "18", [saved]).text())
    return str(path)


def verify(server: Throwaway, database: str, path: str, capsys: Capture, **more: Any) -> dict[str, Any]:
    queries = [{"name": "paid", "database": database, "query": PAID, "expected": True}]
    given = {"manifest_path": path, "queries": queries, **login(server, database), **more}
    return run_module(recovery_verify, capsys, **given)


def statuses(result: dict[str, Any]) -> dict[str, str]:
    return {check["id"]: check["status"] for check in result["checks"]}


def test_markers_are_written_and_bounded(
    throwaway: Throwaway, database: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned = run_module(pg_marker_module, capsys, True, **login(throwaway, database))
    assert planned["changed"] is True
    assert planned["markers"] == [{"name": database, "id": None, "written_at": None}]
    assert throwaway.run("SELECT to_regnamespace('sre_runbooks')", database=database) == [(None,)]

    monkeypatch.setattr(pg_marker, "KEPT", 3)
    written = [run_module(pg_marker_module, capsys, **login(throwaway, database))["markers"][0] for _ in range(5)]
    assert [marker["id"] for marker in written] == [1, 2, 3, 4, 5]
    assert sorted(marker["written_at"] for marker in written) == [marker["written_at"] for marker in written]
    assert throwaway.run(MARKERS, database=database) == [(3, 3, 5)]
    again = run_module(pg_marker_module, capsys, True, **login(throwaway, database))
    assert again["markers"][0]["id"] == 5
    assert throwaway.run(MARKERS, database=database) == [(3, 3, 5)]


def test_a_user_without_rights_is_told_the_grant(throwaway: Throwaway, database: str, capsys: Capture) -> None:
    user = f"narrow_{database}"
    throwaway.run(f"CREATE ROLE {user} LOGIN PASSWORD 'narrow-pw'")
    try:
        mine = login(throwaway, database, user, "narrow-pw")
        refused = run_module(pg_marker_module, capsys, **mine)
        assert refused["failed"] is True
        grant = f"GRANT CREATE ON DATABASE {database} TO {user};"
        assert grant in refused["msg"]
        throwaway.run(grant)
        assert run_module(pg_marker_module, capsys, **mine)["markers"][0]["id"] == 1
        throwaway.run(
            f"REVOKE CREATE ON DATABASE {database} FROM {user}",
            "ALTER TABLE sre_runbooks.recovery_marker OWNER TO postgres",
            "ALTER SCHEMA sre_runbooks OWNER TO postgres",
            database=database,
        )
        refused = run_module(pg_marker_module, capsys, **mine)
        grants = refused["msg"].split("As its owner: ")[1]
        assert "GRANT SELECT, INSERT, DELETE ON sre_runbooks.recovery_marker" in grants
        throwaway.run(grants, database=database)
        assert run_module(pg_marker_module, capsys, **mine)["markers"][0]["id"] == 2
    finally:
        throwaway.run(f"DROP OWNED BY {user}", database=database)
        throwaway.run(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


def test_what_holds_the_same_is_verified(throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path) -> None:
    run_module(pg_marker_module, capsys, **login(throwaway, database))
    path = manifest(throwaway, database, tmp_path)
    result = verify(throwaway, database, path, capsys)
    assert result["verdict"] == "pass", result
    assert set(statuses(result)) == {
        *(f"{part}.{database}" for part in ("restored", "tables", "sequences", "flyway_history")),
        "application.paid",
    }
    assert result["verified_at"]
    assert result["markers"][0]["id"] == 1
    documented = {line.rstrip(":") for line in recovery_verify.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(result) - {"changed", "invocation"}


@pytest.mark.parametrize(
    ("change", "check"),
    [
        ("DELETE FROM orders WHERE id = 3", "tables"),
        ("UPDATE orders SET note = 'other' WHERE id = 3", "tables"),
        ('DROP TABLE "Payments Of"', "tables"),
        ("CREATE TABLE stranger (id int)", "tables"),
        ("SELECT setval('orders_id_seq', 3)", "sequences"),
        ("UPDATE flyway_schema_history SET checksum = 8", "flyway_history"),
        ("DROP TABLE flyway_schema_history", "flyway_history"),
    ],
)
def test_what_differs_is_red(
    change: str, check: str, throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path
) -> None:
    path = manifest(throwaway, database, tmp_path)
    throwaway.run(change, database=database)
    result = verify(throwaway, database, path, capsys)
    assert statuses(result)[f"{check}.{database}"] == "fail"
    assert (result["verdict"], result["verified_at"]) == ("fail", None)


def test_the_application_decides_too(throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path) -> None:
    throwaway.run("DELETE FROM payments WHERE id = 1", database=database)
    path = manifest(throwaway, database, tmp_path)
    assert statuses(verify(throwaway, database, path, capsys))["application.paid"] == "fail"
    without = verify(throwaway, database, path, capsys, queries=[])
    assert (without["verdict"], without["verified_at"]) == ("unverified", None)

    def one(query: str, expected: Any = True) -> str:
        item = {"name": "one", "database": database, "query": query, "expected": expected}
        return statuses(verify(throwaway, database, path, capsys, queries=[item]))["application.one"]

    assert one("SELECT count(*) FROM orders", "20") == "pass"
    assert one("SELECT count(*) FROM orders", 21) == "fail"
    assert one("SELECT note FROM orders WHERE id = 1;", "n1") == "pass"
    assert one("SELECT true WHERE false") == "fail"
    assert one("SELECT NULL::bool") == "fail"
    assert one("SELECT x FROM nowhere") == "fail"
    assert one("DELETE FROM orders RETURNING true") == "fail"  # the session cannot write
    assert throwaway.run("SELECT count(*) FROM orders", database=database) == [(20,)]


def test_what_was_not_looked_at_is_not_green(
    throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path
) -> None:
    counts = verify(throwaway, database, manifest(throwaway, database, tmp_path, "counts"), capsys)
    assert statuses(counts)[f"tables.{database}"] == "unverified"

    whole = manifest(throwaway, database, tmp_path)
    throwaway.run("CREATE ROLE reads_little LOGIN PASSWORD 'reads-little'")
    little = login(throwaway, database, "reads_little", "reads-little")
    denied = run_module(recovery_verify, capsys, manifest_path=whole, **little)
    assert statuses(denied)[f"tables.{database}"] == "unverified"
    throwaway.run("DROP ROLE reads_little")
    absent = run_module(
        recovery_verify,
        capsys,
        manifest_path=whole,
        databases=[{"name": database, "login_db": "no_such_database"}],
        **login(throwaway, database),
    )
    assert statuses(absent)[f"restored.{database}"] == "fail"

    empty = "empty_shop"
    throwaway.run(f"CREATE DATABASE {empty}")
    path = manifest(throwaway, empty, tmp_path)
    result = run_module(recovery_verify, capsys, manifest_path=path, **login(throwaway, empty))
    assert statuses(result)[f"tables.{empty}"] == "unverified"
    throwaway.run(f"DROP DATABASE {empty}")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"manifest_path": "/nonexistent/manifest.json"}, "/nonexistent/manifest.json cannot be read"),
        ({"databases": [{"name": "other"}], "queries": []}, "the backup has no database other"),
        ({"queries": [{"name": "a", "database": "x", "query": "SELECT 1"}]}, "queries names the database x"),
        ({"queries": [{"name": "a", "database": "D", "query": "SELECT 1; SELECT 2"}]}, "has a semicolon in it"),
        ({"queries": [{"name": "a", "database": "D", "query": " ; "}]}, "the query 'a' is empty"),
        ({"queries": [{"name": "a", "database": "D", "query": "SELECT 1"}] * 2}, "queries has a twice"),
    ],
)
def test_bad_arguments(
    change: dict[str, Any], words: str, throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path
) -> None:
    given = json.loads(json.dumps(change).replace('"D"', f'"{database}"'))
    result = verify(throwaway, database, manifest(throwaway, database, tmp_path), capsys, **given)
    assert result["failed"] is True
    assert words in result["msg"]


def test_a_cut_manifest_is_no_manifest(throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path) -> None:
    path = Path(manifest(throwaway, database, tmp_path))
    path.write_bytes(path.read_bytes()[:200])
    assert "is no whole manifest" in verify(throwaway, database, str(path), capsys)["msg"]


RECORD = {"id": "drill-1", "verdict": "pass", "verified_at": "2031-04-02T08:04:31+00:00", "rto_seconds": 80.0}


def test_history_in_a_folder(tmp_path: Path, capsys: Capture) -> None:
    folder = tmp_path / "drills"
    given = {"system": "shop", "directory": str(folder), "may_be_lost": True}
    for more in ({}, {"record": RECORD}):  # a volume that is not mounted is noticed before the drill as well
        missing = run_module(recovery_history, capsys, **more, **given)
        assert "is no folder: is the volume for the records of drills mounted here?" in missing["msg"]
    folder.mkdir()
    planned = run_module(recovery_history, capsys, True, record=RECORD, **given)
    assert (planned["changed"], planned["trend"]["runs"], list(folder.iterdir())) == (True, 1, [])

    first = run_module(recovery_history, capsys, record=RECORD, **given)
    assert (first["changed"], first["location"]) == (True, str(folder / "shop.jsonl"))
    again = run_module(recovery_history, capsys, record=RECORD, **given)
    assert (again["changed"], again["trend"]["runs"]) == (False, 1)
    with (folder / "shop.jsonl").open("a") as file:
        file.write('{"id": "cut in the mid')
    second = run_module(recovery_history, capsys, record={**RECORD, "id": "drill-2", "rto_seconds": 90.0}, **given)
    assert (second["trend"]["runs"], second["unreadable_lines"]) == (2, 1)
    assert second["trend"]["rto_seconds"]["change"] == 10
    lines = (folder / "shop.jsonl").read_text().splitlines()
    assert [line[:10] for line in lines][1] == '{"id": "cu'
    assert len(lines) == 3
    assert [
        path.name for path in folder.iterdir() if path.name.startswith(".shop.jsonl.") and "lock" not in path.name
    ] == []
    documented = {line.rstrip(":") for line in recovery_history.RETURN.splitlines() if line and line[0].isalpha()}
    assert documented == set(second) - {"changed", "invocation"}


def test_a_history_that_is_lost_with_its_container_is_refused(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"system": "shop", "directory": str(tmp_path)}
    monkeypatch.setattr(recovery_storage, "ROOT", tmp_path)  # of one file system with the folder
    monkeypatch.setattr(recovery_storage, "CONTAINER_SIGNS", ())
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert run_module(recovery_history, capsys, **given)["trend"]["runs"] == 0
    sign = tmp_path / "dockerenv"
    sign.write_text("")
    for name, value in (("KUBERNETES_SERVICE_HOST", "10.0.0.1"), ("", "")):
        if name:
            monkeypatch.setenv(name, value)
        else:
            monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
            monkeypatch.setattr(recovery_storage, "CONTAINER_SIGNS", (sign,))
        for more in ({}, {"record": RECORD}):
            refused = run_module(recovery_history, capsys, **more, **given)
            assert "on the root file system of a container and is lost with it" in refused["msg"]
    assert run_module(recovery_history, capsys, may_be_lost=True, record=RECORD, **given)["changed"]
    monkeypatch.setattr(recovery_storage, "ROOT", Path("/proc"))  # another file system: a volume
    assert run_module(recovery_history, capsys, **given)["trend"]["runs"] == 1


def test_history_that_cannot_be_written_fails(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "file").write_text("")
    result = run_module(recovery_history, capsys, system="shop", directory=str(tmp_path / "file"), record=RECORD)
    assert result["failed"] is True
    assert str(tmp_path / "file") in result["msg"]


class Shelf(BaseHTTPRequestHandler):
    """Keeps what is PUT, with ETags, as an object store does."""

    kept: dict[str, bytes]
    status: int

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if self.path in self.kept:
            self.send_header("ETag", f'"{hash(self.kept[self.path])}"')
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        if self.status != 200:
            self._answer(self.status)
        elif self.path in self.kept:
            self._answer(200, self.kept[self.path])
        else:
            self._answer(404)

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        current = f'"{hash(self.kept[self.path])}"' if self.path in self.kept else None
        wanted = self.headers.get("If-Match")
        if (wanted and wanted != current) or (self.headers.get("If-None-Match") == "*" and current):
            self._answer(412)
            return
        self.kept[self.path] = body
        self._answer(201)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def shelf() -> Iterator[tuple[str, type[Shelf]]]:
    handler = type("OwnShelf", (Shelf,), {"kept": {}, "status": 200})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/shop.jsonl", handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_history_behind_a_url(shelf: tuple[str, type[Shelf]], capsys: Capture) -> None:
    url, handler = shelf
    given = {"system": "shop", "url": url, "use_proxy": False}
    planned = run_module(recovery_history, capsys, True, record=RECORD, **given)
    assert (planned["changed"], handler.kept) == (True, {})
    assert run_module(recovery_history, capsys, record=RECORD, **given)["changed"] is True
    assert run_module(recovery_history, capsys, record=RECORD, **given)["changed"] is False
    second = run_module(recovery_history, capsys, record={**RECORD, "id": "drill-2"}, **given)
    assert second["trend"]["runs"] == 2
    assert len(handler.kept["/shop.jsonl"].splitlines()) == 2
    assert run_module(recovery_history, capsys, **given)["changed"] is False


def test_a_record_that_was_stored_without_an_answer_is_kept(
    shelf: tuple[str, type[Shelf]], capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway says 502 though the server stored it; the second PUT does not meet its condition any more."""
    url, handler = shelf
    answer, answered = handler._answer, []

    def lost(self: Shelf, status: int, body: bytes = b"") -> None:
        answered.append((self.command, status))
        answer(self, 502 if status == 201 else status, body)

    monkeypatch.setattr(handler, "_answer", lost)
    done = run_module(recovery_history, capsys, record=RECORD, system="shop", url=url, use_proxy=False)
    assert done.get("changed") is True, done
    assert [entry for entry in answered if entry[0] == "PUT"] == [("PUT", 201), ("PUT", 412)]
    handler.kept["/shop.jsonl"] += b'{"id":"of somebody else"}\n'
    monkeypatch.setattr(handler, "_answer", answer)
    put = handler.do_PUT

    def late(self: Shelf) -> None:
        handler.kept["/shop.jsonl"] += b'{"id":"meanwhile"}\n'
        put(self)

    monkeypatch.setattr(handler, "do_PUT", late)
    refused = run_module(
        recovery_history, capsys, record={**RECORD, "id": "drill-2"}, system="shop", url=url, use_proxy=False
    )
    assert "changed by somebody else meanwhile" in refused["msg"]


def test_a_history_that_cannot_be_read_is_not_overwritten(shelf: tuple[str, type[Shelf]], capsys: Capture) -> None:
    url, handler = shelf
    handler.kept["/shop.jsonl"] = b'{"id":"old"}\n'
    handler.status = 500
    result = run_module(recovery_history, capsys, record=RECORD, system="shop", url=url, use_proxy=False)
    assert result["failed"] is True
    assert "nothing was written: HTTP 500" in result["msg"]
    assert handler.kept == {"/shop.jsonl": b'{"id":"old"}\n'}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"system": "../x"}, "system is '../x'"),
        ({"record": {"verdict": "pass"}}, "record has no id"),
        ({"shown_records_count": 0}, "shown_records_count is 0"),
        ({"record": {**RECORD, "note": "x" * 70_000}}, "at most 65536"),
    ],
)
def test_bad_arguments_of_the_history(given: dict[str, Any], words: str, tmp_path: Path, capsys: Capture) -> None:
    place = {"directory": str(tmp_path), "may_be_lost": True}
    result = run_module(recovery_history, capsys, **{"system": "shop", **place, **given})
    assert result["failed"] is True
    assert words in result["msg"]


def test_databases_are_compared_with_each_other(
    throwaway: Throwaway, database: str, capsys: Capture, tmp_path: Path
) -> None:
    path = manifest(throwaway, database, tmp_path)

    def one(query: str, compare: str, other: str) -> str:
        sides = {"database": database, "query": query, "other_database": database, "other_query": other}
        item = {"name": "one", "compare": compare, **sides}
        return statuses(verify(throwaway, database, path, capsys, queries=[item]))["application.one"]

    assert one("SELECT order_id FROM payments", "contained_in", "SELECT id FROM orders") == "pass"
    assert one("SELECT order_id FROM payments", "contained_in", "SELECT id FROM orders WHERE id > 1") == "fail"
    assert one("SELECT 1 WHERE false", "contained_in", "SELECT 1") == "fail"
    assert one("SELECT generate_series(1, 20000)", "contained_in", "SELECT 1") == "unverified"
    assert one("SELECT max(id) FROM orders", "at_most", "SELECT last_value FROM orders_id_seq") == "pass"
    assert one("SELECT max(id) + 1 FROM orders", "at_most", "SELECT last_value FROM orders_id_seq") == "fail"
    assert one("SELECT max(id) FROM orders WHERE false", "at_most", "SELECT 1") == "fail"
    assert one("SELECT 'a'", "at_most", "SELECT 1") == "fail"
    assert one("SELECT 2.0", "equal", "SELECT 2") == "pass"
    assert one("SELECT 2", "equal", "SELECT nothing FROM nowhere") == "fail"

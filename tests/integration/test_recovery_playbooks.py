# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery drill and the restore for real, over the lab's databases: measured, red where it must be, and cleaned up."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from ansible_collections.sre.runbooks.plugins.module_utils.backup_set import iso, new_id, seconds_of
from ansible_collections.sre.runbooks.plugins.modules import pg_backup
from lab import postgres as lab_postgres
from lab.layout import paths, ports
from tests.support.lab_databases import content, rows, without_markers
from tests.support.playbooks import LAB_INVENTORY, Playbooks, Run
from tests.unit.plugins.module_runner import run_module

pytestmark = pytest.mark.lab

SHOP = "ecommerce-lab"
OWNERS = {
    "customer_db": ("customer_user", "customer_db_password"),
    "order_db": ("order_user", "order_db_password"),
    "hafnium": ("hafnium", "hafnium_db_password"),
    "backoffice": ("backoffice", "backoffice_db_password"),
}
SETS = {"ecommerce": ["customer_db", "order_db"], "hafnium": ["hafnium"], "backoffice": ["backoffice"]}
TARGETS = ("-e", "recovery_rto_target_seconds=600", "-e", "recovery_rpo_target_seconds=3600")
SECONDS = 60
Capture = pytest.CaptureFixture[str]


def databases() -> list[tuple[Any, ...]]:
    """Every database of the server with its oid and its comment."""
    return rows("postgres", "SELECT datname, oid, shobj_description(oid, 'pg_database') FROM pg_database ORDER BY 1")


def everything() -> dict[str, Any]:
    return {"databases": databases(), **{name: content(name) for name in OWNERS}}


def backup(folder: Path, name: str, capsys: Capture, **more: Any) -> Path:
    """A backup of a system's databases in the set of its deployment, and an earlier one; the folder of the newest."""
    items = [
        {
            "name": database,
            "login_db": database,
            "login_user": OWNERS[database][0],
            "login_password": paths().secret(OWNERS[database][1]),
        }
        for database in SETS[name]
    ]
    given: dict[str, Any] = {
        "login_host": "127.0.0.1",
        "login_port": ports()["postgresql"],
        "bin_dir": str(lab_postgres.wheel_bin()),
    }
    made = run_module(pg_backup, capsys, databases=items, directory=str(folder), set=f"{name}-lab", **given, **more)
    assert not made.get("failed"), made
    newest = Path(made["backup"]["folder"])
    earlier(newest)
    return newest


def earlier(made: Path, seconds: int = 600) -> None:
    """The same backup as if it had been made some time before, so that backups have a distance."""
    manifest = json.loads((made / "manifest.json").read_text())
    began, ended = (seconds_of(manifest[name]) - seconds for name in ("started_at", "finished_at"))
    manifest |= {"id": new_id(manifest["set"], began), "started_at": iso(began), "finished_at": iso(ended)}
    copy = made.with_name(manifest["id"])
    shutil.copytree(made, copy)
    (copy / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture
def backups(quiet_databases: None, tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    return folder


class Drill:
    """Drills of one deployment with the test's own folders."""

    def __init__(self, playbooks: Playbooks, backups: Path, folder: Path) -> None:
        self.playbooks, self.backups, self.history = playbooks, backups, folder / "drills"
        self.history.mkdir()

    def arguments(self, host: str = SHOP) -> tuple[str, ...]:
        own = {"recovery_directory": str(self.backups), "recovery_history_directory": str(self.history)}
        return ("--limit", host, "-e", json.dumps(own))

    def run(self, *more: str, host: str = SHOP) -> Run:
        return self.playbooks.run("dr_drill", *self.arguments(host), *more)

    def records(self, host: str = SHOP) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.history / f"{host}.jsonl").read_text().splitlines()]


@pytest.fixture
def drill(playbooks: Playbooks, backups: Path, tmp_path: Path) -> Drill:
    return Drill(playbooks, backups, tmp_path)


def statuses(run: Run, procedure: str = "dr_drill", host: str = SHOP) -> dict[str, str]:
    return {check["id"]: check["status"] for check in run.judgement(procedure, host)["checks"]}


def observed(run: Run, check: str, host: str = SHOP) -> str:
    (found,) = [row for row in run.judgement("dr_drill", host)["checks"] if row["id"] == check]
    return str(found["observed"])


def test_check_mode_touches_nothing(drill: Drill, capsys: Capture) -> None:
    backup(drill.backups, "ecommerce", capsys)
    files = sorted(str(path) for path in drill.backups.rglob("*"))
    before = everything()
    run = drill.run("--check")
    assert run.code == 0, run.output
    assert everything() == before
    assert (list(drill.history.iterdir()), sorted(str(path) for path in drill.backups.rglob("*"))) == ([], files)
    assert statuses(run, "dr_drill.plan")["backup_whole.ecommerce-lab"] == "pass"


def test_drill_twice_without_a_target_and_once_with_one(drill: Drill, capsys: Capture) -> None:
    backup(drill.backups, "ecommerce", capsys)
    before = everything()
    for _ in range(2):
        measured = drill.run()
        assert measured.code != 0
        assert measured.judgement("dr_drill", SHOP)["verdict"] == "unverified"
        found = statuses(measured)
        assert {name for name, status in found.items() if status != "pass"} == {"rto.ecommerce", "rpo.ecommerce"}
        assert "measured: " in observed(measured, "rto.ecommerce")
        assert without_markers(everything()) == without_markers(before)
    passed = drill.run(*TARGETS)
    assert passed.code == 0, passed.output
    assert passed.judgement("dr_drill", SHOP)["verdict"] == "pass"
    records = drill.records()
    assert [record["verdict"] for record in records] == ["unverified", "unverified", "pass"]
    assert all(record["rto_seconds"] > 0 and record["rpo_seconds"] > 0 and record["cleaned_up"] for record in records)
    lost = [record["rpo_measured_seconds"] for record in records]
    assert lost == sorted(lost)
    assert all(record["rpo_worst_gap_seconds"] >= 600 for record in records)
    assert all(record["rpo_seconds"] >= record["rpo_worst_gap_seconds"] for record in records)
    daily = drill.run(*TARGETS, "-e", "recovery_rpo_target_seconds=60", "-e", "recovery_max_age_hours=0.0001")
    assert statuses(daily)["rpo.ecommerce"] == "fail"  # two backups lie ten minutes apart
    old = drill.run(*TARGETS, "-e", "recovery_max_age_hours=0.0001")
    assert (old.code != 0, drill.records()[-1]["rpo_outcome"]) == (True, "pass")
    assert drill.records()[-1]["verdict"] == old.judgement("dr_drill", SHOP)["verdict"] == "fail"


@pytest.mark.parametrize("name", ["hafnium", "backoffice"])
def test_drills_of_the_other_systems(name: str, drill: Drill, capsys: Capture) -> None:
    if name == "backoffice":
        rows(
            name,
            "INSERT INTO fills (at, account_id, order_id, symbol, side, filled_qty_delta, filled_qty_total, quote_ccy,"
            " quote_cash_delta) VALUES (now(), 'drill', 'drill', 'ADA', 'BUY', 2, 2, 'JPY', -2);"
            "INSERT INTO order_filled_total VALUES ('drill', 2);"
            "INSERT INTO positions VALUES ('drill', 'ADA', 2, 1)",
        )
    try:
        backup(drill.backups, name, capsys)
        run = drill.run(*TARGETS, host=f"{name}-lab")
        assert run.code == 0, run.output
        assert statuses(run, host=f"{name}-lab")[f"rto.{name}"] == "pass"
    finally:
        if name == "backoffice":
            for table, key in (
                ("fills", "account_id"),
                ("positions", "account_id"),
                ("order_filled_total", "order_id"),
            ):
                rows(name, f"DELETE FROM {table} WHERE {key} = 'drill'")


def test_data_in_memory_cannot_be_restored(drill: Drill) -> None:
    before = everything()
    for _ in range(2):
        run = drill.run(host="durion-lab")
        assert run.code != 0
        assert statuses(run, host="durion-lab") == {"rto.durion": "fail", "rpo.durion": "fail"}
        assert "in memory" in observed(run, "rpo.durion", "durion-lab")
    assert len(drill.records("durion-lab")) == 2
    assert everything() == before
    restore = drill.playbooks.run("dr_restore", *drill.arguments("durion-lab"))
    assert restore.code != 0
    assert "durion cannot be restored" in restore.output


def test_a_backup_made_for_the_drill_proves_no_rpo(drill: Drill) -> None:
    run = drill.run(*TARGETS, "-e", "recovery_backup_first=true")
    assert run.code != 0
    found = statuses(run)
    assert {name: status for name, status in found.items() if status != "pass"} == {"rpo.ecommerce": "unverified"}
    assert "made for this drill" in observed(run, "rpo.ecommerce")


def test_without_a_marker_the_loss_is_not_known(drill: Drill, capsys: Capture) -> None:
    for database in SETS["ecommerce"]:
        rows(database, "DROP SCHEMA IF EXISTS sre_runbooks CASCADE")
    backup(drill.backups, "ecommerce", capsys, marker=False)
    run = drill.run(*TARGETS)
    assert run.code != 0
    assert (statuses(run)["rto.ecommerce"], statuses(run)["rpo.ecommerce"]) == ("pass", "unverified")
    assert "no marker was found in the restored database" in observed(run, "rpo.ecommerce")


def test_a_corrupt_dump_is_red(drill: Drill, capsys: Capture) -> None:
    dump = backup(drill.backups, "ecommerce", capsys) / "order_db.dump"
    data = bytearray(dump.read_bytes())
    data[len(data) // 2] ^= 0xFF
    dump.write_bytes(data)
    before = databases()
    run = drill.run(*TARGETS)
    assert run.code != 0
    found = statuses(run)
    assert (found["backup_whole.ecommerce-lab"], found["rto.ecommerce"]) == ("fail", "unverified")
    assert databases() == before
    assert drill.records()[-1]["verdict"] != "pass"


def test_a_wrong_key_is_red(drill: Drill, capsys: Capture, tmp_path: Path) -> None:
    pyrage = pytest.importorskip("pyrage")
    keys = [pyrage.x25519.Identity.generate() for _ in range(2)]
    for number, key in enumerate(keys):
        (tmp_path / f"key{number}").write_text(f"{key}\n")
        (tmp_path / f"key{number}").chmod(0o600)
    backup(drill.backups, "ecommerce", capsys, recipients=[str(keys[0].to_public())])
    before = databases()
    wrong = drill.run(*TARGETS, "-e", f"recovery_identity_file={tmp_path / 'key1'}")
    assert wrong.code != 0
    assert statuses(wrong)["rto.ecommerce"] == "unverified"
    assert databases() == before
    right = drill.run(*TARGETS, "-e", f"recovery_identity_file={tmp_path / 'key0'}")
    assert right.code == 0, right.output


def test_one_database_of_the_set(drill: Drill, capsys: Capture) -> None:
    backup(drill.backups, "ecommerce", capsys)
    run = drill.run(*TARGETS, "-e", "component=order_db")
    assert run.code != 0
    found = statuses(run)
    assert {name for name, status in found.items() if status != "pass"} == {"rto.ecommerce", "rpo.ecommerce"}
    assert "only a part was recovered, without customer_db" in observed(run, "rto.ecommerce")
    (record,) = drill.records()
    assert (record["verdict"], record["rto_outcome"], record["rpo_outcome"]) == ("unverified", "measured", "measured")
    assert record["left_out"][0] == "customer_db"
    assert len(record["left_out"]) > 1  # queries that compare both databases
    assert not any("customer_db" in check for check in statuses(run) if not check.startswith("backup_"))
    unknown = drill.run(*TARGETS, "-e", "component=nothing")
    assert unknown.code != 0
    assert "ecommerce has no database nothing; name one of these" in unknown.output


def scratch() -> dict[str, str]:
    """The scratch databases of the shop's drills, with their comments."""
    found = {str(name): str(comment) for name, _oid, comment in databases() if comment}
    return {name: comment for name, comment in found.items() if name.startswith("drill_ecommerce_lab_")}


def test_a_target_that_is_no_number_is_refused_before_the_drill(drill: Drill, capsys: Capture) -> None:
    backup(drill.backups, "ecommerce", capsys)
    before = everything()
    run = drill.run("-e", "recovery_rto_target_seconds=4h", "-e", "recovery_rpo_target_seconds=3600")
    assert run.code != 0
    assert "recovery_rto_target_seconds is 4h" in " ".join(run.output.split())
    assert everything() == before
    assert list(drill.history.iterdir()) == []


def test_a_record_is_kept_though_nobody_can_judge_it(drill: Drill) -> None:
    run = drill.run("-e", "recovery_backup_window_days=0", host="durion-lab")
    assert run.code != 0
    assert "backup_window_days is 0" in run.output
    (record,) = drill.records("durion-lab")
    assert (record["verdict"], record["rto_seconds"], record["rto_outcome"]) == ("unverified", None, "unverified")


def test_a_slow_system_does_not_lengthen_the_recovery_of_another(drill: Drill, capsys: Capture, tmp_path: Path) -> None:
    """The restore of hafnium waits until the record of the shop is there: with all hosts in step neither would end well."""
    for name in ("ecommerce", "hafnium"):
        backup(drill.backups, name, capsys)
    slow = tmp_path / "bin"
    slow.mkdir()
    program = slow / "pg_restore"
    program.write_text(
        "#!/bin/sh\n"
        'if [ "$1" != --version ]; then\n'
        f"  n=0; while [ ! -e {drill.history}/{SHOP}.jsonl ]; do n=$((n + 1)); [ $n -gt 900 ] && exit 9; sleep 0.1; done\n"
        "fi\n"
        f'exec {lab_postgres.wheel_bin()}/pg_restore "$@"\n'
    )
    program.chmod(0o755)
    inventory = tmp_path / "slow.yml"
    hosts = {"hafnium-lab": {"recovery_bin_directory": str(slow)}}
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    run = drill.run(*TARGETS, "-i", str(inventory), host=f"{SHOP},hafnium-lab")
    assert run.code == 0, run.output
    for host in (SHOP, "hafnium-lab"):
        assert [record["verdict"] for record in drill.records(host)] == ["pass"]


def test_a_killed_drill_is_cleaned_up_by_the_next(
    drill: Drill, capsys: Capture, installed: Path, tmp_path: Path
) -> None:
    backup(drill.backups, "ecommerce", capsys)
    before = databases()
    rows("postgres", "CREATE DATABASE drill_ecommerce_lab_of_somebody_else")
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    process = subprocess.Popen(
        [program, "sre.runbooks.dr_drill", "-i", str(LAB_INVENTORY), *drill.arguments(), *TARGETS],
        cwd=tmp_path,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(installed)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        until = time.monotonic() + SECONDS
        while not any(name.startswith("drill_ecommerce_lab_") and comment for name, _oid, comment in databases()):
            assert process.poll() is None, "the drill ended before it could be killed"
            assert time.monotonic() < until, "the drill made no scratch database"
            time.sleep(0.01)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
    try:
        left = scratch()
        assert left
        for name, comment in left.items():  # killed while it verified, for all that a later run can see
            rows("postgres", f"COMMENT ON DATABASE {name} IS '{comment.replace(': restoring ', ': ready ')}'")
        early = drill.run(*TARGETS)
        assert early.code != 0
        assert "may still verify it" in " ".join(early.output.split())
        assert scratch().keys() == left.keys()
        run_id = next(iter(left.values())).split()[2]
        assert drill.run("--check", "-e", f"recovery_dead_run={run_id}").code == 0
        for name, comment in left.items():  # killed while it restored
            rows("postgres", f"COMMENT ON DATABASE {name} IS '{comment.replace(': ready ', ': restoring ')}'")
        again = drill.run(*TARGETS)
        assert again.code == 0, again.output
        names = [name for name, _oid, _comment in databases()]
        assert "drill_ecommerce_lab_of_somebody_else" in names
        assert set(names) - {"drill_ecommerce_lab_of_somebody_else"} == {name for name, _oid, _comment in before}
    finally:
        for name in ("drill_ecommerce_lab_of_somebody_else", *scratch()):
            rows("postgres", f"DROP DATABASE {name}")


def test_a_database_of_somebody_else_is_in_the_way(drill: Drill, capsys: Capture) -> None:
    backup(drill.backups, "ecommerce", capsys)
    rows("postgres", "CREATE DATABASE drill_ecommerce_lab_order_db")
    try:
        run = drill.run(*TARGETS)
        assert run.code != 0
        assert "was not made by a drill" in run.output
        assert "drill_ecommerce_lab_order_db" in [name for name, _oid, _comment in databases()]
    finally:
        rows("postgres", "DROP DATABASE drill_ecommerce_lab_order_db")


def test_history_by_http(drill: Drill, capsys: Capture) -> None:
    kept: dict[str, bytes] = {}

    class Shelf(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = kept.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def do_PUT(self) -> None:
            kept[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    backup(drill.backups, "ecommerce", capsys)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shelf)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    there = {"recovery_history_directory": "", "recovery_history_url": f"http://127.0.0.1:{server.server_port}/d.jsonl"}
    try:
        for count in (1, 2):
            run = drill.run(*TARGETS, "-e", json.dumps(there))
            assert run.code == 0, run.output
            assert len(kept["/d.jsonl"].splitlines()) == count
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    away = drill.run(*TARGETS, "-e", json.dumps(there))
    assert away.code != 0
    assert statuses(away)["recovery_place_result"] == "unverified"  # before anything was restored
    assert statuses(away)["recovery_verify_result"] == "unverified"


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Keys of ada and bob, who may approve, and of eve, who may not; an inventory that says so."""
    folder = tmp_path / "people"
    folder.mkdir()
    for name in ("ada", "bob", "eve"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    signers = [f"{name}@example.org {(folder / f'{name}.pub').read_text()}" for name in ("ada", "bob")]
    (folder / "allowed_signers").write_text("".join(signers))
    (folder / "inventory.yml").write_text(
        json.dumps(
            {
                "all": {
                    "vars": {
                        "approval_allowed_signers_file": str(folder / "allowed_signers"),
                        "approval_inventory": "lab",
                    }
                }
            }
        )
    )
    return folder


class Restore:
    """A restore for real: its plan, the signatures, the run."""

    def __init__(self, drill: Drill, people: Path) -> None:
        self.drill, self.people, self.request = drill, people, people / "request.json"

    def run(self, procedure: str, *more: str) -> Run:
        extra = ("-i", str(self.people / "inventory.yml"))
        return self.drill.playbooks.run(procedure, *extra, *self.drill.arguments(), *more)

    def plan(self, procedure: str = "dr_restore", *more: str) -> Run:
        self.request.unlink(missing_ok=True)
        asked = {
            "approval_requested_by": "ada",
            "approval_reason": "order_db is damaged",
            "approval_write_request": True,
        }
        return self.run(
            procedure, "--check", "-e", json.dumps({**asked, "approval_request_path": str(self.request)}), *more
        )

    def act(self, *names: str, procedure: str = "dr_restore") -> Run:
        files = []
        for name in names:
            path = self.people / f"{name}.sig"
            with self.request.open("rb") as text, path.open("wb") as signature:
                command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "sre.runbooks", "-f", str(self.people / name)]
                subprocess.run(command, stdin=text, stdout=signature, check=True)
            files.append(str(path))
        given = {"approval_request_file": str(self.request), "approval_signature_files": files}
        return self.run(procedure, "-e", json.dumps(given))


def somebody_in(database: str) -> closing[Any]:
    """An application's session."""
    user, secret = OWNERS[database]
    given = {"host": "127.0.0.1", "port": ports()["postgresql"], "dbname": database}
    return closing(psycopg2.connect(**given, user=user, password=paths().secret(secret)))


def sequence() -> list[tuple[Any, ...]]:
    return rows("customer_db", "SELECT last_sequence FROM order_number_sequence ORDER BY sequence_date DESC LIMIT 1")


def test_restore_behind_approval_and_back(drill: Drill, people: Path, capsys: Capture) -> None:
    restore = Restore(drill, people)
    (first,) = sequence()[0]
    made = backup(drill.backups, "ecommerce", capsys)
    number = "UPDATE order_number_sequence SET last_sequence = %s WHERE sequence_date = current_date"
    rows("customer_db", number, first + 7)  # given out after the backup
    before = everything()

    planned = restore.plan()
    assert restore.request.exists(), planned.output
    assert made.name in restore.request.read_text()
    for names in (["ada"], ["ada", "ada"], ["ada", "eve"]):
        refused = restore.act(*names)
        assert refused.code != 0, names
        assert statuses(refused, "dr_restore")["recovery_verify_result"] == "unverified"
    with somebody_in("order_db"):
        busy = restore.act("ada", "bob")
        assert "sessions are connected that are not to be ended: 1 to order_db" in " ".join(busy.output.split())
        assert restore.run("dr_restore", "--check").code != 0  # nobody has signed; but it is planned all the same
    part = restore.run("dr_restore", "-e", "component=order_db")
    assert "restored together" in part.output
    for name in ("recovery_plan_state", "recovery_plan_result"):
        slipped_in = restore.run("dr_restore", "--check", "-e", json.dumps({name: before["databases"][0][1]}))
        assert slipped_in.code != 0, name
        assert name in slipped_in.output
    assert everything() == before

    done = restore.act("ada", "bob")
    assert done.code == 0, done.output
    assert f"-e recovery_backup={made.name}" in " ".join(done.output.split())
    assert sequence() == [(first + 7,)]  # the restore had taken it back
    after = databases()
    kept = {name for name, _oid, _comment in after} - {name for name, _oid, _comment in before["databases"]}
    assert len(kept) == 2
    assert all("_before_" in name for name in kept)

    replayed = restore.act("ada", "bob")
    assert replayed.code != 0
    assert "has this been done already" in " ".join(replayed.output.split())
    assert databases() == after

    named = ("-e", f"recovery_backup={made.name}")
    with somebody_in("customer_db"):
        planned = restore.plan("dr_restore_undo", *named)
        assert restore.request.exists(), planned.output
        busy = restore.act("ada", "bob", procedure="dr_restore_undo")
        assert "not to be ended: 1 to customer_db" in " ".join(busy.output.split())
        assert databases() == after
    rows("customer_db", number, first + 9)  # given out since the restore
    undone = restore.act("ada", "bob", procedure="dr_restore_undo")
    try:
        assert sequence() == [(first + 9,)]
        assert undone.code == 0, undone.output
        oids = {name: oid for name, oid, _comment in databases()}
        old = {name: oid for name, oid, _comment in before["databases"]}
        assert {name: oids[name] for name in SETS["ecommerce"]} == {name: old[name] for name in SETS["ecommerce"]}
    finally:
        for name, _oid, comment in databases():
            if "_undone_" in name and str(comment).startswith("sre.runbooks undone"):
                rows("postgres", f'DROP DATABASE "{name}"')


def test_a_plan_that_changed_is_refused(drill: Drill, people: Path, capsys: Capture) -> None:
    restore = Restore(drill, people)
    backup(drill.backups, "ecommerce", capsys)
    restore.plan()
    before = databases()
    time.sleep(1.1)  # ids of backups are made of seconds
    backup(drill.backups, "ecommerce", capsys)
    refused = restore.act("ada", "bob")
    assert refused.code != 0
    assert "does not fit this run" in " ".join(refused.output.split())
    assert databases() == before


def test_a_lost_database_is_made_and_its_numbers_are_in_doubt(drill: Drill, people: Path, capsys: Capture) -> None:
    """customer_db is gone, and with it which order numbers it gave out: unless somebody says so, the run does not pass."""
    restore = Restore(drill, people)
    backup(drill.backups, "ecommerce", capsys)
    rows("postgres", "ALTER DATABASE customer_db RENAME TO customer_db_away")
    try:
        known = json.dumps({"recovery_at_least": {"order_number_sequence": 4711}})
        restore.plan("dr_restore", "-e", known)
        assert "customer_db cannot be asked; at least 4711, as was said" in restore.request.read_text()
        planned = restore.plan()
        assert "not known, customer_db cannot be asked" in restore.request.read_text(), planned.output
        done = restore.act("ada", "bob")
        assert done.code != 0
        found = statuses(done, "dr_restore")
        assert {name for name, status in found.items() if status != "pass"} == {"numbers.order_number_sequence"}
        assert found["replaced.customer_db"] == "pass"
        assert "To bring it back" not in done.output
    finally:
        rows("postgres", "DROP DATABASE IF EXISTS customer_db WITH (FORCE)")
        rows("postgres", "ALTER DATABASE customer_db_away RENAME TO customer_db")
        for name, _oid, comment in databases():
            if "_before_" in name and str(comment).startswith("sre.runbooks before"):
                rows("postgres", "DROP DATABASE order_db WITH (FORCE)")
                rows("postgres", f'ALTER DATABASE "{name}" RENAME TO order_db')
                rows("postgres", "ALTER DATABASE order_db ALLOW_CONNECTIONS true")
                rows("postgres", "COMMENT ON DATABASE order_db IS NULL")

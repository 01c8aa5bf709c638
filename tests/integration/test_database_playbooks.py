# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook of a database step, by its full name from the installed archive: in check mode, for real, and again.

That check mode touches nothing is read from the server: its rows, its statistics of writes, its sessions, and the files.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import itertools
import json
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from lab.layout import paths
from tests.support import writers
from tests.support.lab_databases import connect, content, everything, rows
from tests.support.playbooks import Playbooks, Run, lab_command
from tests.support.ssh_keys import People

pytestmark = pytest.mark.lab

HAFNIUM, ECOMMERCE, BACKOFFICE = "hafnium-lab", "ecommerce-lab", "backoffice-lab"
DATABASES = ("hafnium", "customer_db", "order_db", "backoffice")
SERVICES = {"identity", "screening", "monitoring", "case", "vault", "risk-engine", "signals"}
ONE = ("--limit", HAFNIUM, "-e", "hafnium_flyway_history=case")
READING = [
    ("hafnium.flyway_info", HAFNIUM),
    ("hafnium.db_connectivity", HAFNIUM),
    ("hafnium.db_connections", HAFNIUM),
    ("ecommerce.schema_change_check", ECOMMERCE),
    ("ecommerce.database_degradation", ECOMMERCE),
]


def files(folder: Path) -> dict[str, str]:
    """Every file below a folder with a digest of what it holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(folder.rglob("*"))
    }


def sessions(application: str) -> set[int]:
    """Processes of the sessions that call themselves so."""
    found = rows("postgres", "SELECT pid FROM pg_stat_activity WHERE application_name = %s", application)
    return {pid for (pid,) in found}


def statuses(run: Run, procedure: str, host: str) -> dict[str, str]:
    return {check["id"]: check["status"] for check in run.judgement(procedure, host)["checks"]}


@pytest.fixture
def healthy(quiet_databases: None) -> Iterator[None]:
    lab_command("heal")
    writers.stop()
    yield
    lab_command("heal")


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    folder = tmp_path / "backups"
    folder.mkdir(mode=0o700)
    return folder


@pytest.mark.parametrize(("name", "host"), READING, ids=[name for name, _ in READING])
def test_what_reads_changes_nothing(name: str, host: str, healthy: None, playbooks: Playbooks) -> None:
    before = everything()
    for arguments in (("--check",), (), ()):
        run = playbooks.run(name, "--limit", host, *arguments)
        assert (run.code, run.changed()) == (0, 0), run.output
        assert run.judgement(name, host)["verdict"] == "pass"
    assert everything() == before


def test_all_seven_histories_are_seen_in_one_task(healthy: None, playbooks: Playbooks) -> None:
    run = playbooks.run("hafnium.flyway_info")
    found = statuses(run, "hafnium.flyway_info", HAFNIUM)
    assert {name.split(".")[1] for name in found if name.startswith("flyway.")} >= SERVICES
    assert run.report is not None
    asked = [item for item in run.report["evidence"] if item["action"] == "sre.runbooks.flyway_status"]
    assert len(asked) == 1


def test_an_unset_host_is_refused_and_no_other_server_is_asked(healthy: None, playbooks: Playbooks) -> None:
    """The runbook's ``psql -h $DB_HOST -U hafnium`` with the variable unset asks a host named -U."""
    for name in ("db_connectivity", "db_connections", "flyway_info", "db_idle_kill"):
        run = playbooks.run(f"hafnium.{name}", "--limit", HAFNIUM, "-e", "hafnium_database_host=", PGHOST="127.0.0.1")
        assert run.code == 2
        assert "hafnium_database_host is empty" in run.output
        assert run.judgement(f"hafnium.{name}", HAFNIUM)["verdict"] == "unverified"


def test_idle_sessions_end_once_and_the_others_stay(healthy: None, playbooks: Playbooks) -> None:
    with ExitStack() as stack:
        opened = {
            name: stack.enter_context(closing(connect(database, user, name, secret)))
            for name, database, user, secret in (
                ("never-asked", "hafnium", "hafnium", "hafnium_db_password"),
                ("leaking", "hafnium", "hafnium", "hafnium_db_password"),
                ("in-transaction", "hafnium", "hafnium", "hafnium_db_password"),
                ("lock-holder", "hafnium", "hafnium", "hafnium_db_password"),
                ("superuser", "hafnium", "postgres", ""),
                ("neighbour", "order_db", "order_user", "order_db_password"),
            )
        }
        with opened["leaking"].cursor() as cursor:
            cursor.execute("SELECT 1")
        with opened["in-transaction"].cursor() as cursor:
            cursor.execute("BEGIN")
        with opened["lock-holder"].cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(77)")
        ours = {"hafnium_idle_application_names": list(opened), "hafnium_idle_seconds": 60}  # services may run beside
        asked = ("-e", json.dumps(ours), "--limit", HAFNIUM)
        before = {name: sessions(name) for name in opened}

        young = playbooks.run("hafnium.db_idle_kill", *asked)
        assert (young.code, young.changed()) == (0, 0), young.output
        assert {name: sessions(name) for name in opened} == before

        old = (*asked, "-e", json.dumps({"hafnium_idle_seconds": 0.5, "hafnium_idle_floor_seconds": 0}))
        meant = (*old, "-e", json.dumps({"hafnium_idle_exclude_users": ["postgres"]}))
        planned = playbooks.run("hafnium.db_idle_kill", *meant, "--check")
        assert (planned.code, planned.changed()) == (0, 1), planned.output
        assert {name: sessions(name) for name in opened} == before

        done = playbooks.run("hafnium.db_idle_kill", *meant)
        assert (done.code, done.changed()) == (0, 1), done.output
        left = {name for name in opened if sessions(name)}
        assert left == {"in-transaction", "lock-holder", "superuser", "neighbour"}

        again = playbooks.run("hafnium.db_idle_kill", *meant)
        assert (again.code, again.changed()) == (0, 0), again.output

        # Services that connect as a superuser, as those of Hafnium do by its compose file, leak sessions that nobody ends
        for arguments in (("--check",), ()):
            leaking = playbooks.run("hafnium.db_idle_kill", *old, *arguments)
            (check,) = [
                one
                for one in leaking.judgement("hafnium.db_idle_kill", HAFNIUM)["checks"]
                if one["id"] == "idle.hafnium"
            ]
            assert (leaking.code, leaking.changed(), check["status"]) == (2, 0, "fail"), leaking.output
            assert "1 left (1 of superusers)" in check["observed"]
            assert "set hafnium_idle_include_superusers, with the login of a superuser" in check["hint"]
        superuser = {
            "hafnium_database_user": "postgres",
            "hafnium_database_password": paths().secret("postgres_password"),
            "hafnium_idle_include_superusers": True,
        }
        ended = playbooks.run("hafnium.db_idle_kill", *old, "-e", json.dumps(superuser))
        assert (ended.code, ended.changed()) == (0, 1), ended.output
        assert {name for name in opened if sessions(name)} == {"in-transaction", "lock-holder", "neighbour"}


def test_sessions_that_do_not_tell_their_state_are_not_taken_for_none(healthy: None, playbooks: Playbooks) -> None:
    with closing(connect("hafnium", application="silent")) as silent, silent.cursor() as cursor:
        cursor.execute("SET track_activities = off")
        run = playbooks.run("hafnium.db_idle_kill", "--limit", HAFNIUM)
        assert statuses(run, "hafnium.db_idle_kill", HAFNIUM)["idle.hafnium"] == "unverified", run.output
        assert "1 that do not tell their state" in run.output


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A copy of the migrations of the case service with one more: what the next release brings."""
    folder = tmp_path / "release"
    shutil.copytree(paths().migrations / "hafnium" / "case", folder)
    (folder / "V2__note.sql").write_text("CREATE TABLE note (id integer PRIMARY KEY);\n")
    return folder


@pytest.fixture
def case_schema(healthy: None) -> Iterator[None]:
    """The schema of the case service as it was, afterwards."""
    yield
    with closing(connect("hafnium")) as connection, connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS cases.note")
        cursor.execute("DELETE FROM cases.flyway_schema_history WHERE version = '2' OR NOT success")


def of_case(folder: Path) -> tuple[str, str]:
    """Extra variables: the migrations of the case service lie in this folder."""
    histories = [
        {"name": name, "schema": schema, **({"locations": f"filesystem:{folder}"} if name == "case" else {})}
        for name, schema in (
            ("identity", "public"),
            ("screening", "screening"),
            ("monitoring", "monitoring"),
            ("case", "cases"),
            ("vault", "vault"),
            ("risk-engine", "risk"),
            ("signals", "signals"),
        )
    ]
    return "-e", json.dumps({"hafnium_flyway_histories": histories})


def test_migrate_once_and_again(case_schema: None, release: Path, playbooks: Playbooks) -> None:
    before, asked = everything(), (*ONE, *of_case(release))
    planned = playbooks.run("hafnium.flyway_migrate", *asked, "--check")
    assert (planned.code, planned.changed()) == (0, 1), planned.output
    assert everything() == before

    done = playbooks.run("hafnium.flyway_migrate", *asked)
    assert (done.code, done.changed()) == (0, 1), done.output
    assert rows("hafnium", "SELECT success FROM cases.flyway_schema_history WHERE version = '2'") == [(True,)]
    others = {table: digest for table, digest in content("hafnium").items() if not table.startswith("cases.")}
    assert others == {table: digest for table, digest in before["hafnium"].items() if not table.startswith("cases.")}

    settled = everything()
    again = playbooks.run("hafnium.flyway_migrate", *asked)
    assert (again.code, again.changed()) == (0, 0), again.output
    assert everything() == settled


def test_a_history_keeps_a_url_and_a_login_of_its_own(case_schema: None, release: Path, playbooks: Playbooks) -> None:
    (variables,) = [json.loads(text) for text in of_case(release)[1:]]
    own = next(each for each in variables["hafnium_flyway_histories"] if each["name"] == "case")
    own["url"] = "jdbc:postgresql://{{ lab_postgres_host }}:{{ lab_postgres_port }}/hafnium"
    own |= {"login_user": "{{ lab_sre_user }}", "login_password": "{{ lab_sre_password }}"}
    before = everything()
    run = playbooks.run("hafnium.flyway_migrate", *ONE, "-e", json.dumps(variables), "--check")
    assert run.code == 2, run.output
    assert "may not INSERT here" in " ".join(run.output.split()), run.output
    assert everything() == before


def test_migrate_wants_the_backup_that_the_inventory_asks_for(
    case_schema: None, release: Path, backups: Path, playbooks: Playbooks
) -> None:
    before = everything()
    wanted = {"directory": str(backups), "set": "hafnium", "database": "hafnium", "max_age_hours": 24}
    run = playbooks.run(
        "hafnium.flyway_migrate", *ONE, *of_case(release), "-e", json.dumps({"hafnium_flyway_require_backup": wanted})
    )
    assert run.code == 2, run.output
    assert "backup" in run.output
    assert everything() == before


def test_migrate_and_repair_name_what_is_missing(healthy: None, playbooks: Playbooks) -> None:
    for name in ("flyway_migrate", "flyway_repair"):
        run = playbooks.run(f"hafnium.{name}", "--limit", HAFNIUM)
        assert run.code == 2
        assert "Name one with -e hafnium_flyway_history=<name>" in run.output
        run = playbooks.run(f"hafnium.{name}", *ONE, "-e", json.dumps({"hafnium_flyway_tool": {}}))
        assert run.code == 2
        assert "(hafnium_flyway_tool)" in run.output


def failed_row() -> None:
    """What a migration leaves that failed half-way on a database without transactions for it."""
    with closing(connect("hafnium")) as connection, connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO cases.flyway_schema_history SELECT max(installed_rank) + 1, '2', 'note', 'SQL', 'V2__note.sql', 7,"
            " 'hafnium', now(), 3, false FROM cases.flyway_schema_history"
        )


def test_repair_once_and_again(case_schema: None, release: Path, playbooks: Playbooks) -> None:
    failed_row()
    before, asked = everything(), (*ONE, *of_case(release))
    planned = playbooks.run("hafnium.flyway_repair", *asked, "--check")
    assert planned.changed() >= 1, planned.output
    assert everything() == before

    done = playbooks.run("hafnium.flyway_repair", *asked)
    assert done.code == 0, done.output
    assert rows("hafnium", "SELECT count(*) FROM cases.flyway_schema_history WHERE NOT success") == [(0,)]
    settled = everything()
    again = playbooks.run("hafnium.flyway_repair", *asked)
    assert (again.code, again.changed()) == (0, 0), again.output
    assert everything() == settled


class Gated:
    """A repair, or a migration, in an inventory that asks for the signatures of two people, ada and bob."""

    def __init__(self, playbooks: Playbooks, release: Path, folder: Path, command: str) -> None:
        self._procedure = f"hafnium.flyway_{command}"
        self._playbooks, self.people, self.request = playbooks, People(folder), folder / "request.json"
        for name in ("ada", "bob"):
            self.people.person(name)
        variables = {
            f"hafnium_flyway_{command}_approval": True,
            "approval_inventory": "lab",
            "approval_allowed_signers_file": str(self.people.allowed),
            **json.loads(of_case(release)[1]),
        }
        self._inventory = folder / "inventory.yml"
        self._inventory.write_text(json.dumps({"all": {"children": {"hafnium": {"hosts": {HAFNIUM: variables}}}}}))

    def run(self, *arguments: str, **extra: Any) -> Run:
        given = ("-i", str(self._inventory), *ONE, *arguments, "-e", json.dumps(extra))
        return self._playbooks.run(self._procedure, *given)

    def plan(self) -> Run:
        asked = {
            "approval_requested_by": "carol",
            "approval_reason": "V2 failed half-way",
            "approval_write_request": True,
        }
        return self.run("--check", **asked, approval_request_path=str(self.request))

    def act(self, *names: str) -> Run:
        text = self.request.read_text()
        return self.run(approval_request=text, approval_signatures=[self.people.sign(name, text) for name in names])


@pytest.fixture
def gated(playbooks: Playbooks, release: Path, tmp_path: Path) -> Gated:
    folder = tmp_path / "people"
    folder.mkdir()
    return Gated(playbooks, release, folder, "repair")


def test_repair_is_done_once_when_two_people_have_signed_it(case_schema: None, gated: Gated) -> None:
    failed_row()
    before = everything()
    planned = gated.plan()
    assert gated.request.exists(), planned.output
    (line,) = json.loads(gated.request.read_text())["plan_summary"]
    assert "delete the failed row 2 (V2__note.sql" in line
    for names in ([], ["ada"], ["ada", "ada"]):
        refused = gated.act(*names) if names else gated.run()
        assert refused.code == 2, refused.output
        assert everything() == before, names

    done = gated.act("ada", "bob")
    assert done.code == 0, done.output
    assert done.judgement("hafnium.flyway_repair", HAFNIUM)["verdict"] == "pass"
    assert rows("hafnium", "SELECT count(*) FROM cases.flyway_schema_history WHERE NOT success") == [(0,)]
    settled = everything()
    again = gated.run()
    assert (again.code, again.changed()) == (0, 0), again.output  # there is nothing to approve any more
    assert everything() == settled

    failed_row()
    failed_again = everything()
    replayed = gated.act("ada", "bob")
    assert replayed.code == 2, replayed.output
    assert "has this been done already" in " ".join(replayed.output.split())
    assert everything() == failed_again


def test_migrate_is_done_once_when_two_people_have_signed_it(
    case_schema: None, playbooks: Playbooks, release: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "people"
    folder.mkdir()
    gated, before = Gated(playbooks, release, folder, "migrate"), everything()
    planned = gated.plan()
    assert gated.request.exists(), planned.output
    (line,) = json.loads(gated.request.read_text())["plan_summary"]
    assert "apply 2 note: V2__note.sql" in line
    for refused in (gated.run(), gated.act("ada"), gated.run(hafnium_flyway_migrate_approval=False)):
        assert refused.code == 2, refused.output
        assert everything() == before
    done = gated.act("ada", "bob")
    assert done.code == 0, done.output
    assert rows("hafnium", "SELECT success FROM cases.flyway_schema_history WHERE version = '2'") == [(True,)]
    settled = everything()
    again = gated.run()
    assert (again.code, again.changed()) == (0, 0), again.output
    assert everything() == settled


def test_a_repair_that_is_to_be_approved_takes_nothing_else_by_an_extra_variable(
    case_schema: None, gated: Gated, tmp_path: Path
) -> None:
    failed_row()
    before, trace = everything(), tmp_path / "was-run"
    planned = gated.plan()
    assert gated.request.exists(), planned.output
    other: dict[str, Any] = {"kind": "command", "executable": "/bin/touch", "arguments": [str(trace)]}
    for slipped in (
        {"hafnium_flyway_repair_approval": False},
        {"hafnium_flyway_tool": other},
        {"hafnium_flyway_open": ["hafnium_flyway_open", "hafnium_flyway_tool"], "hafnium_flyway_tool": other},
        {"hafnium_repair_plan": {"plan": {"repair": {}}}},
        {"hafnium_database_host": "127.0.0.2"},
        {"ansible_become": True, "ansible_become_exe": str(trace)},
        {"lab_migrations": str(tmp_path)},
    ):
        text = gated.request.read_text()
        signatures = [gated.people.sign(name, text) for name in ("ada", "bob")]
        run = gated.run(**slipped, approval_request=text, approval_signatures=signatures)
        assert run.code == 2, run.output
        assert next(iter(slipped)) in run.output
        assert "must not be given as extra variables" in " ".join(run.output.split())
        assert everything() == before
        assert not trace.exists()


def test_a_changed_migration_of_a_release_is_red_and_a_new_one_is_told(
    healthy: None, playbooks: Playbooks, tmp_path: Path
) -> None:
    name = "ecommerce.schema_change_check"
    new = tmp_path / "new"
    shutil.copytree(paths().migrations / "ecommerce" / "order", new)
    (new / "V90__index.sql").write_text("CREATE INDEX ON orders (order_number);\n")
    proposed = ("-e", json.dumps({"ecommerce_proposed_order_migrations": {"locations": [f"filesystem:{new}"]}}))
    run = playbooks.run(name, *proposed)
    assert run.code == 0, run.output
    assert "V90" in json.dumps(run.report) or "90" in run.output

    changed = min(new.glob("V1__*.sql"))
    changed.write_text(changed.read_text() + "-- a comment\n")
    run = playbooks.run(name, *proposed)
    assert run.code == 2
    assert statuses(run, name, ECOMMERCE)["flyway.order_db-proposed.changed"] == "fail", run.output
    assert changed.name in run.output

    changed.unlink()
    run = playbooks.run(name, *proposed)
    assert run.judgement(name, ECOMMERCE)["verdict"] == "fail", run.output


def test_degradation_keeps_the_activity_as_evidence_and_hands_over(healthy: None, playbooks: Playbooks) -> None:
    name = "ecommerce.database_degradation"
    with (
        closing(connect("order_db", "order_user", "leaking", "order_db_password")) as leaking,
        leaking.cursor() as cursor,
    ):
        cursor.execute("SELECT 'value-that-nobody-may-see'")
        run = playbooks.run(name)
    assert run.report is not None
    kept = [item["capture"] for item in run.report["evidence"] if "capture" in item]
    assert "leaking" in json.dumps(kept)
    assert "value-that-nobody-may-see" not in json.dumps(run.report)

    away = playbooks.run(name, "-e", "ecommerce_order_database_url=jdbc:postgresql://127.0.0.1:9/order_db")
    found = statuses(away, name, ECOMMERCE)
    assert (found["failover"], found["connections.order_db"]) == ("fail", "fail"), away.output
    assert "handed to On-call engineer" in " ".join(away.output.split())

    scaled = playbooks.run(name, "-e", "ecommerce_scale_down_to=1")
    assert statuses(scaled, name, ECOMMERCE)["scale_down"] == "unverified", scaled.output
    assert "not applicable" in scaled.output


@contextlib.contextmanager
def page(text: Callable[[int], str]) -> Iterator[str]:
    """Root URL of a server whose every page is ``text(number of requests so far)``."""
    numbers = itertools.count()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = text(next(numbers)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pool(application: str, active: int, pending: int) -> Callable[[int], str]:
    """The metrics of a pool; both services call theirs the same."""
    labels = f'application="{application}",environment="local",pool="HikariPool-1",'
    numbers = {"active": active, "max": 10, "pending": pending}
    lines = [f"hikaricp_connections_{name}{{{labels}}} {value}.0\n" for name, value in numbers.items()]
    return lambda _: "".join(lines)


def machine(idle: float, busy: float) -> Callable[[int], str]:
    """A node_exporter's page; each request is ten seconds after the one before."""

    def text(number: int) -> str:
        seconds = 10.0 * number
        return (
            "# TYPE node_cpu_seconds_total counter\n"
            f'node_cpu_seconds_total{{cpu="0",mode="idle"}} {1000 + seconds * idle}\n'
            f'node_cpu_seconds_total{{cpu="0",mode="user"}} {1000 + seconds * (1 - idle)}\n'
            "# TYPE node_disk_io_time_seconds_total counter\n"
            f'node_disk_io_time_seconds_total{{device="sda"}} {1000 + busy * number}\n'
        )

    return text


def test_pools_of_one_name_are_told_apart_and_the_machine_is_measured(healthy: None, playbooks: Playbooks) -> None:
    name = "ecommerce.database_degradation"
    with (
        page(pool("customer-facing-service", 10, 3)) as customer,
        page(pool("order-management-service", 1, 0)) as order,
        page(machine(idle=0.02, busy=0.1)) as node,
    ):
        variables = {
            "ecommerce_customer_metrics_url": f"{customer}/actuator/prometheus",
            "ecommerce_order_metrics_url": f"{order}/actuator/prometheus",
            "ecommerce_database_metrics_url": node,
            "ecommerce_sample_seconds": 1,
        }
        run = playbooks.run(name, "-e", json.dumps(variables))
    found = statuses(run, name, ECOMMERCE)
    assert (found["customer-facing-service.pool"], found["customer-facing-service.waiting"]) == ("fail", "fail")
    assert (found["order-management-service.pool"], found["order-management-service.waiting"]) == ("pass", "pass")
    assert (found["database.cpu"], found["database.disk"]) == ("fail", "pass"), run.output


@pytest.mark.parametrize(
    ("name", "host", "variable", "dumps"),
    [
        ("ecommerce.backup", ECOMMERCE, "ecommerce_backup_directory", 2),
        ("backoffice.backup", BACKOFFICE, "backoffice_backup_directory", 1),
    ],
)
def test_backup(
    name: str, host: str, variable: str, dumps: int, healthy: None, backups: Path, playbooks: Playbooks
) -> None:
    asked = ("--limit", host, "-e", f"{variable}={backups}")
    before = everything()
    playbooks.run(name, *asked, "--check")
    assert files(backups) == {}
    assert everything() == before

    for number in itertools.islice(itertools.count(1), 2):
        done = playbooks.run(name, *asked)
        assert done.code == 0, done.output
        assert done.judgement(name, host)["verdict"] == "pass"
        assert len(list(backups.glob("*/*/manifest.json"))) == number
        assert len(list(backups.glob("*/*/*.dump"))) == number * dumps


def test_backoffice_says_what_its_backup_does_not_hold(healthy: None, backups: Path, playbooks: Playbooks) -> None:
    run = playbooks.run("backoffice.backup", "-e", f"backoffice_backup_directory={backups}")
    assert any("ledger" in note for note in run.judgement("backoffice.backup", BACKOFFICE)["notes"]), run.output


def test_a_retention_that_the_runbook_forbids_is_refused(healthy: None, backups: Path, playbooks: Playbooks) -> None:
    run = playbooks.run(
        "ecommerce.backup", "-e", f"ecommerce_backup_directory={backups}", "-e", "ecommerce_backup_retention_days=14"
    )
    assert run.code == 2
    assert "14" in run.output
    assert len(list(backups.glob("*/*/manifest.json"))) <= 1


def test_verify_wants_a_backup(healthy: None, backups: Path, playbooks: Playbooks) -> None:
    asked = ("-e", f"ecommerce_backup_directory={backups}")
    assert playbooks.run("ecommerce.verify", *asked).code == 2
    assert playbooks.run("ecommerce.backup", *asked).code == 0
    for arguments in (("--check",), ()):
        run = playbooks.run("ecommerce.verify", *asked, *arguments)
        assert (run.code, run.changed()) == (0, 0), run.output

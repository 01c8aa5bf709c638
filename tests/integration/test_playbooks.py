# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook, by its full name from the installed archive: in check mode, for real, and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import control
from tests.support.playbooks import Playbooks, lab_command

pytestmark = pytest.mark.lab

READING = [
    "verify",
    "backoffice.verify",
    "backoffice.recovery_check",
    "backoffice.stale_data",
    "backoffice.rdb_compliance",
]


def boot() -> int:
    """Process id of the BackOffice that runs."""
    from lab import supervisor

    return int(supervisor.programs_info(control.paths())["backoffice"]["pid"])


def ledger() -> bytes:
    return (Path(control.paths().root) / "backoffice" / "ledger.log").read_bytes()


@pytest.fixture
def healthy(lab: None) -> Iterator[None]:
    lab_command("heal")
    yield
    lab_command("heal")


@pytest.mark.parametrize("name", READING)
def test_what_reads_changes_nothing(
    name: str, healthy: None, playbooks: Playbooks, request: pytest.FixtureRequest
) -> None:
    if name == "verify":  # of every system in the inventory, one of which wants a backup
        request.getfixturevalue("kubernetes_lab")
        backup = playbooks.run("ecommerce.backup")
        assert backup.code == 0, backup.output
    before = boot()
    for arguments in (("--check",), (), ()):
        run = playbooks.run(name, *arguments)
        assert run.code == 0, run.output
        assert run.changed() == 0
        assert run.report is not None
        assert run.report["verdict"] == "pass"
    assert boot() == before


def test_restart(healthy: None, playbooks: Playbooks) -> None:
    before = boot()
    planned = playbooks.run("backoffice.restart", "--check")
    assert (planned.code, boot()) == (0, before), planned.output
    assert planned.changed() == 1

    done = playbooks.run("backoffice.restart")
    after = boot()
    assert done.code == 0, done.output
    assert after != before
    status = {check["id"]: check["status"] for check in done.judgement("backoffice.restart")["checks"]}
    assert status["log.replay_statistics"] == "pass"

    again = playbooks.run("backoffice.restart", "-e", "backoffice_restart_not_before=2020-01-01T00:00:00Z")
    assert (again.code, again.changed(), boot()) == (0, 0, after), again.output


def test_restart_is_refused_when_the_ledger_would_stop_the_boot(
    healthy: None, playbooks: Playbooks, tmp_path: Path
) -> None:
    bad = {"type": "OrderAccepted", "at": "2026-01-01T00:00:00Z", "accountId": "a", "orderId": "o", "symbol": "ADA"}
    copy = tmp_path / "ledger.log"
    copy.write_bytes(ledger() + json.dumps({**bad, "side": "buy"}).encode() + b"\n")
    before = boot()
    run = playbooks.run("backoffice.restart", "-e", f"backoffice_ledger_path={copy}")
    assert run.code != 0
    assert "would stop the boot" in run.output
    assert boot() == before


def test_start(healthy: None, playbooks: Playbooks) -> None:
    again = playbooks.run("backoffice.start")
    assert (again.code, again.changed()) == (0, 0), again.output

    lab_command("fault", "backoffice-stopped")
    planned = playbooks.run("backoffice.start", "--check")
    assert planned.changed() == 1
    assert control.state("backoffice") != "RUNNING"

    done = playbooks.run("backoffice.start")
    assert done.code == 0, done.output
    assert control.state("backoffice") == "RUNNING"
    assert playbooks.run("backoffice.start").changed() == 0


@pytest.mark.parametrize("fault", ["ledger-bad-side", "ledger-broken-json"])
def test_ledger_repair(fault: str, healthy: None, playbooks: Playbooks) -> None:
    lab_command("fault", fault)
    before = ledger()
    planned = playbooks.run("backoffice.ledger_repair", "--check", "--diff")
    assert ledger().startswith(before[:-1])
    assert planned.changed() >= 1, planned.output

    done = playbooks.run("backoffice.ledger_repair")
    assert done.code == 0, done.output
    assert done.judgement("backoffice.ledger_repair")["verdict"] == "pass"

    again = playbooks.run("backoffice.ledger_repair")
    assert (again.code, again.changed()) == (0, 0), again.output


def test_a_repair_that_does_not_verify_is_undone(healthy: None, playbooks: Playbooks) -> None:
    lab_command("fault", "ledger-broken-json")
    before = ledger()
    run = playbooks.run(
        "backoffice.ledger_repair",
        "-e",
        "backoffice_url=http://127.0.0.1:9",
        "-e",
        "backoffice_service_timeout_seconds=20",
    )
    assert run.code != 0
    assert "The repair failed and was undone" in run.output
    assert ledger().startswith(before)
    assert control.state("backoffice") == "RUNNING"


def test_e2e(healthy: None, playbooks: Playbooks) -> None:
    before = ledger().count(b"acct_e2e")
    planned = playbooks.run("backoffice.e2e", "--check")
    assert planned.code == 0, planned.output
    assert ledger().count(b"acct_e2e") == before

    for _ in range(2):
        done = playbooks.run("backoffice.e2e")
        assert done.code == 0, done.output
    assert ledger().count(b"acct_e2e") > before


def test_e2e_is_refused_where_the_inventory_does_not_allow_it(healthy: None, playbooks: Playbooks) -> None:
    before = ledger().count(b"acct_e2e")
    run = playbooks.run("backoffice.e2e", "-e", "backoffice_e2e_allowed=false")
    assert run.code != 0
    assert "this procedure places a real order" in run.output
    assert ledger().count(b"acct_e2e") == before


def test_replay_verification(healthy: None, playbooks: Playbooks) -> None:
    before = boot()
    planned = playbooks.run("backoffice.replay_verification", "--check")
    assert planned.code == 0, planned.output
    for _ in range(2):
        done = playbooks.run("backoffice.replay_verification")
        assert done.code == 0, done.output
    assert boot() == before


def test_a_red_deployment_never_hides_another(healthy: None, playbooks: Playbooks, tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path / "inventories" / "three"
    folder.mkdir(parents=True)
    (folder / "group_vars").symlink_to(root / "inventories" / "lab" / "group_vars")
    (tmp_path / "lab").symlink_to(root / "lab")
    inventory = folder / "hosts.yml"
    inventory.write_text(
        "backoffice:\n  hosts:\n    green:\n    red: {backoffice_kafka_group: nobody}\n"
        "    gone: {backoffice_url: http://127.0.0.1:9}\n  vars: {backoffice_node: node}\n"
        "backoffice_nodes: {hosts: {node: {ansible_connection: local}}}\n",
        encoding="utf-8",
    )
    run = playbooks.run("verify", inventory=inventory, SRE_LAB_DIR=str(control.paths().root))
    assert run.code != 0
    assert {host: run.deployment(host)["verdict"] for host in ("green", "red", "gone")} == {
        "green": "pass",
        "red": "fail",
        "gone": "fail",
    }

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks about the shop's tables, by their full names from the installed archive: in check mode, for real, and again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.faults import shop_rows
from lab.faults.database_sessions import rows
from tests.support.playbooks import Playbooks, lab_command

pytestmark = pytest.mark.lab

HOST, OUTBOX, ANSWERS = "ecommerce-lab", "ecommerce.outbox", "ecommerce.idempotency"
PRUNE, VERIFY = "ecommerce.idempotency_prune", "ecommerce.verify"
TABLES = {"customer_db": ("order_created_outbox", "checkout_idempotency"), "order_db": ("orders",)}


@pytest.fixture
def healthy(quiet_databases: None) -> Iterator[None]:
    lab_command("heal")
    yield
    lab_command("heal")


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    folder = tmp_path / "audit"
    folder.mkdir(mode=0o700)
    return folder


def content() -> dict[str, Any]:
    """Every row of the tables with its place and version, which any write changes."""
    return {
        table: rows(
            f"SELECT count(*), md5(string_agg(ctid::text || xmin::text || t::text, '' ORDER BY ctid)) FROM {table} t",
            database=database,
        )
        for database, tables in TABLES.items()
        for table in tables
    }


def into(audit: Path, **more: Any) -> tuple[str, ...]:
    return "--limit", HOST, "-e", json.dumps({"ecommerce_idempotency_audit_directory": str(audit), **more})


@pytest.mark.parametrize("name", [OUTBOX, ANSWERS])
def test_what_reads_changes_nothing(name: str, healthy: None, playbooks: Playbooks) -> None:
    before = content()
    for arguments in (("--check",), ()):
        run = playbooks.run(name, "--limit", HOST, *arguments)
        assert (run.code, run.changed()) == (0, 0), run.output
        assert run.judgement(name, HOST)["verdict"] == "pass"
    assert content() == before


def test_pruned_once_after_a_copy_and_then_no_more(healthy: None, audit: Path, playbooks: Playbooks) -> None:
    lab_command("fault", "ecommerce-idempotency-expired")
    before = content()
    found = playbooks.run(ANSWERS, "--limit", HOST).judgement(ANSWERS, HOST)
    (finding,) = found["findings"]
    assert (finding["cause"], finding["next"]["playbook"]) == ("idempotency_not_pruned", f"sre.runbooks.{PRUNE}")

    planned = playbooks.run(PRUNE, *into(audit), "--check")
    assert (planned.code, planned.changed()) == (0, 1), planned.output
    assert f"{shop_rows.ANSWERS} would be pruned, 0 left" in planned.output
    assert content() == before
    assert list(audit.iterdir()) == []

    done = playbooks.run(PRUNE, *into(audit))
    assert (done.code, done.changed()) == (0, 1), done.output
    (copy,) = audit.iterdir()
    assert len(copy.read_text().splitlines()) == 1 + shop_rows.ANSWERS
    assert shop_rows.MARK not in done.output, "a key was shown"
    assert shop_rows.MARK not in json.dumps(done.report)
    after = content()
    assert {name for name in before if after[name] != before[name]} == {"checkout_idempotency"}

    again = playbooks.run(PRUNE, *into(audit))
    assert (again.code, again.changed()) == (0, 0), again.output
    assert list(audit.iterdir()) == [copy]
    assert playbooks.run(ANSWERS, "--limit", HOST).code == 0


def test_beyond_the_ceiling_of_the_inventory_nothing_is_pruned(
    healthy: None, audit: Path, playbooks: Playbooks
) -> None:
    lab_command("fault", "ecommerce-idempotency-expired")
    before = content()
    run = playbooks.run(PRUNE, *into(audit, ecommerce_limit_idempotency_prune_count=shop_rows.ANSWERS - 1))
    assert run.code == 2
    assert "Nothing was deleted" in run.output
    assert run.judgement(PRUNE, HOST)["verdict"] != "pass"
    some = playbooks.run(
        PRUNE,
        *into(audit, ecommerce_limit_idempotency_prune_count=1, ecommerce_idempotency_beyond_limit="withhold"),
    )
    assert (some.judgement(PRUNE, HOST)["verdict"], some.changed()) == ("fail", 1), some.output
    assert content() != before


def test_verify_sees_what_was_lost(healthy: None, playbooks: Playbooks) -> None:
    lab_command("fault", "ecommerce-order-lost")
    found = playbooks.run(VERIFY, "--limit", HOST).judgement(VERIFY, HOST)
    assert {check["id"]: check["status"] for check in found["checks"]}["outbox.booked"] == "fail"
    assert "orders_lost" in [finding["cause"] for finding in found["findings"]]

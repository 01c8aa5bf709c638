# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong input, as it comes at 3 a.m.: one clear message or an unverified check, never a traceback, nothing is lost."""

from __future__ import annotations

import datetime
from pathlib import Path

import jwt
import pytest

from lab import control, supervisor
from tests.support.playbooks import Playbooks, Run, lab_command

pytestmark = pytest.mark.lab

CHECK = "backoffice.recovery_check"
SECRET = "not-the-secret-of-this-server-0123456789"


@pytest.fixture(autouse=True)
def healthy(lab: None) -> None:
    lab_command("heal")


def no_traceback(run: Run) -> Run:
    assert "Traceback" not in run.output
    assert "defect in" not in run.output
    return run


def expired_token() -> str:
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=1)
    secret = (control.paths().root / "secrets" / "jwt_hs256_secret").read_text().strip()
    return jwt.encode({"accountId": "acct_demo", "exp": past}, secret, algorithm="HS256")


@pytest.mark.parametrize(
    ("variables", "verdict", "says"),
    [
        ({"backoffice_jwt_secret": SECRET}, "unverified", "jwt_secret_differs"),
        ({"backoffice_account_id": "acct_nobody"}, "unverified", "nothing on both sides"),
        ({"backoffice_url": "http://127.0.0.1:9"}, "fail", "refused the connection"),
        ({"backoffice_url": "http://no-such-host.invalid:8082"}, "unverified", "no-such-host.invalid"),
        ({"backoffice_kafka_bootstrap_servers": "127.0.0.1:9"}, "fail", "nothing listens there"),
        ({"backoffice_kafka_bootstrap_servers": "no-such-host.invalid:9092"}, "fail", "no-such-host.invalid"),
        ({"backoffice_kafka_topic": "evnets-nobody-has"}, "fail", "does not exist"),
        ({"backoffice_kafka_group": "nobody"}, "fail", "nobody"),
        ({"backoffice_gateway_url": "http://127.0.0.1:9"}, "fail", "gateway_down"),
    ],
    ids=lambda value: next(iter(value), None) if isinstance(value, dict) else value,
)
def test_wrong_values_are_checks(variables: dict[str, str], verdict: str, says: str, playbooks: Playbooks) -> None:
    run = no_traceback(playbooks.run(CHECK, *(word for item in variables.items() for word in ("-e", "=".join(item)))))
    assert run.judgement(CHECK)["verdict"] == verdict, run.output
    assert says in run.output
    assert run.code == 2


def test_an_expired_token_is_named(playbooks: Playbooks) -> None:
    run = no_traceback(playbooks.run(CHECK, "-e", f"backoffice_token={expired_token()}"))
    assert run.judgement(CHECK)["verdict"] in ("unverified", "fail")
    assert "expired" in run.output


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"backoffice_url": "127.0.0.1:18082"}, "http://"),
        ({"backoffice_url": ""}, "is empty"),
        ({"backoffice_stale_after_seconds": "soon"}, "cannot be converted to a float"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(variables: dict[str, str], says: str, playbooks: Playbooks) -> None:
    run = no_traceback(playbooks.run(CHECK, *(word for item in variables.items() for word in ("-e", "=".join(item)))))
    assert run.code == 2
    assert says in run.output


def test_a_survey_s_strings_are_understood(playbooks: Playbooks) -> None:
    """AWX sends booleans as text and numbers that were left out as empty text."""
    answers = {
        "backoffice_strict": "false",
        "backoffice_validate_certs": "true",
        "backoffice_stale_after_seconds": "",
        "backoffice_replay_slo_ms": "5000",
        "backoffice_become": "false",
    }
    run = playbooks.run(CHECK, *(word for item in answers.items() for word in ("-e", "=".join(item))))
    assert run.code == 0, run.output
    refused = playbooks.run("backoffice.e2e", "-e", "backoffice_e2e_allowed=false")
    assert "this procedure places a real order" in refused.output


def process_id() -> int:
    return int(supervisor.programs_info(control.paths())["backoffice"]["pid"])


def ledger_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """A path that is wrong, and what must be said of it."""
    empty, unreadable, sparse = folder / "empty.log", folder / "unreadable.log", folder / "sparse.log"
    empty.touch()
    unreadable.write_text("{}\n", encoding="utf-8")
    unreadable.chmod(0)
    with sparse.open("wb") as file:
        file.truncate(10 * 1024**3)
    return {
        "missing": (folder / "missing.log", "missing.log"),
        "directory": (folder, "directory"),
        "empty": (empty, "ledger.measured"),
        "unreadable": (unreadable, "unreadable.log"),
        "sparse": (sparse, "ledger"),
    }


@pytest.mark.parametrize(
    "kind",
    ["missing", "directory", "empty", pytest.param("unreadable", marks=pytest.mark.needs_no_root), "sparse"],
)
def test_ledgers_that_are_none(kind: str, playbooks: Playbooks, tmp_path: Path) -> None:
    path, says = ledger_files(tmp_path)[kind]
    pid = process_id()
    run = no_traceback(
        playbooks.run(
            "backoffice.restart",
            "-e",
            f"backoffice_ledger_path={path}",
            "-e",
            "backoffice_ledger_scan_timeout_seconds=30",
        )
    )
    assert run.code != 0, run.output
    assert says in run.output
    assert process_id() == pid

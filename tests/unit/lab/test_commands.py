# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: exit codes and one-line messages."""

from __future__ import annotations

import shlex

import pytest

from lab import __main__ as command
from lab import faultbook, programs
from lab.layout import PROGRAMS, LabError, Paths, ports


def test_status_of_a_lab_that_is_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["status"]) == command.NOT_UP
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[: len(PROGRAMS)]] == [[name, "stopped"] for name in PROGRAMS]
    assert "make lab" in lines[-1]


def test_status_shows_each_state(
    lab: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = {"pid": 7, "start": 1_900_000_000, "stop": 1_900_000_100, "exitstatus": 3}
    monkeypatch.setattr(
        command.supervisor,
        "programs_info",
        lambda _: {
            "postgresql": {**record, "statename": "RUNNING"},
            "kafka": {**record, "statename": "EXITED"},
            "backoffice": {**record, "statename": "EXITED", "exitstatus": -1},
            "gateway": {**record, "statename": "STOPPED"},
        },
    )
    monkeypatch.setattr(command.programs, "left_out", lambda _: {"market": "it needs kafka"})
    monkeypatch.setattr(faultbook, "active", lambda _: {"kafka-stopped": "2031-04-02T08:00:00+00:00"})
    programs.record_parts(lab, ["backoffice"])
    assert command.main(["status"]) == command.NOT_UP
    postgresql, kafka, backoffice, gateway, market, other, fault = capsys.readouterr().out.splitlines()
    assert "running   pid 7 " in postgresql
    assert f"port {ports()['postgresql']}" in postgresql
    assert "exited    status 3 at 20" in kafka
    assert "exited    by a signal at 20" in backoffice
    assert gateway.split() == ["gateway", "stopped"]
    assert market.endswith("left out  it needs kafka")
    assert other.split()[:3] == ["kubernetes", "not", "started:"]
    assert fault.split() == ["fault", "kafka-stopped", "since", "2031-04-02T08:00:00+00:00"]


def test_an_error_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: Paths) -> None:
        raise LabError("first\n  second")

    monkeypatch.setattr(command.supervisor, "programs_info", fail)
    assert command.main(["status"]) == 1
    assert capsys.readouterr().err == "lab: first second\n"


def test_an_unexpected_error_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SRE_LAB_DEBUG", raising=False)
    monkeypatch.setattr(command.supervisor, "programs_info", lambda _: dict[str, str]()["x"])
    assert command.main(["status"]) == 1
    assert capsys.readouterr().err == "lab: unexpected KeyError: 'x' (SRE_LAB_DEBUG=1 shows where)\n"


def test_env_needs_a_lab_that_was_started(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["env"]) == 1
    assert "never started" in capsys.readouterr().err


def test_env_prints_only_lines_that_a_shell_can_evaluate(lab: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    lab.supervisord_conf.write_text("")
    assert command.main(["env"]) == 0
    lines = capsys.readouterr().out.splitlines()
    words = [shlex.split(line) for line in lines]
    assert all(len(each) == 2 and each[0] == "export" and "=" in each[1] for each in words)
    values = dict(each[1].split("=", 1) for each in words)
    assert values["BACKOFFICE_URL"].startswith("http://127.0.0.1:")
    assert values["SRE_LAB_DIR"] == str(lab.root)
    assert values["SRE_LAB_LOGS"] == str(lab.stdout_log("gateway").parent)
    served = programs.environments(lab)["backoffice"]
    for name in ("KAFKA_TOPIC", "KAFKA_GROUP_ID", "BACKOFFICE_SNAPSHOT_PATH"):
        assert values[name] == served[name]
    for name in ("jwt_hs256_secret", "postgres_password", "kafka_admin_password"):
        assert lab.secret(name) not in "\n".join(lines)


def test_a_part_that_is_not_there_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["up", "nomad"])
    assert "no part 'nomad' in the lab; there are databases, backoffice, kubernetes" in capsys.readouterr().err


@pytest.mark.parametrize("count", ["0", "-1", "10001", "many"])
def test_orders_refuses_a_bad_count(count: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["orders", "--count", count])
    assert "--count" in capsys.readouterr().err


def test_down_of_a_lab_that_never_was(
    lab: Paths, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SRE_LAB_DIR", str(lab.root / "none"))
    assert command.main(["down"]) == 0
    assert "never started" in capsys.readouterr().out

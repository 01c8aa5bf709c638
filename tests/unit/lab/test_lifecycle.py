# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from lab import control, layout, lifecycle, programs
from lab.layout import PARTS, LabError, Paths

SLEEP = [sys.executable, "-c", "import time; print('awake', flush=True); time.sleep(60)"]


def sleeper(**variables: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(SLEEP, env={**os.environ, **variables}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_port_in_use_is_named_with_its_holder(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setattr(lifecycle, "ports", lambda: {"gateway": port})
        with pytest.raises(LabError, match=rf"port {port} \(gateway\) is in use by .*\(pid {os.getpid()}\)"):
            lifecycle._free_ports(["gateway"])
    lifecycle._free_ports(["gateway"])


def test_only_processes_of_this_lab_are_ended(lab: Paths) -> None:
    ours = sleeper(**layout.marked(lab))
    other = sleeper(**layout.marked(Paths(lab.root / "other")))
    try:
        assert [f"(pid {ours.pid})" in stray for stray in lifecycle.end_strays(lab)] == [True]
        assert not psutil.pid_exists(ours.pid)
        assert other.poll() is None
        assert lifecycle.end_strays(lab) == []
    finally:
        for process in (ours, other):
            process.kill()
            process.communicate()


def test_a_first_start_that_was_cut_off_is_wiped(lab: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    home = lab.root / "postgresql"
    monkeypatch.setattr("lab.postgres.locate", lambda _: type("Server", (), {"home": home})())
    for folder in (home, lab.kafka, lab.backoffice):
        folder.mkdir(exist_ok=True)
        (folder / "data").write_text("half")
    lab.seeding.touch()
    lifecycle._clean_up(lab)
    assert not lab.seeding.exists()
    assert not home.exists()
    assert list(lab.kafka.iterdir()) == list(lab.backoffice.iterdir()) == []


def test_the_data_of_a_finished_start_stays(lab: Paths) -> None:
    lab.seeded.touch()
    lab.ledger.write_text("line\n")
    lifecycle._clean_up(lab)
    assert lab.ledger.read_text() == "line\n"


def test_two_commands_do_not_change_the_lab_at_once(lab: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifecycle, "_LOCK_SECONDS", 0.1)
    with lifecycle.alone(lab), pytest.raises(LabError, match="end of the other command"), lifecycle.alone(lab):
        pytest.fail("two at once")
    with lifecycle.alone(lab):
        pass


@pytest.fixture
def bare(lab: Paths, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """A machine for which there is no Java."""
    from lab import java, postgres

    def no_java(_: Paths) -> Path:
        raise java.MissingJava("no Java here")

    monkeypatch.setattr(java, "ensure", no_java)
    monkeypatch.setattr(postgres, "ensure", lambda _: postgres.Server(Path("/bin"), lab.root, None))
    return lab


def test_a_part_without_toolchain_is_left_out_with_what_needs_it(
    bare: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    parts, missing = lifecycle._parts(bare, PARTS["backoffice"])
    assert [part.name for part in parts] == ["postgresql", "backoffice", "gateway"]
    assert missing == {"kafka": "no Java here", "market": "it needs kafka"}
    assert "kafka is left out: no Java here" in capsys.readouterr().out


def test_a_control_plane_that_cannot_be_built_is_one_line(bare: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    table, missing = lifecycle._parts(bare, programs.of_parts(PARTS), "no network")
    assert [program.name for program in table] == ["postgresql", "backoffice", "gateway"]
    assert missing["runner"] == "it needs kube-apiserver"
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "no network" in line]
    assert line == "etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kwok is left out: no network"


def test_strict_mode_leaves_nothing_out(bare: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_STRICT", "1")
    with pytest.raises(LabError, match="kafka cannot be left out in strict mode: no Java here"):
        lifecycle._parts(bare, PARTS["backoffice"])


def test_a_missing_service_is_one_line(bare: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SERVICES", ("backoffice", "absent"))
    with pytest.raises(LabError, match=r"absent: the module lab.services.absent is missing"):
        lifecycle._parts(bare, PARTS["backoffice"])


def test_waiting_ends_with_a_value_or_one_line() -> None:
    answers = iter([0, "", "there"])
    assert control.wait_until(lambda: next(answers), 5, "thing") == "there"
    with pytest.raises(LabError, match=r"^thing there: not within 0.05 s$"):
        control.wait_until(lambda: False, 0.05, "thing there")


def test_a_lab_that_is_down_is_said_to_be_down() -> None:
    assert control.state("kafka") == "DOWN"
    assert not control.is_up()
    with pytest.raises(LabError, match="kafka: the lab is down; start it with"):
        control.start("kafka")
    with pytest.raises(LabError, match="no program 'redis' in the lab; there are postgresql, kafka"):
        control.stop("redis")

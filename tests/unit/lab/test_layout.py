# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import stat
from pathlib import Path

import pytest

from lab import credentials, layout
from lab.layout import LabError, Paths


def test_every_port_is_different() -> None:
    numbers = list(layout.ports().values())
    assert len(set(numbers)) == len(numbers)
    assert all(1024 < number < 32768 for number in numbers)


def test_further_labs_have_ports_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    for lab in "0123456789":
        monkeypatch.setenv("SRE_LAB_NUMBER", lab)
        layout.ports.cache_clear()
        seen += layout.ports().values()
    layout.ports.cache_clear()
    assert len(set(seen)) == len(seen)


def test_a_number_of_a_lab_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRE_LAB_NUMBER", "12")
    with pytest.raises(LabError, match="SRE_LAB_NUMBER is '12': a number from 0 to 9"):
        layout.number()


def test_a_path_that_is_too_long_for_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    deep = tmp_path / ("x" * 100)
    with pytest.raises(LabError, match="too deep for a unix socket; set SRE_LAB_DIR"):
        Paths(deep).make()
    assert not deep.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LabError, match=r"file.* cannot be made: .*(exists|directory)"):
        Paths(tmp_path / "file").make()


def test_secrets_are_private_and_stay(lab: Paths) -> None:
    before = {name: lab.secret(name) for name in credentials.NAMES}
    credentials.ensure(lab)
    assert {name: lab.secret(name) for name in credentials.NAMES} == before
    assert len(set(before.values())) == len(before)
    for name in (*credentials.NAMES, "pgpass"):
        assert stat.S_IMODE(lab.secret_file(name).stat().st_mode) == 0o600
    assert stat.S_IMODE(lab.secrets.stat().st_mode) == 0o700


def test_a_missing_secret_is_named(lab: Paths) -> None:
    with pytest.raises(LabError, match=r"secret nothing: .*start the lab with"):
        lab.secret("nothing")


def test_a_private_file_is_replaced_at_once(tmp_path: Path) -> None:
    target = tmp_path / "secret"
    target.write_text("old")
    target.chmod(0o644)
    layout.write_private(target, "new")
    assert target.read_text() == "new"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.glob(".secret*")) == []

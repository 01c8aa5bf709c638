# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JDK and Maven: the machine's own JDK, and the machine's Maven or one that is downloaded once."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from pathlib import Path

from lab import jars
from lab.layout import LabError, cache_folder
from lab.progress import say

OLDEST_JDK = 17
OLDEST_MAVEN = (3, 6, 3)
ZIP = jars.Jar(
    "org.apache.maven",
    "apache-maven",
    "3.9.16",
    9_395_475,
    "5af3b743dd8b876b5c45da33b676251e5f1687712644abb4ee519ca56e1d89ce",
    classifier="bin",
    packaging="zip",
    pinned_in="maven.py",
)


class MissingJdk(LabError):
    """No Java compiler on the machine."""


@dataclass(frozen=True)
class Toolchain:
    """What builds a Java program."""

    jdk: Path
    maven: Path

    @property
    def java(self) -> Path:
        return self.jdk / "bin" / "java"

    def environment(self) -> dict[str, str]:
        return {**os.environ, "JAVA_HOME": str(self.jdk)}


def toolchain() -> Toolchain:
    """JDK and Maven; downloads Maven when the machine has none. MissingJdk, LabError."""
    jdk = _jdk()
    return Toolchain(jdk, _of_machine(jdk) or _downloaded())


def _jdk() -> Path:
    """Home of the machine's JDK: JAVA_HOME, then PATH. MissingJdk."""
    homes = [Path(os.environ["JAVA_HOME"]) / "bin" / "javac"] if os.environ.get("JAVA_HOME") else []
    for candidate in (*homes, shutil.which("javac")):
        if candidate and _version(_says([str(candidate), "-version"]))[:1] >= (OLDEST_JDK,):
            return Path(candidate).resolve().parent.parent
    raise MissingJdk(
        f"no Java compiler of version {OLDEST_JDK} or newer (javac); install a JDK (Debian: openjdk-17-jdk-headless)"
    )


def _of_machine(jdk: Path) -> Path | None:
    found = shutil.which("mvn")
    if found and _version(_says([found, "-v"], jdk)) >= OLDEST_MAVEN:
        return Path(found)
    return None


def _downloaded() -> Path:
    folder = cache_folder("maven", ZIP.version)
    program = folder / f"{ZIP.artifact}-{ZIP.version}" / "bin" / "mvn"
    if program.exists():
        return program
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        say(f"no Maven on this machine: downloading {ZIP.version} (9 MB), kept in {folder}")
        jars.fetch(jars.maven(draft / "m2"), ZIP, draft)
        with zipfile.ZipFile(draft / ZIP.file_name) as archive:
            archive.extractall(draft)
        (draft / program.relative_to(folder)).chmod(0o755)
        shutil.rmtree(draft / "m2", ignore_errors=True)
        (draft / ZIP.file_name).unlink()
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    except OSError as error:
        raise LabError(
            f"Maven {ZIP.version} cannot be kept in {folder}: {error.strerror}; free space or set XDG_CACHE_HOME"
        ) from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return program


def _says(command: list[str], jdk: Path | None = None) -> str:
    """What a program prints about its version; nothing when it cannot be run."""
    environment = {**os.environ, "JAVA_HOME": str(jdk)} if jdk else None
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=environment, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout + answer.stderr if answer.returncode == 0 else ""


def _version(text: str) -> tuple[int, ...]:
    """The first version number of a text; empty when there is none."""
    found = re.search(r"(?:javac|Apache Maven) (\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found[1].split(".")) if found else ()

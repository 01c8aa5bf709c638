# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference Spring Boot service: built once from lab/spring, kept in the cache, and the command that runs it.

Beside the jar lies an archive of its classes as the JVM has loaded them, which nearly halves the time of a start.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lab import maven
from lab.java import QUICK_START
from lab.layout import LabError, cache_folder
from lab.maven import MissingJdk
from lab.progress import say

__all__ = ["MissingJdk", "command", "ensure", "jar"]

SOURCES = Path(__file__).parent / "spring"
_BUILD_SECONDS = 900
_OFFLINE_SECONDS = 180
_STEP_SECONDS = 120
_ARCHIVE = "service.jsa"
_TELL_SECONDS = 3.0


def jar() -> Path:
    """Where the jar of these sources lies, or will lie."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(str(path.relative_to(SOURCES)).encode() + b"\0" + path.read_bytes() + b"\0")
    return cache_folder("spring", digest.hexdigest()[:16]) / "service.jar"


def command(java: Path, memory: str = "-Xmx160m") -> list[str]:
    """The command that runs the service; everything else about it comes from its environment (lab/spring/README.md)."""
    archive = jar().with_name(_ARCHIVE)
    shared = [f"-XX:SharedArchiveFile={archive}", "-Xlog:cds=off", "-Xlog:cds+dynamic=off"] if archive.exists() else []
    return [str(java), memory, *QUICK_START, *shared, "-jar", str(jar())]


def ensure() -> Path:
    """The jar; builds it when these sources were not built before. MissingJdk, LabError."""
    built = jar()
    if built.exists():
        return built
    tools = maven.toolchain()
    folder = built.parent
    started = time.monotonic()
    say("building the reference Spring service, once ...")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{folder.name}.", dir=folder.parent) as draft:
            _build(tools, Path(draft))
            _keep(Path(draft) / "kept", folder)
        _archive(tools, folder)
    except OSError as error:
        raise LabError(
            f"the Spring service cannot be kept in {folder.parent}: {error.strerror}; free space or set XDG_CACHE_HOME"
        ) from None
    say(f"the reference Spring service is built, in {time.monotonic() - started:.0f} s")
    return built


def _files() -> Iterator[Path]:
    yield SOURCES / "pom.xml"
    yield from sorted(path for path in (SOURCES / "src").rglob("*") if path.is_file())


def _build(tools: maven.Toolchain, draft: Path) -> None:
    """Build in the folder ``draft``; its subfolder ``kept`` then holds the jar and its libraries."""
    for path in _files():
        target = draft / path.relative_to(SOURCES)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    package = [str(tools.maven), "-B", "--strict-checksums", "package"]
    if _run([*package, "-o"], draft, tools, _OFFLINE_SECONDS):
        complaint = _run(package, draft, tools, _BUILD_SECONDS)
        if complaint:
            raise LabError(f"the reference Spring service could not be built: {complaint}")
    unpack = ["-Djarmode=tools", "-jar", "target/service.jar", "extract", "--destination", "kept"]
    complaint = _run([str(tools.java), *unpack], draft, tools, _STEP_SECONDS)
    if complaint:
        raise LabError(f"the reference Spring service could not be unpacked: {complaint}")


def _archive(tools: maven.Toolchain, folder: Path) -> None:
    """Archive the classes that a start without servers loads; they are only valid for a jar in its final place."""
    draft = folder / f"{_ARCHIVE}.{os.getpid()}"
    words = [str(tools.java), "-Xmx160m", *QUICK_START, f"-XX:ArchiveClassesAtExit={draft}"]
    words += ["-Dspring.context.exit=onRefresh", "-jar", str(folder / "service.jar")]
    complaint = _run(words, folder, tools, _STEP_SECONDS, SPRING_PROFILES_ACTIVE="no-database", SERVER_PORT="0")
    if complaint or not draft.exists():
        draft.unlink(missing_ok=True)
        reason = complaint or "this Java does not do it"
        say(f"the Spring service will start more slowly, because its classes could not be archived: {reason}")
    else:
        draft.replace(folder / _ARCHIVE)


def _run(words: list[str], folder: Path, tools: maven.Toolchain, seconds: float, **variables: str) -> str:
    """Run one step, telling of its downloads. Empty when it went well, else the line that says why it did not."""
    with tempfile.NamedTemporaryFile("w") as log:
        process = subprocess.Popen(
            words,
            cwd=folder,
            env={**tools.environment(), **variables},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _wait(process, Path(log.name), seconds)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code is None:
            return f"{Path(words[0]).name} was not done within {seconds:g} s"
        return _reason(_read(Path(log.name)).splitlines()) if code else ""


def _wait(process: subprocess.Popen[bytes], log: Path, seconds: float) -> int | None:
    """The exit code, or None when time is up. Tells how many files were downloaded, every few seconds."""
    end = time.monotonic() + seconds
    told = 0
    while time.monotonic() < end:
        try:
            return process.wait(timeout=_TELL_SECONDS)
        except subprocess.TimeoutExpired:
            files = _read(log).count("Downloaded from ")
            if files > told:
                say(f"  {files} files downloaded")
            told = files
    return None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _reason(lines: list[str]) -> str:
    """The first line that tells of an error, else the last one."""
    told = [line.strip() for line in lines if line.strip()]
    errors = [line.removeprefix("[ERROR]").strip() for line in told if line.startswith("[ERROR]")]
    return next((line[:300] for line in errors if line), told[-1][:300] if told else "it gave no reason")


def _keep(draft: Path, folder: Path) -> None:
    """Put what was built in its place, unless another build was quicker."""
    try:
        draft.replace(folder)
    except OSError:
        if not (folder / "service.jar").exists():
            raise

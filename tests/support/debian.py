# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Programs out of Debian packages without installing them: downloaded and unpacked into the user's cache folder."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from lab.layout import cache_folder

SECONDS = 300


class NoPackage(Exception):
    """The package cannot be had here; the message is one line that says why."""


def unpacked(name: str) -> Path:
    """Folder with the files of the package ``name`` in the version this machine would install. NoPackage.

    The machine's own package lists are read; where it has none (as in a fresh container), lists are fetched into a
    temporary folder. Nothing of the machine is changed but the user's cache folder.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise NoPackage(f"{name} can be downloaded on Debian and Ubuntu only: install it by hand")
    with tempfile.TemporaryDirectory(prefix="runbooks-apt-") as scratch:
        own = _own_state(Path(scratch))
        options: tuple[str, ...] = ()
        listed = _apt("--print-uris", "download", name, folder=scratch, check=False)
        if not listed:
            options = own
            _apt(*options, "update", folder=scratch)
            listed = _apt(*options, "--print-uris", "download", name, folder=scratch)
        found = re.search(r"^'[^']+' (\S+\.deb) ", listed, re.MULTILINE)
        if not found:
            raise NoPackage(f"apt-get names no file for {name}: {listed.strip() or 'it printed nothing'}")
        folder = cache_folder("debian", found[1].removesuffix(".deb"))
        if not folder.is_dir():
            _apt(*options, "-o", "APT::Sandbox::User=", "download", name, folder=scratch)
            folder.parent.mkdir(parents=True, exist_ok=True)
            draft = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
            try:
                _run("dpkg-deb", "-x", str(Path(scratch) / found[1]), str(draft), folder=scratch)
                if not folder.is_dir():
                    draft.replace(folder)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
    return folder


def libraries(program: Path, package: str) -> list[Path]:
    """Folders with the shared libraries that ``program`` of ``package`` needs and this machine lacks. NoPackage."""
    missing = re.findall(r"^\s*(\S+) => not found", _run("ldd", str(program), folder="/"), re.MULTILINE)
    if not missing:
        return []
    needed = re.search(r"^Depends: (.*)$", _run("apt-cache", "show", package, folder="/", check=False), re.MULTILINE)
    names = re.findall(r"\b(lib[a-z0-9.+-]+)", needed[1]) if needed else []
    folders: list[Path] = []
    for name in dict.fromkeys(names):
        if "installed" not in _run("dpkg-query", "-W", "-f=${Status}", name, folder="/", check=False).split():
            folders += {path.parent for path in unpacked(name).rglob("*.so*")}
    return folders


def _own_state(folder: Path) -> tuple[str, ...]:
    """Options by which apt-get keeps its lists in this folder, so that it needs no right on the machine's."""
    for part in ("lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    settings = {"Dir::State::lists": folder / "lists", "Dir::Cache": folder / "cache", "APT::Sandbox::User": ""}
    return tuple(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))


def _apt(*arguments: str, folder: str, check: bool = True) -> str:
    return _run("apt-get", "-q", *arguments, folder=folder, check=check)


def _run(*command: str, folder: str, check: bool = True) -> str:
    """What the command prints on stdout; with ``check``, NoPackage with its last complaint when it fails."""
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoPackage(f"{' '.join(command[:2])}: {error}") from None
    if done.returncode and check:
        complaints = [line for line in done.stderr.splitlines() if line.strip()]
        raise NoPackage(f"{' '.join(command)}: {complaints[-1] if complaints else f'ended with {done.returncode}'}")
    return done.stdout if not done.returncode else ""

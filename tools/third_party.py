# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fetch the collections of others that this one depends on, without Ansible Galaxy: out of PyPI's package ``ansible``.

    tools/third_party.py       prints the folder to put on ANSIBLE_COLLECTIONS_PATH

What was fetched once stays in the cache, keyed by the package's version.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "ansible"
VERSION = "12.3.0"
SHA256 = "cd156f82fa87f7a899212b0efa9f7ca3a24d609212de9f78428a572eb01e5414"
COLLECTIONS = ("kubernetes/core",)
MINUTES = 10


def folder() -> Path:
    """Where the collections lie in the cache."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return home / "sre-runbooks" / f"collections-{VERSION}"


def fetch() -> Path:
    """The folder for ANSIBLE_COLLECTIONS_PATH, fetched when it is not there."""
    target = folder()
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wheel = _download(Path(scratch))
        unpacked = Path(scratch) / "unpacked"
        with zipfile.ZipFile(wheel) as archive:
            wanted = [
                name
                for name in archive.namelist()
                if name.startswith(tuple(f"ansible_collections/{collection}/" for collection in COLLECTIONS))
            ]
            archive.extractall(unpacked, wanted)
        try:
            unpacked.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was quicker
                raise
    return target


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(scratch), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=MINUTES * 60)
    if done.returncode:
        sys.exit(f"{PACKAGE} {VERSION} could not be downloaded:\n{done.stdout}{done.stderr}")
    (wheel,) = scratch.glob("*.whl")
    found = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if found != SHA256:
        shutil.rmtree(scratch, ignore_errors=True)
        sys.exit(f"{wheel.name} has the checksum {found}, not the pinned one: it is not used.")
    return wheel


if __name__ == "__main__":
    print(fetch())

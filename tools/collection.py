# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make this checkout available as the collection sre.runbooks.

    tools/collection.py link       .build/collections/ansible_collections/sre/runbooks -> the checkout (inner loop)
    tools/collection.py build      the archive .build/dist/sre-runbooks-<version>.tar.gz, by ansible-galaxy
    tools/collection.py install    build, then install the archive into .build/installed, without network

Archives are built from a copy of the files that git knows or would add, so that nothing ignored can slip in.
"""

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
NAME = Path("ansible_collections") / "sre" / "runbooks"


def link() -> Path:
    """Point the collections path at the checkout; returns the folder to put on ANSIBLE_COLLECTIONS_PATH."""
    target = BUILD / "collections" / NAME
    target.parent.mkdir(parents=True, exist_ok=True)
    wanted = os.path.relpath(ROOT, target.parent)
    if not (target.is_symlink() and str(target.readlink()) == wanted):
        target.unlink(missing_ok=True)
        target.symlink_to(wanted)
    return BUILD / "collections"


def files() -> list[Path]:
    """Tracked files and those that git would add, as paths relative to the checkout, sorted."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"git could not list the files of {ROOT}: {done.stderr.decode(errors='replace').strip()}")
    paths = [Path(os.fsdecode(name)) for name in done.stdout.split(b"\0") if name]
    return sorted(path for path in paths if (ROOT / path).is_file())


def copy(target: Path, exclude: tuple[str, ...] = ()) -> None:
    """Copy the checkout's files to an emptied folder, but for those under the excluded top folders."""
    shutil.rmtree(target, ignore_errors=True)
    for path in files():
        if path.parts[0] not in exclude:
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, target / path)


def galaxy(*args: str) -> None:
    """Run ansible-galaxy of this environment; its own words are shown when it fails, and the program ends."""
    command = [str(Path(sys.executable).with_name("ansible-galaxy")), "collection", *args]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
    done = subprocess.run(command, cwd=BUILD, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")


def build() -> Path:
    """Build the archive; returns its path."""
    source, dist = BUILD / "source", BUILD / "dist"
    copy(source)
    shutil.rmtree(dist, ignore_errors=True)
    galaxy("build", str(source), "--output-path", str(dist))
    (archive,) = dist.glob("*.tar.gz")
    return archive


def install() -> Path:
    """Build and install the archive; returns the folder to put on ANSIBLE_COLLECTIONS_PATH.

    Nothing is done when what is installed is of the same files: another process may be using it.
    """
    target, stamp = BUILD / "installed", BUILD / "installed.digest"
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "installed.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = digest()
        if not (target.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted):
            archive = build()
            shutil.rmtree(target, ignore_errors=True)
            galaxy("install", str(archive), "--collections-path", str(target), "--no-deps", "--force", "--offline")
            stamp.write_text(wanted, encoding="utf-8")
    return target


def digest() -> str:
    """Checksum of the names and contents of all files that an archive could hold."""
    found = hashlib.sha256()
    for path in files():
        found.update(f"{path}\0".encode() + hashlib.sha256((ROOT / path).read_bytes()).digest())
    return found.hexdigest()


def main() -> None:
    """Do what the command line names and print where the result stands, relative to the checkout."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["link", "build", "install"])
    what = parser.parse_args().what
    result = {"link": link, "build": build, "install": install}[what]()
    if what != "link":
        print(result.relative_to(ROOT))


if __name__ == "__main__":
    main()

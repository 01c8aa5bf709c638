# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Make or refresh the project's virtual environment; nothing is done when it is up to date.

    python3 tools/environment.py            run-time and lab packages (all that `make demo` needs)
    python3 tools/environment.py --dev      the development tools as well

Versions come from constraints.txt. A stamp in the environment holds a checksum of the constraints, the requirement
files, the interpreter and the place of the checkout, so that a second call costs a few hundredths of a second.

The first lines must run on any Python 3, so that an old one is refused in words rather than with a syntax error.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit(
        "Python 3.11 or newer is needed, %s is Python %d.%d: name another one with `make PYTHON=python3.12 ...`."
        % (sys.executable, sys.version_info[0], sys.version_info[1])
    )

import argparse
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
LEVELS = {
    "run": (ROOT / "requirements.txt", ROOT / "lab" / "requirements.txt"),
    "dev": (ROOT / "tests" / "requirements.txt",),
}
WHAT = {"run": "run-time and lab packages", "dev": "development tools"}


def checksum(venv: Path, files: list[Path]) -> str:
    """Checksum of the interpreter, the environment's place and the content of the files."""
    digest = hashlib.sha256(f"{sys.version}|{os.path.realpath(sys.executable)}|{venv}".encode())
    for path in files:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def create(venv: Path) -> None:
    """Make an empty environment; ends the program with one line when this Python cannot."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        sys.exit(
            f"{sys.executable} has no module venv: install it (on Debian: apt-get install python3-venv, or"
            f" python{version}-venv) or name another interpreter with `make PYTHON=...`."
        )
    shutil.rmtree(venv, ignore_errors=True)
    done = subprocess.run([sys.executable, "-m", "venv", str(venv)], capture_output=True, text=True, check=False)
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        sys.exit(f"{sys.executable} could not make {venv}: {(done.stdout + done.stderr).strip()}")


def install(venv: Path, files: list[Path]) -> None:
    """Install the requirement files under the constraints; ends the program with one line when pip cannot.

    On a terminal pip shows its progress; what else it says goes to pip.log in the environment.
    """
    command = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    command += ["--retries=2", "--constraint", str(CONSTRAINTS)]
    for path in files:
        command += ["--requirement", str(path)]
    log = venv / "pip.log"
    with log.open("w", encoding="utf-8") as output:
        shown = None if sys.stdout.isatty() else output
        done = subprocess.run(command, stdout=shown, stderr=output if shown is None else subprocess.STDOUT, check=False)
    if done.returncode:
        complaint = log.read_text(encoding="utf-8", errors="replace")
        sys.exit(f"{refusal(complaint, done.returncode)} (what pip said: {log})")


def refusal(complaint: str, code: int) -> str:
    """Why pip ended with this code, in one line: what it needs of the network, or its last error."""
    said = [line.strip() for line in complaint.splitlines() if line.lstrip().startswith(("WARNING:", "ERROR:"))]
    network = ("connection", "timed out", "name resolution", "temporary failure", "network", "ssl", "proxy")
    if any(word in line.lower() for line in said for word in network):
        return (
            "no network: the package index cannot be reached, so the packages could not be installed;"
            " they are needed once: check the network (or PIP_INDEX_URL) and try again"
        )
    errors = [line for line in said if line.startswith("ERROR:")]
    return f"The packages could not be installed: {errors[-1] if errors else f'pip ended with {code}'}"


def ensure(venv: Path, level: str) -> None:
    """Bring the environment to the level, if it is not there already."""
    files = [path for path in LEVELS[level] if path.exists()]
    stamp = venv / f".stamp-{level}"
    wanted = checksum(venv, [CONSTRAINTS, *files])
    if stamp.exists() and stamp.read_text(encoding="utf-8") == wanted:
        return
    print(
        f"Installing {WHAT[level]} into {venv.name} (Python {sys.version.split()[0]}) ...", file=sys.stderr, flush=True
    )
    install(venv, files)
    stamp.write_text(wanted, encoding="utf-8")


def main() -> None:
    """Parse the command line and bring the environment up to date, one process at a time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dev", action="store_true", help="add the development tools")
    parser.add_argument("--dir", default=".venv", help="the environment's folder in the checkout (default: .venv)")
    args = parser.parse_args()
    venv = ROOT / args.dir
    base = checksum(venv, [])
    build = ROOT / ".build"
    build.mkdir(exist_ok=True)
    with (build / f"{venv.name}.lock").open("w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        identity = venv / ".stamp-base"
        if not (identity.exists() and identity.read_text(encoding="utf-8") == base):
            create(venv)
            identity.write_text(base, encoding="utf-8")
        for level in ("run", "dev") if args.dev else ("run",):
            ensure(venv, level)


if __name__ == "__main__":
    main()

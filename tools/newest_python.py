# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the path of the newest Python on this machine that is newer than the one that runs this file.

Looked for: python3.12 to python3.14 on PATH (a pyenv shim that is not selected is passed over) and below pyenv's root.
Ends with 1 and one line on standard error when there is none.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NEWER = [f"3.{minor}" for minor in range(14, 11, -1) if (3, minor) > sys.version_info[:2]]


def candidates(version: str) -> list[str]:
    """Programs that may be the Python of a version."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = [str(path) for path in sorted(root.glob(f"versions/{version}.*/bin/python{version}"), reverse=True)]
    program = shutil.which(f"python{version}")
    return [program, *found] if program else found


def works(program: str) -> bool:
    """Whether the program runs and can make virtual environments."""
    command = [program, "-c", "import ensurepip, venv"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0


def main() -> None:
    """Print the first that works, newest version first."""
    for version in NEWER:
        for program in candidates(version):
            if works(program):
                print(program)
                return
    here = ".".join(map(str, sys.version_info[:2]))
    sys.exit(f"no Python newer than {here} (up to 3.14) was found: what is tried on the newest one is left out")


if __name__ == "__main__":
    main()

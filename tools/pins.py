# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write constraints.txt anew: what pip picks today for all requirement files, on this Python and on the newest one.

A package whose newest version differs between the two is pinned to the older one when both can use it, and per Python
version when it is ansible-core: there, each Python gets the newest that supports it.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import environment as project

HEADER = """\
# Every package of the development environment, pinned: one set of versions that were tested together.
# `make pins` writes this file anew with the newest versions that the requirement files allow.
"""


def newest(python: str) -> dict[str, str]:
    """Versions by package name that pip picks for one interpreter."""
    files = [path for level in project.LEVELS.values() for path in level if path.exists()]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        install = [*pip, "install", "--quiet", "--no-input"]
        subprocess.run([*install, *(f"--requirement={path}" for path in files)], check=True)
        frozen = subprocess.run([*pip, "freeze"], check=True, capture_output=True, text=True).stdout
    return dict(line.split("==") for line in frozen.splitlines() if "==" in line)


def main() -> None:
    """Resolve on both interpreters and write the file."""
    finder = [sys.executable, str(project.ROOT / "tools" / "newest_python.py")]
    other = subprocess.run(finder, check=True, capture_output=True, text=True).stdout.strip()
    old, new = newest(sys.executable), newest(other)
    core = [
        f'ansible-core=={old.pop("ansible-core")} ; python_version < "3.12"',
        f'ansible-core=={new.pop("ansible-core")} ; python_version >= "3.12"',
    ]
    pins = [f"{name}=={version}" for name, version in sorted((new | old).items(), key=lambda item: item[0].lower())]
    project.CONSTRAINTS.write_text(HEADER + "\n".join([*core, *pins]) + "\n", encoding="utf-8")
    print(f"constraints.txt: {len(pins) + 1} packages")


if __name__ == "__main__":
    main()

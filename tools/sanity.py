# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run `ansible-test sanity` of the environment that runs this file on a copy of the collection, with no ignore file.

ansible-test wants a folder .../ansible_collections/sre/runbooks, so the files that git knows or would add are copied
to .build/sanity. It hands on little more than HOME and PATH to what it starts, which has two consequences here:

* pip settings from environment variables would be lost, so they are written to the pip configuration of a HOME of its
  own, kept under the user's cache folder; its virtual environments live there too and serve every checkout.
* It downloads get-pip from a site of its own, which is out of reach where only a package index is. `GET_PIP` below is
  put in that script's place: it takes the pip that Python ships and lets it install what was asked for.
"""

import argparse
import configparser
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import collection

# ensurepip runs in a process of its own, because it changes PIP_CONFIG_FILE of the process that it runs in.
GET_PIP = """\
import runpy
import subprocess
import sys

subprocess.check_call([sys.executable, "-m", "ensurepip"], stdout=subprocess.DEVNULL)
packages = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
sys.argv = ["pip", "install", *packages]
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""
LIMIT_SECONDS = 1200
NOT_CHECKED = ("lab", "tests", "tools")  # no part of the collection; ruff, mypy and pytest look after them
SETTINGS = Path("tests") / "config.yml"  # of ansible-test itself


def pip_settings() -> configparser.RawConfigParser:
    """Everything pip was told by files and environment variables, as one configuration file."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    settings = configparser.RawConfigParser()
    for section, key, value in re.findall(r"^(:env:|\w+)\.([\w.-]+)='(.*)'$", listed, flags=re.MULTILINE):
        name = "global" if section == ":env:" else section
        if not settings.has_section(name):
            settings.add_section(name)
        settings.set(name, key.lstrip("."), value)
    return settings


def prepare_home() -> Path:
    """A HOME for ansible-test with pip settings and the stand-in for get-pip; returns its path."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = cache / "sre-runbooks" / f"ansible-test-{metadata.version('ansible-core')}"
    config = home / ".config" / "pip" / "pip.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.touch(mode=0o600)
    with config.open("w", encoding="utf-8") as file:
        pip_settings().write(file)
    package = metadata.distribution("ansible-core")
    source = Path(str(package.locate_file("ansible_test/_internal/python_requirements.py")))
    (version,) = re.findall(r"^\s+pip='([\d.]+)',", source.read_text(encoding="utf-8"), flags=re.MULTILINE)
    script = home / ".ansible" / "test" / "cache" / f"get_pip_{version.replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP, encoding="utf-8")
    return home


def main() -> None:
    """Run the sanity tests; ends with ansible-test's own code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("options", nargs="*", help="handed on to ansible-test sanity (after --), such as --test import")
    args = parser.parse_args()
    home = prepare_home()
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    content = collection.BUILD / f"sanity-{version}" / collection.NAME
    collection.copy(content, exclude=NOT_CHECKED)
    (content / SETTINGS).parent.mkdir()
    shutil.copy2(collection.ROOT / SETTINGS, content / SETTINGS)
    # A repository of its own: ansible-test would else find the checkout's, which ignores everything under .build.
    subprocess.run(["git", "init", "--quiet", "."], cwd=content, check=True)
    # Only the places of this interpreter and of the system: shims of other Pythons would be taken for Pythons.
    interpreter = Path(os.path.realpath(sys.executable)).parent
    path = os.pathsep.join([str(Path(sys.executable).parent), str(interpreter), "/usr/bin", "/bin"])
    environment = os.environ | {"HOME": str(home), "PATH": path}
    program = str(Path(sys.executable).with_name("ansible-test"))
    command = [program, "sanity", "--python", version, "--color", "no", *args.options]
    log = collection.BUILD / f"sanity-{version}.log"
    with log.open("w+", encoding="utf-8", errors="replace") as output:
        try:
            done = subprocess.run(
                command,
                cwd=content,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
                timeout=LIMIT_SECONDS,
            )
        except subprocess.TimeoutExpired:
            sys.exit(f"ansible-test sanity did not end within {LIMIT_SECONDS} seconds; what it said: {log}")
        output.seek(0)
        if done.returncode:
            print(*(line for line in output if line.startswith(("ERROR", "FATAL"))), f"all of it: {log}", sep="")
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()

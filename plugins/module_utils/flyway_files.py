# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of migrations: in folders, in jars, and in jars within jars."""

from __future__ import annotations

import functools
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from .flyway_locations import CLASSPATH, ELSEWHERE, Location

MOST_FILES = 50_000
MOST_DEPTH = 60
MOST_BYTES = 64 * 1024 * 1024
MOST_JAR_BYTES = 512 * 1024 * 1024
# Where the classes of an application lie in its archive, and where the libraries.
CLASS_FOLDERS = ("BOOT-INF/classes/", "WEB-INF/classes/")
LIBRARY_FOLDERS = ("BOOT-INF/lib/", "WEB-INF/lib/")


@dataclass(frozen=True)
class File:
    """One file: ``relative`` to its location, ``shown`` as the path that people know, ``read`` gives its bytes."""

    relative: str
    name: str
    shown: str
    read: Callable[[], bytes] = field(compare=False, repr=False)
    on_disk: bool = True


@dataclass
class Found:
    """What was found in all locations, and what could not be looked at."""

    files: list[File] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)  # those among the problems that are plainly wrong
    searched: list[str] = field(default_factory=list)
    archives: list[Archive] = field(default_factory=list, repr=False)

    def close(self) -> None:
        """Close the jars; a file in one of them can still be read, which opens it again."""
        for archive in self.archives:
            archive.close()


class TooBig(Exception):
    """A file, or the number of files, is beyond all reason."""


def gather(locations: list[Location], jars: tuple[str, ...]) -> Found:
    """All files in the locations. Never raises; what is absent or unreadable is among the problems."""
    found = Found()
    for location in locations:
        try:
            if location.prefix in ELSEWHERE:
                found.problems.append(f"{location.descriptor}: cannot be read from here; only folders and jars can")
            elif location.prefix == CLASSPATH:
                _classpath(location, jars, found)
            else:
                _folder(location, location.root, found)
        except (OSError, zipfile.BadZipFile, TooBig, RecursionError) as error:
            found.problems.append(f"{location.descriptor}: {error}")
    return found


def _folder(location: Location, root: str, found: Found, cut: int = 0) -> None:
    """Files below ``root``. ``cut`` is the length of the path before the part that the location speaks of."""
    why = (
        "does not exist"
        if not os.path.exists(root)
        else "is no folder"
        if not os.path.isdir(root)
        else "may not be read"
        if not os.access(root, os.R_OK | os.X_OK)
        else ""
    )
    if why:
        found.problems.append(f"{location.descriptor}: {root} {why}")
        if why != "may not be read":
            found.absent.append(found.problems[-1])
        return
    found.searched.append(root)
    for path in _walk(root, found, 0):
        spoken = path[cut:]
        if location.fits(spoken):
            found.files.append(File(location.relative(spoken), os.path.basename(path), path, _reader(path)))


def _walk(folder: str, found: Found, depth: int) -> Iterator[str]:
    """Paths below a folder by name; folders whose names begin with a dot are passed over, as Flyway does."""
    if depth > MOST_DEPTH:
        raise TooBig(f"{folder} lies {MOST_DEPTH} folders deep: does a link lead back to its own folder?")
    for entry in sorted(os.scandir(folder), key=lambda each: each.name):
        if not os.access(entry.path, os.R_OK):
            found.problems.append(f"{entry.path} may not be read")
        elif entry.is_dir():
            if not entry.name.startswith("."):
                yield from _walk(entry.path, found, depth + 1)
        else:
            _count(found)
            yield entry.path


def _count(found: Found) -> None:
    if len(found.files) >= MOST_FILES:
        raise TooBig(f"there are more than {MOST_FILES} files")


def _reader(path: str) -> Callable[[], bytes]:
    def read() -> bytes:
        with open(path, "rb") as file:
            content = file.read(MOST_BYTES + 1)
        return _bounded(content, path)

    return read


def _bounded(content: bytes, path: str) -> bytes:
    if len(content) > MOST_BYTES:
        raise TooBig(f"{path} is bigger than {MOST_BYTES} bytes")
    return content


def _classpath(location: Location, jars: tuple[str, ...], found: Found) -> None:
    if not jars:
        found.problems.append(f"{location.descriptor}: give in jars the jars or class folders in which to look for it")
        return
    before = len(found.searched), len(found.problems)
    for jar in jars:
        try:
            if os.path.isdir(jar):
                root = os.path.join(jar, location.root) if location.root else jar.rstrip("/")
                if os.path.isdir(root):
                    _folder(location, root, found, len(jar.rstrip("/")) + 1)
            else:
                _jar(location, jar, found)
        except (OSError, zipfile.BadZipFile, TooBig, NotImplementedError, RuntimeError) as error:
            found.problems.append(f"{jar}: {error}")
    if before == (len(found.searched), len(found.problems)):
        found.problems.append(f"{location.descriptor}: no such folder in {', '.join(jars)}")
        found.absent.append(found.problems[-1])


class Archive:
    """A jar, by its path or its bytes; opened at the first read and left open until close()."""

    def __init__(self, source: str | bytes) -> None:
        self.source = source
        self._opened: zipfile.ZipFile | None = None

    @property
    def opened(self) -> zipfile.ZipFile:
        if self._opened is None:
            self._opened = zipfile.ZipFile(io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source)
        return self._opened

    def names(self) -> list[str]:
        return self.opened.namelist()

    def read(self, name: str, most: int = MOST_BYTES) -> bytes:
        """The bytes of one of its files. Raises TooBig."""
        if self.opened.getinfo(name).file_size > most:
            raise TooBig(f"{name} is bigger than {most} bytes")
        return self.opened.read(name)

    def close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None


def _jar(location: Location, path: str, found: Found) -> None:
    archive = Archive(path)
    found.archives.append(archive)
    names = archive.names()
    roots = [folder for folder in CLASS_FOLDERS if any(name.startswith(folder) for name in names)]
    for root in roots or [""]:
        _entries(location, archive, root, path, found)
    for name in names:
        if name.startswith(LIBRARY_FOLDERS) and name.endswith(".jar"):
            inner = Archive(archive.read(name, MOST_JAR_BYTES))
            found.archives.append(inner)
            if not _entries(location, inner, "", f"{path}!/{name}", found):
                found.archives.pop().close()


def _entries(location: Location, archive: Archive, root: str, shown: str, found: Found) -> bool:
    """Add the files of a location in an archive; whether there is such a folder."""
    folder = f"{root}{location.root}/" if location.root else root
    inside = [name for name in archive.names() if name.startswith(folder)]
    if inside:
        found.searched.append(f"{shown}!/{folder}")
    for name in sorted(inside):
        spoken = name[len(root) :]
        if not name.endswith("/") and location.fits(spoken):
            _count(found)
            base = name.rpartition("/")[2]
            read = functools.partial(archive.read, name)
            found.files.append(File(location.relative(spoken), base, f"{shown}!/{name}", read, False))
    return bool(inside)

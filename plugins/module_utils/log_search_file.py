# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of a log file that is searched: its window, and the lines in it, bounded in number and length."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from .errors import InputError

LINE_BYTES = 65_536
MOST_FOLDER_ENTRIES = 5_000
GZIP = b"\x1f\x8b"


@dataclass(frozen=True)
class Position:
    """An end of a file at some time: its size then, and the inode, 0 when the file was not there or is not known."""

    offset: int
    inode: int = 0
    existed: bool = True

    def as_dict(self) -> dict[str, int]:
        return {"offset": self.offset, "inode": self.inode}


@dataclass
class Window:
    """What is searched of one file: bytes ``begin`` to ``end``. ``asked`` is where the search should begin.

    ``problem`` says why it cannot be searched at all; ``notes`` what limits the claim that something is absent.
    """

    path: str
    size: int = 0
    inode: int = 0
    written_at: float = 0.0
    asked: int = 0
    begin: int = 0
    end: int = 0
    lines: int = 0
    cut_lines: int = 0
    nul_lines: int = 0
    invalid_utf8_lines: int = 0
    dated: bool = True
    problem: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether all that was asked for was searched, so that absence can be claimed."""
        return not self.problem and not self.notes

    def as_dict(self) -> dict[str, object]:
        return {
            "path": self.path,
            "size_bytes": self.size,
            "from_offset": self.begin,
            "searched_bytes": max(0, self.end - self.begin) if not self.problem else 0,
            "truncated": self.begin > self.asked,
            "complete": self.complete,
            "dated": self.dated,
            "lines": self.lines,
            "cut_lines": self.cut_lines,
            "nul_lines": self.nul_lines,
            "invalid_utf8_lines": self.invalid_utf8_lines,
            "problem": self.problem,
            "notes": self.notes,
        }


def resolve(paths: list[str], most: int) -> tuple[list[str], list[Window]]:
    """The files that ``paths`` name, globs expanded and each once, and a window with a problem for each that is none.

    Of more than ``most`` the newest are taken.
    """
    found: dict[str, None] = {}
    problems = []
    for path in paths:
        if not os.path.isabs(path):
            raise InputError(f"paths: {path!r} is not absolute; the working folder here is not that of the service")
        matches = [path]
        if glob.has_magic(path) and not os.path.lexists(path):
            matches = sorted(match for match in glob.glob(path) if Path(match).is_file())
        if not matches:
            problems.append(Window(path, problem="no file matches it"))
        found.update(dict.fromkeys(matches))
    files = list(found)
    if len(files) > most:
        kept = set(sorted(files, key=_written_at)[-most:])
        problems.append(Window(f"{len(files) - most} older files", problem=f"left out: max_files is {most}"))
        files = [path for path in files if path in kept]
    return files, problems


def windows(path: str, tail_bytes: int, start: Position | None) -> list[Window]:
    """The windows of one file: two, the older first, when it was rotated since ``start`` and its old part is found."""
    now = _describe(path)
    if now.problem:
        return [now]
    now.asked = start.offset if start else 0
    before: list[Window] = []
    if start and start.existed and (now.size < start.offset or (start.inode and now.inode != start.inode)):
        now.asked = 0
        old = _renamed(path, start) if start.inode != now.inode else None
        if old:
            before = [old]
        else:
            now.notes.append("it was rotated or cut since from_offset, and its older part was not found")
    for window in (*before, now):
        window.end = window.size
        window.begin = max(window.asked, window.end - tail_bytes)
        if window.begin > window.asked:
            window.notes.append(f"only the last {tail_bytes} of {window.end - window.asked} bytes were searched")
    return [*before, now]


def lines(window: Window) -> Iterator[tuple[int, str, int]]:
    """Every line of the window as (offset, text, offset behind it); raises OSError.

    The first line is taken from its beginning, also where that lies before the window. What a line has beyond
    LINE_BYTES is left out; NUL bytes are removed. The window's counters are set anew at each call.
    """
    window.lines = window.cut_lines = window.nul_lines = window.invalid_utf8_lines = 0
    with Path(window.path).open("rb") as file:
        offset = _line_start(file, window.begin)
        file.seek(offset)
        while offset < window.end:
            raw = file.readline(min(LINE_BYTES, window.end - offset))
            if not raw:
                window.notes.append("it became shorter while it was read")
                return
            behind = offset + len(raw)
            if not raw.endswith(b"\n") and raw.count(0) == len(raw):  # a hole, as copytruncate leaves it
                window.nul_lines += 1
                offset = behind
                continue
            if len(raw) == LINE_BYTES and not raw.endswith(b"\n"):
                window.cut_lines += 1
                behind += _skip_line(file, window.end - behind)
            window.lines += 1
            yield offset, _text(raw, window), behind
            offset = behind


def _text(raw: bytes, window: Window) -> str:
    if 0 in raw:
        window.nul_lines += 1
        raw = raw.replace(b"\0", b"")
    raw = raw.rstrip(b"\r\n")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        window.invalid_utf8_lines += 1
        return raw.decode(errors="replace")


def _skip_line(file: BinaryIO, most: int) -> int:
    skipped = 0
    while skipped < most:
        piece = file.readline(min(LINE_BYTES, most - skipped))
        skipped += len(piece)
        if not piece or piece.endswith(b"\n"):
            break
    return skipped


def _line_start(file: BinaryIO, offset: int) -> int:
    """The beginning of the line that holds ``offset``; at most LINE_BYTES back."""
    back = min(offset, LINE_BYTES)
    file.seek(offset - back)
    newline = file.read(back).rfind(b"\n")
    return offset - back + newline + 1


def _describe(path: str) -> Window:
    window = Window(path)
    try:
        status = Path(path).stat()
        if not stat.S_ISREG(status.st_mode):
            window.problem = "it is a folder" if stat.S_ISDIR(status.st_mode) else "it is no regular file"
            return window
        with Path(path).open("rb") as file:
            if file.read(2) == GZIP:
                window.problem = "it is compressed, and compressed files are not searched"
    except FileNotFoundError:
        window.problem = "there is no such file"
    except PermissionError:
        window.problem = "permission denied: run the task as a user who may read it (become)"
    except OSError as error:
        window.problem = f"it cannot be read: {error.strerror}"
    else:
        window.size, window.inode, window.written_at = status.st_size, status.st_ino, status.st_mtime
    return window


def _renamed(path: str, start: Position) -> Window | None:
    """The file in the same folder that ``path`` was when ``start`` was taken."""
    folder = Path(path).parent
    try:
        with os.scandir(folder) as entries:
            for _number, entry in zip(range(MOST_FOLDER_ENTRIES), entries, strict=False):
                if entry.inode() == start.inode and entry.name.startswith(Path(path).name):
                    old = _describe(entry.path)
                    old.asked = start.offset
                    return None if old.problem or old.size < start.offset else old
    except OSError:
        return None
    return None


def _written_at(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except OSError:
        return 0.0

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of an approval: read once and bounded, and the request written so that a run finds it whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile

from .errors import InputError


def read(option: str, path: str, most: int, may_be_empty: bool = False) -> bytes:
    """The content of a regular file of at most ``most`` bytes. InputError names the option and the path as given."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise InputError(f"{option} {path} is not a regular file")
            content = file.read(most + 1)
    except OSError as error:
        raise InputError(f"{option} {path} cannot be read: {error.strerror}") from None
    if len(content) > most:
        raise InputError(f"{option} {path} has {about.st_size} bytes; at most {most} are read. Is it the right file?")
    if not content and not may_be_empty:
        raise InputError(f"{option} {path} is empty: is it the right file?")
    return content


def refuse_writable(option: str, path: str) -> None:
    """InputError when everybody may write the file: who may approve would be for anybody to say."""
    with contextlib.suppress(OSError):  # who reads it says why it cannot be read
        if os.stat(path).st_mode & stat.S_IWOTH:
            raise InputError(f"{option} {path} can be written by everybody: chmod o-w it, it says who may approve")


def write(path: str, text: str) -> None:
    """Write the file beside its place and move it there. InputError says why it cannot be written."""
    folder = os.path.dirname(os.path.abspath(path))
    try:
        handle, beside = tempfile.mkstemp(prefix=".request-", dir=folder)
        try:
            with open(handle, "w", encoding="ascii") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)  # it is given to others
            os.replace(beside, path)
        finally:
            with contextlib.suppress(FileNotFoundError):  # it was moved to its place
                os.unlink(beside)
    except OSError as error:
        raise InputError(f"request_path {path} cannot be written: {error.strerror}") from None

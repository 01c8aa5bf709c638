# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file that gets its name only when it is whole and on the disk: whoever is killed half-way leaves no half file.

On Linux it has no name at all until then (O_TMPFILE); where the file system lacks that, a hidden name that the next run
clears away.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Iterator

from .errors import RefusedError

PARTIAL_PREFIX, PARTIAL = ".sre-", ".partial"


class NewFile:
    """Open for writing in ``directory``; close() without naming it leaves nothing behind."""

    def __init__(self, directory: str, mode: int, like: os.stat_result | None = None) -> None:
        """:arg like: owner and group to take over (RefusedError when that is not permitted)."""
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._hidden: str | None = None
        try:
            self.fd = self._create(directory)
        except OSError:
            os.close(self._directory)
            raise
        try:
            if like is not None:
                _own(self.fd, like)
            os.fchmod(self.fd, mode)
        except BaseException:
            self.close()
            raise

    def _create(self, directory: str) -> int:
        if hasattr(os, "O_TMPFILE"):
            with contextlib.suppress(OSError):
                return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fd, self._hidden = tempfile.mkstemp(prefix=PARTIAL_PREFIX, suffix=PARTIAL, dir=directory)
        return fd

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.fd, view) :]

    def name(self, path: str) -> None:
        """Give the whole file its name, in its own directory. Raises FileExistsError when the name is taken."""
        os.fsync(self.fd)
        if self._hidden:
            _rename_to_free_name(self._hidden, path)
            self._hidden = None
        else:
            link_fd(self.fd, path)
        try:
            os.fsync(self._directory)
        except OSError:
            os.unlink(path)
            raise

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._directory)
        if self._hidden:
            os.unlink(self._hidden)


def link_fd(fd: int, path: str) -> None:
    """A further name for an open file. OSError where there are no hard links, or ``path`` is on another file system."""
    root = os.open("/", os.O_RDONLY | os.O_CLOEXEC)
    try:  # with a directory given, linkat(2) is used, which follows the magic link of /proc
        os.link(f"/proc/self/fd/{fd}", path, src_dir_fd=root, follow_symlinks=True)
    finally:
        os.close(root)


@contextlib.contextmanager
def new_file(directory: str, mode: int, like: os.stat_result | None = None) -> Iterator[NewFile]:
    file = NewFile(directory, mode, like)
    try:
        yield file
    finally:
        file.close()


def sync_directory(path: str) -> None:
    """Make the names in a directory durable."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def copy_attributes(source: int, target: int) -> list[str]:
    """Copy extended attributes (ACLs, SELinux context); returns the names of those that could not be copied."""
    lost: list[str] = []
    if not hasattr(os, "listxattr"):
        return lost
    try:
        names = os.listxattr(source)
    except OSError:
        return lost
    for name in names:
        try:
            value = os.getxattr(source, name)
            if name not in os.listxattr(target) or os.getxattr(target, name) != value:
                os.setxattr(target, name, value)
        except OSError:
            lost.append(name)
    return lost


def _rename_to_free_name(source: str, path: str) -> None:
    try:
        os.link(source, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        if os.path.lexists(path):
            raise FileExistsError(path) from None
        os.rename(source, path)
    else:
        os.unlink(source)


def mode_of(status: os.stat_result) -> int:
    return stat.S_IMODE(status.st_mode)


def _own(fd: int, like: os.stat_result) -> None:
    now = os.fstat(fd)
    if (now.st_uid, now.st_gid) == (like.st_uid, like.st_gid):
        return
    try:
        os.fchown(fd, like.st_uid, like.st_gid)
    except PermissionError:
        raise RefusedError(
            f"user id {os.geteuid()} may not create a file owned by {like.st_uid}:{like.st_gid}, as the ledger is. "
            "Run as its owner, or with become. Nothing was changed."
        ) from None

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the records of drills are kept: a file that is replaced whole and synced, or a document behind a URL."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .clock import Deadline
from .errors import InputError, RunbookError, UnreachableError
from .http_client import Answer, Client, Request, shown_url

LOCK_PAUSE_SECONDS = 0.1
MOST_BYTES = 64 * 1024 * 1024
ROOT = Path("/")
CONTAINER_SIGNS = (Path("/.dockerenv"), Path("/run/.containerenv"))


def in_container() -> bool:
    """Whether this process runs in a container, as Docker, Podman and Kubernetes let it know."""
    return "KUBERNETES_SERVICE_HOST" in os.environ or any(sign.exists() for sign in CONTAINER_SIGNS)


class FileStore:
    """<directory>/<system>.jsonl. A lock beside it keeps two drills from writing at once.

    The folder has to be there, and must not be lost with the container that this runs in, unless ``may_be_lost``.
    """

    def __init__(self, directory: str, system: str, deadline: Deadline, may_be_lost: bool) -> None:
        self._deadline = deadline
        self._folder = Path(directory)
        if not self._folder.is_dir():
            raise InputError(
                f"{directory} is no folder: is the volume for the records of drills mounted here? In an execution environment of "
                "AWX it has to be mounted into the container. Make the folder if it is new",
                option="directory",
            )
        if in_container() and not may_be_lost and self._folder.stat().st_dev == ROOT.stat().st_dev:
            raise InputError(
                f"{directory} lies on the root file system of a container and is lost with it: mount a volume there, or keep the "
                "records at a url",
                option="directory",
            )
        self._path = self._folder / f"{system}.jsonl"
        self.location = str(self._path)

    @contextlib.contextmanager
    def held(self, write: bool) -> Iterator[None]:
        """The lock, for as long as the context is open; none for reading."""
        if not write:
            yield
            return
        with _file_errors(self.location):
            lock = os.open(self._folder / f".{self._path.name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock(lock)
            yield
        finally:
            os.close(lock)

    def _lock(self, lock: int) -> None:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                self._deadline.within(1.0, f"another drill writes {self.location}")
                self._deadline.clock.sleep(LOCK_PAUSE_SECONDS)

    def read(self) -> str:
        with _file_errors(self.location):
            try:
                if self._path.stat().st_size > MOST_BYTES:
                    raise RunbookError(f"{self.location} has more than {MOST_BYTES} bytes: is it a history of drills?")
                return self._path.read_text(encoding="utf-8", errors="surrogateescape")
            except FileNotFoundError:
                return ""

    def write(self, text: str) -> None:
        """Replace the file at once; a full disk leaves the old one."""
        with _file_errors(self.location):
            number, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=self._folder)
            new = Path(name)
            try:
                with os.fdopen(number, "w", encoding="utf-8", errors="surrogateescape") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                new.chmod(0o644)
                new.replace(self._path)
            finally:
                new.unlink(missing_ok=True)
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


class HttpStore:
    """One document, read with GET (404: none yet) and replaced with PUT, if it is still the one that was read."""

    def __init__(self, client: Client, url: str, headers: Mapping[str, str]) -> None:
        self._client, self._url, self._headers = client, url, headers
        self._condition: dict[str, str] = {}
        self.location = shown_url(url)

    @contextlib.contextmanager
    def held(self, write: bool) -> Iterator[None]:
        """Nothing is held, to write or not: the server compares ETags where it has them."""
        del write
        yield

    def read(self) -> str:
        answer = self._send("GET")
        if answer.status == 404 and answer.problem is None:
            self._condition = {"If-None-Match": "*"}
            return ""
        if answer.status != 200 or answer.problem or answer.more:
            raise UnreachableError(
                f"the history at {self.location} could not be read, so nothing was written: {_said(answer)}",
                status=answer.status,
            )
        etag = answer.headers.get("ETag", "")
        self._condition = {"If-Match": etag} if etag and not etag.startswith("W/") else {}
        try:
            return answer.body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise RunbookError(f"the history at {self.location} is no UTF-8 text, so nothing was written") from error

    def write(self, text: str) -> None:
        answer = self._send("PUT", text.encode())
        if answer.status == 412:
            # A PUT that was stored and not answered is sent again, and then no longer meets its own condition.
            if self.read() == text:
                return
            raise RunbookError(f"the history at {self.location} was changed by somebody else meanwhile: run it again")
        if answer.status is None or not 200 <= answer.status < 300 or answer.problem:
            raise UnreachableError(
                f"the record could not be written to {self.location}: {_said(answer)}", status=answer.status
            )
        self._condition = {}
        if self.read() != text:
            raise RunbookError(f"{self.location} took the history and gives another one back: is it a cache or a stub?")

    def _send(self, method: str, body: bytes | None = None) -> Answer:
        return self._client.send(
            Request(
                method,
                self._url,
                headers=self._condition if body is not None else {},
                secret_headers=self._headers,
                body=body,
                content_type="application/x-ndjson" if body is not None else "",
            )
        )


def _said(answer: Answer) -> str:
    return answer.summary()


@contextlib.contextmanager
def _file_errors(location: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunbookError(
            f"{location}: {error.strerror or error}. Check the folder, its rights and its space."
        ) from error

# Copyright (c) 2026, the sre.runbooks developers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs under supervisord, through its XML-RPC interface on a unix socket or an HTTP address."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os
import socket
import urllib.parse
import xmlrpc.client
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from .clock import Deadline
from .errors import InputError
from .redact import observed
from .service_model import (
    FAILED,
    RUNNING,
    STARTING,
    STOPPED,
    STOPPING,
    UNKNOWN,
    ManagerError,
    State,
    Status,
    with_exact_start,
)

CALL_SECONDS = 10.0
TAIL_BYTES = 8192

# supervisor's states: https://supervisord.org/subprocess.html#process-states
_STATES: dict[str, tuple[State, bool]] = {
    "STOPPED": (STOPPED, False),
    "STARTING": (STARTING, True),
    "RUNNING": (RUNNING, True),
    "BACKOFF": (STARTING, True),
    "STOPPING": (STOPPING, True),
    "EXITED": (FAILED, False),
    "FATAL": (FAILED, False),
}
_SHUTDOWN_STATE, _ALREADY_STARTED, _NOT_RUNNING = 6, 60, 70

Connect = Callable[[], http.client.HTTPConnection]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=CALL_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class _Transport(xmlrpc.client.Transport):
    """One kept connection, made by ``connect``; ``headers`` go with each request."""

    def __init__(self, connect: Connect, headers: list[tuple[str, str]]) -> None:
        super().__init__(headers=headers)
        self._connect = connect
        self._kept: http.client.HTTPConnection | None = None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002 - the interface's name
        if self._kept is None:
            self._kept = self._connect()
        return self._kept

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


class Supervisor:
    """supervisord at a unix ``socket_path`` or an HTTP ``url``."""

    name = "supervisor"

    def __init__(
        self,
        deadline: Deadline,
        socket_path: str | None = None,
        url: str | None = None,
        username: str | None = None,
        password: str | None = None,
    ) -> None:
        self._deadline = deadline
        headers = []
        if username:
            pair = base64.b64encode(f"{username}:{password or ''}".encode()).decode()
            headers.append(("Authorization", f"Basic {pair}"))
        if socket_path:
            path = socket_path
            self._where = f"supervisord at {path}"
            connect: Connect = lambda: _UnixConnection(path)  # noqa: E731 - one of two ways to connect
        else:
            self._where = f"supervisord at {url}"
            connect = _http(url or "")
        self._socket_path = socket_path
        self._transport = _Transport(connect, headers)
        self._server = xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=self._transport)

    def read(self, services: list[str]) -> dict[str, Status]:
        rows = self._call("getAllProcessInfo")
        by_name: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_name.setdefault(f"{row['group']}:{row['name']}", []).append(row)
            by_name.setdefault(str(row["name"]), []).append(row)
        known = ", ".join(sorted(_full_name(row) for row in rows)[:50]) or "no program at all"
        return {service: self._status(service, by_name.get(service, []), known) for service in services}

    def start(self, service: str) -> None:
        self._act("startProcess", service, "start", _ALREADY_STARTED)

    def stop(self, service: str) -> None:
        self._act("stopProcess", service, "stop", _NOT_RUNNING)

    def last_lines(self, service: str) -> str:
        for method, stream in (("readProcessStderrLog", "stderr"), ("readProcessStdoutLog", "stdout")):
            text = ""
            with contextlib.suppress(xmlrpc.client.Fault, ManagerError):
                text = self._tail(method, service, stream)
            if text.strip():
                return text
        return ""

    def _tail(self, method: str, service: str, stream: str) -> str:
        try:
            return str(self._request(method, service, -TAIL_BYTES, 0))
        except ExpatError:  # the log holds characters that XML cannot carry: read the file itself
            self._transport.close()
            path = self.read([service])[service].logs.get(stream, "")
            try:
                with Path(path).open("rb") as file:
                    file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
                    return file.read(TAIL_BYTES).decode("utf-8", errors="replace")
            except OSError:
                return ""

    def _status(self, service: str, rows: list[dict[str, Any]], known: str) -> Status:
        if len(rows) != 1:
            problem = f"{self._where} has no program {service!r}; it has: {known}"
            if rows:
                names = ", ".join(sorted(f"{row['group']}:{row['name']}" for row in rows))
                problem = f"{self._where} has several programs {service!r}: name one of {names}"
            return Status(UNKNOWN, problem=problem)
        row = rows[0]
        word = str(row["statename"])
        state, active = _STATES.get(word, (UNKNOWN, False))
        exit_code: int | None = int(row["exitstatus"])
        if word == "EXITED" and exit_code == 0:
            state = STOPPED
        never_ended = word in ("RUNNING", "STARTING", "STOPPING") or (word == "STOPPED" and not row["stop"])
        if never_ended or (word in ("BACKOFF", "FATAL") and not exit_code):  # 0 stands for "not known" there
            exit_code = None
        began = row["start"] if state in (RUNNING, STARTING, STOPPING) else row["stop"]
        note = str(row["spawnerr"] or ("" if state == RUNNING else row["description"]))
        status = Status(
            state,
            active=active,
            pid=int(row["pid"]) or None,
            since=float(began) or None,
            started=float(row["start"]) or None,
            exit_code=exit_code,
            problem="" if state != UNKNOWN else f"{self._where} reports the state {word}",
            detail={"summary": observed(f"{word} {note}".strip(), 200), "statename": word},
            logs={
                stream: str(row[f"{stream}_logfile"])
                for stream in ("stdout", "stderr")
                if row.get(f"{stream}_logfile") not in (None, "", "/dev/null")
            },
        )
        return with_exact_start(status)

    def _act(self, method: str, service: str, verb: str, harmless: int) -> None:
        try:
            self._request(method, service, False)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != harmless:
                raise ManagerError(
                    f"{self._where} could not {verb} {service}: {observed(fault.faultString, 300)}. "
                    "Look at the program's section in its configuration."
                ) from fault

    def _call(self, method: str, *arguments: Any) -> Any:
        try:
            return self._request(method, *arguments)
        except xmlrpc.client.Fault as fault:
            raise ManagerError(f"{self._where} refused {method}: {observed(fault.faultString, 300)}") from fault
        except ExpatError as error:
            self._transport.close()
            raise ManagerError(
                f"{self._where} gave an answer that is not XML: is this supervisor's interface?"
            ) from error

    def _request(self, method: str, *arguments: Any) -> Any:
        self._deadline.within(CALL_SECONDS, f"asking {self._where} for {method}")
        try:
            return getattr(self._server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode == _SHUTDOWN_STATE:
                raise ManagerError(f"{self._where} is shutting down: wait, or start it again") from fault
            raise
        except xmlrpc.client.ProtocolError as error:
            raise ManagerError(self._http_problem(error.errcode, error.errmsg)) from error
        except (OSError, http.client.HTTPException, xmlrpc.client.ResponseError) as error:
            self._transport.close()
            raise ManagerError(self._connection_problem(error)) from error

    def _http_problem(self, code: int, words: str) -> str:
        if code == http.HTTPStatus.UNAUTHORIZED:
            return (
                f"{self._where} asks for a login, or refuses this one: see supervisor_username and supervisor_password"
            )
        return f"{self._where} answered HTTP {code} {observed(words, 100)}: is this supervisor's XML-RPC interface?"

    def _connection_problem(self, error: Exception) -> str:
        path = self._socket_path
        if isinstance(error, PermissionError) and path:
            return f"permission denied on {path} ({_owner(path)}): run the task as that user (become)"
        if isinstance(error, FileNotFoundError) and path:
            return f"{self._where}: there is no such socket. Is supervisord running with this file?"
        if isinstance(error, ConnectionRefusedError):
            return f"{self._where}: nothing listens there, supervisord has ended. Start it first."
        if isinstance(error, TimeoutError):
            return f"{self._where} gave no answer within {CALL_SECONDS:g} s"
        if isinstance(error, xmlrpc.client.ResponseError):
            return f"{self._where}: what answers there is not supervisor's XML-RPC interface"
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        return f"{self._where} cannot be reached: {observed(str(reason), 200)}"


def _full_name(row: dict[str, Any]) -> str:
    return str(row["name"]) if row["group"] == row["name"] else f"{row['group']}:{row['name']}"


def _http(url: str) -> Connect:
    """How to connect to ``url``; InputError when it is not of the form http://host:port."""
    parts = urllib.parse.urlsplit(url)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if parts.username or parts.password:
        raise InputError("supervisor_url holds a login: give it as supervisor_username and supervisor_password")
    if parts.scheme not in ("http", "https") or not host:
        raise InputError(f"supervisor_url: {observed(url, 100)!r} is not of the form http://host:port")
    if parts.scheme == "https":
        return lambda: http.client.HTTPSConnection(host, port, timeout=CALL_SECONDS)
    return lambda: http.client.HTTPConnection(host, port, timeout=CALL_SECONDS)


def _owner(path: str) -> str:
    try:
        status = Path(path).stat()
    except OSError:
        return "its folder cannot be entered"
    return f"owner uid {status.st_uid}, mode {status.st_mode & 0o7777:04o}"

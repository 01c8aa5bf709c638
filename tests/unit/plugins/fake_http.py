# Copyright (c) 2026, the sre.runbooks developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""An HTTP server that misbehaves on demand: it answers with the bytes it is given, as slowly as it is told."""

from __future__ import annotations

import json
import socket
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """A request as it arrived. Header names in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Send:
    """Raw bytes of an answer; ``drip_seconds`` between any two of them; the connection is closed after it."""

    raw: bytes
    drip_seconds: float = 0.0
    close: bool = True


Route = Callable[[Asked], Send]


def answer(status: int = 200, body: bytes = b"", **headers: str) -> Send:
    """A right answer. ``Retry_After='1'`` is the header Retry-After."""
    named = {"Content-Length": str(len(body)), **{name.replace("_", "-"): value for name, value in headers.items()}}
    head = f"HTTP/1.1 {status} Reason\r\n" + "".join(f"{name}: {value}\r\n" for name, value in named.items()) + "\r\n"
    return Send(head.encode() + body, close=False)


def json_answer(document: Any, status: int = 200, **headers: str) -> Send:
    return answer(status, json.dumps(document).encode(), Content_Type="application/json; charset=utf-8", **headers)


@dataclass
class Server:
    """Routes by path; a list of answers is given out one after the other, the last one again and again."""

    routes: dict[str, Route | Send | list[Send]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def reply(self, request: Asked) -> Send:
        self.asked.append(request)
        route = self.routes.get(request.path, answer(404, b"NOT_FOUND", Content_Type="text/plain"))
        if isinstance(route, list):
            return route.pop(0) if len(route) > 1 else route[0]
        return route if isinstance(route, Send) else route(request)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.asked]


class _Handler(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(OSError, ValueError):
            connection = self.request
            tls: ssl.SSLContext | None = self.server.tls  # type: ignore[attr-defined]
            if tls:
                connection = tls.wrap_socket(connection, server_side=True)
            connection.settimeout(10)
            stream = connection.makefile("rb")
            while self._one(connection, stream):
                pass

    def _one(self, connection: socket.socket, stream: Any) -> bool:
        if stream.peek(1)[:1] == b"\x16":  # a TLS handshake on a plain port
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            return False
        line = stream.readline().decode().split()
        if len(line) != 3:
            return False
        headers: dict[str, str] = {}
        while header := stream.readline().decode("latin-1").strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = stream.read(int(headers.get("content-length", 0)))
        parts = urlsplit(line[1])
        request = Asked(line[0], parts.path, dict(parse_qsl(parts.query)), headers, body)
        send: Send = self.server.fake.reply(request)  # type: ignore[attr-defined]
        if not send.drip_seconds:
            connection.sendall(send.raw)
            return not send.close
        for byte in send.raw:
            connection.sendall(bytes([byte]))
            if self.server.stopping.wait(send.drip_seconds):  # type: ignore[attr-defined]
                return False
        return False


class _Listener(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 200

    def __init__(self, fake: Server, tls: ssl.SSLContext | None) -> None:
        self.fake, self.tls, self.stopping = fake, tls, threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that gives up is no event."""


@contextmanager
def serving(routes: dict[str, Any] | None = None, tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    """A server on a free port of loopback, stopped at the end."""
    fake = Server(dict(routes or {}))
    with _Listener(fake, tls) as listener:
        fake.url = f"http{'s' if tls else ''}://127.0.0.1:{listener.server_address[1]}"
        thread = threading.Thread(target=listener.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            listener.stopping.set()
            listener.shutdown()
            thread.join(5)


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
